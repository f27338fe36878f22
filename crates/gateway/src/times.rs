//! Response times of statements, as they are counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::counters::Counter;

/// Statements by the time that they took, from the command to the end of the reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimesTaken {
    /// For each of [`BOUNDS`](Self::BOUNDS) how many took no longer than that and longer than the
    /// one before; the last number is of those that took longer than all.
    pub counts: [u64; Self::BOUNDS.len() + 1],
}

impl TimesTaken {
    /// Where one range of times ends and the next begins, in microseconds.
    pub const BOUNDS: [u64; 15] = [
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
        1_000_000, 2_500_000, 10_000_000,
    ];

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }
}

/// Response times that one thread adds to and any thread reads.
#[derive(Default)]
pub(crate) struct Times {
    total: Counter,
    longest: AtomicU64,
    by_time: [Counter; TimesTaken::BOUNDS.len() + 1],
}

impl Times {
    #[inline]
    pub(crate) fn add(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.total.add(nanos);
        // Most take no longer than the first few say, so that this beats a binary search.
        let micros = nanos.div_ceil(1000);
        let bounds = TimesTaken::BOUNDS.iter();
        let range = bounds.take_while(|bound| micros > **bound).count();
        self.by_time[range].add(1);
        // Only a new maximum costs more than a look.
        if nanos > self.longest.load(Ordering::Relaxed) {
            self.longest.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    /// Begins a new maximum when it is taken.
    pub(crate) fn add_to(
        &self,
        total: &mut Duration,
        longest: &mut Duration,
        by_time: &mut TimesTaken,
        take: bool,
    ) {
        *total += Duration::from_nanos(self.total.get());
        for (sum, count) in by_time.counts.iter_mut().zip(&self.by_time) {
            *sum += count.get();
        }
        let nanos = match take {
            true => self.longest.swap(0, Ordering::Relaxed),
            false => self.longest.load(Ordering::Relaxed),
        };
        *longest = (*longest).max(Duration::from_nanos(nanos));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_the_first_range_that_it_does_not_exceed() {
        let times = Times::default();
        for micros in [0, 100, 101, 250, 10_000_000, 10_000_001] {
            times.add(Duration::from_micros(micros));
        }
        times.add(Duration::from_nanos(100_001));
        let mut taken = TimesTaken::default();
        let (mut total, mut longest) = (Duration::ZERO, Duration::ZERO);
        times.add_to(&mut total, &mut longest, &mut taken, false);
        let mut expected = [0; TimesTaken::BOUNDS.len() + 1];
        expected[..2].copy_from_slice(&[2, 3]);
        let end = TimesTaken::BOUNDS.len();
        expected[end - 1..].copy_from_slice(&[1, 1]);
        assert_eq!(taken.counts, expected);
        assert_eq!(longest, Duration::from_micros(10_000_001));
        taken.add(&taken.clone());
        assert_eq!(taken.counts.iter().sum::<u64>(), 14);
    }
}
