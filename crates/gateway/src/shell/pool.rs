//! Connections to nodes that wait for a client, or are being reset for one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openpeta_relay_io::StreamId;
use openpeta_types::route::InstanceRoute;

use crate::registry::Instance;
use crate::session::Warm;

/// One connection without a client.
pub(super) struct Parked {
    pub(super) warm: Warm,
    pub(super) node: StreamId,
    pub(super) instance: Arc<Instance>,
    /// Whom the node takes for the client, whatever uses the connection.
    pub(super) peer: IpAddr,
    /// The socket it was opened to.
    pub(super) socket: Arc<PathBuf>,
    /// The listener that its last client came through.
    pub(super) endpoint: u64,
    /// When it was opened.
    pub(super) born: Instant,
    /// When its last client left it.
    pub(super) since: Instant,
}

impl Parked {
    /// Whether a client of its address could still use it.
    pub(super) fn fits(&self, route: &InstanceRoute) -> bool {
        route.session_socket() == *self.socket
            && route.whitelist.admits(self.peer)
            && self.warm.fits(route)
    }

    fn key(&self) -> Key {
        key(&self.instance, self.peer)
    }
}

/// An instance, by its place in memory, which a parked connection keeps; and a client's address.
type Key = (usize, IpAddr);

fn key(instance: &Arc<Instance>, peer: IpAddr) -> Key {
    (Arc::as_ptr(instance) as usize, peer)
}

/// The parked connections of one event loop, in numbered places that are used again.
#[derive(Default)]
pub(super) struct Pool {
    places: Vec<Option<Parked>>,
    free: Vec<usize>,
    /// Those that clients may have, the last used last.
    ready: HashMap<Key, Vec<usize>>,
}

impl Pool {
    /// Puts one in and returns its place.
    pub(super) fn put(&mut self, parked: Parked) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        let ready = parked.warm.is_ready();
        self.places[place] = Some(parked);
        if ready {
            self.offer(place);
        }
        place
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Parked> {
        self.places.get_mut(place)?.as_mut()
    }

    /// Offers one to clients, since it is clean now, or owes no more than a reset.
    pub(super) fn offer(&mut self, place: usize) {
        if let Some(Some(parked)) = self.places.get(place) {
            parked.instance.offered();
            self.ready.entry(parked.key()).or_default().push(place);
        }
    }

    /// Takes out the one for this client that was used last.
    pub(super) fn take(&mut self, instance: &Arc<Instance>, peer: IpAddr) -> Option<Parked> {
        let place = *self.ready.get(&key(instance, peer))?.last()?;
        self.remove(place)
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<Parked> {
        self.withdraw(place);
        let parked = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(parked)
    }

    /// No longer offers one to clients.
    pub(super) fn withdraw(&mut self, place: usize) {
        let Some(Some(parked)) = self.places.get(place) else {
            return;
        };
        let key = parked.key();
        let Some(places) = self.ready.get_mut(&key) else {
            return;
        };
        if let Some(at) = places.iter().rposition(|&its| its == place) {
            places.remove(at);
            parked.instance.taken();
        }
        if places.is_empty() {
            self.ready.remove(&key);
        }
    }

    /// The places whose connection is as asked for.
    pub(super) fn find(&self, wanted: impl Fn(&Parked) -> bool) -> Vec<usize> {
        self.all()
            .filter(|(_, parked)| wanted(parked))
            .map(|(place, _)| place)
            .collect()
    }

    /// The place of the one that waits for the longest time, of an instance or of any.
    pub(super) fn oldest(&self, instance: Option<&Arc<Instance>>) -> Option<usize> {
        let concerned = self.all().filter(|(_, parked)| {
            instance.is_none_or(|instance| Arc::ptr_eq(instance, &parked.instance))
        });
        let oldest = concerned.min_by_key(|(_, parked)| parked.since);
        oldest.map(|(place, _)| place)
    }

    /// When the first of them has waited for `patience`.
    pub(super) fn first_end(&self, patience: Duration) -> Option<Instant> {
        self.all().map(|(_, parked)| parked.since + patience).min()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn all(&self) -> impl Iterator<Item = (usize, &Parked)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(place, parked)| Some((place, parked.as_ref()?)))
    }
}
