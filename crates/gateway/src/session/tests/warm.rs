//! Node connections that one session leaves to another.

use openpeta_mysql_wire::ChangeUser;
use openpeta_mysql_wire::command::*;

use super::*;
use crate::session::{Reset, Warm};

const QUERY: &[u8] = b"\x03select 1";
const QUIT: &[u8] = &[COM_QUIT];
/// Leaves something in the session.
const LEAVING: &[u8] = b"\x03set @a = 1";
const NEW_NONCE: [u8; NONCE_LEN] = [9; NONCE_LEN];

/// A connection that a session of account `app` has left.
fn left() -> Warm {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, LEAVING);
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    rig.client_packet(0, QUIT);
    rig.session.take_warm().expect("the connection")
}

/// One that has been reset.
fn clean() -> Warm {
    let mut warm = left();
    warm.begin_reset(&mut Vec::new());
    assert_eq!(warm.node_data(&reset_answer()), Reset::Clean);
    warm
}

/// The packets of a node whose connection is clean.
fn reset_packets() -> Vec<Vec<u8>> {
    let eof = [0xFE, 0, 0, 2, 0, 0, 0];
    vec![
        packet(1, &[1]),
        packet(2, b"\x03def"),
        packet(3, &eof),
        packet(1, &[3]),
        packet(2, b"\x03def"),
        packet(3, b"\x03def"),
        packet(4, b"\x03def"),
        packet(5, &eof),
        packet(1, &ok(Status::AUTOCOMMIT)),
    ]
}

fn reset_answer() -> Vec<u8> {
    reset_packets().concat()
}

impl Rig {
    /// A session that has greeted its client on a connection others have used.
    fn on_warm(params: SessionParams, warm: Warm) -> (Self, Greeting) {
        let mut out = Outbox::default();
        let mut rig = Self {
            session: Session::on_warm(params, Meter::detached(), warm, Duration::ZERO, &mut out),
            now: Duration::ZERO,
            to_client: PacketBuffer::new(1 << 20),
            to_node: PacketBuffer::new(1 << 20),
            tls_from: None,
            closed: None,
            login_nonce: [0; NONCE_LEN],
            compression: None,
        };
        rig.carry_out(&out);
        rig.node_got_nothing();
        let greeting = Greeting::parse(&rig.client_gets(0)).expect("a greeting");
        (rig, greeting)
    }

    /// Sends the right login of account `other`; tells whether the session wants another node
    /// connection.
    fn log_in_as_other(&mut self, capabilities: Capabilities, greeting: &Greeting) -> bool {
        let response = native::response(b"second", &greeting.nonce);
        let mut payload = Vec::new();
        login(capabilities, "other", response).encode(&mut payload);
        let mut out = Outbox::default();
        let wire = packet(1, &payload);
        self.session.client_data(self.now, &wire, &mut out);
        self.carry_out(&out);
        out.reconnect
    }
}

#[test]
fn a_session_leaves_its_connection_to_the_next_which_changes_the_user() {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, LEAVING);
    next(&mut rig.to_node);
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    let wire = [packet(0, &[COM_STMT_CLOSE, 1, 0, 0, 0]), packet(0, QUIT)].concat();
    rig.client(&wire);
    assert_eq!(rig.closed, Some(CloseReason::ClientGone));
    assert_eq!(next(&mut rig.to_node).payload[0], COM_STMT_CLOSE);
    rig.node_got_nothing();
    assert_eq!(rig.session.counters().commands, 3);
    let mut warm = rig.session.take_warm().expect("the connection");
    assert!(!warm.is_clean());

    let mut request = PacketBuffer::new(1 << 20);
    let mut bytes = Vec::new();
    warm.begin_reset(&mut bytes);
    request.push(&bytes);
    assert_eq!(next(&mut request).payload[0], COM_QUERY);
    assert_eq!(next(&mut request).payload, b"\x03SHOW PROFILES");
    assert_eq!(next(&mut request).payload, [COM_RESET_CONNECTION]);
    for piece in reset_answer().chunks(3) {
        assert!(!warm.is_clean());
        assert_ne!(warm.node_data(piece), Reset::Failed);
    }
    assert!(warm.is_clean());

    let (mut rig, greeting) = Rig::on_warm(params(route()), warm);
    assert_eq!(greeting.connection_id, 42);
    assert_ne!(greeting.nonce, NODE_NONCE);
    assert!(greeting.capabilities.contains(Capabilities::SSL));
    assert!(!rig.log_in_as_other(mysql_client(), &greeting));
    let request = next(&mut rig.to_node);
    assert_eq!(request.sequence, 0);
    let request = ChangeUser::parse(
        &request.payload,
        mysql_client() | Capabilities::CONNECT_ATTRS,
    )
    .expect("a change of user");
    assert_eq!(request.user, b"other");
    assert_eq!(request.database, b"shop");
    assert_eq!(request.charset, Some(45));
    assert_eq!(request.attributes.as_deref(), Some(&b"\x04_pid\x0242"[..]));
    let mut switch = b"\xfemysql_native_password\0".to_vec();
    switch.extend(NEW_NONCE);
    switch.push(0);
    rig.node_packet(1, &switch);
    let answer = next(&mut rig.to_node);
    assert_eq!(answer.sequence, 2);
    assert_eq!(
        answer.payload,
        native::response(b"random-of-other", &NEW_NONCE)
    );
    rig.client_got_nothing();
    rig.node_packet(3, &ok(Status::AUTOCOMMIT));
    assert_eq!(rig.client_gets(2), ok(Status::AUTOCOMMIT));
    assert_eq!(rig.session.phase(), Phase::Command);
    assert_eq!(rig.session.account(), Some("other"));
    // And the next one begins with the nonce that came last.
    rig.client_packet(0, QUIT);
    let warm = rig.session.take_warm().expect("the connection");
    assert_eq!(warm.nonce, NEW_NONCE);
}

#[test]
fn a_client_like_the_last_one_changes_the_database_alone() {
    let begin = |now| {
        let (mut rig, greeting) = Rig::on_warm(params(route()), clean());
        rig.now = Duration::from_secs(now);
        (rig, greeting)
    };
    let command = |rig: &mut Rig, greeting: &Greeting, change: fn(&mut Login)| {
        let response = native::response(PASSWORD, &greeting.nonce);
        let mut login = login(mysql_client(), "app", response);
        change(&mut login);
        rig.client_login(1, &login);
        next(&mut rig.to_node).payload
    };
    let (mut rig, greeting) = begin(0);
    let sent = command(&mut rig, &greeting, |login| {
        login.database = Some(b"else".to_vec());
    });
    assert_eq!(sent, b"\x02else");
    rig.client_got_nothing();
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    assert_eq!(rig.client_gets(2), ok(Status::AUTOCOMMIT));
    // And again, but when a minute has gone by the node has to look at the account anew.
    rig.client_packet(0, QUIT);
    let warm = rig.session.take_warm().expect("the connection");
    assert!(warm.identity.is_some());
    let (mut rig, greeting) = begin(59);
    assert_eq!(command(&mut rig, &greeting, |_| {})[0], COM_INIT_DB);
    rig.node_packet(1, &err(1049, "Unknown database 'shop'"));
    rig.client_gets_error(2, 1049);
    assert_eq!(rig.closed, Some(CloseReason::NodeRefused));
    let (mut rig, greeting) = begin(60);
    assert_eq!(command(&mut rig, &greeting, |_| {})[0], COM_CHANGE_USER);
    // As for whatever else is another one's.
    let changes: [fn(&mut Login); 4] = [
        |login| login.database = None,
        |login| login.database = Some(Vec::new()),
        |login| login.charset = 8,
        |login| login.attributes = Some(b"\x04_pid\x0243".to_vec()),
    ];
    for change in changes {
        let (mut rig, greeting) = begin(0);
        assert_eq!(command(&mut rig, &greeting, change)[0], COM_CHANGE_USER);
    }
}

/// A connection that a session has left without having left anything in it.
fn owing() -> Warm {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, QUERY);
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    rig.client_packet(0, QUIT);
    let warm = rig.session.take_warm().expect("the connection");
    assert!(warm.owes_reset() && warm.is_ready() && !warm.is_clean());
    warm
}

/// A client as the last one begins on a connection that owes its reset; what the node got for it.
fn next_on_owing(user: &'static str, password: &[u8]) -> (Rig, Vec<Vec<u8>>) {
    let (mut rig, greeting) = Rig::on_warm(params(route()), owing());
    let response = native::response(password, &greeting.nonce);
    rig.client_login(1, &login(mysql_client(), user, response));
    let mut commands = Vec::new();
    while let Ok(Some(packet)) = rig.to_node.next_packet() {
        assert_eq!(packet.sequence, 0);
        commands.push(packet.payload.to_vec());
    }
    (rig, commands)
}

#[test]
fn a_reset_that_is_owed_goes_ahead_of_the_next_login() {
    let (mut rig, commands) = next_on_owing("app", PASSWORD);
    assert_eq!(commands, [&[COM_RESET_CONNECTION][..], b"\x02shop"]);
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    rig.client_got_nothing();
    assert_eq!(rig.session.phase(), Phase::Login);
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    assert_eq!(rig.client_gets(2), ok(Status::AUTOCOMMIT));
    assert_eq!(rig.session.phase(), Phase::Command);
    // What the node says of the login is told as ever.
    let (mut rig, _) = next_on_owing("app", PASSWORD);
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    rig.node_packet(1, &err(1049, "Unknown database 'shop'"));
    rig.client_gets_error(2, 1049);
    // A change of user resets as well.
    let (_, commands) = next_on_owing("other", b"second");
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0][0], COM_CHANGE_USER);
}

#[test]
fn a_connection_that_cannot_be_reset_is_replaced() {
    for answer in [err(1053, "Server shutdown in progress"), ok(Status(3))] {
        let (mut rig, _) = next_on_owing("app", PASSWORD);
        let sequence = if answer[0] == 0 { 2 } else { 1 };
        let mut out = Outbox::default();
        let wire = packet(sequence, &answer);
        rig.session.node_data(rig.now, &wire, &mut out);
        assert!(out.reconnect && out.close.is_none());
        rig.carry_out(&out);
        rig.client_got_nothing();
        assert_eq!(next(&mut rig.to_node).payload, QUIT);
    }
}

#[test]
fn a_reset_is_collected_without_asking_for_what_cannot_be_there() {
    let mut warm = owing();
    let mut request = Vec::new();
    warm.begin_reset(&mut request);
    assert_eq!(request, packet(0, &[COM_RESET_CONNECTION]));
    assert!(!warm.is_ready());
    let answer = packet(1, &ok(Status::AUTOCOMMIT));
    assert_eq!(warm.node_data(&answer), Reset::Clean);
    let mut warm = owing();
    assert_eq!(warm.node_data(&answer), Reset::Failed);
}

#[test]
fn a_client_that_goes_without_a_word_leaves_its_connection_too() {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, QUERY);
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    rig.event(|session, now, out| session.client_closed(now, out));
    assert_eq!(rig.closed, Some(CloseReason::ClientGone));
    assert!(rig.session.take_warm().is_some());
}

#[test]
fn what_a_reset_does_not_end_ends_with_the_connection() {
    type Doing = fn(&mut Rig);
    let doings: [Doing; 12] = [
        // A command runs, or a part of one has come.
        |rig| rig.client_packet(0, QUERY),
        |rig| rig.client(&packet(0, QUERY)[..7]),
        |rig| rig.client(b"\x01\0"),
        |rig| rig.client(b"\x09\0\0\0\x11"),
        // Its reply is not over.
        |rig| {
            rig.client_packet(0, QUERY);
            rig.node_packet(1, &[1]);
        },
        // A transaction is open, or may be.
        |rig| {
            rig.client_packet(0, QUERY);
            rig.node_packet(1, &ok(Status(3)));
        },
        |rig| {
            rig.client_packet(0, QUERY);
            rig.node_packet(1, &ok(Status(0)));
            rig.client_packet(0, QUERY);
            rig.node_packet(1, &err(1205, "Lock wait timeout exceeded"));
        },
        // Commands that leave more behind than a reset takes away.
        |rig| {
            rig.client_packet(0, &[COM_SET_OPTION, 1, 0]);
            rig.node_packet(1, &[0xFE, 0, 0, 2, 0, 0, 0]);
        },
        |rig| {
            rig.client_packet(0, &[COM_REGISTER_SLAVE, 1]);
            rig.node_packet(1, &ok(Status::AUTOCOMMIT));
        },
        |rig| {
            rig.client_packet(0, &[]);
            rig.node_packet(1, &err(1047, "Unknown command"));
        },
        // The node said something by itself.
        |rig| rig.node_packet(0, &err(1927, "Connection was killed")),
        |rig| rig.event(|session, now, out| session.kick(now, out)),
    ];
    for (number, doing) in doings.into_iter().enumerate() {
        let mut rig = Rig::logged_in(params(route()));
        doing(&mut rig);
        rig.event(|session, now, out| session.client_closed(now, out));
        assert!(rig.session.take_warm().is_none(), "{number}");
    }
}

#[test]
fn settings_that_a_reset_forgets_or_the_shell_does_not_want_keep_no_connection() {
    let interactive = mysql_client() | Capabilities::INTERACTIVE;
    let spaces = mysql_client() | Capabilities::IGNORE_SPACE;
    for (capabilities, keep_node) in [(interactive, true), (spaces, true), (mysql_client(), false)]
    {
        let params = SessionParams {
            keep_node,
            ..params(route())
        };
        let (mut rig, greeting) = Rig::greeted(params);
        let response = native::response(PASSWORD, &greeting.nonce);
        rig.client_login(1, &login(capabilities, "app", response));
        rig.node_login();
        rig.node_packet(2, &ok(Status::AUTOCOMMIT));
        rig.client_packet(0, QUIT);
        // As ever: the node is told, and ends it.
        assert_eq!(next(&mut rig.to_node).payload, QUIT);
        assert_eq!(rig.closed, None);
        rig.event(|session, now, out| session.node_closed(now, out));
        assert_eq!(rig.closed, Some(CloseReason::ClientGone));
        assert!(rig.session.take_warm().is_none());
    }
}

#[test]
fn a_goodbye_in_a_transaction_goes_to_the_node() {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, QUERY);
    next(&mut rig.to_node);
    rig.node_packet(1, &ok(Status(3)));
    rig.client_packet(0, QUIT);
    assert_eq!(next(&mut rig.to_node).payload, QUIT);
    rig.event(|session, now, out| session.node_closed(now, out));
    assert_eq!(rig.closed, Some(CloseReason::ClientGone));
    assert!(rig.session.take_warm().is_none());
}

#[test]
fn a_goodbye_ahead_of_replies_goes_to_the_node() {
    let mut rig = Rig::logged_in(params(route()));
    let wire = [packet(0, QUERY), packet(0, QUIT)].concat();
    rig.client(&wire);
    assert_eq!(rig.to_node.bytes(), wire);
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    assert_eq!(rig.closed, None);
    rig.event(|session, now, out| session.node_closed(now, out));
    assert_eq!(rig.closed, Some(CloseReason::ClientGone));
    assert!(rig.session.take_warm().is_none());
}

#[test]
fn a_wrong_password_leaves_the_connection_as_it_was() {
    let (mut rig, greeting) = Rig::on_warm(params(route()), clean());
    let response = native::response(b"guess", &greeting.nonce);
    rig.client_login(1, &login(mysql_client(), "app", response));
    rig.client_gets_error(2, 1045);
    rig.node_got_nothing();
    assert_eq!(rig.closed, Some(CloseReason::AccessDenied));
    let warm = rig.session.take_warm().expect("the connection");
    assert!(warm.is_clean());
    let (mut rig, greeting) = Rig::on_warm(params(route()), warm);
    assert!(!rig.log_in_as_other(mysql_client(), &greeting));
    assert_eq!(next(&mut rig.to_node).payload[0], COM_CHANGE_USER);
    // Once it is touched, it goes with the session.
    rig.event(|session, now, out| session.client_closed(now, out));
    assert!(rig.session.take_warm().is_none());
}

#[test]
fn so_do_clients_that_say_nothing() {
    let (mut rig, _) = Rig::on_warm(params(route()), clean());
    rig.now = Duration::from_secs(11);
    rig.event(|session, now, out| session.tick(now, out));
    assert_eq!(rig.closed, Some(CloseReason::LoginTimeout));
    assert!(rig.session.take_warm().is_some_and(|warm| warm.is_clean()));
}

#[test]
fn another_connection_is_opened_for_a_client_with_other_capabilities() {
    let (mut rig, greeting) = Rig::on_warm(params(route()), clean());
    let capabilities = mysql_client() | Capabilities::FOUND_ROWS;
    assert!(rig.log_in_as_other(capabilities, &greeting));
    assert_eq!(next(&mut rig.to_node).payload, QUIT);
    logs_in_anew(rig);
}

#[test]
fn and_when_the_node_has_ended_the_old_one() {
    // Before the client's login, with and without a last word.
    for says in [None, Some(err(1053, "Server shutdown in progress"))] {
        let (mut rig, greeting) = Rig::on_warm(params(route()), clean());
        if let Some(says) = says {
            rig.node_packet(0, &says);
        }
        rig.event(|session, now, out| session.node_closed(now, out));
        assert_eq!(rig.closed, None);
        rig.client_got_nothing();
        assert!(rig.log_in_as_other(mysql_client(), &greeting));
        next(&mut rig.to_node);
        logs_in_anew(rig);
    }
    // While it changes the user.
    let (mut rig, greeting) = Rig::on_warm(params(route()), clean());
    assert!(!rig.log_in_as_other(mysql_client(), &greeting));
    next(&mut rig.to_node);
    rig.event(|session, now, out| {
        session.node_closed(now, out);
        assert!(out.reconnect);
    });
    next(&mut rig.to_node);
    logs_in_anew(rig);
    // One that nobody logs in on is not given back.
    let (mut rig, _) = Rig::on_warm(params(route()), clean());
    rig.event(|session, now, out| session.node_closed(now, out));
    rig.event(|session, now, out| session.client_closed(now, out));
    assert!(rig.session.take_warm().is_none());
}

/// The session of account `other` goes on over a new connection.
fn logs_in_anew(mut rig: Rig) {
    rig.event(|session, now, out| session.node_connected(now, out));
    assert!(rig.to_node.bytes().starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
    rig.to_node.advance(PROXY_HEADER);
    rig.node_packet(0, &node_greeting());
    rig.client_got_nothing();
    let login = rig.node_login();
    assert_eq!(login.user, b"other");
    assert_eq!(
        login.auth_response,
        native::response(b"random-of-other", &NODE_NONCE)
    );
    rig.node_packet(2, &ok(Status::AUTOCOMMIT));
    assert_eq!(rig.client_gets(2), ok(Status::AUTOCOMMIT));
    // A second end is the end.
    rig.event(|session, now, out| session.node_closed(now, out));
    assert_eq!(rig.closed, Some(CloseReason::NodeGone));
}

#[test]
fn a_node_that_is_not_there_anymore_is_told_of_in_the_logins_place() {
    for full in [false, true] {
        let (mut rig, greeting) = Rig::on_warm(params(route()), clean());
        rig.event(|session, now, out| session.node_closed(now, out));
        assert!(rig.log_in_as_other(mysql_client(), &greeting));
        if full {
            rig.node_packet(0, b"\xff\x10\x04Too many connections");
            rig.client_gets_error(2, 1040);
        } else {
            rig.event(|session, now, out| session.node_unreachable(now, out));
            rig.client_gets_error(2, 1053);
        }
        assert_eq!(rig.closed, Some(CloseReason::NodeRefused));
    }
}

#[test]
fn an_answer_that_is_not_a_clean_connections_is_its_end() {
    let good = reset_packets();
    let mut bad = Vec::new();
    // Any packet replaced by an error.
    for at in 0..good.len() {
        let mut packets = good.clone();
        packets[at] = packet(packets[at][3], &err(1, "no"));
        bad.push(packets.concat());
    }
    // A row before either end.
    let mut role = good.clone();
    role.insert(2, packet(3, b"\x011"));
    bad.push(role.concat());
    let mut profiles = good.clone();
    profiles.insert(7, packet(5, b"\x011\x011\x01q"));
    bad.push(profiles.concat());
    // Something behind the last, a reply too many, another order.
    bad.push([reset_answer(), packet(1, &ok(Status::AUTOCOMMIT))].concat());
    bad.push([packet(1, &ok(Status::AUTOCOMMIT)), reset_answer()].concat());
    bad.push([reset_answer(), vec![0]].concat());
    for answer in bad {
        let mut warm = left();
        warm.begin_reset(&mut Vec::new());
        let last = answer
            .chunks(5)
            .map(|piece| warm.node_data(piece))
            .find(|&reset| reset == Reset::Failed);
        assert_eq!(last, Some(Reset::Failed), "{answer:?}");
    }
    let mut warm = clean();
    assert_eq!(
        warm.node_data(&packet(0, &err(1927, "killed"))),
        Reset::Failed
    );
}

#[test]
fn connections_fit_as_long_as_their_account_is_the_same() {
    let warm = clean();
    assert!(warm.fits(&route()));
    let mut changed = route();
    changed
        .accounts
        .insert("app".into(), account(b"new", BACKEND_PASSWORD));
    assert!(warm.fits(&changed), "a new password alone");
    changed
        .accounts
        .insert("app".into(), account(PASSWORD, "another account's"));
    assert!(!warm.fits(&changed));
    changed.accounts.remove("app");
    assert!(!warm.fits(&changed));
}
