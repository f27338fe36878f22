//! Definition statements of users, run so that they reach their own database and nothing else.
//!
//! Whatever was understood of such a statement before, here it meets an account that can do
//! nothing outside the one database: injection would gain nothing. The account has a name that
//! no user's account can have, comes from `localhost` alone, has a password that is derived for
//! this node and database, and goes with the database. It is the node's own: the binary log
//! does not have it.

use std::path::Path;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use openpeta_types::{DbName, InstanceId, NodeId, Secret};
use ring::hmac;

use super::{NodeSql, native_password_hash, options};
use crate::error::{EngineError, Result};
use crate::quote;

/// How long a definition statement waits, in seconds, until sessions that use the table give way.
pub const DDL_WAIT_SECONDS: u64 = 30;

/// How long a definition statement may take in all, in seconds.
pub const DDL_SECONDS: u64 = 600;

/// What the connection waits beyond the server's own limit.
const MARGIN: Duration = Duration::from_secs(30);

/// Pause between two looks at the sessions that were told to end.
const SESSION_PAUSE: Duration = Duration::from_millis(10);

/// Enough for every table and index definition, and for what can be said in one: a query after
/// CREATE TABLE, a table to take a partition from. No routine, no view, no event.
const PRIVILEGES: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, \
                          DELETE HISTORY";

/// Neither "-" nor ":" can stand in the name of a user's account.
const ACCOUNT_PREFIX: &str = "openpeta-ddl:";

/// The account that may define things in a database.
fn account_name(database: &DbName) -> String {
    format!("{ACCOUNT_PREFIX}{database}")
}

fn quoted_account(database: &DbName) -> String {
    quote::account(&account_name(database), "localhost")
}

/// The account's password: nobody can compute it who has not the administrator's.
pub(crate) fn ddl_password(admin: &Secret, node: &NodeId, database: &DbName) -> Secret {
    derived_password(admin, &format!("ddl account/{node}/{database}"))
}

/// As above, for a database over several nodes: the account is the same on each.
pub(crate) fn ddl_password_over_nodes(
    admin: &Secret,
    instance: &InstanceId,
    database: &DbName,
) -> Secret {
    derived_password(admin, &format!("ddl account/{instance}/{database}"))
}

/// The password of an account by which definitions come to a database over several nodes, for whoever
/// speaks for those nodes; `None` for all other accounts.
#[must_use]
pub fn definer_password(admin: &Secret, instance: &InstanceId, account: &str) -> Option<Secret> {
    let database = DbName::parse(account.strip_prefix(ACCOUNT_PREFIX)?).ok()?;
    Some(ddl_password_over_nodes(admin, instance, &database))
}

/// A password for that purpose, out of the administrator's.
pub(super) fn derived_password(admin: &Secret, purpose: &str) -> Secret {
    let key = hmac::Key::new(hmac::HMAC_SHA256, admin.expose().as_bytes());
    let tag = hmac::sign(&key, purpose.as_bytes());
    let digits: String = tag
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Secret::new(digits)
}

impl NodeSql {
    /// Makes the account for definitions in a database what it should be.
    pub(crate) async fn ensure_ddl_account(
        &mut self,
        database: &DbName,
        password: &Secret,
    ) -> Result<()> {
        let account = quoted_account(database);
        // The hash is "*" and hexadecimal digits: nothing to escape.
        let create = format!(
            "CREATE OR REPLACE USER {account} IDENTIFIED VIA mysql_native_password USING '{}'",
            native_password_hash(password)
        );
        let pattern = quote::identifier(&quote::grant_pattern(database.as_str()));
        let grant = format!("GRANT {PRIVILEGES} ON {pattern}.* TO {account}");
        self.unlogged("set up an account", &[create, grant]).await
    }

    /// Drops the account for definitions in a database, with its sessions.
    pub(super) async fn drop_ddl_account(&mut self, database: &DbName) -> Result<()> {
        let statement = format!("DROP USER IF EXISTS {}", quoted_account(database));
        self.unlogged("drop an account", &[statement]).await?;
        self.end_ddl_sessions(database).await
    }

    /// Ends sessions that an interrupted definition left, and waits until they are gone: what
    /// they were doing is done or undone then.
    pub(crate) async fn end_ddl_sessions(&mut self, database: &DbName) -> Result<()> {
        let (name, quoted) = (account_name(database), quoted_account(database));
        self.end_sessions_of(&name, &quoted).await
    }

    /// Ends the sessions of an account of ours, whose name in statements is `quoted`, and waits
    /// until they are gone.
    pub(super) async fn end_sessions_of(&mut self, name: &str, quoted: &str) -> Result<()> {
        let action = "end earlier sessions";
        let query = format!(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = {}",
            quote::string(name)
        );
        let statement = format!("KILL HARD CONNECTION USER {quoted}");
        let begun = Instant::now();
        loop {
            let sessions: Vec<u64> = self.rows(action, &query).await?;
            if sessions.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > self.timeout {
                return Err(EngineError::SqlTimeout {
                    action,
                    waited: self.timeout,
                });
            }
            self.execute(action, &statement).await?;
            tokio::time::sleep(SESSION_PAUSE).await;
        }
    }

    /// Connects as the account for definitions in a database, which is the default one then.
    pub(crate) async fn connect_for_ddl(
        socket: &Path,
        database: &DbName,
        password: &Secret,
        limit: Duration,
    ) -> Result<Self> {
        let options = options(socket, &account_name(database), password)
            .db_name(Some(database.as_str()))
            .setup(vec![format!(
                "SET sql_mode=DEFAULT, lock_wait_timeout={DDL_WAIT_SECONDS}, \
                 innodb_lock_wait_timeout={DDL_WAIT_SECONDS}, max_statement_time={DDL_SECONDS}"
            )]);
        let timeout = Duration::from_secs(DDL_SECONDS) + MARGIN;
        Self::open(socket, options, limit, timeout).await
    }

    /// Runs a definition. It is prepared first: the server prepares one statement and refuses a
    /// text with more.
    pub(crate) async fn define(&mut self, statement: &str) -> Result<()> {
        let action = "run a definition";
        let mut conn = self.take(action)?;
        let work = async {
            let prepared = conn.prep(statement).await?;
            conn.exec_drop(prepared, ()).await
        };
        let result = tokio::time::timeout(self.timeout, work).await;
        self.settle(action, conn, result)
    }

    /// Waits until no other session has that lock, and holds it as long as this one lasts. Over several nodes the
    /// session of an interrupted definition goes on until all nodes have it.
    pub(crate) async fn await_turn(&mut self, database: &DbName) -> Result<()> {
        let action = "wait for an earlier definition";
        let name = quote::string(&account_name(database));
        let query = format!("SELECT COALESCE(GET_LOCK({name}, {DDL_SECONDS}), 0)");
        match self.rows::<i64>(action, &query).await?[..] {
            [1] => Ok(()),
            _ => Err(EngineError::SqlTimeout {
                action,
                waited: Duration::from_secs(DDL_SECONDS),
            }),
        }
    }

    /// Runs a definition that a coordinator reads before the server does.
    pub(crate) async fn define_over_nodes(&mut self, statement: &str) -> Result<()> {
        self.execute("run a definition", statement).await.map(drop)
    }

    /// Runs statements that the binary log does not get.
    pub(super) async fn unlogged(
        &mut self,
        action: &'static str,
        statements: &[String],
    ) -> Result<()> {
        self.execute(action, "SET SESSION sql_log_bin=0").await?;
        let mut result = Ok(());
        for statement in statements {
            if result.is_ok() {
                result = self.execute(action, statement).await.map(drop);
            }
        }
        self.execute(action, "SET SESSION sql_log_bin=1").await?;
        result
    }
}

#[cfg(test)]
mod tests {
    use openpeta_types::AccountName;

    use super::*;

    fn db(name: &str) -> DbName {
        DbName::parse(name).expect("a database name")
    }

    #[test]
    fn no_user_can_have_the_account() {
        assert!(AccountName::parse_lookup(&account_name(&db("shop"))).is_err());
        assert!(AccountName::parse_lookup("openpeta-ddl:s").is_err());
    }

    #[test]
    fn who_speaks_for_several_nodes_knows_the_passwords_of_definers_alone() {
        let admin = Secret::new("admin");
        let id = |text: &str| InstanceId::parse(text).expect("an instance id");
        let (one, other) = (id("pd-abcdefg62469a"), id("pd-abcdefg62469b"));
        let known = definer_password(&admin, &one, &account_name(&db("shop")));
        let known = known.expect("a definer");
        let right = ddl_password_over_nodes(&admin, &one, &db("shop"));
        assert_eq!(known.expose(), right.expose());
        let elsewhere = definer_password(&admin, &other, &account_name(&db("shop")));
        assert_ne!(elsewhere.expect("a definer").expose(), right.expose());
        for user in ["alice", "openpeta-ddl:", "openpeta-ddl:no such", "shop"] {
            assert!(definer_password(&admin, &one, user).is_none(), "{user}");
        }
    }

    #[test]
    fn each_database_of_each_node_has_a_password_of_its_own() {
        let admin = Secret::new("admin");
        let node = |id: &str| NodeId::parse(id).expect("a node id");
        let password = |node_id: &str, name: &str| {
            ddl_password(&admin, &node(node_id), &db(name))
                .expose()
                .to_owned()
        };
        let first = password("nd-1", "shop");
        assert_eq!(first.len(), 64);
        assert_eq!(first, password("nd-1", "shop"));
        assert_ne!(first, password("nd-2", "shop"));
        assert_ne!(first, password("nd-1", "shop2"));
    }
}
