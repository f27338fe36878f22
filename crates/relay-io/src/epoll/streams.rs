//! The streams of one loop: their sockets, queues and flags, and what a handler may do with them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType};

use super::Timer;
use super::stream::{Phase, Sending, Stream};
use crate::api::{CloseReason, Io, LoopConfig, StreamId};
use crate::slots::Slots;
use crate::sys::Transport;
use crate::timers::Timers;

/// How long to wait before a connect is tried again that met a full listen queue.
const CONNECT_RETRY: Duration = Duration::from_millis(2);
/// Receives thrown away before a socket is closed, so that the close does not reset the
/// connection and take the last bytes sent with it.
const DISCARDS: usize = 16;

/// What is watched on a stream at all times; readiness to send only while something waits.
const ARRIVALS: EventFlags = EventFlags::IN
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

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

pub(super) struct Streams<T: Transport> {
    epoll: Arc<OwnedFd>,
    config: LoopConfig,
    transport: T,
    slots: Slots<Stream>,
    ready: VecDeque<StreamId>,
    dirty: Vec<StreamId>,
    gone: VecDeque<Gone>,
    pub(super) timers: Timers<Timer>,
    pub(super) now: Instant,
}

impl<T: Transport> Streams<T> {
    pub(super) fn new(epoll: Arc<OwnedFd>, config: LoopConfig, transport: T) -> Self {
        let now = Instant::now();
        Self {
            epoll,
            config,
            transport,
            slots: Slots::new(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            gone: VecDeque::new(),
            timers: Timers::new(now),
            now,
        }
    }

    pub(super) fn epoll(&self) -> &OwnedFd {
        &self.epoll
    }

    pub(super) fn add_accepted(&mut self, fd: OwnedFd) -> io::Result<StreamId> {
        let stream = self.slots.insert(Stream::new(fd, Phase::Open, true));
        if let Err(error) = self.watch_new(stream) {
            self.slots.remove(stream);
            return Err(error);
        }
        Ok(stream)
    }

    pub(super) fn queued_bytes(&self, stream: StreamId) -> usize {
        self.slots.get(stream).map_or(0, |s| s.queue.len())
    }

    pub(super) fn mark_readable(&mut self, stream: StreamId, last: bool) {
        if let Some(s) = self.slots.get_mut(stream) {
            s.readable = true;
            s.last |= last;
        }
    }

    pub(super) fn may_receive(&self, stream: StreamId) -> bool {
        self.slots.get(stream).is_some_and(Stream::may_receive)
    }

    /// Receives once. Gives the tag and the count (0 at the end), or `None` when nothing is there
    /// for the handler.
    pub(super) fn receive(&mut self, stream: StreamId, buffer: &mut [u8]) -> Option<(u64, usize)> {
        let s = self.slots.get_mut(stream)?;
        match self.transport.recv(s.fd.as_fd(), buffer) {
            Ok(received) if received.count == 0 => {
                s.readable = false;
                s.ended = true;
                if matches!(s.phase, Phase::Closing) {
                    return None;
                }
                let tag = s.tag;
                // Both directions may have come to their end with this.
                self.mark_dirty(stream);
                Some((tag, 0))
            }
            Ok(received) => {
                s.readable = received.more || s.last;
                if matches!(s.phase, Phase::Closing) {
                    return None;
                }
                Some((s.tag, received.count))
            }
            Err(error) => {
                match error.kind() {
                    ErrorKind::WouldBlock => s.readable = false,
                    ErrorKind::Interrupted => {}
                    _ => self.fail(stream, CloseReason::Failed(error)),
                }
                None
            }
        }
    }

    /// Sends bytes that lie in the receive buffer, queueing only what is not taken at once.
    pub(super) fn forward(&mut self, to: StreamId, bytes: &[u8]) {
        let Some(s) = self.slots.get_mut(to) else {
            return;
        };
        let direct = s.queue.is_empty() && matches!(s.phase, Phase::Open);
        if !direct || s.sending != Sending::Open {
            return self.send(to, bytes);
        }
        let sent = match self.transport.send(s.fd.as_fd(), bytes) {
            Ok(sent) => sent,
            Err(error) if is_retry(&error) => 0,
            Err(error) => return self.fail(to, CloseReason::Failed(error)),
        };
        if sent < bytes.len() {
            s.queue.push(&bytes[sent..]);
            self.flush(to);
        }
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
        while !s.queue.is_empty() {
            match self.transport.send(s.fd.as_fd(), s.queue.waiting()) {
                Ok(count) => s.queue.consume(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return self.fail(stream, CloseReason::Failed(error)),
            }
        }
        let waiting = !s.queue.is_empty();
        if waiting != s.watching_out {
            s.watching_out = waiting;
            let out = EventFlags::OUT;
            let flags = if waiting { ARRIVALS | out } else { ARRIVALS };
            let data = EventData::new_u64(stream.0);
            if let Err(error) = epoll::modify(&self.epoll, &s.fd, data, flags) {
                return self.fail(stream, CloseReason::Failed(error.into()));
            }
        }
        self.throttle_counterpart(stream);
        if !waiting {
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
            // Fails only when the peer is gone already, which the next receive will tell.
            let _ = net::shutdown(&s.fd, Shutdown::Write);
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
        let (queued, counterpart) = (s.queue.len(), s.counterpart);
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
        if let Some(s) = self.remove(stream)
            && !matches!(s.phase, Phase::Closing)
        {
            let tag = s.tag;
            self.gone.push_back(Gone::Told { stream, tag, why });
        }
    }

    /// Ends the patience with a closing stream.
    pub(super) fn drop_closing(&mut self, stream: StreamId) {
        self.remove(stream);
    }

    fn discard_and_drop(&mut self, stream: StreamId) {
        if let Some(s) = self.remove(stream) {
            let mut scrap = [0; 4096];
            for _ in 0..DISCARDS {
                match self.transport.recv(s.fd.as_fd(), &mut scrap) {
                    Ok(received) if received.count > 0 => {}
                    _ => return,
                }
            }
        }
    }

    /// Closing the descriptor, when the stream is dropped, also ends its watch.
    fn remove(&mut self, stream: StreamId) -> Option<Stream> {
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
        Some(s)
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
        Some(s.tag)
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
        match net::connect(&s.fd, address) {
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
        if let Some(s) = self.slots.get(stream) {
            let data = EventData::new_u64(stream.0);
            epoll::add(&self.epoll, &s.fd, data, ARRIVALS)?;
        }
        Ok(())
    }

    fn mark_dirty(&mut self, stream: StreamId) {
        if let Some(s) = self.slots.get_mut(stream)
            && !s.in_dirty
        {
            s.in_dirty = true;
            self.dirty.push(stream);
        }
    }
}

fn is_retry(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl<T: Transport> Io for Streams<T> {
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
        self.queued_bytes(stream)
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
        let address = SocketAddrUnix::new(path)?;
        let fd = net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            None,
        )?;
        let phase = Phase::Connecting(address);
        let stream = self.slots.insert(Stream::new(fd, phase, false));
        self.set_tag(stream, tag);
        if let Err(error) = self.connect(stream) {
            self.remove(stream);
            return Err(error);
        }
        Ok(stream)
    }

    fn set_timer(&mut self, at: Instant, token: u64) {
        self.timers.set(at, Timer::Handler(token));
    }

    fn cancel_timer(&mut self, at: Instant, token: u64) {
        self.timers.cancel(at, Timer::Handler(token));
    }
}
