//! Calls of the API, counted by action and code.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openpeta_rpc_api::Action;

use super::bound::OTHER;
use super::exposition::{Exposition, Histogram};

/// The name under which calls are counted that name no known action.
const NO_ACTION: &str = "none";
/// Pairs of action and code of failed calls that are counted for themselves. Codes come out of the
/// catalogue, so that there should never be as many.
const MOST_FAILURES: usize = 1000;

/// Where one range of times of calls ends and the next begins, in microseconds.
const BOUNDS: [u64; 12] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
    30_000_000,
];

/// Calls of the API by action and code.
pub(crate) struct CallMetrics {
    /// By the action's place in [`Action::ALL`]; the last one is for calls without an action.
    actions: Vec<ActionMetrics>,
    /// Calls that failed, by the same place and the code.
    failed: Mutex<BTreeMap<(usize, String), u64>>,
}

#[derive(Default)]
struct ActionMetrics {
    succeeded: AtomicU64,
    micros: AtomicU64,
    by_time: [AtomicU64; BOUNDS.len() + 1],
}

impl CallMetrics {
    pub(crate) fn new() -> Self {
        let actions = (0..=Action::ALL.len())
            .map(|_| ActionMetrics::default())
            .collect();
        Self {
            actions,
            failed: Mutex::default(),
        }
    }

    /// Counts a call that was carried out.
    pub(crate) fn succeeded(&self, action: Option<Action>, elapsed: Duration) {
        let metrics = &self.actions[place(action)];
        metrics.succeeded.fetch_add(1, Ordering::Relaxed);
        metrics.add_time(elapsed);
    }

    /// Counts a call that was refused or failed.
    pub(crate) fn failed(&self, action: Option<Action>, code: &str, elapsed: Duration) {
        let place = place(action);
        self.actions[place].add_time(elapsed);
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = failed.get_mut(&(place, code.to_owned())) {
            *count += 1;
            return;
        }
        let (place, code) = match failed.len() < MOST_FAILURES {
            true => (place, code),
            false => (Action::ALL.len(), OTHER),
        };
        *failed.entry((place, code.to_owned())).or_default() += 1;
    }

    pub(super) fn add_to(&self, out: &mut Exposition) {
        let name = |place: usize| {
            Action::ALL
                .get(place)
                .map_or(NO_ACTION, |action| action.name())
        };
        for (place, metrics) in self.actions.iter().enumerate() {
            let count = metrics.succeeded.load(Ordering::Relaxed);
            if count > 0 {
                out.add("openpeta_api_calls", &[name(place), "OK"], count);
            }
            let counts: Vec<_> = metrics.by_time.iter().map(load).collect();
            if counts.iter().any(|count| *count > 0) {
                let histogram = Histogram {
                    bounds_micros: &BOUNDS,
                    counts: &counts,
                    sum_seconds: load(&metrics.micros) as f64 / 1e6,
                };
                out.add_histogram(
                    "openpeta_api_call_duration_seconds",
                    &[name(place)],
                    histogram,
                );
            }
        }
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        for ((place, code), count) in &*failed {
            out.add("openpeta_api_calls", &[name(*place), code], *count);
        }
    }
}

impl ActionMetrics {
    fn add_time(&self, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let range = BOUNDS.partition_point(|bound| *bound < micros);
        self.by_time[range].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn place(action: Option<Action>) -> usize {
    action.map_or(Action::ALL.len(), |action| action as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::exposition::Format;
    use crate::metrics::families::FAMILIES;

    fn lines(calls: &CallMetrics) -> Vec<String> {
        let mut out = Exposition::new(FAMILIES, Format::Prometheus);
        calls.add_to(&mut out);
        out.text().lines().map(str::to_owned).collect()
    }

    #[test]
    fn actions_are_numbered_as_listed() {
        for (index, action) in Action::ALL.iter().enumerate() {
            assert_eq!(place(Some(*action)), index, "{}", action.name());
        }
    }

    #[test]
    fn calls_are_counted_by_action_and_code() {
        let calls = CallMetrics::new();
        let time = Duration::from_millis(500);
        calls.succeeded(Some(Action::DescribeRegions), time);
        calls.succeeded(Some(Action::DescribeRegions), Duration::from_millis(1));
        calls.failed(Some(Action::CreateInstance), "Throttling", time);
        calls.failed(None, "InvalidAction", time);
        let lines = lines(&calls);
        for line in [
            "openpeta_api_calls_total{action=\"DescribeRegions\",code=\"OK\"} 2",
            "openpeta_api_calls_total{action=\"CreateInstance\",code=\"Throttling\"} 1",
            "openpeta_api_calls_total{action=\"none\",code=\"InvalidAction\"} 1",
            "openpeta_api_call_duration_seconds_bucket{action=\"DescribeRegions\",le=\"0.0005\"} 0",
            "openpeta_api_call_duration_seconds_bucket{action=\"DescribeRegions\",le=\"0.001\"} 1",
            "openpeta_api_call_duration_seconds_bucket{action=\"DescribeRegions\",le=\"1.0\"} 2",
            "openpeta_api_call_duration_seconds_sum{action=\"DescribeRegions\"} 0.501",
            "openpeta_api_call_duration_seconds_count{action=\"CreateInstance\"} 1",
        ] {
            assert!(
                lines.iter().any(|found| found == line),
                "{line} in {lines:#?}"
            );
        }
    }

    #[test]
    fn however_many_codes_there_are_the_series_are_not() {
        let calls = CallMetrics::new();
        for number in 0..2 * MOST_FAILURES {
            let code = format!("Code{number}");
            calls.failed(Some(Action::DescribeRegions), &code, Duration::ZERO);
        }
        let lines = lines(&calls);
        let mut series = lines
            .iter()
            .filter(|line| line.starts_with("openpeta_api_calls_total{"));
        assert_eq!(series.clone().count(), MOST_FAILURES + 1);
        let rest = "openpeta_api_calls_total{action=\"none\",code=\"other\"} 1000";
        assert!(series.any(|line| line == rest));
    }
}
