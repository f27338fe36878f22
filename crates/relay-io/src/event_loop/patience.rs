//! Whether looking for events without sleeping has been worth it lately.

/// Failures in a row after which a loop leaves off.
const LIMIT: u32 = 4;
/// Waits that are slept through before it is tried again.
const PAUSE: u32 = 256;

/// Counts what looking for events brought.
#[derive(Default)]
pub(super) struct Patience {
    failures: u32,
    pause: u32,
}

impl Patience {
    /// Whether to look now, or to sleep at once.
    pub(super) fn try_again(&mut self) -> bool {
        if self.pause == 0 {
            return true;
        }
        self.pause -= 1;
        false
    }

    /// Notes whether looking found something in time.
    pub(super) fn learn(&mut self, found: bool) {
        if found {
            self.failures = 0;
            return;
        }
        self.failures += 1;
        if self.failures >= LIMIT {
            // One more failure after the pause is enough to leave off again.
            self.failures = LIMIT - 1;
            self.pause = PAUSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_off_when_it_fails_and_comes_back_when_it_works() {
        let mut patience = Patience::default();
        for _ in 0..LIMIT {
            assert!(patience.try_again());
            patience.learn(false);
        }
        for _ in 0..PAUSE {
            assert!(!patience.try_again());
        }
        assert!(patience.try_again());
        patience.learn(true);
        patience.learn(false);
        assert!(patience.try_again());
    }
}
