//! When node connections are kept for clients to come, and when they are not.

use crate::support;

use std::time::Duration;

use crate::support::{
    OTHER_USER, PASSWORD, Raw, Setup, USER, account, capabilities, connect_from, endpoint,
    eventually, success, tls, whitelist,
};
use openpeta_gateway::GatewayConfig;
use openpeta_mysql_wire::Capabilities;

const SESSIONS: &str = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'app'";

/// One loop, so that whoever comes finds what the one before has left.
fn start() -> Setup {
    Setup::with(config())
}

fn config() -> GatewayConfig {
    GatewayConfig {
        workers: 1,
        ..GatewayConfig::default()
    }
}

/// Has a session leave its connection; returns the connection's number.
fn leave_one(setup: &Setup) -> u32 {
    let before = setup.counters().warm;
    let session = setup.raw();
    let id = session.greeting.connection_id;
    session.quit();
    setup.warm(before.max(1));
    id
}

fn login_from(setup: &Setup, from: &str) -> Raw {
    let mut raw = Raw::over(Box::new(connect_from(from, setup.address)));
    let reply = raw.try_login(USER, PASSWORD, "shop", capabilities());
    assert_eq!(reply.error(), None, "{}", reply.text());
    raw
}

fn nothing_is_left(setup: &Setup) {
    eventually("the node has no session left", || {
        setup.node.administer(SESSIONS) == "0\n"
    });
    assert_eq!(setup.counters().warm, 0);
}

#[test]
fn stock_clients_share_one_connection() {
    let (config, certificate) = tls();
    let setup = Setup::with(GatewayConfig {
        tls: Some(config),
        ..self::config()
    });
    let ca = setup.node.directory().join("ca.pem");
    std::fs::write(&ca, certificate).unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut client = setup.client();
        client.arg("--ssl-ca").arg(&ca);
        ids.push(success(client.args(["-e", "SELECT CONNECTION_ID()"])));
        setup.warm(1);
        assert_eq!(setup.sessions(), 0);
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[1], ids[2]);
    let counters = setup.counters();
    assert_eq!((counters.warm_used, counters.warm_missed), (2, 1));
    assert_eq!(counters.sessions, 0);
}

#[test]
fn each_address_has_its_own() {
    let setup = start();
    let id = leave_one(&setup);
    let mut other = login_from(&setup, "127.0.0.2");
    assert_ne!(other.greeting.connection_id, id);
    assert_eq!(other.rows("SELECT USER()").unwrap(), [["app@127.0.0.2"]]);
    let mut same = setup.raw();
    assert_eq!(same.greeting.connection_id, id);
    assert_eq!(same.rows("SELECT USER()").unwrap(), [["app@127.0.0.1"]]);
}

#[test]
fn clients_that_cannot_log_in_learn_nothing_and_leave_it_as_it_was() {
    let setup = Setup::with(GatewayConfig {
        login_timeout: Duration::from_millis(700),
        ..config()
    });
    let refuse = |raw: &mut Raw| {
        let reply = raw.try_login(USER, "wrong", "shop", capabilities());
        assert_eq!(raw.rest(), b"");
        reply
    };
    let mut raw = Raw::greeted(setup.address);
    let fresh = refuse(&mut raw);
    let id = leave_one(&setup);
    let mut raw = Raw::greeted(setup.address);
    assert_eq!(raw.greeting.connection_id, id);
    assert_eq!(setup.counters().warm, 0);
    assert_eq!(refuse(&mut raw), fresh);
    setup.warm(1);
    // One that says nothing until it is told that it took too long.
    let mut raw = Raw::greeted(setup.address);
    assert_eq!(raw.greeting.connection_id, id);
    assert_eq!(raw.receive().error(), Some(1159));
    setup.warm(1);
    // And one that goes.
    drop(Raw::greeted(setup.address));
    setup.warm(1);
    let mut session = setup.raw();
    assert_eq!(session.greeting.connection_id, id);
    let asked = session.rows("SELECT CONNECTION_ID()").unwrap();
    assert_eq!(asked, [[id.to_string()]]);
}

#[test]
fn an_unknown_or_forbidden_database_is_refused_in_the_nodes_words() {
    let setup = start();
    for (user, database) in [(USER, "no_such"), (USER, "mysql"), (OTHER_USER, "no_such")] {
        let password = if user == USER {
            "backend-app"
        } else {
            "backend-other"
        };
        let mut direct = Raw::direct(&setup.node.socket);
        let expected = direct.try_login(user, password, database, capabilities());
        assert!(expected.error().is_some());
        let id = leave_one(&setup);
        let mut raw = Raw::greeted(setup.address);
        assert_eq!(raw.greeting.connection_id, id);
        let password = if user == USER {
            PASSWORD
        } else {
            support::OTHER_PASSWORD
        };
        let reply = raw.try_login(user, password, database, capabilities());
        assert_eq!(reply, expected);
        assert_eq!(raw.rest(), b"");
        nothing_is_left(&setup);
    }
}

#[test]
fn clients_of_another_kind_get_a_connection_of_their_own() {
    let setup = start();
    let id = leave_one(&setup);
    let mut raw = Raw::greeted(setup.address);
    assert_eq!(raw.greeting.connection_id, id);
    let found_rows = capabilities() | Capabilities::FOUND_ROWS;
    let reply = raw.try_login(USER, PASSWORD, "shop", found_rows);
    assert_eq!(reply.error(), None, "{}", reply.text());
    let own = raw.rows("SELECT CONNECTION_ID()").unwrap();
    assert_ne!(own, [[id.to_string()]]);
    assert_eq!(setup.counters().warm_unfit, 1);
    // Who believes the greeting means this session.
    assert_eq!(raw.rows(&format!("KILL QUERY {id}")), Err(1317));
    let changed = "CREATE TABLE t (a INT); INSERT INTO t VALUES (1)";
    setup.node.administer(&format!("USE shop; {changed}"));
    let reply = raw.execute("UPDATE t SET a = 1");
    assert_eq!(reply.payload[1], 1, "rows that were found are counted");
    // It is kept for its like.
    raw.quit();
    setup.warm(1);
    let mut raw = Raw::greeted(setup.address);
    raw.try_login(USER, PASSWORD, "shop", found_rows);
    let second = raw.rows("SELECT CONNECTION_ID()").unwrap();
    assert_eq!((second, setup.counters().warm_used), (own, 1));
}

#[test]
fn sessions_that_end_in_the_midst_of_something_leave_nothing() {
    let setup = start();
    let mut busy = setup.raw();
    busy.query("SELECT SLEEP(30)");
    eventually("the statement runs", || {
        setup
            .node
            .administer("SELECT INFO FROM information_schema.PROCESSLIST")
            .contains("SLEEP(30)")
    });
    drop(busy);
    eventually("it is counted out", || setup.sessions() == 0);
    let id = {
        let mut half = setup.raw();
        half.stream.write_all(b"\x09\0\0\0\x03SEL").unwrap();
        half.greeting.connection_id
    };
    eventually("it is counted out", || setup.sessions() == 0);
    let mut killed = setup.raw();
    assert_ne!(killed.greeting.connection_id, id);
    let own = killed.greeting.connection_id;
    killed.query(&format!("KILL {own}"));
    killed.rest();
    nothing_is_left(&setup);
}

#[test]
fn connections_that_the_node_ends_are_not_missed() {
    let mut setup = start();
    let id = leave_one(&setup);
    setup.node.administer(&format!("KILL {id}"));
    setup.warm(0);
    let next = leave_one(&setup);
    assert_ne!(next, id);
    setup.node.kill();
    setup.warm(0);
    setup.node.restart();
    // In the hands of a client that has not logged in yet.
    let id = leave_one(&setup);
    let mut raw = Raw::greeted(setup.address);
    assert_eq!(raw.greeting.connection_id, id);
    setup.node.administer(&format!("KILL {id}"));
    eventually("the node has ended it", || {
        setup.node.administer(SESSIONS) == "0\n"
    });
    let reply = raw.try_login(USER, PASSWORD, "shop", capabilities());
    assert_eq!(reply.error(), None, "{}", reply.text());
    assert_eq!(raw.execute("DO 1").error(), None);
}

#[test]
fn a_changed_route_drops_those_that_it_does_not_suit() {
    let mut setup = start();
    let id = leave_one(&setup);
    // A new password of the account concerns clients alone.
    setup.publish(|route| {
        let login = account("new", "backend-app");
        route.accounts.insert(USER.to_owned(), login);
    });
    assert_eq!(setup.counters().warm, 1);
    setup.publish(|route| {
        let login = account(PASSWORD, "backend-app");
        route.accounts.insert(USER.to_owned(), login);
        route.write_lock = Some("maintenance".to_owned());
    });
    assert_eq!(leave_one(&setup), id);
    setup.publish(|route| route.whitelist = whitelist("127.0.0.2"));
    nothing_is_left(&setup);
    setup.publish(|route| route.whitelist = whitelist("127.0.0.0/8"));
    leave_one(&setup);
    // Another account of the name.
    setup.publish(|route| {
        route
            .accounts
            .insert(USER.to_owned(), account(PASSWORD, "other"));
    });
    nothing_is_left(&setup);
    setup.publish(|route| {
        let login = account(PASSWORD, "backend-app");
        route.accounts.insert(USER.to_owned(), login);
    });
    leave_one(&setup);
    // Another node.
    let socket = setup.route.node_socket.clone();
    setup.publish(|route| route.node_socket = "/nowhere/mysqld.sock".into());
    nothing_is_left(&setup);
    setup.publish(|route| route.node_socket = socket);
    leave_one(&setup);
    setup.gateway.withdraw(&setup.route.instance_id);
    eventually("the node has no session left", || {
        setup.node.administer(SESSIONS) == "0\n"
    });
}

#[test]
fn closed_endpoints_and_a_drain_leave_none() {
    let setup = start();
    leave_one(&setup);
    let instance = setup.route.instance_id.clone();
    let second = setup
        .gateway
        .open_endpoint(endpoint(2), "127.0.0.1:0".parse().unwrap(), instance)
        .unwrap();
    assert!(setup.gateway.close_endpoint(&endpoint(1), Duration::ZERO));
    eventually("none is warm", || setup.counters().warm == 0);
    nothing_is_left(&setup);
    Raw::login(second, USER, PASSWORD, "shop").quit();
    setup.warm(1);
    assert_eq!(setup.gateway.drain(Duration::ZERO), 0);
    nothing_is_left(&setup);
}

#[test]
fn they_wait_for_so_long_and_no_longer() {
    let setup = Setup::with(GatewayConfig {
        warm_time: Duration::from_millis(300),
        ..config()
    });
    leave_one(&setup);
    nothing_is_left(&setup);
    // The node was told, and counts no aborted client.
    let aborted = "SHOW GLOBAL STATUS LIKE 'Aborted_clients'";
    assert_eq!(setup.node.administer(aborted), "Aborted_clients\t0\n");
}

#[test]
fn none_is_kept_where_that_is_switched_off() {
    let setup = Setup::with(GatewayConfig {
        warm_connections: 0,
        ..config()
    });
    let session = setup.raw();
    session.quit();
    nothing_is_left(&setup);
    let counters = setup.counters();
    assert_eq!((counters.warm_missed, counters.warm_used), (0, 0));
}

#[test]
fn they_are_bounded_and_give_way_to_sessions() {
    // Two loops, which have to ask each other.
    let mut setup = Setup::with(GatewayConfig {
        warm_connections: 3,
        ..GatewayConfig::default()
    });
    let many: Vec<_> = (0..8).map(|_| setup.raw()).collect();
    for session in many {
        session.quit();
    }
    setup.warm(3);
    eventually("no more are left", || {
        setup.node.administer(SESSIONS) == "3\n"
    });
    setup.publish(|route| route.max_connections = 4);
    // From elsewhere, so that none of them suits.
    let mut sessions = Vec::new();
    for number in 1..=4_u32 {
        sessions.push(login_from(&setup, "127.0.0.9"));
        eventually("there are not too many", || {
            u64::from(number) + setup.counters().warm <= 4
        });
    }
    setup.warm(0);
    // At the limit nothing is kept beside the sessions.
    let one = sessions.pop().unwrap();
    one.quit();
    eventually("three are left", || setup.sessions() == 3);
    setup.warm(1);
    assert_eq!(setup.counters().refused_limit, 0);
}
