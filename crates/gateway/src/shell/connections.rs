//! The connections of one event loop.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

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
    /// Whether the connect to the node has succeeded.
    pub(super) node_open: bool,
    pub(super) tls: Option<Tls>,
    /// The compressed packets of the client, inside TLS if there is any.
    pub(super) compressed: Option<Box<CompressedStream>>,
    /// When a byte last came from either side.
    pub(super) last_activity: Instant,
    /// The timer that is set, if any.
    pub(super) timer: Option<Instant>,
    /// Whether the session is past its login, as far as timers are concerned.
    pub(super) logged_in: bool,
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

/// The number by which the event loop names one side of a connection; never 0, which stands for
/// streams without a connection.
pub(super) fn tag(place: usize, side: Side) -> u64 {
    ((place as u64 + 1) << 1) | u64::from(side == Side::Node)
}

/// What a tag stands for.
pub(super) fn untag(tag: u64) -> Option<(usize, Side)> {
    let place = (tag >> 1).checked_sub(1)? as usize;
    let side = if tag & 1 == 1 {
        Side::Node
    } else {
        Side::Client
    };
    Some((place, side))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_distinct_and_never_zero() {
        assert_eq!(untag(0), None);
        for place in [0, 1, 77] {
            for side in [Side::Client, Side::Node] {
                assert_eq!(untag(tag(place, side)), Some((place, side)));
            }
        }
    }
}
