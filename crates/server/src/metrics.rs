//! Counters in the text format that Prometheus reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openpeta_gateway::{Gateway, InstanceCounters};
use openpeta_rpc_api::Action;
use openpeta_store::{Store, StoreError, TaskFilter};
use openpeta_types::TaskStatus;

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
}

/// The name under which calls are counted that name no known action.
const NO_ACTION: &str = "none";

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

    /// Counts a call that was refused or failed. All codes come out of the catalogue, so that
    /// there are not many.
    pub(crate) fn failed(&self, action: Option<Action>, code: &str, elapsed: Duration) {
        let place = place(action);
        self.actions[place].add_time(elapsed);
        let mut failed = self
            .failed
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        match failed.get_mut(&(place, code.to_owned())) {
            Some(count) => *count += 1,
            None => drop(failed.insert((place, code.to_owned()), 1)),
        }
    }

    fn write(&self, out: &mut Text) {
        let name = |place: usize| {
            Action::ALL
                .get(place)
                .map_or(NO_ACTION, |action| action.name())
        };
        out.head(
            "openpeta_api_calls_total",
            "counter",
            "Calls of the API by action and code.",
        );
        for (place, metrics) in self.actions.iter().enumerate() {
            let count = metrics.succeeded.load(Ordering::Relaxed);
            if count > 0 {
                let labels = [("action", name(place)), ("code", "OK")];
                out.value("openpeta_api_calls_total", &labels, count);
            }
        }
        let failed = self
            .failed
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        for ((place, code), count) in &*failed {
            let labels = [("action", name(*place)), ("code", code.as_str())];
            out.value("openpeta_api_calls_total", &labels, count);
        }
        drop(failed);
        let total = "openpeta_api_call_seconds_total";
        out.head(
            total,
            "counter",
            "Time spent on calls of the API by action.",
        );
        for (place, metrics) in self.actions.iter().enumerate() {
            let micros = metrics.micros.load(Ordering::Relaxed);
            if micros > 0 {
                out.value(total, &[("action", name(place))], micros as f64 / 1e6);
            }
        }
    }
}

impl ActionMetrics {
    fn add_time(&self, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

fn place(action: Option<Action>) -> usize {
    action.map_or(Action::ALL.len(), |action| action as usize)
}

/// What else is counted: sessions, nodes, tasks.
pub(crate) struct MetricsSource {
    gateway: Arc<Gateway>,
    store: Store,
}

impl MetricsSource {
    pub(crate) fn new(gateway: Arc<Gateway>, store: Store) -> Self {
        Self { gateway, store }
    }

    /// All metrics as text.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub(crate) fn render(&self, calls: &CallMetrics) -> Result<String, StoreError> {
        let mut out = Text::default();
        calls.write(&mut out);
        self.write_sessions(&mut out);
        self.write_nodes_and_tasks(&mut out)?;
        Ok(out.0)
    }

    fn write_sessions(&self, out: &mut Text) {
        let endpoints = self.gateway.endpoints();
        out.head(
            "openpeta_gateway_endpoints",
            "gauge",
            "Open endpoints of instances.",
        );
        out.value("openpeta_gateway_endpoints", &[], endpoints.len());
        let dropped = "openpeta_gateway_slow_log_dropped_total";
        out.head(dropped, "counter", "Slow statements that were not logged.");
        out.value(dropped, &[], self.gateway.slow_log_dropped());
        let instances: BTreeSet<_> = endpoints
            .into_iter()
            .map(|endpoint| endpoint.instance)
            .collect();
        let counters: Vec<_> = instances
            .into_iter()
            .filter_map(|instance| Some((self.gateway.counters(&instance)?, instance)))
            .collect();
        for (name, kind, help, get) in SESSION_METRICS {
            out.head(name, kind, help);
            for (counters, instance) in &counters {
                out.value(name, &[("instance", instance.as_str())], get(counters));
            }
        }
    }

    fn write_nodes_and_tasks(&self, out: &mut Text) -> Result<(), StoreError> {
        let (nodes, tasks) = self.store.read(|reader| {
            let mut nodes = BTreeMap::new();
            for node in reader.nodes()? {
                let role = if node.instance_id.is_some() {
                    "instance"
                } else {
                    "spare"
                };
                *nodes.entry((role, node.state.as_str())).or_insert(0_u64) += 1;
            }
            let mut tasks = Vec::new();
            for status in TASK_STATUSES {
                let filter = TaskFilter {
                    statuses: Some(&[status]),
                    ..TaskFilter::default()
                };
                tasks.push((status.as_str(), reader.task_page(&filter, 0, 0)?.0));
            }
            Ok::<_, StoreError>((nodes, tasks))
        })?;
        out.head(
            "openpeta_nodes",
            "gauge",
            "Database nodes by role and intended state.",
        );
        for ((role, state), count) in nodes {
            out.value("openpeta_nodes", &[("role", role), ("state", state)], count);
        }
        out.head(
            "openpeta_tasks",
            "gauge",
            "Tasks by status, as DescribeTasks numbers it.",
        );
        for (status, count) in tasks {
            out.value("openpeta_tasks", &[("status", status)], count);
        }
        Ok(())
    }
}

const TASK_STATUSES: [TaskStatus; 6] = [
    TaskStatus::Pending,
    TaskStatus::Running,
    TaskStatus::Succeeded,
    TaskStatus::Failed,
    TaskStatus::Closed,
    TaskStatus::Cancelled,
];

type SessionMetric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&InstanceCounters) -> u64,
);

const SESSION_METRICS: [SessionMetric; 23] = [
    (
        "openpeta_gateway_sessions",
        "gauge",
        "Open client sessions.",
        |c| c.sessions,
    ),
    (
        "openpeta_gateway_earlier_sessions",
        "gauge",
        "Sessions in processes that this one has taken over from.",
        |c| c.elsewhere,
    ),
    (
        "openpeta_gateway_warm_connections",
        "gauge",
        "Connections to nodes that wait for a client.",
        |c| c.warm,
    ),
    (
        "openpeta_gateway_warm_used_total",
        "counter",
        "Logins on a connection to the node that was waiting.",
        |c| c.warm_used,
    ),
    (
        "openpeta_gateway_warm_missed_total",
        "counter",
        "Clients for whom no connection to the node was waiting.",
        |c| c.warm_missed,
    ),
    (
        "openpeta_gateway_warm_unfit_total",
        "counter",
        "Waiting connections that were of no use to the client they were given to.",
        |c| c.warm_unfit,
    ),
    (
        "openpeta_gateway_revived_total",
        "counter",
        "Sessions that outlived their node's connection, each time.",
        |c| c.revived,
    ),
    (
        "openpeta_gateway_accepted_total",
        "counter",
        "Connections let in.",
        |c| c.accepted,
    ),
    (
        "openpeta_gateway_refused_whitelist_total",
        "counter",
        "Connections refused by the whitelist.",
        |c| c.refused_whitelist,
    ),
    (
        "openpeta_gateway_refused_proxy_header_total",
        "counter",
        "Connections of load balancers without a right PROXY header.",
        |c| c.refused_proxy_header,
    ),
    (
        "openpeta_gateway_refused_limit_total",
        "counter",
        "Connections refused by a limit on sessions.",
        |c| c.refused_limit,
    ),
    (
        "openpeta_gateway_displaced_total",
        "counter",
        "Logins under way that made way for a client of another address.",
        |c| c.displaced,
    ),
    (
        "openpeta_gateway_failed_logins_total",
        "counter",
        "Logins with an unknown account or a wrong password.",
        |c| c.failed_logins,
    ),
    (
        "openpeta_gateway_login_timeouts_total",
        "counter",
        "Logins that were not finished in time.",
        |c| c.login_timeouts,
    ),
    (
        "openpeta_gateway_node_failures_total",
        "counter",
        "Connections for which the node could not be reached.",
        |c| c.node_failures,
    ),
    (
        "openpeta_gateway_commands_total",
        "counter",
        "Commands of clients, of any kind.",
        |c| c.commands,
    ),
    (
        "openpeta_gateway_errors_total",
        "counter",
        "Replies that were errors.",
        |c| c.errors,
    ),
    (
        "openpeta_gateway_bytes_in_total",
        "counter",
        "Bytes from clients.",
        |c| c.bytes_in,
    ),
    (
        "openpeta_gateway_bytes_out_total",
        "counter",
        "Bytes for clients.",
        |c| c.bytes_out,
    ),
    (
        "openpeta_gateway_statements_finished_total",
        "counter",
        "Statements that succeeded.",
        |c| c.statements.finished,
    ),
    (
        "openpeta_gateway_statements_failed_total",
        "counter",
        "Statements that failed.",
        |c| c.statements.failed,
    ),
    (
        "openpeta_gateway_reads_total",
        "counter",
        "Statements that read.",
        |c| c.statements.single_reads + c.statements.multi_reads,
    ),
    (
        "openpeta_gateway_writes_total",
        "counter",
        "Statements that write.",
        |c| c.statements.single_writes + c.statements.multi_writes,
    ),
];

/// Metrics as text.
#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Label values are names of ours; none needs escaping.
    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        calls.succeeded(Some(Action::DescribeRegions), time);
        calls.failed(Some(Action::CreateInstance), "Throttling", time);
        calls.failed(None, "InvalidAction", time);
        let mut out = Text::default();
        calls.write(&mut out);
        for line in [
            "openpeta_api_calls_total{action=\"DescribeRegions\",code=\"OK\"} 2",
            "openpeta_api_calls_total{action=\"CreateInstance\",code=\"Throttling\"} 1",
            "openpeta_api_calls_total{action=\"none\",code=\"InvalidAction\"} 1",
            "openpeta_api_call_seconds_total{action=\"DescribeRegions\"} 1",
        ] {
            assert!(
                out.0.lines().any(|found| found == line),
                "{line} in\n{}",
                out.0
            );
        }
    }
}
