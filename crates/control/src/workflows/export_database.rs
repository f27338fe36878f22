//! An export: a database as of one moment, in a directory of the host that is the operator's.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use openpeta_engine::{BackupSource, EngineError, Manifest};
use openpeta_store::{Task, TaskStep, Writer};
use openpeta_tasks::{RetryPolicy, Step, StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::{DbName, ExportForm, InstanceId};
use serde::{Deserialize, Serialize};

use super::loading::RETRY;
use super::meter::Meter;
use super::{engine_error, node_of};
use crate::instance_nodes::is_spread;
use crate::parts::Parts;

/// How often an export is begun anew when a definition changed meanwhile.
const ATTEMPTS: u32 = 3;

/// Exports a database.
pub(crate) struct ExportDatabase(pub(super) Arc<Parts>);

/// Which one, where to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExportDatabaseParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) db_name: DbName,
    /// The directory that is made.
    pub(crate) to: PathBuf,
    /// In what form.
    #[serde(default)]
    pub(crate) form: ExportForm,
    pub(crate) ordered_at: Timestamp,
}

/// Whether a task exports.
pub(crate) fn is_export(task: &Task) -> bool {
    task.workflow == ExportDatabase::NAME
}

/// What such a task wrote, once it was compared.
pub(crate) fn exported_by(steps: &[TaskStep]) -> Option<Manifest> {
    let name = <CheckExport as Step<ExportDatabase>>::NAME;
    let step = steps.iter().find(|step| step.name == name)?;
    serde_json::from_str(step.output.as_ref()?.expose()).ok()
}

impl Workflow for ExportDatabase {
    const NAME: &'static str = "export-database";
    const IS_LONG: bool = true;
    const RUNS_BESIDE_OTHERS: bool = true;
    type Params = ExportDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![undoable(WriteExport), undoable(CheckExport)]
    }

    fn on_success(
        &self,
        _writer: &Writer<'_>,
        _task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        Ok(())
    }
}

/// The files are there, whole.
struct WriteExport;

#[async_trait]
impl Step<ExportDatabase> for WriteExport {
    const NAME: &'static str = "write-export";
    const TITLE: &'static str = "Exporting the database";
    const WEIGHT: u32 = 10;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    /// The SHA-256 of the manifest.
    type Output = String;

    async fn run(
        &self,
        workflow: &ExportDatabase,
        task: &TaskContext<'_, ExportDatabase>,
    ) -> Result<String, StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let source = BackupSource {
            instance_id: params.instance_id.to_string(),
            db_name: params.db_name.to_string(),
            backup_id: format!("export-{}", task.task_id()),
        };
        let meter = Meter::new();
        let progress = |done: u64, total: u64, what: &str| {
            meter.tell(task, (done, total), &format!("Reading table {what}"));
        };
        let mut attempt = 1;
        loop {
            let (id, name) = (&params.instance_id, &params.db_name);
            let database = parts.store.read(|reader| reader.database(id, name))?;
            let engine = &parts.engine;
            let target = (params.to.as_path(), params.form);
            let taken = match database.filter(is_spread) {
                Some(_) => {
                    task.progress(0.0, "Waiting for a moment of all nodes");
                    let snapshots = parts.begin_snapshots(id, name).await?.snapshots;
                    let export = engine.export_spread(snapshots, target, &source, &progress);
                    export.await
                }
                None => {
                    let node = node_of(parts, id)?;
                    let origin = parts.origin_of(id, name, &node).await?;
                    let export = engine.export_database(origin, name, target, &source, &progress);
                    export.await
                }
            };
            match taken {
                Ok(taken) => return Ok(taken.manifest_sha256),
                Err(EngineError::SchemaChanged { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(engine_error(error)),
            }
        }
    }

    async fn undo(
        &self,
        workflow: &ExportDatabase,
        task: &TaskContext<'_, ExportDatabase>,
    ) -> Result<(), StepError> {
        let discarded = workflow.0.engine.discard_export(&task.params().to).await;
        discarded.map_err(engine_error)
    }
}

/// The files were read again, and are what was written. They go with what was written.
struct CheckExport;

#[async_trait]
impl Step<ExportDatabase> for CheckExport {
    const NAME: &'static str = "check-export";
    const TITLE: &'static str = "Reading the files again";
    const IS_INTERRUPTIBLE: bool = true;
    type Output = Manifest;

    async fn run(
        &self,
        workflow: &ExportDatabase,
        task: &TaskContext<'_, ExportDatabase>,
    ) -> Result<Manifest, StepError> {
        let sha256 = task.output::<WriteExport>()?;
        let checked = workflow
            .0
            .engine
            .check_set(&task.params().to, &sha256)
            .await;
        checked.map_err(engine_error)
    }
}
