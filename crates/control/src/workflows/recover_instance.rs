//! RecoverInstance: an instance whose data is lost gets a new node with the content of its backup
//! sets, compared with them before anybody may call it recovered. Id, endpoints, accounts, sizes
//! and lock stay as they are in the store. Clients are out until all is done.

use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use openpeta_engine::{LogAfter, ReplayRange, ReplayUntil};
use openpeta_store::{Instance, NewEvent, Node, NodeState, Writer};
use openpeta_tasks::{
    RetryPolicy, Step, StepEntry, StepError, TaskContext, Workflow, forward, undoable,
};
use openpeta_types::{BackupId, DbName, EventKind, InstanceId, NodeId, ObjectStatus};
use serde::{Deserialize, Serialize};

use super::loading::{self, RETRY, SetSource};
use super::meter::Meter;
use super::resize_node::{apply_settings, recount};
use super::{FAILED_INSIDE, engine_error};
use crate::admin::protocol::ReplayedLog;
use crate::parts::Parts;

/// Brings an instance back whose data is lost.
pub(crate) struct RecoverInstance(pub(super) Arc<Parts>);

/// Which one, and from what.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RecoverInstanceParams {
    pub(crate) instance_id: InstanceId,
    /// The node that is not there.
    pub(crate) lost_node: NodeId,
    /// The node in its place. Its row is there already.
    pub(crate) node_id: NodeId,
    pub(crate) databases: Vec<RecoveredDatabase>,
    pub(crate) log: ReplayedLog,
    /// Databases that are given up.
    pub(crate) without: Vec<DbName>,
}

/// What a database is brought back from.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RecoveredDatabase {
    pub(crate) db_name: DbName,
    pub(crate) backup_id: BackupId,
    pub(crate) manifest_sha256: String,
}

impl RecoverInstanceParams {
    fn sets(&self) -> impl Iterator<Item = SetSource<'_>> {
        self.databases.iter().map(|database| SetSource {
            instance_id: &self.instance_id,
            db_name: &database.db_name,
            backup_id: database.backup_id,
            manifest_sha256: &database.manifest_sha256,
        })
    }
}

/// The sets that such a task reads, by its parameters.
pub(crate) fn sets_of(params: &openpeta_types::Secret) -> Vec<BackupId> {
    let params: Option<RecoverInstanceParams> = serde_json::from_str(params.expose()).ok();
    let databases = params.map(|params| params.databases).unwrap_or_default();
    databases
        .iter()
        .map(|database| database.backup_id)
        .collect()
}

impl Parts {
    /// Whether the archived log ends before a set, so that it had nothing to add.
    fn is_log_older(&self, set: &SetSource<'_>) -> bool {
        let Ok(manifest) = set.manifest(self) else {
            return false;
        };
        NodeId::parse(&manifest.binlog.node).is_ok_and(|node| {
            let archive = self.log_archive(&node);
            let after = self.engine.archive_after(&archive, &manifest.binlog);
            after.is_ok_and(|after| after == LogAfter::EndsBefore)
        })
    }
}

/// Whether a task recovers an instance.
pub(crate) fn is_recovery(task: &openpeta_store::Task) -> bool {
    task.workflow == RecoverInstance::NAME
}

impl Workflow for RecoverInstance {
    const NAME: &'static str = "recover-instance";
    const IS_LONG: bool = true;
    type Params = RecoverInstanceParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(CheckSets),
            undoable(CreateNode),
            undoable(StartNode),
            undoable(LoadSets),
            undoable(CompareContent),
            undoable(ReplayLog),
            undoable(AssignNode),
            undoable(SettleNode),
            forward(AdmitClients),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let (params, now) = (task.params(), Timestamp::now());
        let id = &params.instance_id;
        for name in &params.without {
            self.0.settle_usage(writer, id, name, now)?;
            writer.delete_database(id, name)?;
        }
        if !params.without.is_empty() {
            recount(writer, id)?;
        }
        writer.delete_node(&params.lost_node)?;
        writer.set_instance_status(id, ObjectStatus::Active)?;
        let mut text = format!("{id} is ACTIVE again: it was recovered from its backups");
        if params.log != ReplayedLog::Nothing {
            for set in params.sets() {
                if self.0.is_log_older(&set) {
                    let _ = write!(
                        text,
                        "; the archived binary log ends before backup set {}",
                        set.backup_id
                    );
                }
            }
        }
        writer.note_event(&NewEvent::new(now, EventKind::NodeRecovered, text).of(Some(id)));
        self.0.publish_after_commit(writer, id);
        let parts = Arc::clone(&self.0);
        writer.after_commit(move || parts.wake_reconcilers());
        Ok(())
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        let params = task.params();
        writer.delete_node(&params.node_id)?;
        writer.set_instance_status(&params.instance_id, ObjectStatus::Inactive)?;
        self.0.publish_after_commit(writer, &params.instance_id);
        Ok(())
    }
}

/// The files of all sets are those that were written.
struct CheckSets;

#[async_trait]
impl Step<RecoverInstance> for CheckSets {
    const NAME: &'static str = "check-sets";
    const TITLE: &'static str = "Checking the backup sets";
    const IS_INTERRUPTIBLE: bool = true;
    type Output = ();

    async fn run(
        &self,
        workflow: &RecoverInstance,
        task: &TaskContext<'_, RecoverInstance>,
    ) -> Result<(), StepError> {
        for set in task.params().sets() {
            set.check(&workflow.0, task).await?;
        }
        Ok(())
    }
}

/// A data directory with the settings of the lost one.
struct CreateNode;

#[async_trait]
impl Step<RecoverInstance> for CreateNode {
    const NAME: &'static str = "create-node";
    const TITLE: &'static str = "Creating the node";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(
        &self,
        workflow: &RecoverInstance,
        task: &TaskContext<'_, RecoverInstance>,
    ) -> Result<(), StepError> {
        let (parts, node_id) = (&workflow.0, &task.params().node_id);
        let node = parts.store.read(|reader| reader.node(node_id))?;
        let gone = || StepError::permanent(FAILED_INSIDE, "the node's row is gone");
        let settings = node.ok_or_else(gone)?.settings;
        let created = parts.engine.create_node(node_id, &settings).await;
        created.map_err(engine_error)
    }

    async fn undo(
        &self,
        workflow: &RecoverInstance,
        task: &TaskContext<'_, RecoverInstance>,
    ) -> Result<(), StepError> {
        let destroyed = workflow.0.engine.destroy_node(&task.params().node_id).await;
        destroyed.map_err(engine_error)
    }
}

/// A process that accepts connections. It goes with the node.
struct StartNode;

#[async_trait]
impl Step<RecoverInstance> for StartNode {
    const NAME: &'static str = "start-node";
    const TITLE: &'static str = "Starting the node";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(
        &self,
        workflow: &RecoverInstance,
        task: &TaskContext<'_, RecoverInstance>,
    ) -> Result<(), StepError> {
        loading::start(&workflow.0, &task.params().node_id).await
    }
}

/// The databases are on the node. They go with it.
struct LoadSets;

#[async_trait]
impl Step<RecoverInstance> for LoadSets {
    const NAME: &'static str = "load-sets";
    const TITLE: &'static str = "Loading the backup sets";
    const WEIGHT: u32 = 20;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = ();

    async fn run(
        &self,
        workflow: &RecoverInstance,
        task: &TaskContext<'_, RecoverInstance>,
    ) -> Result<(), StepError> {
        loading::start(&workflow.0, &task.params().node_id).await?;
        load(&workflow.0, task).await
    }
}

async fn load(parts: &Parts, task: &TaskContext<'_, RecoverInstance>) -> Result<(), StepError> {
    let params = task.params();
    for set in params.sets() {
        let manifest = set.fetch(parts, task).await?;
        let name = set.db_name;
        let meter = Meter::new();
        let progress = |done: u64, total: u64, what: &str| {
            meter.tell(task, (done, total), &format!("Loading {what} of {name}"));
        };
        let path = set.path(parts);
        let bases = set.bases(parts, task, &manifest).await?;
        let loaded = parts
            .engine
            .load_set(&params.node_id, name, &bases, &path, &manifest, &progress)
            .await;
        loaded.map_err(engine_error)?;
    }
    Ok(())
}

/// What is on the node is what the manifests say, to the last row.
struct CompareContent;

#[async_trait]
impl Step<RecoverInstance> for CompareContent {
    const NAME: &'static str = "compare-content";
    const TITLE: &'static str = "Comparing the content with the backup sets";
    const WEIGHT: u32 = 10;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = ();

    async fn run(
        &self,
        workflow: &RecoverInstance,
        task: &TaskContext<'_, RecoverInstance>,
    ) -> Result<(), StepError> {
        loading::start(&workflow.0, &task.params().node_id).await?;
        compare(&workflow.0, task).await
    }
}

async fn compare(parts: &Parts, task: &TaskContext<'_, RecoverInstance>) -> Result<(), StepError> {
    let params = task.params();
    for set in params.sets() {
        let manifest = set.manifest(parts)?;
        let name = set.db_name;
        let meter = Meter::new();
        let progress = |done: u64, total: u64, what: &str| {
            let what = format!("Comparing table {what} of {name}");
            meter.tell(task, (done, total), &what);
        };
        let compared = parts
            .engine
            .verify_set(&params.node_id, name, &manifest, &progress)
            .await;
        compared.map_err(engine_error)?;
    }
    Ok(())
}

/// What was committed since the sets is there as well, if it is wanted, and events run.
struct ReplayLog;

#[async_trait]
impl Step<RecoverInstance> for ReplayLog {
    const NAME: &'static str = "replay-log";
    const TITLE: &'static str = "Applying the binary log";
    const WEIGHT: u32 = 20;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = ();

    async fn run(
        &self,
        workflow: &RecoverInstance,
        task: &TaskContext<'_, RecoverInstance>,
    ) -> Result<(), StepError> {
        let (parts, node) = (&workflow.0, &task.params().node_id);
        loading::start(parts, node).await?;
        let until = match task.params().log {
            ReplayedLog::Nothing => None,
            ReplayedLog::Before(time) => Some(time),
            ReplayedLog::Everything => Some(Timestamp::MAX),
        };
        if let Some(until) = until {
            replay(parts, task, until).await?;
        }
        let finished = parts.engine.finish_load(node).await;
        finished.map_err(engine_error)
    }
}

async fn replay(
    parts: &Parts,
    task: &TaskContext<'_, RecoverInstance>,
    until: Timestamp,
) -> Result<(), StepError> {
    let (engine, node) = (&parts.engine, &task.params().node_id);
    // What was interrupted may have applied anything.
    if engine.is_replay_begun(node).map_err(engine_error)? {
        for set in task.params().sets() {
            let ended = engine.end_replay(node, set.db_name).await;
            ended.map_err(engine_error)?;
        }
        load(parts, task).await?;
        compare(parts, task).await?;
    }
    for set in task.params().sets() {
        let manifest = set.manifest(parts)?;
        let source = NodeId::parse(&manifest.binlog.node)
            .map_err(|error| StepError::permanent("The backup set is damaged.", error))?;
        // Something may have been lost since the order.
        parts.fetch_log(&source).await;
        let archive = parts.log_archive(&source);
        let after = engine.archive_after(&archive, &manifest.binlog);
        if after.map_err(engine_error)? == LogAfter::EndsBefore {
            // The set has all of it, and more.
            tracing::warn!(%node, database = %set.db_name, backup = %set.backup_id, "the archived binary log ends before the backup set");
            continue;
        }
        let range = ReplayRange {
            archive: &archive,
            from: &manifest.binlog,
            until: ReplayUntil::Second(until),
        };
        let name = set.db_name;
        let meter = Meter::new();
        let progress = |done: u64, total: u64, what: &str| {
            meter.tell(task, (done, total), &format!("Applying {what} of {name}"));
        };
        let replayed = engine.replay_log(node, name, range, &progress).await;
        let replayed = replayed.map_err(engine_error)?;
        tracing::info!(%node, database = %name, groups = replayed.groups, gtid = replayed.gtid, "the binary log is applied");
    }
    Ok(())
}

/// By the store, the node serves the instance.
struct AssignNode;

#[async_trait]
impl Step<RecoverInstance> for AssignNode {
    const NAME: &'static str = "assign-node";
    const TITLE: &'static str = "Assigning the node to the instance";
    type Output = ();

    async fn run(
        &self,
        workflow: &RecoverInstance,
        task: &TaskContext<'_, RecoverInstance>,
    ) -> Result<(), StepError> {
        let params = task.params();
        workflow.0.store.write(|writer| {
            writer.set_node_state(&params.lost_node, NodeState::Stopped)?;
            serve(
                writer,
                params,
                &params.node_id,
                Some(&params.instance_id),
                NodeState::Running,
            )
        })
    }

    async fn undo(
        &self,
        workflow: &RecoverInstance,
        task: &TaskContext<'_, RecoverInstance>,
    ) -> Result<(), StepError> {
        let params = task.params();
        workflow.0.store.write(|writer| {
            writer.set_node_state(&params.lost_node, NodeState::Running)?;
            serve(writer, params, &params.node_id, None, NodeState::Scratch)
        })
    }
}

/// Writes whom the new node serves, and by which node the instance is served then.
fn serve(
    writer: &Writer<'_>,
    params: &RecoverInstanceParams,
    node_id: &NodeId,
    served: Option<&InstanceId>,
    state: NodeState,
) -> Result<(), StepError> {
    let gone = || StepError::permanent(FAILED_INSIDE, "the instance or the node is gone");
    let instance = writer.instance(&params.instance_id)?.ok_or_else(gone)?;
    let node = writer.node(node_id)?.ok_or_else(gone)?;
    writer.update_node(&Node {
        instance_id: served.cloned(),
        state,
        ..node
    })?;
    let serving = match served {
        Some(_) => node_id,
        None => &params.lost_node,
    };
    writer.update_instance(&Instance {
        node_id: Some(serving.clone()),
        ..instance
    })?;
    Ok(())
}

/// The node is as the instance wants it: sizes, lock, accounts.
struct SettleNode;

#[async_trait]
impl Step<RecoverInstance> for SettleNode {
    const NAME: &'static str = "settle-node";
    const TITLE: &'static str = "Setting up accounts and sizes on the node";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(
        &self,
        workflow: &RecoverInstance,
        task: &TaskContext<'_, RecoverInstance>,
    ) -> Result<(), StepError> {
        let (parts, id) = (&workflow.0, &task.params().instance_id);
        let node_id = &task.params().node_id;
        loading::start(parts, node_id).await?;
        let gone = || StepError::permanent(FAILED_INSIDE, "the node's row is gone");
        let node = parts.store.read(|reader| reader.node(node_id))?;
        apply_settings(parts, node_id, &node.ok_or_else(gone)?.settings).await?;
        parts.enforce_lock(id).await?;
        parts.restore_accounts(&super::instance(parts, id)?).await?;
        Ok(())
    }

    // All of it goes with the node.
}

/// Clients get in. Had this an undo, it would take back what they were told is committed.
struct AdmitClients;

#[async_trait]
impl Step<RecoverInstance> for AdmitClients {
    const NAME: &'static str = "admit-clients";
    const TITLE: &'static str = "Letting clients in";
    type Output = ();

    async fn run(
        &self,
        workflow: &RecoverInstance,
        task: &TaskContext<'_, RecoverInstance>,
    ) -> Result<(), StepError> {
        let (parts, id) = (&workflow.0, &task.params().instance_id);
        parts
            .store
            .write(|writer| writer.set_instance_status(id, ObjectStatus::Modify))?;
        Ok(parts.publish(id)?)
    }
}
