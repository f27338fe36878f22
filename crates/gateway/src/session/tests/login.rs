//! Logins of all kinds of clients, good and bad.

use openpeta_mysql_wire::AuthSwitch;

use super::*;

fn nonce_of(switch: &[u8], plugin: &[u8]) -> [u8; NONCE_LEN] {
    let switch = AuthSwitch::parse(switch).expect("an authentication switch");
    assert_eq!(switch.plugin, plugin);
    let (nonce, end) = switch.data.split_first_chunk().expect("a nonce");
    assert_eq!(end, [0]);
    *nonce
}

fn finish(rig: &mut Rig, sequence: u8) {
    let login = rig.node_login();
    let expected = native::response(BACKEND_PASSWORD.as_bytes(), &NODE_NONCE);
    assert_eq!(login.auth_response, expected);
    let answer = ok(Status::AUTOCOMMIT);
    rig.node_packet(2, &answer);
    assert_eq!(rig.client_gets(sequence), answer);
    assert_eq!(rig.session.phase(), Phase::Command);
    assert_eq!(rig.session.account(), Some("app"));
    assert_eq!(rig.session.deadline(), None);
}

#[test]
fn the_greeting_is_the_nodes_with_an_own_nonce() {
    let (_, greeting) = Rig::greeted(params(route()));
    assert_eq!(greeting.connection_id, 42);
    assert_eq!(greeting.server_version, b"5.5.5-10.11.19-MariaDB");
    assert_ne!(greeting.nonce, NODE_NONCE);
    let compression = Capabilities::COMPRESS | Capabilities::ZSTD_COMPRESS;
    let expected = NODE_CAPABILITIES | compression | Capabilities::SSL;
    assert_eq!(greeting.capabilities, expected);
    let plain = SessionParams {
        tls: false,
        compression: false,
        ..params(route())
    };
    let (_, greeting) = Rig::greeted(plain);
    let expected = NODE_CAPABILITIES.without(compression | Capabilities::SSL);
    assert_eq!(greeting.capabilities, expected);
}

#[test]
fn native_password() {
    let (mut rig, greeting) = Rig::greeted(params(route()));
    let response = native::response(PASSWORD, &greeting.nonce);
    let sent = Login {
        capabilities: Capabilities::from_halves(0x2_A200, 0x14) | Capabilities::COMPRESS,
        ..login(Capabilities::NONE, "app", response)
    };
    rig.client_login(1, &sent);
    let got = Rig::node_login(&mut rig);
    assert_eq!(got.user, sent.user);
    assert_eq!(got.database, sent.database);
    assert_eq!(got.attributes, sent.attributes);
    assert_eq!(got.capabilities.extended(), 0x14);
    assert!(!got.capabilities.contains(Capabilities::COMPRESS));
}

#[test]
fn compression_ends_at_the_gateway_and_starts_behind_the_ok() {
    let asked = Capabilities::COMPRESS;
    for (offered, ahead) in [(true, false), (true, true), (false, false)] {
        let (mut rig, greeting) = Rig::greeted(SessionParams {
            compression: offered,
            ..params(route())
        });
        let response = native::response(PASSWORD, &greeting.nonce);
        let sent = login(mysql_client() | asked, "app", response);
        rig.client_login(1, &sent);
        if ahead {
            rig.client(&packet(0, b"\x0e"));
        }
        assert!(!rig.node_login().capabilities.contains(asked));
        assert_eq!(rig.compression, None);
        rig.node_packet(2, &ok(Status::AUTOCOMMIT));
        rig.client_gets(2);
        match (offered, ahead) {
            (true, false) => assert_eq!(rig.compression, Some(Compression::Zlib)),
            (false, _) => assert_eq!((rig.compression, rig.closed), (None, None)),
            // What was sent ahead may be compressed or not.
            (true, true) => assert_eq!(rig.closed, Some(CloseReason::Malformed)),
        }
    }
}

#[test]
fn a_client_without_plugins_or_with_an_empty_password() {
    let (mut rig, greeting) = Rig::greeted(params(route()));
    let response = native::response(PASSWORD, &greeting.nonce);
    let old = Login {
        plugin: None,
        ..login(mysql_client(), "app", response)
    };
    rig.client_login(1, &old);
    finish(&mut rig, 2);

    let (mut rig, _) = Rig::greeted(params(route()));
    rig.client_login(1, &login(mysql_client(), "open", Vec::new()));
    assert_eq!(rig.node_login().user, b"open");
}

/// libmysqlclient 8 and 9: their default plugin is not the greeting's, so no response yet.
#[test]
fn mysql_clients_are_asked_for_their_own_plugin() {
    for (user, password) in [("app", PASSWORD), ("open", b"")] {
        let (mut rig, _) = Rig::greeted(params(route()));
        let sent = Login {
            plugin: Some(sha2::NAME.to_vec()),
            ..login(mysql_client(), user, Vec::new())
        };
        rig.client_login(1, &sent);
        let nonce = nonce_of(&rig.client_gets(2), sha2::NAME);
        rig.node_got_nothing();
        rig.client_packet(3, &sha2::response(password, &nonce));
        assert_eq!(rig.node_login().user, user.as_bytes());
        rig.node_packet(2, &ok(Status::AUTOCOMMIT));
        assert_eq!(rig.client_gets(4), [1, 3]);
        assert_eq!(rig.client_gets(5), ok(Status::AUTOCOMMIT));
    }
}

#[test]
fn caching_sha2_on_the_greetings_nonce() {
    let (mut rig, greeting) = Rig::greeted(params(route()));
    let sent = Login {
        plugin: Some(sha2::NAME.to_vec()),
        ..login(
            mysql_client(),
            "app",
            sha2::response(PASSWORD, &greeting.nonce),
        )
    };
    rig.client_login(1, &sent);
    rig.node_login();
    rig.node_packet(2, &ok(Status::AUTOCOMMIT));
    assert_eq!(rig.client_gets(2), [1, 3]);
    assert_eq!(rig.client_gets(3), ok(Status::AUTOCOMMIT));
}

#[test]
fn other_plugins_are_switched_to_native() {
    let (mut rig, greeting) = Rig::greeted(params(route()));
    let sent = Login {
        plugin: Some(b"client_ed25519".to_vec()),
        ..login(mysql_client(), "app", vec![5; 64])
    };
    rig.client_login(1, &sent);
    let nonce = nonce_of(&rig.client_gets(2), native::NAME);
    assert_ne!(nonce, greeting.nonce);
    rig.client_packet(3, &native::response(PASSWORD, &nonce));
    finish(&mut rig, 4);
}

#[test]
fn tls_shifts_the_sequence_and_takes_the_bytes_behind_the_request() {
    let (mut rig, greeting) = Rig::greeted(params(route()));
    let response = native::response(PASSWORD, &greeting.nonce);
    let mut sent = login(mysql_client(), "app", response);
    let mut request = Vec::new();
    sent.encode_ssl_request(&mut request);
    let request = packet(1, &request);
    let (first, second) = request.split_at(10);
    rig.client(first);
    rig.client(&[second, b"\x16\x03\x01hello"].concat());
    assert_eq!(rig.tls_from, Some(second.len()));
    rig.client_got_nothing();
    rig.event(|session, now, _| session.tls_established(now));
    assert!(rig.session.is_encrypted());
    sent.capabilities = sent.capabilities | Capabilities::SSL;
    rig.client_login(2, &sent);
    let login = rig.node_login();
    assert!(!login.capabilities.contains(Capabilities::SSL));
    rig.node_packet(2, &ok(Status::AUTOCOMMIT));
    rig.client_gets(3);
}

#[test]
fn a_failed_login_is_told_alike_and_never_reaches_the_node() {
    for (user, password, told) in [
        ("app", &b"wrong"[..], "YES"),
        ("nobody", b"secret", "YES"),
        ("app", b"", "NO"),
        ("open", b"guess", "YES"),
        ("nobody", b"", "NO"),
    ] {
        for plugin in [native::NAME, sha2::NAME] {
            let (mut rig, greeting) = Rig::greeted(params(route()));
            let response = if plugin == native::NAME {
                native::response(password, &greeting.nonce)
            } else {
                sha2::response(password, &greeting.nonce)
            };
            let sent = Login {
                plugin: Some(plugin.to_vec()),
                ..login(mysql_client(), user, response)
            };
            rig.client_login(1, &sent);
            let text = rig.client_gets_error(2, 1045);
            assert_eq!(
                text,
                format!("Access denied for user '{user}'@'10.1.2.3' (using password: {told})")
            );
            assert_eq!(rig.closed, Some(CloseReason::AccessDenied));
            rig.node_got_nothing();
        }
    }
}

#[test]
fn a_wrong_response_to_a_switch_is_refused_too() {
    let (mut rig, _) = Rig::greeted(params(route()));
    let sent = Login {
        plugin: Some(sha2::NAME.to_vec()),
        ..login(mysql_client(), "app", Vec::new())
    };
    rig.client_login(1, &sent);
    let nonce = nonce_of(&rig.client_gets(2), sha2::NAME);
    rig.client_packet(3, &sha2::response(b"wrong", &nonce));
    rig.client_gets_error(4, 1045);
    rig.node_got_nothing();
}

#[test]
fn the_nodes_errors_are_relayed() {
    let (mut rig, greeting) = Rig::greeted(params(route()));
    let response = native::response(PASSWORD, &greeting.nonce);
    rig.client_login(1, &login(mysql_client(), "app", response));
    rig.node_login();
    rig.node_packet(2, &err(1049, "Unknown database 'shop'"));
    assert_eq!(rig.client_gets_error(2, 1049), "Unknown database 'shop'");
    assert_eq!(rig.closed, Some(CloseReason::NodeRefused));

    let mut rig = Rig::new(params(route()));
    let full = b"\xff\x10\x04Too many connections";
    rig.node_packet(0, full);
    assert_eq!(rig.client_gets(0), full);
    assert_eq!(rig.closed, Some(CloseReason::NodeRefused));
}

#[test]
fn the_node_may_ask_for_another_nonce() {
    let (mut rig, greeting) = Rig::greeted(params(route()));
    let response = native::response(PASSWORD, &greeting.nonce);
    rig.client_login(1, &login(mysql_client(), "app", response));
    rig.node_login();
    let mut switch = Vec::new();
    AuthSwitch {
        plugin: native::NAME.to_vec(),
        data: [&[9; NONCE_LEN][..], &[0]].concat(),
    }
    .encode(&mut switch);
    rig.node_packet(2, &switch);
    let answer = next(&mut rig.to_node);
    assert_eq!(answer.sequence, 3);
    let expected = native::response(BACKEND_PASSWORD.as_bytes(), &[9; NONCE_LEN]);
    assert_eq!(answer.payload, expected);
    rig.node_packet(4, &ok(Status::AUTOCOMMIT));
    rig.client_gets(2);
    assert_eq!(rig.session.phase(), Phase::Command);
}

#[test]
fn malformed_input_is_answered_and_ends_the_session() {
    let too_long = [&[0xFF, 0xFF, 0x7F, 1][..], &[0; 100]].concat();
    for (input, sequence, code) in [
        (packet(1, b"\x05\x04\0\0\0root\0"), 2, 1251),
        (packet(1, b"\x01"), 2, 1043),
        (packet(1, &[0xFF; 20]), 2, 1043),
        (packet(1, b""), 2, 1043),
        (packet(7, &[0; 40]), 1, 1156),
        (too_long, 1, 1153),
    ] {
        let (mut rig, _) = Rig::greeted(params(route()));
        rig.client(&input);
        rig.client_gets_error(sequence, code);
        assert_eq!(rig.closed, Some(CloseReason::Malformed));
        rig.node_got_nothing();
    }
}

#[test]
fn plain_bytes_during_the_tls_handshake_are_never_taken_for_encrypted_ones() {
    let (mut rig, greeting) = Rig::greeted(params(route()));
    let response = native::response(PASSWORD, &greeting.nonce);
    let sent = login(mysql_client(), "app", response);
    let mut request = Vec::new();
    sent.encode_ssl_request(&mut request);
    rig.client_packet(1, &request);
    rig.client_login(2, &sent);
    assert_eq!(rig.closed, Some(CloseReason::Malformed));
    rig.node_got_nothing();
}

#[test]
fn tls_needs_to_be_offered() {
    let plain = SessionParams {
        tls: false,
        ..params(route())
    };
    let (mut rig, _) = Rig::greeted(plain);
    let mut request = Vec::new();
    login(mysql_client(), "app", Vec::new()).encode_ssl_request(&mut request);
    rig.client_packet(1, &request);
    rig.client_gets_error(2, 1043);
}

#[test]
fn a_client_that_speaks_before_the_greeting_is_refused() {
    let mut rig = Rig::new(params(route()));
    rig.client(b"GET / HTTP/1.1\r\n");
    rig.client_gets_error(0, 1043);
    assert_eq!(rig.closed, Some(CloseReason::Malformed));
}

#[test]
fn logins_have_a_deadline() {
    let (mut rig, _) = Rig::greeted(params(route()));
    assert_eq!(rig.session.deadline(), Some(Duration::from_secs(10)));
    rig.now = Duration::from_millis(9_999);
    rig.event(|session, now, out| session.tick(now, out));
    assert_eq!(rig.closed, None);
    rig.now = Duration::from_secs(10);
    rig.event(|session, now, out| session.tick(now, out));
    rig.client_gets_error(1, 1159);
    assert_eq!(rig.closed, Some(CloseReason::LoginTimeout));
}

#[test]
fn an_absent_node_is_told_in_place_of_the_greeting() {
    let mut rig = Rig::new(params(route()));
    rig.event(|session, now, out| session.node_unreachable(now, out));
    assert!(rig.client_gets_error(0, 1053).contains("cannot be reached"));
    assert_eq!(rig.closed, Some(CloseReason::NodeRefused));

    let mut rig = Rig::new(params(route()));
    rig.event(|session, now, out| session.node_closed(now, out));
    rig.client_gets_error(0, 1053);
}

#[test]
fn a_dropped_account_is_kicked_even_while_the_node_thinks() {
    let (mut rig, greeting) = Rig::greeted(params(route()));
    let response = native::response(PASSWORD, &greeting.nonce);
    rig.client_login(1, &login(mysql_client(), "app", response));
    let mut without = route();
    without.accounts.remove("app");
    rig.event(|session, now, out| session.route_changed(now, Arc::new(without), out));
    assert_eq!(rig.closed, Some(CloseReason::Kicked));
}

#[test]
fn a_new_password_kicks_nobody_and_a_new_account_of_the_name_does() {
    let (mut rig, greeting) = Rig::greeted(params(route()));
    let response = native::response(PASSWORD, &greeting.nonce);
    rig.client_login(1, &login(mysql_client(), "app", response));
    let mut changed = route();
    for (backend, closed) in [
        (BACKEND_PASSWORD, None),
        ("random-of-another", Some(CloseReason::Kicked)),
    ] {
        let login = account(b"new password", backend);
        changed.accounts.insert("app".into(), login);
        let route = Arc::new(changed.clone());
        rig.event(|session, now, out| session.route_changed(now, route, out));
        assert_eq!(rig.closed, closed);
    }
}

#[test]
fn a_client_with_an_old_route_is_checked_against_the_new_one() {
    let (mut rig, greeting) = Rig::greeted(params(route()));
    let mut changed = route();
    changed
        .accounts
        .insert("app".into(), account(b"new password", BACKEND_PASSWORD));
    rig.event(|session, now, out| session.route_changed(now, Arc::new(changed), out));
    assert_eq!(rig.closed, None);
    let response = native::response(PASSWORD, &greeting.nonce);
    rig.client_login(1, &login(mysql_client(), "app", response));
    rig.client_gets_error(2, 1045);
    rig.node_got_nothing();
}
