//! The whole service at a glance, for `openpeta top`: totals, of which whoever asks again and again
//! works out what was added.

use std::cmp::Reverse;

use jiff::Timestamp;
use openpeta_types::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Control, ControlError, Traffic};

/// The service at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// When, in milliseconds of Unix time.
    pub at_ms: i64,
    /// All instances, oldest first.
    pub instances: Vec<InstanceOverview>,
    /// All nodes, oldest first.
    pub nodes: Vec<NodeOverview>,
    /// Kinds of statements of all instances, by the time that they took in all, the longest first.
    pub digests: Vec<DigestOverview>,
    /// Tasks that wait or run.
    pub unfinished_tasks: u32,
    /// Tasks that wait for the operator.
    pub stuck_tasks: u32,
}

/// An instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceOverview {
    /// Its id.
    pub instance_id: String,
    /// Its status.
    pub status: String,
    /// What locks it; absent if nothing does.
    pub lock_mode: Option<String>,
    /// Sessions that it may have.
    pub sessions_limit: u32,
    /// What its sessions did; absent if it is not open to clients.
    pub traffic: Option<Traffic>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOverview {
    /// Its id.
    pub node_id: NodeId,
    /// The instance that it serves; absent for a spare one.
    pub instance_id: Option<String>,
    /// What it is meant to be.
    pub state: String,
    /// Whether its process runs.
    pub is_up: bool,
    /// Times that it was started again.
    pub restarts: u32,
    /// Processor time of its process, in microseconds, when it was measured last.
    pub cpu_us: Option<u64>,
    /// When that was, in milliseconds of Unix time.
    pub measured_at_ms: Option<i64>,
    /// Resident memory.
    pub resident_bytes: Option<u64>,
    /// Its files.
    pub disk_bytes: Option<u64>,
    /// What its files may have.
    pub disk_quota_bytes: u64,
}

/// A kind of statement of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestOverview {
    /// The instance.
    pub instance_id: String,
    /// A number for the text.
    pub digest: String,
    /// Times that it ran.
    pub count: u64,
    /// Times that it failed.
    pub errors: u64,
    /// Time in all, in microseconds.
    pub total_us: u64,
    /// 95 of 100 took no longer, in microseconds.
    pub p95_us: u64,
    /// The statement without its values.
    pub statement: String,
}

impl Control {
    /// At most so many digests are told.
    pub(super) fn overview(&self, digests: u32, now: Timestamp) -> Result<Value, ControlError> {
        let figures = self.figures()?;
        let gateway = &self.parts.gateway;
        let at_ms = now.as_millisecond();
        let mut overview = Overview {
            at_ms,
            ..Overview::default()
        };
        for its in &figures.instances {
            let instance = &its.detail.instance;
            let id = &instance.instance_id;
            overview.instances.push(InstanceOverview {
                instance_id: id.to_string(),
                status: instance.status.to_string(),
                lock_mode: instance
                    .lock_mode
                    .is_locked()
                    .then(|| instance.lock_mode.to_string()),
                sessions_limit: its.most_sessions.unwrap_or(0),
                traffic: gateway.traffic(id),
            });
            if digests == 0 {
                continue;
            }
            let seen = gateway.statistics(id).unwrap_or_default();
            let seen = seen.digests.into_iter().take(digests as usize);
            overview.digests.extend(seen.map(|digest| DigestOverview {
                instance_id: id.to_string(),
                digest: digest.digest,
                count: digest.count,
                errors: digest.errors,
                total_us: digest.total_us,
                p95_us: digest.p95_us,
                statement: digest.statement,
            }));
        }
        overview
            .digests
            .sort_by_key(|digest| Reverse(digest.total_us));
        overview.digests.truncate(digests as usize);
        let nodes = figures.nodes.iter().map(|its| {
            let process = its.process.filter(|_| its.is_up);
            let millis = |ago: std::time::Duration| i64::try_from(ago.as_millis()).ok();
            let ago = its.measured_ago.and_then(millis);
            NodeOverview {
                node_id: its.node.node_id.clone(),
                instance_id: its.node.instance_id.as_ref().map(ToString::to_string),
                state: its.node.state.to_string(),
                is_up: its.is_up,
                restarts: its.node.restarts,
                cpu_us: process.and_then(|process| u64::try_from(process.cpu.as_micros()).ok()),
                measured_at_ms: ago.map(|ago| at_ms - ago),
                resident_bytes: process.map(|process| process.resident_bytes),
                disk_bytes: its.disk.map(|disk| disk.total_bytes()),
                disk_quota_bytes: its.node.settings.disk_quota_bytes,
            }
        });
        overview.nodes = nodes.collect();
        for total in &figures.tasks {
            overview.stuck_tasks += total.stuck;
            if !total.status.is_final() {
                overview.unfinished_tasks += total.count;
            }
        }
        serde_json::to_value(overview).map_err(ControlError::internal)
    }
}
