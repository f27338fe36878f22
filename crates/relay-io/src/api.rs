//! What a handler implements and what a loop offers it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::local::LocalService;

/// Names one stream of one loop. An id is never given to another stream after its own has closed,
/// so a late use of it does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub(crate) u64);

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({}.{})", self.0 as u32, self.0 >> 32)
    }
}

/// Where an accepted stream comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The token the listener was added with.
    pub listener: u64,
    /// The peer's address; IPv4-mapped IPv6 addresses are given as IPv4.
    pub peer: SocketAddr,
    /// The address the peer connected to, likewise.
    pub local: SocketAddr,
}

/// What shall become of the bytes just received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The handler has taken what it needs.
    Consumed,
    /// The loop sends this part of the received bytes to another stream, after everything that is
    /// already queued for it. The bytes go out straight from the receive buffer; only what the
    /// peer does not take at once is copied.
    Forward {
        /// The receiving stream.
        to: StreamId,
        /// Which of the received bytes.
        range: Range<usize>,
    },
}

/// Why a stream is gone.
#[derive(Debug)]
pub enum CloseReason {
    /// Both directions came to their regular end.
    Ended,
    /// The operating system reported an error, such as a reset by the peer.
    Failed(io::Error),
    /// The handler panicked while it worked on this stream.
    Panicked,
}

/// Reacts to what happens on the streams of one loop. Every loop has its own handler, used by its
/// thread alone, so a handler needs no locks for its own state.
///
/// `tag` is the number last given to the stream with [`Io::set_tag`] or [`Io::connect_unix`]
/// (0 for a stream just accepted).
pub trait Handler: 'static {
    /// What other threads may send to this handler, see [`Commander::send`](crate::Commander::send).
    type Command: Send + 'static;

    /// A connection came in.
    fn accepted(&mut self, io: &mut dyn Io, stream: StreamId, from: Accepted);

    /// A stream opened with [`Io::connect_unix`] is ready for use.
    fn connected(&mut self, io: &mut dyn Io, stream: StreamId, tag: u64);

    /// Bytes came in. They lie in a buffer of the loop that is used again after the call; the
    /// handler may change them in place before it has them forwarded.
    fn received(
        &mut self,
        io: &mut dyn Io,
        stream: StreamId,
        tag: u64,
        bytes: &mut [u8],
    ) -> Disposition;

    /// The peer will send nothing more. Sending to it is still possible; the stream stays until
    /// the handler calls [`Io::finish`], [`Io::close`] or [`Io::close_after_flush`].
    fn ended(&mut self, io: &mut dyn Io, stream: StreamId, tag: u64);

    /// The stream is gone, for a reason other than the handler's own [`Io::close`] or
    /// [`Io::close_after_flush`]. Also told when a connect fails.
    fn closed(&mut self, io: &mut dyn Io, stream: StreamId, tag: u64, why: CloseReason);

    /// A timer set with [`Io::set_timer`] ran out.
    fn timer(&mut self, io: &mut dyn Io, token: u64);

    /// Another thread sent a command.
    fn command(&mut self, io: &mut dyn Io, command: Self::Command);
}

/// What a loop offers its handler. Calls that name a stream which is gone do nothing.
pub trait Io {
    /// The time at which the loop last woke up: cheap, and at most some milliseconds old.
    fn now(&self) -> Instant;

    /// Gives the stream the number that later calls of the handler will carry.
    fn set_tag(&mut self, stream: StreamId, tag: u64);

    /// Queues bytes for a stream. They go out in order, at the latest when the handler returns.
    fn send(&mut self, to: StreamId, bytes: &[u8]);

    /// How many bytes the stream's peer has not taken yet.
    fn queued(&self, stream: StreamId) -> usize;

    /// Makes two streams each other's counterpart: while the queue of one is above
    /// [`LoopConfig::high_water`], the loop receives nothing from the other.
    fn pair(&mut self, a: StreamId, b: StreamId);

    /// Stops receiving from a stream until [`Io::release`].
    fn hold(&mut self, stream: StreamId);

    /// Takes up receiving again after [`Io::hold`].
    fn release(&mut self, stream: StreamId);

    /// Ends the sending direction once everything queued has gone out. When the peer has ended its
    /// direction too, the stream closes with [`CloseReason::Ended`].
    fn finish(&mut self, stream: StreamId);

    /// Closes the stream now. What is queued is lost.
    fn close(&mut self, stream: StreamId);

    /// Sends what is queued, then closes the stream. Received bytes are thrown away meanwhile.
    /// Gives up after [`LoopConfig::linger`].
    fn close_after_flush(&mut self, stream: StreamId);

    /// Opens a stream to a unix socket. [`Handler::connected`] follows, or [`Handler::closed`]
    /// when the socket later turns out not to accept; a full listen queue is waited for until the
    /// stream is closed. Bytes sent before `connected` are queued.
    ///
    /// # Errors
    ///
    /// When no socket can be made or the connect fails at once (no such file, refused, no rights).
    fn connect_unix(&mut self, path: &Path, tag: u64) -> io::Result<StreamId>;

    /// Opens a stream whose other side is a future that this loop polls. [`Handler::connected`] follows,
    /// as for a socket. What is sent to the stream is for the future to read, what the future writes is
    /// received; the stream ends when the future lets go of its end. A future that panics costs its own
    /// stream alone. One that takes long holds up the loop.
    fn serve(&mut self, tag: u64, service: LocalService) -> StreamId;

    /// Has [`Handler::timer`] called with `token` at `at`, or up to a few milliseconds later.
    /// One token may wait for several times.
    fn set_timer(&mut self, at: Instant, token: u64);

    /// Takes back a timer; `at` and `token` are those it was set with.
    fn cancel_timer(&mut self, at: Instant, token: u64);
}

/// How loops wait for and move bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoopKind {
    /// io_uring where the kernel has it and allows it, else epoll.
    #[default]
    Auto,
    /// io_uring; starting fails without it.
    IoUring,
    /// Epoll.
    Epoll,
}

/// Settings of a loop.
#[derive(Clone, Debug)]
pub struct LoopConfig {
    /// Bytes queued for one stream from which on nothing more is received from its counterpart.
    pub high_water: usize,
    /// Bytes at or below which receiving is taken up again; 16 KiB at least.
    pub low_water: usize,
    /// How the loops wait for and move bytes.
    pub kind: LoopKind,
    /// Size of the receive buffer in bytes; each loop over epoll has one.
    pub receive_buffer: usize,
    /// How long a stream closed with [`Io::close_after_flush`] may take to send what is queued.
    pub linger: Duration,
    /// How long a loop looks for events before it sleeps, while all loops together serve exactly
    /// one accepted connection. It saves the wake-up, which is most of the delay a relay adds when
    /// nothing else runs. Loops leave off while it finds nothing, as on a busy machine or with
    /// slow answers. Zero, the default, turns it off: on a busy machine it costs processor time and
    /// brought no certain gain.
    pub busy_poll: Duration,
}

impl Default for LoopConfig {
    fn default() -> Self {
        Self {
            high_water: 256 * 1024,
            low_water: 64 * 1024,
            kind: LoopKind::Auto,
            receive_buffer: 64 * 1024,
            linger: Duration::from_secs(5),
            busy_poll: Duration::ZERO,
        }
    }
}
