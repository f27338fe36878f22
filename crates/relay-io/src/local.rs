//! Streams whose peer is a future on the loop's own thread, and sockets that such a future uses.
//!
//! Both are a [`Wire`]: what goes to the future waits in an inbox, what comes from it in an outbox, and
//! whoever of the two sides has something for the other says so: the loop by the future's waker, the
//! future by a notice to the loop. A future may be polled by another thread for a while; notices then come
//! through the loop's event descriptor.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::api::StreamId;
use crate::queue::SendQueue;

/// What serves a local stream.
pub type LocalFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes what serves a local stream, out of its end of the stream and what it may open.
pub type LocalService = Box<dyn FnOnce(LocalStream, LocalSockets) -> LocalFuture>;

thread_local! {
    /// The address of the notices of the loop that this thread runs.
    static LOOP: Cell<usize> = const { Cell::new(0) };
}

/// What a loop is told by futures and their wakers.
pub(crate) enum Notice {
    /// A future wants to be polled.
    Wake(StreamId),
    /// A wire has something new for the loop.
    Wire(StreamId),
    /// A socket is to be opened.
    Open(PathBuf, Arc<Wire>),
}

/// The notices of one loop that it has not looked at.
pub(crate) struct Notices {
    waiting: Mutex<Vec<Notice>>,
    /// Wakes the loop when it sleeps.
    wake: Arc<OwnedFd>,
}

impl Notices {
    pub(crate) fn new(wake: Arc<OwnedFd>) -> Self {
        Self {
            waiting: Mutex::default(),
            wake,
        }
    }

    /// The calling thread is the one that looks at them, before it ever sleeps.
    pub(crate) fn settle_here(&self) {
        LOOP.set(self.address());
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(crate) fn post(&self, notice: Notice) {
        let mut waiting = lock(&self.waiting);
        waiting.push(notice);
        drop(waiting);
        if LOOP.get() != self.address() {
            // Fails only when the counter is full, and then the loop is awake anyway.
            let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.waiting).is_empty()
    }

    /// Takes them out, and leaves `empty` in their place.
    pub(crate) fn take(&self, empty: &mut Vec<Notice>) {
        debug_assert!(empty.is_empty());
        mem::swap(&mut *lock(&self.waiting), empty);
    }
}

/// What loop and future share of one stream.
pub(crate) struct Wire {
    state: Mutex<State>,
    notices: Arc<Notices>,
    /// As those of the loop's streams.
    high_water: usize,
    low_water: usize,
}

#[derive(Default)]
struct State {
    /// The loop's stream.
    id: Option<StreamId>,
    /// A socket is connected.
    open: bool,
    /// For the future.
    inbox: SendQueue,
    /// Nothing comes behind what is in the inbox.
    ended: bool,
    /// Why not.
    error: Option<io::Error>,
    /// From the future.
    outbox: SendQueue,
    /// Bytes out of the outbox that the peer has not taken.
    unsent: usize,
    /// Nobody takes anything from the outbox any more.
    dead: bool,
    /// The future has let go of it.
    dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The loop was given notice and has not looked.
    noticed: bool,
}

impl Wire {
    pub(crate) fn new(notices: &Arc<Notices>, high_water: usize, low_water: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            notices: Arc::clone(notices),
            high_water,
            low_water,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Tells the loop that there is something new, once.
    fn notify(&self, mut state: MutexGuard<'_, State>) {
        let Some(id) = state.id else { return };
        if !mem::replace(&mut state.noticed, true) {
            drop(state);
            self.notices.post(Notice::Wire(id));
        }
    }

    /// It is the loop's stream of this id, connected or not.
    pub(crate) fn begin(&self, id: StreamId, open: bool) {
        let mut state = self.lock();
        state.id = Some(id);
        state.open = open;
        let has_waited = !state.outbox.is_empty() || state.dropped;
        if has_waited {
            self.notify(state);
        }
    }

    /// The socket is connected.
    pub(crate) fn opened(&self) {
        let mut state = self.lock();
        state.open = true;
        let (reader, writer) = (state.reader.take(), state.writer.take());
        drop(state);
        wake([reader, writer]);
    }

    /// Bytes for the future; tells whether it has so many now that no more are wanted.
    pub(crate) fn arrived(&self, bytes: &[u8]) -> bool {
        let mut state = self.lock();
        if !state.dropped {
            state.inbox.push(bytes);
        }
        let is_full = state.inbox.len() > self.high_water;
        let reader = state.reader.take();
        drop(state);
        wake([reader]);
        is_full
    }

    /// Takes all of these bytes for the future, if there is room for them.
    pub(crate) fn take_all(&self, bytes: &[u8]) -> bool {
        let mut state = self.lock();
        if state.dropped || state.inbox.len() + bytes.len() > self.high_water {
            return false;
        }
        state.inbox.push(bytes);
        let reader = state.reader.take();
        drop(state);
        wake([reader]);
        true
    }

    /// Takes over bytes for the future as far as there is room; all of them when it is not there any
    /// more, which the end of what it sends will tell.
    pub(crate) fn take_over(&self, queue: &mut SendQueue) {
        let mut state = self.lock();
        if state.dropped {
            queue.consume(queue.len());
            return;
        }
        let room = self.high_water.saturating_sub(state.inbox.len());
        let count = room.min(queue.len());
        if count > 0 {
            state.inbox.push(&queue.waiting()[..count]);
            queue.consume(count);
            let reader = state.reader.take();
            drop(state);
            wake([reader]);
        }
    }

    /// Nothing more comes for the future.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        wake([reader]);
    }

    /// The other side is gone, for this reason if it is one.
    pub(crate) fn lose(&self, why: Option<io::Error>) {
        let mut state = self.lock();
        state.ended = true;
        state.dead = true;
        state.id = None;
        state.error = state.error.take().or(why);
        state.outbox = SendQueue::default();
        let (reader, writer) = (state.reader.take(), state.writer.take());
        drop(state);
        wake([reader, writer]);
    }

    /// Looks at what is new: whether bytes wait in the outbox, whether the future has let go, and
    /// whether it wants more bytes.
    pub(crate) fn look(&self) -> Look {
        let mut state = self.lock();
        state.noticed = false;
        Look {
            has_output: !state.outbox.is_empty(),
            is_dropped: state.dropped,
            has_room: state.inbox.len() <= self.low_water,
        }
    }

    /// Takes up to `most` bytes from the future, and leaves `spare` to it, which is empty.
    ///
    /// # Errors
    ///
    /// When there are none: whether none will come.
    pub(crate) fn take_output(
        &self,
        most: usize,
        spare: impl FnOnce() -> Vec<u8>,
    ) -> Result<Vec<u8>, bool> {
        let mut state = self.lock();
        if state.outbox.is_empty() {
            return Err(state.dropped);
        }
        let (mut buffer, waiting) = state.outbox.exchange(spare());
        if waiting.len() > most {
            let rest = waiting.start + most..waiting.end;
            state.outbox.push(&buffer[rest]);
            buffer.truncate(waiting.start + most);
        }
        if waiting.start > 0 {
            buffer.drain(..waiting.start);
        }
        let writer = match state.outbox.len() + state.unsent <= self.low_water {
            true => state.writer.take(),
            false => None,
        };
        drop(state);
        wake([writer]);
        Ok(buffer)
    }

    /// So many bytes out of the outbox are not with the peer yet.
    pub(crate) fn set_unsent(&self, unsent: usize) {
        let mut state = self.lock();
        state.unsent = unsent;
        if state.writer.is_some() && state.outbox.len() + unsent <= self.low_water {
            let writer = state.writer.take();
            drop(state);
            wake([writer]);
        }
    }
}

/// What is new of a wire.
pub(crate) struct Look {
    pub(crate) has_output: bool,
    pub(crate) is_dropped: bool,
    pub(crate) has_room: bool,
}

fn wake(wakers: impl IntoIterator<Item = Option<Waker>>) {
    for waker in wakers.into_iter().flatten() {
        waker.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A future's end of a stream. Dropping it ends the stream once what was written is out.
pub struct LocalStream {
    wire: Arc<Wire>,
}

impl std::fmt::Debug for LocalStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalStream").finish_non_exhaustive()
    }
}

impl LocalStream {
    pub(crate) fn new(wire: Arc<Wire>) -> Self {
        Self { wire }
    }

    /// Appends what has come to `into`; tells how many bytes, 0 when no more will come.
    ///
    /// # Errors
    ///
    /// Why the stream was lost, once.
    pub fn poll_read(&self, context: &Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        let mut state = self.wire.lock();
        if !state.inbox.is_empty() {
            let count = state.inbox.len();
            let was_full = count > self.wire.low_water;
            if into.is_empty() {
                let (buffer, waiting) = state.inbox.exchange(mem::take(into));
                *into = buffer;
                if waiting.start > 0 {
                    into.drain(..waiting.start);
                }
            } else {
                into.extend_from_slice(state.inbox.waiting());
                state.inbox.consume(count);
            }
            if was_full {
                self.wire.notify(state);
            }
            return Poll::Ready(Ok(count));
        }
        if let Some(error) = state.error.take() {
            return Poll::Ready(Err(error));
        }
        if state.ended {
            return Poll::Ready(Ok(0));
        }
        set(&mut state.reader, context);
        Poll::Pending
    }

    /// Takes bytes over, all of them when there is room for one; tells how many.
    ///
    /// # Errors
    ///
    /// When the other side is gone.
    pub fn poll_write(&self, context: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.wire.lock();
        if state.dead {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.outbox.len() + state.unsent > self.wire.high_water {
            set(&mut state.writer, context);
            return Poll::Pending;
        }
        let count = bytes.len().min(self.wire.high_water.max(1));
        state.outbox.push(&bytes[..count]);
        self.wire.notify(state);
        Poll::Ready(Ok(count))
    }
}

impl Drop for LocalStream {
    fn drop(&mut self) {
        let mut state = self.wire.lock();
        state.dropped = true;
        state.inbox = SendQueue::default();
        state.reader = None;
        state.writer = None;
        self.wire.notify(state);
    }
}

fn set(slot: &mut Option<Waker>, context: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(context.waker()),
        None => *slot = Some(context.waker().clone()),
    }
}

/// Opens sockets that the loop serves, for a future that serves a local stream. Cheap to clone.
#[derive(Clone)]
pub struct LocalSockets {
    pub(crate) notices: Arc<Notices>,
    pub(crate) high_water: usize,
    pub(crate) low_water: usize,
}

impl std::fmt::Debug for LocalSockets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalSockets").finish_non_exhaustive()
    }
}

impl LocalSockets {
    /// Connects to a unix socket; a full listen queue is waited for.
    ///
    /// # Errors
    ///
    /// As connecting.
    pub async fn connect(&self, path: &Path) -> io::Result<LocalStream> {
        let wire = Wire::new(&self.notices, self.high_water, self.low_water);
        let stream = LocalStream::new(Arc::clone(&wire));
        self.notices.post(Notice::Open(path.to_owned(), wire));
        std::future::poll_fn(|context| {
            let mut state = stream.wire.lock();
            if state.open {
                return Poll::Ready(Ok(()));
            }
            if state.dead {
                let error = state.error.take();
                let error = error.unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into());
                return Poll::Ready(Err(error));
            }
            set(&mut state.reader, context);
            Poll::Pending
        })
        .await?;
        Ok(stream)
    }
}
