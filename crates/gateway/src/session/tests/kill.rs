//! Thread ids that clients were told, and the node's.

use openpeta_mysql_wire::command::*;

use super::*;

fn greeting_with(connection_id: u32) -> Vec<u8> {
    let mut greeting = Greeting::parse(&node_greeting()).expect("a greeting");
    greeting.connection_id = connection_id;
    let mut payload = Vec::new();
    greeting.encode(&mut payload);
    payload
}

impl Rig {
    fn beside(strayed: &Meter, params: SessionParams) -> Self {
        let session = Session::new(params, Meter::beside(strayed), Duration::ZERO);
        let mut rig = Self::new(self::params(route()));
        rig.session = session;
        rig
    }

    /// Greets from the node; returns whether the session wants another connection.
    fn node_greets(&mut self, connection_id: u32) -> bool {
        let mut out = Outbox::default();
        let wire = packet(0, &greeting_with(connection_id));
        self.session.node_data(self.now, &wire, &mut out);
        self.carry_out(&out);
        out.reconnect
    }

    fn log_in(&mut self) {
        let greeting = Greeting::parse(&self.client_gets(0)).expect("a greeting");
        let response = native::response(PASSWORD, &greeting.nonce);
        self.client_login(1, &login(mysql_client(), "app", response));
        self.node_login();
        self.node_packet(2, &ok(Status::AUTOCOMMIT));
        self.client_gets(2);
    }
}

#[test]
fn a_kill_keeps_its_place_among_the_commands() {
    let strayed = strayed();
    let mut rig = Rig::beside(&strayed, params(route()));
    assert!(!rig.node_greets(42));
    rig.log_in();
    let commands: [&[u8]; 5] = [
        &[COM_STMT_CLOSE, 1, 0, 0, 0],
        b"\x03SELECT 7",
        b"\x03KILL QUERY 7",
        b"\x03KILL 8",
        b"\x03SELECT 2",
    ];
    let wire: Vec<u8> = commands
        .iter()
        .flat_map(|command| packet(0, command))
        .collect();
    rig.client(&wire);
    for command in commands {
        let expected = match command {
            b"\x03KILL QUERY 7" => b"\x03KILL QUERY 900",
            command => command,
        };
        assert_eq!(next(&mut rig.to_node).payload, expected);
    }
    rig.node_got_nothing();
    assert_eq!(rig.session.counters().commands, 5);
}

#[test]
fn a_number_that_means_another_session_is_not_taken() {
    let strayed = strayed();
    let again = SessionParams {
        revival_time: Some(Duration::from_secs(1)),
        ..params(route())
    };
    let mut rig = Rig::beside(&strayed, again);
    assert!(rig.node_greets(7));
    rig.client_got_nothing();
    rig.event(|session, now, out| session.node_connected(now, out));
    rig.to_node.advance(PROXY_HEADER);
    assert!(!rig.node_greets(8));
    rig.log_in();
    // Nor when the node has come back.
    rig.event(|session, now, out| {
        session.node_closed(now, out);
        assert!(out.reconnect);
    });
    rig.event(|session, now, out| session.node_unreachable(now, out));
    assert_eq!(strayed.kill_target(8), Some(crate::sessions::NOBODY));
    rig.client_packet(0, b"\x03KILL 7");
    for taken in [true, false] {
        rig.event(|session, now, out| session.node_connected(now, out));
        rig.to_node.advance(PROXY_HEADER);
        assert_eq!(rig.node_greets(if taken { 7 } else { 9 }), taken);
    }
    rig.node_login();
    rig.node_packet(2, &ok(Status::AUTOCOMMIT));
    assert_eq!(next(&mut rig.to_node).payload, b"\x03KILL 900");
    assert_eq!(strayed.kill_target(8), Some(9));
    rig.event(|session, now, out| session.client_closed(now, out));
    drop(rig);
    assert_eq!(strayed.kill_target(8), None);
    assert_eq!(strayed.kill_target(7), Some(900));
}
