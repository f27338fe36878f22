//! The session machine between a client and a node that may say anything.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use openpeta_gateway::session::{Meter, Outbox, Phase, Session, SessionParams};
use openpeta_mysql_wire::auth::{native, sha2};
use openpeta_mysql_wire::{
    Capabilities, Greeting, HEADER_LEN, Login, OkPacket, Status, put_packet,
};
use openpeta_types::route::{AccountLogin, InstanceRoute};
use openpeta_types::{InstanceId, Secret, Whitelist};

use super::byte;

const PASSWORD: &[u8] = b"secret";

/// Bytes are a script: a byte that tells what happens, one for how many bytes come, and those
/// bytes. Flags at the front tell how it begins.
pub(crate) fn run(bytes: &[u8]) {
    let (flags, mut rest) = byte(bytes);
    let mut stage = Stage::new(flags);
    if flags & 1 != 0 {
        stage.log_in();
    }
    while !rest.is_empty() {
        let (what, behind) = byte(rest);
        let (len, behind) = byte(behind);
        let (data, behind) = behind.split_at(usize::from(len).min(behind.len()));
        rest = behind;
        stage.step(what, data);
    }
}

struct Stage {
    session: Session,
    now: Duration,
    to_client: Vec<u8>,
}

impl Stage {
    fn new(flags: u8) -> Self {
        Self {
            session: Session::new(params(flags), Meter::detached(), Duration::ZERO),
            now: Duration::ZERO,
            to_client: Vec::new(),
        }
    }

    fn step(&mut self, what: u8, data: &[u8]) {
        self.now += Duration::from_millis(u64::from(what));
        match what % 16 {
            0..6 => self.client(data),
            6..11 => self.node(data),
            11 => self.call(|session, now, out| session.node_connected(now, out)),
            12 => self.session.tls_established(self.now),
            13 => self.call(|session, now, out| session.tick(now, out)),
            14 => self.call(|session, now, out| match data.first() {
                Some(0) => session.drain(now, out),
                Some(1) => session.displace(now, out),
                Some(2) => session.node_unreachable(now, out),
                Some(3) => session.client_closed(now, out),
                _ => {}
            }),
            _ => self.call(|session, now, out| match data.first() {
                Some(0) => session.node_closed(now, out),
                Some(1) => session.kick(now, out),
                Some(2) => session.route_changed(now, Arc::new(route(0)), out),
                _ => {}
            }),
        }
    }

    fn client(&mut self, data: &[u8]) {
        self.bytes(data, |session, now, out| {
            session.client_data(now, data, out)
        });
    }

    fn node(&mut self, data: &[u8]) {
        self.bytes(data, |session, now, out| session.node_data(now, data, out));
    }

    /// Bytes of one of the two, of which some go on as they are.
    fn bytes(
        &mut self,
        data: &[u8],
        call: impl FnOnce(&mut Session, Duration, &mut Outbox) -> Range<usize>,
    ) {
        let was_closed = self.session.phase() == Phase::Closed;
        let mut passed = 0..0;
        self.call(|session, now, out| passed = call(session, now, out));
        assert!(passed.start <= passed.end && passed.end <= data.len());
        assert!(!was_closed || passed.is_empty(), "it is over");
    }

    fn call(&mut self, call: impl FnOnce(&mut Session, Duration, &mut Outbox)) {
        let was_closed = self.session.phase() == Phase::Closed;
        let mut out = Outbox::default();
        call(&mut self.session, self.now, &mut out);
        let is_closed = self.session.phase() == Phase::Closed;
        assert!(!was_closed || out.is_empty(), "it is over: {out:?}");
        assert_eq!(!was_closed && is_closed, out.close.is_some());
        if is_closed {
            let _ = self.session.take_warm();
        }
        self.to_client.extend_from_slice(&out.to_client);
        // No more than a whole login packet is held back.
        assert!(out.to_client.len() + out.to_node.len() < 1 << 20);
    }

    /// Goes through a login that succeeds.
    fn log_in(&mut self) {
        self.call(|session, now, out| session.node_connected(now, out));
        self.node(&packet(0, &node_greeting()));
        let greeting = self.to_client.split_off(HEADER_LEN);
        let greeting = Greeting::parse(&greeting).expect("a greeting");
        let login = Login {
            capabilities: client_capabilities(),
            max_packet_size: 1 << 24,
            charset: 45,
            filler: [0; 19],
            user: b"app".to_vec(),
            auth_response: native::response(PASSWORD, &greeting.nonce),
            database: None,
            plugin: Some(native::NAME.into()),
            attributes: None,
            zstd_level: None,
        };
        let mut payload = Vec::new();
        login.encode(&mut payload);
        self.client(&packet(1, &payload));
        self.node(&packet(2, &ok()));
        assert_eq!(self.session.phase(), Phase::Command);
    }
}

fn client_capabilities() -> Capabilities {
    Capabilities::MYSQL
        | Capabilities::PROTOCOL_41
        | Capabilities::SECURE_CONNECTION
        | Capabilities::PLUGIN_AUTH
        | Capabilities::MULTI_STATEMENTS
        | Capabilities::MULTI_RESULTS
        | Capabilities::LOCAL_FILES
}

fn node_greeting() -> Vec<u8> {
    let greeting = Greeting {
        server_version: b"5.5.5-10.11.19-MariaDB".to_vec(),
        connection_id: 42,
        nonce: *b"<Rh3e$~p:l5`dTYAzb\\'",
        capabilities: Capabilities(0x1D_81FF_FFFE & !Capabilities::SSL.0),
        charset: 45,
        status: Status::AUTOCOMMIT,
        plugin: native::NAME.into(),
    };
    let mut payload = Vec::new();
    greeting.encode(&mut payload);
    payload
}

fn ok() -> Vec<u8> {
    let ok = OkPacket {
        affected_rows: 0,
        last_insert_id: 0,
        status: Status::AUTOCOMMIT,
        warnings: 0,
    };
    let mut payload = Vec::new();
    ok.encode(&mut payload);
    payload
}

fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    put_packet(&mut packet, sequence, payload);
    packet
}

fn route(flags: u8) -> InstanceRoute {
    let account = AccountLogin {
        native: native::verifier(PASSWORD),
        sha2: sha2::verifier(PASSWORD),
        backend_password: Secret::new("random-of-app"),
    };
    InstanceRoute {
        instance_id: InstanceId::parse("pd-0123456789abcdef").expect("an instance id"),
        whitelist: Whitelist::default(),
        accounts: HashMap::from([("app".to_owned(), account)]),
        super_accounts: ["app".to_owned()].into(),
        limits: HashMap::new(),
        slow_threshold: None,
        node_socket: "/nowhere".into(),
        sharding: None,
        max_connections: 10,
        write_lock: (flags & 2 != 0).then(|| "disk full".to_owned()),
    }
}

fn params(flags: u8) -> SessionParams {
    SessionParams {
        client: "10.1.2.3:4444".parse().expect("an address"),
        endpoint: "127.0.0.1:3306".parse().expect("an address"),
        route: Arc::new(route(flags)),
        tls: flags & 4 != 0,
        compression: flags & 8 != 0,
        nonce_seed: [7; 32],
        login_timeout: Duration::from_secs(10),
        keep_node: flags & 16 != 0,
        revival_time: (flags & 32 != 0).then_some(Duration::from_secs(1)),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let step = |what: u8, data: &[u8]| [&[what, data.len() as u8][..], data].concat();
    let client = |payload: &[u8]| step(0, &packet(0, payload));
    let node = |sequence: u8, payload: &[u8]| step(6, &packet(sequence, payload));
    let query = [
        client(b"\x03SELECT 1; SET @a = 2"),
        node(1, b"\x01"),
        node(
            2,
            b"\x03def\0\0\0\x011\0\x0c\x3f\0\x01\0\0\0\x03\x81\0\0\0\0",
        ),
        node(3, b"\xfe\0\0\x0a\0"),
        node(4, b"\x011"),
        node(5, b"\xfe\0\0\x0a\0"),
        node(6, &ok()),
    ]
    .concat();
    let failed = [
        client(b"\x03INSERT INTO t VALUES (1)"),
        node(1, b"\xff\x0a\x05#HY000The MariaDB server is running with"),
    ]
    .concat();
    let change = [
        client(b"\x11app\0\x14aaaaaaaaaaaaaaaaaaaashop\0\x2d\0mysql_native_password\0"),
        node(1, &[b"\xfemysql_native_password\0", &[7; 21][..]].concat()),
        step(0, &packet(3, &[9; 20])),
        node(3, &ok()),
    ]
    .concat();
    let console = [client(b"\x03SHOW OPENPETA STATUS"), client(b"\x01")].concat();
    let file = [
        client(b"\x03LOAD DATA LOCAL INFILE 'x' INTO TABLE t"),
        node(1, b"\xfbx"),
        step(0, &packet(2, b"1\n")),
        step(0, &packet(3, b"")),
        node(4, &ok()),
    ]
    .concat();
    let prepared = [
        client(b"\x16SELECT ?"),
        node(1, b"\0\x01\0\0\0\0\0\0\0\0\0\0"),
        client(b"\x17\x01\0\0\0\0\x01\0\0\0"),
        node(1, &ok()),
        client(b"\x19\x01\0\0\0"),
    ]
    .concat();
    let login = [
        step(11, &[]),
        node(0, &node_greeting()),
        step(0, &packet(1, &[0x85; 40])),
    ]
    .concat();
    let revived = [
        step(15, &[0]),
        step(11, &[]),
        node(0, &node_greeting()),
        node(2, &ok()),
        client(b"\x03SELECT 1"),
        node(1, &ok()),
        step(15, &[0]),
        step(14, &[2]),
        step(13, &[]),
    ]
    .concat();
    let scripts = [query, failed, change, console, file, prepared, revived];
    let mut seeds = vec![[&[0][..], &login].concat()];
    for flags in [1, 1 | 2, 1 | 16, 1 | 32, 1 | 2 | 16 | 32] {
        for script in &scripts {
            seeds.push([&[flags][..], script].concat());
        }
    }
    seeds
}
