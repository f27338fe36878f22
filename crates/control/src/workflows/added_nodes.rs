//! Steps that all workflows share which add nodes to an instance that is in use.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_tasks::{Step, StepError, TaskContext, Workflow};

use super::new_instance::{create_nodes, destroy_nodes, start_nodes, stop_nodes};
use crate::instance_nodes::OrderedNode;
use crate::parts::Parts;

/// A workflow that adds nodes.
pub(super) trait AddsNodes: Workflow {
    /// What it acts on.
    fn parts(&self) -> &Arc<Parts>;

    /// The nodes that the instance gets.
    fn nodes(params: &Self::Params) -> &[OrderedNode];
}

/// Data directories of the nodes that the instance lacks.
pub(super) struct CreateNodes;

#[async_trait]
impl<W: AddsNodes> Step<W> for CreateNodes {
    const NAME: &'static str = "create-nodes";
    const TITLE: &'static str = "Creating nodes";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        create_nodes(workflow.parts(), W::nodes(task.params())).await
    }

    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        destroy_nodes(workflow.parts(), W::nodes(task.params())).await
    }
}

/// Their processes accept connections.
pub(super) struct StartNodes;

#[async_trait]
impl<W: AddsNodes> Step<W> for StartNodes {
    const NAME: &'static str = "start-nodes";
    const TITLE: &'static str = "Starting nodes";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        start_nodes(workflow.parts(), W::nodes(task.params())).await
    }

    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        stop_nodes(workflow.parts(), W::nodes(task.params())).await
    }
}
