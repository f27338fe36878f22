//! Readiness by epoll, edge-triggered, one descriptor per loop.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::api::StreamId;
use crate::backend::{Backend, Event, Receipt, Todo};
use crate::event_loop::Stream;
use crate::sys::Transport;

/// Epoll data with this bit set is not a stream: all bits for the mailbox, else a listener.
pub(crate) const NOT_A_STREAM: u64 = 1 << 63;
/// Epoll data of the mailbox.
pub(crate) const WAKE: u64 = u64::MAX;
/// Events taken from the kernel at a time.
const EVENT_BATCH: usize = 256;

/// What is watched on a stream at all times; readiness to send only while something waits.
const ARRIVALS: EventFlags = EventFlags::IN
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

/// Readiness by epoll, over the kernel's receive and send or something in their place.
pub(crate) struct Epoll<T> {
    epoll: Arc<OwnedFd>,
    transport: T,
    ready: Vec<epoll::Event>,
}

/// What is known of a stream's socket.
#[derive(Default)]
pub(crate) struct Readiness {
    /// The kernel has announced bytes (or the end) that have not all been received.
    readable: bool,
    /// The announced arrival includes the end or an error, so receiving goes on until it is met.
    last: bool,
    /// Readiness to send is watched.
    watching_out: bool,
}

impl<T: Transport> Epoll<T> {
    pub(crate) fn new(epoll: Arc<OwnedFd>, transport: T) -> Self {
        Self {
            epoll,
            transport,
            ready: Vec::with_capacity(EVENT_BATCH),
        }
    }

    /// Sends bytes on a stream for which nothing waits; those that are not taken now wait in its queue.
    fn send_some(
        &mut self,
        id: StreamId,
        stream: &mut Stream<Readiness>,
        bytes: &[u8],
    ) -> io::Result<()> {
        let sent = match self.transport.send(stream.fd().as_fd(), bytes) {
            Ok(sent) => sent,
            Err(error) if is_retry(&error) => 0,
            Err(error) => return Err(error),
        };
        if sent < bytes.len() {
            stream.queue.push(&bytes[sent..]);
            return self.flush(id, stream);
        }
        Ok(())
    }

    /// Watches for readiness to send while something waits.
    fn watch_out(&self, id: StreamId, stream: &mut Stream<Readiness>) -> io::Result<()> {
        let waiting = !stream.queue.is_empty();
        if waiting != stream.side.watching_out {
            stream.side.watching_out = waiting;
            let out = EventFlags::OUT;
            let flags = if waiting { ARRIVALS | out } else { ARRIVALS };
            epoll::modify(&self.epoll, stream.fd(), EventData::new_u64(id.0), flags)?;
        }
        Ok(())
    }
}

impl<T: Transport> Backend for Epoll<T> {
    type Side = Readiness;
    type News = EventFlags;
    /// How many bytes of the one buffer were filled.
    type Chunk = usize;
    type Buffers = Vec<u8>;

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event<EventFlags>>) {
        self.ready.clear();
        wait_on(&self.epoll, timeout, &mut self.ready);
        events.extend(self.ready.iter().map(|event| match event.data.u64() {
            WAKE => Event::Mailbox,
            data if data & NOT_A_STREAM != 0 => Event::Listener((data & !NOT_A_STREAM) as usize),
            data => Event::Stream(StreamId(data), event.flags),
        }));
    }

    fn watch(&mut self, id: StreamId, stream: &mut Stream<Readiness>) -> io::Result<()> {
        epoll::add(&self.epoll, stream.fd(), EventData::new_u64(id.0), ARRIVALS)?;
        Ok(())
    }

    fn take_in(
        &mut self,
        _id: StreamId,
        stream: &mut Stream<Readiness>,
        flags: EventFlags,
    ) -> io::Result<Todo> {
        let last = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        let receive = last || flags.contains(EventFlags::IN);
        stream.side.readable |= receive;
        stream.side.last |= last;
        let out = EventFlags::OUT | EventFlags::ERR | EventFlags::HUP;
        Ok(Todo {
            flush: flags.intersects(out) && !stream.queue.is_empty(),
            receive,
        })
    }

    fn take_in_late(&mut self, _id: StreamId, _flags: EventFlags) {}

    fn receive(
        &mut self,
        _id: StreamId,
        stream: &mut Stream<Readiness>,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Receipt<usize>> {
        if !stream.side.readable {
            return Ok(Receipt::Nothing);
        }
        match self.transport.recv(stream.fd().as_fd(), buffer) {
            Ok(received) if received.count == 0 => {
                stream.side.readable = false;
                Ok(Receipt::End)
            }
            Ok(received) => {
                stream.side.readable = received.more || stream.side.last;
                Ok(Receipt::Bytes(received.count))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stream.side.readable = false;
                Ok(Receipt::Nothing)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Receipt::Again),
            Err(error) => Err(error),
        }
    }

    fn bytes<'a>(buffer: &'a mut Vec<u8>, count: &'a mut usize) -> &'a mut [u8] {
        &mut buffer[..*count]
    }

    fn give_back(&mut self, _count: usize) {}

    fn forward(
        &mut self,
        id: StreamId,
        stream: &mut Stream<Readiness>,
        buffer: &mut Vec<u8>,
        _count: usize,
        range: Range<usize>,
    ) -> io::Result<()> {
        self.send_some(id, stream, &buffer[range])
    }

    fn lend(buffer: &mut Vec<u8>, bytes: Vec<u8>) -> usize {
        buffer[..bytes.len()].copy_from_slice(&bytes);
        bytes.len()
    }

    fn send_own(
        &mut self,
        id: StreamId,
        stream: &mut Stream<Readiness>,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        self.send_some(id, stream, &bytes)
    }

    fn flush(&mut self, id: StreamId, stream: &mut Stream<Readiness>) -> io::Result<()> {
        while !stream.queue.is_empty() {
            match self
                .transport
                .send(stream.fd().as_fd(), stream.queue.waiting())
            {
                Ok(count) => stream.queue.consume(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.watch_out(id, stream)
    }

    fn in_flight(_side: &Readiness) -> usize {
        0
    }

    /// Closing the descriptor also ends its watch.
    fn retire(&mut self, _id: StreamId, stream: Stream<Readiness>) {
        drop(stream);
    }

    fn finish(&mut self) {}
}

/// Waits on an epoll descriptor.
pub(crate) fn wait_on(epoll: &OwnedFd, timeout: Option<Duration>, ready: &mut Vec<epoll::Event>) {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: timeout.as_secs().min(i32::MAX as u64) as i64,
        tv_nsec: timeout.subsec_nanos().into(),
    });
    match epoll::wait(epoll, spare_capacity(ready), timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        // Only a programming error can bring another one, and going on would spin.
        Err(error) => panic!("epoll wait failed: {error}"),
    }
}

fn is_retry(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
