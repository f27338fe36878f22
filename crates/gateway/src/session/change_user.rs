//! COM_CHANGE_USER: the gateway checks the client, then changes the user on the node.
//!
//! As a MariaDB server does, it always asks for another response. If the client fails to prove
//! the new account, or the node refuses (an unknown database, say), the session goes on under the
//! old account with its state reset, as on a direct connection: the node is asked for a change
//! that it must refuse, after the second that it makes such clients wait. Of the account that was
//! not proved it is told nothing. After three failures a node knows the command no more.

use openpeta_mysql_wire::auth::{NONCE_LEN, native};
use openpeta_mysql_wire::{
    Capabilities, ChangeUser, ErrPacket, OkPacket, Packet, PacketBuffer, Status, fast_auth_success,
    put_packet,
};
use openpeta_types::Secret;

use super::login::{CLIENT_LIMIT, switched_nonce};
use super::proof::{Method, prove, with_password};
use super::refusal::{self, refuse};
use super::revival::NodeLogin;
use super::{CloseReason, Outbox, Shared};

/// A change under way.
pub(super) struct ChangeUserFlow {
    request: ChangeUser,
    method: Method,
    nonce: [u8; NONCE_LEN],
    node_nonce: [u8; NONCE_LEN],
    node: PacketBuffer,
    /// The sequence id of the next packet of the conversation with the client.
    sequence: u8,
    answer: Option<Answer>,
}

/// What the node gets as a response.
enum Answer {
    /// The client has proved the account: this is its password on the node.
    Proof(Secret),
    /// Bytes that prove nothing, because the client has not; it is told the error.
    Nothing([u8; NONCE_LEN], Option<ErrPacket>),
}

/// A node answers no COM_CHANGE_USER after so many failed ones.
const MAX_FAILURES: u32 = 3;

/// How far the node has come.
pub(super) enum Progress {
    /// Its answer is still due.
    Awaits,
    /// The session now belongs to the new account.
    Changed { status: Status },
    /// The node refused.
    Failed,
}

impl ChangeUserFlow {
    /// Begins with the client's command and asks it for its response; `None` if the packet
    /// cannot be read.
    pub(super) fn begin(
        shared: &mut Shared,
        packet: &Packet,
        capabilities: Capabilities,
        node_nonce: [u8; NONCE_LEN],
        out: &mut Outbox,
    ) -> Option<Self> {
        let request = ChangeUser::parse(&packet.payload, capabilities).ok()?;
        let method = Method::to_ask(request.plugin.as_deref());
        let nonce = match method {
            // MariaDB's own client library answers to the nonce of the login, whatever it is sent
            // now, because a MariaDB server sends that one again.
            Method::Native => shared.client_nonce,
            Method::Sha2 => shared.nonces.next(),
        };
        let mut flow = Self {
            request,
            method,
            nonce,
            node_nonce,
            node: PacketBuffer::new(CLIENT_LIMIT),
            sequence: packet.sequence.wrapping_add(1),
            answer: None,
        };
        if shared.failed_changes < MAX_FAILURES {
            method.ask(&mut out.to_client, flow.sequence, &nonce);
            flow.sequence = flow.sequence.wrapping_add(1);
        } else {
            flow.ask_for_refusal(shared, None, out);
        }
        Some(flow)
    }

    /// Whether the client's response is due, not the node's answer.
    pub(super) fn awaits_client(&self) -> bool {
        self.answer.is_none()
    }

    /// The database and the collation that the client asked for.
    pub(super) fn destination(&self) -> (&[u8], Option<u16>) {
        (&self.request.database, self.request.charset)
    }

    /// Tells what another connection to the node is to be logged in with from now on.
    pub(super) fn tell(&self, login: &mut NodeLogin) {
        let ChangeUser {
            user,
            charset,
            attributes,
            ..
        } = &self.request;
        login.change(user, *charset, attributes.as_deref());
    }

    /// The node's last nonce.
    pub(super) fn node_nonce(&self) -> [u8; NONCE_LEN] {
        self.node_nonce
    }

    /// What the node sent behind its answer.
    pub(super) fn take_node_rest(&mut self) -> Vec<u8> {
        let rest = self.node.bytes().to_vec();
        self.node.advance(rest.len());
        rest
    }

    pub(super) fn client_response(
        &mut self,
        shared: &mut Shared,
        packet: &Packet,
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        if packet.sequence != self.sequence {
            let error = refusal::out_of_order();
            return Err(refuse(out, self.sequence, &error, CloseReason::Malformed));
        }
        self.sequence = self.sequence.wrapping_add(1);
        let response = &packet.payload;
        let user = &self.request.user;
        let route = &shared.params.route;
        let Some((name, account)) = prove(route, user, self.method, response, &self.nonce) else {
            let client = shared.params.client.ip();
            let error = refusal::access_denied(user, client, with_password(response));
            self.ask_for_refusal(shared, Some(error), out);
            return Ok(());
        };
        let (name, password) = (name.to_owned(), account.backend_password.clone());
        // To itself an account changes without being counted twice.
        if shared.account.as_ref() != Some(&name) {
            match shared.admit(&name) {
                Ok(admission) => shared.next_admission = Some(admission),
                Err(error) => {
                    self.ask_for_refusal(shared, Some(error), out);
                    return Ok(());
                }
            }
        }
        self.answer = Some(Answer::Proof(password));
        shared.next_account = Some(name);
        self.send_request(out);
        Ok(())
    }

    /// Lets the node refuse a change to the account that the session has already.
    fn ask_for_refusal(&mut self, shared: &mut Shared, error: Option<ErrPacket>, out: &mut Outbox) {
        let user = shared.account.as_deref().unwrap_or_default();
        self.request.user = user.as_bytes().to_vec();
        self.answer = Some(Answer::Nothing(shared.nonces.next(), error));
        self.send_request(out);
    }

    fn send_request(&mut self, out: &mut Outbox) {
        self.request.auth_response = self.backend_response();
        self.request.plugin = Some(native::NAME.to_vec());
        let mut payload = Vec::new();
        self.request.encode(&mut payload);
        put_packet(&mut out.to_node, 0, &payload);
    }

    fn backend_response(&self) -> Vec<u8> {
        match &self.answer {
            Some(Answer::Proof(password)) => {
                native::response(password.expose().as_bytes(), &self.node_nonce)
            }
            Some(Answer::Nothing(bytes, _)) => bytes.to_vec(),
            None => Vec::new(),
        }
    }

    pub(super) fn node_data(
        &mut self,
        data: &[u8],
        out: &mut Outbox,
    ) -> Result<Progress, CloseReason> {
        if self.awaits_client() {
            // Nothing was asked of the node: it speaks because it hangs up.
            return Err(CloseReason::NodeGone);
        }
        self.node.push(data);
        loop {
            let packet = match self.node.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(Progress::Awaits),
                Err(_) => return Err(CloseReason::NodeProtocol),
            };
            if let Some(nonce) = switched_nonce(&packet) {
                self.node_nonce = nonce;
                let response = self.backend_response();
                put_packet(&mut out.to_node, packet.sequence.wrapping_add(1), &response);
                continue;
            }
            return self.node_answer(&packet, out);
        }
    }

    fn node_answer(&mut self, packet: &Packet, out: &mut Outbox) -> Result<Progress, CloseReason> {
        if ErrPacket::is(&packet.payload) {
            match &self.answer {
                Some(Answer::Nothing(_, Some(error))) => {
                    refusal::put_error(&mut out.to_client, self.sequence, error);
                }
                _ => _ = put_packet(&mut out.to_client, self.sequence, &packet.payload),
            }
            return Ok(Progress::Failed);
        }
        if !matches!(self.answer, Some(Answer::Proof(_))) {
            return Err(CloseReason::AccessDenied);
        }
        let status = match OkPacket::parse(&packet.payload) {
            Ok(ok) if OkPacket::is(&packet.payload) => ok.status,
            _ => return Err(CloseReason::NodeProtocol),
        };
        if self.method == Method::Sha2 {
            self.sequence = put_packet(&mut out.to_client, self.sequence, &fast_auth_success());
        }
        put_packet(&mut out.to_client, self.sequence, &packet.payload);
        Ok(Progress::Changed { status })
    }
}
