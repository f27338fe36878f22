//! The connections of one event loop.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openpeta_mysql_wire::CompressedStream;
use openpeta_relay_io::StreamId;

use super::tls::Tls;
use crate::registry::Instance;
use crate::session::Session;

/// One client and its node.
pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) client: StreamId,
    pub(super) node: StreamId,
    /// Whether the connect to the node has succeeded, and the node has not ended it.
    pub(super) node_open: bool,
    /// The node was told that nothing more comes.
    pub(super) node_finished: bool,
    /// The node's connection was opened for another client.
    pub(super) on_warm: bool,
    /// The socket of the node, and when the connection to it was opened.
    pub(super) socket: Arc<PathBuf>,
    pub(super) born: Instant,
    pub(super) tls: Option<Tls>,
    /// The compressed packets of the client, inside TLS if there is any.
    pub(super) compressed: Option<Box<CompressedStream>>,
    /// When a byte last came from either side.
    pub(super) last_activity: Instant,
    /// The timer that is set, if any.
    pub(super) timer: Option<Instant>,
    /// The number of the login under way.
    pub(super) login: u64,
    /// Whether the session is past its login, as far as timers are concerned.
    pub(super) logged_in: bool,
    /// The session's deadline in the command phase, if the timer is set for it.
    pub(super) due: Option<Duration>,
    /// Nothing is received from the client for now, by the session's wish.
    pub(super) held: bool,
    pub(super) instance: Arc<Instance>,
    pub(super) peer: IpAddr,
    /// The token of the listener it came through.
    pub(super) endpoint: u64,
    /// Tells a timer of this connection from one of an earlier connection in the same place.
    pub(super) serial: u32,
}

/// Which of a connection's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Node,
}

/// Connections in numbered places, which are used again.
#[derive(Default)]
pub(super) struct Connections {
    places: Vec<Option<Connection>>,
    free: Vec<usize>,
    next_serial: u32,
}

impl Connections {
    /// Reserves a place and a serial for [`Self::put`].
    pub(super) fn reserve(&mut self) -> (usize, u32) {
        let serial = self.next_serial;
        // One bit less than there are, so that a timer's token keeps its topmost bit free.
        self.next_serial = (serial + 1) & (u32::MAX >> 1);
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        (place, serial)
    }

    pub(super) fn put(&mut self, place: usize, connection: Connection) {
        self.places[place] = Some(connection);
    }

    /// Gives back a reserved place that was not used.
    pub(super) fn unreserve(&mut self, place: usize) {
        self.free.push(place);
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Connection> {
        self.places.get_mut(place)?.as_mut()
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<Connection> {
        let connection = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(connection)
    }

    /// The places in use whose connection is as asked for.
    pub(super) fn find(&self, wanted: impl Fn(&Connection) -> bool) -> Vec<usize> {
        let used = self.places.iter().enumerate();
        used.filter(|(_, connection)| connection.as_ref().is_some_and(&wanted))
            .map(|(place, _)| place)
            .collect()
    }
}

/// What a stream of the event loop is: the loop is given a number for it. No number is 0, which
/// stands for streams without a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// One side of the connection in this place.
    Of(usize, Side),
    /// The node's connection in this place of the pool.
    Parked(usize),
    /// The connection in this place of those whose PROXY header is due.
    Proxied(usize),
}

impl Tag {
    pub(super) fn number(self) -> u64 {
        let (place, kind) = match self {
            Self::Of(place, Side::Client) => (place, 0),
            Self::Of(place, Side::Node) => (place, 1),
            Self::Parked(place) => (place, 2),
            Self::Proxied(place) => (place, 3),
        };
        (place as u64 + 1) << 2 | kind
    }

    pub(super) fn of(number: u64) -> Option<Self> {
        let place = (number >> 2).checked_sub(1)? as usize;
        Some(match number & 3 {
            0 => Self::Of(place, Side::Client),
            1 => Self::Of(place, Side::Node),
            2 => Self::Parked(place),
            _ => Self::Proxied(place),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_distinct_and_never_zero() {
        assert_eq!(Tag::of(0), None);
        for place in [0, 1, 77] {
            for tag in [
                Tag::Of(place, Side::Client),
                Tag::Of(place, Side::Node),
                Tag::Parked(place),
                Tag::Proxied(place),
            ] {
                assert_eq!(Tag::of(tag.number()), Some(tag));
            }
        }
    }
}
