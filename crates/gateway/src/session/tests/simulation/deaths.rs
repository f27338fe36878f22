//! Nodes that go down under a session, and come back.

use super::*;

impl World {
    /// The node goes down, or ends this session alone, with what it has not said yet unsaid.
    pub(super) fn node_dies(&mut self) {
        if self.session.phase() != Phase::Command || self.down || self.node.quit {
            return;
        }
        if self.session.deadline().is_some() {
            // Another one, before the session could go on over it.
            self.node.output.clear();
            self.down = true;
            return self.event(|session, out| session.node_closed(Duration::ZERO, out));
        }
        let alone = self.random.one_in(4);
        let words = if alone && self.random.one_in(2) {
            packet(1, &err(1927, "Connection was killed"))
        } else {
            Vec::new()
        };
        let unsaid = !self.node.output.is_empty();
        self.node.output.clear();
        self.down = true;
        let relayed = self.received.bytes().len();
        let idle = self.session.is_idle();
        // Within a reply they would be the end of it.
        let words = if unsaid || !idle { Vec::new() } else { words };
        if !words.is_empty() {
            let mut out = Outbox::default();
            let range = self.session.node_data(self.now, &words, &mut out);
            self.received.push(&out.to_client);
            self.received.push(&words[range]);
            self.closed = out.close;
            if self.closed.is_some() {
                return;
            }
        }
        let mut out = Outbox::default();
        self.session.node_closed(self.now, &mut out);
        self.received.push(&out.to_client);
        self.closed = out.close;
        assert!(out.to_node.is_empty(), "a command is sent again");
        if self.closed.is_some() {
            assert!(!out.reconnect);
            if !idle {
                // Nobody knows what became of the command, so its client hears of the end alone.
                assert_eq!(
                    self.received.bytes().len(),
                    relayed,
                    "told what is not known"
                );
                self.lost += 1;
            }
            return;
        }
        assert!(
            idle,
            "who waits for a reply of a node that is gone waits for ever"
        );
        // Nothing may be lost: whoever goes on does so as if nothing had been.
        assert!(out.reconnect);
        assert!(!self.node.left, "something is lost");
        assert_eq!(self.node.prepared, 0, "prepared statements are lost");
        assert!(!self.node.status.contains(Status::IN_TRANS));
        assert!(self.node.is_idle() && !unsaid, "a command was under way");
        assert_eq!(self.replies, self.node.replies, "a reply is lost");
        assert_eq!(
            self.received.bytes().len(),
            relayed,
            "the client was told too early"
        );
        if alone {
            // It finds the node there.
            self.event(|session, out| session.node_connected(Duration::ZERO, out));
            self.event(|session, out| {
                session.node_data(Duration::ZERO, &packet(0, &node_greeting()), out);
            });
            assert_eq!(self.closed, Some(CloseReason::NodeGone));
            assert!(self.received.bytes().ends_with(&words), "words are lost");
        } else {
            self.event(|session, out| session.node_unreachable(Duration::ZERO, out));
        }
    }

    /// A session asks for another connection: there may be a node again, which knows nothing.
    pub(super) fn node_comes(&mut self) {
        assert!(self.down, "asked for a node that is there");
        if self.random.one_in(2) {
            let now = self.now;
            return self.event(|session, out| session.node_unreachable(now, out));
        }
        let before = std::mem::replace(&mut self.node, Node::new());
        self.node.due = [before.settings, before.due].concat();
        self.node.commands = before.commands;
        self.node.replies = before.replies;
        self.node.finished = before.finished;
        self.node.failed = before.failed;
        self.node.errors = before.errors;
        self.down = false;
        self.reconnected = true;
        self.revived += 1;
        self.reviving = true;
        self.event(|session, out| session.node_connected(Duration::ZERO, out));
    }

    /// A session that waits for a node tries again, or loses patience.
    pub(super) fn time_passes(&mut self) {
        if self.session.phase() == Phase::Command
            && let Some(deadline) = self.session.deadline()
        {
            self.now = deadline;
            let now = self.now;
            self.event(|session, out| session.tick(now, out));
            if self.closed.is_some() {
                let Ok(Some(got)) = self.received.next_packet() else {
                    panic!("who waits is told nothing");
                };
                let error = ErrPacket::parse(&got.payload).expect("an error");
                assert_eq!((got.sequence, error.code), (1, 1053));
                assert_eq!(self.closed, Some(CloseReason::NodeRefused));
                self.too_late += 1;
            }
        }
    }
}
