//! How long a connection may take before its next request is complete.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A point in time that the request handler moves and the connection's loop obeys. Moving it
/// costs a store; a timer is touched only when it fires, not for every request.
pub(crate) struct Deadline {
    start: Instant,
    /// Milliseconds after `start`; [`NEVER`] while a request is being handled.
    at: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Deadline {
    /// A deadline `after` now.
    pub(crate) fn new(after: Duration) -> Self {
        let deadline = Self {
            start: Instant::now(),
            at: AtomicU64::new(NEVER),
        };
        deadline.set(deadline.start, after);
        deadline
    }

    /// Moves the deadline to `after` the time `now`.
    pub(crate) fn set(&self, now: Instant, after: Duration) {
        let at = now.saturating_duration_since(self.start) + after;
        self.at.store(
            u64::try_from(at.as_millis()).unwrap_or(NEVER),
            Ordering::Relaxed,
        );
    }

    /// Lifts the deadline until it is set again.
    pub(crate) fn suspend(&self) {
        self.at.store(NEVER, Ordering::Relaxed);
    }

    /// Whether it is lifted.
    pub(crate) fn is_suspended(&self) -> bool {
        self.at.load(Ordering::Relaxed) == NEVER
    }

    /// When to look again: the deadline, or some time later if there is none.
    pub(crate) fn next_check(&self) -> Instant {
        const WITHOUT_DEADLINE: Duration = Duration::from_secs(5);
        match self.at.load(Ordering::Relaxed) {
            NEVER => Instant::now() + WITHOUT_DEADLINE,
            at => self.start + Duration::from_millis(at),
        }
    }

    /// Whether the deadline has passed.
    pub(crate) fn has_passed(&self) -> bool {
        match self.at.load(Ordering::Relaxed) {
            NEVER => false,
            at => Instant::now() >= self.start + Duration::from_millis(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_unless_suspended() {
        let deadline = Deadline::new(Duration::ZERO);
        assert!(deadline.has_passed());
        deadline.suspend();
        assert!(!deadline.has_passed());
        deadline.set(Instant::now(), Duration::from_secs(60));
        assert!(!deadline.has_passed());
        assert!(deadline.next_check() > Instant::now() + Duration::from_secs(50));
    }
}
