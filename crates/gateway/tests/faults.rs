//! What goes wrong on either side stays there.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    PASSWORD, PATIENCE, Raw, Setup, USER, capabilities, eventually, memory, stderr,
};
use openpeta_gateway::GatewayConfig;

#[test]
fn a_slow_reader_of_a_large_result_costs_little_memory_and_nobody_else_time() {
    let setup = Setup::start();
    let mut slow = setup.raw();
    let mut other = setup.raw();
    let before = memory();
    let (rows, width) = (200, 1_000_000);
    slow.query(&format!("SELECT REPEAT('z', {width}) FROM seq_1_to_{rows}"));
    // The node fills all buffers on the way, then has to wait.
    eventually("the node waits for the client", || {
        let state = setup.node.administer(
            "SELECT STATE FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT REPEAT%'",
        );
        let sent = setup.counters().bytes_out;
        thread::sleep(Duration::from_millis(50));
        !state.is_empty() && sent > 1_000_000 && sent == setup.counters().bytes_out
    });
    let grown = memory().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for one slow reader");
    assert_eq!(other.execute("DO 1").error(), None);
    let mut total = 0;
    // Column count, one column, EOF; then the rows.
    for _ in 0..3 {
        slow.receive();
    }
    loop {
        let packet = slow.receive();
        if packet.payload[0] == 0xFE && packet.payload.len() < 9 {
            break;
        }
        total += packet.payload.len();
    }
    assert_eq!(total, rows * (width + 4));
    assert_eq!(slow.execute("DO 1").error(), None);
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let setup = Setup::start();
    let mut steady = setup.raw();
    let garbage: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\x01",
        b"\x01\0\0\x01\xff",
        b"\xff\xff\xff\x01",
        b"\x20\0\0\x07aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    for bytes in garbage {
        let mut raw = Raw::greeted(setup.address);
        raw.stream.write_all(bytes).unwrap();
        let rest = raw.rest();
        assert!(rest.is_empty() || rest[4] == 0xFF, "{rest:?}");
    }
    // After the login the node judges, as it would directly.
    let mut raw = setup.raw();
    raw.send(0, b"\x55 no such command");
    assert_eq!(raw.receive().error(), Some(1047));
    // Bytes before the greeting has come.
    let mut early = TcpStream::connect(setup.address).unwrap();
    early.set_read_timeout(Some(PATIENCE)).unwrap();
    early.write_all(&[0; 100]).unwrap();
    let mut rest = Vec::new();
    let _ = early.read_to_end(&mut rest);
    assert_eq!(steady.execute("DO 1").error(), None);
    drop(raw);
    eventually("only the steady session is left", || setup.sessions() == 1);
}

#[test]
fn a_node_that_dies_ends_its_sessions_and_serves_again_after_its_start() {
    let mut setup = Setup::start();
    let mut running = setup.raw();
    let mut idle = setup.raw();
    assert_eq!(idle.execute("SET @a = 1").error(), None);
    running.query("SELECT SLEEP(30)");
    eventually("the statement runs", || {
        setup
            .node
            .administer("SELECT INFO FROM information_schema.PROCESSLIST")
            .contains("SLEEP(30)")
    });
    setup.node.kill();
    // Nobody knows what became of the command.
    assert_eq!(running.rest(), b"");
    assert_eq!(idle.rest(), b"");
    eventually("nothing is left", || setup.sessions() == 0);
    let started = Instant::now();
    let output = setup.client().args(["-e", "SELECT 1"]).output().unwrap();
    assert!(stderr(&output).contains("ERROR"), "{}", stderr(&output));
    assert!(started.elapsed() < Duration::from_secs(5));
    eventually("it is counted", || setup.counters().node_failures == 1);
    setup.node.restart();
    assert_eq!(setup.raw().execute("DO 1").error(), None);
}

#[test]
fn drain_waits_for_transactions_and_cuts_what_is_left() {
    let setup = Setup::start();
    setup.node.administer("CREATE TABLE shop.t (a INT)");
    let mut idle = setup.raw();
    let mut working = setup.raw();
    let mut stubborn = setup.raw();
    for raw in [&mut working, &mut stubborn] {
        assert_eq!(raw.execute("BEGIN").error(), None);
        assert_eq!(raw.execute("INSERT INTO t VALUES (1)").error(), None);
    }
    let drained = thread::scope(|scope| {
        let drain = scope.spawn(|| setup.gateway.drain(Duration::from_millis(1500)));
        assert_eq!(idle.rest(), b"");
        assert!(TcpStream::connect(setup.address).is_err());
        assert_eq!(working.execute("INSERT INTO t VALUES (2)").error(), None);
        assert_eq!(working.execute("COMMIT").error(), None);
        assert_eq!(working.rest(), b"");
        let cut = drain.join().unwrap();
        assert_eq!(stubborn.rest(), b"");
        cut
    });
    assert_eq!(drained, 1);
    assert_eq!(setup.sessions(), 0);
    eventually("the stubborn transaction is rolled back", || {
        setup.node.administer("SELECT COUNT(*) FROM shop.t") == "2\n"
    });
}

#[test]
fn drain_of_an_idle_gateway_is_quick() {
    let setup = Setup::start();
    let _idle = setup.raw();
    let started = Instant::now();
    assert_eq!(setup.gateway.drain(PATIENCE), 0);
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(setup.gateway.endpoints().is_empty());
}

#[test]
fn a_client_that_half_closes_still_gets_its_reply() {
    let setup = Setup::start();
    let stream = TcpStream::connect(setup.address).unwrap();
    let handle = stream.try_clone().unwrap();
    let mut raw = Raw::over(Box::new(stream));
    raw.try_login(USER, PASSWORD, "shop", capabilities());
    raw.query("DO SLEEP(0.2)");
    handle.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(raw.receive().payload[0], 0);
    assert_eq!(raw.rest(), b"");
    eventually("nothing is left", || setup.sessions() == 0);
}

#[test]
fn connect_storms_leave_other_sessions_responsive() {
    let setup = Setup::with(GatewayConfig {
        max_sessions: Some(60),
        ..GatewayConfig::default()
    });
    let mut steady = setup.raw();
    let address = setup.address;
    let worst = thread::scope(|scope| {
        let storm: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    for _ in 0..250 {
                        let mut stream = TcpStream::connect(address).unwrap();
                        let _ = stream.read(&mut [0; 16]);
                    }
                })
            })
            .collect();
        let mut worst = Duration::ZERO;
        while !storm.iter().all(|thread| thread.is_finished()) {
            let asked = Instant::now();
            assert_eq!(steady.execute("DO 1").error(), None);
            worst = worst.max(asked.elapsed());
        }
        worst
    });
    assert!(worst < Duration::from_secs(2), "one query took {worst:?}");
    eventually("the storm is over", || setup.sessions() == 1);
}
