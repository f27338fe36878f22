//! The command phase.

use openpeta_mysql_wire::{AuthSwitch, ChangeUser};

use super::*;

const QUERY: &[u8] = b"\x03select 1";
const IN_TRANS: Status = Status(3);

fn change_user(user: &str, plugin: &[u8]) -> Vec<u8> {
    let request = ChangeUser {
        user: user.as_bytes().to_vec(),
        auth_response: vec![1; 20],
        database: b"shop".to_vec(),
        charset: Some(33),
        plugin: Some(plugin.to_vec()),
        attributes: None,
    };
    let mut payload = Vec::new();
    request.encode(&mut payload);
    payload
}

fn asked_for(rig: &mut Rig, plugin: &[u8]) -> [u8; NONCE_LEN] {
    let switch = AuthSwitch::parse(&rig.client_gets(1)).expect("an authentication switch");
    assert_eq!(switch.plugin, plugin);
    *switch.data.first_chunk().expect("a nonce")
}

#[test]
fn whole_slices_go_through_untouched() {
    let mut rig = Rig::logged_in(params(route()));
    let mut out = Outbox::default();
    let query = packet(0, QUERY);
    assert_eq!(
        rig.session.client_data(rig.now, &query, &mut out),
        0..query.len()
    );
    assert!(!rig.session.is_idle());
    let reply = packet(1, &ok(IN_TRANS));
    assert_eq!(
        rig.session.node_data(rig.now, &reply, &mut out),
        0..reply.len()
    );
    assert!(out.is_empty());
    assert!(rig.session.is_idle() && rig.session.in_transaction());
    assert_eq!(rig.session.counters().commands, 1);
}

#[test]
fn commands_may_come_in_pieces_and_ahead() {
    let mut rig = Rig::logged_in(params(route()));
    let wire = [
        packet(0, QUERY),
        packet(0, &[0x19, 1, 0, 0, 0]),
        packet(0, &[0x0E]),
    ]
    .concat();
    for byte in &wire {
        rig.client(std::slice::from_ref(byte));
    }
    assert_eq!(rig.to_node.bytes(), wire);
    assert_eq!(rig.session.counters().commands, 3);
    rig.node_packet(1, &err(1064, "no"));
    assert!(!rig.session.is_idle());
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    assert!(rig.session.is_idle());
    assert_eq!(rig.session.counters().errors, 1);
}

#[test]
fn change_user_is_checked_and_done_with_the_new_accounts_backend_password() {
    for (plugin, sequence) in [(native::NAME, 3), (sha2::NAME, 4)] {
        let mut rig = Rig::logged_in(params(route()));
        rig.client_packet(0, &change_user("other", plugin));
        rig.node_got_nothing();
        let nonce = asked_for(&mut rig, plugin);
        // MariaDB's client library answers to the nonce of the login, whatever it is sent.
        assert_eq!(nonce == rig.login_nonce, plugin == native::NAME);
        let response = if plugin == native::NAME {
            native::response(b"second", &nonce)
        } else {
            sha2::response(b"second", &nonce)
        };
        rig.client_packet(2, &response);
        assert!(rig.session.client_read_paused());
        let request = next(&mut rig.to_node);
        assert_eq!(request.sequence, 0);
        let request = ChangeUser::parse(&request.payload, mysql_client()).expect("a command");
        assert_eq!(
            (&request.user[..], &request.database[..]),
            (&b"other"[..], &b"shop"[..])
        );
        assert_eq!(request.charset, Some(33));
        assert_eq!(
            request.auth_response,
            native::response(b"random-of-other", &NODE_NONCE)
        );
        // MariaDB always asks for a fresh nonce here.
        let mut switch = b"\xfemysql_native_password\0".to_vec();
        switch.extend([9; NONCE_LEN]);
        switch.push(0);
        rig.node_packet(1, &switch);
        let answer = next(&mut rig.to_node);
        assert_eq!(answer.sequence, 2);
        assert_eq!(
            answer.payload,
            native::response(b"random-of-other", &[9; NONCE_LEN])
        );
        rig.client_got_nothing();
        rig.node_packet(3, &ok(Status::AUTOCOMMIT));
        if plugin == sha2::NAME {
            assert_eq!(rig.client_gets(3), [1, 3]);
        }
        assert_eq!(rig.client_gets(sequence), ok(Status::AUTOCOMMIT));
        assert_eq!(rig.session.account(), Some("other"));
        assert!(rig.session.is_idle() && !rig.session.client_read_paused());
        rig.client_packet(0, QUERY);
        assert_eq!(next(&mut rig.to_node).payload, QUERY);
    }
}

/// The node gets a change to the session's own account that it must refuse; returns its request.
fn refused_by_the_node(rig: &mut Rig, code: u16) -> ChangeUser {
    let request = next(&mut rig.to_node);
    assert_eq!(request.sequence, 0);
    let request = ChangeUser::parse(&request.payload, mysql_client()).expect("a command");
    assert_eq!(request.user, b"app");
    let right = native::response(BACKEND_PASSWORD.as_bytes(), &NODE_NONCE);
    assert_eq!(request.auth_response.len(), right.len());
    assert_ne!(request.auth_response, right);
    if code == 1045 {
        let mut switch = b"\xfemysql_native_password\0".to_vec();
        switch.extend([9; NONCE_LEN]);
        switch.push(0);
        rig.node_packet(1, &switch);
        let answer = next(&mut rig.to_node).payload;
        let right = native::response(BACKEND_PASSWORD.as_bytes(), &[9; NONCE_LEN]);
        assert_eq!(answer.len(), right.len());
        assert_ne!(answer, right);
    }
    request
}

#[test]
fn a_failed_change_user_resets_the_session_under_the_old_account() {
    let mut rig = Rig::logged_in(params(route()));
    for _ in 0..3 {
        rig.client_packet(0, &change_user("other", native::NAME));
        let nonce = asked_for(&mut rig, native::NAME);
        rig.client_packet(2, &native::response(PASSWORD, &nonce));
        refused_by_the_node(&mut rig, 1045);
        rig.client_got_nothing();
        rig.node_packet(3, &err(1045, "Access denied for user 'app'@'10.1.2.3'"));
        let text = rig.client_gets_error(3, 1045);
        assert_eq!(
            text,
            "Access denied for user 'other'@'10.1.2.3' (using password: YES)"
        );
        assert_eq!(rig.session.account(), Some("app"));
        rig.client_packet(0, QUERY);
        assert_eq!(next(&mut rig.to_node).payload, QUERY);
        rig.node_packet(1, &ok(Status::AUTOCOMMIT));
        rig.client_gets(1);
    }
    // The node knows the command no more, however right the password.
    rig.client_packet(0, &change_user("other", native::NAME));
    rig.client_got_nothing();
    refused_by_the_node(&mut rig, 1047);
    rig.node_packet(1, &err(1047, "Unknown command"));
    rig.client_gets_error(1, 1047);
    assert!(rig.session.is_idle() && rig.closed.is_none());
}

#[test]
fn a_node_that_accepts_what_was_not_proved_ends_the_session() {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, &change_user("other", native::NAME));
    asked_for(&mut rig, native::NAME);
    rig.client_packet(2, b"");
    refused_by_the_node(&mut rig, 1045);
    rig.node_packet(3, &ok(Status::AUTOCOMMIT));
    rig.client_got_nothing();
    assert_eq!(rig.closed, Some(CloseReason::AccessDenied));
}

#[test]
fn a_change_user_the_node_refuses_leaves_the_old_account() {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, &change_user("other", native::NAME));
    let nonce = asked_for(&mut rig, native::NAME);
    rig.client_packet(2, &native::response(b"second", &nonce));
    next(&mut rig.to_node);
    rig.node_packet(1, &err(1049, "Unknown database 'shop'"));
    rig.client_gets_error(3, 1049);
    assert_eq!(rig.session.account(), Some("app"));
    assert_eq!(rig.closed, None);
}

#[test]
fn a_malformed_change_user_is_an_unknown_command() {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, b"\x11u\0\x05abc");
    rig.client_gets_error(1, 1047);
    rig.node_got_nothing();
    assert!(rig.session.is_idle());
}

#[test]
fn change_user_waits_for_the_commands_before_it() {
    let mut rig = Rig::logged_in(params(route()));
    let change = packet(0, &change_user("other", native::NAME));
    let wire = [packet(0, QUERY), change].concat();
    let (first, second) = wire.split_at(wire.len() - 3);
    rig.client(first);
    rig.client(second);
    assert!(rig.session.client_read_paused());
    assert_eq!(rig.to_node.bytes(), packet(0, QUERY));
    rig.client_got_nothing();
    rig.node_packet(1, &ok(Status::AUTOCOMMIT));
    rig.client_gets(1);
    asked_for(&mut rig, native::NAME);
    assert!(!rig.session.client_read_paused());
}

#[test]
fn drain_waits_for_the_end_of_command_and_transaction() {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, QUERY);
    rig.event(|session, now, out| session.drain(now, out));
    assert_eq!(rig.closed, None);
    rig.node_packet(1, &ok(IN_TRANS));
    assert_eq!(rig.closed, None);
    rig.client_packet(0, QUERY);
    let reply = packet(1, &ok(Status::AUTOCOMMIT));
    rig.node(&reply[..reply.len() - 1]);
    assert_eq!(rig.closed, None);
    rig.node(&reply[reply.len() - 1..]);
    assert_eq!(rig.closed, Some(CloseReason::Drained));
    assert_eq!(
        rig.to_client.bytes(),
        [packet(1, &ok(IN_TRANS)), reply].concat()
    );
}

#[test]
fn an_error_without_autocommit_may_have_opened_a_transaction() {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, QUERY);
    rig.node_packet(1, &ok(Status(0)));
    rig.client_packet(0, QUERY);
    rig.node_packet(1, &err(1062, "Duplicate entry"));
    rig.event(|session, now, out| session.drain(now, out));
    assert_eq!(rig.closed, None);
    rig.client_packet(0, QUERY);
    rig.node_packet(1, &ok(Status(0)));
    assert_eq!(rig.closed, Some(CloseReason::Drained));
}

#[test]
fn an_idle_session_drains_and_is_kicked_without_a_packet() {
    let mut rig = Rig::logged_in(params(route()));
    rig.event(|session, now, out| session.drain(now, out));
    assert_eq!(rig.closed, Some(CloseReason::Drained));
    rig.client_got_nothing();

    let mut rig = Rig::logged_in(params(route()));
    let mut changed = route();
    changed.write_lock = Some("storage is full".into());
    changed.accounts.remove("other");
    rig.event(|session, now, out| session.route_changed(now, Arc::new(changed), out));
    assert_eq!(rig.closed, None);
    // An account of the same name, made after the old one was dropped.
    let mut changed = route();
    changed
        .accounts
        .insert("app".into(), account(PASSWORD, "another node password"));
    rig.event(|session, now, out| session.route_changed(now, Arc::new(changed), out));
    assert_eq!(rig.closed, Some(CloseReason::Kicked));
    rig.client_got_nothing();
}

#[test]
fn the_reason_of_a_write_lock_is_named() {
    let message = "The MariaDB server is running with the --read-only option so it cannot \
        execute this statement";
    let plain = [
        packet(1, &err(1290, message)),
        packet(1, &err(1146, "no table")),
    ]
    .concat();
    for size in [1, 2, 3, 5, 50, plain.len()] {
        let locked = InstanceRoute {
            write_lock: Some("storage quota reached".into()),
            ..route()
        };
        let mut rig = Rig::logged_in(params(locked));
        rig.client_packet(0, QUERY);
        rig.client_packet(0, QUERY);
        for piece in plain.chunks(size) {
            rig.node(piece);
        }
        let text = rig.client_gets_error(1, 1290);
        assert_eq!(text, format!("{message}: storage quota reached"));
        assert_eq!(rig.client_gets_error(1, 1146), "no table");
        assert!(rig.session.is_idle());
    }
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, QUERY);
    rig.node_packet(1, &err(1290, message));
    assert_eq!(rig.client_gets_error(1, 1290), message);
}

#[test]
fn a_local_file_goes_to_the_node() {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, b"\x03load data local infile 'x' into table t");
    rig.node_packet(1, b"\xfbx");
    rig.client_gets(1);
    next(&mut rig.to_node);
    // Begins like a COM_CHANGE_USER, and is none.
    let file = [packet(2, b"\x11app\0"), packet(3, b"")].concat();
    for piece in file.chunks(3) {
        rig.client(piece);
    }
    assert_eq!(rig.to_node.bytes(), file);
    assert_eq!(rig.session.counters().commands, 1);
    assert!(!rig.session.is_idle());
    rig.node_packet(4, &ok(Status::AUTOCOMMIT));
    assert!(rig.session.is_idle());
    rig.client_packet(0, QUERY);
    assert_eq!(rig.session.counters().commands, 2);
}

#[test]
fn a_command_ahead_of_a_local_file_ends_the_session() {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, QUERY);
    rig.client_packet(0, QUERY);
    rig.node_packet(1, b"\xfbx");
    assert_eq!(rig.closed, Some(CloseReason::Malformed));
}

#[test]
fn quitting_and_dying() {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, &[1, 0]);
    assert_eq!(rig.to_node.bytes(), packet(0, &[1, 0]));
    rig.event(|session, now, out| session.node_closed(now, out));
    assert_eq!(rig.closed, Some(CloseReason::ClientGone));

    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, QUERY);
    rig.event(|session, now, out| session.node_closed(now, out));
    assert_eq!(rig.closed, Some(CloseReason::NodeGone));
    rig.client_got_nothing();
    rig.client_packet(0, QUERY);
    assert_eq!(rig.session.phase(), Phase::Closed);
}

#[test]
fn a_lost_command_ends_the_connection_without_a_word() {
    for revival_time in [None, Some(Duration::from_secs(1))] {
        let mut rig = Rig::logged_in(SessionParams {
            revival_time,
            ..params(route())
        });
        rig.client_packet(0, QUERY);
        rig.client_packet(0, QUERY);
        rig.node_got(2);
        rig.event(|session, now, out| {
            session.node_closed(now, out);
            assert!(!out.reconnect);
        });
        assert_eq!(rig.closed, Some(CloseReason::NodeGone));
        rig.client_got_nothing();
        rig.node_got_nothing();
    }
}

#[test]
fn a_command_with_half_an_answer_gets_no_other() {
    let mut parts = vec![packet(1, &[1]), packet(1, b"\xfbfile"), vec![7, 0, 0]];
    let more = ok(Status(Status::AUTOCOMMIT.0 | Status::MORE_RESULTS_EXISTS.0));
    parts.push(packet(1, &more));
    for part in parts {
        let mut rig = Rig::logged_in(SessionParams {
            revival_time: Some(Duration::from_secs(1)),
            ..params(route())
        });
        rig.client_packet(0, QUERY);
        rig.node(&part);
        assert_eq!(rig.to_client.bytes(), part);
        rig.event(|session, now, out| session.node_closed(now, out));
        assert_eq!(rig.closed, Some(CloseReason::NodeGone));
        assert_eq!(rig.to_client.bytes(), part);
    }
}

#[test]
fn what_the_node_says_unasked_is_relayed() {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(3, QUERY);
    rig.node_packet(0, &err(1156, "Got packets out of order"));
    rig.client_gets_error(0, 1156);
    rig.node_packet(0, &err(1053, "Server shutdown in progress"));
    rig.client_gets_error(0, 1053);
    rig.event(|session, now, out| session.node_closed(now, out));
    assert_eq!(rig.closed, Some(CloseReason::Malformed));
}

#[test]
fn a_client_far_ahead_is_no_longer_read() {
    let mut rig = Rig::logged_in(params(route()));
    let pings = packet(0, &[0x0E]).repeat(2_000);
    rig.client(&pings);
    assert!(rig.session.client_read_paused());
    rig.node(&packet(1, &ok(Status::AUTOCOMMIT)).repeat(2_000));
    assert!(!rig.session.client_read_paused() && rig.session.is_idle());
}

#[test]
fn acknowledgements_of_a_replica_are_no_commands() {
    let mut rig = Rig::logged_in(params(route()));
    rig.client_packet(0, b"\x12\x04\0\0\0\0\0\x01\0\0\0log");
    rig.node_packet(1, b"\0event");
    rig.client_packet(0, b"\x11ack");
    rig.node_got(2);
    assert_eq!(rig.session.counters().commands, 1);
    rig.node_packet(2, &err(1236, "no more"));
    assert!(rig.session.is_idle());
    rig.client_packet(0, QUERY);
    assert_eq!(rig.session.counters().commands, 2);
}

impl Rig {
    fn node_got(&mut self, packets: usize) {
        for _ in 0..packets {
            next(&mut self.to_node);
        }
        self.node_got_nothing();
    }
}
