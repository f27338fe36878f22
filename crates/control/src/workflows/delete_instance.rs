//! DeleteInstance: clients out, node gone, rows gone. Nothing here can be undone.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_store::Writer;
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, forward};
use openpeta_types::InstanceId;
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
        let instance_id = &task.params().instance_id;
        for node in writer.nodes_of(instance_id)? {
            writer.delete_node(&node.node_id)?;
        }
        writer.delete_instance(instance_id)?;
        Ok(())
    }
}

/// Sessions end, and no new ones begin.
struct CloseEndpoints;

#[async_trait]
impl Step<DeleteInstance> for CloseEndpoints {
    const NAME: &'static str = "close-endpoints";
    const TITLE: &'static str = "Closing the endpoints";
    type Output = ();

    async fn run(
        &self,
        workflow: &DeleteInstance,
        task: &TaskContext<'_, DeleteInstance>,
    ) -> Result<(), StepError> {
        workflow.0.close_endpoints(&task.params().instance_id)?;
        Ok(())
    }
}

/// The processes end.
struct StopNodes;

#[async_trait]
impl Step<DeleteInstance> for StopNodes {
    const NAME: &'static str = "stop-node";
    const TITLE: &'static str = "Stopping the node";
    type Output = ();

    async fn run(
        &self,
        workflow: &DeleteInstance,
        task: &TaskContext<'_, DeleteInstance>,
    ) -> Result<(), StepError> {
        let parts = &workflow.0;
        let deadline = parts.config.nodes.stop_timeout();
        for node in parts
            .store
            .read(|reader| reader.nodes_of(&task.params().instance_id))?
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
struct DestroyNodes;

#[async_trait]
impl Step<DeleteInstance> for DestroyNodes {
    const NAME: &'static str = "destroy-node";
    const TITLE: &'static str = "Destroying the data";
    type Output = ();

    async fn run(
        &self,
        workflow: &DeleteInstance,
        task: &TaskContext<'_, DeleteInstance>,
    ) -> Result<(), StepError> {
        let parts = &workflow.0;
        for node in parts
            .store
            .read(|reader| reader.nodes_of(&task.params().instance_id))?
        {
            parts
                .engine
                .destroy_node(&node.node_id)
                .await
                .map_err(engine_error)?;
        }
        Ok(())
    }
}

/// Nothing of the instance is left to restore.
struct RemoveBackups;

#[async_trait]
impl Step<DeleteInstance> for RemoveBackups {
    const NAME: &'static str = "remove-backups";
    const TITLE: &'static str = "Removing the backups";
    const IS_INTERRUPTIBLE: bool = true;
    type Output = ();

    async fn run(
        &self,
        workflow: &DeleteInstance,
        task: &TaskContext<'_, DeleteInstance>,
    ) -> Result<(), StepError> {
        let instance_id = &task.params().instance_id;
        Ok(workflow.0.remove_backups(instance_id, None).await?)
    }
}
