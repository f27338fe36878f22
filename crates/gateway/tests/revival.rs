//! Sessions whose node goes down and comes back.

use std::thread;
use std::time::Duration;

use crate::support::{Raw, Setup, USER, capabilities, eventually};
use openpeta_gateway::GatewayConfig;

const PREPARE: &str = "CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, a INT);
    CREATE DATABASE other; GRANT ALL ON other.* TO 'app'@'%'";

fn used(setup: &Setup) -> Raw {
    let mut raw = setup.raw();
    assert_eq!(raw.rows("SELECT COUNT(*) FROM t").unwrap(), [["0"]]);
    for statement in [
        "SET NAMES latin1",
        "SET autocommit=0",
        "SET SESSION sql_mode = 'ANSI'",
        "SET autocommit=1",
        "USE other",
        "BEGIN",
        "COMMIT",
    ] {
        assert_eq!(raw.execute(statement).error(), None, "{statement}");
    }
    raw
}

fn goes_on(raw: &mut Raw) {
    let state = "SELECT DATABASE(), @@autocommit, @@sql_mode LIKE '%ANSI%', \
        @@character_set_client, USER()";
    let expected = ["other", "1", "1", "latin1", "app@127.0.0.1"];
    assert_eq!(raw.rows(state).unwrap(), [expected]);
}

#[test]
fn a_session_in_which_nothing_is_lost_survives_a_crash_and_a_shutdown() {
    let mut setup = Setup::start();
    setup.node.administer(PREPARE);
    let mut idle = used(&setup);
    let mut silent = used(&setup);
    for round in 0..2 {
        match round {
            0 => setup.node.kill(),
            _ => setup.node.stop(),
        }
        setup.node.restart();
        goes_on(&mut idle);
        assert_eq!(setup.sessions(), 2);
    }
    goes_on(&mut silent);
    assert_eq!(setup.counters().revived, 3);
    // What it does from now on is on the new connection.
    assert_eq!(
        idle.execute("INSERT INTO shop.t (a) VALUES (1)").error(),
        None
    );
    assert_eq!(setup.node.administer("SELECT COUNT(*) FROM shop.t"), "1\n");
    idle.quit();
    silent.quit();
    eventually("both have left", || setup.sessions() == 0);
}

#[test]
fn a_session_in_which_something_is_lost_ends() {
    let mut setup = Setup::start();
    setup.node.administer(PREPARE);
    setup.node.administer("CREATE TABLE shop.l (a INT)");
    let losses = [
        "SET @a = 1",
        "CREATE TEMPORARY TABLE x (a INT)",
        "INSERT INTO t (a) VALUES (1)",
        "UPDATE t SET a = 2",
        "BEGIN",
        "LOCK TABLES l READ",
        "DO GET_LOCK('a', 1)",
        "PREPARE s FROM 'SELECT 1'",
        "SET @@pseudo_slave_mode = 0",
    ];
    let mut sessions: Vec<_> = losses
        .iter()
        .map(|loss| {
            let mut raw = setup.raw();
            raw.execute(loss);
            raw
        })
        .collect();
    let mut prepared = setup.raw();
    prepared.send(0, b"\x16SELECT 1");
    for _ in 0..3 {
        prepared.receive();
    }
    // A reset leaves nothing, whatever was before.
    let mut reset = setup.raw();
    assert_eq!(reset.execute("SET @a = 1").error(), None);
    let mut reset_later = setup.raw();
    reset_later.execute("INSERT INTO t (a) VALUES (2)");
    reset_later.send(0, b"\x1f");
    assert_eq!(reset_later.receive().error(), None);
    setup.node.kill();
    for (raw, loss) in sessions.iter_mut().zip(losses) {
        assert_eq!(raw.rest(), b"", "{loss}");
    }
    assert_eq!(prepared.rest(), b"");
    assert_eq!(reset.rest(), b"");
    setup.node.restart();
    assert_eq!(reset_later.rows("SELECT 1").unwrap(), [["1"]]);
    assert_eq!(setup.sessions(), 1);
}

#[test]
fn a_command_waits_for_the_node_but_not_for_ever() {
    let mut setup = Setup::with(GatewayConfig {
        revival_time: Duration::from_secs(15),
        ..GatewayConfig::default()
    });
    setup.node.administer(PREPARE);
    let mut raw = used(&setup);
    setup.node.kill();
    thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            goes_on(&mut raw);
            raw
        });
        eventually("the command has come", || setup.counters().bytes_in > 300);
        setup.node.restart();
        waiting.join().unwrap();
    });
    let mut setup = Setup::with(GatewayConfig {
        revival_time: Duration::from_millis(300),
        ..GatewayConfig::default()
    });
    let mut raw = setup.raw();
    setup.node.kill();
    let reply = raw.execute("SELECT 1");
    assert_eq!((reply.sequence, reply.error()), (1, Some(1053)));
    assert!(reply.text().contains("#08S01"), "{}", reply.text());
    assert_eq!(raw.rest(), b"");
    eventually("it has ended", || setup.sessions() == 0);
}

#[test]
fn a_command_under_way_ends_with_its_connection_as_it_does_directly() {
    let mut setup = Setup::start();
    let mut running = setup.raw();
    let mut direct = Raw::direct(&setup.node.socket);
    let reply = direct.try_login(USER, "backend-app", "shop", capabilities());
    assert_eq!(reply.error(), None, "{}", reply.text());
    let mut killed = setup.raw();
    let mut halfway = setup.raw();
    let sleep = |raw: &mut Raw| raw.query("SELECT SLEEP(3600)");
    sleep(&mut running);
    sleep(&mut direct);
    sleep(&mut killed);
    // The first rows are on their way, or there already, when it hangs.
    let rows = "SELECT SLEEP(IF(seq > 9000, 3600, 0)), REPEAT('x', 1000) FROM seq_1_to_10000";
    halfway.query(rows);
    let begun = halfway.receive();
    assert_eq!(begun.error(), None);
    let running_ones = || {
        let count = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%3600%' AND info NOT LIKE '%count%'";
        setup.node.administer(count)
    };
    eventually("all run", || running_ones() == "4\n");
    let id = killed.greeting.connection_id;
    setup.node.administer(&format!("KILL {id}"));
    assert_eq!(killed.rest(), b"");
    setup.node.kill();
    // Nobody knows what became of the command: an error would say what is not known.
    assert_eq!(direct.rest(), b"");
    assert_eq!(running.rest(), b"");
    assert!(!halfway.rest().windows(5).any(|bytes| bytes == b"08S01"));
    eventually("all have ended", || setup.sessions() == 0);
}

#[test]
fn the_first_command_does_not_get_the_answer_of_another_session() {
    let mut setup = Setup::start();
    let mut raw = setup.raw();
    setup.node.kill();
    setup.node.restart();
    let reply = raw.execute("SELECT FOUND_ROWS()");
    assert_eq!(reply.error(), Some(1053));
    assert_eq!(raw.rest(), b"");
}

#[test]
fn a_killed_session_stays_dead_and_hears_what_it_would_directly() {
    let setup = Setup::start();
    let mut sessions = [setup.raw(), Raw::direct(&setup.node.socket)];
    let reply = sessions[1].try_login(USER, "backend-app", "shop", capabilities());
    assert_eq!(reply.error(), None, "{}", reply.text());
    let rests = sessions.each_mut().map(|raw| {
        let id = raw.greeting.connection_id;
        setup.node.administer(&format!("KILL {id}"));
        raw.rest()
    });
    assert_eq!(rests[0], rests[1]);
    eventually("it has ended", || setup.sessions() == 0);
}

#[test]
fn sessions_end_with_their_node_where_that_is_wished() {
    let mut setup = Setup::with(GatewayConfig {
        revival_time: Duration::ZERO,
        ..GatewayConfig::default()
    });
    let mut raw = setup.raw();
    setup.node.kill();
    assert_eq!(raw.rest(), b"");
}
