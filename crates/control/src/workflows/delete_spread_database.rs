//! DeleteDatabase of what is spread over nodes: off each of them, then those go that no other
//! database needs. Nothing here can be undone.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_store::{NodeState, Writer};
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, forward};
use openpeta_types::{BackupId, DbName, InstanceId};

use super::delete_database::{
    self, DeleteDatabaseParams, DropOnNode, DropsDatabase, RemoveBackups, ResizeNode,
};
use super::engine_error;
use crate::instance_nodes::is_on;
use crate::parts::Parts;

/// Drops a database that is spread over nodes.
pub(crate) struct DeleteSpreadDatabase(pub(super) Arc<Parts>);

impl Workflow for DeleteSpreadDatabase {
    const NAME: &'static str = "delete-spread-database";
    type Params = DeleteDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            forward(DropOnNode),
            forward(ReleaseNodes),
            forward(ResizeNode),
            forward(RemoveBackups),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let (instance_id, db_name) = Self::database(task.params());
        delete_database::remove(writer, instance_id, db_name)
    }
}

impl DropsDatabase for DeleteSpreadDatabase {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn database(params: &DeleteDatabaseParams) -> (&InstanceId, &DbName) {
        (&params.instance_id, &params.db_name)
    }

    fn kept(_task: &TaskContext<'_, Self>) -> Result<Vec<BackupId>, StepError> {
        Ok(Vec::new())
    }
}

/// Nodes are gone that no other database is on. Clients know nothing of them any more before.
pub(super) struct ReleaseNodes;

#[async_trait]
impl<W: DropsDatabase> Step<W> for ReleaseNodes {
    const NAME: &'static str = "release-nodes";
    const TITLE: &'static str = "Removing nodes";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let parts = workflow.parts();
        let (id, db_name) = W::database(task.params());
        parts
            .store
            .write(|writer| writer.delete_partitions(id, db_name))?;
        parts.publish(id)?;
        let going = parts.store.write(|writer| {
            let mut databases = writer.databases(id)?;
            databases.retain(|database| database.db_name != *db_name);
            let mut nodes = writer.nodes_of(id)?;
            nodes.retain(|node| {
                let is_needed = |database| is_on(database, node.number);
                node.number > 0 && !databases.iter().any(is_needed)
            });
            for node in &nodes {
                writer.set_node_state(&node.node_id, NodeState::Destroying)?;
            }
            Ok::<_, StepError>(nodes)
        })?;
        for node in going {
            let destroyed = parts.engine.destroy_node(&node.node_id).await;
            destroyed.map_err(engine_error)?;
            parts
                .store
                .write(|writer| writer.delete_node(&node.node_id))?;
        }
        Ok(())
    }
}
