//! Accounts with limits.

use openpeta_mysql_wire::ChangeUser;
use openpeta_mysql_wire::command::COM_CHANGE_USER;
use openpeta_types::route::AccountLimits;

use super::*;

const QUERY: &[u8] = b"\x03SELECT 1";

fn limit(rig: &Rig, account: &str, connections: u32, queries_per_second: u32) {
    let limits = AccountLimits {
        connections,
        queries_per_second,
    };
    let accounts = rig.session.meter().accounts();
    accounts.set_limits(&HashMap::from([(account.to_owned(), limits)]));
}

fn runs(rig: &mut Rig) {
    rig.client_packet(0, QUERY);
    assert_eq!(next(&mut rig.to_node).payload, QUERY);
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    assert_eq!(rig.client_gets(1), ok(Status::AUTOCOMMIT));
}

fn is_refused(rig: &mut Rig, sequence: u8) {
    let text = rig.client_gets_error(sequence, 1226);
    let expected =
        "User 'app' has exceeded the 'max_queries_per_second' resource (current value: 2)";
    assert_eq!(text, expected);
}

#[test]
fn statements_beyond_the_limit_are_refused_and_the_session_goes_on() {
    let mut rig = Rig::logged_in(params(route()));
    runs(&mut rig);
    limit(&rig, "app", 0, 2);
    for second in 1..4 {
        rig.now = Duration::from_secs(second);
        runs(&mut rig);
        // Other commands are not counted.
        rig.client_packet(0, &[0x0E]);
        next(&mut rig.to_node);
        rig.node_packet(1, &ok(Status::AUTOCOMMIT));
        rig.client_gets(1);
        runs(&mut rig);
        for byte in packet(0, QUERY) {
            rig.client_got_nothing();
            rig.client(&[byte]);
        }
        is_refused(&mut rig, 1);
        rig.node_got_nothing();
        assert!(rig.session.is_idle() && !rig.session.client_read_paused());
    }
    limit(&rig, "app", 0, 0);
    runs(&mut rig);
}

#[test]
fn refusals_come_in_their_turn() {
    let mut rig = Rig::logged_in(params(route()));
    limit(&rig, "app", 0, 2);
    rig.client(&packet(0, QUERY).repeat(4));
    next(&mut rig.to_node);
    next(&mut rig.to_node);
    rig.node_got_nothing();
    rig.client_got_nothing();
    assert!(rig.session.client_read_paused());
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    rig.client_gets(1);
    rig.client_got_nothing();
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    rig.client_gets(1);
    is_refused(&mut rig, 1);
    is_refused(&mut rig, 1);
    assert_eq!(rig.session.counters().commands, 4);
    rig.now = Duration::from_secs(1);
    runs(&mut rig);
}

#[test]
fn refused_statements_of_any_length_are_thrown_away() {
    let mut rig = Rig::logged_in(params(route()));
    limit(&rig, "app", 0, 2);
    runs(&mut rig);
    runs(&mut rig);
    let long = [b"\x03SELECT '", &vec![b'x'; 0xFF_FFFF + 1000][..]].concat();
    let wire = packet(0, &long);
    for piece in wire.chunks(60_000) {
        rig.client_got_nothing();
        assert!(!rig.session.client_read_paused());
        rig.client(piece);
    }
    is_refused(&mut rig, 2);
    rig.node_got_nothing();
    rig.now = Duration::from_secs(1);
    runs(&mut rig);
}

#[test]
fn a_login_or_change_of_user_beyond_the_limit_is_refused() {
    let (mut rig, greeting) = Rig::greeted(params(route()));
    limit(&rig, "app", 1, 0);
    let held = rig.session.meter().accounts().admit("app");
    assert!(held.is_ok());
    let response = native::response(PASSWORD, &greeting.nonce);
    rig.client_login(1, &login(mysql_client(), "app", response));
    let text = rig.client_gets_error(2, 1226);
    let expected = "User 'app' has exceeded the 'max_user_connections' resource (current value: 1)";
    assert_eq!(text, expected);
    assert_eq!(rig.closed, Some(CloseReason::AccountLimit));
    rig.node_got_nothing();

    let mut rig = Rig::logged_in(params(route()));
    limit(&rig, "other", 1, 0);
    let held = rig.session.meter().accounts().admit("other");
    assert!(held.is_ok());
    let request = ChangeUser {
        user: b"other".to_vec(),
        auth_response: Vec::new(),
        database: Vec::new(),
        charset: Some(33),
        plugin: Some(native::NAME.to_vec()),
        attributes: None,
    };
    let mut payload = Vec::new();
    request.encode(&mut payload);
    assert_eq!(payload[0], COM_CHANGE_USER);
    rig.client_packet(0, &payload);
    rig.client_gets(1);
    rig.client_packet(2, &native::response(b"second", &rig.login_nonce));
    // The node is asked to refuse, and hears nothing of the account.
    let asked = next(&mut rig.to_node);
    let asked = ChangeUser::parse(&asked.payload, mysql_client()).expect("a change of user");
    assert_eq!(asked.user, b"app");
    rig.node_packet(1, &err(1045, "Access denied"));
    rig.client_gets_error(3, 1226);
    assert_eq!(rig.session.account(), Some("app"));
    runs(&mut rig);
    drop(held);
    rig.session.kick(rig.now, &mut Outbox::default());
    // What was counted is given back.
    limit(&rig, "app", 1, 0);
    assert!(rig.session.meter().accounts().admit("app").is_ok());
}
