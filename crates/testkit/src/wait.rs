//! Waiting for conditions, and chance under a seed.

use std::time::{Duration, Instant};

/// How long anything may take before a test calls it a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until the condition has a value.
///
/// # Panics
/// When it has none within [`PATIENCE`].
#[track_caller]
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(INTERVAL);
    }
}

/// Random choices that are the same in every run (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Choices of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// A time of less than `bound`.
    pub fn time_below(&mut self, bound: Duration) -> Duration {
        let micros = u64::try_from(bound.as_micros()).expect("a short time");
        Duration::from_micros(self.below(micros))
    }
}
