//! CreateDatabase with several nodes: those that the instance lacks, then the database on each. The
//! instance stays in use; clients reach it through the coordinator at the end, and their sessions
//! from before end then if they went to the node itself.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_store::{NodeState, Writer};
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, undoable};
use serde::{Deserialize, Serialize};

use super::added_nodes::{AddsNodes, CreateNodes, StartNodes};
use super::create_database::{
    self, CheckName, CreateDatabaseParams, CreateOnNode, MakesDatabase, ResizeNode,
};
use super::{instance, opening};
use crate::instance_nodes::{OrderedNode, first_placement};
use crate::parts::Parts;

/// Makes an ordered database real that is spread over nodes.
pub(crate) struct CreateSpreadDatabase(pub(super) Arc<Parts>);

/// Which one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreateSpreadDatabaseParams {
    pub(crate) database: CreateDatabaseParams,
    /// The nodes that the instance gets for it.
    pub(crate) nodes: Vec<OrderedNode>,
}

impl MakesDatabase for CreateSpreadDatabase {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn database(params: &CreateSpreadDatabaseParams) -> &CreateDatabaseParams {
        &params.database
    }
}

impl AddsNodes for CreateSpreadDatabase {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn nodes(params: &CreateSpreadDatabaseParams) -> &[OrderedNode] {
        &params.nodes
    }
}

impl Workflow for CreateSpreadDatabase {
    const NAME: &'static str = "create-spread-database";
    type Params = CreateSpreadDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(CheckName),
            undoable(CreateNodes),
            undoable(StartNodes),
            undoable(ResizeNode),
            undoable(CreateOnNode),
            undoable(MakeAccounts),
            undoable(Spread),
            undoable(CheckLogin),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        for node in &task.params().nodes {
            // Its instance may have been released meanwhile.
            let row = writer.node(&node.node_id)?;
            if row.is_some_and(|row| row.state == NodeState::Creating) {
                writer.set_node_state(&node.node_id, NodeState::Running)?;
            }
        }
        let parts = Arc::clone(&self.0);
        writer.after_commit(move || parts.wake_reconcilers());
        create_database::activate(writer, &task.params().database)
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        let params = task.params();
        for node in &params.nodes {
            writer.delete_node(&node.node_id)?;
        }
        create_database::remove(&self.0, writer, &params.database, task.account_id())
    }
}

/// The instance's accounts are on the new nodes.
struct MakeAccounts;

#[async_trait]
impl Step<CreateSpreadDatabase> for MakeAccounts {
    const NAME: &'static str = "make-accounts";
    const TITLE: &'static str = "Creating accounts on the nodes";
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateSpreadDatabase,
        task: &TaskContext<'_, CreateSpreadDatabase>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let instance = instance(parts, &params.database.instance_id)?;
        let mut nodes = parts.nodes_of(&instance.instance_id)?;
        nodes.retain(|node| params.nodes.iter().any(|its| its.node_id == node.node_id));
        for (account, grants) in parts.accounts_with_grants(&instance.instance_id)? {
            for node in &nodes {
                parts
                    .apply_account_on(node, &instance, &account, &grants)
                    .await?;
            }
        }
        Ok(parts.enforce_lock(&instance.instance_id).await?)
    }

    // They go with the nodes.
}

/// Clients reach the instance through the coordinator, which knows where the partitions are.
struct Spread;

#[async_trait]
impl Step<CreateSpreadDatabase> for Spread {
    const NAME: &'static str = "spread";
    const TITLE: &'static str = "Letting clients use the nodes";
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateSpreadDatabase,
        task: &TaskContext<'_, CreateSpreadDatabase>,
    ) -> Result<(), StepError> {
        let parts = &workflow.0;
        let CreateDatabaseParams {
            instance_id,
            db_name,
            ..
        } = &task.params().database;
        parts.store.write(|writer| {
            // Its instance may have been released meanwhile.
            if let Some(database) = writer.database(instance_id, db_name)? {
                let placement = first_placement(database.node_number);
                writer.put_partitions(instance_id, db_name, &placement)?;
            }
            Ok::<_, StepError>(())
        })?;
        Ok(parts.publish(instance_id)?)
    }

    async fn undo(
        &self,
        workflow: &CreateSpreadDatabase,
        task: &TaskContext<'_, CreateSpreadDatabase>,
    ) -> Result<(), StepError> {
        let parts = &workflow.0;
        let CreateDatabaseParams {
            instance_id,
            db_name,
            ..
        } = &task.params().database;
        parts
            .store
            .write(|writer| writer.delete_partitions(instance_id, db_name))?;
        Ok(parts.publish(instance_id)?)
    }
}

/// ACTIVE means that a client connects: the endpoints answer.
struct CheckLogin;

#[async_trait]
impl Step<CreateSpreadDatabase> for CheckLogin {
    const NAME: &'static str = "check-login";
    const TITLE: &'static str = "Checking that clients can connect";
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateSpreadDatabase,
        task: &TaskContext<'_, CreateSpreadDatabase>,
    ) -> Result<(), StepError> {
        let parts = &workflow.0;
        opening::check_all(parts, &task.params().database.instance_id).await
    }
}
