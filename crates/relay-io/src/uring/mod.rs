//! Completions by io_uring: one ring per loop.
//!
//! Each stream has one receive armed that goes on by itself and takes its buffers from a ring of
//! them; what it brings is sent on out of the same buffer. All that a round of the loop wants done
//! goes to the kernel with the wait for the next round, in one system call.

mod buffers;
mod faults;
mod side;

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use io_uring::squeue::Entry;
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::SendFlags;

pub(crate) use self::buffers::Memory;
use self::buffers::{Buffers, GROUP, Lent};
pub use self::faults::{Faults, NoFaults};
use self::side::{Arrived, Receiving, Sending};
pub(crate) use self::side::{Chunk, Side};
use crate::api::StreamId;
use crate::backend::{Backend, Event, Receipt, Todo};
use crate::epoll::{NOT_A_STREAM, WAKE, wait_on};
use crate::event_loop::Stream;

/// Requests that fit into the queue before it is handed to the kernel.
const QUEUE: u32 = 1024;
/// Receive buffers of a loop, and the bytes of each: enough for one arrival on each of many
/// streams, and few enough system calls for a large result.
const BUFFERS: u16 = 256;
const BUFFER_SIZE: usize = 16 * 1024;
/// Listener events taken at a time.
const LISTENER_BATCH: usize = 64;
/// Rounds in which requests under way may come to their end when the loop stops.
const LAST_ROUNDS: usize = 100;
/// How long one of them waits.
const LAST_ROUND: Duration = Duration::from_millis(10);

/// The upper bits of a request's number say what it is; the others are the stream's id, which
/// leaves them free.
const KIND: u64 = 0b11 << 61;
const RECEIVE: u64 = 0;
const SEND: u64 = 0b01 << 61;
const CANCEL: u64 = 0b10 << 61;
const POLL: u64 = 0b11 << 61;

/// Completions by io_uring.
pub(crate) struct Uring<F> {
    // Declared before the memory that the kernel may use, so that it is dropped first.
    ring: IoUring,
    buffers: Buffers,
    /// Tells of mailbox and listeners; the ring polls it.
    epoll: Arc<OwnedFd>,
    polling: bool,
    /// The descriptor above may have more to tell without the ring saying so.
    recheck: bool,
    ready: Vec<epoll::Event>,
    /// Streams whose receive ended for want of a buffer.
    starved: Vec<StreamId>,
    /// Sends that are done once the kernel has taken over the queue, unless a completion says
    /// otherwise, and the bytes of each.
    at_once: Vec<(StreamId, usize)>,
    /// Something waits for one of them, so the next wait must not.
    hurry: bool,
    /// Streams that are gone, as long as the kernel has something to do with them.
    retired: HashMap<StreamId, Stream<Side>>,
    faults: F,
}

/// What the ring tells of a stream.
pub(crate) enum News {
    Received {
        result: i32,
        flags: u32,
    },
    Sent {
        result: i32,
    },
    /// There may be buffers again.
    Retry,
}

/// Whether a ring can be had.
///
/// # Errors
///
/// Why not.
pub(crate) fn probe() -> io::Result<()> {
    // On a thread of its own: when a ring goes, the kernel interrupts a system call of the thread
    // that had it, and callers' system calls are not ours to interrupt.
    let attempt = || {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        Uring::new(epoll, NoFaults).map(drop)
    };
    let thread = thread::Builder::new().name("probe".into()).spawn(attempt)?;
    let panicked = |_| Err(io::Error::other("the attempt panicked"));
    thread.join().unwrap_or_else(panicked)
}

impl<F: Faults> Uring<F> {
    /// A ring for the calling thread, which must be the one that uses it.
    ///
    /// # Errors
    ///
    /// When the kernel has no io_uring, too old a one (before 6.1), or forbids it.
    pub(crate) fn new(epoll: Arc<OwnedFd>, faults: F) -> io::Result<(Self, Memory)> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_coop_taskrun()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(4 * QUEUE)
            .build(QUEUE)?;
        if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let count = faults.buffers().unwrap_or(BUFFERS);
        let buffers = Buffers::new(&ring.submitter(), count, BUFFER_SIZE)?;
        let memory = buffers.memory();
        let uring = Self {
            ring,
            buffers,
            epoll,
            polling: false,
            recheck: false,
            ready: Vec::with_capacity(LISTENER_BATCH),
            starved: Vec::new(),
            at_once: Vec::new(),
            hurry: false,
            retired: HashMap::new(),
            faults,
        };
        Ok((uring, memory))
    }

    /// Queues a request, handing the queue over first when it is full.
    fn push(&mut self, entry: &Entry) {
        loop {
            // SAFETY: what a request points to (a receive buffer, or the bytes in `Sending`)
            // is kept where it is until its completion has been seen: by the stream's `Side`, and
            // by `retired` once the stream is gone.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return;
            }
            // Fails when completions must be taken first, which the next wait does; there is
            // always room for those under way.
            if let Err(error) = self.ring.submit() {
                assert!(is_passing(&error), "cannot submit to the ring: {error}");
            }
        }
    }

    /// Has the ring poll mailbox and listeners.
    fn poll_others(&mut self) {
        if !self.polling {
            self.polling = true;
            let readable = rustix::event::PollFlags::IN.bits();
            let fd = Fd(self.epoll.as_raw_fd());
            let poll = opcode::PollAdd::new(fd, u32::from(readable)).multi(true);
            self.push(&poll.build().user_data(POLL));
        }
    }

    fn arm(&mut self, id: StreamId, stream: &mut Stream<Side>) {
        stream.side.receiving = Receiving::Armed;
        let receive = opcode::RecvMulti::new(Fd(stream.fd().as_raw_fd()), GROUP);
        self.push(&receive.build().user_data(RECEIVE | id.0));
    }

    fn cancel(&mut self, request: u64) {
        self.push(&opcode::AsyncCancel::new(request).build().user_data(CANCEL));
    }

    /// Sends what `sending` says as far as the socket takes it at once, which it nearly always
    /// does in full. No completion tells of that, since it would end the wait for what is awaited.
    /// More than a buffer's bytes are sent in time, since others may wait until they are out.
    fn send_at_once(&mut self, id: StreamId, stream: &Stream<Side>) {
        if stream.side.sending.len() > BUFFER_SIZE {
            return self.send_in_time(id, stream);
        }
        let (send, length) = self.send_request(id, stream, SendFlags::DONTWAIT);
        self.push(&send.flags(squeue::Flags::SKIP_SUCCESS));
        self.at_once.push((id, length));
        // More is to follow.
        self.hurry |= length < stream.side.sending.len();
    }

    /// Sends what `sending` says, waiting until the socket takes it.
    fn send_in_time(&mut self, id: StreamId, stream: &Stream<Side>) {
        let (send, _) = self.send_request(id, stream, SendFlags::empty());
        self.push(&send);
    }

    /// The request, and how many bytes it is about.
    fn send_request(
        &mut self,
        id: StreamId,
        stream: &Stream<Side>,
        flags: SendFlags,
    ) -> (Entry, usize) {
        let (start, range) = match &stream.side.sending {
            Sending::Nothing => (ptr::null(), &(0..0)),
            Sending::Lent(lent, range) => (self.buffers.start(lent), range),
            Sending::Own(bytes, range) => (bytes.as_ptr(), range),
        };
        let length = self.faults.sent(range.len());
        let fd = Fd(stream.fd().as_raw_fd());
        // In time, the kernel itself goes on after a short send; at once, a short send counts as
        // a failure, of which it tells.
        let flags = (SendFlags::NOSIGNAL | flags).bits() | MSG_WAITALL;
        let send = opcode::Send::new(fd, start.wrapping_add(range.start), length as u32)
            .flags(flags as i32)
            .build()
            .user_data(SEND | id.0);
        (send, length)
    }

    /// Takes in that a receive brought something or ended.
    fn received(&mut self, id: StreamId, stream: &mut Stream<Side>, result: i32, flags: u32) {
        let wanted = stream.wants_bytes();
        let side = &mut stream.side;
        if !cqueue::more(flags) {
            side.receiving = Receiving::Idle;
        }
        match (result, cqueue::buffer_select(flags)) {
            (1.., Some(index)) => {
                let mut lent = self.buffers.take(index, result as u32);
                if wanted {
                    let rest = self.split(&mut lent);
                    side.arrived.push_back(Arrived::Bytes(Chunk::Lent(lent)));
                    side.arrived.extend(rest.map(Arrived::Bytes));
                    return;
                }
                // Nobody knows how long it lies there: the buffer is needed elsewhere.
                let copy = self.buffers.memory().bytes(&mut lent).to_vec();
                self.buffers.give_back(lent);
                side.arrived.push_back(Arrived::Bytes(Chunk::Copied(copy)));
                if side.receiving == Receiving::Armed {
                    side.receiving = Receiving::Stopping;
                    self.cancel(RECEIVE | id.0);
                }
            }
            (0, _) => side.arrived.push_back(Arrived::End),
            (error, _) => match Errno::from_raw_os_error(-error) {
                Errno::NOBUFS => self.starved.push(id),
                Errno::CANCELED | Errno::INTR | Errno::AGAIN => {}
                error => side.arrived.push_back(Arrived::Failed(error.into())),
            },
        }
    }

    /// In tests, parts what was received in two.
    fn split(&mut self, lent: &mut Lent) -> Option<Chunk> {
        let first = self.faults.received(lent.len());
        if first >= lent.len() {
            return None;
        }
        let rest = self.buffers.memory().bytes(lent)[first..].to_vec();
        lent.truncate(first);
        Some(Chunk::Copied(rest))
    }

    /// Takes in that a send has ended; tells whether there is room for another.
    fn sent(&mut self, id: StreamId, stream: &mut Stream<Side>, result: i32) -> io::Result<bool> {
        let side = &mut stream.side;
        let failure = match usize::try_from(result) {
            Ok(count) => {
                side.sending.advance(count);
                None
            }
            Err(_) => match Errno::from_raw_os_error(-result) {
                Errno::INTR | Errno::AGAIN => None,
                error => Some(error),
            },
        };
        if failure.is_none() && side.sending.len() > 0 {
            self.send_in_time(id, stream);
            return Ok(false);
        }
        match std::mem::take(&mut side.sending) {
            Sending::Nothing => {}
            Sending::Lent(lent, _) => self.buffers.give_back(lent),
            Sending::Own(bytes, _) => side.keep_spare(bytes),
        }
        match failure {
            None => Ok(true),
            Some(error) => Err(error.into()),
        }
    }

    /// Takes the completions out and adds what they tell, and which sends are done without one.
    fn complete(&mut self, events: &mut Vec<Event<News>>) {
        let known = events.len();
        for completion in self.ring.completion() {
            let (number, result, flags) = (
                completion.user_data(),
                completion.result(),
                completion.flags(),
            );
            let id = StreamId(number & !KIND);
            match number & KIND {
                RECEIVE => events.push(Event::Stream(id, News::Received { result, flags })),
                SEND => {
                    self.at_once.retain(|(failed, _)| *failed != id);
                    events.push(Event::Stream(id, News::Sent { result }));
                }
                POLL => {
                    self.recheck = true;
                    self.polling &= cqueue::more(flags);
                }
                _ => {}
            }
        }
        // Before the kernel has taken over the whole queue, and told all that it had to tell, it is
        // not known what became of them.
        let queue = self.ring.submission();
        if !queue.is_empty() || queue.cq_overflow() {
            self.hurry = !self.at_once.is_empty();
            return;
        }
        drop(queue);
        let done = self.at_once.drain(..).map(|(id, length)| {
            let result = length as i32;
            Event::Stream(id, News::Sent { result })
        });
        // First, so that what came in meanwhile finds its way free.
        events.splice(known..known, done);
    }

    /// Adds what mailbox and listeners have to tell.
    fn check_others(&mut self, events: &mut Vec<Event<News>>) {
        self.ready.clear();
        wait_on(&self.epoll, Some(Duration::ZERO), &mut self.ready);
        // What is not dealt with in one round is told again, but only if asked.
        self.recheck = !self.ready.is_empty();
        events.extend(self.ready.iter().map(|event| match event.data.u64() {
            WAKE => Event::Mailbox,
            data => Event::Listener((data & !NOT_A_STREAM) as usize),
        }));
    }

    /// Hands the queue over and waits for completions.
    fn enter(&mut self, timeout: Option<Duration>) {
        let entered = match timeout {
            Some(Duration::ZERO) => self.ring.submit(),
            None => self.ring.submit_and_wait(1),
            Some(timeout) => {
                let timeout = Timespec::from(timeout);
                let args = SubmitArgs::new().timespec(&timeout);
                self.ring.submitter().submit_with_args(1, &args)
            }
        };
        if let Err(error) = entered {
            // Only a programming error can bring another one, and going on would spin.
            assert!(is_passing(&error), "cannot wait for the ring: {error}");
        }
    }
}

/// `MSG_WAITALL`, which rustix does not offer for sending.
const MSG_WAITALL: u32 = 0x100;

/// Whether an enter failed for a reason that the next one does not meet.
fn is_passing(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN)
    )
}

impl<F: Faults> Backend for Uring<F> {
    type Side = Side;
    type News = News;
    type Chunk = Chunk;
    type Buffers = Memory;

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event<News>>) {
        self.poll_others();
        let hurry = std::mem::take(&mut self.hurry) || self.recheck || !self.starved.is_empty();
        self.enter(if hurry { Some(Duration::ZERO) } else { timeout });
        let starved = self.starved.drain(..);
        events.extend(starved.map(|id| Event::Stream(id, News::Retry)));
        self.complete(events);
        if self.recheck {
            self.check_others(events);
        }
    }

    fn watch(&mut self, id: StreamId, stream: &mut Stream<Side>) -> io::Result<()> {
        self.arm(id, stream);
        Ok(())
    }

    fn take_in(&mut self, id: StreamId, stream: &mut Stream<Side>, news: News) -> io::Result<Todo> {
        match news {
            News::Received { result, flags } => self.received(id, stream, result, flags),
            News::Retry => {}
            News::Sent { result } => {
                let flush = self.sent(id, stream, result)?;
                return Ok(Todo {
                    flush,
                    receive: false,
                });
            }
        }
        Ok(Todo {
            flush: false,
            receive: true,
        })
    }

    fn take_in_late(&mut self, id: StreamId, news: News) {
        let Some(mut stream) = self.retired.remove(&id) else {
            return;
        };
        match news {
            News::Received { result, flags } => {
                if let (1.., Some(index)) = (result, cqueue::buffer_select(flags)) {
                    let lent = self.buffers.take(index, result as u32);
                    self.buffers.give_back(lent);
                }
                if !cqueue::more(flags) {
                    stream.side.receiving = Receiving::Idle;
                }
            }
            News::Sent { .. } => {
                if let Sending::Lent(lent, _) = std::mem::take(&mut stream.side.sending) {
                    self.buffers.give_back(lent);
                }
            }
            News::Retry => {}
        }
        if stream.side.is_in_use() {
            self.retired.insert(id, stream);
        }
    }

    fn receive(
        &mut self,
        id: StreamId,
        stream: &mut Stream<Side>,
        _buffers: &mut Memory,
    ) -> io::Result<Receipt<Chunk>> {
        match stream.side.arrived.pop_front() {
            Some(Arrived::Bytes(chunk)) => Ok(Receipt::Bytes(chunk)),
            Some(Arrived::End) => Ok(Receipt::End),
            Some(Arrived::Failed(error)) => Err(error),
            None => {
                if stream.side.receiving == Receiving::Idle {
                    self.arm(id, stream);
                }
                Ok(Receipt::Nothing)
            }
        }
    }

    fn bytes<'a>(memory: &'a mut Memory, chunk: &'a mut Chunk) -> &'a mut [u8] {
        match chunk {
            Chunk::Lent(lent) => memory.bytes(lent),
            Chunk::Copied(bytes) => bytes,
        }
    }

    fn give_back(&mut self, chunk: Chunk) {
        if let Chunk::Lent(lent) = chunk {
            self.buffers.give_back(lent);
        }
    }

    fn forward(
        &mut self,
        id: StreamId,
        stream: &mut Stream<Side>,
        memory: &mut Memory,
        chunk: Chunk,
        range: Range<usize>,
    ) -> io::Result<()> {
        match chunk {
            // A slow peer would keep the buffer from the others.
            Chunk::Lent(mut lent) if self.buffers.is_scarce() => {
                stream.queue.push(&memory.bytes(&mut lent)[range]);
                self.buffers.give_back(lent);
                return self.flush(id, stream);
            }
            Chunk::Lent(lent) => stream.side.sending = Sending::Lent(lent, range),
            Chunk::Copied(bytes) => stream.side.sending = Sending::Own(bytes, range),
        }
        self.send_at_once(id, stream);
        Ok(())
    }

    fn lend(_memory: &mut Memory, bytes: Vec<u8>) -> Chunk {
        Chunk::Copied(bytes)
    }

    fn send_own(
        &mut self,
        id: StreamId,
        stream: &mut Stream<Side>,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        let range = 0..bytes.len();
        stream.side.sending = Sending::Own(bytes, range);
        self.send_at_once(id, stream);
        Ok(())
    }

    fn flush(&mut self, id: StreamId, stream: &mut Stream<Side>) -> io::Result<()> {
        if !stream.side.sending.is_nothing() {
            self.hurry = !self.at_once.is_empty();
        } else if !stream.queue.is_empty() {
            let (bytes, range) = stream.queue.exchange(stream.side.take_spare());
            stream.side.sending = Sending::Own(bytes, range);
            self.send_in_time(id, stream);
        }
        Ok(())
    }

    fn spare(side: &mut Side) -> Vec<u8> {
        side.take_spare()
    }

    fn in_flight(side: &Side) -> usize {
        side.sending.len()
    }

    fn retire(&mut self, id: StreamId, mut stream: Stream<Side>) {
        for arrived in stream.side.arrived.drain(..) {
            if let Arrived::Bytes(Chunk::Lent(lent)) = arrived {
                self.buffers.give_back(lent);
            }
        }
        if stream.side.receiving == Receiving::Armed {
            self.cancel(RECEIVE | id.0);
        }
        if !stream.side.sending.is_nothing() {
            self.cancel(SEND | id.0);
        }
        if stream.side.is_in_use() {
            self.hurry = !self.at_once.is_empty();
            self.retired.insert(id, stream);
        }
    }

    fn finish(&mut self) {
        let mut events = Vec::new();
        for _ in 0..LAST_ROUNDS {
            if self.retired.is_empty() {
                return;
            }
            self.enter(Some(LAST_ROUND));
            self.complete(&mut events);
            for event in events.drain(..) {
                if let Event::Stream(id, news) = event {
                    self.take_in_late(id, news);
                }
            }
        }
    }
}

impl<F> Drop for Uring<F> {
    /// The kernel may use what its requests point to until they have ended.
    fn drop(&mut self) {
        if !self.retired.is_empty() {
            tracing::error!("requests are still under way; their memory is not given back");
            std::mem::forget(std::mem::take(&mut self.retired));
            std::mem::forget(self.buffers.memory());
        }
    }
}
