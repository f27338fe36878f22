//! Partitions of a database are brought from one node to another while clients use them.
//!
//! Rows are copied in the order of their keys, a few at a time; which rows are touched meanwhile is
//! read off the source's log, and those are brought again. A row is brought by reading it where it is
//! and writing it where it shall be, so it may be brought as often as one likes: nothing depends on
//! the order of transactions, on which of them are whole, or on where a former attempt ended. A row that
//! is in the log is read under a lock, which waits for its transaction: what is in the log may not be
//! seen yet by others.
//!
//! All is done by one task, so that an older state never overwrites a newer one. What was brought is
//! compared before it counts.

mod clean;
mod distribute;
mod resume;
mod sizes;
mod table;
mod value;

use std::time::{Duration, Instant};

use openpeta_sql_route::Partitions;
use openpeta_types::{DbName, NodeId};

pub(crate) use self::distribute::Places;
pub use self::sizes::{Counting, PartitionSize};
use self::table::{Copied, Described, Key, MovingTable, Range};
use crate::backup::{Schema, Session, bytes, check_query, names, select, triggered};
use crate::binlog::{LOGS, LogTail};
use crate::engine::{Engine, blocking};
use crate::error::{EngineError, Result};
use crate::quote;
use crate::sql::TableDistribution;

/// Rows that are copied at once, unless they are large.
const CHUNK_ROWS: u64 = 2000;
/// Bytes of statements that are about enough at once.
const CHUNK_BYTES: usize = 4 << 20;
/// Bytes of one statement.
const STATEMENT_BYTES: usize = 1 << 20;
/// Rows that are brought or compared by their keys at once.
const KEYS: usize = 200;
/// How long transactions may go on that were prepared before.
const PREPARED: Duration = Duration::from_secs(30);
/// How long the rest may take when nobody writes any more.
const REST: Duration = Duration::from_secs(10);
/// How long the copy goes on before the log is looked at.
const BETWEEN: Duration = Duration::from_millis(500);

/// Server codes of a lock that was not had, and of a deadlock.
const LOCKED: [u16; 2] = [1205, 1213];

/// What moves from one node to another one.
#[derive(Clone, Debug)]
pub struct PartitionMove {
    /// The database, which is on both.
    pub database: DbName,
    /// Where the partitions are.
    pub from: NodeId,
    /// Where they shall be.
    pub to: NodeId,
    /// How many partitions the database has.
    pub count: Partitions,
    /// Those that move.
    pub partitions: Vec<u16>,
    /// Tables that are whole on each node are brought as well.
    pub broadcast: bool,
}

/// How far a node is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// Rows that were touched since it was last looked.
    pub touched: u64,
    /// Rows, or parts of tables, that are still to be compared.
    pub unverified: u64,
}

impl Gap {
    /// Whether the rest takes a moment only.
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.touched <= 500 && self.unverified <= 1000
    }
}

/// A move under way.
pub struct Mover {
    plan: PartitionMove,
    source: Session,
    target: Session,
    log: LogTail,
    tables: Vec<MovingTable>,
    chunk_rows: u64,
    looked: Instant,
    copied_rows: u64,
}

impl Engine {
    /// Makes on a node what it lacks of a database's distributed tables.
    ///
    /// # Errors
    /// Those of connections and statements.
    pub async fn define_partitions(
        &self,
        database: &DbName,
        from: &NodeId,
        to: &NodeId,
    ) -> Result<()> {
        let action = "define a table on a node";
        let distributions = self.distributions(database, from).await?;
        let mut source = self.session(from, database).await?;
        // Else the option by which a table is distributed is shown as a remark.
        let shows = b"SET SESSION sql_mode='IGNORE_BAD_TABLE_OPTIONS'";
        source.run(action, shows).await?;
        let schema = Schema::read(&mut source, database).await?;
        source.close().await;
        let mut sql = self.sql(to).await?;
        sql.create_database(database).await?;
        sql.close().await;
        let mut target = self.session(to, database).await?;
        let alter = format!(
            "ALTER DATABASE {} CHARACTER SET {} COLLATE {}",
            quote::identifier(database.as_str()),
            schema.database.character_set,
            schema.database.collation
        );
        target.run(action, alter.as_bytes()).await?;
        // The server does not know the option by which a table is distributed.
        let mode = b"SET SESSION foreign_key_checks=0, \
            sql_mode='IGNORE_BAD_TABLE_OPTIONS,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'";
        target.run(action, mode).await?;
        for (name, _) in &distributions {
            let Some(table) = schema.tables.get(name) else {
                continue;
            };
            let create = table
                .create
                .replacen("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1);
            target.run(action, create.as_bytes()).await?;
        }
        target.close().await;
        Ok(())
    }

    /// Begins a move, or goes on with one that was begun before.
    ///
    /// # Errors
    /// [`EngineError::NotMoved`] for a table whose rows cannot be moved; those of connections.
    pub async fn begin_move(&self, plan: PartitionMove) -> Result<Mover> {
        let tables = self.moving_tables(&plan).await?;
        // What a node does not know to be distributed would stay where it is.
        let known = self.distributions(&plan.database, &plan.from).await?;
        if known != self.distributions(&plan.database, &plan.to).await? {
            return Err(EngineError::NotMoved {
                what: "the nodes do not have the same distributed tables".to_owned(),
            });
        }
        let mut source = self.session(&plan.from, &plan.database).await?;
        let mut target = self.session(&plan.to, &plan.database).await?;
        source
            .run(
                "prepare a move",
                b"SET SESSION tx_isolation='READ-COMMITTED'",
            )
            .await?;
        target
            .run(
                "prepare a move",
                b"SET SESSION tx_isolation='READ-COMMITTED', foreign_key_checks=0, \
                  check_constraint_checks=0, innodb_lock_wait_timeout=5, \
                  sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'",
            )
            .await?;
        resume::prepare(&mut target).await?;
        let watched = tables.iter().map(MovingTable::watched).collect();
        let dir = self.node_dir(&plan.from)?.join(LOGS);
        let mut mover = Mover {
            log: LogTail::new(dir, plan.database.as_str(), watched, (String::new(), 0)),
            plan,
            source,
            target,
            tables,
            chunk_rows: CHUNK_ROWS,
            looked: Instant::now(),
            copied_rows: 0,
        };
        if !mover.resume().await? {
            mover.start().await?;
        }
        Ok(mover)
    }

    async fn distributions(
        &self,
        database: &DbName,
        node: &NodeId,
    ) -> Result<Vec<(String, TableDistribution)>> {
        let mut sql = self.sql(node).await?;
        let found = sql.distributions(database).await;
        sql.close().await;
        found
    }

    async fn moving_tables(&self, plan: &PartitionMove) -> Result<Vec<MovingTable>> {
        let distributions = self.distributions(&plan.database, &plan.from).await?;
        let mut session = self.session(&plan.from, &plan.database).await?;
        let mut schema = Schema::read(&mut session, &plan.database).await?;
        let described = Described::read(&mut session, &plan.database).await?;
        let triggered = triggered(&mut session, &plan.database).await?;
        session.close().await;
        // They would run once more for rows that are brought.
        let mut names = distributions.iter().map(|(name, _)| name);
        if let Some(name) = names.find(|name| triggered.contains(*name)) {
            return Err(EngineError::NotMoved {
                what: format!("the table {name} has triggers"),
            });
        }
        let mut tables = Vec::new();
        for (name, distribution) in &distributions {
            if *distribution == TableDistribution::Broadcast && !plan.broadcast {
                continue;
            }
            let Some(table) = schema.tables.remove(name) else {
                continue;
            };
            if table.engine != "InnoDB" || table.has_history {
                return Err(EngineError::NotMoved {
                    what: format!("the table {name} is no plain table of InnoDB"),
                });
            }
            tables.push(MovingTable::new(
                name,
                table.columns,
                distribution,
                &described,
                (plan.count, &plan.partitions),
            )?);
        }
        Ok(tables)
    }
}

impl Mover {
    /// Rows that were copied by this process.
    #[must_use]
    pub fn copied_rows(&self) -> u64 {
        self.copied_rows
    }

    /// Tables that are copied, and how many there are.
    #[must_use]
    pub fn copied_tables(&self) -> (usize, usize) {
        let copied = self.tables.iter().filter(|it| it.copied == Copied::All);
        (copied.count(), self.tables.len())
    }

    /// Copies the next rows; `false` when all are.
    ///
    /// # Errors
    /// Those of connections; a damaged log.
    pub async fn copy(&mut self) -> Result<bool> {
        let is_left = |it: &MovingTable| it.copied != Copied::All;
        let Some(at) = self.tables.iter().position(is_left) else {
            return Ok(false);
        };
        let mut range = Range {
            after: match &self.tables[at].copied {
                Copied::Until(key) => Some(key.clone()),
                _ => None,
            },
            until: None,
            is_small: true,
        };
        let table = &self.tables[at];
        range.until = table
            .boundary(&mut self.source, &range, self.chunk_rows)
            .await?;
        let bytes = match self.bring_range(at, &range).await {
            // Sessions of the target lock what lies between; it comes next time.
            Err(error) if error.server_code().is_some_and(|it| LOCKED.contains(&it)) => {
                return Ok(true);
            }
            brought => brought?,
        };
        if bytes > 2 * CHUNK_BYTES {
            self.chunk_rows = (self.chunk_rows / 2).max(1);
        } else if bytes < CHUNK_BYTES {
            self.chunk_rows = (self.chunk_rows * 2).min(CHUNK_ROWS);
        }
        let table = &mut self.tables[at];
        table.copied = match &range.until {
            Some(key) => Copied::Until(key.clone()),
            None => Copied::All,
        };
        table.ranges.push(range);
        if self.looked.elapsed() >= BETWEEN {
            self.catch_up().await?;
            self.save().await?;
        }
        Ok(true)
    }

    /// Brings what was touched, and compares what was brought. To be called until the gap is small.
    ///
    /// # Errors
    /// Those of connections; a damaged log.
    pub async fn approach(&mut self) -> Result<Gap> {
        let touched = self.catch_up().await?;
        self.save().await?;
        for at in 0..self.tables.len() {
            for keys in self.take_unverified(at) {
                if !self.is_same(at, &self.tables[at].of_keys(&keys)).await? {
                    self.tables[at].unverified.extend(keys);
                }
            }
            let mut left = std::mem::take(&mut self.tables[at].ranges);
            while let Some(mut range) = left.pop() {
                if let Some(rest) = self.split(at, &mut range).await? {
                    left.push(rest);
                }
                let condition = self.tables[at].in_range(&range);
                if self.is_same(at, &condition).await? {
                    continue;
                }
                // What was touched meanwhile is behind, and nothing else may be.
                self.catch_up().await?;
                if !self.is_same(at, &condition).await? {
                    self.tables[at].ranges.push(range);
                }
            }
        }
        let of = |table: &MovingTable| table.unverified.len() + 200 * table.ranges.len();
        Ok(Gap {
            touched,
            unverified: self.tables.iter().map(of).sum::<usize>() as u64,
        })
    }

    /// Brings the rest and compares it, when nobody writes any more.
    ///
    /// # Errors
    /// [`EngineError::NotMoved`] when rows are not the same; those of connections.
    pub async fn finish(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let touched = self.catch_up().await?;
            let dirty: usize = self.tables.iter().map(|it| it.dirty.len()).sum();
            if touched == 0 && dirty == 0 {
                break;
            }
            if begun.elapsed() > REST {
                return Err(EngineError::NotMoved {
                    what: "rows are still locked".to_owned(),
                });
            }
        }
        for at in 0..self.tables.len() {
            let mut conditions: Vec<String> = Vec::new();
            for keys in self.take_unverified(at) {
                conditions.push(self.tables[at].of_keys(&keys));
            }
            for range in std::mem::take(&mut self.tables[at].ranges) {
                conditions.push(self.tables[at].in_range(&range));
            }
            for condition in conditions {
                if !self.is_same(at, &condition).await? {
                    // So that another attempt compares all of it.
                    self.tables[at].ranges.push(Range::whole());
                    return Err(EngineError::NotMoved {
                        what: format!("rows of {} are not the same", self.tables[at].name),
                    });
                }
            }
        }
        Ok(())
    }

    /// Compares all rows that move, from first to last, and tells how many they are.
    ///
    /// # Errors
    /// [`EngineError::NotMoved`] when they are not the same; those of connections.
    pub async fn compare(&mut self) -> Result<u64> {
        let mut rows = 0;
        for at in 0..self.tables.len() {
            let (source, target) = self.sums(at, "1=1").await?;
            if source != target {
                return Err(EngineError::NotMoved {
                    what: format!("rows of {} are not the same", self.tables[at].name),
                });
            }
            rows += source.0;
        }
        Ok(rows)
    }

    /// Ends the connections. The state stays, so that the move can be gone on with.
    pub async fn close(self) {
        self.source.close().await;
        self.target.close().await;
    }

    /// From where the log is now.
    async fn start(&mut self) -> Result<()> {
        let action = "begin a move";
        // Whatever is in the log up to here is seen by others, but for what is prepared.
        let snapshot = b"START TRANSACTION WITH CONSISTENT SNAPSHOT";
        self.source.run(action, snapshot).await?;
        let query = "SHOW STATUS LIKE 'binlog_snapshot_%'";
        let rows: Vec<(String, String)> = self.source.rows(action, query).await?;
        self.source.run(action, b"COMMIT").await?;
        let value = |name: &str| {
            let mut found = rows.iter().filter(|it| it.0.eq_ignore_ascii_case(name));
            found.next().map(|it| it.1.clone()).unwrap_or_default()
        };
        let position = value("binlog_snapshot_position").parse();
        let (Ok(position), file) = (position, value("binlog_snapshot_file")) else {
            return Err(EngineError::NotMoved {
                what: "the node does not tell where its log is".to_owned(),
            });
        };
        self.log.move_to(file, position);
        let before = self.prepared().await?;
        let begun = Instant::now();
        while self.prepared().await?.iter().any(|id| before.contains(id)) {
            if begun.elapsed() > PREPARED {
                return Err(EngineError::NotMoved {
                    what: "a transaction stays prepared".to_owned(),
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.save().await
    }

    /// The transactions that are prepared.
    async fn prepared(&mut self) -> Result<Vec<Vec<u8>>> {
        let rows: Vec<(i64, i64, i64, Vec<u8>)> =
            self.source.rows("list transactions", "XA RECOVER").await?;
        Ok(rows.into_iter().map(|row| row.3).collect())
    }

    /// Reads the log up to its end and brings what it names; tells how many rows those are.
    async fn catch_up(&mut self) -> Result<u64> {
        let rows: Vec<mysql_async::Row> = self
            .source
            .rows("look where the log is", "SHOW MASTER STATUS")
            .await?;
        let end = rows.first().and_then(|row| {
            let file: Option<String> = row.get(0);
            let offset: Option<u64> = row.get(1);
            Some((file?, offset?))
        });
        let Some((file, offset)) = end else {
            return Err(EngineError::NotMoved {
                what: "the node has no log".to_owned(),
            });
        };
        self.read_log(file, offset).await?;
        let mut brought = 0;
        for at in 0..self.tables.len() {
            brought += self.bring_dirty(at).await?;
        }
        self.looked = Instant::now();
        Ok(brought)
    }

    async fn read_log(&mut self, file: String, offset: u64) -> Result<()> {
        let mut log = self.log.clone();
        let (log, touched) = blocking(move || {
            let mut touched: Vec<(usize, Vec<Vec<u8>>)> = Vec::new();
            log.read_until(&file, offset, &mut |table, values| {
                let values = values.iter().map(|it| it.to_vec()).collect();
                touched.push((table, values));
            })?;
            Ok((log, touched))
        })
        .await?;
        self.log = log;
        for (at, values) in touched {
            let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            let table = &mut self.tables[at];
            let key = table.key(&values).ok_or_else(|| EngineError::NotMoved {
                what: format!("a key of {} cannot be read", table.name),
            })?;
            table.dirty.insert(key);
        }
        Ok(())
    }

    async fn bring_dirty(&mut self, at: usize) -> Result<u64> {
        let mut brought = 0;
        let dirty: Vec<Key> = std::mem::take(&mut self.tables[at].dirty)
            .into_iter()
            .collect();
        let mut batches: Vec<Vec<Key>> = dirty.chunks(KEYS).map(<[Key]>::to_vec).collect();
        while let Some(keys) = batches.pop() {
            let condition = self.tables[at].of_keys(&keys);
            match self
                .bring(at, &condition, " LOCK IN SHARE MODE NOWAIT")
                .await
            {
                Ok(_) => {
                    brought += keys.len() as u64;
                    self.tables[at].unverified.extend(keys);
                }
                Err(error) if error.server_code().is_some_and(|it| LOCKED.contains(&it)) => {
                    if keys.len() > 1 {
                        let (one, other) = keys.split_at(keys.len() / 2);
                        batches.extend([one.to_vec(), other.to_vec()]);
                    } else {
                        // Somebody has it; it comes next time.
                        self.tables[at].dirty.extend(keys);
                    }
                }
                Err(error) => {
                    self.tables[at].dirty.extend(keys);
                    self.tables[at].dirty.extend(batches.into_iter().flatten());
                    return Err(error);
                }
            }
        }
        Ok(brought)
    }

    async fn bring_range(&mut self, at: usize, range: &Range) -> Result<usize> {
        let condition = self.tables[at].in_range(range);
        self.bring(at, &condition, "").await
    }

    /// Reads rows where they are and puts them in the place of what is there where they shall be; tells
    /// how many bytes that took.
    async fn bring(&mut self, at: usize, condition: &str, lock: &str) -> Result<usize> {
        let table = &self.tables[at];
        let moving = table.moving(condition);
        let insert = format!(
            "INSERT INTO {} ({}) VALUES ",
            quote::identifier(&table.name),
            names(&table.columns)
        );
        let mut statements: Vec<Vec<u8>> = Vec::new();
        let query = select(&table.columns, &format!("{moving}{lock}"));
        let (mut count, mut size) = (0, 0);
        {
            let mut rows = self.source.stream("read rows that move", query).await?;
            while let Some(row) = rows.next().await? {
                let is_full = statements
                    .last()
                    .is_none_or(|it| it.len() > STATEMENT_BYTES);
                if is_full {
                    statements.push(insert.clone().into_bytes());
                }
                let out = statements.last_mut().expect("pushed above");
                for (index, column) in table.columns.iter().enumerate() {
                    let separator: &[u8] = match index {
                        0 if is_full => b"(",
                        0 => b",(",
                        _ => b",",
                    };
                    out.extend_from_slice(separator);
                    column.write(bytes(&row, index), out);
                }
                out.push(b')');
                count += 1;
            }
        }
        let action = "write rows that move";
        let delete = format!("DELETE FROM {moving}");
        self.target.run(action, b"BEGIN").await?;
        let mut written = self.target.run(action, delete.as_bytes()).await;
        for statement in &statements {
            size += statement.len();
            if written.is_ok() {
                written = self.target.run(action, statement).await;
            }
        }
        if let Err(error) = written {
            self.target.run(action, b"ROLLBACK").await?;
            return Err(error);
        }
        self.target.run(action, b"COMMIT").await?;
        self.copied_rows += count;
        Ok(size)
    }

    /// What is to be compared by keys, in batches.
    fn take_unverified(&mut self, at: usize) -> Vec<Vec<Key>> {
        let keys: Vec<Key> = std::mem::take(&mut self.tables[at].unverified)
            .into_iter()
            .collect();
        keys.chunks(KEYS).map(<[Key]>::to_vec).collect()
    }

    /// Cuts a range off after as many rows as are read at once; gives the rest.
    async fn split(&mut self, at: usize, range: &mut Range) -> Result<Option<Range>> {
        if range.is_small {
            return Ok(None);
        }
        let table = &self.tables[at];
        let end = table.boundary(&mut self.source, range, CHUNK_ROWS).await?;
        range.is_small = true;
        let Some(end) = end else {
            return Ok(None);
        };
        let rest = Range {
            after: Some(end.clone()),
            until: range.until.replace(end),
            is_small: false,
        };
        Ok(Some(rest))
    }

    /// Whether rows are the same on both nodes.
    async fn is_same(&mut self, at: usize, condition: &str) -> Result<bool> {
        let (source, target) = self.sums(at, condition).await?;
        Ok(source == target)
    }

    async fn sums(&mut self, at: usize, condition: &str) -> Result<((u64, String), (u64, String))> {
        let table = &self.tables[at];
        let query = check_query(&table.columns, &table.moving(condition));
        let mut found = Vec::new();
        for session in [&mut self.source, &mut self.target] {
            let rows: Vec<(u64, String)> = session.rows("compare rows", &query).await?;
            found.push(rows.into_iter().next().unwrap_or_default());
        }
        let target = found.pop().unwrap_or_default();
        Ok((found.pop().unwrap_or_default(), target))
    }
}
