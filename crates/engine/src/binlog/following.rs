//! Reads what was fetched of another server's binary log, and tells what is to be done of it.

use std::path::Path;

use jiff::Timestamp;

use super::event::Malformed;
use super::follow::{Follower, Seen, Stop, Todo};
use super::reader::LogReader;
use crate::error::{EngineError, Result};
use crate::sealed::BackupKeys;

/// A part of a log file of another server, as a file here.
#[derive(Clone, Copy, Debug)]
pub struct LogPiece<'a> {
    /// Where it lies: it begins as a log file does, and goes on with the events.
    pub path: &'a Path,
    /// The file's name there.
    pub file: &'a str,
    /// From which position in that file on.
    pub from: u64,
    /// What begins there or later is left alone.
    pub until: u64,
}

/// What is told of a piece.
pub(crate) enum Item {
    /// How events are written, as an event.
    Format(Vec<u8>),
    /// What is to be done, and where the log is then.
    Do(Todo, u64),
}

/// How far a piece leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Where the last whole transaction ends.
    pub position: u64,
    /// Transactions that changed something of the database.
    pub transactions: u64,
    /// When the last transaction began, of whatever database.
    pub at: Option<Timestamp>,
}

/// Reads a piece, of a database and for a copy that has another name. It ends early when nobody
/// takes any more.
pub(crate) fn read(
    piece: LogPiece<'_>,
    names: (&str, &str),
    server_version: u32,
    take: &mut dyn FnMut(Item) -> bool,
) -> Result<Followed> {
    let keys = BackupKeys::default();
    let (mut log, first) = LogReader::open(piece.path, &keys)?;
    let checksums = log.checksums();
    let mut follower = Follower::new(names, server_version, checksums, (piece.from, piece.until));
    let mut goes_on = take(Item::Format(first.bytes));
    while goes_on
        && !follower.is_over()
        && let Some(event) = log.event()?
    {
        let seen = Seen {
            header: &event.header,
            bytes: &event.bytes,
            content: log.content(&event)?,
        };
        match follower.event(&seen) {
            Ok(None) => {}
            Ok(Some(todo)) => goes_on = take(Item::Do(todo, follower.position())),
            Err(Stop::Malformed(what)) => return Err(damaged(piece, what)),
            Err(Stop::Refused(what)) => {
                let file = piece.file;
                return Err(EngineError::NotImported {
                    what: format!("the source's log cannot be followed in {file}: {what}"),
                });
            }
        }
    }
    Ok(Followed {
        position: follower.position(),
        transactions: follower.transactions(),
        at: follower
            .at()
            .and_then(|second| Timestamp::from_second(i64::from(second)).ok()),
    })
}

fn damaged(piece: LogPiece<'_>, what: Malformed) -> EngineError {
    EngineError::NotImported {
        what: format!("the source's log {} {}", piece.file, what.0),
    }
}
