//! A connection that a backup reads through, or that a restore writes through. Its statements
//! may take as long as they need; whoever waits may stop waiting and drop it.

use std::path::Path;

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, OptsBuilder, Row, Value};
use openpeta_types::{DbName, Secret};

use crate::error::{EngineError, Result};
use crate::sql::ADMIN_ACCOUNT;

/// The largest row or statement, which is also the most that a server can be told to take.
pub(crate) const MAX_PACKET: usize = 1 << 30;

/// How long a statement waits for somebody who changes the definition of a table, in seconds.
pub(super) const LOCK_WAIT_SECONDS: u32 = 20;

/// A connection to one database of a node.
pub(crate) struct Session(Conn);

impl Session {
    /// Connects, with settings under which values look the same everywhere.
    pub(crate) async fn open(socket: &Path, password: &Secret, database: &DbName) -> Result<Self> {
        let settings = format!(
            "SET time_zone='+00:00', sql_mode='', sql_quote_show_create=1, \
             lock_wait_timeout={LOCK_WAIT_SECONDS}, net_read_timeout=3600, \
             net_write_timeout=3600, max_statement_time=0"
        );
        Self::open_as(socket, (ADMIN_ACCOUNT, password), database, settings).await
    }

    /// Connects as that account, with these settings.
    pub(crate) async fn open_as(
        socket: &Path,
        (account, password): (&str, &Secret),
        database: &DbName,
        settings: String,
    ) -> Result<Self> {
        let options = OptsBuilder::default()
            .socket(Some(socket.to_string_lossy()))
            .user(Some(account))
            .pass(Some(password.expose()))
            .db_name(Some(database.as_str()))
            .max_allowed_packet(Some(MAX_PACKET))
            .wait_timeout(Some(28_800))
            .stmt_cache_size(0)
            .setup(vec!["SET NAMES utf8mb4".to_owned(), settings]);
        match Conn::new(options).await {
            Ok(conn) => Ok(Self(conn)),
            Err(source) => Err(EngineError::Connect {
                socket: socket.to_owned(),
                source,
            }),
        }
    }

    /// Ends the connection in good order.
    pub(crate) async fn close(self) {
        // The server ends it anyway when the goodbye does not arrive.
        let _ = self.0.disconnect().await;
    }

    /// Runs a statement.
    pub(crate) async fn run(&mut self, action: &'static str, statement: &[u8]) -> Result<()> {
        let done = self.0.query_drop(statement).await;
        done.map_err(|source| EngineError::Sql { action, source })
    }

    /// Prepares a statement, which the server takes only if it is a single one, and runs it if
    /// that is wanted.
    pub(crate) async fn run_single(
        &mut self,
        action: &'static str,
        statement: &[u8],
        is_run: bool,
    ) -> Result<()> {
        let done = async {
            let prepared = self.0.prep(statement).await?;
            match is_run {
                true => self.0.exec_drop(prepared, ()).await,
                false => self.0.close(prepared).await,
            }
        };
        let done = done.await;
        done.map_err(|source| EngineError::Sql { action, source })
    }

    /// Runs a query for its rows.
    pub(crate) async fn rows<T>(&mut self, action: &'static str, query: &str) -> Result<Vec<T>>
    where
        T: FromRow + Send + 'static,
    {
        let rows = self.0.query(query).await;
        rows.map_err(|source| EngineError::Sql { action, source })
    }

    /// Runs a query that gives one row of texts, as `SHOW CREATE` does; each is given in the
    /// character set in which the server keeps it.
    pub(crate) async fn raw(
        &mut self,
        action: &'static str,
        query: &str,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        self.run(action, b"SET character_set_results=NULL").await?;
        let rows: Result<Vec<Row>> = self.rows(action, query).await;
        self.run(action, b"SET character_set_results=utf8mb4")
            .await?;
        let row = rows?.into_iter().next().map(Row::unwrap);
        let bytes = |value| match value {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        };
        Ok(row.unwrap_or_default().into_iter().map(bytes).collect())
    }

    /// Runs a query that gives one row of texts.
    pub(crate) async fn texts(
        &mut self,
        action: &'static str,
        query: &str,
    ) -> Result<Vec<Option<String>>> {
        let rows: Vec<Row> = self.rows(action, query).await?;
        let row = rows.into_iter().next().map(Row::unwrap).unwrap_or_default();
        row.into_iter()
            .map(|value| match value {
                Value::Bytes(bytes) => match String::from_utf8(bytes) {
                    Ok(text) => Ok(Some(text)),
                    Err(_) => Err(EngineError::NotText { action }),
                },
                _ => Ok(None),
            })
            .collect()
    }

    /// Begins a query whose rows are taken one by one.
    pub(crate) async fn stream(&mut self, action: &'static str, query: String) -> Result<Rows<'_>> {
        let result = self.0.query_iter(query).await;
        let result = result.map_err(|source| EngineError::Sql { action, source })?;
        Ok(Rows { result, action })
    }
}

/// The rows of a query under way.
pub(crate) struct Rows<'c> {
    result: mysql_async::QueryResult<'c, 'static, mysql_async::TextProtocol>,
    action: &'static str,
}

impl Rows<'_> {
    /// The next row; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Row>> {
        let action = self.action;
        let next = self.result.next().await;
        next.map_err(|source| EngineError::Sql { action, source })
    }
}

/// The bytes of a column as the server sent them; `None` for NULL.
pub(crate) fn bytes(row: &Row, column: usize) -> Option<&[u8]> {
    match row.as_ref(column) {
        Some(Value::Bytes(bytes)) => Some(bytes),
        _ => None,
    }
}
