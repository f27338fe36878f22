//! RestoreDatabase: a new instance with the content of a backup set, compared with it before
//! anybody may call it restored, and brought forward to a point in time or a transaction if one is asked for.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use openpeta_engine::{HeldByAccount, ReplayRange, ReplayUntil};
use openpeta_rpc_api::Action;
use openpeta_store::{Account, Grant, Task, Writer};
use openpeta_tasks::{RetryPolicy, Step, StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::{
    AccountName, AccountType, BackupId, DbName, Gtid, InstanceId, NodeId, Secret,
};
use serde::{Deserialize, Serialize};

use super::engine_error;
use super::loading::{self, CheckSet, CompareContent, LoadSet, LoadsSet, RETRY, SetSource};
use super::meter::Meter;
use super::new_instance::{
    self, CheckLogin, CreateNode, MakesInstance, NewInstanceParams, OpenEndpoint, StartNode,
};
use crate::backups::Moment;
use crate::parts::Parts;
use crate::recycle_bin::RecycledContent;

/// Restores a set into a new instance.
pub(crate) struct RestoreDatabase(pub(super) Arc<Parts>);

/// Which set, into which instance.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RestoreDatabaseParams {
    pub(crate) instance: NewInstanceParams,
    pub(crate) db_name: DbName,
    pub(crate) source_instance_id: InstanceId,
    pub(crate) backup_id: BackupId,
    pub(crate) manifest_sha256: String,
    /// What was committed before that second is wanted as well.
    #[serde(default)]
    pub(crate) until: Option<Timestamp>,
    /// What was committed before that transaction is wanted as well.
    #[serde(default)]
    pub(crate) before: Option<Gtid>,
    /// What was committed up to that transaction is wanted as well.
    #[serde(default)]
    pub(crate) through: Option<Gtid>,
    /// What was committed up to that moment of all nodes is wanted as well.
    #[serde(default)]
    pub(crate) moment: Option<Moment>,
    /// The accounts of the source are wanted, which the new instance has by the store.
    #[serde(default)]
    pub(crate) with_accounts: bool,
}

impl RestoreDatabaseParams {
    /// How far to go beyond the set.
    fn end(&self) -> Option<ReplayUntil> {
        let before = self.before.map(ReplayUntil::Before);
        let through = self.through.map(ReplayUntil::Through);
        before.or(through).or(self.until.map(ReplayUntil::Second))
    }
}

impl MakesInstance for RestoreDatabase {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn instance(params: &RestoreDatabaseParams) -> &NewInstanceParams {
        &params.instance
    }
}

impl Workflow for RestoreDatabase {
    const NAME: &'static str = "restore-database";
    const IS_LONG: bool = true;
    type Params = RestoreDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(CheckSet),
            undoable(CreateNode),
            undoable(StartNode),
            undoable(LoadSet),
            undoable(CompareContent),
            undoable(ReplayLog),
            undoable(MakeAccounts),
            undoable(OpenEndpoint),
            undoable(CheckLogin),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        new_instance::activate(&self.0, writer, &task.params().instance)
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        let action = Action::RestoreDatabase.name();
        new_instance::remove(&self.0, writer, &task.params().instance, action)
    }
}

impl LoadsSet for RestoreDatabase {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn source(params: &RestoreDatabaseParams) -> SetSource<'_> {
        SetSource {
            instance_id: &params.source_instance_id,
            db_name: &params.db_name,
            backup_id: params.backup_id,
            manifest_sha256: &params.manifest_sha256,
        }
    }

    fn nodes(params: &RestoreDatabaseParams) -> Vec<NodeId> {
        let nodes = params.instance.nodes().into_iter();
        nodes.map(|node| node.node_id).collect()
    }
}

/// What was committed since the set is there as well, and events run.
struct ReplayLog;

#[async_trait]
impl Step<RestoreDatabase> for ReplayLog {
    const NAME: &'static str = "replay-log";
    const TITLE: &'static str = "Applying the binary log";
    const WEIGHT: u32 = 20;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = ();

    async fn run(
        &self,
        workflow: &RestoreDatabase,
        task: &TaskContext<'_, RestoreDatabase>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let nodes = RestoreDatabase::nodes(params);
        loading::start_all(parts, &nodes).await?;
        if let Some(until) = params.end() {
            replay(parts, task, params, until).await?;
        }
        if let Some(moment) = &params.moment {
            replay_to_moment(parts, task, params, moment).await?;
        }
        for node in &nodes {
            let finished = parts.engine.finish_load(node).await;
            finished.map_err(engine_error)?;
        }
        Ok(())
    }
}

async fn replay(
    parts: &Parts,
    task: &TaskContext<'_, RestoreDatabase>,
    params: &RestoreDatabaseParams,
    until: ReplayUntil,
) -> Result<(), StepError> {
    let (engine, node) = (&parts.engine, &params.instance.node_id);
    let set = RestoreDatabase::source(params);
    let manifest = set.manifest(parts)?;
    // What was interrupted may have applied anything.
    if engine.is_replay_begun(node).map_err(engine_error)? {
        let ended = engine.end_replay(node, &params.db_name).await;
        ended.map_err(engine_error)?;
        let nodes = RestoreDatabase::nodes(params);
        loading::load_set(parts, task, &set, &nodes).await?;
        loading::compare_set(parts, task, &set, &nodes).await?;
    }
    let source = NodeId::parse(&manifest.binlog.node)
        .map_err(|error| StepError::permanent("The backup set is damaged.", error))?;
    // The time may be that of what was written just now.
    if !parts.archive_log(&source, &params.source_instance_id).await {
        return Err(StepError::transient("the binary log cannot be archived"));
    }
    // Something may have been lost since the call.
    parts
        .complete_log(&source, &params.source_instance_id)
        .await;
    let range = ReplayRange {
        archive: &parts.log_archive(&source),
        from: &manifest.binlog,
        until,
    };
    let meter = Meter::new();
    let progress = |done: u64, total: u64, what: &str| {
        meter.tell(task, (done, total), &format!("Applying {what}"));
    };
    let replayed = engine
        .replay_log(node, &params.db_name, range, &progress)
        .await
        .map_err(engine_error)?;
    tracing::info!(%node, groups = replayed.groups, gtid = replayed.gtid, "the binary log is applied");
    Ok(())
}

/// Applies to each node what the log of its source says up to a moment.
async fn replay_to_moment(
    parts: &Parts,
    task: &TaskContext<'_, RestoreDatabase>,
    params: &RestoreDatabaseParams,
    moment: &Moment,
) -> Result<(), StepError> {
    let (engine, nodes) = (&parts.engine, RestoreDatabase::nodes(params));
    let set = RestoreDatabase::source(params);
    // What was interrupted may have applied anything, on any of them.
    let begun = nodes.iter().map(|node| engine.is_replay_begun(node));
    let begun: Result<Vec<_>, _> = begun.collect();
    if begun.map_err(engine_error)?.contains(&true) {
        for node in &nodes {
            let ended = engine.end_replay(node, &params.db_name).await;
            ended.map_err(engine_error)?;
        }
        loading::load_set(parts, task, &set, &nodes).await?;
        loading::compare_set(parts, task, &set, &nodes).await?;
    }
    for begin in set.manifest(parts)?.binlogs() {
        let source = NodeId::parse(&begin.node)
            .map_err(|error| StepError::permanent("The backup set is damaged.", error))?;
        if !parts.archive_log(&source, &params.source_instance_id).await {
            return Err(StepError::transient("the binary log cannot be archived"));
        }
        parts
            .complete_log(&source, &params.source_instance_id)
            .await;
    }
    loading::replay_to_moment(parts, task, &set, &nodes, moment).await
}

/// Accounts that came along are on the node. They go with it.
struct MakeAccounts;

#[async_trait]
impl Step<RestoreDatabase> for MakeAccounts {
    const NAME: &'static str = "make-accounts";
    const TITLE: &'static str = "Making the accounts";
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = ();

    async fn run(
        &self,
        workflow: &RestoreDatabase,
        task: &TaskContext<'_, RestoreDatabase>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        if !params.with_accounts {
            return Ok(());
        }
        let nodes = RestoreDatabase::nodes(params);
        loading::start_all(parts, &nodes).await?;
        let id = &params.instance.instance_id;
        let instance = super::instance(parts, id)?;
        let accounts = parts.accounts_with_grants(id)?;
        for (account, grants) in &accounts {
            parts.apply_account(&instance, account, grants).await?;
        }
        let granted = granted_at_source(parts, params, &accounts).await?;
        for node in &nodes {
            let mut sql = parts.engine.sql(node).await.map_err(engine_error)?;
            for (account, held) in &granted {
                sql.set_held(account, held).await.map_err(engine_error)?;
            }
            sql.close().await;
        }
        Ok(())
    }
}

/// What the source's node says of accounts and the database: some was granted by SQL. Of a
/// deleted one the recycle bin has what it said. Of an instance that is gone since, what the API
/// granted is left.
async fn granted_at_source(
    parts: &Parts,
    params: &RestoreDatabaseParams,
    accounts: &[(Account, Vec<Grant>)],
) -> Result<Vec<(AccountName, HeldByAccount)>, StepError> {
    let backup_id = params.backup_id;
    let recycled = parts.store.read(|reader| {
        let is_recycled = reader.recycled_set(backup_id)?.is_some();
        is_recycled
            .then(|| reader.recycled_content(backup_id))
            .transpose()
    })?;
    if let Some(content) = recycled {
        let content = RecycledContent::from_text(&content)?;
        return Ok(content.held().collect());
    }
    let source = &params.source_instance_id;
    let found = parts.store.read(|reader| reader.instance(source))?;
    let Some(node) = found.and_then(|instance| instance.node_id) else {
        tracing::warn!(instance = %source, "the source of a restore is gone; grants made by SQL are not restored");
        return Ok(Vec::new());
    };
    let mut sql = parts.engine.sql(&node).await.map_err(engine_error)?;
    let present = sql.accounts().await.map_err(engine_error)?;
    let mut granted = Vec::new();
    for (account, _) in accounts {
        // One of type Super has everything.
        if account.account_type == AccountType::Normal && present.contains(&account.name) {
            let held = sql.held_by(&account.name).await.map_err(engine_error)?;
            granted.push((account.name.clone(), held.only_on(&params.db_name)));
        }
    }
    sql.close().await;
    Ok(granted)
}

/// Whether a task restores a set.
pub(crate) fn is_restore(task: &Task) -> bool {
    task.workflow == RestoreDatabase::NAME
}

/// The set that such a task restores, by its parameters.
pub(crate) fn set_of(params: &Secret) -> Option<BackupId> {
    let params: RestoreDatabaseParams = serde_json::from_str(params.expose()).ok()?;
    Some(params.backup_id)
}
