//! How many series there may be. Instances and databases come and go by the thousand; who stores
//! the metrics pays for each. So a fixed number of them has series of their own, and the others are
//! added up under the label [`OTHER`].
//!
//! Who has a place keeps it until it is gone: the largest would change places all the time, and
//! totals that move from one series to another look like load. For the same reason one that was
//! counted among the others is never shown for itself later. Pure.

use std::collections::{HashMap, HashSet};

/// The label of all that have no place.
pub(crate) const OTHER: &str = "other";

/// Who has a place of its own, and totals of the others.
#[derive(Debug)]
pub(crate) struct Bound {
    places: usize,
    shown: HashSet<String>,
    /// The totals of those without a place as they were last seen.
    others: HashMap<String, Vec<u64>>,
    /// What those without a place ever counted. It never falls, whoever goes or begins anew.
    total: Vec<u64>,
}

impl Bound {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places,
            shown: HashSet::new(),
            others: HashMap::new(),
            total: Vec::new(),
        }
    }

    /// Forgets who is not there anymore, and gives free places to those who are new, first come,
    /// first served.
    pub(crate) fn present<'a>(&mut self, all: impl Iterator<Item = &'a str> + Clone) {
        let there: HashSet<&str> = all.clone().collect();
        self.shown.retain(|name| there.contains(&**name));
        self.others.retain(|name, _| there.contains(&**name));
        for name in all {
            if self.shown.contains(name) || self.others.contains_key(name) {
                continue;
            }
            if self.shown.len() < self.places {
                self.shown.insert(name.to_owned());
            } else {
                self.others.insert(name.to_owned(), Vec::new());
            }
        }
    }

    /// Whether it has a place.
    pub(crate) fn shows(&self, name: &str) -> bool {
        self.shown.contains(name)
    }

    /// Whether anybody has none, or had.
    pub(crate) fn has_others(&self) -> bool {
        !self.others.is_empty() || !self.total.is_empty()
    }

    /// Adds what one without a place has counted since it was last seen.
    pub(crate) fn add(&mut self, name: &str, totals: &[u64]) {
        let last = self.others.entry(name.to_owned()).or_default();
        last.resize(totals.len(), 0);
        self.total.resize(totals.len().max(self.total.len()), 0);
        for ((sum, last), now) in self.total.iter_mut().zip(last).zip(totals) {
            // One that fell began anew at zero.
            *sum += now.checked_sub(*last).unwrap_or(*now);
            *last = *now;
        }
    }

    /// What those without a place counted, so many numbers.
    pub(crate) fn others(&self, numbers: usize) -> Vec<u64> {
        let mut total = self.total.clone();
        total.resize(numbers, 0);
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept_and_totals_of_others_never_fall() {
        let mut bound = Bound::new(2);
        bound.present(["a", "b", "c", "d"].into_iter());
        assert!(bound.shows("a") && bound.shows("b") && !bound.shows("c"));
        bound.add("c", &[5, 1]);
        bound.add("d", &[7, 1]);
        assert_eq!(bound.others(2), [12, 2]);
        // "c" began anew, "d" went on.
        bound.add("c", &[2, 0]);
        bound.add("d", &[8, 1]);
        assert_eq!(bound.others(2), [15, 2]);
        // A place is free, but those who were added up stay so; "d" is gone, what it did is not.
        bound.present(["b", "c", "e", "f"].into_iter());
        assert!(bound.shows("b") && bound.shows("e") && !bound.shows("c") && !bound.shows("f"));
        assert_eq!(bound.others(2), [15, 2]);
        bound.add("c", &[3, 0]);
        bound.add("f", &[1, 1]);
        assert_eq!(bound.others(2), [17, 3]);
    }

    #[test]
    fn without_others_there_is_nothing_to_show_of_them() {
        let mut bound = Bound::new(1);
        bound.present(["a"].into_iter());
        assert!(!bound.has_others());
        bound.present(["a", "b"].into_iter());
        assert!(bound.has_others());
    }
}
