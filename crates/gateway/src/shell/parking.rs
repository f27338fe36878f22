//! What becomes of a node's connection when its client has left: it is reset and waits for the
//! next client of the same instance and address, if there is room.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openpeta_relay_io::Io;
use openpeta_types::route::InstanceRoute;

use super::connections::{Connection, Side, Tag};
use super::pool::Parked;
use super::{Command, Worker};
use crate::registry::Instance;
use crate::session::{CloseReason, Phase, Reset, Warm};

/// The timer for connections that nobody took; no listener has this number.
pub(super) const SWEEP: u64 = u64::MAX;
/// The timer for connections that owe a reset; no listener has this number.
pub(super) const RESETS: u64 = u64::MAX - 2;
/// How long a connection may owe its reset when no client takes it.
const CREDIT: Duration = Duration::from_millis(50);
/// Connections that one event loop keeps for all its instances.
const LOOP_LIMIT: usize = 1024;
/// A connection is not used again when it is older, because it is greeted from with what the node
/// said when it was opened.
const MAX_AGE: Duration = Duration::from_secs(3600);

impl Worker {
    /// Takes a connection for a client that has just come in, if one waits for it.
    pub(super) fn unpark(
        &mut self,
        io: &mut dyn Io,
        instance: &Arc<Instance>,
        route: &InstanceRoute,
        peer: IpAddr,
    ) -> Option<Parked> {
        while let Some(parked) = self.pool.take(instance, peer) {
            self.registry.unpark(instance);
            // The route may have changed without this loop having been told yet.
            if parked.fits(route) {
                return Some(parked);
            }
            hang_up(io, &parked);
        }
        None
    }

    /// Keeps what a session has left, or closes it.
    pub(super) fn park(&mut self, io: &mut dyn Io, connection: &Connection, mut warm: Warm) {
        let now = io.now();
        if warm.is_ready() && !connection.node_open {
            // It ended while the session had it.
            return io.close(connection.node);
        }
        let mut to_node = Vec::new();
        if !warm.is_ready() {
            warm.begin_reset(&mut to_node);
        }
        let owes_reset = warm.owes_reset();
        let parked = Parked {
            warm,
            node: connection.node,
            instance: Arc::clone(&connection.instance),
            peer: connection.peer,
            socket: Arc::clone(&connection.socket),
            endpoint: connection.endpoint,
            born: connection.born,
            since: now,
        };
        if !self.make_room(io, &parked) {
            return hang_up(io, &parked);
        }
        io.send(parked.node, &to_node);
        let node = parked.node;
        let place = self.pool.put(parked);
        io.set_tag(node, Tag::Parked(place).number());
        if owes_reset && !self.collecting {
            self.collecting = true;
            io.set_timer(now + CREDIT, RESETS);
        }
        if !self.sweeping {
            self.sweeping = true;
            io.set_timer(now + self.registry.config.warm_time, SWEEP);
        }
    }

    /// Whether the connection may be kept, and is counted; an older one may have to go for it.
    fn make_room(&mut self, io: &mut dyn Io, parked: &Parked) -> bool {
        let instance = &parked.instance;
        let young = parked.since.saturating_duration_since(parked.born) < MAX_AGE;
        let route = instance.route().filter(|route| parked.fits(route));
        let Some(route) = route.filter(|_| young && self.registry.keeps_warm()) else {
            return false;
        };
        if self.pool.len() >= LOOP_LIMIT {
            self.drop_oldest(io, None);
        }
        self.registry.park(instance, route.max_connections)
            || (self.drop_oldest(io, Some(instance))
                && self.registry.park(instance, route.max_connections))
    }

    /// Has a parked connection give way to a session, when all together have become too many.
    pub(super) fn make_way(&mut self, io: &mut dyn Io, instance: &Arc<Instance>, limit: u32) {
        let of = match self.registry.crowded(instance, limit) {
            None => return,
            Some(crowd) => crowd.then_some(instance),
        };
        if !self.drop_oldest(io, of) {
            let of = of.map(Arc::clone);
            self.registry.broadcast(|| Command::GiveWay(of.clone()));
        }
    }

    /// Drops the connection that nobody has wanted for the longest time; tells whether there is one.
    pub(super) fn drop_oldest(&mut self, io: &mut dyn Io, of: Option<&Arc<Instance>>) -> bool {
        let oldest = self.pool.oldest(of);
        if let Some(place) = oldest {
            self.drop_parked(io, place);
        }
        oldest.is_some()
    }

    /// Drops all that are as asked for.
    pub(super) fn drop_where(&mut self, io: &mut dyn Io, wanted: impl Fn(&Parked) -> bool) {
        for place in self.pool.find(wanted) {
            self.drop_parked(io, place);
        }
    }

    pub(super) fn drop_parked(&mut self, io: &mut dyn Io, place: usize) {
        if let Some(parked) = self.pool.remove(place) {
            self.registry.unpark(&parked.instance);
            hang_up(io, &parked);
        }
    }

    /// Bytes for a parked connection: the answer to its reset, or something that is no good.
    pub(super) fn parked_bytes(&mut self, io: &mut dyn Io, place: usize, bytes: &[u8]) {
        let Some(parked) = self.pool.get_mut(place) else {
            return;
        };
        match parked.warm.node_data(bytes) {
            Reset::Awaits => {}
            Reset::Clean => self.pool.offer(place),
            Reset::Failed => self.drop_parked(io, place),
        }
    }

    /// Drops the connections that have waited for too long.
    pub(super) fn sweep(&mut self, io: &mut dyn Io) {
        let (now, patience) = (io.now(), self.registry.config.warm_time);
        self.drop_where(io, |parked| parked.since + patience <= now);
        let next = self.pool.first_end(patience);
        self.sweeping = next.is_some();
        if let Some(at) = next {
            io.set_timer(at, SWEEP);
        }
    }

    /// Resets the connections that have owed it for long enough.
    pub(super) fn collect_resets(&mut self, io: &mut dyn Io) {
        let now = io.now();
        let mut next = None;
        for place in self.pool.find(|parked| parked.warm.owes_reset()) {
            let Some(parked) = self.pool.get_mut(place) else {
                continue;
            };
            let due = parked.since + CREDIT;
            if due > now {
                next = next.map_or(Some(due), |next: Instant| Some(next.min(due)));
                continue;
            }
            let mut to_node = Vec::new();
            parked.warm.begin_reset(&mut to_node);
            io.send(parked.node, &to_node);
            self.pool.withdraw(place);
        }
        self.collecting = next.is_some();
        if let Some(at) = next {
            io.set_timer(at, RESETS);
        }
    }

    /// Opens another node connection in place of one that the session cannot use.
    pub(super) fn reconnect(&mut self, io: &mut dyn Io, place: usize) {
        let Some(connection) = self.connections.get_mut(place) else {
            return;
        };
        let in_login = connection.session.phase() == Phase::Login;
        if connection.on_warm && in_login {
            connection.instance.counters(self.index).warm_unfit.add(1);
        }
        connection.on_warm = false;
        connection.node_open = false;
        connection.born = io.now();
        io.close_after_flush(connection.node);
        let tag = Tag::Of(place, Side::Node).number();
        let (instance, socket) = (
            Arc::clone(&connection.instance),
            Arc::clone(&connection.socket),
        );
        let connected = self.connect_node(io, &instance, &socket, tag);
        let Some(connection) = self.connections.get_mut(place) else {
            return;
        };
        match connected {
            Ok(node) => {
                connection.node = node;
                io.pair(connection.client, node);
            }
            Err(error) => {
                let absent = matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused
                );
                let socket = connection.socket.display();
                if in_login || !absent {
                    tracing::warn!(%error, %socket, "node not reached");
                }
                // Without one a session may wait, but not for what is wrong here.
                if in_login || absent {
                    self.node_gone(io, place);
                } else {
                    self.end(io, place, CloseReason::NodeGone);
                }
            }
        }
    }
}

fn hang_up(io: &mut dyn Io, parked: &Parked) {
    // Or the node would count and log an aborted connection.
    io.send(parked.node, &Warm::farewell());
    io.close_after_flush(parked.node);
}
