//! Who gets in, who does not, and who is put out again.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    OTHER_PASSWORD, OTHER_USER, PASSWORD, PATIENCE, Raw, Setup, USER, account, capabilities,
    connect_from, endpoint, eventually, stderr, success, whitelist,
};
use openpeta_gateway::{GatewayConfig, GatewayError};
use openpeta_types::InstanceId;

/// All that the gateway sends to a client from this address which sends nothing itself.
fn all_bytes(from: &str, to: SocketAddr) -> Vec<u8> {
    let mut stream = connect_from(from, to);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

fn refusal(from: &str) -> Vec<u8> {
    let text = format!("Host '{from}' is not allowed to connect to this MariaDB server");
    let length = u8::try_from(text.len() + 3).unwrap();
    [&[length, 0, 0, 0, 0xFF, 0x6A, 0x04], text.as_bytes()].concat()
}

#[test]
fn the_whitelist_is_checked_before_the_greeting() {
    let mut setup = Setup::start();
    setup.publish(|route| route.whitelist = whitelist("127.0.0.2"));
    assert_eq!(all_bytes("127.0.0.3", setup.address), refusal("127.0.0.3"));
    let output = setup.client().args(["-e", "SELECT 1"]).output().unwrap();
    let expected = "1130 - Host '127.0.0.1' is not allowed to connect to this MariaDB server";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    Raw::over(Box::new(connect_from("127.0.0.2", setup.address)));
    eventually("all are counted", || {
        setup.counters().refused_whitelist == 2
    });
    assert_eq!(setup.counters().accepted, 1);
}

#[test]
fn a_removed_address_is_out_when_publish_returns() {
    let mut setup = Setup::start();
    // Clients that hammer from the address which goes in and out.
    let stop = AtomicBool::new(false);
    // Counts each going out and coming in: an odd number means out.
    let turn = AtomicU32::new(0);
    let address = setup.address;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    // Was the address out before the attempt began, and still when it ended?
                    let before = turn.load(Ordering::SeqCst);
                    let mut stream = connect_from("127.0.0.5", address);
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    let mut start = [0; 5];
                    let got = stream.read_exact(&mut start);
                    let after = turn.load(Ordering::SeqCst);
                    if before == after && before % 2 == 1 {
                        got.unwrap();
                        assert_eq!(start[4], 0xFF, "a greeting was sent");
                    }
                }
            });
        }
        for _ in 0..20 {
            let mut raw = Raw::over(Box::new(connect_from("127.0.0.5", address)));
            raw.try_login(USER, PASSWORD, "shop", capabilities());
            let mut stayer = Raw::over(Box::new(connect_from("127.0.0.6", address)));
            stayer.try_login(USER, PASSWORD, "shop", capabilities());
            setup.publish(|route| route.whitelist = whitelist("127.0.0.6"));
            turn.fetch_add(1, Ordering::SeqCst);
            // One session of the stayer, and what the hammer had in the queue is refused.
            assert_eq!(all_bytes("127.0.0.5", address), refusal("127.0.0.5"));
            assert_eq!(setup.sessions(), 1);
            assert_eq!(raw.rest(), b"");
            assert_eq!(stayer.execute("DO 1").error(), None);
            turn.fetch_add(1, Ordering::SeqCst);
            setup.publish(|route| route.whitelist = whitelist("127.0.0.0/8"));
        }
        stop.store(true, Ordering::SeqCst);
    });
}

#[test]
fn dropped_accounts_lose_their_sessions_and_changed_ones_keep_them() {
    let mut setup = Setup::start();
    let mut kept = setup.raw();
    let mut changed = Raw::login(setup.address, OTHER_USER, OTHER_PASSWORD, "shop");
    setup.publish(|route| {
        let login = account("new password", "backend-other");
        route.accounts.insert(OTHER_USER.to_owned(), login);
    });
    assert_eq!(changed.execute("DO 1").error(), None);
    success(
        setup
            .client_as(OTHER_USER, "new password")
            .args(["-e", "SELECT 1"]),
    );
    // Dropped, and another one made that has the name.
    setup.publish(|route| {
        let login = account("new password", "backend-other's successor");
        route.accounts.insert(OTHER_USER.to_owned(), login);
    });
    assert_eq!(changed.rest(), b"");
    assert_eq!(kept.execute("DO 1").error(), None);
    setup.publish(|route| {
        route.accounts.remove(USER);
    });
    assert_eq!(kept.rest(), b"");
    eventually("the node's sessions are gone too", || {
        let open = setup.node.administer(
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER IN ('app', 'other')",
        );
        open == "0\n"
    });
}

#[test]
fn a_withdrawn_instance_lets_nobody_in() {
    let setup = Setup::start();
    let mut raw = setup.raw();
    setup.gateway.withdraw(&setup.route.instance_id);
    assert_eq!(raw.rest(), b"");
    assert_eq!(all_bytes("127.0.0.1", setup.address), refusal("127.0.0.1"));
    assert_eq!(setup.gateway.counters(&setup.route.instance_id), None);
}

#[test]
fn one_session_too_many_is_refused_with_1040() {
    let mut setup = Setup::start();
    setup.publish(|route| route.max_connections = 2);
    let (first, _second) = (setup.raw(), setup.raw());
    let expected = b"\x17\0\0\0\xff\x10\x04Too many connections";
    assert_eq!(all_bytes("127.0.0.1", setup.address), expected);
    let output = setup.client().args(["-e", "SELECT 1"]).output().unwrap();
    assert!(
        stderr(&output).contains("1040 - Too many connections"),
        "{}",
        stderr(&output)
    );
    assert_eq!(setup.counters().refused_limit, 2);
    drop(first);
    eventually("its place is free", || setup.sessions() == 1);
    setup.raw();
}

#[test]
fn the_limit_over_all_instances_holds_too() {
    let setup = Setup::with(GatewayConfig {
        max_sessions: Some(1),
        ..GatewayConfig::default()
    });
    let _first = setup.raw();
    assert_eq!(all_bytes("127.0.0.1", setup.address)[5..7], [0x10, 0x04]);
}

#[test]
fn endpoints_open_once_and_tell_why_they_do_not() {
    let setup = Setup::start();
    let (gateway, instance) = (&setup.gateway, &setup.route.instance_id);
    let any = "127.0.0.1:0".parse().unwrap();
    // Again is fine, elsewhere is not.
    assert_eq!(
        gateway
            .open_endpoint(endpoint(1), any, instance.clone())
            .unwrap(),
        setup.address
    );
    let same = gateway.open_endpoint(endpoint(1), setup.address, instance.clone());
    assert_eq!(same.unwrap(), setup.address);
    let elsewhere = gateway.open_endpoint(
        endpoint(1),
        "127.0.0.9:0".parse().unwrap(),
        instance.clone(),
    );
    assert!(matches!(elsewhere, Err(GatewayError::EndpointOpen { .. })));
    let other = InstanceId::parse("pd-other").unwrap();
    let stolen = gateway.open_endpoint(endpoint(1), setup.address, other);
    assert!(matches!(stolen, Err(GatewayError::EndpointOpen { .. })));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let in_use = gateway.open_endpoint(endpoint(2), address, instance.clone());
    assert!(matches!(in_use, Err(GatewayError::AddressInUse(a)) if a == address));
    let foreign = gateway.open_endpoint(
        endpoint(2),
        "192.0.2.1:3306".parse().unwrap(),
        instance.clone(),
    );
    assert!(matches!(foreign, Err(GatewayError::AddressUnavailable(_))));
    let second = gateway.open_endpoint(endpoint(2), "[::1]:0".parse().unwrap(), instance.clone());
    let second = second.unwrap();
    assert_eq!(gateway.endpoints().len(), 2);
    // The IPv6 loopback counts as 127.0.0.1.
    let mut six = Raw::login(second, USER, PASSWORD, "shop");
    assert_eq!(six.execute("DO 1").error(), None);
}

#[test]
fn a_closed_endpoint_frees_its_address_and_grants_its_sessions_grace() {
    let setup = Setup::start();
    let mut through_first = setup.raw();
    let any = "127.0.0.1:0".parse().unwrap();
    let instance = setup.route.instance_id.clone();
    let second = setup
        .gateway
        .open_endpoint(endpoint(2), any, instance)
        .unwrap();
    let mut through_second = Raw::login(second, USER, PASSWORD, "shop");
    let closed = Instant::now();
    assert!(
        setup
            .gateway
            .close_endpoint(&endpoint(1), Duration::from_millis(300))
    );
    assert!(!setup.gateway.close_endpoint(&endpoint(1), Duration::ZERO));
    drop(TcpListener::bind(setup.address).unwrap());
    assert!(TcpStream::connect(setup.address).is_err());
    assert_eq!(through_first.execute("DO 1").error(), None);
    assert_eq!(through_first.rest(), b"");
    assert!(closed.elapsed() >= Duration::from_millis(300));
    assert_eq!(through_second.execute("DO 1").error(), None);
}

#[test]
fn logins_that_take_too_long_are_ended() {
    let login_timeout = Duration::from_millis(200);
    let setup = Setup::with(GatewayConfig {
        login_timeout,
        ..GatewayConfig::default()
    });
    let mut raw = Raw::greeted(setup.address);
    let mut logged_in = setup.raw();
    raw.rest();
    eventually("it is counted", || setup.counters().login_timeouts == 1);
    // Whoever is in has no such deadline anymore.
    assert_eq!(logged_in.execute("DO SLEEP(0.4)").error(), None);
}

#[test]
fn idle_sessions_are_ended_and_busy_ones_not() {
    let idle_timeout = Duration::from_millis(250);
    let setup = Setup::with(GatewayConfig {
        idle_timeout,
        ..GatewayConfig::default()
    });
    let mut idle = setup.raw();
    let mut busy = setup.raw();
    assert_eq!(busy.execute("DO SLEEP(0.8)").error(), None);
    assert_eq!(idle.rest(), b"");
    assert_eq!(busy.rest(), b"");
    eventually("nothing is left", || setup.sessions() == 0);
}
