//! One stream: its socket, its queue and where it stands.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::net::SocketAddrUnix;

use crate::api::StreamId;
use crate::local::Wire;
use crate::queue::SendQueue;

/// A stream, with what the backend keeps of it.
pub(crate) struct Stream<S> {
    /// `None` if its peer is a future.
    fd: Option<OwnedFd>,
    /// What is shared with a future, if one has it: as its peer, or, where there is a socket, in the
    /// place of the handler.
    pub(super) wire: Option<Arc<Wire>>,
    pub(super) tag: u64,
    pub(crate) queue: SendQueue,
    pub(super) counterpart: Option<StreamId>,
    pub(super) phase: Phase,
    pub(super) sending: Sending,
    /// The peer has ended its direction.
    pub(super) ended: bool,
    /// The handler wants nothing received for now.
    pub(super) held: bool,
    /// The counterpart's queue is too long for more to be received.
    pub(super) throttled: bool,
    /// Stands in the list of streams to be served in this round.
    pub(super) in_ready: bool,
    /// Stands in the list of streams to be flushed.
    pub(super) in_dirty: bool,
    pub(super) accepted: bool,
    pub(crate) side: S,
}

pub(super) enum Phase {
    /// The listen queue was full; to be tried again.
    Connecting(SocketAddrUnix),
    /// Connected, but the handler has not been told.
    Connected,
    Open,
    /// The handler is done with it; closes when the queue is empty.
    Closing,
}

#[derive(PartialEq, Eq)]
pub(super) enum Sending {
    Open,
    /// Ends when the queue is empty.
    Finishing,
    Finished,
}

impl<S: Default> Stream<S> {
    pub(super) fn new(fd: OwnedFd, phase: Phase, accepted: bool) -> Self {
        Self {
            fd: Some(fd),
            wire: None,
            tag: 0,
            queue: SendQueue::default(),
            counterpart: None,
            phase,
            sending: Sending::Open,
            ended: false,
            held: false,
            throttled: false,
            in_ready: false,
            in_dirty: false,
            accepted,
            side: S::default(),
        }
    }

    /// A stream whose peer is a future.
    pub(super) fn local(wire: Arc<Wire>) -> Self {
        Self {
            fd: None,
            wire: Some(wire),
            tag: 0,
            queue: SendQueue::default(),
            counterpart: None,
            phase: Phase::Connected,
            sending: Sending::Open,
            ended: false,
            held: false,
            throttled: false,
            in_ready: false,
            in_dirty: false,
            accepted: false,
            side: S::default(),
        }
    }

    /// The socket. The backends see no stream without one.
    pub(crate) fn fd(&self) -> &OwnedFd {
        self.fd.as_ref().expect("a stream with a socket")
    }

    /// Whether its peer is a future.
    pub(super) fn is_local(&self) -> bool {
        self.fd.is_none()
    }

    /// What a future has in the place of the handler.
    pub(super) fn of_future(&self) -> Option<&Arc<Wire>> {
        self.wire.as_ref().filter(|_| self.fd.is_some())
    }

    /// Whether bytes of the peer are wanted now.
    pub(crate) fn wants_bytes(&self) -> bool {
        let wanted = match self.phase {
            Phase::Connecting(_) | Phase::Connected => false,
            Phase::Open => !self.held && !self.throttled,
            Phase::Closing => true,
        };
        wanted && !self.ended
    }
}
