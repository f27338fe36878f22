//! Sessions between a scripted client and a scripted node.

mod command;
mod kill;
mod limits;
mod login;
mod simulation;
mod warm;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use openpeta_mysql_wire::auth::{NONCE_LEN, native, sha2};
use openpeta_mysql_wire::{
    Capabilities, Compression, ErrPacket, Greeting, Login, LoginPacket, OkPacket, Packet,
    PacketBuffer, Status, put_packet,
};
use openpeta_types::route::{AccountLogin, InstanceRoute};
use openpeta_types::{InstanceId, Secret, Whitelist};

use super::{CloseReason, Meter, Outbox, Phase, Session, SessionParams};
use crate::sessions::SessionInfo;

const PASSWORD: &[u8] = b"secret";
const BACKEND_PASSWORD: &str = "random-of-app";
const NODE_NONCE: [u8; NONCE_LEN] = *b"<Rh3e$~p:l5`dTYAzb\\'";
const PROXY_HEADER: usize = 28;

/// What MariaDB 10.11 offers, with TLS and compression for the gateway to take away or add.
const NODE_CAPABILITIES: Capabilities = Capabilities(0x1D_81FF_FFFE & !Capabilities::SSL.0);

/// What a MySQL client asks for.
fn mysql_client() -> Capabilities {
    Capabilities::MYSQL
        | Capabilities::PROTOCOL_41
        | Capabilities::TRANSACTIONS
        | Capabilities::SECURE_CONNECTION
        | Capabilities::PLUGIN_AUTH
        | Capabilities::MULTI_RESULTS
        | Capabilities::DEPRECATE_EOF
}

fn account(password: &[u8], backend: &str) -> AccountLogin {
    AccountLogin {
        native: native::verifier(password),
        sha2: sha2::verifier(password),
        backend_password: Secret::new(backend),
    }
}

fn route() -> InstanceRoute {
    let everyone = openpeta_types::parse_entries("0.0.0.0/0").expect("an entry");
    InstanceRoute {
        instance_id: InstanceId::parse("pd-0123456789abcdef").expect("an instance id"),
        whitelist: Whitelist::new(&everyone),
        accounts: HashMap::from([
            ("app".to_owned(), account(PASSWORD, BACKEND_PASSWORD)),
            ("other".to_owned(), account(b"second", "random-of-other")),
            ("open".to_owned(), account(b"", "random-of-open")),
        ]),
        super_accounts: [].into(),
        limits: HashMap::new(),
        slow_threshold: None,
        node_socket: "/nowhere".into(),
        sharding: None,
        max_connections: 10,
        write_lock: None,
    }
}

fn params(route: InstanceRoute) -> SessionParams {
    SessionParams {
        client: "10.1.2.3:4444".parse().expect("an address"),
        endpoint: "127.0.0.1:3306".parse().expect("an address"),
        route: Arc::new(route),
        tls: true,
        compression: true,
        nonce_seed: [7; 32],
        login_timeout: Duration::from_secs(10),
        keep_node: true,
        revival_time: None,
    }
}

/// A session together with what it has sent.
struct Rig {
    session: Session,
    now: Duration,
    to_client: PacketBuffer,
    to_node: PacketBuffer,
    tls_from: Option<usize>,
    compression: Option<Compression>,
    closed: Option<CloseReason>,
    /// The nonce of the greeting, once logged in.
    login_nonce: [u8; NONCE_LEN],
}

impl Rig {
    /// A session that has greeted its client.
    fn greeted(params: SessionParams) -> (Self, Greeting) {
        let mut rig = Self::new(params);
        rig.node_packet(0, &node_greeting());
        let greeting = Greeting::parse(&rig.client_gets(0)).expect("a greeting");
        (rig, greeting)
    }

    /// A session whose node connection is open.
    fn new(params: SessionParams) -> Self {
        let mut rig = Self {
            session: Session::new(params, Meter::detached(), Duration::ZERO),
            now: Duration::ZERO,
            to_client: PacketBuffer::new(1 << 20),
            to_node: PacketBuffer::new(1 << 20),
            tls_from: None,
            compression: None,
            closed: None,
            login_nonce: [0; NONCE_LEN],
        };
        rig.event(|session, now, out| session.node_connected(now, out));
        assert!(rig.to_node.bytes().starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
        rig.to_node.advance(PROXY_HEADER);
        rig
    }

    /// A session of account `app` in its command phase, with TLS off.
    fn logged_in(params: SessionParams) -> Self {
        let (mut rig, greeting) = Self::greeted(params);
        rig.login_nonce = greeting.nonce;
        let login = login(
            mysql_client(),
            "app",
            native::response(PASSWORD, &greeting.nonce),
        );
        rig.client_login(1, &login);
        rig.node_login();
        rig.node_packet(2, &ok(Status::AUTOCOMMIT));
        rig.client_gets(2);
        assert_eq!(rig.session.phase(), Phase::Command);
        rig
    }

    fn event(&mut self, event: impl FnOnce(&mut Session, Duration, &mut Outbox)) {
        let mut out = Outbox::default();
        event(&mut self.session, self.now, &mut out);
        self.carry_out(&out);
    }

    fn carry_out(&mut self, out: &Outbox) {
        assert!(self.closed.is_none() || out.is_empty(), "{out:?}");
        self.to_client.push(&out.to_client);
        self.to_node.push(&out.to_node);
        self.tls_from = out.start_tls.or(self.tls_from);
        self.compression = out.start_compression.or(self.compression);
        self.closed = out.close.or(self.closed);
    }

    fn client(&mut self, data: &[u8]) {
        let mut out = Outbox::default();
        let range = self.session.client_data(self.now, data, &mut out);
        self.carry_out(&out);
        self.to_node.push(&data[range]);
    }

    fn node(&mut self, data: &[u8]) {
        let mut out = Outbox::default();
        let range = self.session.node_data(self.now, data, &mut out);
        self.carry_out(&out);
        self.to_client.push(&data[range]);
    }

    fn client_packet(&mut self, sequence: u8, payload: &[u8]) {
        self.client(&packet(sequence, payload));
    }

    fn node_packet(&mut self, sequence: u8, payload: &[u8]) {
        self.node(&packet(sequence, payload));
    }

    fn client_login(&mut self, sequence: u8, login: &Login) {
        let mut payload = Vec::new();
        login.encode(&mut payload);
        self.client_packet(sequence, &payload);
    }

    /// The next packet the client got, which has to have this sequence id.
    fn client_gets(&mut self, sequence: u8) -> Vec<u8> {
        let Packet {
            sequence: got,
            payload,
        } = next(&mut self.to_client);
        assert_eq!(got, sequence, "{payload:?}");
        payload
    }

    fn client_gets_error(&mut self, sequence: u8, code: u16) -> String {
        let payload = self.client_gets(sequence);
        let error = ErrPacket::parse(&payload).expect("an error");
        assert_eq!(error.code, code);
        String::from_utf8(error.message).expect("text")
    }

    /// The login the node got; it must be one the node accepts.
    fn node_login(&mut self) -> Login {
        let packet = next(&mut self.to_node);
        assert_eq!(packet.sequence, 1);
        let Ok(LoginPacket::Login(login)) = Login::parse(&packet.payload, false) else {
            panic!("no login");
        };
        assert_eq!(login.plugin.as_deref(), Some(native::NAME));
        *login
    }

    fn node_got_nothing(&self) {
        assert_eq!(self.to_node.bytes(), b"");
    }

    fn client_got_nothing(&self) {
        assert_eq!(self.to_client.bytes(), b"");
    }
}

/// The meter of a session whose client was told 7, and which the node calls 900.
fn strayed() -> Meter {
    let mut meter = Meter::detached();
    meter.logged_in(SessionInfo {
        thread_id: 900,
        told_id: 7,
        account: "app".to_owned(),
        client: "10.1.2.3:4443".parse().expect("an address"),
        database: String::new(),
        encrypted: false,
        commands: 0,
    });
    meter
}

fn next(buffer: &mut PacketBuffer) -> Packet {
    let packet = buffer.next_packet().expect("packets in order");
    packet.unwrap_or_else(|| panic!("a packet, not {:?}", buffer.bytes()))
}

fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    put_packet(&mut wire, sequence, payload);
    wire
}

fn ok(status: Status) -> Vec<u8> {
    let mut payload = Vec::new();
    let ok = OkPacket {
        affected_rows: 0,
        last_insert_id: 0,
        status,
        warnings: 0,
    };
    ok.encode(&mut payload);
    payload
}

fn err(code: u16, message: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    ErrPacket::new(code, b"HY000", message).encode(&mut payload);
    payload
}

fn node_greeting() -> Vec<u8> {
    let greeting = Greeting {
        server_version: b"5.5.5-10.11.19-MariaDB".to_vec(),
        connection_id: 42,
        nonce: NODE_NONCE,
        capabilities: NODE_CAPABILITIES,
        charset: 45,
        status: Status::AUTOCOMMIT,
        plugin: native::NAME.to_vec(),
    };
    let mut payload = Vec::new();
    greeting.encode(&mut payload);
    payload
}

fn login(capabilities: Capabilities, user: &str, auth_response: Vec<u8>) -> Login {
    Login {
        capabilities,
        max_packet_size: 1 << 24,
        charset: 45,
        filler: [0; 19],
        user: user.as_bytes().to_vec(),
        auth_response,
        database: Some(b"shop".to_vec()),
        plugin: Some(native::NAME.to_vec()),
        attributes: Some(b"\x04_pid\x0242".to_vec()),
        zstd_level: None,
    }
}
