//! Timers of one loop, rounded up to milliseconds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Pending timers, ordered by time. Setting and taking back cost a logarithm of their number and
/// happen some times per connection, never per packet.
pub(crate) struct Timers<T> {
    start: Instant,
    pending: BTreeSet<(u64, T)>,
}

impl<T: Ord + Copy> Timers<T> {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            pending: BTreeSet::new(),
        }
    }

    pub(crate) fn set(&mut self, at: Instant, what: T) {
        self.pending.insert((self.tick_after(at), what));
    }

    pub(crate) fn cancel(&mut self, at: Instant, what: T) {
        self.pending.remove(&(self.tick_after(at), what));
    }

    /// How long to wait for the next timer, or `None` when there is none.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let (tick, _) = self.pending.first()?;
        let due = self.start + Duration::from_millis(*tick);
        Some(due.saturating_duration_since(now))
    }

    /// Takes out the earliest timer that has run out.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<T> {
        let now_tick = now.saturating_duration_since(self.start).as_millis() as u64;
        let (tick, _) = self.pending.first()?;
        if *tick > now_tick {
            return None;
        }
        self.pending.pop_first().map(|(_, what)| what)
    }

    fn tick_after(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        since.as_nanos().div_ceil(1_000_000) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_in_order_and_never_early() {
        let start = Instant::now();
        let ms = |n| start + Duration::from_millis(n);
        let mut timers = Timers::new(start);
        timers.set(ms(20), 2);
        timers.set(ms(10) + Duration::from_nanos(1), 1);
        timers.set(ms(30), 3);
        timers.set(ms(15), 9);
        timers.cancel(ms(15), 9);
        assert_eq!(timers.pop(ms(10)), None);
        assert_eq!(timers.wait(ms(10)), Some(Duration::from_millis(1)));
        assert_eq!(timers.pop(ms(25)), Some(1));
        assert_eq!(timers.pop(ms(25)), Some(2));
        assert_eq!(timers.pop(ms(25)), None);
        assert_eq!(timers.wait(ms(40)), Some(Duration::ZERO));
        assert_eq!(timers.pop(ms(40)), Some(3));
        assert_eq!(timers.wait(ms(40)), None);
    }
}
