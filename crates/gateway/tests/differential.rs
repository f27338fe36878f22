//! The same bytes sent to the node directly and through the gateway bring the same bytes back.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use crate::support::{
    OTHER_PASSWORD, OTHER_USER, PASSWORD, PATIENCE, Raw, Setup, USER, capabilities,
};
use openpeta_gateway::GatewayConfig;
use openpeta_mysql_wire::{
    Capabilities, Compression, Greeting, ReplyEvent, ReplyTracker, Status, put_packet,
};

/// What the client sends, one packet after the other, and whether a reply is waited for.
fn script() -> Vec<(&'static str, Vec<u8>)> {
    let query = |text: &str| [b"\x03", text.as_bytes()].concat();
    let prepare = |text: &str| [b"\x16", text.as_bytes()].concat();
    let mut script = vec![
        ("ping", vec![0x0E]),
        ("empty query", vec![0x03]),
        ("comment only", query("-- nothing")),
        (
            "ddl",
            query(
                "CREATE TABLE d (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(20), b DOUBLE, c DATETIME(3), e ENUM('x','y'), g BIT(9))",
            ),
        ),
        (
            "insert",
            query(
                "INSERT INTO d (a, b, c, e, g) VALUES ('one', 1.5, '2020-01-02 03:04:05.678', 'x', b'101'), ('zwei', NULL, NULL, NULL, NULL), ('\u{1F600}', -0.0, '0001-01-01', 'y', 3)",
            ),
        ),
        ("duplicate", query("INSERT INTO d (id) VALUES (1)")),
        ("rows", query("SELECT * FROM d")),
        ("no rows", query("SELECT * FROM d WHERE id < 0")),
        ("warnings", query("SELECT 1/0, CAST('12abc' AS INT)")),
        ("show warnings", query("SHOW WARNINGS")),
        ("syntax error", query("SELEKT 1")),
        ("missing table", query("SELECT * FROM missing")),
        (
            "multi",
            query("SELECT 1; UPDATE d SET b = b + 1; SELECT a FROM d ORDER BY id DESC; SELECT x"),
        ),
        (
            "multi without results",
            query("SET @a = 1; SET @b = 2; DO 1"),
        ),
        (
            "error in the middle of rows",
            query(
                "SELECT IF(seq < 500, REPEAT('r', 100), (SELECT 1 UNION SELECT 2)) FROM seq_1_to_600",
            ),
        ),
        (
            "large",
            query("SELECT REPEAT('L', 300000), seq FROM seq_1_to_10"),
        ),
        ("17 MB", query("SELECT REPEAT('B', 17000000)")),
        (
            "procedure",
            query(
                "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2, 3; INSERT INTO d (a) VALUES ('p'); END",
            ),
        ),
        ("call", query("CALL p()")),
        ("begin", query("BEGIN")),
        ("savepoint", query("SAVEPOINT s")),
        ("change", query("UPDATE d SET a = 'changed'")),
        ("rollback to", query("ROLLBACK TO s")),
        ("commit", query("COMMIT")),
        (
            "found rows",
            query("SELECT SQL_CALC_FOUND_ROWS id FROM d LIMIT 1; SELECT FOUND_ROWS()"),
        ),
        (
            "set",
            query("SET NAMES latin1, autocommit = 0, time_zone = '+05:00'"),
        ),
        (
            "charset",
            query("SELECT 'ä', @@autocommit, @@character_set_results"),
        ),
        ("set back", query("SET NAMES utf8mb4, autocommit = 1")),
        ("init db", b"\x02information_schema".to_vec()),
        ("init missing db", b"\x02missing".to_vec()),
        ("init db back", b"\x02shop".to_vec()),
        ("field list", b"\x04d\0%".to_vec()),
        ("unknown command", vec![0x55, 1, 2, 3]),
        ("set option", vec![0x1B, 1, 0]),
        ("no multi", query("SELECT 1; SELECT 2")),
        ("set option back", vec![0x1B, 0, 0]),
        ("prepare", prepare("SELECT id, a, ? FROM d WHERE id >= ?")),
        ("prepare error", prepare("SELECT FROM")),
        ("prepare without anything", prepare("DO 1")),
        (
            "execute",
            [
                &[0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0],
                &[0, 1, 0xFD, 0, 3, 0][..],
                b"\x03par",
                &2_u32.to_le_bytes(),
            ]
            .concat(),
        ),
        (
            "execute again",
            [
                &[0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0],
                &[0, 0][..],
                b"\x04parm",
                &1_u32.to_le_bytes(),
            ]
            .concat(),
        ),
        ("execute unknown", vec![0x17, 99, 0, 0, 0, 0, 1, 0, 0, 0]),
        (
            "execute with a cursor",
            [
                &[0x17, 1, 0, 0, 0, 1, 1, 0, 0, 0],
                &[0, 0][..],
                b"\x01c",
                &1_u32.to_le_bytes(),
            ]
            .concat(),
        ),
        ("fetch", vec![0x1C, 1, 0, 0, 0, 2, 0, 0, 0]),
        ("fetch the rest", vec![0x1C, 1, 0, 0, 0, 200, 0, 0, 0]),
        ("fetch beyond", vec![0x1C, 1, 0, 0, 0, 1, 0, 0, 0]),
        ("statement reset", vec![0x1A, 1, 0, 0, 0]),
        (
            "xa",
            query(
                "XA START 'x'; INSERT INTO d (a) VALUES ('xa'); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'",
            ),
        ),
        (
            "statement error",
            query("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'own', MYSQL_ERRNO = 5000"),
        ),
        ("lock", query("SELECT GET_LOCK('l', 1), RELEASE_LOCK('l')")),
        (
            "temporary",
            query("CREATE TEMPORARY TABLE tmp AS SELECT 1 AS one; SELECT * FROM tmp"),
        ),
        ("explain", query("EXPLAIN SELECT * FROM d WHERE id = 1")),
        ("reset", vec![0x1F]),
        ("after reset", query("SELECT @a, COUNT(*) FROM d")),
        (
            "long statement",
            query(&format!("SELECT LENGTH('{}')", "s".repeat(400_000))),
        ),
    ];
    script.push(("drop", query("DROP TABLE d; DROP PROCEDURE p")));
    script
}

/// Runs the script straight on the node. Nothing but silence tells that a reply is over; the tracker that the gateway has tells
/// only how long to wait for it.
fn record(setup: &Setup, capabilities: Capabilities) -> Vec<Vec<u8>> {
    let mut raw = Raw::direct(&setup.node.socket);
    let login = raw.try_login(USER, "backend-app", "shop", capabilities);
    assert_eq!(login.error(), None, "{}", login.text());
    let mut replies = vec![login.payload];
    let mut buffer = vec![0; 1 << 20];
    let mut tracker = ReplyTracker::new(capabilities, Status::AUTOCOMMIT);
    for (_, payload) in script() {
        send(&mut raw, &payload);
        let mut reply = Vec::new();
        tracker.begin(payload[0]);
        let mut is_over = false;
        loop {
            raw.stream.set_patience(match is_over {
                true => Duration::from_millis(60),
                false => PATIENCE,
            });
            let count = match raw.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            };
            reply.extend_from_slice(&buffer[..count]);
            let mut at = 0;
            while at < count && !is_over {
                let (used, event) = tracker.feed(&buffer[at..count]);
                at += used;
                is_over = matches!(event, Some(ReplyEvent::Complete { .. }));
            }
        }
        assert!(is_over, "{}", String::from_utf8_lossy(&payload));
        replies.push(reply);
    }
    replies
}

fn send(raw: &mut Raw, payload: &[u8]) {
    let mut packets = Vec::new();
    put_packet(&mut packets, 0, payload);
    raw.stream.write_all(&packets).unwrap();
}

fn compare(setup: &Setup, capabilities: Capabilities) {
    compare_with(setup, capabilities, Capabilities::NONE, |_| ());
}

/// The client of the gateway asks for compression, the other does not.
fn compare_with(
    setup: &Setup,
    capabilities: Capabilities,
    compression: Capabilities,
    greeted: impl Fn(&Raw),
) {
    let expected = record(setup, capabilities);
    let mut raw = Raw::greeted(setup.address);
    greeted(&raw);
    let login = raw.try_login(USER, PASSWORD, "shop", capabilities | compression);
    assert_eq!(login.payload, expected[0], "the login's reply");
    if let Some(compression) = Compression::asked_for(compression, Some(3)) {
        raw = raw.compressed(compression);
    }
    for ((name, payload), expected) in script().into_iter().zip(&expected[1..]) {
        send(&mut raw, &payload);
        let mut reply = vec![0; expected.len()];
        let got = raw.stream.read_exact(&mut reply);
        assert!(got.is_ok(), "{name}: {got:?}");
        let differing = reply.iter().zip(expected).position(|(a, b)| a != b);
        if let Some(at) = differing {
            let part = at.saturating_sub(20)..(at + 60).min(expected.len());
            panic!(
                "{name}, from byte {at} on: direct {:?}, through the gateway {:?}",
                String::from_utf8_lossy(&expected[part.clone()]),
                String::from_utf8_lossy(&reply[part])
            );
        }
    }
    send(&mut raw, &[0x01]);
    assert_eq!(raw.rest(), b"", "nothing may follow the last reply");
}

#[test]
fn a_scripted_conversation_is_identical() {
    let setup = Setup::start();
    compare(&setup, capabilities());
}

fn newer() -> Capabilities {
    capabilities()
        | Capabilities::DEPRECATE_EOF
        | Capabilities::SESSION_TRACK
        | Capabilities::FOUND_ROWS
}

fn mariadb() -> Capabilities {
    capabilities().without(Capabilities::MYSQL)
        | Capabilities::DEPRECATE_EOF
        | Capabilities::MARIADB_CACHE_METADATA
        | Capabilities::MARIADB_EXTENDED_METADATA
        | Capabilities::MARIADB_BULK_OPERATIONS
}

#[test]
fn identical_with_the_newer_capabilities_too() {
    let setup = Setup::start();
    compare(&setup, newer());
}

#[test]
fn identical_for_mariadb_clients() {
    let setup = Setup::start();
    compare(&setup, mariadb());
}

#[test]
fn identical_on_a_connection_that_others_have_used() {
    let setup = Setup::with(GatewayConfig {
        workers: 1,
        ..GatewayConfig::default()
    });
    for capabilities in [capabilities(), newer(), mariadb()] {
        // After one of the same account and after one of another.
        for (user, password) in [(USER, PASSWORD), (OTHER_USER, OTHER_PASSWORD)] {
            let mut before = Raw::greeted(setup.address);
            let login = before.try_login(user, password, "shop", capabilities);
            assert_eq!(login.error(), None, "{}", login.text());
            for statement in [
                "SET @a = 7, sql_mode = 'ANSI', autocommit = 0, time_zone = '+03:00'",
                "SET NAMES latin1",
                "CREATE TEMPORARY TABLE d (nothing INT)",
                "DO GET_LOCK('l', 1)",
                "INSERT INTO d VALUES (1)",
                "USE information_schema",
                "COMMIT",
            ] {
                let reply = before.execute(statement);
                assert_eq!(reply.error(), None, "{statement}: {}", reply.text());
            }
            let greeting = before.greeting.clone();
            before.quit();
            setup.warm(1);
            let used = setup.counters().warm_used;
            compare_with(&setup, capabilities, Capabilities::NONE, |raw| {
                let nonce = raw.greeting.nonce;
                assert_ne!(nonce, greeting.nonce);
                let same = Greeting {
                    nonce,
                    ..greeting.clone()
                };
                assert_eq!(raw.greeting, same);
            });
            assert_eq!(setup.counters().warm_used, used + 1);
            // Statements go on being numbered where the one before left off.
            setup.node.administer("KILL USER app; KILL USER other");
            setup.warm(0);
        }
    }
}

#[test]
fn identical_for_compressing_clients() {
    let setup = Setup::start();
    for compression in [Capabilities::COMPRESS, Capabilities::ZSTD_COMPRESS] {
        compare_with(&setup, capabilities(), compression, |_| ());
    }
}
