//! Databases of a node.

use super::{ANY_HOST, LOCK_WAIT_TIMEOUT, NodeSql};
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

    /// Drops a database with everything granted on it, so that a new one of the same name does
    /// not inherit. One that does not exist is no error. Sessions that hold locks in it are ended
    /// when they do not give way.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn drop_database(&mut self, database: &DbName) -> Result<()> {
        let statement = format!(
            "DROP DATABASE IF EXISTS {}",
            quote::identifier(database.as_str())
        );
        match self.execute("drop a database", &statement).await {
            Err(error) if error.server_code() == Some(LOCK_WAIT_TIMEOUT) => {
                self.kill_users_of(database).await?;
                self.execute("drop a database", &statement).await?;
            }
            result => {
                result?;
            }
        }
        self.revoke_on(database).await?;
        self.drop_ddl_account(database).await
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
        self.drop_database(database).await?;
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

    /// Ends the users' sessions that are in a transaction or use the database: one of them
    /// holds the lock.
    async fn kill_users_of(&mut self, database: &DbName) -> Result<()> {
        let query = format!(
            "SELECT p.ID FROM information_schema.PROCESSLIST p \
             LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID \
             WHERE p.USER IN (SELECT User FROM mysql.global_priv WHERE Host = {host}) \
               AND (t.trx_id IS NOT NULL OR p.DB = {database})",
            host = quote::string(ANY_HOST),
            database = quote::string(database.as_str()),
        );
        let ids: Vec<u64> = self.rows("list sessions", &query).await?;
        for id in ids {
            let result = self.execute("end a session", &format!("KILL {id}")).await;
            match result {
                // It has ended by itself.
                Err(error) if error.server_code() == Some(NO_SUCH_THREAD) => {}
                result => {
                    result?;
                }
            }
        }
        Ok(())
    }
}

/// MariaDB's "unknown thread id".
const NO_SUCH_THREAD: u16 = 1094;
