//! Peers that mean harm or do not answer: others are served, and nothing grows without bound.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{PASSWORD, Raw, Setup, USER, capabilities, connect_from, eventually, memory};
use openpeta_gateway::GatewayConfig;

/// Where the harm comes from, but for the flood, since choosing an address costs more than the rest
/// of a connect. Everybody else is at 127.0.0.1.
const ATTACKER: &str = "127.0.0.66";

/// The first five bytes that came tell a greeting from an error.
fn is_greeted(stream: &mut TcpStream) -> bool {
    let mut start = [0; 5];
    stream.read_exact(&mut start).is_ok() && start[4] == 10
}

/// Sends one byte at a time on each of the connections until the gateway has closed them all.
fn trickle(mut streams: Vec<TcpStream>) {
    while !streams.is_empty() {
        streams.retain_mut(|stream| {
            // The packet that they pretend to send is longer than any of them lives.
            let sent = stream.write_all(&[1]);
            let received = stream.set_nonblocking(true).and_then(|()| {
                let received = stream.read(&mut [0; 64]);
                stream.set_nonblocking(false).map(|()| received)
            });
            let is_over = match received.unwrap() {
                Ok(count) => count == 0,
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            };
            sent.is_ok() && !is_over
        });
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn logins_that_never_end_are_let_go_and_do_not_keep_others_out() {
    let mut setup = Setup::with(GatewayConfig {
        login_timeout: Duration::from_secs(1),
        ..GatewayConfig::default()
    });
    setup.publish(|route| route.max_connections = 50);
    let mut steady = setup.raw();
    let mut streams: Vec<_> = (0..300)
        .map(|_| connect_from(ATTACKER, setup.address))
        .collect();
    streams.retain_mut(is_greeted);
    let held = streams.len() as u64;
    assert_eq!(held, 49, "all places but one");
    let slow = thread::spawn(move || trickle(streams));
    // There is no room, but for others there is.
    let mut others: Vec<_> = (0..20).map(|_| setup.raw()).collect();
    for session in others.iter_mut().chain([&mut steady]) {
        assert_eq!(session.execute("DO 1").error(), None);
    }
    slow.join().unwrap();
    eventually("none of them is left", || setup.sessions() == 21);
    let counters = setup.counters();
    assert_eq!(counters.refused_limit, 300 - held);
    assert_eq!(counters.displaced + counters.login_timeouts, held);
    assert_eq!(counters.displaced, 20);
}

#[test]
fn who_was_displaced_is_told() {
    let mut setup = Setup::start();
    setup.publish(|route| route.max_connections = 2);
    let mut streams: Vec<_> = (0..2)
        .map(|_| connect_from(ATTACKER, setup.address))
        .collect();
    assert!(streams.iter_mut().all(is_greeted));
    let mut session = setup.raw();
    let mut rest = Vec::new();
    streams[0].read_to_end(&mut rest).unwrap();
    let told = String::from_utf8_lossy(&rest);
    assert!(told.ends_with("#08004Too many connections"), "{told}");
    // One login each now: that of the attacker is not taken either.
    let mut late = connect_from("127.0.0.67", setup.address);
    assert!(!is_greeted(&mut late));
    assert_eq!(session.execute("DO 1").error(), None);
    assert_eq!(setup.sessions(), 2);
}

#[test]
fn a_flood_of_connects_is_counted_and_others_get_in() {
    let mut setup = Setup::start();
    setup.publish(|route| route.max_connections = 40);
    let mut steady = setup.raw();
    // As many as somebody asks for who wants to measure.
    let wished = std::env::var("OPENPETA_FLOOD").ok();
    let each: u64 = wished.map_or(500, |wished| wished.parse().unwrap());
    let (address, before) = (setup.address, memory());
    let made = AtomicU64::new(0);
    let logins = thread::scope(|scope| {
        let flood: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| flood(address, each, &made)))
            .collect();
        let mut logins = 0;
        loop {
            let mut session = Raw::over(Box::new(connect_from("127.0.0.2", address)));
            let answer = session.try_login(USER, PASSWORD, "shop", capabilities());
            assert_eq!(answer.error(), None, "{}", answer.text());
            assert_eq!(session.execute("DO 1").error(), None);
            assert_eq!(steady.execute("DO 1").error(), None);
            logins += 1;
            if flood.iter().all(|thread| thread.is_finished()) {
                break logins;
            }
        }
    });
    eventually("the flood is over", || setup.sessions() == 1);
    let counters = setup.counters();
    assert_eq!(
        counters.accepted + counters.refused_limit,
        made.load(Ordering::Relaxed) + logins + 1
    );
    assert!(counters.refused_limit > 0);
    let grown = memory().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes for a flood of connects");
}

/// Makes connections, each left when 60 others have come. It is waited for until the gateway has
/// said something, since those that the kernel's queue has no room for are never seen.
fn flood(address: SocketAddr, count: u64, made: &AtomicU64) {
    let mut held = VecDeque::new();
    for _ in 0..count {
        held.push_back(TcpStream::connect(address).unwrap());
        made.fetch_add(1, Ordering::Relaxed);
        if held.len() > 60 {
            held.pop_front().map(|mut oldest| is_greeted(&mut oldest));
        }
    }
    for mut stream in held {
        is_greeted(&mut stream);
    }
}

#[test]
fn a_node_that_does_not_answer_holds_nobody() {
    let setup = Setup::with(GatewayConfig {
        login_timeout: Duration::from_secs(1),
        ..GatewayConfig::default()
    });
    let mut idle = setup.raw();
    let mut asking = setup.raw();
    let mut writing = setup.raw();
    // So that newcomers are not given its connection, whose reset the node does not answer.
    assert_eq!(idle.execute("SET @a = 1").error(), None);
    setup.node.freeze();
    asking.query("DO 1");
    // A statement that the node does not take.
    let mut offered = vec![0xFF, 0xFF, 0xFF, 0, 3];
    offered.resize((16 << 20) + 3, b' ');
    let before = memory();
    writing
        .stream
        .set_write_patience(Duration::from_millis(300));
    let blocked = writing.stream.write_all(&offered).unwrap_err();
    assert!(matches!(
        blocked.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    let grown = memory().saturating_sub(before);
    assert!(
        grown < 8 << 20,
        "{grown} bytes for a node that does not read"
    );
    // Who asks for nothing can leave, and so can who waits for an answer.
    idle.stream.write_all(&[1, 0, 0, 0, 1]).unwrap();
    assert_eq!(idle.rest(), b"");
    drop(writing);
    // Newcomers are told.
    let mut late = TcpStream::connect(setup.address).unwrap();
    let mut told = Vec::new();
    late.read_to_end(&mut told).unwrap();
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("does not answer"), "{told}");
    // And it goes on where it stood.
    setup.node.resume();
    assert_eq!(asking.receive().error(), None);
    assert_eq!(setup.raw().execute("DO 1").error(), None);
    eventually("only one is left", || setup.sessions() <= 2);
}

#[test]
fn a_drain_does_not_wait_for_a_node_that_does_not_answer() {
    let setup = Setup::start();
    let mut asking = setup.raw();
    let mut idle = setup.raw();
    setup.node.freeze();
    asking.query("DO 1");
    eventually("the gateway has it", || setup.counters().commands == 1);
    assert_eq!(setup.gateway.drain(Duration::from_millis(100)), 1);
    assert_eq!(asking.rest(), b"");
    assert_eq!(idle.rest(), b"");
    assert_eq!(setup.sessions(), 0);
    setup.node.resume();
}
