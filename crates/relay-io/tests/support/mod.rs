//! A plain relay as handler, and transports that receive and send in small pieces.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::print_stdout, reason = "says what was left out")]

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use openpeta_relay_io::{
    Accepted, CloseReason, Disposition, Faults, Handler, Io, Kernel, Listener, LoopConfig,
    LoopKind, Loops, Received, StreamId, Transport,
};

/// Relays between accepted connections and a unix socket, and notes what happened.
pub struct Relay {
    pub index: usize,
    pub backend: PathBuf,
    pub log: Arc<Log>,
    /// Each stream's other side.
    others: HashMap<StreamId, StreamId>,
    next_tag: u64,
    by_tag: HashMap<u64, StreamId>,
}

#[derive(Default)]
pub struct Log {
    pub per_loop: Mutex<HashMap<usize, usize>>,
    pub closed: Mutex<Vec<String>>,
    pub commands: Mutex<Vec<(usize, u32)>>,
    pub timers: Mutex<Vec<(u64, Instant)>>,
    pub accepted: Mutex<Vec<Accepted>>,
    pub most_queued: AtomicUsize,
}

impl Log {
    pub fn closed_count(&self) -> usize {
        self.closed.lock().unwrap().len()
    }
}

impl Relay {
    pub fn new(index: usize, backend: PathBuf, log: Arc<Log>) -> Self {
        Self {
            index,
            backend,
            log,
            others: HashMap::new(),
            next_tag: 1,
            by_tag: HashMap::new(),
        }
    }
}

impl Handler for Relay {
    type Command = u32;

    fn accepted(&mut self, io: &mut dyn Io, stream: StreamId, from: Accepted) {
        self.log.accepted.lock().unwrap().push(from);
        *self
            .log
            .per_loop
            .lock()
            .unwrap()
            .entry(self.index)
            .or_default() += 1;
        let tag = self.next_tag;
        self.next_tag += 1;
        io.set_tag(stream, tag);
        match io.connect_unix(&self.backend, tag) {
            Ok(other) => {
                io.hold(stream);
                io.pair(stream, other);
                self.others.insert(stream, other);
                self.others.insert(other, stream);
                self.by_tag.insert(tag, stream);
            }
            Err(_) => {
                io.send(stream, b"no backend");
                io.close_after_flush(stream);
            }
        }
    }

    fn connected(&mut self, io: &mut dyn Io, _stream: StreamId, tag: u64) {
        io.release(self.by_tag[&tag]);
    }

    fn received(
        &mut self,
        io: &mut dyn Io,
        stream: StreamId,
        _tag: u64,
        bytes: &mut [u8],
    ) -> Disposition {
        assert!(!bytes.starts_with(b"panic"), "told to panic");
        let to = self.others[&stream];
        self.log
            .most_queued
            .fetch_max(io.queued(to), Ordering::Relaxed);
        if bytes[0].is_multiple_of(3) {
            // Every way of sending must keep the order.
            let (first, rest) = bytes.split_at(bytes.len() / 2);
            io.send(to, first);
            io.send(to, rest);
            return Disposition::Consumed;
        }
        Disposition::Forward {
            to,
            range: 0..bytes.len(),
        }
    }

    fn ended(&mut self, io: &mut dyn Io, stream: StreamId, _tag: u64) {
        io.finish(self.others[&stream]);
    }

    fn closed(&mut self, io: &mut dyn Io, stream: StreamId, _tag: u64, why: CloseReason) {
        self.log.closed.lock().unwrap().push(format!("{why:?}"));
        if let Some(other) = self.others.remove(&stream)
            && self.others.contains_key(&other)
            && !matches!(why, CloseReason::Ended)
        {
            self.others.remove(&other);
            io.close_after_flush(other);
        }
    }

    fn timer(&mut self, io: &mut dyn Io, token: u64) {
        self.log.timers.lock().unwrap().push((token, io.now()));
    }

    fn command(&mut self, io: &mut dyn Io, command: u32) {
        self.log
            .commands
            .lock()
            .unwrap()
            .push((self.index, command));
        let later = |n| io.now() + Duration::from_millis(n);
        if command == 100 {
            let (soon, never, last) = (later(20), later(30), later(40));
            io.set_timer(last, 3);
            io.set_timer(soon, 1);
            io.set_timer(never, 2);
            io.cancel_timer(never, 2);
        }
    }
}

/// Gives and takes only some bytes per call, after a fixed pattern.
pub struct Pieces {
    pub state: u64,
    pub largest: usize,
}

impl Pieces {
    fn size(&mut self, limit: usize) -> usize {
        self.state = self
            .state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let size = 1 + (self.state >> 33) as usize % self.largest;
        size.min(limit)
    }

    fn hiccup(&mut self) -> bool {
        self.state = self
            .state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.state >> 40).is_multiple_of(5)
    }
}

impl Transport for Pieces {
    fn recv(&mut self, fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
        if self.hiccup() {
            return Err(ErrorKind::Interrupted.into());
        }
        let size = self.size(buffer.len());
        Kernel.recv(fd, &mut buffer[..size])
    }

    fn send(&mut self, fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
        if self.hiccup() {
            return Err(ErrorKind::Interrupted.into());
        }
        let size = self.size(bytes.len());
        Kernel.send(fd, &bytes[..size])
    }
}

/// Over io_uring: as [`Pieces`], with few buffers besides.
pub struct Shreds {
    pub pieces: Pieces,
    pub buffers: u16,
}

impl Faults for Shreds {
    fn received(&mut self, length: usize) -> usize {
        self.pieces.size(length)
    }

    fn sent(&mut self, length: usize) -> usize {
        self.pieces.size(length)
    }

    fn buffers(&self) -> Option<u16> {
        Some(self.buffers)
    }
}

/// Runs a test over each kind of loop that this kernel has.
pub fn over_each_kind(test: impl Fn(LoopKind)) {
    test(LoopKind::Epoll);
    if has_io_uring() {
        test(LoopKind::IoUring);
    }
}

/// Whether this kernel has io_uring and lets us use it.
pub fn has_io_uring() -> bool {
    let config = LoopConfig {
        kind: LoopKind::IoUring,
        ..LoopConfig::default()
    };
    let log = Arc::new(Log::default());
    let make = move |index| Relay::new(index, PathBuf::new(), Arc::clone(&log));
    match Loops::<u32>::start(1, config, make) {
        Ok(_) => true,
        Err(error) => {
            // Any other error is a fault of ours.
            let may_lack = [ErrorKind::PermissionDenied, ErrorKind::Unsupported];
            assert!(may_lack.contains(&error.kind()), "{error}");
            println!("no io_uring here: {error}");
            false
        }
    }
}

pub struct Fixture {
    pub loops: Loops<u32>,
    pub address: SocketAddr,
    pub backend: UnixListener,
    pub log: Arc<Log>,
    _directory: tempfile::TempDir,
}

pub fn start(kind: LoopKind, count: usize) -> Fixture {
    start_with(|make| {
        let config = LoopConfig {
            kind,
            ..LoopConfig::default()
        };
        Loops::start(count, config, move |index| make(index))
    })
}

/// Makes the handler of a loop.
pub type Maker = Arc<dyn Fn(usize) -> Relay + Send + Sync>;

/// A relay over the loops that `start` makes with the given handlers.
pub fn start_with(start: impl FnOnce(Maker) -> io::Result<Loops<u32>>) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backend.sock");
    let backend = UnixListener::bind(&path).unwrap();
    let log = Arc::new(Log::default());
    let its = Arc::clone(&log);
    let make = move |index| Relay::new(index, path.clone(), Arc::clone(&its));
    let loops = start(Arc::new(make)).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local();
    loops.listen(listener, 7);
    Fixture {
        loops,
        address,
        backend,
        log,
        _directory: directory,
    }
}

/// Waits until the condition holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "did not happen in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the address can be bound, so nothing listens there.
pub fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}
