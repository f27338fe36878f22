//! Databases of a node.

use std::time::Duration;

use super::{ANY_HOST, NodeSql};
use crate::error::Result;
use crate::quote;
use crate::sql::grants;
use openpeta_types::DbName;

impl NodeSql {
    /// Makes a database with the utf8mb4 character set, and lets accounts of type Super grant
    /// privileges on it. One that exists is no error.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn create_database(&mut self, database: &DbName) -> Result<()> {
        let name = quote::identifier(database.as_str());
        let statement = format!(
            "CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
        );
        self.execute("create a database", &statement).await?;
        for account in self.super_accounts().await? {
            let statement = grants::grant_all_on(&account, database.as_str());
            self.execute("grant", &statement).await?;
        }
        Ok(())
    }

    /// Drops a database with everything granted on it if there is nothing in it; whether it is
    /// gone.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn drop_empty_database(&mut self, database: &DbName) -> Result<bool> {
        let name = quote::string(database.as_str());
        let query = format!(
            "SELECT EXISTS (SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = {name}) \
                 OR EXISTS (SELECT 1 FROM mysql.proc WHERE db = {name}) \
                 OR EXISTS (SELECT 1 FROM mysql.event WHERE db = {name})"
        );
        let is_used: Vec<bool> = self.rows("look into a database", &query).await?;
        if is_used == [true] {
            return Ok(false);
        }
        let statement = drop_statement(database);
        self.execute("drop a database", &statement).await?;
        self.forget_database(database).await?;
        Ok(true)
    }

    /// The databases of users, sorted; also those that were made by SQL.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn databases(&mut self) -> Result<Vec<String>> {
        let query = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA \
             WHERE SCHEMA_NAME NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema')";
        let mut names: Vec<String> = self.rows("list databases", query).await?;
        names.sort_unstable();
        Ok(names)
    }

    /// Takes away what was granted on a database that is gone, and the account that runs its
    /// users' definitions.
    pub(crate) async fn forget_database(&mut self, database: &DbName) -> Result<()> {
        self.revoke_on(database).await?;
        self.drop_ddl_account(database).await
    }

    /// Drops a database if it exists, and whatever refers to it. The statement may wait as long
    /// as it is given for each lock.
    pub(crate) async fn drop_regardless(
        &mut self,
        database: &DbName,
        limit: Duration,
    ) -> Result<()> {
        let settings = format!(
            "SET lock_wait_timeout={}, foreign_key_checks=0",
            limit.as_secs()
        );
        self.execute("set a timeout", &settings).await?;
        let statement = drop_statement(database);
        self.execute("drop a database", &statement).await.map(drop)
    }

    /// Ends the sessions that hold locks on a database or on something in it, except one.
    pub(crate) async fn end_sessions_in(&mut self, database: &DbName, except: u64) -> Result<()> {
        for session in self.sessions_in(database).await? {
            if session == except {
                continue;
            }
            let statement = format!("KILL {session}");
            match self.execute("end a session", &statement).await {
                // It has ended by itself, or is a thread of the server's own.
                Err(error) if error.server_code() == Some(NO_SUCH_THREAD) => {}
                result => {
                    result?;
                    tracing::info!(session, database = %database, "ended a session that held up a drop");
                }
            }
        }
        Ok(())
    }

    /// The sessions that hold locks on a database or on something in it. Where the server cannot
    /// tell, all users' sessions that may: those in a transaction and those in the database.
    async fn sessions_in(&mut self, database: &DbName) -> Result<Vec<u64>> {
        let name = quote::string(database.as_str());
        let install = "INSTALL PLUGIN IF NOT EXISTS metadata_lock_info SONAME 'metadata_lock_info'";
        let query = match self.execute("load a plugin", install).await {
            Ok(_) => format!(
                "SELECT DISTINCT THREAD_ID FROM information_schema.METADATA_LOCK_INFO \
                 WHERE TABLE_SCHEMA = {name}"
            ),
            Err(error) if error.server_code().is_some() => {
                tracing::warn!(%error, "the server cannot tell who holds locks");
                format!(
                    "SELECT p.ID FROM information_schema.PROCESSLIST p \
                     LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID \
                     WHERE p.USER IN (SELECT User FROM mysql.global_priv WHERE Host = {host}) \
                       AND (t.trx_id IS NOT NULL OR p.DB = {name})",
                    host = quote::string(ANY_HOST),
                )
            }
            Err(error) => return Err(error),
        };
        self.rows("list sessions", &query).await
    }
}

fn drop_statement(database: &DbName) -> String {
    let name = quote::identifier(database.as_str());
    format!("DROP DATABASE IF EXISTS {name}")
}

/// MariaDB's "unknown thread id".
const NO_SUCH_THREAD: u16 = 1094;
