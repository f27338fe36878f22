//! CreateInstance: a node, its database, its account, its endpoint.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_rpc_api::Action;
use openpeta_store::{Endpoint, NodeState, Writer};
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::{AccountStatus, InstanceId, NodeId, NodeSettings, ObjectStatus};
use serde::{Deserialize, Serialize};

use super::resize_node::apply_settings;
use super::{FAILED_INSIDE, engine_error, instance, opening, stop_node};
use crate::parts::Parts;

/// Makes an ordered instance real.
pub(crate) struct CreateInstance(pub(super) Arc<Parts>);

/// What the order decided.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreateInstanceParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) node_id: NodeId,
    /// The node stood ready, started and empty.
    pub(crate) is_spare: bool,
}

impl Workflow for CreateInstance {
    const NAME: &'static str = "create-instance";
    type Params = CreateInstanceParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(CreateNode),
            undoable(StartNode),
            undoable(CreateDatabase),
            undoable(OpenEndpoint),
            undoable(CheckLogin),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let CreateInstanceParams {
            instance_id,
            node_id,
            ..
        } = task.params();
        for account in writer.accounts(instance_id)? {
            writer.set_account_status(instance_id, &account.name, AccountStatus::Active)?;
        }
        for database in writer.databases(instance_id)? {
            writer.set_database_status(instance_id, &database.db_name, ObjectStatus::Active)?;
        }
        writer.set_node_state(node_id, NodeState::Running)?;
        writer.set_instance_status(instance_id, ObjectStatus::Active)?;
        let parts = Arc::clone(&self.0);
        writer.after_commit(move || parts.wake_reconcilers());
        Ok(())
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        let CreateInstanceParams {
            instance_id,
            node_id,
            ..
        } = task.params();
        writer.delete_node(node_id)?;
        writer.delete_instance(instance_id)?;
        let action = Action::CreateInstance.name();
        self.0.cancel_order(writer, instance_id, None, action)?;
        Ok(())
    }
}

/// A data directory with the ordered settings.
struct CreateNode;

#[async_trait]
impl Step<CreateInstance> for CreateNode {
    const NAME: &'static str = "create-node";
    const TITLE: &'static str = "Creating the node";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateInstance,
        task: &TaskContext<'_, CreateInstance>,
    ) -> Result<(), StepError> {
        let node_id = &task.params().node_id;
        if task.params().is_spare {
            return Ok(());
        }
        let settings = settings(&workflow.0, node_id)?;
        workflow
            .0
            .engine
            .create_node(node_id, &settings)
            .await
            .map_err(engine_error)
    }

    async fn undo(
        &self,
        workflow: &CreateInstance,
        task: &TaskContext<'_, CreateInstance>,
    ) -> Result<(), StepError> {
        workflow
            .0
            .engine
            .destroy_node(&task.params().node_id)
            .await
            .map_err(engine_error)
    }
}

/// A process that accepts connections, with the ordered settings.
struct StartNode;

#[async_trait]
impl Step<CreateInstance> for StartNode {
    const NAME: &'static str = "start-node";
    const TITLE: &'static str = "Starting the node";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateInstance,
        task: &TaskContext<'_, CreateInstance>,
    ) -> Result<(), StepError> {
        let parts = &workflow.0;
        let node_id = &task.params().node_id;
        parts
            .engine
            .start_node(node_id)
            .await
            .map_err(engine_error)?;
        if task.params().is_spare {
            apply_settings(parts, node_id, &settings(parts, node_id)?).await?;
        }
        Ok(())
    }

    async fn undo(
        &self,
        workflow: &CreateInstance,
        task: &TaskContext<'_, CreateInstance>,
    ) -> Result<(), StepError> {
        stop_node(&workflow.0, &task.params().node_id).await
    }
}

/// The first database, and the first account with its privileges.
struct CreateDatabase;

#[async_trait]
impl Step<CreateInstance> for CreateDatabase {
    const NAME: &'static str = "create-database";
    const TITLE: &'static str = "Creating database and account";
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateInstance,
        task: &TaskContext<'_, CreateInstance>,
    ) -> Result<(), StepError> {
        let parts = &workflow.0;
        let instance = instance(parts, &task.params().instance_id)?;
        let databases = parts
            .store
            .read(|reader| reader.databases(&instance.instance_id))?;
        let mut sql = parts
            .engine
            .sql(&task.params().node_id)
            .await
            .map_err(engine_error)?;
        for database in databases {
            sql.create_database(&database.db_name)
                .await
                .map_err(engine_error)?;
        }
        sql.close().await;
        for (account, grants) in parts.accounts_with_grants(&instance.instance_id)? {
            parts.apply_account(&instance, &account, &grants).await?;
        }
        Ok(())
    }

    // Both go with the node.
}

/// The gateway listens and lets clients in.
struct OpenEndpoint;

#[async_trait]
impl Step<CreateInstance> for OpenEndpoint {
    const NAME: &'static str = "open-endpoint";
    const TITLE: &'static str = "Opening the endpoint";
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateInstance,
        task: &TaskContext<'_, CreateInstance>,
    ) -> Result<(), StepError> {
        let parts = &workflow.0;
        let instance_id = &task.params().instance_id;
        parts.publish(instance_id)?;
        for endpoint in endpoints(parts, instance_id)? {
            opening::open(parts, &endpoint.endpoint_id, true)?;
        }
        Ok(())
    }

    async fn undo(
        &self,
        workflow: &CreateInstance,
        task: &TaskContext<'_, CreateInstance>,
    ) -> Result<(), StepError> {
        workflow.0.close_endpoints(&task.params().instance_id)?;
        Ok(())
    }
}

/// ACTIVE means that a client connects: the endpoint answers.
struct CheckLogin;

#[async_trait]
impl Step<CreateInstance> for CheckLogin {
    const NAME: &'static str = "check-login";
    const TITLE: &'static str = "Checking that clients can connect";
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateInstance,
        task: &TaskContext<'_, CreateInstance>,
    ) -> Result<(), StepError> {
        let parts = &workflow.0;
        let instance_id = &task.params().instance_id;
        // What the step before published is gone if the process was restarted since.
        parts.publish(instance_id)?;
        for endpoint in endpoints(parts, instance_id)? {
            opening::check(parts, &endpoint.endpoint_id, true).await?;
        }
        Ok(())
    }
}

fn endpoints(parts: &Parts, instance_id: &InstanceId) -> Result<Vec<Endpoint>, StepError> {
    Ok(parts
        .store
        .read(|reader| reader.endpoints_of(instance_id))?)
}

/// The settings that the store has for a node.
fn settings(parts: &Parts, node_id: &NodeId) -> Result<NodeSettings, StepError> {
    let node = parts.store.read(|reader| reader.node(node_id))?;
    let node = node.ok_or_else(|| StepError::permanent(FAILED_INSIDE, "the node's row is gone"))?;
    Ok(node.settings)
}
