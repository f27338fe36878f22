//! Commands whose replies are due.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use openpeta_mysql_wire::ReplyTracker;
use openpeta_mysql_wire::command::*;
use openpeta_sql_route::Statement;

use super::texts::{Prepared, Read};
use crate::digests::Outcome;
use crate::session::trace::Trace;
use crate::slow_log::LONGEST_TEXT;

pub(super) struct Command {
    pub(super) command: u8,
    /// When it, or the statement of it that runs, began.
    pub(super) since: Duration,
    /// Rows of the reply that belong to statements before.
    pub(super) rows_sent: u64,
    pub(super) rows_affected: u64,
    /// The beginning of its text, if slow statements are logged.
    pub(super) text: Vec<u8>,
    /// What it leaves when it is done: a reset ahead of it may be under way.
    pub(super) trace: Trace,
    /// The whole text, if it makes settings that can be made again.
    pub(super) setting: Option<Box<[u8]>>,
    pub(super) what: What,
}

impl Command {
    /// Keeps the beginning of a text.
    pub(super) fn keep(&mut self, piece: &[u8]) {
        let room = LONGEST_TEXT.saturating_sub(self.text.len());
        self.text.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// The statement that runs has its reply; what follows belongs to the next.
    #[inline]
    pub(super) fn done(&mut self, failed: bool, reply: &ReplyTracker, now: Duration) -> Outcome {
        Outcome {
            failed,
            rows_sent: reply.rows() - mem::replace(&mut self.rows_sent, reply.rows()),
            rows_affected: reply
                .affected_rows()
                .wrapping_sub(mem::replace(&mut self.rows_affected, reply.affected_rows())),
            time: now.saturating_sub(mem::replace(&mut self.since, now)),
        }
    }
}

/// What has to be known of a command when its reply comes.
pub(super) enum What {
    /// Nothing, or its payload is not complete.
    Nothing,
    /// The statements of a COM_QUERY; of the first the reply is due.
    Text {
        read: Read,
        rest: VecDeque<Read>,
    },
    Prepare(Prepared),
    Execute(u32),
    Close(u32),
    Database(Vec<u8>),
    Option(u16),
}

/// What is to be known of a command with a text.
pub(super) fn of_text(command: u8, (read, rest): (Read, VecDeque<Read>), trace: Trace) -> What {
    if command == COM_STMT_PREPARE {
        return What::Prepare(Prepared {
            class: read.statement.class,
            digest: read.digest,
            trace,
        });
    }
    What::Text { read, rest }
}

/// As [`of_text`], of a text that was known.
#[inline]
pub(super) fn of_known(command: u8, known: Prepared) -> What {
    if command == COM_STMT_PREPARE {
        return What::Prepare(known);
    }
    let Prepared { class, digest, .. } = known;
    let statement = Statement {
        class,
        ..Statement::OTHER
    };
    let read = Read { statement, digest };
    let rest = VecDeque::new();
    What::Text { read, rest }
}

/// What the payload of a command tells that is no text.
pub(super) fn of_head(command: u8, payload: &[u8]) -> What {
    let id = || payload.get(1..5)?.first_chunk().copied();
    match command {
        COM_STMT_EXECUTE | COM_STMT_BULK_EXECUTE => {
            What::Execute(id().map_or(0, u32::from_le_bytes))
        }
        COM_STMT_CLOSE => What::Close(id().map_or(0, u32::from_le_bytes)),
        COM_INIT_DB => What::Database(payload[1..].to_vec()),
        COM_SET_OPTION => match payload {
            [_, low, high, ..] => What::Option(u16::from_le_bytes([*low, *high])),
            _ => What::Nothing,
        },
        _ => What::Nothing,
    }
}
