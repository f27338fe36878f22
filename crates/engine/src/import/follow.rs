//! A copy of a database follows the server that it was dumped from, until it takes that one's place:
//! the rows that the server's log has since are applied to the staging, and where the log is stands
//! in a table beside them, in the same transaction. So nothing is applied twice, or not at all,
//! whatever is killed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::ImportPlace;
use super::load::PASSING;
use crate::backup::{MAX_PACKET, Progress, Schema, Session, check_query, checksum};
use crate::binlog::{Followed, Item, LogPiece, Todo, read_piece};
use crate::engine::{Engine, blocking};
use crate::error::{AtPath, EngineError, Result};
use crate::quote;

/// The table in the staging that tells how far the source's log is applied.
const POSITION: &str = "openpeta_import_position";

/// What is done ahead of the server.
const AHEAD: usize = 2;

/// How long transactions of the source are put together into one here.
const TOGETHER: Duration = Duration::from_millis(200);

/// Bytes of a log that are read again after a restart.
const MOST_READ_AGAIN: u64 = 1 << 20;

/// A position in the binary log of a server that a database is taken over from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePosition {
    /// The log file's name.
    pub file: String,
    /// Bytes from its start.
    pub position: u64,
}

impl SourcePosition {
    /// As a dump program writes it into a remark.
    pub(super) fn of_remark(remark: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(remark).ok()?;
        let rest = text.strip_prefix("CHANGE MASTER TO MASTER_LOG_FILE='")?;
        let (file, rest) = rest.split_once('\'')?;
        let digits = rest.strip_prefix(", MASTER_LOG_POS=")?;
        let digits = digits
            .split(|letter: char| !letter.is_ascii_digit())
            .next()?;
        Some(Self {
            file: file.to_owned(),
            position: digits.parse().ok()?,
        })
    }
}

/// What is in a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSum {
    /// Rows.
    pub rows: u64,
    /// Their checksum, as backup sets have it.
    pub checksum: String,
}

impl Engine {
    /// Begins to follow from where the dump was taken, unless that was begun before. Tells how far
    /// it is.
    ///
    /// # Errors
    /// Those of connections.
    pub async fn begin_following(
        &self,
        place: ImportPlace<'_>,
        from: &SourcePosition,
    ) -> Result<SourcePosition> {
        let mut session = self.session(place.node, place.staging).await?;
        let insert = format!(
            "INSERT IGNORE INTO {POSITION} VALUES (1, {}, {})",
            quote::string(&from.file),
            from.position
        );
        for statement in [
            &format!(
                "CREATE TABLE IF NOT EXISTS {POSITION} (id TINYINT PRIMARY KEY, \
                 file VARBINARY(255) NOT NULL, position BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB"
            ),
            &insert,
        ] {
            let action = "begin to follow a server";
            session.run(action, statement.as_bytes()).await?;
        }
        let query = format!("SELECT file, position FROM {POSITION}");
        let found: Vec<(String, u64)> = session.rows("read a position", &query).await?;
        session.close().await;
        let found = found.into_iter().next();
        Ok(found.map_or_else(
            || from.clone(),
            |(file, position)| SourcePosition { file, position },
        ))
    }

    /// Applies what a piece of the source's log has of a database.
    ///
    /// # Errors
    /// [`EngineError::NotImported`] when it has what cannot be followed, or rows that do not fit
    /// what is here; a file error, or one of the connection.
    pub async fn follow(
        &self,
        place: ImportPlace<'_>,
        database: &str,
        piece: LogPiece<'_>,
    ) -> Result<Followed> {
        let mut session = self.session(place.node, place.staging).await?;
        let (sender, mut items) = mpsc::channel(AHEAD);
        let names = (database.to_owned(), place.staging.as_str().to_owned());
        let (path, file) = (piece.path.to_owned(), piece.file.to_owned());
        let (from, until) = (piece.from, piece.until);
        let version = self.server_version_number();
        let reading = tokio::spawn(blocking(move || {
            let piece = LogPiece {
                path: &path,
                file: &file,
                from,
                until,
            };
            let mut take = |item| sender.blocking_send(item).is_ok();
            read_piece(piece, (&names.0, &names.1), version, &mut take)
        }));
        let mut applying = Applying::new(&mut session, piece.file);
        while let Some(item) = items.recv().await {
            applying.take(item).await?;
        }
        applying.commit().await?;
        let followed = reading.await.map_err(|error| EngineError::NotImported {
            what: format!("the log could not be read: {error}"),
        })??;
        // What is of others alone is read again rather than noted each time.
        if followed.transactions == 0 && followed.position.saturating_sub(from) > MOST_READ_AGAIN {
            move_to(&mut session, piece.file, followed.position).await?;
        }
        session.close().await;
        Ok(followed)
    }

    /// Notes that the source's log goes on with another file.
    ///
    /// # Errors
    /// Those of connections.
    pub async fn follow_from(&self, place: ImportPlace<'_>, to: &SourcePosition) -> Result<()> {
        let mut session = self.session(place.node, place.staging).await?;
        move_to(&mut session, &to.file, to.position).await?;
        session.close().await;
        Ok(())
    }

    /// Ends following: nothing in the staging tells of it any more.
    ///
    /// # Errors
    /// Those of connections.
    pub async fn end_following(&self, place: ImportPlace<'_>) -> Result<()> {
        let mut session = self.session(place.node, place.staging).await?;
        let statement = format!("DROP TABLE IF EXISTS {POSITION}");
        let action = "end following a server";
        session.run(action, statement.as_bytes()).await?;
        session.close().await;
        self.discard_pieces(place).await
    }

    /// For each table of the staging a query that gives rows and checksum, on the source too.
    ///
    /// # Errors
    /// Those of connections.
    pub async fn import_checks(&self, place: ImportPlace<'_>) -> Result<BTreeMap<String, String>> {
        let mut session = self.session(place.node, place.staging).await?;
        let schema = Schema::read(&mut session, place.staging).await?;
        session.close().await;
        let tables = schema.tables.into_iter();
        let tables = tables.filter(|(name, table)| name != POSITION && !table.columns.is_empty());
        Ok(tables
            .map(|(name, table)| (name, check_query(&table.columns, &table.from)))
            .collect())
    }

    /// What is in each table of the staging.
    ///
    /// # Errors
    /// Those of connections.
    pub async fn import_sums(
        &self,
        place: ImportPlace<'_>,
        progress: Progress<'_>,
    ) -> Result<BTreeMap<String, TableSum>> {
        let mut session = self.session(place.node, place.staging).await?;
        let schema = Schema::read(&mut session, place.staging).await?;
        let total = schema.tables.values().map(|table| table.bytes).sum();
        let (mut sums, mut read) = (BTreeMap::new(), 0);
        for (name, table) in &schema.tables {
            if name == POSITION || table.columns.is_empty() {
                continue;
            }
            progress(read, total, name);
            let found = checksum(&mut session, table).await?;
            let sum = TableSum {
                rows: found.rows,
                checksum: found.sum.to_string(),
            };
            sums.insert(name.clone(), sum);
            read += table.bytes;
        }
        session.close().await;
        Ok(sums)
    }

    /// A directory for pieces of the source's log. It goes with the import, and with the node.
    ///
    /// # Errors
    /// [`EngineError::NoSuchNode`], a file error.
    pub async fn pieces_dir(&self, place: ImportPlace<'_>) -> Result<PathBuf> {
        let dir = self.node_dir(place.node)?.join(pieces(place));
        blocking(move || {
            std::fs::create_dir_all(&dir).at("make", &dir)?;
            Ok(dir)
        })
        .await
    }

    pub(super) async fn discard_pieces(&self, place: ImportPlace<'_>) -> Result<()> {
        let dir = self.node_dir(place.node)?.join(pieces(place));
        blocking(move || crate::template::remove(&dir)).await
    }
}

fn pieces(place: ImportPlace<'_>) -> String {
    format!("log-of-source.{}", place.staging)
}

/// Transactions of the source as transactions here: several in one, as each costs a sync of the disk
/// and the source may have many clients that commit side by side.
struct Applying<'a> {
    session: &'a mut Session,
    file: &'a str,
    /// When the transaction here began, if there is one.
    open: Option<Instant>,
    /// Within a transaction of the source.
    is_within: bool,
    /// How far those that are whole lead, if any are not committed.
    position: Option<u64>,
}

impl<'a> Applying<'a> {
    fn new(session: &'a mut Session, file: &'a str) -> Self {
        Self {
            session,
            file,
            open: None,
            is_within: false,
            position: None,
        }
    }

    /// Carries out one thing.
    async fn take(&mut self, item: Item) -> Result<()> {
        match item {
            Item::Format(event) => self.run(&statement(&[event])?).await,
            Item::Do(Todo::Apply(events), _) => {
                if self.open.is_none() {
                    self.run(b"BEGIN").await?;
                    self.open = Some(Instant::now());
                }
                if !self.is_within {
                    self.run(b"SAVEPOINT of_source").await?;
                    self.is_within = true;
                }
                self.run(&statement(&events)?).await
            }
            Item::Do(Todo::Commit, position) => {
                if std::mem::take(&mut self.is_within) {
                    self.position = Some(position);
                }
                match self.open {
                    Some(begun) if begun.elapsed() >= TOGETHER => self.commit().await,
                    _ => Ok(()),
                }
            }
            Item::Do(Todo::Rollback, _) => match std::mem::take(&mut self.is_within) {
                true => self.run(b"ROLLBACK TO of_source").await,
                false => Ok(()),
            },
        }
    }

    /// Commits what is whole. What is left of a transaction of the source comes again.
    async fn commit(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_within) {
            self.run(b"ROLLBACK TO of_source").await?;
        }
        if let Some(position) = self.position.take() {
            move_to(self.session, self.file, position).await?;
        }
        match self.open.take() {
            Some(_) => self.run(b"COMMIT").await,
            None => Ok(()),
        }
    }

    async fn run(&mut self, statement: &[u8]) -> Result<()> {
        run(self.session, self.file, statement).await
    }
}

async fn move_to(session: &mut Session, file: &str, position: u64) -> Result<()> {
    let statement = format!(
        "UPDATE {POSITION} SET file = {}, position = {position}",
        quote::string(file)
    );
    run(session, file, statement.as_bytes()).await
}

/// Events as a statement.
fn statement(events: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut statement = b"BINLOG '".to_vec();
    for event in events {
        statement.extend_from_slice(BASE64_STANDARD.encode(event).as_bytes());
        statement.push(b'\n');
    }
    statement.push(b'\'');
    match statement.len() < MAX_PACKET {
        true => Ok(statement),
        false => Err(EngineError::NotImported {
            what: "the source's log has a row of more than 700 MB".to_owned(),
        }),
    }
}

async fn run(session: &mut Session, file: &str, statement: &[u8]) -> Result<()> {
    let done = session.run("follow a server", statement).await;
    let Err(error) = done else { return Ok(()) };
    match error.server_code() {
        Some(code) if !PASSING.contains(&code) => {
            let what = error.server_message().unwrap_or_default();
            Err(EngineError::NotImported {
                what: format!(
                    "what the source's log {file} has does not fit: error {code}: {what}"
                ),
            })
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_of_a_dump_is_read() {
        let remark = b"CHANGE MASTER TO MASTER_LOG_FILE='mysql-bin.000042', MASTER_LOG_POS=4711;";
        let found = SourcePosition::of_remark(remark);
        let expected = SourcePosition {
            file: "mysql-bin.000042".to_owned(),
            position: 4711,
        };
        assert_eq!(found, Some(expected));
        for other in [
            &b"Host: localhost"[..],
            b"CHANGE MASTER TO MASTER_USE_GTID=slave_pos;",
        ] {
            assert_eq!(SourcePosition::of_remark(other), None);
        }
    }
}
