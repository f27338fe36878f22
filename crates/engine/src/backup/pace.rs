//! How quickly backups may be taken.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at what others want of the machine.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Threads that a backup keeps busy at full speed: the server's connection, who reads, who compresses.
const OWN_THREADS: f64 = 3.0;

/// Threads that write what was changed earlier, one of a server and one of the kernel: while they wait
/// for a disk, nobody waits for them.
const BACKGROUND_WRITERS: f64 = 2.0;

/// What one look counts for beside those before: somebody who wakes for an instant is no load.
const WEIGHT_OF_LOOK: f64 = 0.3;

/// A longer wait is none for somebody who reads from a server, which gives up at some time.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Lets so many bytes pass in a second, for all backups together, and fewer while others want the
/// machine.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Option<NonZeroU64>,
    floor: Option<NonZeroU64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When all that was let pass is through at the rate.
    through: Option<Instant>,
    share: Share,
    looked: Option<Instant>,
    /// Threads of others for each processor, over the last looks.
    load: f64,
    /// Backups under way.
    running: u32,
}

/// A backup under way, which has to keep to the pace.
#[derive(Debug)]
pub(crate) struct Paced {
    pace: Arc<Pace>,
    /// Since when it works without a pause.
    since: Instant,
}

impl Pace {
    /// At most `rate` bytes a second; `None` for as many as come. No fewer than `floor` for the
    /// sake of others; `None` for never fewer.
    pub(crate) fn new(rate: Option<NonZeroU64>, floor: Option<NonZeroU64>) -> Self {
        Self {
            rate,
            floor,
            state: Mutex::default(),
        }
    }

    /// One more backup begins.
    pub(crate) fn begin(self: Arc<Self>) -> Paced {
        let mut state = self.lock();
        if state.running == 0 {
            // What was found out for an earlier one is of no more use.
            (state.share, state.looked) = (Share::default(), None);
        }
        state.running += 1;
        drop(state);
        Paced {
            pace: self,
            since: Instant::now(),
        }
    }

    /// As many bytes as come.
    pub(super) fn unbounded() -> Arc<Self> {
        Arc::new(Self::new(None, None))
    }

    /// How long whoever has so many bytes at the moment `now` has to wait before they may pass.
    /// What was not used earlier is lost.
    fn wait(&self, bytes: usize, now: Instant) -> Duration {
        let Some(rate) = self.rate else {
            return Duration::ZERO;
        };
        let takes = time_at(rate, bytes);
        let mut state = self.lock();
        let begin = state.through.map_or(now, |through| through.max(now));
        state.through = Some(begin + takes);
        begin.saturating_duration_since(now)
    }

    /// How long somebody rests who worked for that long on so many bytes.
    fn rest(&self, bytes: usize, worked: Duration, now: Instant) -> Duration {
        let Some(floor) = self.floor else {
            return Duration::ZERO;
        };
        let mut state = self.lock();
        let is_early = |looked: Instant| now.saturating_duration_since(looked) < BETWEEN_LOOKS;
        if !state.looked.is_some_and(is_early) {
            let is_first = state.looked.replace(now).is_none();
            // Who looks is at work, and so are the threads that it works with, however long they rested.
            let own = OWN_THREADS * f64::from(state.running);
            let load = load().map_or(0.0, |load| load.without(own));
            if is_first {
                state.load = load;
                state.share = Share::at_first(load);
            } else {
                state.load += WEIGHT_OF_LOOK * (load - state.load);
                state.share = state.share.after(state.load);
            }
        }
        state.share.rest(worked, time_at(floor, bytes))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Paced {
    /// Waits until so many bytes may pass, which were worked on since the last time.
    pub(crate) async fn pass(&mut self, bytes: usize) {
        let now = Instant::now();
        let worked = now.saturating_duration_since(self.since);
        let rest = self.pace.rest(bytes, worked, now);
        let wait = self.pace.wait(bytes, now).max(rest);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.since = Instant::now();
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.pace.lock().running -= 1;
    }
}

fn time_at(rate: NonZeroU64, bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / rate.get() as f64)
}

/// The share of its time in which a backup works. It falls quickly while others have to wait for
/// processors or disks, and grows again slowly when there is room.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Share(f64);

impl Default for Share {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Share {
    const LEAST: f64 = 0.05;
    /// Threads of others for each processor up to which there is room for more.
    const ROOM: f64 = 0.5;
    /// From so many on there is too little for them.
    const FULL: f64 = 1.0;

    /// With what a backup begins when the first look finds so many threads of others for each
    /// processor: it does not have to be felt before it gives way.
    fn at_first(load: f64) -> Self {
        Self(if load >= Self::FULL {
            0.1
        } else if load > Self::ROOM {
            0.4
        } else {
            1.0
        })
    }

    /// What it is after a look that found so many threads of others for each processor.
    fn after(self, load: f64) -> Self {
        let share = if load >= Self::FULL {
            self.0 * 0.6
        } else if load <= Self::ROOM {
            self.0 + 0.05
        } else {
            self.0
        };
        Self(share.clamp(Self::LEAST, 1.0))
    }

    /// The rest after so much work; never so long that it would be slower than `at_most`.
    fn rest(self, worked: Duration, at_most: Duration) -> Duration {
        let rest = worked.mul_f64(1.0 / self.0 - 1.0);
        rest.min(at_most).min(LONGEST_WAIT)
    }
}

/// What runs on the machine at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Load {
    /// Threads that run, want to run, or wait for a disk, without those that nobody waits for.
    threads: f64,
    processors: f64,
}

impl Load {
    /// Threads of others for each processor, if so many are not.
    fn without(self, own: f64) -> f64 {
        (self.threads - own).max(0.0) / self.processors
    }

    /// What `/proc/stat` says.
    fn parse(stat: &str, processors: usize) -> Option<Self> {
        let value = |name: &str| -> Option<f64> {
            let mut lines = stat.lines();
            lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        };
        Some(Self {
            threads: value("procs_running ")?
                + (value("procs_blocked ")? - BACKGROUND_WRITERS).max(0.0),
            processors: processors.max(1) as f64,
        })
    }
}

fn load() -> Option<Load> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    Load::parse(&stat, processors)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_pass_at_the_rate_whoever_has_them() {
        let pace = Pace::new(NonZeroU64::new(1_000), None);
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
        let free = Pace::new(None, None);
        assert_eq!(free.wait(usize::MAX, begin), Duration::ZERO);
        assert_eq!(free.wait(usize::MAX, begin), Duration::ZERO);
        let hour = Duration::from_secs(3_600);
        assert_eq!(free.rest(1, hour, begin), Duration::ZERO);
    }

    #[test]
    fn what_others_run_is_read() {
        let stat =
            "cpu  1 2 3\nintr 5 procs_running\nprocs_running 5\nprocs_blocked 4\nsoftirq 1\n";
        let load = Load::parse(stat, 4).expect("both are there");
        assert_eq!(load.without(3.0), 1.0);
        assert_eq!(load.without(9.0), 0.0);
        assert_eq!(Load::parse("procs_running 1\n", 4), None);
        let writers = Load::parse("procs_running 0\nprocs_blocked 1\n", 1).expect("both are there");
        assert_eq!(writers.without(0.0), 0.0);
        assert!(super::load().is_some_and(|load| load.threads >= 1.0));
    }

    fn many_after(share: Share, load: f64) -> Share {
        (0..100).fold(share, |share, _| share.after(load))
    }

    #[test]
    fn a_backup_of_a_busy_machine_gives_way_from_its_begin() {
        assert_eq!(Share::at_first(0.0), Share(1.0));
        assert!(Share::at_first(0.8) < Share::at_first(0.5));
        assert!(Share::at_first(Share::FULL) < Share::at_first(0.8));
        // The one before does not count.
        let pace = Arc::new(Pace::new(None, NonZeroU64::new(1)));
        let first = Arc::clone(&pace).begin();
        pace.lock().share = Share(0.3);
        let second = Arc::clone(&pace).begin();
        assert_eq!(pace.lock().share, Share(0.3), "both are under way");
        drop((first, second));
        let _third = Arc::clone(&pace).begin();
        assert_eq!(pace.lock().share, Share(1.0));
    }

    proptest! {
        #[test]
        fn a_share_stays_within_its_bounds_and_goes_to_their_ends(
            loads in prop::collection::vec(0.0..50.0, 0..200),
            (low, high) in (0.0..=Share::ROOM, Share::FULL..1e9),
        ) {
            let mut share = Share::default();
            for load in loads {
                share = share.after(load);
                prop_assert!((Share::LEAST..=1.0).contains(&share.0));
            }
            // Whatever was: an idle machine is used in full, a busy one no more than a bit.
            prop_assert_eq!(many_after(share, low), Share(1.0));
            prop_assert_eq!(many_after(share, high), Share(Share::LEAST));
        }

        #[test]
        fn more_load_never_gives_a_larger_share(
            share in Share::LEAST..=1.0, less in 0.0..3.0, more in 0.0..3.0,
        ) {
            prop_assume!(less <= more);
            prop_assert!(Share(share).after(less).0 >= Share(share).after(more).0);
        }

        #[test]
        fn a_backup_works_its_share_and_keeps_its_floor(
            share in Share::LEAST..=1.0, millis in 0_u64..10_000, floor in 0_u64..10_000,
        ) {
            let (worked, at_most) = (Duration::from_millis(millis), Duration::from_millis(floor));
            let rest = Share(share).rest(worked, at_most);
            prop_assert!(rest <= at_most && rest <= LONGEST_WAIT);
            let is_free = rest < at_most.min(LONGEST_WAIT);
            let worked_share = worked.as_secs_f64() / (worked + rest).as_secs_f64();
            prop_assert!(!is_free || millis == 0 || (worked_share - share).abs() < 1e-6);
            prop_assert_eq!(Share(1.0).rest(worked, at_most), Duration::ZERO);
        }
    }
}
