//! A backup set is proven: restored into a node of its own, compared, and the node thrown away.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use openpeta_store::{Task, Verification, Writer};
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::{BackupId, DbName, InstanceId, NodeId, Secret};
use serde::{Deserialize, Serialize};

use super::loading::{self, CheckSet, CompareContent, LoadSet, LoadsSet, SetSource};
use super::{FAILED_INSIDE, engine_error};
use crate::backups::is_of_storage;
use crate::parts::Parts;

/// Restores a set for the sake of proof.
pub(crate) struct VerifyBackup(pub(super) Arc<Parts>);

/// Which set, on which node. The node's row is there already.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct VerifyBackupParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) db_name: DbName,
    pub(crate) backup_id: BackupId,
    pub(crate) manifest_sha256: String,
    pub(crate) node_id: NodeId,
    /// Further ones, of a set that is of several nodes.
    #[serde(default)]
    pub(crate) further: Vec<NodeId>,
}

impl VerifyBackupParams {
    /// All nodes, by number.
    fn nodes(&self) -> Vec<NodeId> {
        let further = self.further.iter().cloned();
        std::iter::once(self.node_id.clone())
            .chain(further)
            .collect()
    }
}

/// Whether a task proves a set.
pub(crate) fn is_verification(task: &Task) -> bool {
    task.workflow == VerifyBackup::NAME
}

/// The set that such a task proves, by its parameters.
pub(crate) fn set_of(params: &Secret) -> Option<BackupId> {
    let params: VerifyBackupParams = serde_json::from_str(params.expose()).ok()?;
    Some(params.backup_id)
}

impl LoadsSet for VerifyBackup {
    /// Events of the database must not run a second time beside the real ones.
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn source(params: &VerifyBackupParams) -> SetSource<'_> {
        SetSource {
            instance_id: &params.instance_id,
            db_name: &params.db_name,
            backup_id: params.backup_id,
            manifest_sha256: &params.manifest_sha256,
        }
    }

    fn nodes(params: &VerifyBackupParams) -> Vec<NodeId> {
        params.nodes()
    }
}

impl Workflow for VerifyBackup {
    const NAME: &'static str = "verify-backup";
    const IS_LONG: bool = true;
    const RUNS_BESIDE_OTHERS: bool = true;
    type Params = VerifyBackupParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(CheckSet),
            undoable(CreateScratchNode),
            undoable(StartScratchNode),
            undoable(LoadSet),
            undoable(CompareContent),
            undoable(RemoveScratchNode),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        end(writer, task.params(), Some(None))
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        cancelled: bool,
    ) -> Result<(), StepError> {
        let message = || Ok(writer.task(task.task_id())?.and_then(|task| task.message));
        let failure = match cancelled {
            true => None,
            false => {
                let message: Result<_, StepError> = message();
                let message = message?.unwrap_or_else(|| FAILED_INSIDE.to_owned());
                if is_of_storage(&message) {
                    tracing::warn!(backup = %task.params().backup_id, message, "a backup set could not be proven");
                    return end(writer, task.params(), None);
                }
                tracing::error!(instance = %task.params().instance_id, backup = %task.params().backup_id, message, "a backup set could not be restored for proof");
                Some(Some(message))
            }
        };
        end(writer, task.params(), failure)
    }
}

/// Writes that there is no such node any more, and what was found out, if anything.
fn end(
    writer: &Writer<'_>,
    params: &VerifyBackupParams,
    failure: Option<Option<String>>,
) -> Result<(), StepError> {
    for node in params.nodes() {
        writer.delete_node(&node)?;
    }
    if let Some(failure) = failure {
        let at = Timestamp::now();
        writer.set_verification(params.backup_id, &Verification { at, failure })?;
    }
    Ok(())
}

/// A data directory.
struct CreateScratchNode;

#[async_trait]
impl Step<VerifyBackup> for CreateScratchNode {
    const NAME: &'static str = "create-scratch-node";
    const TITLE: &'static str = "Creating a node to restore into";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(
        &self,
        workflow: &VerifyBackup,
        task: &TaskContext<'_, VerifyBackup>,
    ) -> Result<(), StepError> {
        let parts = &workflow.0;
        for node_id in &task.params().nodes() {
            let node = parts.store.read(|reader| reader.node(node_id))?;
            let node =
                node.ok_or_else(|| StepError::permanent(FAILED_INSIDE, "the node's row is gone"))?;
            let created = parts.engine.create_node(node_id, &node.settings).await;
            created.map_err(engine_error)?;
        }
        Ok(())
    }

    async fn undo(
        &self,
        workflow: &VerifyBackup,
        task: &TaskContext<'_, VerifyBackup>,
    ) -> Result<(), StepError> {
        destroy(&workflow.0, &task.params().nodes()).await
    }
}

/// A process that accepts connections. It goes with the node.
struct StartScratchNode;

#[async_trait]
impl Step<VerifyBackup> for StartScratchNode {
    const NAME: &'static str = "start-scratch-node";
    const TITLE: &'static str = "Starting the node";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(
        &self,
        workflow: &VerifyBackup,
        task: &TaskContext<'_, VerifyBackup>,
    ) -> Result<(), StepError> {
        loading::start_all(&workflow.0, &task.params().nodes()).await
    }
}

/// Neither process nor files are left.
struct RemoveScratchNode;

#[async_trait]
impl Step<VerifyBackup> for RemoveScratchNode {
    const NAME: &'static str = "remove-scratch-node";
    const TITLE: &'static str = "Removing the node";
    type Output = ();

    async fn run(
        &self,
        workflow: &VerifyBackup,
        task: &TaskContext<'_, VerifyBackup>,
    ) -> Result<(), StepError> {
        destroy(&workflow.0, &task.params().nodes()).await
    }
}

async fn destroy(parts: &Parts, nodes: &[NodeId]) -> Result<(), StepError> {
    for node in nodes {
        let destroyed = parts.engine.destroy_node(node).await;
        destroyed.map_err(engine_error)?;
    }
    Ok(())
}
