//! The shell around the sessions of one event loop: carries out what the state machines ask for,
//! and keeps the whitelist, the limits, the deadlines and TLS, which are no business of theirs.

mod connections;
mod data;
mod entry;
mod parking;
mod pool;
mod proxied;
mod refusal;
mod tls;

use std::mem;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use openpeta_mysql_wire::{Codecs, CompressedStream};
use openpeta_relay_io::{Accepted, CloseReason as StreamEnd, Disposition, Handler, Io, StreamId};
use ring::rand::SystemRandom;

use self::connections::{Connection, Connections, Side, Tag};
use self::data::flush_tls;
use self::parking::{RESETS, SWEEP};
use self::pool::Pool;
use self::proxied::{HEADERS, Proxied};
use crate::logins::Seat;
use crate::refusals::RefusalReason;
use crate::registry::{Instance, Registry};
use crate::session::{CloseReason, Outbox, Phase};

/// Timer tokens with this bit set are listeners' tokens, else a serial and a place.
const ENDPOINT_TIMER: u64 = 1 << 63;

/// A session that has a deadline in the past would spin.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// Bytes that may be waiting for a client which is thrown out and still get the time to go out.
const KICK_QUEUE: usize = 16 * 1024;

/// What the gateway's calls ask of an event loop.
pub(crate) enum Command {
    /// The instance's route has changed or is gone: look at its sessions. Answers 0.
    Recheck(Arc<Instance>, mpsc::Sender<usize>),
    /// Close a connection that waits for a client, of this instance or of any: there are too many
    /// of all kinds.
    GiveWay(Option<Arc<Instance>>),
    /// End a login under way, whose seat another client has.
    LeaveSeat(Seat),
    /// Close the sessions of this listener after the grace.
    CloseEndpoint { token: u64, grace: Duration },
    /// Close the connections that wait for a client. Answers 0.
    DropWarm(mpsc::Sender<usize>),
    /// Close sessions as they come to the end of their transactions. Answers 0.
    Drain(mpsc::Sender<usize>),
    /// Close all sessions. Answers with their number.
    KickAll(mpsc::Sender<usize>),
}

/// The sessions of one event loop.
pub(crate) struct Worker {
    index: usize,
    registry: Arc<Registry>,
    connections: Connections,
    pool: Pool,
    /// Whether the timers for the pool are set.
    sweeping: bool,
    collecting: bool,
    proxied: Proxied,
    random: SystemRandom,
    start: Instant,
    /// Reused by every call of a session.
    out: Outbox,
    /// Decrypted bytes from a client.
    plain: Vec<u8>,
    /// Encrypted bytes for a client.
    cipher: Vec<u8>,
    codecs: Codecs,
    /// Unpacked bytes from a client.
    unpacked: Vec<u8>,
    /// Packed bytes for a client.
    packed: Vec<u8>,
}

impl Worker {
    pub(crate) fn new(index: usize, registry: Arc<Registry>) -> Self {
        let start = registry.start;
        Self {
            index,
            registry,
            connections: Connections::default(),
            pool: Pool::default(),
            sweeping: false,
            collecting: false,
            proxied: Proxied::default(),
            random: SystemRandom::new(),
            start,
            out: Outbox::default(),
            plain: Vec::new(),
            cipher: Vec::new(),
            codecs: Codecs::default(),
            unpacked: Vec::new(),
            packed: Vec::new(),
        }
    }

    /// The time as sessions count it.
    fn time(&self, io: &dyn Io) -> Duration {
        io.now().saturating_duration_since(self.start)
    }

    /// Lets a session do something and carries out what it asks for.
    fn with_session(
        &mut self,
        io: &mut dyn Io,
        place: usize,
        call: impl FnOnce(&mut Connection, Duration, &mut Outbox),
    ) {
        let now = self.time(io);
        let mut out = mem::take(&mut self.out);
        if let Some(connection) = self.connections.get_mut(place) {
            call(connection, now, &mut out);
            self.carry_out(io, place, &out, None);
        }
        out.clear();
        self.out = out;
    }

    /// Sends what the session put into `out`, then `more` to its side, then closes if asked to.
    fn carry_out(
        &mut self,
        io: &mut dyn Io,
        place: usize,
        out: &Outbox,
        more: Option<(Side, &[u8])>,
    ) {
        let Some(connection) = self.connections.get_mut(place) else {
            return;
        };
        if !out.to_node.is_empty() {
            io.send(connection.node, &out.to_node);
        }
        let mut to_client: [&[u8]; 2] = [&out.to_client, &[]];
        match more {
            Some((Side::Node, bytes)) => io.send(connection.node, bytes),
            Some((Side::Client, bytes)) => to_client[1] = bytes,
            None => {}
        }
        for mut bytes in to_client.into_iter().filter(|bytes| !bytes.is_empty()) {
            if let Some(stream) = &mut connection.compressed {
                self.packed.clear();
                stream.send(&mut self.codecs, bytes, &mut self.packed);
                bytes = &self.packed;
            }
            match &mut connection.tls {
                Some(tls) => tls.send(bytes),
                None => io.send(connection.client, bytes),
            }
        }
        flush_tls(io, connection, &mut self.cipher);
        if let Some(compression) = out.start_compression {
            connection.compressed = Some(Box::new(CompressedStream::new(compression)));
        }
        if out.revived {
            connection.instance.counters(self.index).revived.add(1);
        }
        if let Some(reason) = out.close {
            return self.end(io, place, reason);
        }
        if out.reconnect {
            self.reconnect(io, place);
        }
        self.follow_phase(io, place);
    }

    /// Keeps timers and receiving in step with where the session stands.
    fn follow_phase(&mut self, io: &mut dyn Io, place: usize) {
        let Some(connection) = self.connections.get_mut(place) else {
            return;
        };
        let held = connection.session.client_read_paused();
        if held != connection.held {
            connection.held = held;
            match held {
                true => io.hold(connection.client),
                false => io.release(connection.client),
            }
        }
        if !connection.logged_in && connection.session.phase() == Phase::Command {
            connection.logged_in = true;
            if !connection
                .instance
                .logins()
                .end(connection.peer, connection.login)
            {
                // It was displaced while the node's answer was on its way.
                return self.end(io, place, CloseReason::Displaced);
            }
            if connection.on_warm {
                connection.instance.counters(self.index).warm_used.add(1);
            }
            let at = io.now() + self.registry.config.idle_timeout;
            set_timer(io, place, connection, Some(at));
        }
        let due = connection.session.deadline();
        if connection.logged_in && connection.due != due {
            connection.due = due;
            let idle = connection.last_activity + self.registry.config.idle_timeout;
            let at = due.map_or(idle, |due| (self.start + due).max(io.now() + SHORTEST_WAIT));
            set_timer(io, place, connection, Some(at));
        }
    }

    /// Closes both streams and forgets the connection. The node's may stay for another client.
    fn end(&mut self, io: &mut dyn Io, place: usize, reason: CloseReason) {
        let Some(mut connection) = self.connections.remove(place) else {
            return;
        };
        set_timer(io, place, &mut connection, None);
        if !connection.logged_in {
            let logins = connection.instance.logins();
            logins.end(connection.peer, connection.login);
        }
        if reason == CloseReason::Kicked && io.queued(connection.client) > KICK_QUEUE {
            // Who is thrown out while not even reading is not waited for.
            io.close(connection.client);
        }
        if let Some(tls) = &mut connection.tls {
            tls.close();
        }
        flush_tls(io, &mut connection, &mut self.cipher);
        io.close_after_flush(connection.client);
        let counters = connection.instance.counters(self.index);
        match reason {
            CloseReason::AccessDenied => {
                counters.failed_logins.add(1);
                if let Some(route) = connection.instance.route() {
                    let (id, reason) = (&route.instance_id, RefusalReason::Login);
                    self.registry.refusals.add(id, reason, connection.peer);
                }
            }
            CloseReason::AccountLimit => counters.refused_limit.add(1),
            CloseReason::LoginTimeout => counters.login_timeouts.add(1),
            CloseReason::NodeRefused => counters.node_failures.add(1),
            _ => {}
        }
        tracing::debug!(
            client = %connection.peer,
            account = connection.session.account(),
            ?reason,
            "session closed"
        );
        self.registry.leave(&connection.instance);
        match connection.session.take_warm() {
            Some(warm) if !connection.node_finished => self.park(io, &connection, warm),
            _ => io.close_after_flush(connection.node),
        }
    }

    /// Ends the connection if what `call` made the session do did not end it already.
    fn end_with(
        &mut self,
        io: &mut dyn Io,
        place: usize,
        reason: CloseReason,
        call: impl FnOnce(&mut Connection, Duration, &mut Outbox),
    ) {
        self.with_session(io, place, call);
        self.end(io, place, reason);
    }

    fn kick(&mut self, io: &mut dyn Io, place: usize) {
        self.end_with(io, place, CloseReason::Kicked, |connection, now, out| {
            connection.session.kick(now, out);
        });
    }

    fn client_gone(&mut self, io: &mut dyn Io, place: usize) {
        let reason = CloseReason::ClientGone;
        self.end_with(io, place, reason, |connection, now, out| {
            connection.session.client_closed(now, out);
        });
    }

    fn node_gone(&mut self, io: &mut dyn Io, place: usize) {
        let Some(connection) = self.connections.get_mut(place) else {
            return;
        };
        let node = connection.node;
        let was_open = mem::take(&mut connection.node_open);
        self.with_session(io, place, |connection, now, out| match was_open {
            true => connection.session.node_closed(now, out),
            false => connection.session.node_unreachable(now, out),
        });
        match self.connections.get_mut(place) {
            // It goes on with another connection, or until there is one, and must not hear of this
            // one again.
            Some(connection) if connection.session.phase() != Phase::Closed => io.close(node),
            _ => self.end(io, place, CloseReason::NodeGone),
        }
    }

    /// A client ended its direction. While a command runs, its reply may still be wanted, so the
    /// node is told the same and ends the connection when it has replied.
    fn client_ended(&mut self, io: &mut dyn Io, place: usize) {
        let Some(connection) = self.connections.get_mut(place) else {
            return;
        };
        let session = &connection.session;
        if session.phase() == Phase::Command && !session.is_idle() {
            io.finish(connection.node);
            connection.node_finished = true;
        } else {
            self.client_gone(io, place);
        }
    }

    fn recheck(&mut self, io: &mut dyn Io, instance: &Arc<Instance>) {
        let route = instance.route();
        self.drop_where(io, |parked| {
            Arc::ptr_eq(&parked.instance, instance)
                && !route.as_ref().is_some_and(|route| parked.fits(route))
        });
        for place in self
            .connections
            .find(|c| Arc::ptr_eq(&c.instance, instance))
        {
            let Some(connection) = self.connections.get_mut(place) else {
                continue;
            };
            // Where its statements go now, it would see another part of the rows.
            let admitted = route.as_ref().filter(|r| {
                r.whitelist.admits(connection.peer) && r.session_socket() == *connection.socket
            });
            match admitted {
                None => self.kick(io, place),
                Some(route) => self.with_session(io, place, |connection, now, out| {
                    connection
                        .session
                        .route_changed(now, Arc::clone(route), out);
                }),
            }
        }
    }

    fn run_timer(&mut self, io: &mut dyn Io, place: usize, serial: u32) {
        let idle_timeout = self.registry.config.idle_timeout;
        let now = io.now();
        let Some(connection) = self.connections.get_mut(place) else {
            return;
        };
        if connection.serial != serial {
            return;
        }
        connection.timer = None;
        if !connection.logged_in {
            self.with_session(io, place, |connection, now, out| {
                connection.session.tick(now, out);
            });
            if let Some(connection) = self.connections.get_mut(place)
                && !connection.logged_in
            {
                let at = connection.session.deadline().map(|at| self.start + at);
                let at = at.map(|at| at.max(now + SHORTEST_WAIT));
                set_timer(io, place, connection, at);
            }
            return;
        }
        if connection.due.take().is_some() {
            return self.with_session(io, place, |connection, now, out| {
                connection.session.tick(now, out);
            });
        }
        let due = connection.last_activity + idle_timeout;
        if due > now {
            set_timer(io, place, connection, Some(due));
        } else if connection.session.is_idle() {
            self.kick(io, place);
        } else {
            set_timer(io, place, connection, Some(now + idle_timeout));
        }
    }
}

impl Handler for Worker {
    type Command = Command;

    fn accepted(&mut self, io: &mut dyn Io, stream: StreamId, from: Accepted) {
        self.accept(io, stream, from);
    }

    fn connected(&mut self, io: &mut dyn Io, _stream: StreamId, tag: u64) {
        if let Some(Tag::Of(place, _)) = Tag::of(tag) {
            self.with_session(io, place, |connection, now, out| {
                connection.node_open = true;
                connection.session.node_connected(now, out);
            });
        }
    }

    fn received(
        &mut self,
        io: &mut dyn Io,
        _stream: StreamId,
        tag: u64,
        bytes: &mut [u8],
    ) -> Disposition {
        match Tag::of(tag) {
            Some(Tag::Of(place, Side::Client)) => self.client_bytes(io, place, bytes),
            Some(Tag::Of(place, Side::Node)) => self.node_bytes(io, place, bytes),
            Some(Tag::Parked(place)) => {
                self.parked_bytes(io, place, bytes);
                Disposition::Consumed
            }
            Some(Tag::Proxied(place)) => {
                self.header_bytes(io, place, bytes);
                Disposition::Consumed
            }
            None => Disposition::Consumed,
        }
    }

    fn ended(&mut self, io: &mut dyn Io, _stream: StreamId, tag: u64) {
        match Tag::of(tag) {
            Some(Tag::Of(place, Side::Client)) => self.client_ended(io, place),
            Some(Tag::Of(place, Side::Node)) => self.node_gone(io, place),
            Some(Tag::Parked(place)) => self.drop_parked(io, place),
            Some(Tag::Proxied(place)) => self.header_ended(io, place),
            None => {}
        }
    }

    fn closed(&mut self, io: &mut dyn Io, _stream: StreamId, tag: u64, why: StreamEnd) {
        let (place, side) = match Tag::of(tag) {
            Some(Tag::Of(place, side)) => (place, side),
            Some(Tag::Parked(place)) => return self.drop_parked(io, place),
            Some(Tag::Proxied(place)) => return self.header_ended(io, place),
            None => return,
        };
        if matches!(why, StreamEnd::Panicked) {
            // The session's own state cannot be relied on anymore.
            tracing::error!("a session failed in the gateway itself; it is closed");
            return self.end(io, place, CloseReason::Kicked);
        }
        match side {
            Side::Client => self.client_gone(io, place),
            Side::Node => self.node_gone(io, place),
        }
    }

    fn timer(&mut self, io: &mut dyn Io, token: u64) {
        if token & ENDPOINT_TIMER == 0 {
            return self.run_timer(io, token as u32 as usize, (token >> 32) as u32);
        }
        if token == SWEEP {
            return self.sweep(io);
        }
        if token == RESETS {
            return self.collect_resets(io);
        }
        if token == HEADERS {
            return self.headers_overdue(io);
        }
        let endpoint = token & !ENDPOINT_TIMER;
        self.drop_where(io, |parked| parked.endpoint == endpoint);
        for place in self.connections.find(|c| c.endpoint == endpoint) {
            self.kick(io, place);
        }
    }

    fn command(&mut self, io: &mut dyn Io, command: Command) {
        // An answer fails when nobody waits for it anymore, which is fine.
        match command {
            Command::Recheck(instance, reply) => {
                self.recheck(io, &instance);
                let _ = reply.send(0);
            }
            Command::GiveWay(instance) => {
                self.drop_oldest(io, instance.as_ref());
            }
            Command::LeaveSeat(seat) => self.leave_seat(io, seat),
            Command::CloseEndpoint { token, grace } => {
                let at = io.now() + grace;
                io.set_timer(at, ENDPOINT_TIMER | token);
            }
            Command::DropWarm(reply) => {
                self.drop_where(io, |_| true);
                let _ = reply.send(0);
            }
            Command::Drain(reply) => {
                self.drop_where(io, |_| true);
                self.drop_proxied(io);
                for place in self.connections.find(|_| true) {
                    self.with_session(io, place, |connection, now, out| {
                        connection.session.drain(now, out);
                    });
                }
                let _ = reply.send(0);
            }
            Command::KickAll(reply) => {
                let open = self.connections.find(|_| true);
                for place in &open {
                    self.kick(io, *place);
                }
                let _ = reply.send(open.len());
            }
        }
    }
}

/// Sets the connection's only timer, or takes it back.
fn set_timer(io: &mut dyn Io, place: usize, connection: &mut Connection, at: Option<Instant>) {
    let token = u64::from(connection.serial) << 32 | place as u64;
    if let Some(before) = mem::replace(&mut connection.timer, at) {
        io.cancel_timer(before, token);
    }
    if let Some(at) = at {
        io.set_timer(at, token);
    }
}
