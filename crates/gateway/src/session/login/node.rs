//! The node's side of a login: over a new connection, a warm one, or one in its place.

use openpeta_mysql_wire::auth::native;
use openpeta_mysql_wire::command::COM_INIT_DB;
use openpeta_mysql_wire::{
    Capabilities, ChangeUser, Compression, ErrPacket, Greeting, Packet, PacketBuffer, Status,
    put_packet,
};

use super::{COMPRESSION, FRAMING, LoginFlow, NODE_LIMIT, Stage};
use crate::session::relay::{Backend, Relay};
use crate::session::revival::NodeLogin;
use crate::session::warm::{RESET, Terms, Warm};
use crate::session::{CloseReason, Outbox, Shared};

impl LoginFlow {
    /// Makes the client's login the one for the node, but for the response; returns its terms if
    /// a warm connection may have them.
    pub(super) fn prepare_login(&mut self) -> Option<Terms> {
        let login = self.login.as_mut()?;
        self.compression =
            Compression::asked_for(login.capabilities & self.offered, login.zstd_level);
        let stripped = COMPRESSION | Capabilities::SSL | (FRAMING & !self.offered);
        login.capabilities = login.capabilities.without(stripped);
        login.plugin = Some(native::NAME.to_vec());
        login.zstd_level = None;
        Terms::of(login)
    }

    /// The client's own login with another response: the node does for it what it asked for.
    pub(super) fn log_in_to_node(&mut self, out: &mut Outbox) {
        self.stage = Stage::NodeLogin;
        let response = self.backend_response();
        let Some(login) = &mut self.login else { return };
        login.auth_response = response;
        let mut payload = Vec::new();
        login.encode(&mut payload);
        put_packet(&mut out.to_node, 1, &payload);
    }

    /// On a warm connection a change of user does what a login does, and what a reset does. If it
    /// would change nothing but the database, changing that is enough, behind the reset if it is
    /// owed: the node judges and answers it as in a login.
    pub(super) fn log_in_on_warm(&mut self, shared: &Shared, warm: Warm, out: &mut Outbox) {
        self.stage = Stage::NodeLogin;
        let owes_reset = warm.owes_reset();
        self.node_nonce = warm.nonce;
        self.greeting = Some(warm.greeting);
        let auth_response = self.backend_response();
        let Some(login) = &self.login else { return };
        if let Some(identity) = warm.identity
            && identity.suits(login, shared.now)
            && let Some(database) = login.database.as_ref().filter(|name| !name.is_empty())
        {
            self.identity = Some(identity);
            if owes_reset {
                put_packet(&mut out.to_node, 0, RESET);
                self.reset_due = true;
            }
            put_packet(
                &mut out.to_node,
                0,
                &[&[COM_INIT_DB], &database[..]].concat(),
            );
            return;
        }
        let request = ChangeUser {
            user: login.user.clone(),
            auth_response,
            database: login.database.clone().unwrap_or_default(),
            charset: Some(login.charset.into()),
            plugin: login.plugin.clone(),
            attributes: login.attributes.clone(),
        };
        let mut payload = Vec::new();
        request.encode(&mut payload);
        put_packet(&mut out.to_node, 0, &payload);
    }

    /// Gives up the warm connection, which is not as the client wants it or has ended.
    pub(super) fn reconnect(&mut self, out: &mut Outbox) {
        self.on_warm = false;
        self.reset_due = false;
        self.stage = Stage::NodeAgain;
        self.node = PacketBuffer::new(NODE_LIMIT);
        out.to_node.extend(Warm::farewell());
        out.reconnect = true;
    }

    /// The number of the connection means another session already: the next one is another.
    pub(super) fn ask_for_another(&mut self, out: &mut Outbox) {
        self.node = PacketBuffer::new(NODE_LIMIT);
        out.reconnect = true;
    }

    /// The client was greeted long ago; now it can be logged in.
    pub(super) fn node_greeting_again(
        &mut self,
        shared: &mut Shared,
        packet: &Packet,
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        if let Ok(mut error) = ErrPacket::parse(&packet.payload) {
            // In the place of a greeting, errors have none.
            error.sqlstate = error.sqlstate.or(Some(*b"08004"));
            return Err(self.refuse(out, &error, CloseReason::NodeRefused));
        }
        let Ok(greeting) = Greeting::parse(&packet.payload) else {
            return Err(self.node_misbehaves(out));
        };
        if shared.statements.is_told_to_another(&greeting) {
            self.ask_for_another(out);
            return Ok(());
        }
        shared.statements.moved(&greeting);
        self.node_nonce = greeting.nonce;
        self.greeting = Some(greeting);
        self.log_in_to_node(out);
        Ok(())
    }

    /// The command phase, behind the node's OK.
    pub(super) fn relay(&mut self, shared: &Shared, status: Status) -> Box<Relay> {
        let login = self.login.as_deref();
        let capabilities = login.map_or(Capabilities::NONE, |login| login.capabilities);
        let terms = login
            .and_then(Terms::of)
            .filter(|_| shared.params.keep_node);
        let identity = self.identity.take();
        let again = shared.params.revival_time.and_then(|_| {
            let (login, greeting) = (login?, self.greeting.as_ref()?);
            Some(Box::new(NodeLogin::new(login.clone(), greeting)))
        });
        let backend = self.greeting.take().zip(terms);
        Box::new(Relay::new(
            capabilities,
            status,
            self.node_nonce,
            std::mem::replace(&mut self.client, PacketBuffer::new(0)),
            backend.map(|(greeting, terms)| {
                Box::new(Backend {
                    greeting,
                    terms,
                    identity,
                })
            }),
            again,
        ))
    }
}
