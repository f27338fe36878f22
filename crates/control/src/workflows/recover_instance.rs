//! RecoverInstance: an instance whose data is lost, on one of its nodes or on all, gets new nodes with the
//! content of its backup sets, compared with them before anybody may call it recovered. Id, endpoints,
//! accounts, sizes and lock stay as they are in the store. Clients are out until all is done.
//!
//! Where one node of several is lost, the others are replaced as well: what they have is of a later time
//! than what comes back.

use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use openpeta_engine::{BinlogPosition, LogAfter, ReplayRange, ReplayUntil};
use openpeta_store::{Database, Instance, NewEvent, Node, NodeState, Writer};
use openpeta_tasks::{
    RetryPolicy, Step, StepEntry, StepError, TaskContext, Workflow, forward, undoable,
};
use openpeta_types::{BackupId, DbName, EventKind, InstanceId, NodeId, NodeSettings, ObjectStatus};
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
    /// The first node, which goes.
    pub(crate) lost_node: NodeId,
    /// Nodes 1, 2 …, which go.
    #[serde(default)]
    pub(crate) lost_further: Vec<NodeId>,
    /// The node in the place of the first one. Its row is there already.
    pub(crate) node_id: NodeId,
    /// Those in the places of the further ones; as many as the sets are of.
    #[serde(default)]
    pub(crate) further: Vec<NodeId>,
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
    /// How it was spread.
    #[serde(default)]
    pub(crate) before: Spread,
    /// How its set is, and so it will be.
    #[serde(default)]
    pub(crate) after: Spread,
}

/// On how many nodes a database is, and on which of them each partition; no partitions when it is whole
/// on one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) node_number: u32,
    pub(crate) partitions: Vec<u16>,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            node_number: 1,
            partitions: Vec::new(),
        }
    }
}

impl RecoverInstanceParams {
    /// The sets, and the nodes that each is loaded into.
    fn sets(&self) -> impl Iterator<Item = (SetSource<'_>, Vec<NodeId>)> {
        self.databases.iter().map(|database| {
            let source = SetSource {
                instance_id: &self.instance_id,
                db_name: &database.db_name,
                backup_id: database.backup_id,
                manifest_sha256: &database.manifest_sha256,
            };
            let nodes = self.nodes().take(database.after.node_number as usize);
            (source, nodes.cloned().collect())
        })
    }

    /// All new nodes, by number.
    fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        std::iter::once(&self.node_id).chain(&self.further)
    }

    /// All nodes that go, by number.
    fn lost_nodes(&self) -> impl Iterator<Item = &NodeId> {
        std::iter::once(&self.lost_node).chain(&self.lost_further)
    }

    /// Up to when the logs are applied; `None` if they are not.
    fn until(&self) -> Option<Timestamp> {
        match self.log {
            ReplayedLog::Nothing => None,
            ReplayedLog::Before(time) => Some(time),
            ReplayedLog::Everything => Some(Timestamp::MAX),
        }
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
    /// What is to be told of the log that was applied to a set, if it was not all of it.
    fn remark_on_log(&self, set: &SetSource<'_>, until: Timestamp) -> Option<String> {
        let (manifest, id) = (set.manifest(self).ok()?, set.backup_id);
        if manifest.spread.is_some() {
            let moment = self.last_moment_after(&manifest, set.db_name, until).ok()?;
            return Some(match moment {
                Some(moment) => format!("{} is as of {:.3}", set.db_name, moment.at),
                None => format!("no moment of all nodes is known after backup set {id}"),
            });
        }
        let node = NodeId::parse(&manifest.binlog.node).ok()?;
        let archive = self.log_archive(&node);
        let after = self.engine.archive_after(&archive, &manifest.binlog).ok()?;
        let is_older = after == LogAfter::EndsBefore;
        is_older.then(|| format!("the archived binary log ends before backup set {id}"))
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
        for lost in params.lost_nodes() {
            writer.delete_node(lost)?;
        }
        writer.set_instance_status(id, ObjectStatus::Active)?;
        let mut text = format!("{id} is ACTIVE again: it was recovered from its backups");
        if let Some(until) = params.until() {
            for (set, _) in params.sets() {
                if let Some(remark) = self.0.remark_on_log(&set, until) {
                    let _ = write!(text, "; {remark}");
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
        for node in params.nodes() {
            writer.delete_node(node)?;
        }
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
        // Some may be in by a node that is there yet.
        workflow.0.publish(&task.params().instance_id)?;
        for (set, _) in task.params().sets() {
            set.check(&workflow.0, task).await?;
        }
        Ok(())
    }
}

/// Data directories with the settings of the lost ones.
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
        let parts = &workflow.0;
        for node_id in task.params().nodes() {
            let settings = settings_of(parts, node_id)?;
            let created = parts.engine.create_node(node_id, &settings).await;
            created.map_err(engine_error)?;
        }
        Ok(())
    }

    async fn undo(
        &self,
        workflow: &RecoverInstance,
        task: &TaskContext<'_, RecoverInstance>,
    ) -> Result<(), StepError> {
        for node_id in task.params().nodes() {
            let destroyed = workflow.0.engine.destroy_node(node_id).await;
            destroyed.map_err(engine_error)?;
        }
        Ok(())
    }
}

/// The settings that the store has for a node.
fn settings_of(parts: &Parts, node_id: &NodeId) -> Result<NodeSettings, StepError> {
    let node = parts.store.read(|reader| reader.node(node_id))?;
    let gone = || StepError::permanent(FAILED_INSIDE, "the node's row is gone");
    Ok(node.ok_or_else(gone)?.settings)
}

/// Has all new nodes run.
async fn start(parts: &Parts, params: &RecoverInstanceParams) -> Result<(), StepError> {
    for node in params.nodes() {
        loading::start(parts, node).await?;
    }
    Ok(())
}

/// Processes that accept connections. They go with the nodes.
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
        start(&workflow.0, task.params()).await
    }
}

/// The databases are on the nodes. They go with them.
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
        start(&workflow.0, task.params()).await?;
        load(&workflow.0, task).await
    }
}

async fn load(parts: &Parts, task: &TaskContext<'_, RecoverInstance>) -> Result<(), StepError> {
    for (set, nodes) in task.params().sets() {
        loading::load_set(parts, task, &set, &nodes).await?;
    }
    Ok(())
}

/// What is on the nodes is what the manifests say, to the last row.
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
        start(&workflow.0, task.params()).await?;
        compare(&workflow.0, task).await
    }
}

async fn compare(parts: &Parts, task: &TaskContext<'_, RecoverInstance>) -> Result<(), StepError> {
    for (set, nodes) in task.params().sets() {
        loading::compare_set(parts, task, &set, &nodes).await?;
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
        let (parts, params) = (&workflow.0, task.params());
        start(parts, params).await?;
        if let Some(until) = params.until() {
            replay(parts, task, until).await?;
        }
        for node in params.nodes() {
            let finished = parts.engine.finish_load(node).await;
            finished.map_err(engine_error)?;
        }
        Ok(())
    }
}

async fn replay(
    parts: &Parts,
    task: &TaskContext<'_, RecoverInstance>,
    until: Timestamp,
) -> Result<(), StepError> {
    let (engine, params) = (&parts.engine, task.params());
    // What was interrupted may have applied anything.
    let begun = params.nodes().map(|node| engine.is_replay_begun(node));
    let begun: Result<Vec<_>, _> = begun.collect();
    if begun.map_err(engine_error)?.contains(&true) {
        for (set, nodes) in params.sets() {
            for node in &nodes {
                let ended = engine.end_replay(node, set.db_name).await;
                ended.map_err(engine_error)?;
            }
        }
        load(parts, task).await?;
        compare(parts, task).await?;
    }
    for (set, nodes) in params.sets() {
        let manifest = set.manifest(parts)?;
        for begin in manifest.binlogs() {
            // Something may have been lost since the order.
            parts.fetch_log(&logged_node(&begin)?).await;
        }
        if manifest.spread.is_none() {
            replay_one(parts, task, &set, until).await?;
            continue;
        }
        let moment = parts.last_moment_after(&manifest, set.db_name, until)?;
        match moment {
            Some(moment) => {
                loading::replay_to_moment(parts, task, &set, &nodes, &moment).await?;
            }
            // The set has all of it, and more.
            None => {
                tracing::warn!(database = %set.db_name, backup = %set.backup_id, "no moment of all nodes is known after the backup set");
            }
        }
    }
    Ok(())
}

fn logged_node(position: &BinlogPosition) -> Result<NodeId, StepError> {
    NodeId::parse(&position.node)
        .map_err(|error| StepError::permanent("The backup set is damaged.", error))
}

/// Applies the log to a database that is whole on the first node.
async fn replay_one(
    parts: &Parts,
    task: &TaskContext<'_, RecoverInstance>,
    set: &SetSource<'_>,
    until: Timestamp,
) -> Result<(), StepError> {
    let (engine, node) = (&parts.engine, &task.params().node_id);
    let manifest = set.manifest(parts)?;
    let archive = parts.log_archive(&logged_node(&manifest.binlog)?);
    let after = engine.archive_after(&archive, &manifest.binlog);
    if after.map_err(engine_error)? == LogAfter::EndsBefore {
        // The set has all of it, and more.
        tracing::warn!(%node, database = %set.db_name, backup = %set.backup_id, "the archived binary log ends before the backup set");
        return Ok(());
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
    Ok(())
}

/// By the store, the new nodes serve the instance.
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
            // Of several nodes of number 0 the one serves that the instance's row names.
            for lost in params.lost_nodes() {
                change_node(writer, lost, |node| Node {
                    number: 0,
                    state: NodeState::Stopped,
                    ..node
                })?;
            }
            for (number, new) in (0..).zip(params.nodes()) {
                change_node(writer, new, |node| Node {
                    instance_id: Some(params.instance_id.clone()),
                    number,
                    state: NodeState::Running,
                    ..node
                })?;
            }
            serve(writer, params, &params.node_id)?;
            for database in &params.databases {
                place(&workflow.0, writer, params, database, &database.after)?;
            }
            recount(writer, &params.instance_id)
        })?;
        // What was half done on the nodes that were lost concerns nobody any more.
        workflow.0.gateway.forget(&params.instance_id);
        Ok(())
    }

    async fn undo(
        &self,
        workflow: &RecoverInstance,
        task: &TaskContext<'_, RecoverInstance>,
    ) -> Result<(), StepError> {
        let params = task.params();
        workflow.0.store.write(|writer| {
            for new in params.nodes() {
                change_node(writer, new, |node| Node {
                    instance_id: None,
                    state: NodeState::Scratch,
                    ..node
                })?;
            }
            for (number, lost) in (0..).zip(params.lost_nodes()) {
                change_node(writer, lost, |node| Node {
                    number,
                    state: NodeState::Running,
                    ..node
                })?;
            }
            serve(writer, params, &params.lost_node)?;
            for database in &params.databases {
                place(&workflow.0, writer, params, database, &database.before)?;
            }
            recount(writer, &params.instance_id)
        })
    }
}

fn change_node(
    writer: &Writer<'_>,
    node_id: &NodeId,
    change: impl FnOnce(Node) -> Node,
) -> Result<(), StepError> {
    let gone = || StepError::permanent(FAILED_INSIDE, "a node is gone");
    let node = writer.node(node_id)?.ok_or_else(gone)?;
    Ok(writer.update_node(&change(node))?)
}

/// Writes which node is the instance's first one.
fn serve(
    writer: &Writer<'_>,
    params: &RecoverInstanceParams,
    node_id: &NodeId,
) -> Result<(), StepError> {
    let gone = || StepError::permanent(FAILED_INSIDE, "the instance is gone");
    let instance = writer.instance(&params.instance_id)?.ok_or_else(gone)?;
    writer.update_instance(&Instance {
        node_id: Some(node_id.clone()),
        ..instance
    })?;
    Ok(())
}

/// Writes how a database is spread, if that differs from how it was: a set may be from before it got
/// other nodes.
fn place(
    parts: &Parts,
    writer: &Writer<'_>,
    params: &RecoverInstanceParams,
    recovered: &RecoveredDatabase,
    spread: &Spread,
) -> Result<(), StepError> {
    if recovered.before == recovered.after {
        return Ok(());
    }
    let (id, name) = (&params.instance_id, &recovered.db_name);
    let gone = || StepError::permanent(FAILED_INSIDE, "the database is gone");
    let database = writer.database(id, name)?.ok_or_else(gone)?;
    match spread.partitions.is_empty() {
        true => writer.delete_partitions(id, name)?,
        false => writer.put_partitions(id, name, &spread.partitions)?,
    }
    // Its nodes are paid for by their number.
    parts.settle_usage(writer, id, name, Timestamp::now())?;
    writer.update_database(&Database {
        node_number: spread.node_number,
        ..database
    })?;
    Ok(())
}

/// The nodes are as the instance wants them: sizes, lock, accounts.
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
        start(parts, task.params()).await?;
        for node_id in task.params().nodes() {
            apply_settings(parts, node_id, &settings_of(parts, node_id)?).await?;
        }
        parts.enforce_lock(id).await?;
        parts.restore_accounts(&super::instance(parts, id)?).await?;
        Ok(())
    }

    // All of it goes with the nodes.
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
        // Some may be there yet, when others were lost.
        for lost in task.params().lost_nodes() {
            let destroyed = parts.engine.destroy_node(lost).await;
            destroyed.map_err(engine_error)?;
        }
        parts.store.write(|writer| {
            for given_up in &task.params().without {
                writer.delete_partitions(id, given_up)?;
            }
            writer.set_instance_status(id, ObjectStatus::Modify)
        })?;
        Ok(parts.publish(id)?)
    }
}
