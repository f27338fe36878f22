//! When a notification is tried again. Pure.

use jiff::SignedDuration;
use thiserror::Error;

/// The longest pause between two attempts.
pub(super) const LONGEST: SignedDuration = SignedDuration::from_secs(LONGEST_MILLIS as i64 / 1000);
const LONGEST_MILLIS: u64 = 300_000;
/// Attempts after which a notification that the receiver refuses is given up, so that others get
/// their turn.
const MOST_REFUSALS: u32 = 6;

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Failure {
    /// The receiver answered, but not with success.
    #[error("the receiver answered {}", answer(*.0))]
    Status(u16),
    /// There was no answer in time.
    #[error("no answer within {0} seconds")]
    TimeOut(u32),
    /// There was no answer.
    #[error("{0}")]
    Transport(String),
}

fn answer(status: u16) -> String {
    match status {
        300..400 => format!("{status}; redirects are not followed"),
        _ => status.to_string(),
    }
}

impl Failure {
    /// Whether there is no point in another attempt after so many: the receiver says that it is the
    /// notification's fault.
    pub(crate) const fn is_hopeless(&self, attempts: u32) -> bool {
        match self {
            Self::Status(408 | 425 | 429) => false,
            Self::Status(300..500) => attempts >= MOST_REFUSALS,
            _ => false,
        }
    }
}

/// The pause after so many failed attempts: a second, then twice as long each time up to five minutes,
/// of which a random fifth is left out, so that not all come back at once.
pub(crate) fn pause(attempts: u32, random: u32) -> SignedDuration {
    let doubled = 1_000u64 << attempts.saturating_sub(1).min(20);
    let full = doubled.min(LONGEST_MILLIS);
    let less = full / 5 * u64::from(random) / u64::from(u32::MAX);
    SignedDuration::from_millis(i64::try_from(full - less).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let seconds = |attempts, random| pause(attempts, random).as_millis() / 100;
        let full: Vec<_> = [1, 2, 3, 9, 10, u32::MAX]
            .map(|attempts| seconds(attempts, 0))
            .into();
        assert_eq!(full, [10, 20, 40, 2560, 3000, 3000]);
        assert_eq!(seconds(1, u32::MAX), 8);
    }

    #[test]
    fn only_refusals_are_hopeless() {
        for (failure, is_hopeless) in [
            (Failure::Status(400), true),
            (Failure::Status(302), true),
            (Failure::Status(429), false),
            (Failure::Status(503), false),
            (Failure::TimeOut(1), false),
            (Failure::Transport("refused".into()), false),
        ] {
            assert_eq!(failure.is_hopeless(MOST_REFUSALS), is_hopeless, "{failure}");
            assert!(!failure.is_hopeless(MOST_REFUSALS - 1));
        }
        assert!(Failure::Status(302).to_string().contains("not followed"));
    }
}
