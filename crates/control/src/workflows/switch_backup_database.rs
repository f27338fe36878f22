//! SwitchBackupDatabase: two instances swap their nodes, all of them in one transaction of the store.
//! Clients are out while it is done; the accounts, sizes and locks follow the instances. Where
//! partitions are, and on how many nodes, goes with the content.
//!
//! Nobody is let in again before all is done, or undone. From then on clients write to what they
//! were promised, so that there is no way back any more.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use openpeta_engine::HeldByAccount;
use openpeta_store::{Database, Instance, Node, ReplacedContent, Writer};
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, forward, undoable};
use openpeta_types::{AccountName, DbName, InstanceId, NodeId, ObjectStatus};
use serde::{Deserialize, Serialize};

use super::resize_node::{apply_settings, recount};
use super::{FAILED_INSIDE, engine_error, sql_on};
use crate::parts::Parts;

/// Swaps the nodes of an instance and its restored copy.
pub(crate) struct SwitchBackupDatabase(pub(super) Arc<Parts>);

/// Which ones, and which nodes they had.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SwitchBackupDatabaseParams {
    pub(crate) source: SwitchedInstance,
    pub(crate) new: SwitchedInstance,
    pub(crate) db_name: DbName,
    /// The new instance goes by itself once its days are over.
    #[serde(default)]
    pub(crate) releases_replaced: bool,
}

/// An instance with the nodes that served it when the switch was decided.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SwitchedInstance {
    pub(crate) instance_id: InstanceId,
    pub(crate) node_id: NodeId,
    /// Nodes 1, 2 … of a database that is spread over several.
    #[serde(default)]
    pub(crate) further: Vec<NodeId>,
    /// On which node each of its partitions is; none if it is whole on one.
    #[serde(default)]
    pub(crate) partitions: Vec<u16>,
}

impl SwitchedInstance {
    /// All nodes, by number.
    fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        std::iter::once(&self.node_id).chain(&self.further)
    }
}

impl SwitchBackupDatabaseParams {
    fn instances(&self) -> [&InstanceId; 2] {
        [&self.source.instance_id, &self.new.instance_id]
    }

    fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.source.nodes().chain(self.new.nodes())
    }
}

impl Workflow for SwitchBackupDatabase {
    const NAME: &'static str = "switch-backup-database";
    type Params = SwitchBackupDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(CheckNodes),
            undoable(CloseSessions),
            undoable(ReadAccounts),
            undoable(SwapNodes),
            undoable(SettleNodes),
            forward(AdmitClients),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let params = task.params();
        note_replaced(&self.0, writer, params)?;
        set_status(&self.0, writer, params, ObjectStatus::Active)
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        set_status(&self.0, writer, task.params(), ObjectStatus::Active)
    }
}

/// Writes for how long the content is kept that was replaced. What was known of either instance
/// is about the content that the other one has now.
fn note_replaced(
    parts: &Parts,
    writer: &Writer<'_>,
    params: &SwitchBackupDatabaseParams,
) -> Result<(), StepError> {
    for id in params.instances() {
        writer.keep_replaced_content(id)?;
    }
    let days = parts.config.backup.replaced_days;
    if params.releases_replaced && days > 0 {
        let now = Timestamp::now();
        writer.put_replaced_content(&ReplacedContent {
            instance_id: params.new.instance_id.clone(),
            served_by: params.source.instance_id.clone(),
            replaced_at: now,
            release_at: now + SignedDuration::from_hours(24 * i64::from(days)),
        })?;
    }
    Ok(())
}

/// Sets the status of both instances and has the gateway follow: in MIGRATE nobody gets in. Once
/// they are ACTIVE, so are their databases.
fn set_status(
    parts: &Arc<Parts>,
    writer: &Writer<'_>,
    params: &SwitchBackupDatabaseParams,
    status: ObjectStatus,
) -> Result<(), StepError> {
    for id in params.instances() {
        writer.set_instance_status(id, status)?;
        if status == ObjectStatus::Active {
            writer.set_database_status(id, &params.db_name, status)?;
        }
        parts.publish_after_commit(writer, id);
    }
    Ok(())
}

/// All nodes run and hold the database alone. Asked before anybody is shut out.
struct CheckNodes;

#[async_trait]
impl Step<SwitchBackupDatabase> for CheckNodes {
    const NAME: &'static str = "check-nodes";
    const TITLE: &'static str = "Checking the nodes";
    type Output = ();

    async fn run(
        &self,
        workflow: &SwitchBackupDatabase,
        task: &TaskContext<'_, SwitchBackupDatabase>,
    ) -> Result<(), StepError> {
        let params = task.params();
        for side in [&params.source, &params.new] {
            require_alone(&workflow.0, side, &params.db_name).await?;
        }
        Ok(())
    }
}

/// Refuses an instance with a database that its users made by SQL: it would go with the node.
async fn require_alone(
    parts: &Parts,
    side: &SwitchedInstance,
    db_name: &DbName,
) -> Result<(), StepError> {
    for node in side.nodes() {
        let started = parts.engine.start_node(node).await;
        started.map_err(engine_error)?;
        let mut sql = parts.engine.sql(node).await.map_err(engine_error)?;
        let databases = sql.databases().await;
        sql.close().await;
        let databases = databases.map_err(engine_error)?;
        if let Some(other) = databases.iter().find(|name| *name != db_name.as_str()) {
            let id = &side.instance_id;
            let message = format!("Instance {id} has another database, made by SQL: {other}.");
            return Err(StepError::permanent(&message, message.clone()));
        }
    }
    Ok(())
}

/// No client is in either instance, and none gets in. What they had half done over several nodes is
/// done or undone on all of them, for it is noted under the instance that had the nodes.
struct CloseSessions;

#[async_trait]
impl Step<SwitchBackupDatabase> for CloseSessions {
    const NAME: &'static str = "close-sessions";
    const TITLE: &'static str = "Ending the sessions of both instances";
    type Output = ();

    async fn run(
        &self,
        workflow: &SwitchBackupDatabase,
        task: &TaskContext<'_, SwitchBackupDatabase>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        parts
            .store
            .write(|writer| set_status(parts, writer, params, ObjectStatus::Migrate))?;
        for id in params.instances() {
            parts.publish(id)?;
        }
        end_sessions(parts, params).await?;
        for id in params.instances() {
            parts.leave_nodes(id).await?;
        }
        // One of the coordinator may have connected to another node meanwhile.
        end_sessions(parts, params).await
    }

    async fn undo(
        &self,
        workflow: &SwitchBackupDatabase,
        task: &TaskContext<'_, SwitchBackupDatabase>,
    ) -> Result<(), StepError> {
        admit(&workflow.0, task.params())
    }
}

/// What the gateway has let go of may still be running on the nodes.
async fn end_sessions(parts: &Parts, params: &SwitchBackupDatabaseParams) -> Result<(), StepError> {
    for node in params.nodes() {
        let mut sql = parts.engine.sql(node).await.map_err(engine_error)?;
        let ended = sql.end_sessions().await;
        sql.close().await;
        ended.map_err(engine_error)?;
    }
    Ok(())
}

/// Lets clients in by the nodes that the instances have now.
fn admit(parts: &Arc<Parts>, params: &SwitchBackupDatabaseParams) -> Result<(), StepError> {
    parts
        .store
        .write(|writer| set_status(parts, writer, params, ObjectStatus::Modify))?;
    for id in params.instances() {
        parts.publish(id)?;
    }
    Ok(())
}

/// What the accounts of both instances have been granted.
#[derive(Serialize, Deserialize)]
struct Held {
    source: Vec<(AccountName, HeldByAccount)>,
    new: Vec<(AccountName, HeldByAccount)>,
}

/// What was granted by SQL is known, for it stands on the nodes alone.
struct ReadAccounts;

#[async_trait]
impl Step<SwitchBackupDatabase> for ReadAccounts {
    const NAME: &'static str = "read-accounts";
    const TITLE: &'static str = "Reading what the accounts have been granted";
    type Output = Held;

    async fn run(
        &self,
        workflow: &SwitchBackupDatabase,
        task: &TaskContext<'_, SwitchBackupDatabase>,
    ) -> Result<Held, StepError> {
        let (parts, params) = (&workflow.0, task.params());
        // One may have been made since the first look; from now on none can be.
        for side in [&params.source, &params.new] {
            require_alone(parts, side, &params.db_name).await?;
        }
        Ok(Held {
            source: read_held(parts, &params.source).await?,
            new: read_held(parts, &params.new).await?,
        })
    }
}

async fn read_held(
    parts: &Parts,
    side: &SwitchedInstance,
) -> Result<Vec<(AccountName, HeldByAccount)>, StepError> {
    let accounts = parts
        .store
        .read(|reader| reader.accounts(&side.instance_id))?;
    let mut sql = parts
        .engine
        .sql(&side.node_id)
        .await
        .map_err(engine_error)?;
    let present = sql.accounts().await.map_err(engine_error)?;
    let mut held = Vec::with_capacity(accounts.len());
    // One that was dropped by SQL gets what the API granted.
    for account in accounts {
        if present.contains(&account.name) {
            let its = sql.held_by(&account.name).await.map_err(engine_error)?;
            held.push((account.name, its));
        }
    }
    sql.close().await;
    Ok(held)
}

/// By the store, each instance is served by the other's nodes.
struct SwapNodes;

#[async_trait]
impl Step<SwitchBackupDatabase> for SwapNodes {
    const NAME: &'static str = "swap-nodes";
    const TITLE: &'static str = "Swapping the nodes";
    type Output = ();

    async fn run(
        &self,
        workflow: &SwitchBackupDatabase,
        task: &TaskContext<'_, SwitchBackupDatabase>,
    ) -> Result<(), StepError> {
        let SwitchBackupDatabaseParams { source, new, .. } = task.params();
        let served = [(&source.instance_id, new), (&new.instance_id, source)];
        assign(&workflow.0, task.params(), served)
    }

    async fn undo(
        &self,
        workflow: &SwitchBackupDatabase,
        task: &TaskContext<'_, SwitchBackupDatabase>,
    ) -> Result<(), StepError> {
        let SwitchBackupDatabaseParams { source, new, .. } = task.params();
        let served = [(&source.instance_id, source), (&new.instance_id, new)];
        assign(&workflow.0, task.params(), served)?;
        // Before the accounts were read nothing was changed on the nodes.
        match task.try_output::<ReadAccounts>()? {
            Some(held) => settle(&workflow.0, task.params(), &held).await,
            None => Ok(()),
        }
    }
}

/// Writes whose nodes serve each instance, with what that instance's database is worth.
fn assign(
    parts: &Parts,
    params: &SwitchBackupDatabaseParams,
    served: [(&InstanceId, &SwitchedInstance); 2],
) -> Result<(), StepError> {
    parts.store.write(|writer| {
        for (id, side) in served {
            assign_one(parts, writer, (id, &params.db_name), side)?;
        }
        // The nodes of either are all there are of it only now.
        for (id, _) in served {
            recount(writer, id)?;
        }
        Ok(())
    })
}

fn assign_one(
    parts: &Parts,
    writer: &Writer<'_>,
    (instance_id, db_name): (&InstanceId, &DbName),
    side: &SwitchedInstance,
) -> Result<(), StepError> {
    let gone = || StepError::permanent(FAILED_INSIDE, "the instance or a node is gone");
    let instance = writer.instance(instance_id)?.ok_or_else(gone)?;
    let database = writer.database(instance_id, db_name)?.ok_or_else(gone)?;
    for node_id in side.nodes() {
        let node = writer.node(node_id)?.ok_or_else(gone)?;
        writer.update_node(&Node {
            instance_id: Some(instance_id.clone()),
            node_spec: Some(database.node_spec.clone()),
            ..node
        })?;
    }
    writer.update_instance(&Instance {
        node_id: Some(side.node_id.clone()),
        ..instance
    })?;
    match side.partitions.is_empty() {
        true => writer.delete_partitions(instance_id, db_name)?,
        false => writer.put_partitions(instance_id, db_name, &side.partitions)?,
    }
    let node_number = u32::try_from(side.nodes().count()).unwrap_or(u32::MAX);
    if node_number != database.node_number {
        // They are paid for by their number.
        parts.settle_usage(writer, instance_id, db_name, Timestamp::now())?;
        writer.update_database(&Database {
            node_number,
            ..database
        })?;
    }
    Ok(())
}

/// All nodes are as the instances want them that they serve now.
struct SettleNodes;

#[async_trait]
impl Step<SwitchBackupDatabase> for SettleNodes {
    const NAME: &'static str = "settle-nodes";
    const TITLE: &'static str = "Setting up accounts and sizes on the nodes";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(
        &self,
        workflow: &SwitchBackupDatabase,
        task: &TaskContext<'_, SwitchBackupDatabase>,
    ) -> Result<(), StepError> {
        let held = task.output::<ReadAccounts>()?;
        settle(&workflow.0, task.params(), &held).await
    }

    // The undo of the step before settles them anew, once they serve their former instances.
}

async fn settle(
    parts: &Parts,
    params: &SwitchBackupDatabaseParams,
    held: &Held,
) -> Result<(), StepError> {
    settle_nodes(parts, &params.source.instance_id, &held.source).await?;
    settle_nodes(parts, &params.new.instance_id, &held.new).await
}

/// Gives the nodes of an instance the instance's sizes, lock and accounts, and these what they
/// held on the instance's former ones. May be repeated.
async fn settle_nodes(
    parts: &Parts,
    id: &InstanceId,
    held: &[(AccountName, HeldByAccount)],
) -> Result<(), StepError> {
    let instance = super::instance(parts, id)?;
    let nodes = parts.nodes_of(id)?;
    for node in &nodes {
        let started = parts.engine.start_node(&node.node_id).await;
        started.map_err(engine_error)?;
        apply_settings(parts, &node.node_id, &node.settings).await?;
    }
    // The lock that the instance has now, whatever the nodes were told for the other one.
    parts.enforce_lock(id).await?;
    let own = parts.store.read(|reader| reader.accounts(id))?;
    for node in &nodes {
        let mut sql = sql_on(parts, node).await?;
        for account in sql.accounts().await.map_err(engine_error)? {
            if !own.iter().any(|known| known.name == account) {
                sql.drop_account(&account).await.map_err(engine_error)?;
            }
        }
        sql.close().await;
    }
    parts.restore_accounts(&instance).await?;
    for node in &nodes {
        let mut sql = sql_on(parts, node).await?;
        for (account, held) in held {
            sql.set_held(account, held).await.map_err(engine_error)?;
        }
        sql.close().await;
    }
    Ok(())
}

/// Clients get in again. Had this an undo, it would take back what they were told is committed.
struct AdmitClients;

#[async_trait]
impl Step<SwitchBackupDatabase> for AdmitClients {
    const NAME: &'static str = "admit-clients";
    const TITLE: &'static str = "Letting clients in";
    type Output = ();

    async fn run(
        &self,
        workflow: &SwitchBackupDatabase,
        task: &TaskContext<'_, SwitchBackupDatabase>,
    ) -> Result<(), StepError> {
        admit(&workflow.0, task.params())
    }
}
