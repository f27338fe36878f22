//! Steps that all workflows share which make a new instance: its node, its endpoint.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_store::{Endpoint, NodeState, Writer};
use openpeta_tasks::{Step, StepError, TaskContext, Workflow};
use openpeta_types::{AccountStatus, InstanceId, NodeId, NodeSettings, ObjectStatus};
use serde::{Deserialize, Serialize};

use super::resize_node::apply_settings;
use super::{FAILED_INSIDE, engine_error, opening, stop_node};
use crate::instance_nodes::OrderedNode;
use crate::parts::Parts;

/// A workflow that makes an ordered instance real.
pub(super) trait MakesInstance: Workflow {
    /// What it acts on.
    fn parts(&self) -> &Arc<Parts>;

    /// The instance.
    fn instance(params: &Self::Params) -> &NewInstanceParams;
}

/// What the order decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NewInstanceParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) node_id: NodeId,
    /// The node stood ready, started and empty.
    pub(crate) is_spare: bool,
    /// Nodes 1, 2 … of a database that is spread over several.
    #[serde(default)]
    pub(crate) further: Vec<OrderedNode>,
}

impl NewInstanceParams {
    /// All nodes, by number.
    pub(super) fn nodes(&self) -> Vec<OrderedNode> {
        let home = OrderedNode {
            node_id: self.node_id.clone(),
            is_spare: self.is_spare,
        };
        let further = self.further.iter().cloned();
        std::iter::once(home).chain(further).collect()
    }
}

/// Writes that the instance can be used.
pub(super) fn activate(
    parts: &Arc<Parts>,
    writer: &Writer<'_>,
    params: &NewInstanceParams,
) -> Result<(), StepError> {
    let instance_id = &params.instance_id;
    for account in writer.accounts(instance_id)? {
        writer.set_account_status(instance_id, &account.name, AccountStatus::Active)?;
    }
    for database in writer.databases(instance_id)? {
        writer.set_database_status(instance_id, &database.db_name, ObjectStatus::Active)?;
    }
    for node in params.nodes() {
        writer.set_node_state(&node.node_id, NodeState::Running)?;
    }
    writer.set_instance_status(instance_id, ObjectStatus::Active)?;
    let parts = Arc::clone(parts);
    writer.after_commit(move || parts.wake_reconcilers());
    Ok(())
}

/// Writes that there is no such instance, and that nothing is owed for it.
pub(super) fn remove(
    parts: &Arc<Parts>,
    writer: &Writer<'_>,
    params: &NewInstanceParams,
    action: &'static str,
) -> Result<(), StepError> {
    let instance_id = &params.instance_id;
    // A task that was cancelled before its first step has no undo to make, but a restart may have
    // opened its endpoints.
    let endpoints = writer.endpoints_of(instance_id)?;
    let (gateway_parts, id) = (Arc::clone(parts), instance_id.clone());
    writer.after_commit(move || {
        gateway_parts.close(&id, &endpoints);
        gateway_parts.gateway.forget(&id);
    });
    for node in params.nodes() {
        writer.delete_node(&node.node_id)?;
    }
    writer.delete_instance(instance_id)?;
    parts.cancel_order(writer, instance_id, None, action)?;
    Ok(())
}

/// A data directory with the ordered settings.
pub(super) struct CreateNode;

#[async_trait]
impl<W: MakesInstance> Step<W> for CreateNode {
    const NAME: &'static str = "create-node";
    const TITLE: &'static str = "Creating the node";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        create_nodes(workflow.parts(), &W::instance(task.params()).nodes()).await
    }

    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        destroy_nodes(workflow.parts(), &W::instance(task.params()).nodes()).await
    }
}

/// A process that accepts connections, with the ordered settings.
pub(super) struct StartNode;

#[async_trait]
impl<W: MakesInstance> Step<W> for StartNode {
    const NAME: &'static str = "start-node";
    const TITLE: &'static str = "Starting the node";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        start_nodes(workflow.parts(), &W::instance(task.params()).nodes()).await
    }

    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        stop_nodes(workflow.parts(), &W::instance(task.params()).nodes()).await
    }
}

/// The gateway listens and lets clients in.
pub(super) struct OpenEndpoint;

#[async_trait]
impl<W: MakesInstance> Step<W> for OpenEndpoint {
    const NAME: &'static str = "open-endpoint";
    const TITLE: &'static str = "Opening the endpoint";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let parts = workflow.parts();
        let instance_id = &W::instance(task.params()).instance_id;
        parts.publish(instance_id)?;
        for endpoint in endpoints(parts, instance_id)? {
            opening::open(parts, &endpoint.endpoint_id, true)?;
        }
        Ok(())
    }

    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        workflow
            .parts()
            .close_endpoints(&W::instance(task.params()).instance_id)?;
        Ok(())
    }
}

/// ACTIVE means that a client connects: the endpoint answers.
pub(super) struct CheckLogin;

#[async_trait]
impl<W: MakesInstance> Step<W> for CheckLogin {
    const NAME: &'static str = "check-login";
    const TITLE: &'static str = "Checking that clients can connect";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let parts = workflow.parts();
        let instance_id = &W::instance(task.params()).instance_id;
        // What the step before published is gone if the process was restarted since.
        parts.publish(instance_id)?;
        opening::check_all(parts, instance_id).await
    }
}

fn endpoints(parts: &Parts, instance_id: &InstanceId) -> Result<Vec<Endpoint>, StepError> {
    Ok(parts
        .store
        .read(|reader| reader.endpoints_of(instance_id))?)
}

/// Makes the directories of ordered nodes that do not stand ready.
pub(super) async fn create_nodes(parts: &Parts, nodes: &[OrderedNode]) -> Result<(), StepError> {
    for node in nodes.iter().filter(|node| !node.is_spare) {
        let settings = settings(parts, &node.node_id)?;
        let created = parts.engine.create_node(&node.node_id, &settings).await;
        created.map_err(engine_error)?;
    }
    Ok(())
}

/// Removes everything of ordered nodes.
pub(super) async fn destroy_nodes(parts: &Parts, nodes: &[OrderedNode]) -> Result<(), StepError> {
    for node in nodes {
        let destroyed = parts.engine.destroy_node(&node.node_id).await;
        destroyed.map_err(engine_error)?;
    }
    Ok(())
}

/// Starts ordered nodes, with their settings.
pub(super) async fn start_nodes(parts: &Parts, nodes: &[OrderedNode]) -> Result<(), StepError> {
    for OrderedNode { node_id, is_spare } in nodes {
        let started = parts.engine.start_node(node_id).await;
        started.map_err(engine_error)?;
        if *is_spare {
            apply_settings(parts, node_id, &settings(parts, node_id)?).await?;
        }
    }
    Ok(())
}

/// Stops ordered nodes.
pub(super) async fn stop_nodes(parts: &Parts, nodes: &[OrderedNode]) -> Result<(), StepError> {
    for node in nodes {
        stop_node(parts, &node.node_id).await?;
    }
    Ok(())
}

/// The settings that the store has for a node.
fn settings(parts: &Parts, node_id: &NodeId) -> Result<NodeSettings, StepError> {
    let node = parts.store.read(|reader| reader.node(node_id))?;
    let node = node.ok_or_else(|| StepError::permanent(FAILED_INSIDE, "the node's row is gone"))?;
    Ok(node.settings)
}
