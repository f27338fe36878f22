//! What a server tells of its health: sessions that wait, tables, indexes, counters. Each part is
//! asked for by itself, so that one that cannot be had costs nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::NodeSql;
use crate::error::Result;

/// Seconds that the server spends on one of these questions.
const STATEMENT_SECONDS: u32 = 5;
/// InnoDB tells of transactions and locks what it gathered before when it is asked again within a
/// tenth of a second, however often that happens.
const STALE: Duration = Duration::from_millis(120);
/// Rows that are asked for of what happens now.
const MOST_SESSIONS: u32 = 100;
/// Tables that are looked at.
const MOST_TABLES: u32 = 20_000;

/// Schemas that are not a user's.
const NOT_A_USERS: &str = "('mysql', 'information_schema', 'performance_schema', 'sys')";

/// An open transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenTransaction {
    /// The session's number.
    pub session: u64,
    /// The session's account.
    pub account: String,
    /// For how long it is open, in seconds.
    pub seconds: u64,
    /// Rows that it changed.
    pub rows_modified: u64,
    /// Rows that it locked.
    pub rows_locked: u64,
    /// The statement that runs, if one does.
    pub statement: Option<String>,
}

/// A session that waits for a row lock, and the one that has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockWait {
    /// The session that waits.
    pub session: u64,
    /// For how long, in seconds.
    pub seconds: u64,
    /// What it waits to run.
    pub statement: Option<String>,
    /// The table, as InnoDB names it.
    pub table: String,
    /// The index.
    pub index: Option<String>,
    /// The session that has the lock.
    pub blocker: u64,
    /// Its account.
    pub blocker_account: String,
    /// For how long its transaction is open, in seconds.
    pub blocker_seconds: u64,
    /// The statement that it runs, if any: none when it idles in its transaction.
    pub blocker_statement: Option<String>,
}

/// A session that waits for the definition of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataWait {
    /// The session.
    pub session: u64,
    /// Its account.
    pub account: String,
    /// For how long, in seconds.
    pub seconds: u64,
    /// What it waits to run.
    pub statement: Option<String>,
}

/// A table of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFacts {
    /// Its database.
    pub database: String,
    /// Its name.
    pub name: String,
    /// Its storage engine; none if the table cannot be opened.
    pub engine: Option<String>,
    /// About how many rows it has.
    pub rows: u64,
    /// Bytes of rows.
    pub data_bytes: u64,
    /// Bytes of indexes.
    pub index_bytes: u64,
    /// Bytes of its files that nothing is in.
    pub free_bytes: u64,
    /// The next number of its AUTO_INCREMENT column.
    pub next_number: Option<u64>,
    /// That column's type.
    pub number_type: Option<String>,
}

/// An index of a table of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexFacts {
    /// Its database.
    pub database: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Whether values may be there once only.
    pub is_unique: bool,
    /// `BTREE`, `FULLTEXT`, …
    pub kind: String,
    /// Its columns, with the length of a prefix.
    pub columns: Vec<(String, Option<u64>)>,
}

/// Database, table and index.
pub type IndexName = (String, String, String);

/// A row of what transactions there are.
type TransactionRow = (u64, u64, u64, u64, Option<String>, Option<String>);
/// A row of who waits for whom.
type WaitRow = (
    u64,
    Option<u64>,
    Option<String>,
    String,
    Option<String>,
    u64,
    Option<u64>,
    Option<String>,
    Option<String>,
);
/// A row of the tables.
type TableRow = (
    String,
    String,
    Option<String>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
);
/// A row of an index's column.
type IndexRow = (
    String,
    String,
    String,
    u64,
    String,
    Option<String>,
    Option<u64>,
);

impl NodeSql {
    /// Has the server give up a question of this connection that takes long.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn limit_statements(&mut self) -> Result<()> {
        let statement = format!("SET max_statement_time={STATEMENT_SECONDS}");
        self.execute("limit statements", &statement).await.map(drop)
    }

    /// Open transactions, the oldest first.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn open_transactions(&mut self) -> Result<Vec<OpenTransaction>> {
        tokio::time::sleep(STALE).await;
        let query = format!(
            "SELECT t.trx_mysql_thread_id, \
                    CAST(GREATEST(TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), 0) AS UNSIGNED), \
                    t.trx_rows_modified, t.trx_rows_locked, p.USER, t.trx_query \
             FROM information_schema.INNODB_TRX t \
             LEFT JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id \
             WHERE t.trx_mysql_thread_id NOT IN (0, CONNECTION_ID()) \
             ORDER BY t.trx_started LIMIT {MOST_SESSIONS}"
        );
        let rows: Vec<TransactionRow> = self.rows("list transactions", &query).await?;
        let transaction = |(session, seconds, rows_modified, rows_locked, account, statement)| {
            let account: Option<String> = account;
            OpenTransaction {
                session,
                account: account.unwrap_or_default(),
                seconds,
                rows_modified,
                rows_locked,
                statement,
            }
        };
        Ok(rows.into_iter().map(transaction).collect())
    }

    /// Sessions that wait for row locks.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn lock_waits(&mut self) -> Result<Vec<LockWait>> {
        let seconds = |since: &str| {
            format!("CAST(GREATEST(TIMESTAMPDIFF(SECOND, {since}, NOW()), 0) AS UNSIGNED)")
        };
        let query = format!(
            "SELECT r.trx_mysql_thread_id, {}, r.trx_query, l.lock_table, l.lock_index, \
                    b.trx_mysql_thread_id, {}, p.USER, b.trx_query \
             FROM information_schema.INNODB_LOCK_WAITS w \
             JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_trx_id \
             JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id \
             JOIN information_schema.INNODB_LOCKS l ON l.lock_id = w.requested_lock_id \
             LEFT JOIN information_schema.PROCESSLIST p ON p.ID = b.trx_mysql_thread_id \
             WHERE r.trx_mysql_thread_id <> 0 LIMIT {MOST_SESSIONS}",
            seconds("r.trx_wait_started"),
            seconds("b.trx_started")
        );
        let rows: Vec<WaitRow> = self.rows("list lock waits", &query).await?;
        let wait = |row: WaitRow| LockWait {
            session: row.0,
            seconds: row.1.unwrap_or_default(),
            statement: row.2,
            table: row.3,
            index: row.4,
            blocker: row.5,
            blocker_seconds: row.6.unwrap_or_default(),
            blocker_account: row.7.unwrap_or_default(),
            blocker_statement: row.8,
        };
        Ok(rows.into_iter().map(wait).collect())
    }

    /// Sessions that wait for the definition of a table. Who has it the server does not tell without
    /// a plugin.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn metadata_waits(&mut self) -> Result<Vec<MetadataWait>> {
        let query = format!(
            "SELECT ID, USER, CAST(TIME AS UNSIGNED), INFO FROM information_schema.PROCESSLIST \
             WHERE STATE LIKE 'Waiting for % metadata lock' ORDER BY TIME DESC LIMIT {MOST_SESSIONS}"
        );
        let rows: Vec<(u64, String, Option<u64>, Option<String>)> =
            self.rows("list waits for definitions", &query).await?;
        let wait = |(session, account, seconds, statement): (_, _, Option<u64>, _)| MetadataWait {
            session,
            account,
            seconds: seconds.unwrap_or_default(),
            statement,
        };
        Ok(rows.into_iter().map(wait).collect())
    }

    /// The tables of all users.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn table_facts(&mut self) -> Result<Vec<TableFacts>> {
        let query = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, TABLE_ROWS, DATA_LENGTH, INDEX_LENGTH, \
                    DATA_FREE, AUTO_INCREMENT \
             FROM information_schema.TABLES \
             WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN {NOT_A_USERS} \
             LIMIT {MOST_TABLES}"
        );
        let rows: Vec<TableRow> = self.rows("list tables", &query).await?;
        let query = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_TYPE FROM information_schema.COLUMNS \
             WHERE EXTRA = 'auto_increment' AND TABLE_SCHEMA NOT IN {NOT_A_USERS}"
        );
        let numbers: Vec<(String, String, String)> =
            self.rows("list AUTO_INCREMENT columns", &query).await?;
        let mut types: BTreeMap<_, _> = numbers
            .into_iter()
            .map(|(database, table, kind)| ((database, table), kind))
            .collect();
        let mut facts = |row: TableRow| TableFacts {
            number_type: types.remove(&(row.0.clone(), row.1.clone())),
            database: row.0,
            name: row.1,
            engine: row.2,
            rows: row.3.unwrap_or_default(),
            data_bytes: row.4.unwrap_or_default(),
            index_bytes: row.5.unwrap_or_default(),
            free_bytes: row.6.unwrap_or_default(),
            next_number: row.7,
        };
        Ok(rows.into_iter().map(&mut facts).collect())
    }

    /// The indexes of these tables, by table and name.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn index_facts(&mut self) -> Result<Vec<IndexFacts>> {
        let query = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, NON_UNIQUE, INDEX_TYPE, COLUMN_NAME, \
                    SUB_PART \
             FROM information_schema.STATISTICS WHERE TABLE_SCHEMA NOT IN {NOT_A_USERS} \
             ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
        );
        let rows: Vec<IndexRow> = self.rows("list indexes", &query).await?;
        let mut indexes: Vec<IndexFacts> = Vec::new();
        for (database, table, name, non_unique, kind, column, prefix) in rows {
            let column = (column.unwrap_or_default(), prefix);
            match indexes.last_mut() {
                Some(last)
                    if last.database == database && last.table == table && last.name == name =>
                {
                    last.columns.push(column);
                }
                _ => indexes.push(IndexFacts {
                    database,
                    table,
                    name,
                    is_unique: non_unique == 0,
                    kind,
                    columns: vec![column],
                }),
            }
        }
        Ok(indexes)
    }

    /// The indexes that were used since the server watches it; `None` if it does not.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn used_indexes(&mut self) -> Result<Option<BTreeSet<IndexName>>> {
        let query = "SELECT @@GLOBAL.userstat";
        let is_watched: Vec<u8> = self.rows("ask for userstat", query).await?;
        if is_watched != [1] {
            return Ok(None);
        }
        let query = "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME \
                     FROM information_schema.INDEX_STATISTICS WHERE ROWS_READ > 0";
        let rows: Vec<IndexName> = self.rows("list used indexes", query).await?;
        Ok(Some(rows.into_iter().collect()))
    }

    /// Has the server note which indexes are used, from now on, or not any more. Lost at the node's
    /// next restart.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn watch_indexes(&mut self, on: bool) -> Result<()> {
        if on {
            let statement = "FLUSH LOCAL INDEX_STATISTICS";
            self.execute("forget what indexes were used", statement)
                .await?;
        }
        let statement = format!("SET GLOBAL userstat={}", u8::from(on));
        self.execute("set userstat", &statement).await.map(drop)
    }
}
