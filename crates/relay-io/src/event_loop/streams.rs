//! The streams of one loop: their sockets, queues and flags, and what a handler may do with them.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, RecvFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType,
};

use super::Timer;
use super::stream::{Phase, Sending, Stream};
use crate::api::{CloseReason, Io, LoopConfig, StreamId};
use crate::backend::{Backend, Receipt, Todo};
use crate::local::{LocalService, LocalSockets, LocalStream, Notices, Wire};
use crate::slots::Slots;
use crate::tasks::Tasks;
use crate::timers::Timers;

/// How long to wait before a connect is tried again that met a full listen queue.
const CONNECT_RETRY: Duration = Duration::from_millis(2);
/// Receives thrown away before a socket is closed, so that the close does not reset the
/// connection and take the last bytes sent with it.
const DISCARDS: usize = 16;

/// A stream that is no more.
pub(super) enum Gone {
    /// An accepted stream, to be counted out.
    Uncounted,
    /// A stream whose end the handler must be told.
    Told {
        stream: StreamId,
        tag: u64,
        why: CloseReason,
    },
}

pub(super) struct Streams<B: Backend> {
    pub(super) config: LoopConfig,
    pub(super) backend: B,
    pub(super) slots: Slots<Stream<B::Side>>,
    ready: VecDeque<StreamId>,
    dirty: Vec<StreamId>,
    gone: VecDeque<Gone>,
    pub(super) timers: Timers<Timer>,
    pub(super) now: Instant,
    /// Futures that are the peers of streams.
    pub(super) tasks: Tasks,
    pub(super) notices: Arc<Notices>,
}

/// What came of receiving once.
pub(super) enum Arrival<C> {
    /// There is nothing for the handler, and nothing more to be had now.
    Nothing,
    /// There is nothing for the handler, but perhaps more to be had.
    Again,
    /// Bytes for the handler, and the stream's tag.
    Bytes(C, u64),
    /// The end, and the stream's tag.
    End(u64),
}

impl<B: Backend> Streams<B> {
    pub(super) fn new(backend: B, config: LoopConfig, notices: Arc<Notices>) -> Self {
        let now = Instant::now();
        Self {
            config,
            backend,
            slots: Slots::new(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            gone: VecDeque::new(),
            timers: Timers::new(now),
            now,
            tasks: Tasks::new(Arc::clone(&notices)),
            notices,
        }
    }

    pub(super) fn add_accepted(&mut self, fd: OwnedFd) -> io::Result<StreamId> {
        let stream = self.slots.insert(Stream::new(fd, Phase::Open, true));
        if let Err(error) = self.watch_new(stream) {
            self.slots.remove(stream);
            return Err(error);
        }
        Ok(stream)
    }

    /// Bytes that the stream's peer has not taken yet.
    fn unsent(&self, stream: StreamId) -> usize {
        self.slots.get(stream).map_or(0, unsent::<B>)
    }

    /// Takes in news of a stream; tells what to do about it.
    pub(super) fn take_in(&mut self, stream: StreamId, news: B::News) -> Todo {
        let Some(s) = self.slots.get_mut(stream) else {
            self.backend.take_in_late(stream, news);
            return Todo::default();
        };
        match self.backend.take_in(stream, s, news) {
            Ok(todo) => todo,
            Err(error) => {
                self.fail(stream, CloseReason::Failed(error));
                Todo::default()
            }
        }
    }

    /// Receives once.
    pub(super) fn receive(
        &mut self,
        stream: StreamId,
        buffers: &mut B::Buffers,
    ) -> Arrival<B::Chunk> {
        let Some(s) = self.slots.get_mut(stream).filter(|s| s.wants_bytes()) else {
            return Arrival::Nothing;
        };
        let is_closing = matches!(s.phase, Phase::Closing);
        if s.is_local() {
            return self.receive_local(stream, buffers);
        }
        match self.backend.receive(stream, s, buffers) {
            Ok(Receipt::Nothing) => Arrival::Nothing,
            Ok(Receipt::Again) => Arrival::Again,
            Ok(Receipt::End) => {
                s.ended = true;
                if is_closing {
                    return Arrival::Nothing;
                }
                if let Some(wire) = s.of_future() {
                    wire.end();
                    return Arrival::Nothing;
                }
                let tag = s.tag;
                // Both directions may have come to their end with this.
                self.mark_dirty(stream);
                Arrival::End(tag)
            }
            Ok(Receipt::Bytes(chunk)) if is_closing => {
                self.backend.give_back(chunk);
                Arrival::Again
            }
            Ok(Receipt::Bytes(mut chunk)) => {
                let Some(wire) = s.of_future() else {
                    return Arrival::Bytes(chunk, s.tag);
                };
                s.held = wire.arrived(B::bytes(buffers, &mut chunk));
                self.backend.give_back(chunk);
                Arrival::Again
            }
            Err(error) => {
                self.fail(stream, CloseReason::Failed(error));
                Arrival::Again
            }
        }
    }

    /// Sends part of what was received, queueing only what is not taken at once.
    pub(super) fn forward(
        &mut self,
        to: StreamId,
        buffers: &mut B::Buffers,
        mut chunk: B::Chunk,
        range: Range<usize>,
    ) {
        let direct = |s: &&mut Stream<B::Side>| {
            !s.is_local()
                && unsent::<B>(s) == 0
                && matches!(s.phase, Phase::Open)
                && s.sending == Sending::Open
                && !range.is_empty()
        };
        let Some(s) = self.slots.get_mut(to).filter(direct) else {
            let bytes = &B::bytes(buffers, &mut chunk)[range];
            if !self.forward_to_future(to, bytes) {
                self.send(to, bytes);
            }
            return self.backend.give_back(chunk);
        };
        if let Err(error) = self.backend.forward(to, s, buffers, chunk, range) {
            return self.fail(to, CloseReason::Failed(error));
        }
        self.throttle_counterpart(to);
    }

    /// Gives bytes to a future, if it serves that stream and nothing waits there before them.
    fn forward_to_future(&self, to: StreamId, bytes: &[u8]) -> bool {
        let free = |s: &&Stream<B::Side>| {
            s.is_local()
                && s.queue.is_empty()
                && matches!(s.phase, Phase::Open)
                && s.sending == Sending::Open
        };
        let stream = self.slots.get(to).filter(free);
        let wire = stream.and_then(|s| s.wire.as_ref());
        wire.is_some_and(|wire| wire.take_all(bytes))
    }

    pub(super) fn flush_all(&mut self) {
        while let Some(stream) = self.dirty.pop() {
            if let Some(s) = self.slots.get_mut(stream) {
                s.in_dirty = false;
                self.flush(stream);
            }
        }
    }

    /// Sends what is queued as far as the socket takes it, then does what waited for that.
    pub(super) fn flush(&mut self, stream: StreamId) {
        let Some(s) = self.slots.get_mut(stream) else {
            return;
        };
        if matches!(s.phase, Phase::Connecting(_)) {
            return;
        }
        match &s.wire {
            Some(wire) if s.is_local() => wire.take_over(&mut s.queue),
            _ => {
                if let Err(error) = self.backend.flush(stream, s) {
                    return self.fail(stream, CloseReason::Failed(error));
                }
            }
        }
        if let Some(wire) = s.of_future() {
            wire.set_unsent(unsent::<B>(s));
        }
        let is_out = unsent::<B>(s) == 0;
        self.throttle_counterpart(stream);
        if is_out {
            self.after_flush(stream);
        }
    }

    fn after_flush(&mut self, stream: StreamId) {
        let Some(s) = self.slots.get_mut(stream) else {
            return;
        };
        if matches!(s.phase, Phase::Closing) {
            return self.discard_and_drop(stream);
        }
        if s.sending == Sending::Finishing {
            s.sending = Sending::Finished;
            match &s.wire {
                Some(wire) if s.is_local() => wire.end(),
                // Fails only when the peer is gone already, which the next receive will tell.
                _ => drop(net::shutdown(s.fd(), Shutdown::Write)),
            }
        }
        if s.sending == Sending::Finished && s.ended {
            self.fail(stream, CloseReason::Ended);
        }
    }

    /// Lets the counterpart of `stream` rest or work, by the length of the queue of `stream`.
    fn throttle_counterpart(&mut self, stream: StreamId) {
        let Some(s) = self.slots.get(stream) else {
            return;
        };
        let (queued, counterpart) = (unsent::<B>(s), s.counterpart);
        let Some(counterpart) = counterpart else {
            return;
        };
        let Some(c) = self.slots.get_mut(counterpart) else {
            return;
        };
        if queued > self.config.high_water {
            c.throttled = true;
        } else if queued <= self.config.low_water && c.throttled {
            c.throttled = false;
            self.push_ready(counterpart);
        }
    }

    /// Takes the stream out and has the handler told why, unless it has closed it itself.
    pub(super) fn fail(&mut self, stream: StreamId, why: CloseReason) {
        if let Some(wire) = self.slots.get(stream).and_then(Stream::of_future) {
            wire.lose(match why {
                CloseReason::Failed(error) => Some(error),
                CloseReason::Ended | CloseReason::Panicked => None,
            });
            self.remove(stream);
            return;
        }
        if let Some((tag, true)) = self.remove(stream) {
            self.gone.push_back(Gone::Told { stream, tag, why });
        }
    }

    /// Ends the patience with a closing stream.
    pub(super) fn drop_closing(&mut self, stream: StreamId) {
        self.remove(stream);
    }

    fn discard_and_drop(&mut self, stream: StreamId) {
        if let Some(s) = self.slots.get(stream).filter(|s| !s.is_local()) {
            let mut scrap = [0; 4096];
            for _ in 0..DISCARDS {
                match net::recv(s.fd(), &mut scrap, RecvFlags::DONTWAIT) {
                    Ok((count, _)) if count > 0 => {}
                    _ => break,
                }
            }
        }
        self.remove(stream);
    }

    /// Takes a stream out; gives its tag and whether the handler still cares for it.
    fn remove(&mut self, stream: StreamId) -> Option<(u64, bool)> {
        let s = self.slots.remove(stream)?;
        if s.accepted {
            self.gone.push_back(Gone::Uncounted);
        }
        if let Some(counterpart) = s.counterpart
            && let Some(c) = self.slots.get_mut(counterpart)
            && c.throttled
        {
            c.throttled = false;
            self.push_ready(counterpart);
        }
        let known = (s.tag, !matches!(s.phase, Phase::Closing));
        if let Some(wire) = &s.wire {
            wire.lose(None);
        }
        if !s.is_local() {
            self.backend.retire(stream, s);
        }
        Some(known)
    }

    /// Lets go of all streams, without telling anybody.
    pub(super) fn close_all(&mut self) {
        self.tasks.clear();
        for stream in self.slots.ids() {
            self.remove(stream);
        }
        self.backend.finish();
    }

    pub(super) fn take_gone(&mut self) -> Option<Gone> {
        self.gone.pop_front()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn push_ready(&mut self, stream: StreamId) {
        if let Some(s) = self.slots.get_mut(stream)
            && !s.in_ready
        {
            s.in_ready = true;
            self.ready.push_back(stream);
        }
    }

    pub(super) fn pop_ready(&mut self) -> Option<StreamId> {
        let stream = self.ready.pop_front()?;
        if let Some(s) = self.slots.get_mut(stream) {
            s.in_ready = false;
        }
        Some(stream)
    }

    /// The tag of a stream whose connect has just succeeded, once.
    pub(super) fn take_connected(&mut self, stream: StreamId) -> Option<u64> {
        let s = self.slots.get_mut(stream)?;
        if !matches!(s.phase, Phase::Connected) {
            return None;
        }
        s.phase = Phase::Open;
        if let Some(wire) = s.of_future() {
            wire.opened();
            return None;
        }
        Some(s.tag)
    }

    /// A stream over a new socket, to be connected.
    pub(super) fn socket_to(&mut self, path: &Path) -> io::Result<StreamId> {
        let address = SocketAddrUnix::new(path)?;
        let fd = net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            None,
        )?;
        let phase = Phase::Connecting(address);
        Ok(self.slots.insert(Stream::new(fd, phase, false)))
    }

    /// Tries a pending connect again.
    pub(super) fn try_connect(&mut self, stream: StreamId) {
        if let Err(error) = self.connect(stream) {
            self.fail(stream, CloseReason::Failed(error));
        }
    }

    fn connect(&mut self, stream: StreamId) -> io::Result<()> {
        let Some(s) = self.slots.get_mut(stream) else {
            return Ok(());
        };
        let Phase::Connecting(address) = &s.phase else {
            return Ok(());
        };
        match net::connect(s.fd(), address) {
            Ok(()) => {
                s.phase = Phase::Connected;
                self.watch_new(stream)?;
                self.mark_dirty(stream);
                self.push_ready(stream);
                Ok(())
            }
            // For a unix socket this means a full listen queue, and no event will tell when
            // there is room.
            Err(Errno::AGAIN | Errno::INTR) => {
                let at = Instant::now() + CONNECT_RETRY;
                self.timers.set(at, Timer::Connect(stream));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn watch_new(&mut self, stream: StreamId) -> io::Result<()> {
        match self.slots.get_mut(stream) {
            Some(s) => self.backend.watch(stream, s),
            None => Ok(()),
        }
    }

    pub(super) fn mark_dirty(&mut self, stream: StreamId) {
        if let Some(s) = self.slots.get_mut(stream)
            && !s.in_dirty
        {
            s.in_dirty = true;
            self.dirty.push(stream);
        }
    }
}

pub(super) fn unsent<B: Backend>(stream: &Stream<B::Side>) -> usize {
    stream.queue.len() + B::in_flight(&stream.side)
}

impl<B: Backend> Io for Streams<B> {
    fn now(&self) -> Instant {
        self.now
    }

    fn set_tag(&mut self, stream: StreamId, tag: u64) {
        if let Some(s) = self.slots.get_mut(stream) {
            s.tag = tag;
        }
    }

    fn send(&mut self, to: StreamId, bytes: &[u8]) {
        let Some(s) = self.slots.get_mut(to) else {
            return;
        };
        if s.sending == Sending::Open && !matches!(s.phase, Phase::Closing) {
            s.queue.push(bytes);
            self.mark_dirty(to);
        }
    }

    fn queued(&self, stream: StreamId) -> usize {
        self.unsent(stream)
    }

    fn pair(&mut self, a: StreamId, b: StreamId) {
        for (one, other) in [(a, b), (b, a)] {
            if let Some(s) = self.slots.get_mut(one) {
                s.counterpart = Some(other);
            }
        }
        self.throttle_counterpart(a);
        self.throttle_counterpart(b);
    }

    fn hold(&mut self, stream: StreamId) {
        if let Some(s) = self.slots.get_mut(stream) {
            s.held = true;
        }
    }

    fn release(&mut self, stream: StreamId) {
        if let Some(s) = self.slots.get_mut(stream) {
            s.held = false;
            self.push_ready(stream);
        }
    }

    fn finish(&mut self, stream: StreamId) {
        if let Some(s) = self.slots.get_mut(stream)
            && s.sending == Sending::Open
        {
            s.sending = Sending::Finishing;
            self.mark_dirty(stream);
        }
    }

    fn close(&mut self, stream: StreamId) {
        self.remove(stream);
    }

    fn close_after_flush(&mut self, stream: StreamId) {
        let Some(s) = self.slots.get_mut(stream) else {
            return;
        };
        if matches!(s.phase, Phase::Connecting(_)) {
            return self.close(stream);
        }
        s.phase = Phase::Closing;
        let at = self.now + self.config.linger;
        self.timers.set(at, Timer::Linger(stream));
        self.mark_dirty(stream);
        self.push_ready(stream);
    }

    fn connect_unix(&mut self, path: &Path, tag: u64) -> io::Result<StreamId> {
        let stream = self.socket_to(path)?;
        self.set_tag(stream, tag);
        if let Err(error) = self.connect(stream) {
            self.remove(stream);
            return Err(error);
        }
        Ok(stream)
    }

    fn serve(&mut self, tag: u64, service: LocalService) -> StreamId {
        let (high, low) = (self.config.high_water, self.config.low_water);
        let wire = Wire::new(&self.notices, high, low);
        let stream = self.slots.insert(Stream::local(Arc::clone(&wire)));
        self.set_tag(stream, tag);
        wire.begin(stream, true);
        let sockets = LocalSockets {
            notices: Arc::clone(&self.notices),
            high_water: high,
            low_water: low,
        };
        self.tasks.spawn(service(LocalStream::new(wire), sockets));
        self.push_ready(stream);
        stream
    }

    fn set_timer(&mut self, at: Instant, token: u64) {
        self.timers.set(at, Timer::Handler(token));
    }

    fn cancel_timer(&mut self, at: Instant, token: u64) {
        self.timers.cancel(at, Timer::Handler(token));
    }
}
