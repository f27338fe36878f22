//! Statements beyond what their account may run in a second: they are answered with an error and
//! reach no node.

use std::time::Duration;

use openpeta_mysql_wire::command::{COM_QUERY, COM_STMT_BULK_EXECUTE, COM_STMT_EXECUTE};
use openpeta_mysql_wire::{ErrPacket, HEADER_LEN, PacketBuffer};

use super::{Shared, refusal};

/// The greatest length of a packet; another continues it.
const FULL: usize = 0xFF_FFFF;

/// What is to become of a command.
pub(super) enum Verdict {
    Passes,
    /// More bytes will tell.
    Perhaps,
    Refused(Refused),
}

/// A command that is refused, whose bytes are thrown away.
pub(super) struct Refused {
    pub(super) error: ErrPacket,
    left: usize,
    continues: bool,
    sequence: u8,
}

/// Looks at the beginning of a command of an account with limits, and counts it.
#[cold]
pub(super) fn judge(shared: &Shared, now: Duration, data: &[u8]) -> Verdict {
    let [a, b, c, _, command, ..] = data else {
        return Verdict::Perhaps;
    };
    let runs = matches!(
        *command,
        COM_QUERY | COM_STMT_EXECUTE | COM_STMT_BULK_EXECUTE
    );
    if !runs || [*a, *b, *c] == [0; 3] {
        return Verdict::Passes;
    }
    let Some(Err(limit)) = shared.admission.as_ref().map(|its| its.begin_query(now)) else {
        return Verdict::Passes;
    };
    let account = shared.account.as_deref().unwrap_or_default();
    Verdict::Refused(Refused {
        error: refusal::user_limit(account, "max_queries_per_second", limit),
        left: 0,
        continues: true,
        sequence: 0,
    })
}

impl Refused {
    /// Throws away what has come of the command. Returns the sequence id of its answer once that
    /// was all.
    pub(super) fn swallow(&mut self, client: &mut PacketBuffer) -> Option<u8> {
        loop {
            let there = self.left.min(client.bytes().len());
            client.advance(there);
            self.left -= there;
            if self.left > 0 {
                return None;
            }
            if !self.continues {
                return Some(self.sequence.wrapping_add(1));
            }
            let [a, b, c, sequence] = *client.bytes().first_chunk::<HEADER_LEN>()?;
            client.advance(HEADER_LEN);
            self.left = u32::from_le_bytes([a, b, c, 0]) as usize;
            self.continues = self.left == FULL;
            self.sequence = sequence;
        }
    }
}
