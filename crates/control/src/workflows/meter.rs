//! How far a step is that goes by bytes, and for how long it will go on.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use openpeta_tasks::{Pace, TaskContext, Workflow};

use crate::backups::Told;

/// Sooner nobody can tell how long it will take.
const FIRST_GUESS: Duration = Duration::from_secs(2);

/// Tells whoever watches a task how far its running step is.
#[derive(Debug)]
pub(super) struct Meter(Mutex<Begun>);

/// Since when the bytes are counted.
#[derive(Debug)]
struct Begun {
    at: Instant,
    /// How many there were last. Fewer than that: the step has begun anew.
    last: u64,
    fraction: f64,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Begun {
            at: Instant::now(),
            last: 0,
            fraction: 0.0,
        }))
    }

    /// Tells it: so many bytes, of about so many, and what is done to what.
    pub(super) fn tell<W: Workflow>(
        &self,
        task: &TaskContext<'_, W>,
        (done, total): (u64, u64),
        what: &str,
    ) {
        let elapsed = {
            let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if done < begun.last {
                begun.at = Instant::now();
            }
            begun.last = done;
            begun.fraction = fraction(done, total);
            begun.at.elapsed()
        };
        let message = format!("{what}: {}", described(done, total, elapsed));
        let fraction = fraction(done, total);
        match left(done, total, elapsed) {
            Some(left) => task.progress_at(fraction, &message, Pace { elapsed, left }),
            None => task.progress(fraction, &message),
        }
    }
}

impl Meter {
    /// Tells what a bucket tells. Clients do not learn of its address.
    pub(super) fn tell_of_storage<W: Workflow>(
        &self,
        task: &TaskContext<'_, W>,
        told: Told,
        what: &str,
    ) {
        match told {
            Told::Bytes(done, total) => self.tell(task, (done, total), what),
            Told::Trouble => {
                let fraction = self
                    .0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .fraction;
                let message = format!("{what}: the backup storage does not answer; trying again");
                task.progress(fraction, &message);
            }
        }
    }
}

/// How much is done, of about how much in all.
fn fraction(done: u64, total: u64) -> f64 {
    // The figures are estimates: no digit is lost that matters.
    (done as f64 / total.max(1) as f64).min(0.99)
}

/// `1.2 GB of 3.4 GB, about 40 s left`. The total is an estimate, which may be passed.
fn described(done: u64, total: u64, elapsed: Duration) -> String {
    if done >= total {
        return bytes(done);
    }
    let far = format!("{} of {}", bytes(done), bytes(total));
    match left(done, total, elapsed) {
        Some(left) => format!("{far}, about {} left", duration(left.as_secs_f64())),
        None => far,
    }
}

/// For about how long it will go on, if anybody can tell.
fn left(done: u64, total: u64, elapsed: Duration) -> Option<Duration> {
    if done == 0 || done >= total || elapsed < FIRST_GUESS {
        return None;
    }
    let left = elapsed.as_secs_f64() * (total - done) as f64 / done as f64;
    Duration::try_from_secs_f64(left).ok()
}

fn bytes(count: u64) -> String {
    let count = count as f64;
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", count / size),
        None => format!("{count} B"),
    }
}

/// Not finer than anybody can know.
fn duration(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{} s", seconds.ceil().max(1.0))
    } else if seconds < 90.0 * 60.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_and_how_long() {
        let after = |done, total, seconds| described(done, total, Duration::from_secs(seconds));
        assert_eq!(after(0, 900, 5), "0 B of 900 B");
        assert_eq!(after(1_200_000_000, 3_400_000_000, 1), "1.2 GB of 3.4 GB");
        assert_eq!(
            after(100_000, 3_000_000, 3),
            "100.0 kB of 3.0 MB, about 87 s left"
        );
        assert_eq!(
            after(1_000, 10_000, 60),
            "1.0 kB of 10.0 kB, about 9 min left"
        );
        assert_eq!(after(1, 101, 360), "1 B of 101 B, about 10.0 h left");
        assert_eq!(after(999, 1_000, 9), "999 B of 1.0 kB, about 1 s left");
        // The estimate was too low.
        assert_eq!(after(2_000, 1_000, 9), "2.0 kB");
    }
}
