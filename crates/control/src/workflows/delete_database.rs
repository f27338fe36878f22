//! DeleteDatabase: off the node, which becomes smaller. Nothing here can be undone.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_store::Writer;
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, forward};
use openpeta_types::{DbName, InstanceId};
use serde::{Deserialize, Serialize};

use super::resize_node::{recount, resize_node};
use super::{engine_error, node_of};
use crate::node_size::is_counted;
use crate::parts::Parts;

/// Drops a database.
pub(crate) struct DeleteDatabase(pub(super) Arc<Parts>);

/// Which one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeleteDatabaseParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) db_name: DbName,
}

impl Workflow for DeleteDatabase {
    const NAME: &'static str = "delete-database";
    type Params = DeleteDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            forward(DropOnNode),
            forward(ResizeNode),
            forward(RemoveBackups),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let DeleteDatabaseParams {
            instance_id,
            db_name,
        } = task.params();
        writer.delete_database(instance_id, db_name)?;
        recount(writer, instance_id)
    }
}

/// The database is gone in MariaDB, with what was granted on it. Sessions that do not give way
/// are ended.
struct DropOnNode;

#[async_trait]
impl Step<DeleteDatabase> for DropOnNode {
    const NAME: &'static str = "drop-on-node";
    const TITLE: &'static str = "Dropping the database";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(
        &self,
        workflow: &DeleteDatabase,
        task: &TaskContext<'_, DeleteDatabase>,
    ) -> Result<(), StepError> {
        let DeleteDatabaseParams {
            instance_id,
            db_name,
        } = task.params();
        let node = node_of(&workflow.0, instance_id)?;
        let dropped = workflow.0.engine.drop_database(&node, db_name).await;
        dropped.map_err(engine_error)
    }
}

/// The node gives back what it had for it.
struct ResizeNode;

#[async_trait]
impl Step<DeleteDatabase> for ResizeNode {
    const NAME: &'static str = "resize-node";
    const TITLE: &'static str = "Resizing the node";
    type Output = ();

    async fn run(
        &self,
        workflow: &DeleteDatabase,
        task: &TaskContext<'_, DeleteDatabase>,
    ) -> Result<(), StepError> {
        let DeleteDatabaseParams {
            instance_id,
            db_name,
        } = task.params();
        resize_node(&workflow.0, instance_id, |database| {
            is_counted(database) && database.db_name != *db_name
        })
        .await
    }
}

/// Nothing of the database is left to restore.
struct RemoveBackups;

#[async_trait]
impl Step<DeleteDatabase> for RemoveBackups {
    const NAME: &'static str = "remove-backups";
    const TITLE: &'static str = "Removing the backups";
    const IS_INTERRUPTIBLE: bool = true;
    type Output = ();

    async fn run(
        &self,
        workflow: &DeleteDatabase,
        task: &TaskContext<'_, DeleteDatabase>,
    ) -> Result<(), StepError> {
        let DeleteDatabaseParams {
            instance_id,
            db_name,
        } = task.params();
        let removed = workflow.0.remove_backups(instance_id, Some(db_name)).await;
        Ok(removed?)
    }
}
