//! How often an access key may call.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Limits calls per access key: the generic cell rate algorithm, one time per key and no
/// timers. Only keys whose signature was verified come here, so memory is bounded by the
/// number of keys.
pub(crate) struct Throttle {
    /// Nanoseconds that one call costs; `None` sets no limit.
    cost: Option<NonZeroU64>,
    /// Nanoseconds that a key may be ahead of its rate.
    tolerance: u64,
    start: Instant,
    hasher: RandomState,
    shards: [Mutex<HashMap<Box<str>, u64>>; SHARDS],
}

const SHARDS: usize = 16;
/// Keys of a shard beyond which those that are no longer ahead are forgotten.
const SWEEP_AT: usize = 1024;

impl Throttle {
    /// Allows `per_second` calls a second, of which `burst` may come at once; 0 calls a
    /// second sets no limit.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let cost = NonZeroU64::new(u64::from(per_second))
            .map(|rate| NonZeroU64::MIN.saturating_add(1_000_000_000 / rate - 1));
        let tolerance = cost.map_or(0, |cost| cost.get() * (u64::from(burst.max(1)) - 1));
        Self {
            cost,
            tolerance,
            start: Instant::now(),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Takes one call of `key` at the time `now`.
    ///
    /// # Errors
    /// How long the key must wait until a call would pass; the refused one does not count.
    pub(crate) fn admit(&self, key: &str, now: Instant) -> Result<(), Duration> {
        let Some(cost) = self.cost else { return Ok(()) };
        let now =
            u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let shard = self.hasher.hash_one(key) as usize % SHARDS;
        let mut keys = self.shards[shard]
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        if let Some(due) = keys.get_mut(key) {
            let ahead = due.saturating_sub(now);
            if ahead > self.tolerance {
                return Err(Duration::from_nanos(ahead - self.tolerance));
            }
            *due = (*due).max(now) + cost.get();
            return Ok(());
        }
        if keys.len() >= SWEEP_AT {
            keys.retain(|_, due| *due > now);
        }
        keys.insert(key.into(), now + cost.get());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_rules() {
        let throttle = Throttle::new(10, 3);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(throttle.admit("a", start), Ok(()));
        }
        let wait = throttle
            .admit("a", start)
            .expect_err("the burst is used up");
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_millis(100),
            "{wait:?}"
        );
        assert_eq!(throttle.admit("b", start), Ok(()), "keys are apart");
        assert_eq!(
            throttle.admit("a", start + wait),
            Ok(()),
            "the time told is enough"
        );
        assert!(throttle.admit("a", start + wait).is_err());
    }

    #[test]
    fn refused_calls_do_not_count() {
        let throttle = Throttle::new(10, 1);
        let start = Instant::now();
        assert_eq!(throttle.admit("a", start), Ok(()));
        for _ in 0..1000 {
            assert!(throttle.admit("a", start).is_err());
        }
        assert_eq!(
            throttle.admit("a", start + Duration::from_millis(100)),
            Ok(())
        );
    }

    #[test]
    fn zero_sets_no_limit() {
        let throttle = Throttle::new(0, 0);
        let now = Instant::now();
        assert!((0..10_000).all(|_| throttle.admit("a", now).is_ok()));
    }

    #[test]
    fn idle_keys_are_forgotten() {
        let throttle = Throttle::new(1000, 1);
        let start = Instant::now();
        for index in 0..SHARDS * SWEEP_AT * 2 {
            let now = start + Duration::from_millis(index as u64);
            assert_eq!(throttle.admit(&index.to_string(), now), Ok(()));
        }
        let kept: usize = throttle
            .shards
            .iter()
            .map(|shard| shard.lock().expect("lock").len())
            .sum();
        assert!(kept <= SHARDS * SWEEP_AT, "{kept}");
    }
}
