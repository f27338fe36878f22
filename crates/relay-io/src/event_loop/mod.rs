//! The loop: waits, finds out what happened, tells the handler. How bytes move is the backend's
//! business.

mod futures;
mod listeners;
mod patience;
mod stream;
mod streams;

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};

use self::listeners::Listeners;
use self::patience::Patience;
pub(crate) use self::stream::Stream;
use self::streams::{Arrival, Gone, Streams};
use crate::api::{Accepted, CloseReason, Disposition, Handler, LoopConfig, StreamId};
use crate::backend::{Backend, Event};
use crate::epoll::WAKE;
use crate::local::Notice;
use crate::mailbox::{Message, Shared};

/// Receives from one stream before the others get their turn.
const RECEIVE_BUDGET: usize = 8;

/// How often futures get their turn before sockets get theirs.
const NOTICE_ROUNDS: usize = 8;

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
pub(crate) struct EventLoop<C: Send + 'static, B: Backend> {
    index: usize,
    config: LoopConfig,
    shared: Arc<Shared<C>>,
    streams: Streams<B>,
    listeners: Listeners,
    buffers: B::Buffers,
    /// Whether the last wait found work on a stream, so that more is likely to follow at once.
    busy: bool,
    patience: Patience,
    stopping: bool,
    /// Space for what futures have to tell.
    notices: Vec<Notice>,
}

/// An epoll descriptor that tells of a loop's mailbox, and of the listeners added to it later.
///
/// # Errors
///
/// When descriptors run out.
pub(crate) fn watch_mailbox<C>(shared: &Shared<C>, index: usize) -> io::Result<Arc<OwnedFd>> {
    let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
    let wake = EventData::new_u64(WAKE);
    epoll::add(&epoll, &shared.mailboxes[index].wake, wake, EventFlags::IN)?;
    Ok(epoll)
}

impl<C: Send + 'static, B: Backend> EventLoop<C, B> {
    /// `epoll` tells of mailbox and listeners, see [`watch_mailbox`].
    pub(crate) fn new(
        index: usize,
        config: LoopConfig,
        shared: Arc<Shared<C>>,
        epoll: Arc<OwnedFd>,
        backend: B,
        buffers: B::Buffers,
    ) -> Self {
        Self {
            index,
            streams: Streams::new(
                backend,
                config.clone(),
                Arc::clone(&shared.mailboxes[index].notices),
            ),
            listeners: Listeners::new(epoll),
            buffers,
            busy: false,
            patience: Patience::default(),
            stopping: false,
            notices: Vec::new(),
            config,
            shared,
        }
    }

    pub(crate) fn run<H: Handler<Command = C>>(mut self, mut handler: H) {
        let mut events = Vec::new();
        self.streams.notices.settle_here();
        while !self.stopping {
            self.wait(&mut events);
            for event in events.drain(..) {
                match event {
                    Event::Mailbox => self.read_mailbox(&mut handler),
                    Event::Listener(index) => self.accept(index, &mut handler),
                    Event::Stream(stream, news) => self.stream_event(stream, news, &mut handler),
                }
            }
            self.run_ready(&mut handler);
            self.run_timers(&mut handler);
            self.run_notices(&mut handler);
        }
        self.streams.close_all();
    }

    /// Waits for events, not beyond the next timer.
    fn wait(&mut self, events: &mut Vec<Event<B::News>>) {
        if self.streams.has_ready() || !self.streams.notices.is_empty() {
            self.streams.backend.wait(Some(Duration::ZERO), events);
        } else if !self.spin(events) {
            let timeout = self.streams.timers.wait(self.streams.now);
            self.streams.backend.wait(timeout, events);
        }
        self.streams.now = Instant::now();
        self.busy = events
            .iter()
            .any(|event| matches!(event, Event::Stream(..)));
    }

    /// Looks for events without sleeping, as [`LoopConfig::busy_poll`] says.
    fn spin(&mut self, events: &mut Vec<Event<B::News>>) -> bool {
        let alone = self.busy && self.shared.live() == 1;
        if !alone || self.config.busy_poll.is_zero() || !self.patience.try_again() {
            return false;
        }
        let end = Instant::now() + self.config.busy_poll;
        loop {
            self.streams.backend.wait(Some(Duration::ZERO), events);
            let found = !events.is_empty();
            if found || Instant::now() >= end {
                self.patience.learn(found);
                return found;
            }
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
        news: B::News,
        handler: &mut H,
    ) {
        let todo = self.streams.take_in(stream, news);
        if todo.flush {
            self.streams.flush(stream);
        }
        self.settle(handler);
        if todo.receive {
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

    /// Does what futures want done, and lets those go on that were woken.
    fn run_notices<H: Handler<Command = C>>(&mut self, handler: &mut H) {
        for _ in 0..NOTICE_ROUNDS {
            let mut notices = std::mem::take(&mut self.notices);
            self.streams.notices.take(&mut notices);
            let is_quiet = notices.is_empty();
            for notice in notices.drain(..) {
                match notice {
                    Notice::Wake(task) => self.streams.tasks.poll(task),
                    Notice::Wire(stream) => {
                        if self.streams.look_at(stream) {
                            self.receive(stream, handler);
                        }
                    }
                    Notice::Open(path, wire) => self.streams.open_for(&path, wire),
                }
                self.settle(handler);
            }
            self.notices = notices;
            if is_quiet {
                return;
            }
        }
    }

    /// Receives until the stream has nothing more, may receive no more, or its turn is over.
    fn receive<H: Handler<Command = C>>(&mut self, stream: StreamId, handler: &mut H) {
        for _ in 0..RECEIVE_BUDGET {
            match self.streams.receive(stream, &mut self.buffers) {
                Arrival::Nothing => return,
                Arrival::Again => {}
                Arrival::End(tag) => {
                    self.guarded(Some(stream), |streams| handler.ended(streams, stream, tag));
                }
                Arrival::Bytes(chunk, tag) => self.deliver(stream, tag, chunk, handler),
            }
            self.settle(handler);
        }
        self.streams.push_ready(stream);
    }

    fn deliver<H: Handler<Command = C>>(
        &mut self,
        stream: StreamId,
        tag: u64,
        mut chunk: B::Chunk,
        handler: &mut H,
    ) {
        let (streams, buffers) = (&mut self.streams, &mut self.buffers);
        let bytes = B::bytes(buffers, &mut chunk);
        let count = bytes.len();
        let call = || handler.received(streams, stream, tag, bytes);
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Disposition::Forward { to, range }) if range.end <= count => {
                self.streams.forward(to, &mut self.buffers, chunk, range);
                return;
            }
            Ok(Disposition::Forward { .. }) => {
                debug_assert!(false, "range to forward lies outside of what was received");
            }
            Ok(Disposition::Consumed) => {}
            Err(_) => self.streams.fail(stream, CloseReason::Panicked),
        }
        self.streams.backend.give_back(chunk);
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
    fn guarded(&mut self, stream: Option<StreamId>, call: impl FnOnce(&mut Streams<B>)) {
        let streams = &mut self.streams;
        if catch_unwind(AssertUnwindSafe(|| call(streams))).is_err() {
            match stream {
                Some(stream) => self.streams.fail(stream, CloseReason::Panicked),
                None => tracing::error!("a handler panicked outside of any stream"),
            }
        }
    }
}
