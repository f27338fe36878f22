//! The logins under way of an instance, and which of them has to make way when there is no room.
//!
//! Who has not logged in holds one of the instance's sessions all the same, and anybody whom the
//! whitelist admits can hold many. So at the limit a newcomer takes the place of a login under way
//! whose address has more of them; nobody loses a place as long as there is room, and no address
//! can keep the others out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A connection of an event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// The loop's index.
    pub(crate) event_loop: usize,
    /// Its place there.
    pub(crate) place: usize,
    /// Tells it from others in the same place.
    pub(crate) serial: u32,
}

/// The logins under way of one instance.
#[derive(Default)]
pub(crate) struct Logins(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// By the number that each was given, so that the oldest is the first.
    by_address: HashMap<IpAddr, BTreeMap<u64, Seat>>,
    /// The same addresses with how many each has.
    by_count: BTreeSet<(usize, IpAddr)>,
    next: u64,
}

impl Logins {
    /// A login from this address begins. Returns its number.
    pub(crate) fn begin(&self, address: IpAddr, seat: Seat) -> u64 {
        let mut table = self.lock();
        let number = table.next;
        table.next += 1;
        table.change(address, |logins| logins.insert(number, seat));
        number
    }

    /// The login has come to its end, or the connection has. Tells whether it still had its seat:
    /// [`Self::displace`] may have given it to another.
    pub(crate) fn end(&self, address: IpAddr, number: u64) -> bool {
        let removed = self.lock().change(address, |logins| logins.remove(&number));
        removed.is_some()
    }

    /// Takes the seat of the oldest login of the address that has the most, for a newcomer: only
    /// if his own address has fewer even then.
    pub(crate) fn displace(&self, newcomer: IpAddr) -> Option<Seat> {
        let mut table = self.lock();
        let own = table.by_address.get(&newcomer).map_or(0, BTreeMap::len);
        let &(most, address) = table.by_count.last()?;
        if most <= own + 1 {
            return None;
        }
        let oldest = table.change(address, BTreeMap::pop_first)?;
        Some(oldest.1)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Changes the logins of an address, and what else is known of them.
    fn change<T>(
        &mut self,
        address: IpAddr,
        change: impl FnOnce(&mut BTreeMap<u64, Seat>) -> T,
    ) -> T {
        let logins = self.by_address.entry(address).or_default();
        let before = logins.len();
        let result = change(logins);
        let after = logins.len();
        if after == 0 {
            self.by_address.remove(&address);
        }
        if before != after {
            self.by_count.remove(&(before, address));
            if after > 0 {
                self.by_count.insert((after, address));
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn seat(place: usize) -> Seat {
        Seat {
            event_loop: 0,
            place,
            serial: 7,
        }
    }

    #[test]
    fn the_oldest_of_the_address_with_the_most_makes_way() {
        let logins = Logins::default();
        logins.begin(address(1), seat(0));
        let gone = logins.begin(address(2), seat(1));
        let kept = logins.begin(address(2), seat(2));
        assert_eq!(logins.displace(address(3)), Some(seat(1)));
        assert!(!logins.end(address(2), gone), "its seat was taken");
        assert!(logins.end(address(2), kept));
    }

    #[test]
    fn nobody_makes_way_for_who_has_as_many() {
        let logins = Logins::default();
        assert_eq!(logins.displace(address(1)), None);
        for place in 0..3 {
            logins.begin(address(1), seat(place));
        }
        assert_eq!(logins.displace(address(1)), None, "it would be its own");
        logins.begin(address(2), seat(3));
        assert_eq!(logins.displace(address(2)), Some(seat(0)));
        logins.begin(address(2), seat(4));
        // Two and two.
        assert_eq!(logins.displace(address(2)), None);
        assert_eq!(logins.displace(address(1)), None);
        // One of three and one of two: the turn would only be passed on.
        assert_eq!(logins.displace(address(3)), Some(seat(3)));
    }

    #[test]
    fn nothing_is_kept_of_logins_that_are_over() {
        let logins = Logins::default();
        let numbers: Vec<_> = (0..5)
            .map(|place| logins.begin(address(1), seat(place)))
            .collect();
        for number in numbers {
            assert!(logins.end(address(1), number));
            assert!(!logins.end(address(1), number), "only once");
        }
        let table = logins.lock();
        assert!(table.by_address.is_empty() && table.by_count.is_empty());
    }
}
