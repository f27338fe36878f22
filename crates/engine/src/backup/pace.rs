//! How quickly backups may be taken.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets so many bytes pass in a second, for all backups together.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Option<NonZeroU64>,
    /// When all that was let pass is through at the rate.
    through: Mutex<Option<Instant>>,
}

impl Pace {
    /// At most `rate` bytes a second; `None` for as many as come.
    pub(crate) const fn new(rate: Option<NonZeroU64>) -> Self {
        Self {
            rate,
            through: Mutex::new(None),
        }
    }

    /// How long whoever has so many bytes at the moment `now` has to wait before they may pass.
    /// What was not used earlier is lost.
    pub(super) fn wait(&self, bytes: usize, now: Instant) -> Duration {
        let Some(rate) = self.rate else {
            return Duration::ZERO;
        };
        let takes = Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
        let mut through = self.through.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = through.map_or(now, |through| through.max(now));
        *through = Some(begin + takes);
        begin.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_at_the_rate_whoever_has_them() {
        let pace = Pace::new(NonZeroU64::new(1_000));
        let begin = Instant::now();
        let after = |millis| begin + Duration::from_millis(millis);
        let wait = |bytes, millis| pace.wait(bytes, after(millis)).as_millis();
        assert_eq!(wait(500, 0), 0);
        assert_eq!(wait(500, 0), 500, "another one at the same time");
        assert_eq!(wait(100, 400), 600);
        assert_eq!(wait(100, 1_100), 0);
        // Nobody came for long: that gives nobody more now.
        assert_eq!(wait(1_000, 60_000), 0);
        assert_eq!(wait(1_000, 60_000), 1_000);
        let free = Pace::new(None);
        assert_eq!(free.wait(usize::MAX, begin), Duration::ZERO);
        assert_eq!(free.wait(usize::MAX, begin), Duration::ZERO);
    }
}
