//! Statements by digest: how often each kind of statement ran, and how long it took.
//!
//! Every event loop has a table per instance, so that sessions of different loops never wait for
//! each other; who reads adds the tables up. Which digests there are is known per instance, so
//! that their number is bounded however many loops there are.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Values below this many microseconds have a bucket each.
const EXACT: u64 = 16;
/// Above, each power of two has this many buckets, as a power of two itself.
const PARTS: u32 = 3;
/// Buckets up to some hours.
const BUCKETS: usize = EXACT as usize + (32 << PARTS);

/// What is known of one kind of statement of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementDigest {
    /// A number for the text; 0 for all statements beyond the digests that are kept.
    pub digest: u64,
    /// The statement without its values, at most 1 KiB of it.
    pub text: String,
    /// Times that it ran, failed or not.
    pub count: u64,
    /// Times that it failed.
    pub errors: u64,
    /// Rows sent to clients.
    pub rows_sent: u64,
    /// Rows changed, as the server tells it.
    pub rows_affected: u64,
    /// Time from the command to the end of the reply, of all.
    pub total_time: Duration,
    /// The shortest time.
    pub shortest: Duration,
    /// The longest time.
    pub longest: Duration,
    /// Half of all took no longer than this; exact to a sixteenth, like the next two.
    pub p50: Duration,
    /// 95 of 100 took no longer.
    pub p95: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
}

/// The digests of one instance.
pub(crate) struct Digests {
    /// Most of them.
    limit: usize,
    known: Mutex<HashMap<u64, Arc<str>, ByDigest>>,
    tables: Box<[Table]>,
}

/// One event loop's share.
#[derive(Default)]
#[repr(align(128))]
struct Table(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    places: HashMap<u64, u32, ByDigest>,
    entries: Vec<Entry>,
}

struct Entry {
    digest: u64,
    statistics: Statistics,
}

/// What is counted of one digest.
#[derive(Clone)]
struct Statistics {
    count: u64,
    errors: u64,
    rows_sent: u64,
    rows_affected: u64,
    nanos: u64,
    shortest: u64,
    longest: u64,
    times: Box<[u32; BUCKETS]>,
}

/// How a statement went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) failed: bool,
    pub(crate) rows_sent: u64,
    pub(crate) rows_affected: u64,
    pub(crate) time: Duration,
}

/// A digest in the table of one event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DigestPlace(u32);

impl DigestPlace {
    /// Of all statements beyond the digests that are kept.
    pub(crate) const REST: Self = Self(0);
}

impl Digests {
    /// Keeps at most `limit` digests; with 0 it does nothing.
    pub(crate) fn new(limit: usize, loops: usize) -> Self {
        Self {
            limit,
            known: Mutex::default(),
            tables: (0..loops).map(|_| Table::default()).collect(),
        }
    }

    pub(crate) fn are_on(&self) -> bool {
        self.limit > 0
    }

    /// The place of a digest in the table of event loop `index`; `text` is called for a new one.
    #[inline]
    pub(crate) fn place(
        &self,
        index: usize,
        digest: u64,
        text: impl FnOnce() -> String,
    ) -> DigestPlace {
        let mut entries = lock(&self.tables[index].0);
        if let Some(place) = entries.places.get(&digest) {
            return DigestPlace(*place);
        }
        entries.begin();
        if !self.keep(digest, text) {
            return DigestPlace::REST;
        }
        DigestPlace(entries.add(digest))
    }

    /// Counts an execution.
    #[inline]
    pub(crate) fn add(&self, index: usize, place: DigestPlace, outcome: &Outcome) {
        let mut entries = lock(&self.tables[index].0);
        entries.begin();
        if let Some(entry) = entries.entries.get_mut(place.0 as usize) {
            entry.statistics.add(outcome);
        }
    }

    /// The digest in a place, and its text.
    pub(crate) fn told(&self, index: usize, place: DigestPlace) -> (u64, String) {
        let entries = lock(&self.tables[index].0);
        let digest = entries
            .entries
            .get(place.0 as usize)
            .map_or(0, |entry| entry.digest);
        drop(entries);
        let text = lock(&self.known).get(&digest).map(ToString::to_string);
        (digest, text.unwrap_or_default())
    }

    /// All digests that ran, by the time that they took in all, the longest first.
    pub(crate) fn all(&self) -> Vec<StatementDigest> {
        let mut sums: HashMap<u64, Statistics, ByDigest> = HashMap::default();
        for table in &self.tables {
            for entry in &lock(&table.0).entries {
                match sums.get_mut(&entry.digest) {
                    Some(sum) => sum.join(&entry.statistics),
                    None => _ = sums.insert(entry.digest, entry.statistics.clone()),
                }
            }
        }
        let known = lock(&self.known);
        let text = |digest| known.get(digest).map_or("", |text| text);
        let ran = sums.iter().filter(|(_, sum)| sum.count > 0);
        let mut all: Vec<_> = ran.map(|(d, sum)| sum.told(*d, text(d))).collect();
        drop(known);
        all.sort_by_key(|digest| Reverse((digest.total_time, digest.digest)));
        all
    }

    /// Whether the digest is one of those that are kept.
    fn keep(&self, digest: u64, text: impl FnOnce() -> String) -> bool {
        let mut known = lock(&self.known);
        if known.contains_key(&digest) {
            return true;
        }
        let has_room = known.len() < self.limit;
        if has_room {
            known.insert(digest, text().into());
        }
        has_room
    }
}

impl Entries {
    /// The first place is that of the rest.
    #[inline]
    fn begin(&mut self) {
        if self.entries.is_empty() {
            self.add(0);
        }
    }

    fn add(&mut self, digest: u64) -> u32 {
        let place = self.entries.len() as u32;
        self.entries.push(Entry {
            digest,
            statistics: Statistics::new(),
        });
        if place > 0 {
            self.places.insert(digest, place);
        }
        place
    }
}

impl Statistics {
    fn new() -> Self {
        Self {
            count: 0,
            errors: 0,
            rows_sent: 0,
            rows_affected: 0,
            nanos: 0,
            shortest: u64::MAX,
            longest: 0,
            times: Box::new([0; BUCKETS]),
        }
    }

    #[inline]
    fn add(&mut self, outcome: &Outcome) {
        let nanos = u64::try_from(outcome.time.as_nanos()).unwrap_or(u64::MAX);
        self.count += 1;
        self.errors += u64::from(outcome.failed);
        self.rows_sent += outcome.rows_sent;
        self.rows_affected = self.rows_affected.saturating_add(outcome.rows_affected);
        self.nanos = self.nanos.saturating_add(nanos);
        self.shortest = self.shortest.min(nanos);
        self.longest = self.longest.max(nanos);
        let times = &mut self.times[bucket(nanos / 1000)];
        *times = times.saturating_add(1);
    }

    fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.rows_sent += other.rows_sent;
        self.rows_affected = self.rows_affected.saturating_add(other.rows_affected);
        self.nanos = self.nanos.saturating_add(other.nanos);
        self.shortest = self.shortest.min(other.shortest);
        self.longest = self.longest.max(other.longest);
        for (times, others) in self.times.iter_mut().zip(other.times.iter()) {
            *times = times.saturating_add(*others);
        }
    }

    fn told(&self, digest: u64, text: &str) -> StatementDigest {
        StatementDigest {
            digest,
            text: text.to_owned(),
            count: self.count,
            errors: self.errors,
            rows_sent: self.rows_sent,
            rows_affected: self.rows_affected,
            total_time: Duration::from_nanos(self.nanos),
            shortest: Duration::from_nanos(self.shortest),
            longest: Duration::from_nanos(self.longest),
            p50: self.percentile(50),
            p95: self.percentile(95),
            p99: self.percentile(99),
        }
    }

    fn percentile(&self, percent: u64) -> Duration {
        let all: u64 = self.times.iter().map(|times| u64::from(*times)).sum();
        let rank = (all * percent).div_ceil(100).max(1);
        let mut below = 0;
        let found = self.times.iter().position(|times| {
            below += u64::from(*times);
            below >= rank
        });
        let nanos = middle(found.unwrap_or(0)).saturating_mul(1000);
        Duration::from_nanos(nanos.clamp(self.shortest.min(self.longest), self.longest))
    }
}

/// The bucket of a time in microseconds.
#[inline]
fn bucket(micros: u64) -> usize {
    if micros < EXACT {
        return micros as usize;
    }
    let power = micros.ilog2();
    let part = (micros >> (power - PARTS)) & ((1 << PARTS) - 1);
    let above = u64::from(power - EXACT.ilog2()) << PARTS;
    (EXACT + above + part).min(BUCKETS as u64 - 1) as usize
}

/// The middle of a bucket in microseconds.
fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < EXACT {
        return bucket;
    }
    let power = EXACT.ilog2() + ((bucket - EXACT) >> PARTS) as u32;
    let part = (bucket - EXACT) & ((1 << PARTS) - 1);
    let width = 1 << (power - PARTS);
    (1 << power) + part * width + width / 2
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Digests are hashes already.
type ByDigest = BuildHasherDefault<AsItIs>;

#[derive(Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(micros: u64) -> Outcome {
        Outcome {
            time: Duration::from_micros(micros),
            ..Outcome::default()
        }
    }

    #[test]
    fn a_bucket_is_not_wider_than_an_eighth_of_its_times() {
        let mut last = 0;
        for micros in (0..5000).chain((13..40).map(|power| (1 << power) + 77)) {
            let place = bucket(micros);
            assert!(place >= last && place < BUCKETS);
            last = place;
            if place < BUCKETS - 1 {
                assert!(
                    middle(place).abs_diff(micros) <= micros / 16 + 1,
                    "{micros}"
                );
            }
        }
    }

    #[test]
    fn percentiles_over_all_loops() {
        let digests = Digests::new(10, 2);
        for micros in 1..=1000 {
            let index = (micros % 2) as usize;
            let place = digests.place(index, 7, || "SELECT ?".to_owned());
            digests.add(index, place, &took(micros));
        }
        let [digest] = &digests.all()[..] else {
            panic!("one digest");
        };
        assert_eq!(
            (digest.digest, &digest.text[..], digest.count),
            (7, "SELECT ?", 1000)
        );
        assert_eq!(digest.total_time, Duration::from_micros(500_500));
        assert_eq!(digest.shortest, Duration::from_micros(1));
        assert_eq!(digest.longest, Duration::from_micros(1000));
        for (found, exact) in [(digest.p50, 500), (digest.p95, 950), (digest.p99, 990)] {
            let off = (found.as_micros() as u64).abs_diff(exact);
            assert!(off <= exact / 16, "{found:?}");
        }
    }

    #[test]
    fn what_is_too_much_goes_together() {
        let digests = Digests::new(2, 2);
        for digest in 1..=5 {
            for index in [0, 1] {
                let place = digests.place(index, digest, || format!("s{digest}"));
                let outcome = Outcome {
                    failed: digest == 5,
                    rows_sent: digest,
                    ..took(10)
                };
                digests.add(index, place, &outcome);
            }
        }
        let mut all = digests.all();
        all.sort_by_key(|digest| digest.digest);
        let told: Vec<_> = all
            .iter()
            .map(|d| (d.digest, &d.text[..], d.count, d.errors))
            .collect();
        assert_eq!(told, [(0, "", 6, 2), (1, "s1", 2, 0), (2, "s2", 2, 0)]);
        assert_eq!(all[0].rows_sent, 2 * (3 + 4 + 5));
    }
}
