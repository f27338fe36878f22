//! The way in: whitelist, limits, and the connection to the node.

use std::io;
use std::mem;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use openpeta_relay_io::{Accepted, Io, StreamId};
use openpeta_types::route::InstanceRoute;
use ring::rand::SecureRandom;

use super::connections::{Connection, Side, Tag};
use super::pool::Parked;
use super::{Command, Worker, refusal, set_timer};
use crate::logins::Seat;
use crate::refusals::RefusalReason;
use crate::registry::Instance;
use crate::session::{CloseReason, Outbox, Session, SessionParams};

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
        let route = instance.route();
        let Some(route) = route.clone().filter(|r| r.whitelist.admits(peer)) else {
            counters.refused_whitelist.add(1);
            if let Some(route) = route {
                let reason = RefusalReason::Whitelist;
                self.registry.refusals.add(&route.instance_id, reason, peer);
            }
            return refuse(io, stream, &refusal::host_not_allowed(peer));
        };
        let has_room = self.registry.enter(&instance, route.max_connections)
            || self.displace(io, &instance, peer);
        if !has_room {
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
        let config = &self.registry.config;
        let params = SessionParams {
            client: from.peer,
            endpoint: from.local,
            route: Arc::clone(&route),
            tls: self.registry.tls().is_some(),
            compression: self.registry.config.compression,
            nonce_seed,
            login_timeout: config.login_timeout,
            keep_node: config.warm_connections > 0,
            revival_time: Some(config.revival_time).filter(|time| !time.is_zero()),
        };
        let newcomer = Newcomer {
            stream,
            from,
            instance,
        };
        if let Some(parked) = self.unpark(io, &newcomer.instance, &route, peer) {
            return self.begin_on_warm(io, newcomer, params, parked);
        }
        if params.keep_node {
            newcomer.instance.counters(self.index).warm_missed.add(1);
            self.make_way(io, &newcomer.instance, route.max_connections);
        }
        let meter = newcomer.instance.meter(self.index);
        let session = Session::new(params, meter, self.time(io));
        let socket = Arc::new(route.session_socket().to_owned());
        self.open_node(io, newcomer, session, socket);
    }

    /// Begins on a connection that waits for such a client.
    fn begin_on_warm(
        &mut self,
        io: &mut dyn Io,
        newcomer: Newcomer,
        params: SessionParams,
        parked: Parked,
    ) {
        let (place, serial) = self.connections.reserve();
        io.set_tag(parked.node, Tag::Of(place, Side::Node).number());
        let mut out = mem::take(&mut self.out);
        let meter = newcomer.instance.meter(self.index);
        let session = Session::on_warm(params, meter, parked.warm, self.time(io), &mut out);
        let node = Node {
            stream: parked.node,
            socket: parked.socket,
            born: Some(parked.born),
        };
        self.add(io, place, serial, newcomer, session, node);
        self.carry_out(io, place, &out, None);
        out.clear();
        self.out = out;
    }

    /// Makes room for a client whose address has fewer logins under way than another; tells
    /// whether that was possible.
    fn displace(&mut self, io: &mut dyn Io, instance: &Instance, newcomer: IpAddr) -> bool {
        let Some(seat) = instance.logins().displace(newcomer) else {
            return false;
        };
        self.registry.enter_in_place(instance);
        instance.counters(self.index).displaced.add(1);
        if seat.event_loop == self.index {
            self.leave_seat(io, seat);
        } else {
            self.registry
                .tell(seat.event_loop, Command::LeaveSeat(seat));
        }
        true
    }

    /// Ends a login under way whose seat was given to another.
    pub(super) fn leave_seat(&mut self, io: &mut dyn Io, seat: Seat) {
        let connection = self.connections.get_mut(seat.place);
        if connection.is_some_and(|connection| connection.serial == seat.serial) {
            self.end_with(io, seat.place, CloseReason::Displaced, |c, now, out| {
                c.session.displace(now, out);
            });
        }
    }

    /// Opens a stream to the node, or to what stands before several.
    pub(super) fn connect_node(
        &self,
        io: &mut dyn Io,
        instance: &Instance,
        socket: &Path,
        tag: u64,
    ) -> io::Result<StreamId> {
        let is_spread = |route: &Arc<InstanceRoute>| {
            route.sharding.is_some() && route.session_socket() == socket
        };
        if let Some(local) = &self.registry.config.local
            && let Some(route) = instance.route().filter(is_spread)
            && let Some(service) = local.serve(&route.instance_id)
        {
            return Ok(io.serve(tag, service));
        }
        io.connect_unix(socket, tag)
    }

    fn open_node(
        &mut self,
        io: &mut dyn Io,
        newcomer: Newcomer,
        session: Session,
        socket: Arc<PathBuf>,
    ) {
        let (place, serial) = self.connections.reserve();
        let tag = Tag::Of(place, Side::Node).number();
        match self.connect_node(io, &newcomer.instance, &socket, tag) {
            Ok(stream) => {
                let node = Node {
                    stream,
                    socket,
                    born: None,
                };
                self.add(io, place, serial, newcomer, session, node);
            }
            Err(error) => {
                tracing::warn!(%error, socket = %socket.display(), "node not reached");
                self.connections.unreserve(place);
                self.turn_away(io, newcomer.stream, &newcomer.instance, session);
            }
        }
    }

    fn add(
        &mut self,
        io: &mut dyn Io,
        place: usize,
        serial: u32,
        newcomer: Newcomer,
        session: Session,
        node: Node,
    ) {
        let Newcomer {
            stream: client,
            from,
            instance,
        } = newcomer;
        io.set_tag(client, Tag::Of(place, Side::Client).number());
        io.pair(client, node.stream);
        let peer = from.peer.ip();
        let seat = Seat {
            event_loop: self.index,
            place,
            serial,
        };
        let login = instance.logins().begin(peer, seat);
        let at = session.deadline().map(|at| self.start + at);
        let mut connection = Connection {
            session,
            client,
            node: node.stream,
            node_open: node.born.is_some(),
            node_finished: false,
            on_warm: node.born.is_some(),
            socket: node.socket,
            born: node.born.unwrap_or_else(|| io.now()),
            tls: None,
            compressed: None,
            last_activity: io.now(),
            timer: None,
            login,
            logged_in: false,
            due: None,
            held: false,
            instance,
            peer,
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

/// A client that has passed whitelist and limits.
struct Newcomer {
    stream: StreamId,
    from: Accepted,
    instance: Arc<Instance>,
}

/// The connection to its node.
struct Node {
    stream: StreamId,
    socket: Arc<PathBuf>,
    /// When it was opened, if another client had it before.
    born: Option<Instant>,
}

fn refuse(io: &mut dyn Io, stream: StreamId, packet: &[u8]) {
    io.send(stream, packet);
    io.close_after_flush(stream);
}
