//! Whatever a session does, the next one on the same node connection finds it as a new one would.

use crate::support::{
    OTHER_PASSWORD, OTHER_USER, PASSWORD, Raw, Setup, USER, capabilities, eventually,
};
use openpeta_gateway::GatewayConfig;

/// One loop, so that whoever comes finds what the one before has left.
fn start() -> Setup {
    let setup = Setup::with(GatewayConfig {
        workers: 1,
        ..GatewayConfig::default()
    });
    setup.node.administer(
        "CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, a INT);
         INSERT INTO shop.t (a) VALUES (1), (2), (3);
         CREATE SEQUENCE shop.s;
         CREATE FUNCTION shop.f() RETURNS INT DETERMINISTIC RETURN @a;
         CREATE ROLE reader; GRANT reader TO 'app'@'%'",
    );
    setup
}

/// Ends a session and begins another, which must have the same node connection.
fn succeed(setup: &Setup, session: Raw) -> Raw {
    let id = session.greeting.connection_id;
    let used = setup.counters().warm_used;
    session.quit();
    setup.warm(1);
    let next = setup.raw();
    assert_eq!(next.greeting.connection_id, id);
    assert_eq!(setup.counters().warm_used, used + 1);
    next
}

fn run(session: &mut Raw, statements: &[&str]) {
    for statement in statements {
        let result = session.rows(statement);
        assert!(result.is_ok(), "{statement}: {result:?}");
    }
}

/// What a session on a connection of its own answers.
fn fresh(setup: &Setup, question: &str) -> Result<Vec<Vec<String>>, u16> {
    let mut direct = Raw::direct(&setup.node.socket);
    let login = direct.try_login(USER, "backend-app", "shop", capabilities());
    assert_eq!(login.error(), None, "{}", login.text());
    direct.rows(question)
}

#[test]
fn what_statements_leave_in_a_session() {
    let setup = start();
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["SET @a = 1, @b = 'text'"],
            &["SELECT @a, @b", "SELECT f()"],
        ),
        (
            &[
                "CREATE TEMPORARY TABLE tmp (a INT)",
                "CREATE TEMPORARY TABLE t (x INT)",
            ],
            &["SELECT * FROM tmp", "SELECT COUNT(*) FROM t"],
        ),
        (
            &["SELECT GET_LOCK('l', 1), GET_LOCK('l', 1), GET_LOCK('m', 1)"],
            &["SELECT IS_FREE_LOCK('l'), IS_FREE_LOCK('m'), RELEASE_ALL_LOCKS()"],
        ),
        (
            &["PREPARE s FROM 'SELECT 1'"],
            &["EXECUTE s", "DEALLOCATE PREPARE s"],
        ),
        (&["USE information_schema"], &["SELECT DATABASE()"]),
        (
            &["SET NAMES latin1 COLLATE latin1_german1_ci"],
            &[
                "SELECT @@character_set_client, @@collation_connection, @@character_set_results, HEX('\u{e4}')",
            ],
        ),
        (
            &[
                "INSERT INTO t (a) VALUES (4), (5)",
                "SET LAST_INSERT_ID = 77",
            ],
            &[
                "SELECT LAST_INSERT_ID(), @@last_insert_id, @@identity",
                "SELECT ROW_COUNT()",
            ],
        ),
        (
            &["SELECT SQL_CALC_FOUND_ROWS id FROM t LIMIT 1"],
            &["SELECT FOUND_ROWS()"],
        ),
        (
            &["SELECT 1/0, CAST('x' AS INT)"],
            &["SHOW WARNINGS", "SELECT @@warning_count"],
        ),
        (&["SELECT NEXTVAL(s)"], &["SELECT LASTVAL(s)"]),
        (
            &["SET autocommit = 0", "UPDATE t SET a = 9", "ROLLBACK"],
            &["SELECT @@autocommit, @@in_transaction"],
        ),
        (
            &["SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY"],
            &[
                "SELECT @@tx_isolation, @@tx_read_only",
                "INSERT INTO t (a) VALUES (6)",
            ],
        ),
        (&["HANDLER t OPEN"], &["HANDLER t READ FIRST"]),
        (
            &[
                "SET STATEMENT max_statement_time = 5 FOR SELECT 1",
                "SET insert_id = 5000, timestamp = 1",
            ],
            &[
                "SELECT @@max_statement_time, NOW() > '2020-01-01'",
                "INSERT INTO t (id, a) VALUES (NULL, 0)",
                "SELECT LAST_INSERT_ID() < 5000",
            ],
        ),
        (
            &[
                "SELECT 1",
                "SELECT 2",
                "SELECT COUNT(*) FROM t a, t b",
                "CREATE TEMPORARY TABLE tmp (a INT)",
            ],
            &[
                "SHOW SESSION STATUS WHERE Variable_name LIKE 'Com\\_%' AND Variable_name <> 'Com_change_db'",
                "SHOW SESSION STATUS LIKE 'Handler%'",
                "SHOW SESSION STATUS LIKE 'Created%'",
            ],
        ),
    ];
    let mut session = setup.raw();
    for (statements, questions) in cases {
        for question in *questions {
            run(&mut session, statements);
            session = succeed(&setup, session);
            assert_eq!(
                session.rows(question),
                fresh(&setup, question),
                "{question} after {statements:?}"
            );
        }
    }
}

#[test]
fn every_variable_has_its_value_of_a_new_session() {
    let setup = start();
    let list = "SHOW SESSION VARIABLES WHERE Variable_name NOT IN \
        ('pseudo_thread_id', 'rand_seed1', 'rand_seed2', 'timestamp')";
    let expected = fresh(&setup, list).unwrap();
    let mut session = setup.raw();
    let mut changed = 0;
    for row in &expected {
        let [name, value] = &row[..] else { panic!() };
        // Whatever the server lets a session change, to another value of the same kind.
        let other = match value.as_str() {
            "ON" => "OFF".to_owned(),
            "OFF" => "ON".to_owned(),
            number if number.parse::<u64>().is_ok() => {
                (number.parse::<u64>().unwrap() / 2 + 1).to_string()
            }
            "" => "''".to_owned(),
            _ => "DEFAULT".to_owned(),
        };
        // These end a session, or change what the others mean.
        if !matches!(
            name.as_str(),
            "sql_log_off"
                | "max_statement_time"
                | "wait_timeout"
                | "profiling"
                | "net_write_timeout"
                | "net_retry_count"
        ) {
            let reply = session.execute(&format!("SET SESSION {name} = {other}"));
            changed += u32::from(reply.error().is_none());
        }
    }
    assert!(changed > 100, "{changed}");
    run(
        &mut session,
        &["SET NAMES latin1, time_zone = '+05:00', sql_mode = 'ANSI'"],
    );
    let mut session = succeed(&setup, session);
    let got = session.rows(list).unwrap();
    // Some belong to no session, such as those of a replica's connection.
    let expected = fresh(&setup, list).unwrap();
    let differing: Vec<_> = got.iter().zip(&expected).filter(|(a, b)| a != b).collect();
    assert!(differing.is_empty(), "{differing:?}");
}

#[test]
fn locks_and_transactions_end_with_the_session() {
    let setup = start();
    // With the connection, or with the reset of it.
    let endings: [(&[&str], u64); 4] = [
        (&["BEGIN", "UPDATE t SET a = 9 WHERE id = 1"], 0),
        (&["SET autocommit = 0", "DELETE FROM t WHERE id = 1"], 0),
        (
            &[
                "XA START 'x'",
                "UPDATE t SET a = 9 WHERE id = 1",
                "XA END 'x'",
            ],
            0,
        ),
        (&["LOCK TABLES t WRITE"], 1),
    ];
    for (statements, kept) in endings {
        let mut session = setup.raw();
        run(&mut session, statements);
        session.quit();
        eventually("the lock is free and the row as it was", || {
            let probe = "SET lock_wait_timeout = 0, innodb_lock_wait_timeout = 0;
                SELECT a FROM shop.t WHERE id = 1 FOR UPDATE";
            let mut client = setup.node.admin_client();
            client.args(["-e", probe]).output().unwrap().stdout == b"1\n"
        });
        setup.warm(kept);
    }
}

/// A function behind a view can do what no statement shows.
#[test]
fn what_was_not_seen_ends_soon_all_the_same() {
    let setup = start();
    setup.node.administer(
        "CREATE FUNCTION shop.g() RETURNS INT RETURN GET_LOCK('hidden', 1);
         CREATE VIEW shop.v AS SELECT shop.g()",
    );
    let mut session = setup.raw();
    run(&mut session, &["SELECT * FROM v"]);
    session.quit();
    eventually("the lock is free", || {
        setup.node.administer("SELECT IS_FREE_LOCK('hidden')") == "1\n"
    });
    setup.warm(1);
    let mut session = setup.raw();
    run(&mut session, &["SELECT * FROM v"]);
    let mut session = succeed(&setup, session);
    let row = session.rows("SELECT IS_FREE_LOCK('hidden')").unwrap();
    assert_eq!(row, [["1"]]);
}

/// After a reset, MariaDB's connection would refuse to touch a table again.
#[test]
fn a_prepared_transaction_outlives_its_session_and_nothing_else_does() {
    let setup = start();
    let mut session = setup.raw();
    let statements = [
        "XA START 'y'",
        "UPDATE t SET a = 9 WHERE id = 2",
        "XA END 'y'",
        "XA PREPARE 'y'",
    ];
    run(&mut session, &statements);
    session.quit();
    let list = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'app'";
    eventually("the session has ended", || {
        setup.node.administer(list) == "0\n"
    });
    assert_eq!(setup.counters().warm, 0);
    let mut session = setup.raw();
    let row = session.rows("SELECT a FROM t WHERE id = 2").unwrap();
    assert_eq!(row, [["2"]]);
    assert_eq!(setup.node.administer("XA RECOVER").trim(), "1\t1\t0\ty");
    run(&mut session, &["XA ROLLBACK 'y'"]);
}

#[test]
fn prepared_statements_end_with_the_session() {
    let setup = start();
    let mut session = setup.raw();
    session.send(0, b"\x16SELECT 'secret'");
    let prepared = session.receive();
    let id: [u8; 4] = prepared.payload[1..5].try_into().unwrap();
    for _ in 0..2 {
        session.receive();
    }
    let mut session = succeed(&setup, session);
    session.send(0, &[&[0x17], &id[..], &[0, 1, 0, 0, 0]].concat());
    assert_eq!(session.receive().error(), Some(1243));
}

/// The server's own reset leaves these; such a connection is not used again.
#[test]
fn roles_profiles_and_network_settings_end_with_the_connection() {
    let setup = start();
    let cases: [(&[&str], &str, &str); 7] = [
        (&["SET ROLE reader"], "SELECT CURRENT_ROLE()", "NULL"),
        (
            &[
                "SET sql_select_limit = 0, sql_mode = 'ORACLE'",
                "SET ROLE reader",
            ],
            "SELECT CURRENT_ROLE()",
            "NULL",
        ),
        (
            &["SET profiling = 1", "SELECT 'secret'"],
            "SELECT COUNT(*) FROM information_schema.PROFILING",
            "0",
        ),
        (
            &["SET profiling = 1", "SELECT 'secret'", "SET profiling = 0"],
            "SELECT COUNT(*) FROM information_schema.PROFILING",
            "0",
        ),
        // The timeout that a result is sent under lies beside the variable.
        (
            &["SET net_write_timeout = 1"],
            "SELECT @@net_write_timeout",
            "60",
        ),
        (
            &["SET net_retry_count = 1, sql_select_limit = 0"],
            "SELECT @@net_retry_count",
            "10",
        ),
        (
            &["SET profiling = 1, profiling_history_size = 0"],
            "SELECT COUNT(*) FROM information_schema.PROFILING",
            "0",
        ),
    ];
    for (statements, question, expected) in cases {
        let mut session = setup.raw();
        let id = session.greeting.connection_id;
        run(&mut session, statements);
        session.quit();
        eventually("the node has no session", || {
            setup.node.administer(
                "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'app'",
            ) == "0\n"
        });
        assert_eq!(setup.counters().warm, 0, "{statements:?}");
        let mut session = setup.raw();
        assert_ne!(session.greeting.connection_id, id);
        assert_eq!(session.rows(question).unwrap(), [[expected]]);
        assert_eq!(
            session.rows("SHOW PROFILES").unwrap(),
            Vec::<Vec<String>>::new()
        );
        session.quit();
        // An ordinary session of the kind is kept; it makes room for the next case.
        setup.warm(1);
        setup.node.administer("KILL USER app");
        setup.warm(0);
    }
}

#[test]
fn another_account_of_the_same_address_is_another_account() {
    let setup = start();
    let session = setup.raw();
    let id = session.greeting.connection_id;
    session.quit();
    setup.warm(1);
    let mut other = Raw::login(setup.address, OTHER_USER, OTHER_PASSWORD, "shop");
    assert_eq!(other.greeting.connection_id, id);
    let asked = "SELECT USER(), CURRENT_USER(), CONNECTION_ID()";
    let expected = ["other@127.0.0.1", "other@%", &id.to_string()];
    assert_eq!(other.rows(asked).unwrap(), [expected]);
    // The first account may see all processes, this one only its own.
    assert_eq!(
        other
            .rows("SELECT COUNT(*) FROM information_schema.PROCESSLIST")
            .unwrap(),
        [["1"]]
    );
    other.quit();
    setup.warm(1);
    let mut without = Raw::greeted(setup.address);
    assert_eq!(without.greeting.connection_id, id);
    let reply = without.try_login(USER, PASSWORD, "", capabilities());
    assert_eq!(reply.error(), None, "{}", reply.text());
    assert_eq!(
        without.rows("SELECT DATABASE(), CURRENT_USER()").unwrap(),
        [["NULL", "app@%"]]
    );
}
