//! From the node's greeting to the node's OK.

mod node;

use openpeta_mysql_wire::auth::{NONCE_LEN, native};
use openpeta_mysql_wire::{
    AuthSwitch, Capabilities, Compression, ErrPacket, Greeting, Login, LoginPacket, OkPacket,
    Packet, PacketBuffer, Status, WireError, fast_auth_success, proxy, put_packet,
};
use openpeta_types::Secret;

use super::proof::{Method, Offer, prove, with_password};
use super::refusal::{self, refuse};
use super::relay::Relay;
use super::warm::{Identity, Warm};
use super::{CloseReason, Outbox, Shared};

/// The longest packet accepted from a client before its login is complete: 64 KiB of connection
/// attributes and room for the rest.
pub(super) const CLIENT_LIMIT: usize = 72 << 10;
/// The longest packet accepted from the node before its OK, and that OK itself.
const NODE_LIMIT: usize = 64 << 10;

/// What ends at the gateway: the node's socket is faster than any packing.
const COMPRESSION: Capabilities =
    Capabilities(Capabilities::COMPRESS.0 | Capabilities::ZSTD_COMPRESS.0);
/// What decides how replies are framed; both sides have to mean the same by it.
const FRAMING: Capabilities =
    Capabilities(Capabilities::DEPRECATE_EOF.0 | Capabilities::MARIADB_CACHE_METADATA.0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The node has not greeted yet.
    NodeGreeting,
    /// The client has been greeted: its SSLRequest or login is due.
    ClientLogin,
    /// The shell does the TLS handshake.
    Tls,
    /// The client was asked to authenticate another way.
    AuthResponse,
    /// The client has proved its account; the node has not answered the login yet.
    NodeLogin,
    /// The client has proved its account; the node has not greeted on a connection that takes the
    /// place of a warm one yet.
    NodeAgain,
}

/// A login under way.
pub(super) struct LoginFlow {
    stage: Stage,
    client: PacketBuffer,
    node: PacketBuffer,
    /// What the greeting offered to the client.
    offered: Capabilities,
    nonce: [u8; NONCE_LEN],
    node_nonce: [u8; NONCE_LEN],
    /// The sequence id of the next packet of the conversation with the client.
    sequence: u8,
    method: Method,
    /// The client's login, once it came.
    login: Option<Box<Login>>,
    /// The account's password on the node, once the client has proved the account.
    backend_password: Option<Secret>,
    /// What the client asked for, if it was offered.
    compression: Option<Compression>,
    /// What the node greeted with on the connection in use.
    greeting: Option<Greeting>,
    /// What the node was told, or is being told, of the client.
    identity: Option<Identity>,
    /// The session began on a connection that others have used, and still is to use it.
    on_warm: bool,
    /// That connection, as long as it is untouched and the node holds it open.
    warm: Option<Warm>,
    /// The node's answer to a reset comes before the one to the login.
    reset_due: bool,
}

impl LoginFlow {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::NodeGreeting,
            client: PacketBuffer::new(CLIENT_LIMIT),
            node: PacketBuffer::new(NODE_LIMIT),
            offered: Capabilities::NONE,
            nonce: [0; NONCE_LEN],
            node_nonce: [0; NONCE_LEN],
            sequence: 0,
            method: Method::Native,
            login: None,
            backend_password: None,
            compression: None,
            greeting: None,
            identity: None,
            on_warm: false,
            warm: None,
            reset_due: false,
        }
    }

    /// Begins on a connection that others have used: the client is greeted at once, as the node
    /// greeted the first of them.
    pub(super) fn on_warm(shared: &mut Shared, warm: Warm, out: &mut Outbox) -> Self {
        let mut flow = Self::new();
        flow.greet(shared, warm.greeting.clone(), out);
        flow.on_warm = true;
        flow.warm = Some(warm);
        flow
    }

    /// The connection that the session began on, if it has done nothing with it.
    pub(super) fn take_warm(&mut self) -> Option<Warm> {
        self.warm.take()
    }

    /// Tells the node whom the connection is for; it must be the first thing the node reads.
    pub(super) fn node_connected(&self, shared: &Shared, out: &mut Outbox) {
        proxy::put_header(
            &mut out.to_node,
            shared.params.client,
            shared.params.endpoint,
        );
    }

    pub(super) fn node_unreachable(&self, out: &mut Outbox) -> CloseReason {
        match self.stage {
            Stage::NodeGreeting => out.to_client.extend(refusal::node_unreachable()),
            Stage::NodeAgain => {
                refusal::put_error(&mut out.to_client, self.sequence, &refusal::node_lost());
            }
            Stage::ClientLogin | Stage::Tls | Stage::AuthResponse | Stage::NodeLogin => {}
        }
        CloseReason::NodeRefused
    }

    /// The node's connection has ended. `None` if the login goes on over another.
    pub(super) fn node_closed(&mut self, out: &mut Outbox) -> Option<CloseReason> {
        match self.stage {
            Stage::NodeGreeting => out.to_client.extend(refusal::node_unreachable()),
            Stage::NodeLogin if self.on_warm => {
                self.reconnect(out);
                return None;
            }
            Stage::NodeLogin | Stage::NodeAgain => {
                refusal::put_error(&mut out.to_client, self.sequence, &refusal::shutdown());
            }
            Stage::ClientLogin | Stage::Tls | Stage::AuthResponse if self.on_warm => {
                self.warm = None;
                return None;
            }
            Stage::ClientLogin | Stage::Tls | Stage::AuthResponse => {}
        }
        Some(CloseReason::NodeGone)
    }

    /// The login took too long. Whoever waits for a packet is told.
    pub(super) fn timed_out(&self, out: &mut Outbox) -> CloseReason {
        match self.stage {
            Stage::NodeGreeting => {
                out.to_client.extend(refusal::node_too_slow());
                return CloseReason::NodeRefused;
            }
            Stage::NodeLogin | Stage::NodeAgain | Stage::ClientLogin | Stage::AuthResponse => {
                refusal::put_error(&mut out.to_client, self.sequence, &refusal::read_timeout());
            }
            Stage::Tls => {}
        }
        CloseReason::LoginTimeout
    }

    /// Another client has its place. It may not have asked for a word; it is told all the same, as
    /// when it takes too long.
    pub(super) fn displaced(&self, out: &mut Outbox) -> CloseReason {
        match self.stage {
            Stage::NodeGreeting => out.to_client.extend(refusal::too_many_connections()),
            Stage::NodeLogin | Stage::NodeAgain | Stage::ClientLogin | Stage::AuthResponse => {
                refusal::put_error(&mut out.to_client, self.sequence, &refusal::displaced());
            }
            Stage::Tls => {}
        }
        CloseReason::Displaced
    }

    /// The gateway stops. Only a client that waits for a packet can be told.
    pub(super) fn drained(&self, out: &mut Outbox) -> CloseReason {
        match self.stage {
            Stage::NodeGreeting => out.to_client.extend(refusal::shutting_down()),
            Stage::NodeLogin | Stage::NodeAgain => {
                refusal::put_error(&mut out.to_client, self.sequence, &refusal::shutdown());
            }
            Stage::ClientLogin | Stage::Tls | Stage::AuthResponse => {}
        }
        CloseReason::Drained
    }

    pub(super) fn tls_established(&mut self) {
        if self.stage == Stage::Tls {
            self.stage = Stage::ClientLogin;
        }
    }

    /// Whether bytes of the client wait for the node.
    pub(super) fn client_read_paused(&self) -> bool {
        matches!(self.stage, Stage::NodeLogin | Stage::NodeAgain) && !self.client.bytes().is_empty()
    }

    pub(super) fn client_data(
        &mut self,
        shared: &mut Shared,
        data: &[u8],
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        if self.stage == Stage::NodeGreeting {
            // Nothing sent before the greeting can be an answer to it.
            return Err(self.refuse(out, &refusal::bad_handshake(), CloseReason::Malformed));
        }
        if self.stage == Stage::Tls {
            // These bytes belong to the TLS handshake. Kept, they would pass for encrypted ones.
            return Err(CloseReason::Malformed);
        }
        self.client.push(data);
        while matches!(self.stage, Stage::ClientLogin | Stage::AuthResponse) {
            let packet = match self.client.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(error) => return Err(self.malformed(out, error)),
            };
            if packet.sequence != self.sequence {
                return Err(self.refuse(out, &refusal::out_of_order(), CloseReason::Malformed));
            }
            self.sequence = self.sequence.wrapping_add(1);
            if self.stage == Stage::AuthResponse {
                self.check(shared, &packet.payload, out)?;
            } else {
                self.client_login(shared, &packet, data.len(), out)?;
            }
        }
        Ok(())
    }

    fn client_login(
        &mut self,
        shared: &mut Shared,
        packet: &Packet,
        input: usize,
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        let login = match Login::parse(&packet.payload, shared.encrypted) {
            Ok(LoginPacket::Login(login)) => login,
            Ok(LoginPacket::SslRequest) if shared.params.tls => {
                // What is left of the input is the beginning of the TLS handshake.
                let left = self.client.bytes().len();
                self.client.advance(left);
                out.start_tls = Some(input.saturating_sub(left));
                self.stage = Stage::Tls;
                return Ok(());
            }
            Ok(LoginPacket::SslRequest) => {
                return Err(self.refuse(out, &refusal::bad_handshake(), CloseReason::Malformed));
            }
            Err(error) => return Err(self.malformed(out, error)),
        };
        let capabilities = login.capabilities;
        if !capabilities.contains(Capabilities::SECURE_CONNECTION)
            && !capabilities.contains(Capabilities::PLUGIN_AUTH_LENENC)
        {
            // Its response is the one from before MySQL 4.1.
            return Err(self.refuse(out, &refusal::old_client(), CloseReason::Malformed));
        }
        shared.statements.login(&login);
        let offer = Offer::of(login.plugin.as_deref(), &login.auth_response);
        let login = self.login.insert(login);
        match offer {
            Offer::Check(method) => {
                self.method = method;
                let response = std::mem::take(&mut login.auth_response);
                self.check(shared, &response, out)
            }
            Offer::Ask(method) => {
                self.method = method;
                self.nonce = shared.nonces.next();
                method.ask(&mut out.to_client, self.sequence, &self.nonce);
                self.sequence = self.sequence.wrapping_add(1);
                self.stage = Stage::AuthResponse;
                Ok(())
            }
        }
    }

    /// Lets the client through to the node if its response is right. This is the only way there.
    fn check(
        &mut self,
        shared: &mut Shared,
        response: &[u8],
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        let user = self.login.as_ref().map_or(&[][..], |login| &login.user);
        let proved = prove(
            &shared.params.route,
            user,
            self.method,
            response,
            &self.nonce,
        );
        let Some((name, account)) = proved else {
            let client = shared.params.client.ip();
            let error = refusal::access_denied(user, client, with_password(response));
            return Err(self.refuse(out, &error, CloseReason::AccessDenied));
        };
        let (name, password) = (name.to_owned(), account.backend_password.clone());
        match shared.admit(&name) {
            Ok(admission) => shared.admission = Some(admission),
            Err(error) => return Err(self.refuse(out, &error, CloseReason::AccountLimit)),
        }
        shared.client_nonce = self.nonce;
        shared.account = Some(name);
        self.backend_password = Some(password);
        let terms = self.prepare_login();
        let login = self.login.as_deref();
        self.identity = login.map(|login| Identity::of(login, shared.now));
        if !self.on_warm {
            self.log_in_to_node(out);
        } else if let Some(warm) = self.warm.take()
            && Some(&warm.terms) == terms.as_ref()
        {
            self.log_in_on_warm(shared, warm, out);
        } else {
            self.reconnect(out);
        }
        Ok(())
    }

    fn backend_response(&self) -> Vec<u8> {
        let password = self.backend_password.as_ref().map_or("", Secret::expose);
        native::response(password.as_bytes(), &self.node_nonce)
    }

    /// Takes bytes of the node; returns the command phase when the login is complete.
    pub(super) fn node_data(
        &mut self,
        shared: &mut Shared,
        data: &[u8],
        out: &mut Outbox,
    ) -> Result<Option<Box<Relay>>, CloseReason> {
        self.node.push(data);
        loop {
            let packet = match self.node.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(None),
                Err(_) => return Err(self.node_misbehaves(out)),
            };
            match self.stage {
                Stage::NodeGreeting => self.node_greeting(shared, &packet, out)?,
                Stage::NodeAgain => self.node_greeting_again(shared, &packet, out)?,
                Stage::NodeLogin if self.reset_due => {
                    if packet.sequence != 1 || !OkPacket::is(&packet.payload) {
                        self.reconnect(out);
                        return Ok(None);
                    }
                    self.reset_due = false;
                }
                Stage::NodeLogin => {
                    if let Some(status) = self.node_answer(&packet, out)? {
                        if self.compression.is_some() && !self.client.bytes().is_empty() {
                            // Nobody can tell whether what was sent ahead is compressed.
                            return Err(CloseReason::Malformed);
                        }
                        out.start_compression = self.compression;
                        return Ok(Some(self.relay(shared, status)));
                    }
                }
                // What it says of the end of a warm connection; another is opened in time.
                Stage::ClientLogin | Stage::Tls | Stage::AuthResponse if self.on_warm => {
                    self.warm = None;
                }
                // It lost patience or shuts down; nobody waits for a packet now.
                Stage::ClientLogin | Stage::Tls | Stage::AuthResponse => {
                    return Err(CloseReason::NodeGone);
                }
            }
        }
    }

    /// What the node sent behind its OK.
    pub(super) fn node_rest(&self) -> &[u8] {
        self.node.bytes()
    }

    fn node_greeting(
        &mut self,
        shared: &mut Shared,
        packet: &Packet,
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        if ErrPacket::is(&packet.payload) {
            put_packet(&mut out.to_client, 0, &packet.payload);
            return Err(CloseReason::NodeRefused);
        }
        let Ok(greeting) = Greeting::parse(&packet.payload) else {
            out.to_client.extend(refusal::node_unreachable());
            return Err(CloseReason::NodeProtocol);
        };
        if shared.statements.is_told_to_another(&greeting) {
            self.ask_for_another(out);
            return Ok(());
        }
        self.node_nonce = greeting.nonce;
        if shared.params.keep_node || shared.params.revival_time.is_some() {
            self.greeting = Some(greeting.clone());
        }
        self.greet(shared, greeting, out);
        Ok(())
    }

    /// Greets the client as the node did, with a nonce of the gateway's own.
    fn greet(&mut self, shared: &mut Shared, mut greeting: Greeting, out: &mut Outbox) {
        shared.statements.greets(&greeting);
        self.nonce = shared.nonces.next();
        greeting.nonce = self.nonce;
        greeting.plugin = native::NAME.to_vec();
        greeting.capabilities = greeting
            .capabilities
            .without(COMPRESSION | Capabilities::SSL);
        if shared.params.tls {
            greeting.capabilities = greeting.capabilities | Capabilities::SSL;
        }
        if shared.params.compression {
            greeting.capabilities = greeting.capabilities | COMPRESSION;
        }
        self.offered = greeting.capabilities;
        let mut payload = Vec::new();
        greeting.encode(&mut payload);
        self.sequence = put_packet(&mut out.to_client, 0, &payload);
        self.stage = Stage::ClientLogin;
    }

    /// The node's answer to the login, relayed; returns the status if it is an OK.
    fn node_answer(
        &mut self,
        packet: &Packet,
        out: &mut Outbox,
    ) -> Result<Option<Status>, CloseReason> {
        if ErrPacket::is(&packet.payload) {
            put_packet(&mut out.to_client, self.sequence, &packet.payload);
            return Err(CloseReason::NodeRefused);
        }
        if let Some(response) = self.answer_switch(packet) {
            put_packet(&mut out.to_node, packet.sequence.wrapping_add(1), &response);
            return Ok(None);
        }
        let ok = match OkPacket::parse(&packet.payload) {
            Ok(ok) if OkPacket::is(&packet.payload) => ok,
            _ => return Err(self.node_misbehaves(out)),
        };
        if self.method == Method::Sha2 {
            self.sequence = put_packet(&mut out.to_client, self.sequence, &fast_auth_success());
        }
        put_packet(&mut out.to_client, self.sequence, &packet.payload);
        Ok(Some(ok.status))
    }

    /// The answer to the node's wish for another nonce, if the packet is one.
    fn answer_switch(&mut self, packet: &Packet) -> Option<Vec<u8>> {
        self.node_nonce = switched_nonce(packet)?;
        Some(self.backend_response())
    }

    fn node_misbehaves(&self, out: &mut Outbox) -> CloseReason {
        if matches!(self.stage, Stage::NodeLogin | Stage::NodeAgain) {
            refusal::put_error(
                &mut out.to_client,
                self.sequence,
                &refusal::node_misbehaves(),
            );
        } else if self.stage == Stage::NodeGreeting {
            out.to_client.extend(refusal::node_unreachable());
        }
        CloseReason::NodeProtocol
    }

    fn malformed(&self, out: &mut Outbox, error: WireError) -> CloseReason {
        self.refuse(out, &refusal::wire_error(error), CloseReason::Malformed)
    }

    fn refuse(&self, out: &mut Outbox, error: &ErrPacket, reason: CloseReason) -> CloseReason {
        refuse(out, self.sequence, error, reason)
    }
}

/// The nonce of the node's switch to `mysql_native_password`, if the packet is one.
pub(super) fn switched_nonce(packet: &Packet) -> Option<[u8; NONCE_LEN]> {
    if !AuthSwitch::is(&packet.payload) {
        return None;
    }
    let switch = AuthSwitch::parse(&packet.payload).ok()?;
    let (nonce, _) = switch.data.split_first_chunk()?;
    (switch.plugin == native::NAME).then_some(*nonce)
}
