//! The service in figures, for those who watch it: what the store has of instances, nodes, tasks
//! and backups, and what was measured of nodes last.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use openpeta_engine::{DiskUsage, ProcessFigures, TableSizes};
use openpeta_store::{
    AlertTotal, BackupTotal, InstanceDetail, Node, NodeState, ProofTotals, RecycledTotals,
    StoreError, TaskTotal, WebhookTotal,
};

use crate::instance_nodes::is_on;
use crate::{Control, DatabaseFigures, LogArchiveFigures, SamplingFigures};

/// The service in figures.
#[derive(Clone, Debug)]
pub struct ServiceFigures {
    /// All instances, oldest first.
    pub instances: Vec<InstanceFigures>,
    /// All nodes, oldest first.
    pub nodes: Vec<NodeFigures>,
    /// Tasks by status.
    pub tasks: Vec<TaskTotal>,
    /// Backup sets by database and status.
    pub backups: Vec<BackupTotal>,
    /// Archives of binary logs, by instance.
    pub log_archives: Vec<LogArchiveFigures>,
    /// How sampling goes.
    pub sampling: SamplingFigures,
    /// Webhooks, oldest first.
    pub webhooks: Vec<WebhookFigures>,
    /// Rules of alerts.
    pub alert_rules: u32,
    /// Alerts by where they stand.
    pub alerts: Vec<AlertTotal>,
    /// What restores of backup sets for proof came to.
    pub proofs: ProofTotals,
    /// What the recycle bin has.
    pub recycled: RecycledTotals,
    /// How many final sets lie on this host until the bucket takes them.
    pub waiting_sets: usize,
}

/// A webhook.
#[derive(Clone, Debug)]
pub struct WebhookFigures {
    /// What waits for it, and what it did not get.
    pub total: WebhookTotal,
    /// Notifications that it took since the service was started.
    pub delivered: u64,
    /// Attempts that failed since then.
    pub failed: u64,
}

/// An instance.
#[derive(Clone, Debug)]
pub struct InstanceFigures {
    /// The instance with its databases.
    pub detail: Arc<InstanceDetail>,
    /// Sessions that it may have; `None` while it has no node.
    pub most_sessions: Option<u32>,
    /// What its databases take, in their order.
    pub databases: Vec<DatabaseFigures>,
}

/// A node.
#[derive(Clone, Debug)]
pub struct NodeFigures {
    /// What it is meant to be.
    pub node: Node,
    /// Whether its process runs.
    pub is_up: bool,
    /// Its process as it was measured last.
    pub process: Option<ProcessFigures>,
    /// Its files as they were measured last.
    pub disk: Option<DiskUsage>,
    /// What its tables take, as it told last.
    pub tables: Option<TableSizes>,
    /// How long ago its process was measured.
    pub measured_ago: Option<Duration>,
}

impl NodeFigures {
    /// Whether it should run and does not.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.node.state == NodeState::Running && !self.is_up
    }
}

impl Control {
    /// The service in figures. Looks at the process of every node, so not for async threads.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn figures(&self) -> Result<ServiceFigures, StoreError> {
        let parts = &self.parts;
        let (mut instances, nodes, tasks, backups) = parts.store.read(|reader| {
            Ok::<_, StoreError>((
                reader.instances()?,
                reader.nodes()?,
                reader.task_totals()?,
                reader.backup_totals()?,
            ))
        })?;
        let (webhooks, alert_rules, alerts, proofs, recycled) = parts.store.read(|reader| {
            Ok::<_, StoreError>((
                reader.webhook_totals()?,
                reader.alert_rules()?.len(),
                reader.alert_totals()?,
                reader.proof_totals()?,
                reader.recycled_totals()?,
            ))
        })?;
        let webhooks = webhooks.into_iter().map(|total| {
            let counts = parts.delivery_counts.of(total.webhook_id);
            WebhookFigures {
                total,
                delivered: counts.delivered,
                failed: counts.failed,
            }
        });
        instances.sort_by(|a, b| {
            let age = a.created_at.cmp(&b.created_at);
            age.then_with(|| a.instance_id.cmp(&b.instance_id))
        });
        let measured = || {
            let measured = parts.samples.measured.lock();
            measured.unwrap_or_else(PoisonError::into_inner)
        };
        let instances = instances.iter().filter_map(|instance| {
            let home = instance.node_id.as_ref();
            let node = nodes.iter().find(|node| Some(&node.node_id) == home);
            let id = Some(&instance.instance_id);
            let further = nodes
                .iter()
                .filter(|node| node.number > 0 && node.instance_id.as_ref() == id);
            let serving: Vec<_> = node.into_iter().chain(further).collect();
            let detail = parts.store.instance_detail(&instance.instance_id)?;
            let databases = detail.databases.iter().map(|database| {
                let name = database.db_name.as_str();
                let there = serving.iter().filter(|node| is_on(database, node.number));
                let measured = measured();
                let figures = there.map(|node| measured.database(&node.node_id, name));
                figures.reduce(DatabaseFigures::plus).unwrap_or_default()
            });
            Some(InstanceFigures {
                databases: databases.collect(),
                detail,
                most_sessions: node.map(|node| node.settings.max_connections),
            })
        });
        let instances = instances.collect();
        let nodes = nodes.into_iter().map(|node| {
            let is_up = parts.engine.running(&node.node_id);
            let measured = measured();
            let (process, disk) = measured.last(&node.node_id);
            NodeFigures {
                is_up: is_up.is_ok_and(|process| process.is_some()),
                process,
                disk,
                tables: measured.tables(&node.node_id),
                measured_ago: measured.age(&node.node_id),
                node,
            }
        });
        Ok(ServiceFigures {
            instances,
            nodes: nodes.collect(),
            tasks,
            backups,
            log_archives: parts.log_figures(),
            sampling: parts.samples.figures(),
            webhooks: webhooks.collect(),
            alert_rules: u32::try_from(alert_rules).unwrap_or(u32::MAX),
            alerts,
            proofs,
            recycled,
            waiting_sets: parts.remote_sets.waiting.count(),
        })
    }
}
