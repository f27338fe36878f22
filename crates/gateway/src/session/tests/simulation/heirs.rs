//! Sessions that leave their node connection to each other.

use super::*;
use crate::session::{Reset, Warm};

/// Some sessions, one after the other, on one node connection for as long as they leave it to
/// each other. Returns how often each kind of end came.
pub(super) fn generations(seed: u64) -> [u32; 9] {
    let mut ends = [0; 9];
    let mut world = World::new(Random(seed), None);
    for _ in 0..4 {
        ends[world.run()] += 1;
        ends[6] += world.revived;
        ends[7] += world.too_late;
        ends[8] += world.lost;
        let (random, heir) = world.end();
        ends[4] += u32::from(heir.is_some());
        world = World::new(random, heir);
    }
    ends
}

impl World {
    /// What the session leaves to the next one.
    pub(super) fn end(mut self) -> (Random, Option<(Warm, Node)>) {
        if self.closed.is_none() {
            self.leave();
        }
        let Some(mut warm) = self.session.take_warm() else {
            return (self.random, None);
        };
        let mut node = self.node;
        assert!(!node.tainted, "kept what no reset mends");
        assert!(!node.status.contains(Status::IN_TRANS));
        if warm.is_clean() || node.owes {
            assert!(self.on_warm && !self.dead && !self.reconnected);
            assert_eq!(node.logins, self.logins, "not as clean as it was");
            return (self.random, Some((warm, node)));
        }
        assert!(node.is_idle() && node.output.is_empty(), "a command runs");
        assert_eq!(self.replies, node.replies, "a reply is on its way");
        if warm.owes_reset() {
            assert!(!node.left && node.prepared == 0, "owes more than a reset");
            if self.random.one_in(2) {
                node.owes = true;
                return (self.random, Some((warm, node)));
            }
        }
        let mut request = Vec::new();
        warm.begin_reset(&mut request);
        while !request.is_empty() {
            let piece = self.random.piece(&mut request);
            node.receive(&piece, &mut self.random);
        }
        while !node.output.is_empty() {
            let piece = self.random.piece(&mut node.output);
            let expected = match node.output.is_empty() {
                true => Reset::Clean,
                false => Reset::Awaits,
            };
            assert_eq!(warm.node_data(&piece), expected);
        }
        (self.random, Some((warm, node)))
    }

    /// The client goes when all is done, with or without a word.
    fn leave(&mut self) {
        let alone = self.down || self.session.deadline().is_some();
        if alone || self.random.one_in(2) {
            return self.event(|session, out| session.client_closed(Duration::ZERO, out));
        }
        let commands = self.node.commands.clone();
        self.send_relayed(&packet(0, &[COM_QUIT]));
        while self.closed.is_none() && !self.in_flight.is_empty() {
            self.deliver_client();
        }
        if self.closed.is_none() {
            assert!(self.node.quit, "the node was not told");
            let in_transaction = self.node.status.contains(Status::IN_TRANS);
            assert!(self.node.tainted || in_transaction, "not kept");
            return self.event(|session, out| session.node_closed(Duration::ZERO, out));
        }
        assert_eq!(self.closed, Some(CloseReason::ClientGone));
        assert!(!self.node.quit && self.node.commands == commands);
    }

    /// The node ends a connection that the session began on before it has logged in.
    pub(super) fn end_warm(&mut self) {
        if self.on_warm && !self.reconnected && !self.dead && self.node.logins == self.logins {
            self.fits = false;
            self.dead = true;
            self.node.output.clear();
            self.event(|session, out| session.node_closed(Duration::ZERO, out));
            assert_eq!(self.closed, None);
        }
    }
}
