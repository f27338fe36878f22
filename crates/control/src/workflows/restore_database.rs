//! RestoreDatabase: a new instance with the content of a backup set, compared with it before
//! anybody may call it restored.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openpeta_engine::Manifest;
use openpeta_rpc_api::Action;
use openpeta_store::Writer;
use openpeta_tasks::{RetryPolicy, Step, StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::{BackupId, DbName, InstanceId};
use serde::{Deserialize, Serialize};

use super::new_instance::{
    self, CheckLogin, CreateNode, MakesInstance, NewInstanceParams, OpenEndpoint, StartNode,
};
use super::{engine_error, fraction};
use crate::parts::Parts;

/// A load or a comparison that failed for want of the node is begun anew.
const RETRY: RetryPolicy = RetryPolicy {
    attempts: 3,
    first_delay: Duration::from_secs(1),
    max_delay: Duration::from_secs(30),
};

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

impl RestoreDatabase {
    /// Where the set lies.
    fn set(&self, params: &RestoreDatabaseParams) -> PathBuf {
        let source = &params.source_instance_id;
        self.0.backup_dir(source, params.backup_id)
    }

    /// The set's manifest, after a look at all of its files.
    async fn manifest(&self, params: &RestoreDatabaseParams) -> Result<Manifest, StepError> {
        let set = self.set(params);
        let checked = self.0.engine.check_set(&set, &params.manifest_sha256);
        checked.await.map_err(engine_error)
    }

    /// Has the node run, whatever happened to it since it was started.
    async fn start(&self, params: &RestoreDatabaseParams) -> Result<(), StepError> {
        let started = self.0.engine.start_node(&params.instance.node_id).await;
        started.map(drop).map_err(engine_error)
    }
}

/// The files of the set are those that were written.
struct CheckSet;

#[async_trait]
impl Step<RestoreDatabase> for CheckSet {
    const NAME: &'static str = "check-set";
    const TITLE: &'static str = "Checking the backup set";
    const IS_INTERRUPTIBLE: bool = true;
    type Output = ();

    async fn run(
        &self,
        workflow: &RestoreDatabase,
        task: &TaskContext<'_, RestoreDatabase>,
    ) -> Result<(), StepError> {
        workflow.manifest(task.params()).await.map(drop)
    }
}

/// The database is on the node. It goes with the node.
struct LoadSet;

#[async_trait]
impl Step<RestoreDatabase> for LoadSet {
    const NAME: &'static str = "load-set";
    const TITLE: &'static str = "Loading the backup set";
    const WEIGHT: u32 = 20;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = ();

    async fn run(
        &self,
        workflow: &RestoreDatabase,
        task: &TaskContext<'_, RestoreDatabase>,
    ) -> Result<(), StepError> {
        let params = task.params();
        workflow.start(params).await?;
        let manifest = workflow.manifest(params).await?;
        let progress = |done: u64, total: u64, what: &str| {
            task.progress(fraction(done, total), &format!("Loading {what}"));
        };
        let (node, set) = (&params.instance.node_id, workflow.set(params));
        let engine = &workflow.0.engine;
        let loaded = engine
            .load_set(node, &params.db_name, &set, &manifest, &progress)
            .await;
        loaded.map_err(engine_error)
    }
}

/// What is on the node is what the manifest says, to the last row.
struct CompareContent;

#[async_trait]
impl Step<RestoreDatabase> for CompareContent {
    const NAME: &'static str = "compare-content";
    const TITLE: &'static str = "Comparing the content with the backup set";
    const WEIGHT: u32 = 10;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = ();

    async fn run(
        &self,
        workflow: &RestoreDatabase,
        task: &TaskContext<'_, RestoreDatabase>,
    ) -> Result<(), StepError> {
        let params = task.params();
        workflow.start(params).await?;
        let manifest = workflow.manifest(params).await?;
        let progress = |done: u64, total: u64, what: &str| {
            task.progress(fraction(done, total), &format!("Comparing table {what}"));
        };
        let node = &params.instance.node_id;
        let engine = &workflow.0.engine;
        let compared = engine
            .verify_set(node, &params.db_name, &manifest, &progress)
            .await;
        compared.map_err(engine_error)?;
        engine.finish_load(node).await.map_err(engine_error)
    }
}
