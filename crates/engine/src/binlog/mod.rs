//! The binary log of a node: an archive of it, and a database brought to a later moment out of
//! that archive.
//!
//! The applier is the server's own: what of the archive concerns one database is written as
//! relay logs, which the server applies as it does when it replicates. Only which transactions
//! that are, and where to stop, is decided here.

mod archive;
mod event;
mod follow;
mod following;
mod reader;
mod relay;
mod replay;
mod rows;
mod search;
mod select;
mod shipping;
mod statement;
mod touched;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use openpeta_types::{DbName, Gtid, NodeId};

pub use archive::ArchivedLog;
pub use following::{Followed, LogPiece};
pub use search::{ChangedRows, LogQuery, Logged, LoggedTransaction};
pub use shipping::{LogCopy, open_file, seal_file};

pub(crate) use self::follow::Todo;
pub(crate) use self::following::{Item, read as read_piece};
use self::select::{LogPosition, Until, UntilSecond};
pub(crate) use self::touched::{LogTail, Watched};
use crate::backup::{BinlogPosition, Progress};
use crate::engine::{Engine, blocking};
use crate::error::{EngineError, Result};
use crate::node_dir;

/// Where a node's binary logs lie in its directory, as its configuration says.
pub(crate) const LOGS: &str = "binlog";
/// The same of relay logs.
const RELAY: &str = "relay";

/// What was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Transactions and definitions.
    pub groups: u64,
    /// The last of each domain as GTIDs, with commas between them; empty for none.
    pub gtid: String,
}

/// What a database is brought forward from and to.
#[derive(Clone, Copy, Debug)]
pub struct ReplayRange<'a> {
    /// The archive of the log of the node that the database was read from.
    pub archive: &'a Path,
    /// The position whose content it has.
    pub from: &'a BinlogPosition,
    /// Where to stop.
    pub until: ReplayUntil,
}

/// What an archive has from a position on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogAfter {
    /// All of the log, as far as it goes.
    GoesOn,
    /// Nothing: it ends before.
    EndsBefore,
    /// Not all of it.
    Gap,
}

/// MariaDB's code for a database that does not exist.
const NO_DATABASE: u16 = 1049;

/// Where to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayUntil {
    /// What was committed before this second is wanted.
    Second(Timestamp),
    /// What is in the log before this transaction is wanted.
    Before(Gtid),
    /// So is the transaction itself.
    Through(Gtid),
    /// What is in the log before this place is wanted, which is between two transactions.
    Position {
        /// The number in the file's name.
        file: u64,
        /// Bytes from its start.
        offset: u64,
    },
}

impl ReplayUntil {
    /// Where a log was at some moment; `None` when that is no position.
    #[must_use]
    pub fn at(moment: &BinlogPosition) -> Option<Self> {
        let LogPosition { file, offset } = position(moment)?;
        Some(Self::Position { file, offset })
    }
}

impl BinlogPosition {
    /// Whether it is in the log of the same node, and not behind the other one.
    #[must_use]
    pub fn leads_to(&self, later: &Self) -> bool {
        let is_before = position(self).is_some_and(|begin| Some(begin) <= position(later));
        self.node == later.node && is_before
    }
}

impl Engine {
    /// Copies to an archive what a node has written to its binary log since the last call. The
    /// node need not run. `is_first` is for the first call of this process, which trusts no copy
    /// of a log that was still being written.
    ///
    /// # Errors
    /// [`EngineError::NoSuchNode`](crate::EngineError::NoSuchNode); a file error.
    pub async fn archive_log(
        &self,
        node: &NodeId,
        archive: &Path,
        is_first: bool,
    ) -> Result<ArchivedLog> {
        self.archive_marked(node, archive, (is_first, false)).await
    }

    /// As [`archive_log`](Self::archive_log), and notes the time whenever it was noted last: a set was
    /// taken, which has what was committed until then.
    ///
    /// # Errors
    /// The same.
    pub async fn mark_log(&self, node: &NodeId, archive: &Path) -> Result<ArchivedLog> {
        self.archive_marked(node, archive, (false, true)).await
    }

    async fn archive_marked(
        &self,
        node: &NodeId,
        archive: &Path,
        (is_first, is_marked): (bool, bool),
    ) -> Result<ArchivedLog> {
        let source = self.node_dir(node)?.join(LOGS);
        let archive = archive.to_owned();
        let keys = self.backup_keys().clone();
        let lock = self.archive_locks().lock(node).await;
        blocking(move || {
            let _lock = lock;
            archive::archive(&source, &archive, (is_first, is_marked), &keys)
        })
        .await
    }

    /// Removes the copies of log files before the one in which a position is.
    ///
    /// # Errors
    /// A file error.
    pub async fn purge_log_archive(
        &self,
        node: &NodeId,
        archive: &Path,
        oldest: &BinlogPosition,
    ) -> Result<()> {
        let Some(first_kept) = archive::number(&oldest.file) else {
            return Ok(());
        };
        let archive = archive.to_owned();
        let lock = self.archive_locks().lock(node).await;
        blocking(move || {
            let _lock = lock;
            archive::purge(&archive, first_kept)
        })
        .await
    }

    /// Removes an archive.
    ///
    /// # Errors
    /// A file error.
    pub async fn destroy_log_archive(&self, node: &NodeId, archive: &Path) -> Result<()> {
        let archive = archive.to_owned();
        let lock = self.archive_locks().lock(node).await;
        blocking(move || {
            let _lock = lock;
            crate::template::remove(&archive)
        })
        .await
    }

    /// Whether an archive has everything from a position on.
    ///
    /// # Errors
    /// A file error.
    pub fn archive_goes_on_from(&self, archive: &Path, from: &BinlogPosition) -> Result<bool> {
        Ok(self.archive_after(archive, from)? == LogAfter::GoesOn)
    }

    /// Whether an archive has a transaction after a position.
    ///
    /// # Errors
    /// [`EngineError::LogGap`](crate::EngineError::LogGap),
    /// [`EngineError::DamagedLog`](crate::EngineError::DamagedLog),
    /// [`EngineError::NoKey`](crate::EngineError::NoKey), a file error.
    pub async fn find_logged(
        &self,
        archive: &Path,
        from: &BinlogPosition,
        gtid: Gtid,
    ) -> Result<Logged> {
        let begin = position(from).ok_or_else(|| gap(from))?;
        let files = archive_from(archive, from, begin).await?;
        let keys = self.backup_keys().clone();
        blocking(move || search::find(&files, &keys, begin, gtid)).await
    }

    /// Transactions that an archive has of a database, in the order of the log.
    ///
    /// # Errors
    /// [`EngineError::DamagedLog`](crate::EngineError::DamagedLog),
    /// [`EngineError::NoKey`](crate::EngineError::NoKey), a file error.
    pub async fn search_log(
        &self,
        archive: &Path,
        database: &DbName,
        query: LogQuery,
    ) -> Result<Vec<LoggedTransaction>> {
        let (archive, database) = (archive.to_owned(), database.clone());
        let (server_version, keys) = (self.server_version_number(), self.backup_keys().clone());
        blocking(move || {
            let files = archive::files(&archive)?;
            search::search(&files, &keys, database.as_str(), server_version, &query)
        })
        .await
    }

    /// Whether a replay was begun on a node, so that its content is what it began with no more.
    ///
    /// # Errors
    /// [`EngineError::NoSuchNode`](crate::EngineError::NoSuchNode).
    pub fn is_replay_begun(&self, node: &NodeId) -> Result<bool> {
        Ok(relay::is_begun(&self.node_dir(node)?.join(RELAY)))
    }

    /// Applies what an archive says of a database from a position on, on a node that nobody else
    /// uses and that has exactly the content of that position. It must not have been begun
    /// before. The node's own binary log is empty afterwards.
    ///
    /// # Errors
    /// [`EngineError::LogGap`](crate::EngineError::LogGap),
    /// [`EngineError::DamagedLog`](crate::EngineError::DamagedLog) and
    /// [`EngineError::NoSuchTransaction`](crate::EngineError::NoSuchTransaction) before anything
    /// is applied;
    /// [`EngineError::NotReplayed`](crate::EngineError::NotReplayed) when the server refuses
    /// something; [`EngineError::NoKey`](crate::EngineError::NoKey); a file error, or one of the
    /// connection.
    pub async fn replay_log(
        &self,
        node: &NodeId,
        database: &DbName,
        range: ReplayRange<'_>,
        progress: Progress<'_>,
    ) -> Result<Replayed> {
        let dir = self.node_dir(node)?.join(RELAY);
        self.end_replay(node, database).await?;
        let logs = self.relay_logs(database, range, dir.clone()).await?;
        let replayed = Replayed {
            groups: logs.selected.groups,
            gtid: logs
                .selected
                .gtids
                .values()
                .cloned()
                .collect::<Vec<_>>()
                .join(","),
        };
        let mut session = self.session(node, database).await?;
        replay::apply(&mut session, database, (&logs, &dir), progress).await?;
        session.close().await;
        Ok(replayed)
    }

    /// Ends what a replay left that was cut off. Its content may be anything; nothing changes it any
    /// more from here on.
    ///
    /// # Errors
    /// A file error, or one of the connection.
    pub async fn end_replay(&self, node: &NodeId, database: &DbName) -> Result<()> {
        let dir = self.node_dir(node)?.join(RELAY);
        let mut session = match self.session(node, database).await {
            // It may have been cut off while the database was dropped.
            Err(error) if error.server_code() == Some(NO_DATABASE) => {
                let mut sql = self.sql(node).await?;
                sql.create_database(database).await?;
                sql.close().await;
                self.session(node, database).await?
            }
            session => session?,
        };
        replay::end_former(&mut session, &dir).await?;
        session.close().await;
        Ok(())
    }

    /// How an archive goes on from a position.
    ///
    /// # Errors
    /// A file error.
    pub fn archive_after(&self, archive: &Path, from: &BinlogPosition) -> Result<LogAfter> {
        let Some(begin) = position(from) else {
            return Ok(LogAfter::Gap);
        };
        let Some(end) = archive::end(archive)? else {
            return Ok(LogAfter::Gap);
        };
        if end < begin {
            return Ok(LogAfter::EndsBefore);
        }
        Ok(match archive::files_from(archive, begin.file)? {
            Some(_) => LogAfter::GoesOn,
            None => LogAfter::Gap,
        })
    }

    /// On which side of a second a position is, by what the archive notes of when the log was how long.
    /// `None` when that does not tell.
    ///
    /// # Errors
    /// A file error.
    pub fn is_before_second(
        &self,
        archive: &Path,
        at: &BinlogPosition,
        time: Timestamp,
    ) -> Result<Option<bool>> {
        let Some(at) = position(at) else {
            return Ok(None);
        };
        let second = until_second(archive, time)?;
        if second.surely_before.is_some_and(|before| at <= before) {
            return Ok(Some(true));
        }
        let is_after = second.surely_after.is_some_and(|after| at > after);
        Ok(is_after.then_some(false))
    }

    async fn relay_logs(
        &self,
        database: &DbName,
        range: ReplayRange<'_>,
        dir: PathBuf,
    ) -> Result<relay::RelayLogs> {
        let begin = position(range.from).ok_or_else(|| gap(range.from))?;
        let files = archive_from(range.archive, range.from, begin).await?;
        let archive = range.archive.to_owned();
        let (database, user) = (database.clone(), self.user().clone());
        let keys = self.backup_keys().clone();
        let (server_version, until) = (self.server_version_number(), range.until);
        blocking(move || {
            let until = match until {
                ReplayUntil::Second(time) => Until::Second(until_second(&archive, time)?),
                ReplayUntil::Before(gtid) => Until::Transaction {
                    gtid,
                    is_included: false,
                },
                ReplayUntil::Through(gtid) => Until::Transaction {
                    gtid,
                    is_included: true,
                },
                ReplayUntil::Position { file, offset } => {
                    Until::Position(LogPosition { file, offset })
                }
            };
            if !dir.is_dir() {
                node_dir::make_sub(&dir, &user)?;
            }
            relay::clear(&dir)?;
            let source = relay::Source {
                files: &files,
                begin,
                until,
                database: database.as_str(),
                server_version,
                keys: &keys,
            };
            relay::write(&source, &dir, &user)
        })
        .await
    }
}

/// Where in an archived log a second begins, as far as that is known.
fn until_second(archive: &Path, time: Timestamp) -> Result<UntilSecond> {
    let marks = archive::marks(archive)?;
    let second = time.as_second();
    let of_time = |at: Timestamp| at.as_second() >= second;
    // A clock that was put back passes a second again: then the last time counts.
    let before = marks.iter().rposition(|mark| !of_time(mark.until));
    let since = before.map_or(0, |before| before + 1);
    let after = marks[since..].iter().find(|mark| of_time(mark.from));
    Ok(UntilSecond {
        second: u32::try_from(second.max(0)).unwrap_or(u32::MAX),
        surely_before: before.map(|before| marks[before].end),
        surely_after: after.map(|mark| mark.end),
    })
}

/// The copies of an archive from the one with a position in it.
async fn archive_from(
    archive: &Path,
    from: &BinlogPosition,
    begin: LogPosition,
) -> Result<Vec<(u64, PathBuf)>> {
    let archive = archive.to_owned();
    let files = blocking(move || archive::files_from(&archive, begin.file)).await?;
    files.ok_or_else(|| gap(from))
}

fn gap(from: &BinlogPosition) -> EngineError {
    EngineError::LogGap {
        file: from.file.clone(),
        position: from.position,
    }
}

/// A position as it is compared; `None` for none.
fn position(position: &BinlogPosition) -> Option<LogPosition> {
    Some(LogPosition {
        file: archive::number(&position.file)?,
        offset: position.position,
    })
}
