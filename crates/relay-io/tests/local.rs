//! Streams whose peer is a future of the loop, and sockets that such a future uses.

mod support;

use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};

use openpeta_relay_io::{
    Accepted, CloseReason, Disposition, Handler, Io, Listener, LocalFuture, LocalSockets,
    LocalStream, LoopConfig, LoopKind, Loops, StreamId,
};
use support::{eventually, over_each_kind};

type Service = Arc<dyn Fn(LocalStream, LocalSockets) -> LocalFuture + Send + Sync>;

/// Relays between accepted connections and futures.
struct Relay {
    service: Service,
    others: std::collections::HashMap<StreamId, StreamId>,
    closed: Arc<Mutex<Vec<String>>>,
    most_queued: Arc<AtomicUsize>,
}

impl Handler for Relay {
    type Command = ();

    fn accepted(&mut self, io: &mut dyn Io, stream: StreamId, _from: Accepted) {
        let service = Arc::clone(&self.service);
        let other = io.serve(1, Box::new(move |stream, sockets| service(stream, sockets)));
        io.pair(stream, other);
        self.others.insert(stream, other);
        self.others.insert(other, stream);
    }

    fn connected(&mut self, _io: &mut dyn Io, _stream: StreamId, tag: u64) {
        assert_eq!(tag, 1);
    }

    fn received(
        &mut self,
        io: &mut dyn Io,
        stream: StreamId,
        _tag: u64,
        bytes: &mut [u8],
    ) -> Disposition {
        let to = self.others[&stream];
        self.most_queued.fetch_max(io.queued(to), Ordering::Relaxed);
        if bytes[0].is_multiple_of(3) {
            let (first, rest) = bytes.split_at(bytes.len() / 2);
            io.send(to, first);
            io.send(to, rest);
            return Disposition::Consumed;
        }
        let range = 0..bytes.len();
        Disposition::Forward { to, range }
    }

    fn ended(&mut self, io: &mut dyn Io, stream: StreamId, _tag: u64) {
        io.finish(self.others[&stream]);
    }

    fn closed(&mut self, io: &mut dyn Io, stream: StreamId, _tag: u64, why: CloseReason) {
        self.closed.lock().unwrap().push(format!("{why:?}"));
        if let Some(other) = self.others.remove(&stream)
            && self.others.contains_key(&other)
            && !matches!(why, CloseReason::Ended)
        {
            self.others.remove(&other);
            io.close_after_flush(other);
        }
    }

    fn timer(&mut self, _io: &mut dyn Io, _token: u64) {}

    fn command(&mut self, _io: &mut dyn Io, (): ()) {}
}

struct Fixture {
    loops: Loops<()>,
    address: std::net::SocketAddr,
    closed: Arc<Mutex<Vec<String>>>,
    most_queued: Arc<AtomicUsize>,
}

impl Fixture {
    fn start<F: Future<Output = ()> + Send + 'static>(
        kind: LoopKind,
        service: impl Fn(LocalStream, LocalSockets) -> F + Send + Sync + 'static,
    ) -> Self {
        let config = LoopConfig {
            kind,
            high_water: 64 << 10,
            low_water: 20 << 10,
            ..LoopConfig::default()
        };
        let (closed, most_queued) = (Arc::default(), Arc::default());
        let (its_closed, its_queued) = (Arc::clone(&closed), Arc::clone(&most_queued));
        let service: Service = Arc::new(move |stream, sockets| Box::pin(service(stream, sockets)));
        let handler = move |_| Relay {
            service: Arc::clone(&service),
            others: Default::default(),
            closed: Arc::clone(&its_closed),
            most_queued: Arc::clone(&its_queued),
        };
        let loops = Loops::start(1, config, handler).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local();
        loops.listen(listener, 7);
        Self {
            loops,
            address,
            closed,
            most_queued,
        }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }
}

async fn read(stream: &LocalStream, into: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|context| stream.poll_read(context, into)).await
}

async fn write(stream: &LocalStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|context| stream.poll_write(context, bytes)).await?;
        bytes = &bytes[count..];
    }
    Ok(())
}

async fn echo(stream: LocalStream) {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match read(&stream, &mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) if write(&stream, &bytes).await.is_err() => return,
            Ok(_) => {}
        }
    }
}

fn pattern(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

/// Sends bytes, says that no more come, and gives what comes back up to the end.
fn round_trip(mut client: TcpStream, sent: Vec<u8>) -> Vec<u8> {
    let mut writer = client.try_clone().unwrap();
    let writing = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    writing.join().unwrap();
    got
}

#[test]
fn bytes_go_to_a_future_and_back_up_to_the_end() {
    over_each_kind(|kind| {
        let fixture = Fixture::start(kind, |stream, _| echo(stream));
        let clients: Vec<_> = (0..3_u32)
            .map(|seed| {
                let client = fixture.connect();
                thread::spawn(move || {
                    let sent = pattern(1_000_000 + seed as usize, seed);
                    assert!(round_trip(client, sent.clone()) == sent, "other bytes");
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        eventually("all streams end", || {
            fixture.closed.lock().unwrap().len() == 6
        });
        let closed = fixture.closed.lock().unwrap();
        assert!(closed.iter().all(|why| why == "Ended"), "{closed:?}");
        assert_eq!(fixture.loops.live(), 0);
    });
}

#[test]
fn who_does_not_read_is_not_sent_more() {
    over_each_kind(|kind| {
        let written = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&written);
        // Writes for ever, and reads nothing.
        let fixture = Fixture::start(kind, move |stream, _| {
            let written = Arc::clone(&its);
            async move {
                while write(&stream, &[1; 1024]).await.is_ok() {
                    written.fetch_add(1024, Ordering::Relaxed);
                }
            }
        });
        let client = fixture.connect();
        client.set_nonblocking(true).unwrap();
        // The client neither reads, so all come to rest.
        let mut sent = 0;
        let mut last = (0, 0);
        eventually("both directions rest", || {
            while let Ok(count) = (&client).write(&[1; 4096]) {
                sent += count;
            }
            let now = (sent, written.load(Ordering::Relaxed));
            let rests = now == last && now.1 > 0;
            last = now;
            thread::sleep(std::time::Duration::from_millis(20));
            rests
        });
        // What the future was given and has not read, and a turn of the loop.
        assert!(fixture.most_queued.load(Ordering::Relaxed) < 400_000);
        drop(client);
        eventually("the future ends", || {
            !fixture.closed.lock().unwrap().is_empty()
        });
    });
}

#[test]
fn what_a_future_wrote_arrives_though_it_has_ended() {
    over_each_kind(|kind| {
        let fixture = Fixture::start(kind, |stream, _| async move {
            write(&stream, &[7; 500_000]).await.unwrap();
        });
        let mut client = fixture.connect();
        // Nobody reads it, and that does not cost the answer.
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert_eq!(got, [7; 500_000]);
    });
}

#[test]
fn a_future_that_panics_ends_its_stream_alone() {
    over_each_kind(|kind| {
        let fixture = Fixture::start(kind, |stream, _| async move {
            let mut bytes = Vec::new();
            read(&stream, &mut bytes).await.unwrap();
            assert!(bytes != b"panic", "told to panic");
            write(&stream, &bytes).await.unwrap();
            echo(stream).await;
        });
        let mut other = fixture.connect();
        other.write_all(b"one").unwrap();
        let mut got = [0; 3];
        other.read_exact(&mut got).unwrap();
        let panicked = round_trip(fixture.connect(), b"panic".to_vec());
        assert_eq!(panicked, b"");
        assert_eq!(round_trip(other, b"two".to_vec()), b"two");
    });
}

/// Pending until somebody on another thread says otherwise.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Gate {
    async fn passed(&self) {
        poll_fn(|context| {
            *self.waker.lock().unwrap() = Some(context.waker().clone());
            match self.open.load(Ordering::Acquire) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

#[test]
fn another_thread_wakes_a_future() {
    over_each_kind(|kind| {
        let gates = Arc::new(Mutex::new(Vec::<Arc<Gate>>::new()));
        let its = Arc::clone(&gates);
        let fixture = Fixture::start(kind, move |stream, _| {
            let gates = Arc::clone(&its);
            async move {
                for round in 0..200_u8 {
                    let gate = Arc::new(Gate::default());
                    gates.lock().unwrap().push(Arc::clone(&gate));
                    gate.passed().await;
                    write(&stream, &[round | 1]).await.unwrap();
                }
            }
        });
        let opener = thread::spawn(move || {
            let mut left = 200;
            while left > 0 {
                for gate in gates.lock().unwrap().drain(..) {
                    gate.open.store(true, Ordering::Release);
                    let waker = gate.waker.lock().unwrap().take();
                    if let Some(waker) = waker {
                        // Twice is once.
                        waker.wake_by_ref();
                        waker.wake();
                    }
                    left -= 1;
                }
                thread::yield_now();
            }
        });
        let got = round_trip(fixture.connect(), Vec::new());
        opener.join().unwrap();
        assert_eq!(got.len(), 200);
    });
}

/// A future that is polled elsewhere, which its own waker is told of when it is done.
struct Elsewhere<F>(Arc<Mutex<Away<F>>>);

struct Away<F> {
    future: Option<Pin<Box<F>>>,
    waker: Option<Waker>,
}

/// What wakes a thread that polls a future.
struct Unpark(thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl<F: Future<Output = ()> + Send + 'static> Elsewhere<F> {
    fn new(future: F, threads: mpsc::Sender<ThreadId>) -> Self {
        let away = Arc::new(Mutex::new(Away {
            future: Some(Box::pin(future)),
            waker: None,
        }));
        let its = Arc::clone(&away);
        thread::spawn(move || {
            let mut future = its.lock().unwrap().future.take().unwrap();
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            threads.send(thread::current().id()).unwrap();
            while future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
            {
                thread::park();
            }
            drop(future);
            let mut away = its.lock().unwrap();
            if let Some(waker) = away.waker.take() {
                waker.wake();
            }
        });
        Self(away)
    }
}

#[test]
fn streams_may_be_used_by_another_thread() {
    over_each_kind(|kind| {
        let (threads, used) = mpsc::channel();
        let fixture = Fixture::start(kind, move |stream, _| {
            let elsewhere = Elsewhere::new(echo(stream), threads.clone());
            poll_fn(move |context| {
                elsewhere.0.lock().unwrap().waker = Some(context.waker().clone());
                Poll::<()>::Pending
            })
        });
        let sent = pattern(500_000, 3);
        assert!(
            round_trip(fixture.connect(), sent.clone()) == sent,
            "other bytes"
        );
        assert_ne!(used.recv().unwrap(), thread::current().id());
    });
}

/// Serves each connection with a thread.
fn backend(path: &Path, serve: impl Fn(UnixStream) + Send + Clone + 'static) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let (serve, connection) = (serve.clone(), connection.unwrap());
            thread::spawn(move || serve(connection));
        }
    });
}

/// Relays between a stream and a socket until one of them ends.
async fn through(stream: LocalStream, sockets: LocalSockets, path: PathBuf) {
    let socket = match sockets.connect(&path).await {
        Ok(socket) => socket,
        Err(error) => {
            let _ = write(&stream, format!("{:?}", error.kind()).as_bytes()).await;
            return;
        }
    };
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match read(&stream, &mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                if write(&socket, &bytes).await.is_err() {
                    return;
                }
                let mut back = Vec::new();
                while back.len() < count {
                    match read(&socket, &mut back).await {
                        Ok(0) | Err(_) => return,
                        Ok(_) => {}
                    }
                }
                if write(&stream, &back).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[test]
fn a_future_uses_sockets_of_the_loop() {
    over_each_kind(|kind| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backend.sock");
        let ended = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&ended);
        backend(&path, move |mut connection| {
            let mut buffer = [0; 30_000];
            loop {
                match connection.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => connection.write_all(&buffer[..count]).unwrap(),
                }
            }
            its.fetch_add(1, Ordering::Relaxed);
        });
        let fixture = Fixture::start(kind, move |stream, sockets| {
            through(stream, sockets, path.clone())
        });
        let clients: Vec<_> = (0..4_u32)
            .map(|seed| {
                let client = fixture.connect();
                thread::spawn(move || {
                    let sent = pattern(300_000, seed);
                    assert!(round_trip(client, sent.clone()) == sent, "other bytes");
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        eventually("the sockets close with their futures", || {
            ended.load(Ordering::Relaxed) == 4
        });
    });
}

#[test]
fn a_future_is_told_that_its_socket_is_not_there_or_is_gone() {
    over_each_kind(|kind| {
        let directory = tempfile::tempdir().unwrap();
        let (absent, path) = (
            directory.path().join("absent"),
            directory.path().join("sock"),
        );
        let fixture = Fixture::start(kind, move |stream, sockets| {
            through(stream, sockets, absent.clone())
        });
        assert_eq!(round_trip(fixture.connect(), b"x".to_vec()), b"NotFound");
        backend(&path, |mut connection| {
            let mut byte = [0];
            connection.read_exact(&mut byte).unwrap();
        });
        let fixture = Fixture::start(kind, move |stream, sockets| {
            through(stream, sockets, path.clone())
        });
        assert_eq!(round_trip(fixture.connect(), b"x".to_vec()), b"");
    });
}

#[test]
fn a_loop_that_stops_drops_its_futures() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    over_each_kind(|kind| {
        let (started, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (its_started, its_dropped) = (Arc::clone(&started), Arc::clone(&dropped));
        let fixture = Fixture::start(kind, move |stream, _| {
            let guard = Dropped(Arc::clone(&its_dropped));
            its_started.fetch_add(1, Ordering::Relaxed);
            async move {
                let _guard = guard;
                let mut bytes = Vec::new();
                let _ = read(&stream, &mut bytes).await;
            }
        });
        let _clients = [fixture.connect(), fixture.connect()];
        eventually("both are served", || started.load(Ordering::Relaxed) == 2);
        fixture.loops.stop();
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
    });
}
