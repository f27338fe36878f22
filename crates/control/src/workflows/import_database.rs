//! An import: a dump is loaded beside the database that it is for, compared, and put in its place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use openpeta_engine::{
    EngineError, Expected, ImportOptions, ImportPlace, ImportSource, Imported, Loaded, Manifest,
    TableSum,
};
use openpeta_store::{Task, TaskStep, Writer};
use openpeta_tasks::{
    RetryPolicy, Step, StepEntry, StepError, TaskContext, Workflow, forward, undoable,
};
use openpeta_types::{DbName, InstanceId, NodeId, ObjectStatus, TaskId};
use serde::{Deserialize, Serialize};

use super::import_spread_database::is_import_over_nodes;
use super::loading::{self, RETRY};
use super::meter::Meter;
use super::migrate_database::is_migration;
use super::{FAILED_INSIDE, engine_error, instance};
use crate::imports::{Origin, download};
use crate::parts::Parts;

/// Imports a dump into a database that is empty.
pub(crate) struct ImportDatabase(pub(super) Arc<Parts>);

/// Which dump, into which database.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ImportDatabaseParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) db_name: DbName,
    /// A path on the host, or a URL.
    pub(crate) from: String,
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) defaults_file: Option<PathBuf>,
    pub(crate) options: ImportOptions,
}

impl ImportDatabaseParams {
    pub(super) fn origin(&self) -> Result<Origin, StepError> {
        let origin = Origin::of(&self.from, self.defaults_file.as_deref());
        origin.map_err(|what| StepError::permanent(&what, &what))
    }
}

/// A workflow that imports. Its steps are those of this file, and what it has besides.
pub(super) trait Imports: Workflow<Params = ImportDatabaseParams> {
    /// What it acts on.
    fn parts(&self) -> &Arc<Parts>;

    /// Whether the dump has to say where the server's log was.
    const FOLLOWS: bool = false;

    /// What the source has of each table, if it was asked since the dump.
    ///
    /// # Errors
    /// When a step has not given it yet.
    fn sums(_task: &TaskContext<'_, Self>) -> Result<Option<SourceSums>, StepError> {
        Ok(None)
    }
}

/// What a source has of each table.
pub(super) type SourceSums = BTreeMap<String, TableSum>;

/// Whether a task imports.
pub(crate) fn is_import(task: &Task) -> bool {
    task.workflow == ImportDatabase::NAME || is_import_over_nodes(task) || is_migration(task)
}

/// What such a task has imported, once it was compared.
pub(crate) fn imported_by(steps: &[TaskStep]) -> Option<Imported> {
    let name = <CheckImport as Step<ImportDatabase>>::NAME;
    let step = steps.iter().find(|step| step.name == name)?;
    serde_json::from_str(step.output.as_ref()?.expose()).ok()
}

/// The database in which an import is prepared.
pub(super) fn staging(task: TaskId) -> Result<DbName, StepError> {
    let name = DbName::parse(&format!("openpeta_import_{task}"));
    name.map_err(|error| StepError::permanent(FAILED_INSIDE, error))
}

impl Workflow for ImportDatabase {
    const NAME: &'static str = "import-database";
    const IS_LONG: bool = true;
    const RUNS_BESIDE_OTHERS: bool = true;
    type Params = ImportDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(LoadDump),
            undoable(CheckImport),
            forward(PublishImport),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        back_up(&self.0, writer, task.params())
    }
}

impl Imports for ImportDatabase {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }
}

/// Has a set taken that a point in time after the import can begin with.
pub(super) fn back_up(
    parts: &Parts,
    writer: &Writer<'_>,
    params: &ImportDatabaseParams,
) -> Result<(), StepError> {
    let (id, name) = (&params.instance_id, &params.db_name);
    Ok(parts.begin_backup_after_import(writer, id, name, Timestamp::now())?)
}

/// The node of the instance, which runs.
pub(super) async fn node(
    parts: &Parts,
    params: &ImportDatabaseParams,
) -> Result<NodeId, StepError> {
    let instance = instance(parts, &params.instance_id)?;
    if instance.status == ObjectStatus::Delete {
        let message = "The instance is being deleted.";
        return Err(StepError::permanent(message, message));
    }
    let node = instance.node_id;
    let node = node.ok_or_else(|| StepError::permanent(FAILED_INSIDE, "no node"))?;
    loading::start(parts, &node).await?;
    Ok(node)
}

/// The dump is in a database of its own.
pub(super) struct LoadDump;

#[async_trait]
impl<W: Imports> Step<W> for LoadDump {
    const NAME: &'static str = "load-dump";
    const TITLE: &'static str = "Loading the dump";
    const WEIGHT: u32 = 20;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = Loaded;

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<Loaded, StepError> {
        let (parts, params) = (workflow.parts(), task.params());
        let node = node(parts, params).await?;
        let staging = staging(task.task_id())?;
        let mut sql = parts.engine.sql(&node).await.map_err(engine_error)?;
        let found = sql.something_in(&params.db_name).await;
        sql.close().await;
        if let Some(object) = found.map_err(engine_error)? {
            return Err(engine_error(EngineError::NotEmpty { object }));
        }
        let meter = Meter::new();
        let progress = |done: u64, total: u64, what: &str| {
            meter.tell(task, (done, total), &format!("Loading {what}"));
        };
        let place = ImportPlace {
            node: &node,
            staging: &staging,
            target: &params.db_name,
        };
        let source = match params.origin()? {
            Origin::Path(path) if is_copy(path.clone()).await? => {
                let loaded = parts
                    .engine
                    .load_copy(place, &path, &params.options, &progress)
                    .await;
                return loaded.map_err(engine_error);
            }
            Origin::Path(path) => on_host(path, params).await?,
            Origin::Url => download(&params.from, params.ca_file.as_deref()).await?,
            Origin::Server(database, options) => database.dump(&options, W::FOLLOWS),
        };
        let loaded = parts
            .engine
            .load_import(place, source, &params.options, &progress)
            .await;
        loaded.map_err(engine_error)
    }

    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, params) = (workflow.parts(), task.params());
        let id = &params.instance_id;
        let found = parts.store.read(|reader| reader.instance(id))?;
        // What goes with the node need not be removed before.
        let kept = found.filter(|instance| instance.status != ObjectStatus::Delete);
        let Some(node) = kept.and_then(|instance| instance.node_id) else {
            return Ok(());
        };
        if !parts.engine.has_node(&node) {
            return Ok(());
        }
        loading::start(parts, &node).await?;
        let place = ImportPlace {
            node: &node,
            staging: &staging(task.task_id())?,
            target: &params.db_name,
        };
        let discarded = parts.engine.discard_import(place).await;
        discarded.map_err(engine_error)
    }
}

/// Whether a copy of data files lies there.
async fn is_copy(path: PathBuf) -> Result<bool, StepError> {
    let found = tokio::task::spawn_blocking(move || ImportSource::is_copy(&path)).await;
    let found = found.map_err(|error| StepError::permanent(FAILED_INSIDE, error))?;
    found.map_err(unreadable)
}

fn unreadable(error: EngineError) -> StepError {
    match error {
        EngineError::Io { source, path, .. } => {
            let message = format!("{} cannot be read: {source}.", path.display());
            StepError::permanent(&message, &message)
        }
        error => engine_error(error),
    }
}

/// A dump that lies on the host.
async fn on_host(path: PathBuf, params: &ImportDatabaseParams) -> Result<ImportSource, StepError> {
    let database = params.options.source_database.clone();
    let opened =
        tokio::task::spawn_blocking(move || ImportSource::path(&path, database.as_deref())).await;
    let opened = opened.map_err(|error| StepError::permanent(FAILED_INSIDE, error))?;
    opened.map_err(unreadable)
}

/// What was loaded is what the dump says, and its views and programs can be made.
pub(super) struct CheckImport;

#[async_trait]
impl<W: Imports> Step<W> for CheckImport {
    const NAME: &'static str = "check-import";
    const TITLE: &'static str = "Comparing what was loaded with the dump";
    const WEIGHT: u32 = 10;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = Imported;

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<Imported, StepError> {
        let (parts, params) = (workflow.parts(), task.params());
        let node = node(parts, params).await?;
        let staging = staging(task.task_id())?;
        let id = &params.instance_id;
        let accounts = parts.store.read(|reader| reader.accounts(id))?;
        let accounts: Vec<_> = accounts.into_iter().map(|account| account.name).collect();
        let loaded = task.output::<LoadDump>()?;
        let manifest = match &loaded.manifest {
            Some(manifest) => Some(manifest.clone()),
            None => manifest(parts, params).await?,
        };
        let sums = W::sums(task)?;
        let expected = match (&manifest, &sums) {
            (_, Some(sums)) => Expected::Source(sums),
            (Some(manifest), None) => Expected::Manifest(manifest),
            (None, None) => Expected::Dump,
        };
        let meter = Meter::new();
        let progress = |done: u64, total: u64, what: &str| {
            meter.tell(task, (done, total), &format!("Comparing table {what}"));
        };
        let place = ImportPlace {
            node: &node,
            staging: &staging,
            target: &params.db_name,
        };
        if W::FOLLOWS {
            let ended = parts.engine.end_following(place).await;
            ended.map_err(engine_error)?;
        }
        let checked = parts
            .engine
            .check_import(
                place,
                loaded,
                expected,
                &params.options,
                &accounts,
                &progress,
            )
            .await;
        checked.map_err(engine_error)
    }
}

/// What is said of the content beside the dump, if it is a set of ours.
async fn manifest(
    parts: &Parts,
    params: &ImportDatabaseParams,
) -> Result<Option<Manifest>, StepError> {
    let Origin::Path(path) = params.origin()? else {
        return Ok(None);
    };
    if !on_host(path.clone(), params).await?.is_set() {
        return Ok(None);
    }
    let manifest = parts.engine.manifest_of(&path).await;
    manifest.map(Some).map_err(engine_error)
}

/// What was loaded is in its place.
pub(super) struct PublishImport;

#[async_trait]
impl<W: Imports> Step<W> for PublishImport {
    const NAME: &'static str = "publish-import";
    const TITLE: &'static str = "Putting what was imported in its place";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, params) = (workflow.parts(), task.params());
        let node = node(parts, params).await?;
        let imported = task.output::<CheckImport>()?;
        let place = ImportPlace {
            node: &node,
            staging: &staging(task.task_id())?,
            target: &params.db_name,
        };
        let published = parts.engine.publish_import(place, &imported).await;
        published.map_err(engine_error)
    }
}
