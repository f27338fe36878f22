//! The way in: whitelist, limits, and the connection to the node.

use std::path::Path;
use std::sync::Arc;

use openpeta_relay_io::{Accepted, Io, StreamId};
use ring::rand::SecureRandom;

use super::connections::{Connection, Side, tag};
use super::{Worker, refusal, set_timer};
use crate::registry::Instance;
use crate::session::{Outbox, Session, SessionParams};

impl Worker {
    /// Begins a session for a client that may have one, and refuses any other.
    pub(super) fn let_in(&mut self, io: &mut dyn Io, stream: StreamId, from: Accepted) {
        if self.registry.is_draining() {
            return io.close(stream);
        }
        let peer = from.peer.ip();
        let Some(instance) = self.registry.instance_of(from.listener) else {
            return refuse(io, stream, &refusal::host_not_allowed(peer));
        };
        let counters = instance.counters(self.index);
        let admitted = instance.route().filter(|r| r.whitelist.admits(peer));
        let Some(route) = admitted else {
            counters.refused_whitelist.add(1);
            return refuse(io, stream, &refusal::host_not_allowed(peer));
        };
        if !self.registry.enter(&instance, route.max_connections) {
            counters.refused_limit.add(1);
            return refuse(io, stream, &refusal::too_many_connections());
        }
        counters.accepted.add(1);
        let mut nonce_seed = [0; 32];
        if self.random.fill(&mut nonce_seed).is_err() {
            tracing::error!("the system has no random bytes; a client is turned away");
            self.registry.leave(&instance);
            return io.close(stream);
        }
        let node_socket = route.node_socket.clone();
        let params = SessionParams {
            client: from.peer,
            endpoint: from.local,
            route,
            tls: self.registry.tls().is_some(),
            compression: self.registry.config.compression,
            nonce_seed,
            login_timeout: self.registry.config.login_timeout,
        };
        let meter = instance.meter(self.index);
        let session = Session::new(params, meter, self.time(io));
        self.open_node(io, stream, from, instance, session, &node_socket);
    }

    fn open_node(
        &mut self,
        io: &mut dyn Io,
        client: StreamId,
        from: Accepted,
        instance: Arc<Instance>,
        session: Session,
        node_socket: &Path,
    ) {
        let (place, serial) = self.connections.reserve();
        let node = match io.connect_unix(node_socket, tag(place, Side::Node)) {
            Ok(node) => node,
            Err(error) => {
                tracing::warn!(%error, socket = %node_socket.display(), "node not reached");
                self.connections.unreserve(place);
                return self.turn_away(io, client, &instance, session);
            }
        };
        io.set_tag(client, tag(place, Side::Client));
        io.pair(client, node);
        let at = session.deadline().map(|at| self.start + at);
        let mut connection = Connection {
            session,
            client,
            node,
            node_open: false,
            tls: None,
            compressed: None,
            last_activity: io.now(),
            timer: None,
            logged_in: false,
            held: false,
            instance,
            peer: from.peer.ip(),
            endpoint: from.listener,
            serial,
        };
        set_timer(io, place, &mut connection, at);
        self.connections.put(place, connection);
    }

    /// Tells a client that its node is not there.
    fn turn_away(
        &mut self,
        io: &mut dyn Io,
        client: StreamId,
        instance: &Instance,
        mut session: Session,
    ) {
        let mut out = Outbox::default();
        session.node_unreachable(self.time(io), &mut out);
        refuse(io, client, &out.to_client);
        instance.counters(self.index).node_failures.add(1);
        self.registry.leave(instance);
    }
}

fn refuse(io: &mut dyn Io, stream: StreamId, packet: &[u8]) {
    io.send(stream, packet);
    io.close_after_flush(stream);
}
