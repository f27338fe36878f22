//! DeleteInstance: clients out, node gone, rows gone. Nothing here can be undone.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_store::Writer;
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, forward};
use openpeta_types::{BackupId, InstanceId};
use serde::{Deserialize, Serialize};

use super::engine_error;
use crate::parts::Parts;

/// Releases an instance.
pub(crate) struct DeleteInstance(pub(super) Arc<Parts>);

/// Which one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeleteInstanceParams {
    pub(crate) instance_id: InstanceId,
}

impl Workflow for DeleteInstance {
    const NAME: &'static str = "delete-instance";
    type Params = DeleteInstanceParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            forward(CloseEndpoints),
            forward(StopNodes),
            forward(DestroyNodes),
            forward(RemoveBackups),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        remove(writer, &task.params().instance_id)
    }
}

impl DeletesInstance for DeleteInstance {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn instance_id(params: &DeleteInstanceParams) -> &InstanceId {
        &params.instance_id
    }

    fn kept(_task: &TaskContext<'_, Self>) -> Result<Vec<BackupId>, StepError> {
        Ok(Vec::new())
    }
}

/// A workflow at whose end an instance is gone.
pub(super) trait DeletesInstance: Workflow {
    /// What it acts on.
    fn parts(&self) -> &Arc<Parts>;

    /// The instance.
    fn instance_id(params: &Self::Params) -> &InstanceId;

    /// The sets that stay.
    fn kept(task: &TaskContext<'_, Self>) -> Result<Vec<BackupId>, StepError>;
}

/// Writes that there is no such instance.
pub(super) fn remove(writer: &Writer<'_>, instance_id: &InstanceId) -> Result<(), StepError> {
    for node in writer.nodes_of(instance_id)? {
        writer.delete_node(&node.node_id)?;
    }
    writer.delete_instance(instance_id)?;
    Ok(())
}

/// Sessions end, and no new ones begin.
pub(super) struct CloseEndpoints;

#[async_trait]
impl<W: DeletesInstance> Step<W> for CloseEndpoints {
    const NAME: &'static str = "close-endpoints";
    const TITLE: &'static str = "Closing the endpoints";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        workflow
            .parts()
            .close_endpoints(W::instance_id(task.params()))?;
        Ok(())
    }
}

/// The processes end.
pub(super) struct StopNodes;

#[async_trait]
impl<W: DeletesInstance> Step<W> for StopNodes {
    const NAME: &'static str = "stop-node";
    const TITLE: &'static str = "Stopping the node";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let parts = workflow.parts();
        let deadline = parts.config.nodes.stop_timeout();
        for node in parts
            .store
            .read(|reader| reader.nodes_of(W::instance_id(task.params())))?
        {
            parts
                .engine
                .stop_node(&node.node_id, deadline)
                .await
                .map_err(engine_error)?;
        }
        Ok(())
    }
}

/// The data goes.
pub(super) struct DestroyNodes;

#[async_trait]
impl<W: DeletesInstance> Step<W> for DestroyNodes {
    const NAME: &'static str = "destroy-node";
    const TITLE: &'static str = "Destroying the data";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let parts = workflow.parts();
        for node in parts
            .store
            .read(|reader| reader.nodes_of(W::instance_id(task.params())))?
        {
            parts
                .engine
                .destroy_node(&node.node_id)
                .await
                .map_err(engine_error)?;
        }
        parts.gateway.forget(W::instance_id(task.params()));
        Ok(())
    }
}

/// Nothing of the instance is left to restore but what stays.
pub(super) struct RemoveBackups;

#[async_trait]
impl<W: DeletesInstance> Step<W> for RemoveBackups {
    const NAME: &'static str = "remove-backups";
    const TITLE: &'static str = "Removing the backups";
    const IS_INTERRUPTIBLE: bool = true;
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, id) = (workflow.parts(), W::instance_id(task.params()));
        Ok(parts.remove_backups(id, None, &W::kept(task)?).await?)
    }
}
