//! SwitchBackupDatabase: two instances swap their nodes. Clients are out while it is done; the
//! accounts, sizes and locks follow the instances.
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
use super::{FAILED_INSIDE, engine_error};
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

/// An instance with the node that served it when the switch was decided.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SwitchedInstance {
    pub(crate) instance_id: InstanceId,
    pub(crate) node_id: NodeId,
}

impl SwitchBackupDatabaseParams {
    fn instances(&self) -> [&InstanceId; 2] {
        [&self.source.instance_id, &self.new.instance_id]
    }

    fn nodes(&self) -> [&NodeId; 2] {
        [&self.source.node_id, &self.new.node_id]
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

/// Both nodes run and hold the database alone. Asked before anybody is shut out.
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
    let started = parts.engine.start_node(&side.node_id).await;
    started.map_err(engine_error)?;
    let mut sql = parts
        .engine
        .sql(&side.node_id)
        .await
        .map_err(engine_error)?;
    let databases = sql.databases().await;
    sql.close().await;
    let databases = databases.map_err(engine_error)?;
    match databases.iter().find(|name| *name != db_name.as_str()) {
        None => Ok(()),
        Some(other) => {
            let id = &side.instance_id;
            let message = format!("Instance {id} has another database, made by SQL: {other}.");
            Err(StepError::permanent(&message, message.clone()))
        }
    }
}

/// No client is in either instance, and none gets in.
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
        // What the gateway has let go of may still be running on the node.
        for node in params.nodes() {
            let mut sql = parts.engine.sql(node).await.map_err(engine_error)?;
            let ended = sql.end_sessions().await;
            sql.close().await;
            ended.map_err(engine_error)?;
        }
        Ok(())
    }

    async fn undo(
        &self,
        workflow: &SwitchBackupDatabase,
        task: &TaskContext<'_, SwitchBackupDatabase>,
    ) -> Result<(), StepError> {
        admit(&workflow.0, task.params())
    }
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

/// By the store, each instance is served by the other's node.
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
        workflow.0.store.write(|writer| {
            assign(writer, &source.instance_id, &new.node_id)?;
            assign(writer, &new.instance_id, &source.node_id)
        })
    }

    async fn undo(
        &self,
        workflow: &SwitchBackupDatabase,
        task: &TaskContext<'_, SwitchBackupDatabase>,
    ) -> Result<(), StepError> {
        let SwitchBackupDatabaseParams { source, new, .. } = task.params();
        workflow.0.store.write(|writer| {
            assign(writer, &source.instance_id, &source.node_id)?;
            assign(writer, &new.instance_id, &new.node_id)
        })?;
        // Before the accounts were read nothing was changed on the nodes.
        match task.try_output::<ReadAccounts>()? {
            Some(held) => settle(&workflow.0, task.params(), &held).await,
            None => Ok(()),
        }
    }
}

/// Writes that a node serves an instance, with what that instance's database is worth.
fn assign(
    writer: &Writer<'_>,
    instance_id: &InstanceId,
    node_id: &NodeId,
) -> Result<(), StepError> {
    let gone = || StepError::permanent(FAILED_INSIDE, "the instance or the node is gone");
    let instance = writer.instance(instance_id)?.ok_or_else(gone)?;
    let node = writer.node(node_id)?.ok_or_else(gone)?;
    let databases = writer.databases(instance_id)?;
    let spec = |database: &Database| database.node_spec.clone();
    writer.update_node(&Node {
        instance_id: Some(instance_id.clone()),
        node_spec: databases.first().map(spec),
        ..node
    })?;
    writer.update_instance(&Instance {
        node_id: Some(node_id.clone()),
        ..instance
    })?;
    recount(writer, instance_id)
}

/// Both nodes are as the instances want them that they serve now.
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
    settle_node(parts, &params.source.instance_id, &held.source).await?;
    settle_node(parts, &params.new.instance_id, &held.new).await
}

/// Gives the node of an instance the instance's sizes, lock and accounts, and these what they
/// held on the instance's former node. May be repeated.
async fn settle_node(
    parts: &Parts,
    id: &InstanceId,
    held: &[(AccountName, HeldByAccount)],
) -> Result<(), StepError> {
    let instance = super::instance(parts, id)?;
    let node_id = super::node_of(parts, id)?;
    let gone = || StepError::permanent(FAILED_INSIDE, "the node's row is gone");
    let node = parts.store.read(|reader| reader.node(&node_id))?;
    let settings = node.ok_or_else(gone)?.settings;
    let started = parts.engine.start_node(&node_id).await;
    started.map_err(engine_error)?;
    apply_settings(parts, &node_id, &settings).await?;
    // The lock that the instance has now, whatever the node was told for the other one.
    parts.enforce_lock(id).await?;
    let mut sql = parts.engine.sql(&node_id).await.map_err(engine_error)?;
    let own = parts.store.read(|reader| reader.accounts(id))?;
    for account in sql.accounts().await.map_err(engine_error)? {
        if !own.iter().any(|known| known.name == account) {
            sql.drop_account(&account).await.map_err(engine_error)?;
        }
    }
    parts.restore_accounts(&instance).await?;
    for (account, held) in held {
        sql.set_held(account, held).await.map_err(engine_error)?;
    }
    sql.close().await;
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
