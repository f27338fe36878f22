//! Connections from load balancers: first comes a PROXY header that tells whom they are for.

use std::time::Instant;

use openpeta_mysql_wire::proxy::{self, ProxyHeader};
use openpeta_relay_io::{Accepted, Io, StreamId};

use super::Worker;
use super::connections::Tag;

/// The timer for headers that are due; no listener has this number.
pub(super) const HEADERS: u64 = u64::MAX - 1;
/// Connections of one event loop whose header is due; one more is closed at once.
const MOST: usize = 4096;

/// A connection whose header has not come yet, or not wholly.
struct Announced {
    stream: StreamId,
    from: Accepted,
    held: Vec<u8>,
    until: Instant,
}

/// Such connections of one event loop, in numbered places that are used again.
#[derive(Default)]
pub(super) struct Proxied {
    places: Vec<Option<Announced>>,
    free: Vec<usize>,
    /// Whether the timer is set.
    timed: bool,
}

impl Proxied {
    fn add(&mut self, announced: Announced) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(announced);
        place
    }

    fn remove(&mut self, place: usize) -> Option<Announced> {
        let announced = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(announced)
    }

    fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.places.iter().flatten();
        waiting.map(|announced| announced.until).min()
    }
}

impl Worker {
    /// Waits for the header if the connection comes from one who has to send it, else lets the
    /// client in.
    pub(super) fn accept(&mut self, io: &mut dyn Io, stream: StreamId, from: Accepted) {
        let config = &self.registry.config;
        if !config.proxy_protocol_from.admits(from.peer.ip()) {
            return self.let_in(io, stream, from);
        }
        if self.registry.is_draining() {
            return io.close(stream);
        }
        if self.proxied.len() >= MOST {
            self.count_bad_header(from);
            return io.close(stream);
        }
        let until = io.now() + config.login_timeout;
        if !self.proxied.timed {
            self.proxied.timed = true;
            io.set_timer(until, HEADERS);
        }
        let place = self.proxied.add(Announced {
            stream,
            from,
            held: Vec::new(),
            until,
        });
        io.set_tag(stream, Tag::Proxied(place).number());
    }

    /// Takes bytes of a header; when it is whole, the client that it names is let in.
    pub(super) fn header_bytes(&mut self, io: &mut dyn Io, place: usize, bytes: &[u8]) {
        let Some(Some(announced)) = self.proxied.places.get_mut(place) else {
            return;
        };
        announced.held.extend_from_slice(bytes);
        let (header, len) = match proxy::parse_header(&announced.held) {
            Ok(None) => return,
            Ok(Some(header)) => header,
            Err(error) => {
                tracing::warn!(from = %announced.from.peer, %error, "no PROXY header came");
                return self.refuse_header(io, place);
            }
        };
        if len < announced.held.len() {
            // A client does not speak before it is greeted.
            tracing::warn!(from = %announced.from.peer, "bytes came behind the PROXY header");
            return self.refuse_header(io, place);
        }
        let Some(Announced { stream, from, .. }) = self.proxied.remove(place) else {
            return;
        };
        let from = match header {
            ProxyHeader::Local => from,
            ProxyHeader::Client { client, server } => Accepted {
                peer: canonical(client),
                local: canonical(server),
                ..from
            },
        };
        // Its tag is another one from now on, if it is let in.
        io.set_tag(stream, 0);
        self.let_in(io, stream, from);
    }

    /// Closes a connection whose header is wrong.
    fn refuse_header(&mut self, io: &mut dyn Io, place: usize) {
        if let Some(announced) = self.proxied.remove(place) {
            self.count_bad_header(announced.from);
            io.close(announced.stream);
        }
    }

    /// A connection ended before its header had come. Health checks do that.
    pub(super) fn header_ended(&mut self, io: &mut dyn Io, place: usize) {
        if let Some(announced) = self.proxied.remove(place) {
            io.close(announced.stream);
        }
    }

    /// Closes the connections whose header is overdue.
    pub(super) fn headers_overdue(&mut self, io: &mut dyn Io) {
        let now = io.now();
        for place in 0..self.proxied.places.len() {
            if matches!(&self.proxied.places[place], Some(announced) if announced.until <= now) {
                self.refuse_header(io, place);
            }
        }
        let next = self.proxied.next_deadline();
        self.proxied.timed = next.is_some();
        if let Some(until) = next {
            io.set_timer(until, HEADERS);
        }
    }

    /// Closes all connections whose header is due.
    pub(super) fn drop_proxied(&mut self, io: &mut dyn Io) {
        for place in 0..self.proxied.places.len() {
            self.header_ended(io, place);
        }
    }

    fn count_bad_header(&self, from: Accepted) {
        if let Some(instance) = self.registry.instance_of(from.listener) {
            instance.counters(self.index).refused_proxy_header.add(1);
        }
    }
}

/// IPv4 addresses written as IPv6 are IPv4, as those of direct clients are.
fn canonical(address: std::net::SocketAddr) -> std::net::SocketAddr {
    (address.ip().to_canonical(), address.port()).into()
}
