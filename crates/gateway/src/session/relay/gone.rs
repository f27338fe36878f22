//! The node's connection has ended: the session goes on over another one, or its client is told.

use std::time::Duration;

use openpeta_mysql_wire::{ErrPacket, proxy};

use super::super::revival::{Revival, Step};
use super::super::trace::asks_of_the_last;
use super::super::warm::{Identity, Terms};
use super::super::{CloseReason, Outbox, Shared, refusal};
use super::{Backend, QUIT, Relay};

impl Relay {
    /// Why the session ends when the node closes the connection; `None` if it goes on over another.
    pub(in super::super) fn node_closed(
        &mut self,
        shared: &Shared,
        now: Duration,
        out: &mut Outbox,
    ) -> Option<CloseReason> {
        self.backend = None;
        if let Some(revival) = &mut self.revival {
            let waits = !self.client.bytes().is_empty();
            out.deadline = true;
            return match revival.ended(waits, now) {
                true => None,
                false => Some(self.give_up(&refusal::session_lost(), out)),
            };
        }
        if let Some(login) = &self.login
            && self.may_revive(shared)
        {
            self.revival = Some(Box::new(Revival::new(login)));
            shared.statements.stranded();
            out.reconnect = true;
            return None;
        }
        // A command under way gets no error of ours: nobody knows whether it was carried out, and
        // the numbers that say so are the clients' own, which libmariadb takes from no server.
        out.to_client.append(&mut self.last_words);
        Some(match (self.quitting, self.out_of_sequence) {
            (true, _) => CloseReason::ClientGone,
            (false, true) => CloseReason::Malformed,
            (false, false) => CloseReason::NodeGone,
        })
    }

    /// Whether nothing is under way, and nothing in the session that would be lost with the node's
    /// connection.
    pub(super) fn may_revive(&self, shared: &Shared) -> bool {
        self.login.as_ref().is_some_and(|login| login.can_be_told())
            && self.may_drain()
            && self.node_held.is_empty()
            && !self.quitting
            && !self.out_of_sequence
            // A node counts them, and a new connection would not know of them.
            && shared.failed_changes == 0
            && shared.statements.left_nothing()
    }

    /// The session cannot go on. A client that waits for an answer is told why, any other what the
    /// node has said.
    fn give_up(&mut self, error: &ErrPacket, out: &mut Outbox) -> CloseReason {
        match self.client.bytes().is_empty() {
            true => out.to_client.append(&mut self.last_words),
            false => refusal::put_error(&mut out.to_client, 1, error),
        }
        CloseReason::NodeGone
    }

    /// The connection that is to take the place of one that ended is open.
    pub(in super::super) fn node_connected(&self, shared: &Shared, out: &mut Outbox) {
        if self.revival.is_some() {
            let params = &shared.params;
            proxy::put_header(&mut out.to_node, params.client, params.endpoint);
        }
    }

    /// There is no node at the moment. Returns why the session ends, if it does.
    pub(in super::super) fn node_unreachable(
        &mut self,
        now: Duration,
        out: &mut Outbox,
    ) -> Option<CloseReason> {
        let waits = !self.client.bytes().is_empty();
        let revival = self.revival.as_mut()?;
        revival.unreachable(waits, now);
        out.deadline = true;
        None
    }

    /// When [`Self::tick`] is to be called, if at all.
    pub(in super::super) fn deadline(&self) -> Option<Duration> {
        self.revival.as_ref()?.deadline()
    }

    /// Tries again to reach the node, or tells the client that it took too long.
    pub(in super::super) fn tick(
        &mut self,
        now: Duration,
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        let Some(revival) = &mut self.revival else {
            return Ok(());
        };
        if revival.is_too_late(now) {
            self.give_up(&refusal::node_lost(), out);
            return Err(CloseReason::NodeRefused);
        }
        out.reconnect |= revival.retry(now);
        out.deadline = true;
        Ok(())
    }

    /// The client sends something while the node's connection is gone.
    pub(super) fn data_for_the_gone(
        &mut self,
        shared: &Shared,
        now: Duration,
        data: &[u8],
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        self.client.push(data);
        if self.client.bytes() == QUIT {
            return Err(CloseReason::ClientGone);
        }
        if let Some(revival) = &mut self.revival {
            let time = shared.params.revival_time.unwrap_or_default();
            out.reconnect |= revival.wanted(now, time);
            out.deadline = true;
        }
        Ok(())
    }

    /// Takes bytes of the node on the connection that is to take the place of the one that ended.
    pub(super) fn revive(
        &mut self,
        shared: &mut Shared,
        now: Duration,
        data: &[u8],
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        let Some(revival) = &mut self.revival else {
            return Ok(());
        };
        match revival.node_data(shared, data, out) {
            Step::Awaits => return Ok(()),
            Step::Failed => {
                revival.unreachable(!self.client.bytes().is_empty(), now);
                out.deadline = true;
                return Ok(());
            }
            Step::Another => {
                out.reconnect = true;
                return Ok(());
            }
            Step::Refused(error) => return Err(self.give_up(&error, out)),
            // It was this connection alone that ended, by KILL or a time limit.
            Step::NotDown => return Err(self.give_up(&refusal::killed(), out)),
            Step::Done { status } => self.replies.set_status(status),
        }
        if asks_of_the_last(self.client.bytes()) {
            return Err(self.give_up(&refusal::session_lost(), out));
        }
        let Some(revival) = self.revival.take() else {
            return Ok(());
        };
        self.last_words = Vec::new();
        self.node_nonce = revival.nonce();
        let (greeting, login) = revival.into_connection();
        let terms = Terms::of(&login).filter(|_| shared.params.keep_node);
        if let Some(greeting) = greeting {
            shared.statements.moved(&greeting);
            let identity = Some(Identity::of(&login, now));
            self.backend = terms.map(|terms| {
                Box::new(Backend {
                    greeting,
                    terms,
                    identity,
                })
            });
        }
        out.deadline = true;
        out.revived = true;
        self.resume(shared, now, out)
    }
}
