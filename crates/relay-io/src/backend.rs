//! What the event loop needs of the operating system. There are two: readiness by epoll, which
//! works everywhere, and completions by io_uring, which costs fewer system calls.

use std::io;
use std::ops::Range;
use std::time::Duration;

use crate::api::StreamId;
use crate::event_loop::Stream;

/// What a wait brought.
pub(crate) enum Event<A> {
    /// Another thread posted a message.
    Mailbox,
    /// Connections wait at the listener of this index.
    Listener(usize),
    /// Something about a stream.
    Stream(StreamId, A),
}

/// What the loop shall do after an event of a stream.
#[derive(Clone, Copy, Default)]
pub(crate) struct Todo {
    /// Send what is queued, and do what waited for that.
    pub(crate) flush: bool,
    /// Receive.
    pub(crate) receive: bool,
}

/// What receiving from a stream brought.
pub(crate) enum Receipt<C> {
    /// Nothing now; an event will tell.
    Nothing,
    /// Nothing this time, but it should be tried again.
    Again,
    /// Bytes, at least one.
    Bytes(C),
    /// The peer has ended its direction.
    End,
}

/// A way of waiting for and moving bytes.
pub(crate) trait Backend: Sized {
    /// What the backend keeps with each stream.
    type Side: Default;
    /// News of a stream.
    type News;
    /// Received bytes that have not been given back: where they lie.
    type Chunk;
    /// Where received bytes lie.
    type Buffers;

    /// Waits for events, no longer than `timeout` (for ever when there is none), and adds them.
    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event<Self::News>>);

    /// Starts to watch a stream.
    ///
    /// # Errors
    ///
    /// When the operating system lacks what it takes.
    fn watch(&mut self, id: StreamId, stream: &mut Stream<Self::Side>) -> io::Result<()>;

    /// Takes in news of a stream.
    ///
    /// # Errors
    ///
    /// What ended the stream.
    fn take_in(
        &mut self,
        id: StreamId,
        stream: &mut Stream<Self::Side>,
        news: Self::News,
    ) -> io::Result<Todo>;

    /// Takes in news of a stream that is gone.
    fn take_in_late(&mut self, id: StreamId, news: Self::News);

    /// Receives once.
    ///
    /// # Errors
    ///
    /// What the socket reports.
    fn receive(
        &mut self,
        id: StreamId,
        stream: &mut Stream<Self::Side>,
        buffers: &mut Self::Buffers,
    ) -> io::Result<Receipt<Self::Chunk>>;

    /// The received bytes.
    fn bytes<'a>(buffers: &'a mut Self::Buffers, chunk: &'a mut Self::Chunk) -> &'a mut [u8];

    /// Gives received bytes back.
    fn give_back(&mut self, chunk: Self::Chunk);

    /// Sends part of what was received to a stream for which nothing waits; what the socket does
    /// not take now waits in its queue or with the backend. Takes the chunk over.
    ///
    /// # Errors
    ///
    /// What the socket reports.
    fn forward(
        &mut self,
        id: StreamId,
        stream: &mut Stream<Self::Side>,
        buffers: &mut Self::Buffers,
        chunk: Self::Chunk,
        range: Range<usize>,
    ) -> io::Result<()>;

    /// Bytes of a future, as if they had been received: as many as fit into a receive buffer.
    fn lend(buffers: &mut Self::Buffers, bytes: Vec<u8>) -> Self::Chunk;

    /// As [`Self::forward`], of bytes that lie anywhere.
    ///
    /// # Errors
    ///
    /// What the socket reports.
    fn send_own(
        &mut self,
        id: StreamId,
        stream: &mut Stream<Self::Side>,
        bytes: Vec<u8>,
    ) -> io::Result<()>;

    /// Sends what is queued as far as the socket takes it, and sees to it that an event tells
    /// when it takes more.
    ///
    /// # Errors
    ///
    /// What the socket reports.
    fn flush(&mut self, id: StreamId, stream: &mut Stream<Self::Side>) -> io::Result<()>;

    /// An empty buffer with the space of bytes that were sent on a stream, for the next ones.
    fn spare(_side: &mut Self::Side) -> Vec<u8> {
        Vec::new()
    }

    /// Bytes that the backend has taken out of the stream's queue and the socket has not taken.
    fn in_flight(side: &Self::Side) -> usize;

    /// Lets go of a stream: its socket closes once the operating system is done with it.
    fn retire(&mut self, id: StreamId, stream: Stream<Self::Side>);

    /// Waits until the operating system is done with all streams that were retired, as far as
    /// that happens soon.
    fn finish(&mut self);
}
