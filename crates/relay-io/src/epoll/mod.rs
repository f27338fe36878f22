//! The loop over epoll: waits, finds out what happened, tells the handler.

mod listeners;
mod patience;
mod stream;
mod streams;

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};

use self::listeners::Listeners;
use self::patience::Patience;
use self::streams::{Gone, Streams};
use crate::api::{Accepted, CloseReason, Disposition, Handler, LoopConfig, StreamId};
use crate::mailbox::{Message, Shared};
use crate::sys::Transport;

/// Epoll data with this bit set is not a stream: all bits for the mailbox, else a listener.
const NOT_A_STREAM: u64 = 1 << 63;
const WAKE: u64 = u64::MAX;
/// Events taken from the kernel at a time.
const EVENT_BATCH: usize = 256;
/// Receives from one stream before the others get their turn.
const RECEIVE_BUDGET: usize = 8;

/// A timer of the loop itself or of its handler.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Handler(u64),
    /// The time for a stream's last bytes is over.
    Linger(StreamId),
    /// Try a connect again that met a full listen queue.
    Connect(StreamId),
    /// Accept again after descriptors ran out; the listener's index.
    Accept(usize),
}

/// One loop, to be run on a thread of its own.
pub(crate) struct EventLoop<C: Send + 'static, T: Transport> {
    index: usize,
    config: LoopConfig,
    shared: Arc<Shared<C>>,
    streams: Streams<T>,
    listeners: Listeners,
    /// The receive buffer.
    buffer: Vec<u8>,
    /// Whether the last wait found work on a stream, so that more is likely to follow at once.
    busy: bool,
    patience: Patience,
    stopping: bool,
}

impl<C: Send + 'static, T: Transport> EventLoop<C, T> {
    pub(crate) fn new(
        index: usize,
        config: LoopConfig,
        shared: Arc<Shared<C>>,
        transport: T,
    ) -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let wake = EventData::new_u64(WAKE);
        epoll::add(&epoll, &shared.mailboxes[index].wake, wake, EventFlags::IN)?;
        Ok(Self {
            index,
            streams: Streams::new(Arc::clone(&epoll), config.clone(), transport),
            listeners: Listeners::new(epoll),
            buffer: vec![0; config.receive_buffer.max(1)],
            busy: false,
            patience: Patience::default(),
            stopping: false,
            config,
            shared,
        })
    }

    pub(crate) fn run<H: Handler<Command = C>>(mut self, mut handler: H) {
        let mut events = Vec::with_capacity(EVENT_BATCH);
        while !self.stopping {
            self.wait(&mut events);
            for event in &events {
                let (data, flags) = (event.data.u64(), event.flags);
                if data == WAKE {
                    self.read_mailbox(&mut handler);
                } else if data & NOT_A_STREAM != 0 {
                    self.accept((data & !NOT_A_STREAM) as usize, &mut handler);
                } else {
                    self.stream_event(StreamId(data), flags, &mut handler);
                }
            }
            self.run_ready(&mut handler);
            self.run_timers(&mut handler);
        }
    }

    /// Waits for events, not beyond the next timer.
    fn wait(&mut self, events: &mut Vec<Event>) {
        events.clear();
        if self.streams.has_ready() {
            self.poll(events, Some(Timespec::default()));
        } else if !self.spin(events) {
            let wait = self.streams.timers.wait(self.streams.now);
            let timeout = wait.map(|wait| Timespec {
                tv_sec: wait.as_secs().min(i32::MAX as u64) as i64,
                tv_nsec: wait.subsec_nanos().into(),
            });
            self.poll(events, timeout);
        }
        self.streams.now = Instant::now();
        self.busy = events
            .iter()
            .any(|event| event.data.u64() & NOT_A_STREAM == 0);
    }

    /// Looks for events without sleeping, as [`LoopConfig::busy_poll`] says.
    fn spin(&mut self, events: &mut Vec<Event>) -> bool {
        let alone = self.busy && self.shared.live() == 1;
        if !alone || self.config.busy_poll.is_zero() || !self.patience.try_again() {
            return false;
        }
        let end = Instant::now() + self.config.busy_poll;
        loop {
            self.poll(events, Some(Timespec::default()));
            let found = !events.is_empty();
            if found || Instant::now() >= end {
                self.patience.learn(found);
                return found;
            }
        }
    }

    fn poll(&self, events: &mut Vec<Event>, timeout: Option<Timespec>) {
        let spare = spare_capacity(events);
        match epoll::wait(self.streams.epoll(), spare, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // Only a programming error can bring another one, and going on would spin.
            Err(error) => panic!("epoll wait failed: {error}"),
        }
    }

    fn read_mailbox<H: Handler<Command = C>>(&mut self, handler: &mut H) {
        for message in self.shared.mailboxes[self.index].take() {
            match message {
                Message::Command(command) => {
                    self.guarded(None, |streams| handler.command(streams, command));
                    self.settle(handler);
                }
                Message::Adopt(fd, from) => self.adopt(fd, from, handler),
                Message::Listen(listener, token) => self.listeners.add(listener, token),
                Message::Unlisten(token, done) => {
                    self.listeners.remove(token);
                    drop(done);
                }
                Message::Stop => self.stopping = true,
            }
        }
    }

    fn accept<H: Handler<Command = C>>(&mut self, listener: usize, handler: &mut H) {
        for _ in 0..listeners::ACCEPT_BATCH {
            let Some((fd, from)) = self.listeners.accept(listener, &mut self.streams) else {
                return;
            };
            let target = self.shared.assign(self.index);
            if target == self.index {
                self.adopt(fd, from, handler);
            } else {
                self.shared.mailboxes[target].post(Message::Adopt(fd, from));
            }
        }
    }

    fn adopt<H: Handler<Command = C>>(&mut self, fd: OwnedFd, from: Accepted, handler: &mut H) {
        match self.streams.add_accepted(fd) {
            Ok(stream) => {
                self.guarded(Some(stream), |streams| {
                    handler.accepted(streams, stream, from);
                });
                self.settle(handler);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot watch an accepted connection; it is dropped");
                self.shared.leave(self.index);
            }
        }
    }

    fn stream_event<H: Handler<Command = C>>(
        &mut self,
        stream: StreamId,
        flags: EventFlags,
        handler: &mut H,
    ) {
        if flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP)
            && self.streams.queued_bytes(stream) > 0
        {
            self.streams.flush(stream);
            self.settle(handler);
        }
        let arrivals = EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        if flags.intersects(arrivals) {
            let last = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
            self.streams.mark_readable(stream, last);
            self.receive(stream, handler);
        }
    }

    /// Serves streams whose turn was cut short or that may receive again.
    fn run_ready<H: Handler<Command = C>>(&mut self, handler: &mut H) {
        for _ in 0..self.streams.ready_count() {
            let Some(stream) = self.streams.pop_ready() else {
                return;
            };
            if let Some(tag) = self.streams.take_connected(stream) {
                self.guarded(Some(stream), |streams| {
                    handler.connected(streams, stream, tag);
                });
                self.settle(handler);
            }
            self.receive(stream, handler);
        }
    }

    /// Receives until the stream has nothing more, may receive no more, or its turn is over.
    fn receive<H: Handler<Command = C>>(&mut self, stream: StreamId, handler: &mut H) {
        for _ in 0..RECEIVE_BUDGET {
            if !self.streams.may_receive(stream) {
                return;
            }
            let Some((tag, count)) = self.streams.receive(stream, &mut self.buffer) else {
                self.settle(handler);
                continue;
            };
            if count == 0 {
                self.guarded(Some(stream), |streams| handler.ended(streams, stream, tag));
            } else {
                self.deliver(stream, tag, count, handler);
            }
            self.settle(handler);
        }
        self.streams.push_ready(stream);
    }

    fn deliver<H: Handler<Command = C>>(
        &mut self,
        stream: StreamId,
        tag: u64,
        count: usize,
        handler: &mut H,
    ) {
        let (streams, buffer) = (&mut self.streams, &mut self.buffer);
        let call = || handler.received(streams, stream, tag, &mut buffer[..count]);
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Disposition::Consumed) => {}
            Ok(Disposition::Forward { to, range }) => {
                if let Some(bytes) = self.buffer[..count].get(range) {
                    self.streams.forward(to, bytes);
                } else {
                    debug_assert!(false, "range to forward lies outside of what was received");
                }
            }
            Err(_) => self.streams.fail(stream, CloseReason::Panicked),
        }
    }

    fn run_timers<H: Handler<Command = C>>(&mut self, handler: &mut H) {
        while let Some(timer) = self.streams.timers.pop(self.streams.now) {
            match timer {
                Timer::Handler(token) => {
                    self.guarded(None, |streams| handler.timer(streams, token));
                }
                Timer::Linger(stream) => self.streams.drop_closing(stream),
                Timer::Connect(stream) => self.streams.try_connect(stream),
                Timer::Accept(listener) => self.listeners.take_up(listener),
            }
            self.settle(handler);
        }
    }

    /// After every call of the handler: sends what it queued and tells it of streams that are gone,
    /// until neither brings anything new.
    fn settle<H: Handler<Command = C>>(&mut self, handler: &mut H) {
        loop {
            self.streams.flush_all();
            let Some(gone) = self.streams.take_gone() else {
                return;
            };
            match gone {
                Gone::Uncounted => self.shared.leave(self.index),
                Gone::Told { stream, tag, why } => {
                    self.guarded(None, |streams| handler.closed(streams, stream, tag, why));
                }
            }
        }
    }

    /// Calls the handler so that a panic costs one stream and not all streams of the loop.
    fn guarded(&mut self, stream: Option<StreamId>, call: impl FnOnce(&mut Streams<T>)) {
        let streams = &mut self.streams;
        if catch_unwind(AssertUnwindSafe(|| call(streams))).is_err() {
            match stream {
                Some(stream) => self.streams.fail(stream, CloseReason::Panicked),
                None => tracing::error!("a handler panicked outside of any stream"),
            }
        }
    }
}
