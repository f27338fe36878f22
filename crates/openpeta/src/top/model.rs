//! What `top` shows, out of what the service told one time after another. Pure.

use std::collections::{HashMap, VecDeque};

use openpeta_control::Traffic;
use openpeta_control::admin::overview::{DigestOverview, InstanceOverview, NodeOverview, Overview};
use serde::Serialize;

/// Rates of an instance that are kept for its sparkline.
const HISTORY: usize = 120;
/// Two measurements of a node are as far apart as this, in milliseconds, or they are one.
const APART_MS: i64 = 500;

/// What is shown.
#[derive(Debug, Default, Serialize)]
pub struct Model {
    /// The instances, the busiest first.
    pub instances: Vec<InstanceLine>,
    /// The nodes of instances, in the order of those.
    pub nodes: Vec<NodeLine>,
    /// Kinds of statements, by their share of the time since the last look.
    pub digests: Vec<DigestLine>,
    /// Tasks that wait or run.
    pub unfinished_tasks: u32,
    /// Tasks that wait for the operator.
    pub stuck_tasks: u32,
    /// How to order instances.
    #[serde(skip)]
    pub order: Order,
    /// Kinds of statements to show at most; all when there is no bound.
    #[serde(skip)]
    most_digests: Option<usize>,
    #[serde(skip)]
    last: Option<Overview>,
    #[serde(skip)]
    rates: HashMap<String, VecDeque<f64>>,
    #[serde(skip)]
    cpu: HashMap<String, Cpu>,
}

/// How instances are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By statements a second.
    #[default]
    Load,
    /// By sessions.
    Sessions,
    /// As they were ordered from the service.
    Age,
}

impl Order {
    /// The one after it.
    pub fn next(self) -> Self {
        match self {
            Self::Load => Self::Sessions,
            Self::Sessions => Self::Age,
            Self::Age => Self::Load,
        }
    }

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Sessions => "sessions",
            Self::Age => "age",
        }
    }
}

/// An instance; what is a rate is missing until the second look.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct InstanceLine {
    /// Its id.
    pub instance_id: String,
    /// Its status, or what locks it.
    pub status: String,
    /// Sessions now.
    pub sessions: Option<u64>,
    /// Sessions that there may be.
    pub sessions_limit: u32,
    /// Statements a second.
    pub statements: Option<f64>,
    /// Statements a second that read.
    pub reads: Option<f64>,
    /// Statements a second that write.
    pub writes: Option<f64>,
    /// Statements a second that failed.
    pub failed: Option<f64>,
    /// Milliseconds that a read took.
    pub read_ms: Option<f64>,
    /// Milliseconds that a write took.
    pub write_ms: Option<f64>,
    /// Statements a second at the last looks, the latest last.
    #[serde(skip)]
    pub history: Vec<f64>,
}

/// A node of an instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NodeLine {
    /// Its id.
    pub node_id: String,
    /// The instance.
    pub instance_id: String,
    /// Whether it runs; else what it is meant to be, or `down`.
    pub health: String,
    /// Processor time, in percent of one processor.
    pub cpu_percent: Option<f64>,
    /// Resident memory.
    pub resident_bytes: Option<u64>,
    /// Its files.
    pub disk_bytes: Option<u64>,
    /// In percent of its quota.
    pub disk_percent: Option<f64>,
    /// Times that it was started again.
    pub restarts: u32,
}

/// A kind of statement.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DigestLine {
    /// The instance.
    pub instance_id: String,
    /// Executions a second.
    pub per_second: Option<f64>,
    /// Seconds a second that it took: how many of it run at a time.
    pub load: Option<f64>,
    /// Executions in all.
    pub count: u64,
    /// Failed ones.
    pub errors: u64,
    /// Milliseconds, 95 of 100 took no longer.
    pub p95_ms: f64,
    /// The statement without its values.
    pub statement: String,
}

/// What is known of a node's processor time.
#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    at_ms: i64,
    us: u64,
    percent: Option<f64>,
}

impl Model {
    /// Shows so many kinds of statements at most.
    pub fn bounded(digests: usize) -> Self {
        Self {
            most_digests: Some(digests),
            ..Self::default()
        }
    }

    /// Takes what the service tells now.
    pub fn take(&mut self, now: Overview) {
        let before = self.last.take().unwrap_or_default();
        let seconds = (now.at_ms - before.at_ms) as f64 / 1000.0;
        // The first look, or a clock that was put back.
        let seconds = Some(seconds).filter(|seconds| before.at_ms > 0 && *seconds > 0.0);
        self.instances = now
            .instances
            .iter()
            .map(|its| {
                let mut former = before.instances.iter();
                let former = former.find(|former| former.instance_id == its.instance_id);
                self.instance(its, former.and_then(|former| former.traffic), seconds)
            })
            .collect();
        let ids: Vec<&str> = now.instances.iter().map(|its| &*its.instance_id).collect();
        self.rates.retain(|id, _| ids.contains(&&**id));
        self.sort();
        self.cpu
            .retain(|id, _| now.nodes.iter().any(|node| node.node_id.as_str() == id));
        self.nodes = now
            .nodes
            .iter()
            .filter_map(|node| self.node(node))
            .collect();
        self.digests = digests(&now.digests, &before.digests, seconds);
        if let Some(most) = self.most_digests {
            self.digests.truncate(most);
        }
        self.unfinished_tasks = now.unfinished_tasks;
        self.stuck_tasks = now.stuck_tasks;
        self.last = Some(now);
    }

    /// Puts instances in order anew.
    pub fn sort(&mut self) {
        let of = |value: Option<f64>| value.unwrap_or(-1.0);
        match self.order {
            Order::Load => self
                .instances
                .sort_by(|a, b| of(b.statements).total_cmp(&of(a.statements))),
            Order::Sessions => self
                .instances
                .sort_by_key(|its| std::cmp::Reverse(its.sessions)),
            Order::Age => {
                let all = self.last.iter().flat_map(|last| &last.instances);
                let ids: Vec<_> = all.map(|its| its.instance_id.clone()).collect();
                let place = |id: &str| ids.iter().position(|known| known == id);
                self.instances.sort_by_key(|its| place(&its.instance_id));
            }
        }
    }

    fn instance(
        &mut self,
        its: &InstanceOverview,
        former: Option<Traffic>,
        seconds: Option<f64>,
    ) -> InstanceLine {
        let mut line = InstanceLine {
            instance_id: its.instance_id.clone(),
            status: its.lock_mode.clone().unwrap_or_else(|| its.status.clone()),
            sessions: its.traffic.map(|traffic| traffic.sessions),
            sessions_limit: its.sessions_limit,
            ..InstanceLine::default()
        };
        if let (Some(now), Some(former), Some(seconds)) = (its.traffic, former, seconds) {
            let added = |of: fn(&Traffic) -> u64| of(&now).checked_sub(of(&former));
            let rate = |added: Option<u64>| added.map(|added| added as f64 / seconds);
            let millis = |time: Option<u64>, count: Option<u64>| {
                let count = count.filter(|count| *count > 0)?;
                Some(time? as f64 / 1000.0 / count as f64)
            };
            let reads = added(|t| t.single_reads + t.multi_reads);
            let writes = added(|t| t.single_writes + t.multi_writes);
            line.statements = rate(added(|t| t.finished + t.failed));
            line.reads = rate(reads);
            line.writes = rate(writes);
            line.failed = rate(added(|t| t.failed));
            line.read_ms = millis(added(|t| t.read_us), reads);
            line.write_ms = millis(added(|t| t.write_us), writes);
        }
        let rates = self.rates.entry(its.instance_id.clone()).or_default();
        if let Some(rate) = line.statements {
            rates.push_back(rate);
            rates.drain(..rates.len().saturating_sub(HISTORY));
        }
        line.history = rates.iter().copied().collect();
        line
    }

    fn node(&mut self, its: &NodeOverview) -> Option<NodeLine> {
        let instance_id = its.instance_id.clone()?;
        let health = match (its.is_up, &*its.state) {
            (true, "running") => "up",
            (false, "running") => "down",
            (_, state) => state,
        };
        let cpu = self.cpu.entry(its.node_id.to_string()).or_default();
        if let (Some(us), Some(at_ms)) = (its.cpu_us, its.measured_at_ms)
            && at_ms - cpu.at_ms >= APART_MS
        {
            let elapsed_us = (at_ms - cpu.at_ms) as f64 * 1000.0;
            // A process that was started anew has begun at zero.
            let took = us.checked_sub(cpu.us).filter(|_| cpu.at_ms > 0);
            let percent = took.map(|took| took as f64 / elapsed_us * 100.0);
            *cpu = Cpu { at_ms, us, percent };
        }
        let quota = its.disk_quota_bytes as f64;
        Some(NodeLine {
            node_id: its.node_id.to_string(),
            instance_id,
            health: health.to_owned(),
            cpu_percent: cpu.percent.filter(|_| its.is_up),
            resident_bytes: its.resident_bytes,
            disk_bytes: its.disk_bytes,
            disk_percent: its.disk_bytes.map(|bytes| bytes as f64 / quota * 100.0),
            restarts: its.restarts,
        })
    }
}

fn digests(
    now: &[DigestOverview],
    before: &[DigestOverview],
    seconds: Option<f64>,
) -> Vec<DigestLine> {
    fn key(its: &DigestOverview) -> (&str, &str) {
        (&its.instance_id, &its.digest)
    }
    let former: HashMap<_, _> = before.iter().map(|its| (key(its), its)).collect();
    let line = |its: &DigestOverview| {
        let former = former.get(&key(its));
        let rate = |of: fn(&DigestOverview) -> u64| {
            let added = of(its).checked_sub(of(former?))?;
            Some(added as f64 / seconds?)
        };
        DigestLine {
            instance_id: its.instance_id.clone(),
            per_second: rate(|digest| digest.count),
            load: rate(|digest| digest.total_us).map(|us| us / 1e6),
            count: its.count,
            errors: its.errors,
            p95_ms: its.p95_us as f64 / 1000.0,
            statement: match its.statement.as_str() {
                "" => "(others)".to_owned(),
                statement => statement.to_owned(),
            },
        }
    };
    let mut lines: Vec<_> = now.iter().map(line).collect();
    let of = |value: Option<f64>| value.unwrap_or(-1.0);
    lines.sort_by(|a, b| of(b.load).total_cmp(&of(a.load)));
    lines
}

#[cfg(test)]
pub mod tests {
    use openpeta_types::NodeId;

    use super::*;

    /// An instance with so many finished reads, each of half a millisecond.
    pub fn instance(id: &str, reads: u64, sessions: u64) -> InstanceOverview {
        InstanceOverview {
            instance_id: id.into(),
            status: "ACTIVE".into(),
            lock_mode: None,
            sessions_limit: 100,
            traffic: Some(Traffic {
                sessions,
                finished: reads,
                single_reads: reads,
                read_us: reads * 500,
                ..Traffic::default()
            }),
        }
    }

    pub fn node(at_ms: i64, cpu_us: u64) -> NodeOverview {
        NodeOverview {
            node_id: NodeId::parse("nd-aaaaaaaaaaaaaa").expect("an id"),
            instance_id: Some("pd-a".into()),
            state: "running".into(),
            is_up: true,
            restarts: 2,
            cpu_us: Some(cpu_us),
            measured_at_ms: Some(at_ms),
            resident_bytes: Some(64 << 20),
            disk_bytes: Some(25 << 20),
            disk_quota_bytes: 100 << 20,
        }
    }

    pub fn digest(count: u64) -> DigestOverview {
        DigestOverview {
            instance_id: "pd-a".into(),
            digest: "01".into(),
            count,
            errors: 1,
            total_us: count * 1000,
            p95_us: 2500,
            statement: "SELECT ?".into(),
        }
    }

    pub fn overview(at_ms: i64, instances: Vec<InstanceOverview>) -> Overview {
        Overview {
            at_ms,
            instances,
            ..Overview::default()
        }
    }

    #[test]
    fn rates_are_told_from_the_second_look_on() {
        let mut model = Model::default();
        let first = vec![instance("pd-a", 100, 1), instance("pd-b", 0, 3)];
        model.take(overview(10_000, first));
        assert_eq!(model.instances[0].statements, None);
        let second = vec![instance("pd-a", 150, 1), instance("pd-b", 400, 3)];
        model.take(overview(12_000, second));
        let ids: Vec<_> = model
            .instances
            .iter()
            .map(|its| &*its.instance_id)
            .collect();
        assert_eq!(ids, ["pd-b", "pd-a"], "the busiest first");
        let busy = &model.instances[0];
        assert_eq!((busy.statements, busy.reads), (Some(200.0), Some(200.0)));
        assert_eq!((busy.read_ms, busy.write_ms), (Some(0.5), None));
        assert_eq!(busy.history, [200.0]);
        model.order = Order::Age;
        model.sort();
        assert_eq!(model.instances[0].instance_id, "pd-a");
    }

    #[test]
    fn counting_that_began_anew_is_no_rate() {
        let mut model = Model::default();
        model.take(overview(1000, vec![instance("pd-a", 100, 1)]));
        model.take(overview(2000, vec![instance("pd-a", 5, 1)]));
        assert_eq!(model.instances[0].statements, None);
        model.take(overview(3000, vec![instance("pd-a", 9, 1)]));
        assert_eq!(model.instances[0].statements, Some(4.0));
        // Nor is a clock that was put back.
        model.take(overview(2500, vec![instance("pd-a", 10, 1)]));
        assert_eq!(model.instances[0].statements, None);
    }

    #[test]
    fn processor_time_is_told_between_measurements() {
        let mut model = Model::default();
        let mut look = |at_ms, measured, cpu_us| {
            let mut overview = overview(at_ms, vec![]);
            overview.nodes = vec![node(measured, cpu_us)];
            model.take(overview);
            (model.nodes[0].cpu_percent, model.nodes[0].disk_percent)
        };
        assert_eq!(look(10_000, 9_000, 5_000_000), (None, Some(25.0)));
        assert_eq!(look(11_000, 9_001, 5_000_000).0, None, "the same one");
        assert_eq!(look(12_000, 11_000, 6_000_000).0, Some(50.0));
        assert_eq!(look(13_000, 11_001, 6_000_000).0, Some(50.0), "stays");
        assert_eq!(look(14_000, 13_000, 10_000).0, None, "another process");
    }

    #[test]
    fn digests_are_ordered_by_what_they_take_now() {
        let mut model = Model::default();
        for count in [10, 30] {
            let mut overview = overview(1000 + 100 * count, vec![]);
            let old = DigestOverview {
                digest: "02".into(),
                total_us: 1 << 40,
                ..digest(1000)
            };
            overview.digests = vec![old, digest(count as u64)];
            model.take(overview);
        }
        assert_eq!(model.digests.len(), 2);
        let first = &model.digests[0];
        assert_eq!((first.per_second, first.load), (Some(10.0), Some(0.01)));
        assert_eq!(model.digests[1].per_second, Some(0.0));
        // What takes long in all does not displace what takes long now.
        let again = model.last.take().expect("it was taken");
        let mut bounded = Model::bounded(1);
        bounded.take(Overview {
            digests: vec![again.digests[0].clone(), digest(10)],
            ..overview(2000, vec![])
        });
        bounded.take(again);
        assert_eq!(bounded.digests.len(), 1);
        assert_eq!(bounded.digests[0].count, 30);
    }
}
