//! A byte relay over the loop: content, back-pressure, ends, timers, commands, exhaustion.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use openpeta_relay_io::{Listener, LoopConfig, LoopKind, Loops};
use support::{Pieces, Shreds, eventually, is_free, over_each_kind, start, start_with};

fn pattern(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

/// Echoes until the end, then ends too.
fn echo(mut stream: UnixStream) {
    thread::spawn(move || {
        let mut buffer = [0; 50_000];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) if stream.write_all(&buffer[..count]).is_err() => return,
                Ok(_) => {}
            }
        }
    });
}

#[test]
fn bytes_survive_short_receives_and_short_sends() {
    over_each_kind(|kind| {
        for largest in [1, 3, 700] {
            let config = LoopConfig {
                high_water: 4096,
                low_water: 100,
                ..LoopConfig::default()
            };
            let pieces = |index| Pieces {
                state: index as u64 + 5,
                largest,
            };
            let fixture = start_with(|make| match kind {
                LoopKind::IoUring => {
                    let shreds = |index| Shreds {
                        pieces: pieces(index),
                        buffers: 2,
                    };
                    Loops::start_completions(2, config, move |index| make(index), shreds)
                }
                _ => Loops::start_over(2, config, move |index| make(index), pieces),
            });
            let length = largest * 30_000;
            let clients: Vec<_> = (0..3)
                .map(|seed| {
                    let address = fixture.address;
                    thread::spawn(move || {
                        let mut client = TcpStream::connect(address).unwrap();
                        let sent = pattern(length.min(3_000_000), seed);
                        let mut writer = client.try_clone().unwrap();
                        let copy = sent.clone();
                        let writing = thread::spawn(move || {
                            writer.write_all(&copy).unwrap();
                            writer.shutdown(Shutdown::Write).unwrap();
                        });
                        let mut got = Vec::new();
                        client.read_to_end(&mut got).unwrap();
                        writing.join().unwrap();
                        assert!(got == sent, "the relay changed the bytes");
                    })
                })
                .collect();
            for _ in 0..clients.len() {
                echo(fixture.backend.accept().unwrap().0);
            }
            for client in clients {
                client.join().unwrap();
            }
            eventually("both sides of three connections end", || {
                fixture.log.closed_count() == 6
            });
            assert!(
                fixture
                    .log
                    .closed
                    .lock()
                    .unwrap()
                    .iter()
                    .all(|why| why == "Ended")
            );
            assert_eq!(fixture.loops.live(), 0);
        }
    });
}

#[test]
fn a_slow_reader_stops_the_sender_and_memory_stays_bounded() {
    over_each_kind(|kind| {
        let fixture = start(kind, 1);
        let mut client = TcpStream::connect(fixture.address).unwrap();
        let (mut backend, _) = fixture.backend.accept().unwrap();
        backend.set_nonblocking(true).unwrap();
        let piece = pattern(64 * 1024, 1);
        let mut written = 0_usize;
        let mut quiet_since = Instant::now();
        // Full once nothing more was taken for a while.
        while quiet_since.elapsed() < Duration::from_millis(300) {
            match backend.write(&piece[written % piece.len()..]) {
                Ok(count) => {
                    written += count;
                    quiet_since = Instant::now();
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    thread::sleep(Duration::from_millis(1));
                }
            }
            assert!(
                written < 64 << 20,
                "the relay took everything and the client nothing"
            );
        }
        let most = fixture.log.most_queued.load(Ordering::Relaxed);
        let limit = LoopConfig::default().high_water + LoopConfig::default().receive_buffer;
        assert!(most <= limit, "{most} bytes were queued");
        // Another connection of the same loop is served meanwhile.
        let mut other = TcpStream::connect(fixture.address).unwrap();
        echo(fixture.backend.accept().unwrap().0);
        other.write_all(b"hello").unwrap();
        let mut answer = [0; 5];
        other.read_exact(&mut answer).unwrap();
        // And all that was taken arrives, with the end behind it.
        drop(backend);
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), written);
        assert!(
            got.iter()
                .enumerate()
                .all(|(at, byte)| *byte == piece[at % piece.len()])
        );
    });
}

#[test]
fn half_close_lets_the_answer_through() {
    over_each_kind(|kind| {
        let fixture = start(kind, 1);
        let mut client = TcpStream::connect(fixture.address).unwrap();
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (mut backend, _) = fixture.backend.accept().unwrap();
        let mut question = String::new();
        backend.read_to_string(&mut question).unwrap();
        assert_eq!(question, "question");
        backend.write_all(b"answer").unwrap();
        drop(backend);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
    });
}

#[test]
fn a_vanished_peer_closes_the_other_side() {
    over_each_kind(|kind| {
        let fixture = start(kind, 1);
        let client = TcpStream::connect(fixture.address).unwrap();
        let (mut backend, _) = fixture.backend.accept().unwrap();
        backend.write_all(b"never read").unwrap();
        eventually("the bytes reach the client", || {
            client.peek(&mut [0; 1]).is_ok()
        });
        // Unread bytes make this a reset.
        drop(client);
        backend
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        assert_eq!(backend.read(&mut [0; 8]).unwrap(), 0);
        eventually("nothing is left", || fixture.loops.live() == 0);
    });
}

#[test]
fn a_refusal_reaches_the_client() {
    over_each_kind(|kind| {
        let fixture = start(kind, 1);
        // Without its file the socket refuses at once.
        let path = fixture
            .backend
            .local_addr()
            .unwrap()
            .as_pathname()
            .unwrap()
            .to_owned();
        std::fs::remove_file(path).unwrap();
        let mut client = TcpStream::connect(fixture.address).unwrap();
        // Bytes on their way in must not turn the close into a reset that eats the answer.
        client.write_all(b"some early bytes").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "no backend");
        eventually("nothing is left", || fixture.loops.live() == 0);
    });
}

#[test]
fn a_full_listen_queue_is_waited_for() {
    over_each_kind(|kind| {
        let fixture = start(kind, 1);
        // Far more than the 128 that the backend's queue holds.
        let mut clients: Vec<_> = (0..200)
            .map(|_| TcpStream::connect(fixture.address).unwrap())
            .collect();
        eventually("all were accepted", || {
            fixture.log.accepted.lock().unwrap().len() == 200
        });
        for client in &mut clients {
            client.write_all(b"ping").unwrap();
        }
        for _ in 0..200 {
            echo(fixture.backend.accept().unwrap().0);
        }
        for client in &mut clients {
            let mut answer = [0; 4];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"ping");
        }
    });
}

#[test]
fn connections_are_spread_evenly_and_carry_addresses() {
    over_each_kind(|kind| {
        let fixture = start(kind, 3);
        let clients: Vec<_> = (0..12)
            .map(|_| TcpStream::connect(fixture.address).unwrap())
            .collect();
        eventually("all were accepted", || {
            fixture.log.accepted.lock().unwrap().len() == 12
        });
        assert!(
            fixture
                .log
                .per_loop
                .lock()
                .unwrap()
                .values()
                .all(|count| *count == 4)
        );
        for accepted in fixture.log.accepted.lock().unwrap().iter() {
            assert_eq!((accepted.listener, accepted.local), (7, fixture.address));
            assert!(
                clients
                    .iter()
                    .any(|client| client.local_addr().unwrap() == accepted.peer)
            );
        }
        assert_eq!(fixture.loops.live(), 12);
        drop(clients);
        // The backend must see the ends too.
        for _ in 0..12 {
            drop(fixture.backend.accept().unwrap());
        }
        eventually("nothing is left", || fixture.loops.live() == 0);
    });
}

#[test]
fn ipv6_works_and_wildcards_tell_the_true_local_address() {
    over_each_kind(|kind| {
        let fixture = start(kind, 1);
        let listener = Listener::bind("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local().port();
        fixture.loops.listen(listener, 8);
        let client = TcpStream::connect(("::1", port)).unwrap();
        eventually("it was accepted", || {
            fixture.log.accepted.lock().unwrap().len() == 1
        });
        let accepted = fixture.log.accepted.lock().unwrap()[0];
        assert_eq!(accepted.local, client.peer_addr().unwrap());
        assert_eq!(accepted.peer, client.local_addr().unwrap());
    });
}

#[test]
fn unlisten_frees_the_address_and_keeps_connections() {
    over_each_kind(|kind| {
        let fixture = start(kind, 2);
        let mut client = TcpStream::connect(fixture.address).unwrap();
        echo(fixture.backend.accept().unwrap().0);
        let second = Listener::bind(fixture.address);
        assert_eq!(second.unwrap_err().kind(), ErrorKind::AddrInUse);
        fixture.loops.unlisten(7);
        assert!(is_free(fixture.address));
        client.write_all(b"still here").unwrap();
        client.read_exact(&mut [0; 10]).unwrap();
    });
}

#[test]
fn a_socket_goes_over_to_other_loops_with_the_clients_that_wait() {
    over_each_kind(|kind| {
        let old = start(kind, 2);
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local();
        // As another process would have it.
        let other = listener.as_fd().try_clone_to_owned().unwrap();
        old.loops.listen(listener, 9);
        let mut served = TcpStream::connect(address).unwrap();
        echo(old.backend.accept().unwrap().0);
        old.loops.unlisten(9);
        let mut waiting = TcpStream::connect(address).unwrap();
        waiting.write_all(b"soon").unwrap();
        served.write_all(b"still here").unwrap();
        served.read_exact(&mut [0; 10]).unwrap();
        assert_eq!(old.log.accepted.lock().unwrap().len(), 1);
        let new = start(kind, 2);
        new.loops.listen(Listener::adopt(other).unwrap(), 9);
        echo(new.backend.accept().unwrap().0);
        waiting.read_exact(&mut [0; 4]).unwrap();
    });
}

#[test]
fn what_does_not_listen_is_not_taken_over() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    assert!(Listener::adopt(socket.into()).is_err());
}

#[test]
fn commands_and_timers_arrive_in_order() {
    over_each_kind(|kind| {
        let fixture = start(kind, 2);
        let commander = fixture.loops.commander();
        let mut next = 0;
        for round in 0..50 {
            commander.send(0, round);
        }
        commander.broadcast(|| {
            next += 1;
            999 + next
        });
        let sent = Instant::now();
        commander.send(1, 100);
        eventually("timers ran out", || {
            fixture.log.timers.lock().unwrap().len() == 2
        });
        let timers = fixture.log.timers.lock().unwrap();
        assert_eq!((timers[0].0, timers[1].0), (1, 3));
        assert!(timers[0].1 >= sent + Duration::from_millis(20));
        assert!(timers[1].1 >= sent + Duration::from_millis(40));
        let commands = fixture.log.commands.lock().unwrap();
        let first: Vec<_> = commands
            .iter()
            .filter(|(index, _)| *index == 0)
            .map(|c| c.1)
            .collect();
        assert_eq!(first, (0..50).chain([1000]).collect::<Vec<_>>());
    });
}

#[test]
fn a_panic_costs_one_connection() {
    over_each_kind(|kind| {
        let fixture = start(kind, 1);
        let mut steady = TcpStream::connect(fixture.address).unwrap();
        echo(fixture.backend.accept().unwrap().0);
        let mut doomed = TcpStream::connect(fixture.address).unwrap();
        echo(fixture.backend.accept().unwrap().0);
        doomed.write_all(b"panic").unwrap();
        assert_eq!(doomed.read(&mut [0; 8]).unwrap_or(0), 0);
        steady.write_all(b"steady").unwrap();
        steady.read_exact(&mut [0; 6]).unwrap();
        assert_eq!(*fixture.log.closed.lock().unwrap(), ["Panicked"]);
    });
}

#[test]
fn a_busy_polling_loop_serves_one_connection_and_then_several() {
    over_each_kind(|kind| {
        let config = LoopConfig {
            kind,
            busy_poll: Duration::from_micros(50),
            ..LoopConfig::default()
        };
        let fixture = start_with(|make| Loops::start(2, config, move |index| make(index)));
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(fixture.address).unwrap());
            echo(fixture.backend.accept().unwrap().0);
            for client in &mut clients {
                for round in 0..200_u32 {
                    client.write_all(&round.to_le_bytes()).unwrap();
                    let mut answer = [0; 4];
                    client.read_exact(&mut answer).unwrap();
                    assert_eq!(u32::from_le_bytes(answer), round);
                }
            }
        }
    });
}
