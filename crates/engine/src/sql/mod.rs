//! Administration of a node over SQL, through its unix socket.

mod account_state;
mod accounts;
mod database_privileges;
mod databases;
mod ddl;
mod diagnosis;
mod distribution;
mod grants;
mod import_account;
mod object_grants;
mod sizes;
mod tables;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, OptsBuilder, Row};
use openpeta_types::{NodeId, Secret};
use ring::digest;
use tokio::time::error::Elapsed;

pub use account_state::HeldByAccount;
pub use accounts::{AccountGrants, DatabaseGrant};
pub use database_privileges::HeldPrivileges;
pub use ddl::{DDL_SECONDS, DDL_WAIT_SECONDS, definer_password};
pub(crate) use ddl::{ddl_password, ddl_password_over_nodes};
pub use diagnosis::{IndexFacts, IndexName, LockWait, MetadataWait, OpenTransaction, TableFacts};
pub use distribution::TableDistribution;
pub(crate) use distribution::distribution;
pub(crate) use import_account::{import_account, import_password};
pub use sizes::TableSizes;
pub use tables::{TableColumn, TableDetail, TableIndex, TableState, TableSummary};

use crate::backup::{BinlogPosition, in_doubt};
use crate::error::{EngineError, Result};

/// The account through which nodes are administered, at host `localhost`.
pub const ADMIN_ACCOUNT: &str = "openpeta_admin";

/// Where the accounts of users may come from: the gateway has checked that already.
pub(crate) const ANY_HOST: &str = "%";

/// How long a statement waits for a lock on a table or database, in seconds. Shorter than the
/// time for the whole statement, so that MariaDB reports it.
const LOCK_WAIT_SECONDS: u32 = 5;

/// What `mysql_native_password` stores: `*` and SHA1(SHA1(password)) in upper-case hexadecimal.
#[must_use]
pub fn native_password_hash(password: &Secret) -> String {
    let sha1 = |bytes: &[u8]| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let hash = sha1(sha1(password.expose().as_bytes()).as_ref());
    let mut text = String::from("*");
    for byte in hash.as_ref() {
        text.push_str(&format!("{byte:02X}"));
    }
    text
}

/// An administration connection to one node. Closed when dropped; [`close`](Self::close) says
/// goodbye, which keeps a note out of the server's counters.
#[derive(Debug)]
pub struct NodeSql {
    /// Gone after a timeout, since an answer may still be under way.
    conn: Option<Conn>,
    timeout: Duration,
}

/// How often a purge is tried until no old log is left.
const PURGE_ATTEMPTS: u32 = 20;
/// Time between two tries.
const PURGE_PAUSE: Duration = Duration::from_millis(50);

impl NodeSql {
    /// Connects as the administrator within `limit`; each statement may then take `timeout`.
    pub(crate) async fn connect(
        socket: &Path,
        password: &Secret,
        limit: Duration,
        timeout: Duration,
    ) -> Result<Self> {
        let options = options(socket, ADMIN_ACCOUNT, password).setup(vec![format!(
            "SET lock_wait_timeout={LOCK_WAIT_SECONDS}, \
             sql_mode='STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"
        )]);
        Self::open(socket, options, limit, timeout).await
    }

    async fn open(
        socket: &Path,
        options: OptsBuilder,
        limit: Duration,
        timeout: Duration,
    ) -> Result<Self> {
        match tokio::time::timeout(limit, Conn::new(options)).await {
            Ok(Ok(conn)) => Ok(Self {
                conn: Some(conn),
                timeout,
            }),
            Ok(Err(source)) => Err(EngineError::Connect {
                socket: socket.to_owned(),
                source,
            }),
            Err(_) => Err(EngineError::SqlTimeout {
                action: "connect",
                waited: limit,
            }),
        }
    }

    /// Ends the connection in good order.
    pub async fn close(mut self) {
        if let Some(conn) = self.conn.take() {
            // The server ends it anyway when the goodbye does not arrive.
            let _ = tokio::time::timeout(self.timeout, conn.disconnect()).await;
        }
    }

    /// The number by which the server knows this connection.
    pub(crate) async fn connection_id(&mut self) -> Result<u64> {
        let rows: Vec<u64> = self
            .rows("ask for the connection's id", "SELECT CONNECTION_ID()")
            .await?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    /// The server's version, for example `10.11.19-MariaDB-0+deb12u1-log`.
    ///
    /// # Errors
    /// [`EngineError::Sql`], [`EngineError::SqlTimeout`] or [`EngineError::SqlClosed`], as with
    /// all statements.
    pub async fn server_version(&mut self) -> Result<String> {
        let action = "ask for the version";
        let rows: Vec<String> = self.rows(action, "SELECT VERSION()").await?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    /// The server's status variables (`SHOW GLOBAL STATUS`).
    ///
    /// # Errors
    /// As with all statements.
    pub async fn status(&mut self) -> Result<BTreeMap<String, String>> {
        let rows: Vec<(String, String)> =
            self.rows("read the status", "SHOW GLOBAL STATUS").await?;
        Ok(rows.into_iter().collect())
    }

    /// Lets nobody but administration write, or lets everybody write again. Lost at the node's
    /// next restart; [`Engine::set_read_only`](crate::Engine::set_read_only) is not.
    ///
    /// # Errors
    /// As with all statements; the server waits for sessions that hold table locks.
    pub async fn set_read_only(&mut self, read_only: bool) -> Result<()> {
        let statement = format!("SET GLOBAL read_only={}", u8::from(read_only));
        self.execute("set read_only", &statement).await.map(drop)
    }

    /// Removes all binary logs but a new, empty one, as far as recovery can do without them.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn purge_binlogs(&mut self) -> Result<()> {
        match self.rotate_binlogs().await? {
            Some(current) => self.purge_binlogs_to(&current).await,
            None => Ok(()),
        }
    }

    /// Begins a new binary log, and returns its name.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn rotate_binlogs(&mut self) -> Result<Option<String>> {
        self.execute("rotate binary logs", "FLUSH BINARY LOGS")
            .await?;
        let status: Vec<(String, u64, String, String)> = self
            .rows("read the binary log's name", "SHOW MASTER STATUS")
            .await?;
        Ok(status.into_iter().next().map(|(current, ..)| current))
    }

    /// Where the binary log of a node is: behind the last transaction that is in it.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn binlog_position(&mut self, node: &NodeId) -> Result<BinlogPosition> {
        let status: Vec<(String, u64, String, String)> = self
            .rows("read the binlog position", "SHOW MASTER STATUS")
            .await?;
        let (file, position, ..) = status.into_iter().next().unwrap_or_default();
        // Read after the place: of what is committed in between it may say too much, not too little.
        let gtid: Vec<String> = self
            .rows(
                "read the binlog position",
                "SELECT @@GLOBAL.gtid_binlog_pos",
            )
            .await?;
        Ok(BinlogPosition {
            node: node.to_string(),
            file,
            position,
            gtid: gtid.into_iter().next().unwrap_or_default(),
        })
    }

    /// Whether a transaction over nodes may have been half carried out at a position in the log that was read
    /// just now: one is prepared, or has come to its end since.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn is_in_doubt_since(&mut self, position: &BinlogPosition) -> Result<bool> {
        let prepared: Vec<Row> = self.rows("list transactions", "XA RECOVER").await?;
        let query = in_doubt::events_since(position);
        let events: Vec<Row> = self.rows("read the binary log", &query).await?;
        Ok(!prepared.is_empty() || in_doubt::have_end(&events))
    }

    /// Removes the binary logs before the one of that name, as far as recovery can do without
    /// them.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn purge_binlogs_to(&mut self, current: &str) -> Result<()> {
        // The statement takes a plain literal alone. The name is `log_bin` and digits.
        let statement = format!("PURGE BINARY LOGS TO '{current}'");
        // A log stays while InnoDB may need it for recovery; a checkpoint follows the rotation.
        for _ in 0..PURGE_ATTEMPTS {
            self.execute("purge binary logs", &statement).await?;
            let left: Vec<(String, u64)> =
                self.rows("list binary logs", "SHOW BINARY LOGS").await?;
            if left.len() <= 1 {
                break;
            }
            tokio::time::sleep(PURGE_PAUSE).await;
        }
        Ok(())
    }

    /// Gets a node ready to be loaded, or has it back as usual: whether events run, and how long
    /// a statement of a new connection may be. Lost at the node's next restart.
    pub(crate) async fn set_loading(&mut self, is_loading: bool, max_packet: usize) -> Result<()> {
        let scheduler = if is_loading { "OFF" } else { "ON" };
        let statement = format!(
            "SET GLOBAL event_scheduler={scheduler}, GLOBAL max_allowed_packet={max_packet}"
        );
        self.execute("prepare for a load", &statement)
            .await
            .map(drop)
    }

    /// Whether the server refuses writes.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn is_read_only(&mut self) -> Result<bool> {
        let statement = "SELECT @@GLOBAL.read_only";
        let rows: Vec<u8> = self.rows("read read_only", statement).await?;
        Ok(rows == [1])
    }

    /// Changes sizes of a running server; whether it has at least all of them now.
    pub(crate) async fn set_sizes(
        &mut self,
        buffer_pool: u64,
        redo_log: u64,
        connections: u32,
    ) -> Result<bool> {
        let mut complete = true;
        for (variable, value) in [
            ("max_connections", u64::from(connections)),
            ("innodb_buffer_pool_size", buffer_pool),
            ("innodb_log_file_size", redo_log),
        ] {
            let statement = format!("SET GLOBAL {variable}={value}");
            match self.execute("change a size", &statement).await {
                Ok(_) => {}
                // Older servers change this one only at a start; any may fail to give memory back.
                Err(error) if error.server_code().is_some() => {
                    tracing::warn!(%error, variable, value, "cannot change a size now");
                }
                Err(error) => return Err(error),
            }
            // The server may round up, or stop at a limit without an error. What is too large
            // does no harm until the next start.
            let statement = format!("SELECT @@GLOBAL.{variable}");
            let now: Vec<u64> = self.rows("read a size", &statement).await?;
            complete &= now.first().is_some_and(|&now| now >= value);
        }
        Ok(complete)
    }

    /// Ends all sessions of an account; how many there were.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn kill_sessions(&mut self, account: &openpeta_types::AccountName) -> Result<u64> {
        accounts::refuse_internal(account)?;
        let account = crate::quote::account(account.as_str(), ANY_HOST);
        // Without the host the server takes any.
        let statement = format!("KILL HARD CONNECTION USER {account}");
        self.execute("end sessions", &statement).await
    }

    /// Runs a statement; how many rows it affected.
    async fn execute(&mut self, action: &'static str, statement: &str) -> Result<u64> {
        let mut conn = self.take(action)?;
        let work = async {
            conn.query_drop(statement).await?;
            Ok(conn.affected_rows())
        };
        let result = tokio::time::timeout(self.timeout, work).await;
        self.settle(action, conn, result)
    }

    /// Runs a query for its rows.
    async fn rows<T>(&mut self, action: &'static str, query: &str) -> Result<Vec<T>>
    where
        T: FromRow + Send + 'static,
    {
        let mut conn = self.take(action)?;
        let result = tokio::time::timeout(self.timeout, conn.query(query)).await;
        self.settle(action, conn, result)
    }

    /// Takes the connection out for one statement: when the caller gives up meanwhile, it is
    /// gone with the answer that is under way.
    fn take(&mut self, action: &'static str) -> Result<Conn> {
        self.conn.take().ok_or(EngineError::SqlClosed { action })
    }

    /// Puts the connection back unless it is broken or an answer is under way.
    fn settle<T>(
        &mut self,
        action: &'static str,
        conn: Conn,
        result: std::result::Result<mysql_async::Result<T>, Elapsed>,
    ) -> Result<T> {
        let Ok(result) = result else {
            return Err(EngineError::SqlTimeout {
                action,
                waited: self.timeout,
            });
        };
        if !matches!(&result, Err(error) if error.is_fatal()) {
            self.conn = Some(conn);
        }
        result.map_err(|source| EngineError::Sql { action, source })
    }
}

/// What all connections to a node have in common.
fn options(socket: &Path, user: &str, password: &Secret) -> OptsBuilder {
    OptsBuilder::default()
        .socket(Some(socket.to_string_lossy()))
        .user(Some(user))
        .pass(Some(password.expose()))
        // Given, so that the driver does not ask the server for them.
        .max_allowed_packet(Some(64 << 20))
        .wait_timeout(Some(28_800))
        .stmt_cache_size(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_servers() {
        // SELECT PASSWORD('mypass') on MariaDB.
        let hash = native_password_hash(&Secret::new("mypass"));
        assert_eq!(hash, "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4");
    }
}
