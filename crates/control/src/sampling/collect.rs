//! What is looked at, and when.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use openpeta_engine::{DiskUsage, EngineError, ProcessFigures};
use openpeta_store::{InstanceDetail, NewEvent, NodeState};
use openpeta_types::{EventKind, NodeId};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::{Column, Samples, of_database, of_instance};
use crate::ControlError;
use crate::parts::Parts;

/// Between two looks at what sessions do.
const LOOK: Duration = Duration::from_secs(1);
/// A time without a look that is worth an event.
const GAP: Duration = Duration::from_secs(10);
/// Between two times that old samples are removed.
const TIDY: Duration = Duration::from_secs(600);
/// Between two measurements of a node's files.
const SIZES: Duration = Duration::from_secs(30);

/// Looks at what sessions do, for as long as the service runs.
pub(crate) async fn sample(parts: Arc<Parts>) {
    let mut timer = interval(LOOK);
    // After a pause one look covers all of it.
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut last, mut tidied) = (Instant::now(), Instant::now());
    loop {
        timer.tick().await;
        let elapsed = last.elapsed();
        last += elapsed;
        if elapsed >= GAP {
            note_gap(&parts, elapsed);
        }
        let is_untidy = tidied.elapsed() >= TIDY;
        if is_untidy {
            tidied = Instant::now();
        }
        let its = Arc::clone(&parts);
        // Off the async threads, for the disk may be slow.
        let looked = tokio::task::spawn_blocking(move || {
            let now = Timestamp::now().as_second();
            look(&its, now, elapsed);
            if is_untidy {
                its.samples.tidy(now);
            }
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "a look at sessions failed");
        }
    }
}

fn note_gap(parts: &Parts, elapsed: Duration) {
    let seconds = elapsed.as_secs();
    let text = format!("sessions were not sampled for {seconds} seconds");
    let event = NewEvent::new(Timestamp::now(), EventKind::SamplesGap, text);
    let details = serde_json::json!({ "seconds": seconds });
    parts.events.record(event.with(&details));
}

/// One look at all instances that are open to clients.
fn look(parts: &Parts, now: i64, elapsed: Duration) {
    let instances = match parts.store.read(|reader| reader.instances()) {
        Ok(instances) => instances,
        Err(error) => {
            tracing::warn!(%error, "sessions cannot be sampled");
            Vec::new()
        }
    };
    let mut seen = Vec::new();
    for instance in instances {
        let id = &instance.instance_id;
        let Some(traffic) = parts.gateway.take_traffic(id) else {
            continue;
        };
        let Some(detail) = parts.store.instance_detail(id) else {
            continue;
        };
        for database in &detail.databases {
            // One that no session has been in had no traffic.
            let its = traffic.databases.get(database.db_name.as_str());
            let its = its.copied().unwrap_or_default();
            seen.push((of_database(database), traffic.counted_as, its));
        }
        seen.push((of_instance(id), traffic.counted_as, traffic.instance));
    }
    parts.samples.look(now, elapsed, seen);
}

/// Measures nodes. One that does not answer is waited for by its own task alone.
pub(crate) struct Measuring {
    /// Dropped with the service, and the tasks with it.
    tasks: Mutex<JoinSet<()>>,
    nodes: Arc<Mutex<Measured>>,
}

/// What is known of nodes from earlier measurements.
#[derive(Default)]
pub(crate) struct Measured {
    /// Being measured now.
    under_way: HashSet<NodeId>,
    processes: HashMap<NodeId, (ProcessFigures, Instant)>,
    sizes: HashMap<NodeId, (DiskUsage, Instant)>,
}

impl Measured {
    /// What was measured of a node last: its process, its files.
    pub(crate) fn last(&self, node: &NodeId) -> (Option<ProcessFigures>, Option<DiskUsage>) {
        let process = self.processes.get(node).map(|(figures, _)| *figures);
        let disk = self.sizes.get(node).map(|(usage, _)| *usage);
        (process, disk)
    }

    /// How long ago the node's process was measured.
    pub(crate) fn age(&self, node: &NodeId) -> Option<Duration> {
        self.processes.get(node).map(|(_, at)| at.elapsed())
    }
}

impl Measuring {
    pub(crate) fn new(samples: &Samples) -> Self {
        Self {
            tasks: Mutex::default(),
            nodes: Arc::clone(&samples.measured),
        }
    }

    /// Begins to measure every node that serves an instance and is not being measured.
    pub(crate) async fn reconcile(self: Arc<Self>, parts: Arc<Parts>) -> Result<(), ControlError> {
        let nodes = parts.store.read(|reader| reader.nodes())?;
        let ids: HashSet<_> = nodes.iter().map(|node| node.node_id.clone()).collect();
        {
            let mut measured = lock(&self.nodes);
            measured.processes.retain(|node, _| ids.contains(node));
            measured.sizes.retain(|node, _| ids.contains(node));
        }
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        for node in nodes {
            let Some(instance) = node
                .instance_id
                .filter(|_| node.state == NodeState::Running)
            else {
                continue;
            };
            let Some(detail) = parts.store.instance_detail(&instance) else {
                continue;
            };
            let is_new = lock(&self.nodes).under_way.insert(node.node_id.clone());
            if !is_new {
                continue;
            }
            let (parts, nodes) = (Arc::clone(&parts), Arc::clone(&self.nodes));
            tasks.spawn(async move {
                let quota = node.settings.disk_quota_bytes;
                if let Err(error) = measure(&parts, &nodes, &node.node_id, quota, &detail).await {
                    tracing::debug!(node = %node.node_id, %error, "the node cannot be measured");
                }
                lock(&nodes).under_way.remove(&node.node_id);
            });
        }
        Ok(())
    }
}

async fn measure(
    parts: &Parts,
    nodes: &Mutex<Measured>,
    node: &NodeId,
    quota: u64,
    detail: &InstanceDetail,
) -> Result<(), EngineError> {
    let instance = of_instance(&detail.instance.instance_id);
    let sizes_are_due = {
        let measured = lock(nodes);
        let last = measured.sizes.get(node);
        last.is_none_or(|(_, last)| last.elapsed() >= SIZES)
    };
    if sizes_are_due {
        let usage = parts.engine.usage(node).await?;
        let databases = parts.engine.database_sizes(node).await?;
        let values = [
            (Column::Data, usage.data_bytes),
            (Column::Binlog, usage.binlog_bytes),
            (Column::OtherFiles, usage.other_bytes),
            (Column::Quota, quota),
        ];
        parts.samples.measured(&instance, &values);
        for database in &detail.databases {
            if let Some(data) = databases.get(database.db_name.as_str()) {
                let quota = database.settings.disk_quota_bytes;
                let values = [(Column::Data, *data), (Column::Quota, quota)];
                parts.samples.measured(&of_database(database), &values);
            }
        }
        lock(nodes)
            .sizes
            .insert(node.clone(), (usage, Instant::now()));
    }
    let figures = parts.engine.process_figures(node).await?;
    let now = Instant::now();
    let last = lock(nodes).processes.insert(node.clone(), (figures, now));
    parts
        .samples
        .measured(&instance, &[(Column::Resident, figures.resident_bytes)]);
    // What a process took before the first look at it is of no known time.
    if let Some((before, at)) = last.filter(|(before, _)| before.started == figures.started) {
        let cpu = figures.cpu.saturating_sub(before.cpu);
        let values = [
            (
                Column::Cpu,
                u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX),
            ),
            (
                Column::CpuCovered,
                u64::try_from((now - at).as_millis()).unwrap_or(u64::MAX),
            ),
        ];
        parts.samples.measured(&instance, &values);
    }
    Ok(())
}

fn lock(nodes: &Mutex<Measured>) -> MutexGuard<'_, Measured> {
    nodes.lock().unwrap_or_else(PoisonError::into_inner)
}
