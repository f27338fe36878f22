//! COM_CHANGE_USER: the gateway checks the client, then changes the user on the node.
//!
//! As a MariaDB server does, it always asks for a response to a fresh nonce. A client that fails
//! to prove the new account is disconnected, as a MySQL server does (MariaDB keeps the session,
//! with its state reset, which cannot be had without asking the node). If the node refuses (an
//! unknown database, say), the session goes on as the node's does, under the old account.

use openpeta_mysql_wire::auth::{NONCE_LEN, native};
use openpeta_mysql_wire::{
    Capabilities, ChangeUser, ErrPacket, OkPacket, Packet, PacketBuffer, Status, fast_auth_success,
    put_packet,
};
use openpeta_types::Secret;

use super::login::{CLIENT_LIMIT, switched_nonce};
use super::proof::{Method, prove, with_password};
use super::refusal::{self, refuse};
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
    /// The new account's password on the node, once the client has proved the account.
    backend_password: Option<Secret>,
}

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
        let nonce = shared.nonces.next();
        let sequence = packet.sequence.wrapping_add(1);
        method.ask(&mut out.to_client, sequence, &nonce);
        Some(Self {
            request,
            method,
            nonce,
            node_nonce,
            node: PacketBuffer::new(CLIENT_LIMIT),
            sequence: sequence.wrapping_add(1),
            backend_password: None,
        })
    }

    /// Whether the client's response is due, not the node's answer.
    pub(super) fn awaits_client(&self) -> bool {
        self.backend_password.is_none()
    }

    /// The database and the collation that the client asked for.
    pub(super) fn destination(&self) -> (&[u8], Option<u16>) {
        (&self.request.database, self.request.charset)
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
            return Err(refuse(
                out,
                self.sequence,
                &error,
                CloseReason::AccessDenied,
            ));
        };
        self.backend_password = Some(account.backend_password.clone());
        shared.next_account = Some(name.to_owned());
        self.request.auth_response = self.backend_response();
        self.request.plugin = Some(native::NAME.to_vec());
        let mut payload = Vec::new();
        self.request.encode(&mut payload);
        put_packet(&mut out.to_node, 0, &payload);
        Ok(())
    }

    fn backend_response(&self) -> Vec<u8> {
        let password = self.backend_password.as_ref().map_or("", Secret::expose);
        native::response(password.as_bytes(), &self.node_nonce)
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
            put_packet(&mut out.to_client, self.sequence, &packet.payload);
            return Ok(Progress::Failed);
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
