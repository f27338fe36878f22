//! Whether the clock of the machine can be believed.
//!
//! Hours that a clock jumps over would be charged, and instances that it makes look expired would
//! be released with their data. So the clock is compared with one that cannot be set.

use std::time::Duration;

use jiff::Timestamp;

/// How much the two clocks may drift apart between two looks.
const TOLERANCE: Duration = Duration::from_secs(60);
/// How long a clock that jumped must go evenly before it is believed again.
pub(crate) const PROBATION: Duration = Duration::from_secs(3_600);

/// Looks at the clock again and again.
#[derive(Debug, Default)]
pub(crate) struct SteadyClock {
    last: Option<Look>,
    /// When, by the clock that cannot be set, the other one was seen first or jumped last.
    even_since: Duration,
    jumped: bool,
}

/// What both clocks said.
#[derive(Clone, Copy, Debug)]
struct Look {
    now: Timestamp,
    elapsed: Duration,
}

impl SteadyClock {
    /// Notes what the clock says, and what the one that cannot be set says, which may begin
    /// anywhere.
    pub(crate) fn look(&mut self, now: Timestamp, elapsed: Duration) {
        match self.last {
            None => self.even_since = elapsed,
            Some(last) => {
                let by_one = now.duration_since(last.now);
                let by_other = elapsed.saturating_sub(last.elapsed);
                let apart = by_one.as_secs_f64() - by_other.as_secs_f64();
                if apart.abs() > TOLERANCE.as_secs_f64() {
                    tracing::warn!(
                        seconds = apart,
                        "the clock jumped; nothing is charged or released by it for an hour"
                    );
                    self.even_since = elapsed;
                    self.jumped = true;
                }
            }
        }
        self.last = Some(Look { now, elapsed });
    }

    /// Whether hours may be recorded by it: unless it jumped not long ago.
    pub(crate) fn is_believed(&self) -> bool {
        !self.jumped || self.is_proven()
    }

    /// Whether what cannot be undone may be done by it: once it was seen going evenly for long.
    pub(crate) fn is_proven(&self) -> bool {
        let even = |last: Look| last.elapsed.saturating_sub(self.even_since) >= PROBATION;
        self.last.is_some_and(even)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    fn after(seconds: u64) -> Duration {
        Duration::from_secs(5 + seconds)
    }

    #[test]
    fn a_clock_that_goes_evenly_is_believed_at_once_and_proven_later() {
        let mut clock = SteadyClock::default();
        assert!(!clock.is_proven());
        clock.look(at(0), after(0));
        assert!(clock.is_believed() && !clock.is_proven());
        clock.look(at(3_570), after(3_599));
        assert!(clock.is_believed() && !clock.is_proven());
        clock.look(at(3_630), after(3_600));
        assert!(clock.is_believed() && clock.is_proven());
    }

    #[test]
    fn a_clock_that_jumps_is_not_believed_for_an_hour() {
        for jump in [-86_400, 61 + 60, 86_400] {
            let mut clock = SteadyClock::default();
            clock.look(at(0), after(0));
            clock.look(at(60 + jump), after(60));
            assert!(!clock.is_believed() && !clock.is_proven(), "{jump}");
            clock.look(at(1_800 + jump), after(1_800));
            assert!(!clock.is_believed(), "{jump}");
            clock.look(at(3_660 + jump), after(3_660));
            assert!(clock.is_believed() && clock.is_proven(), "{jump}");
        }
    }
}
