//! DeleteDatabase: off the node, which becomes smaller. Nothing here can be undone.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_store::Writer;
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, forward};
use openpeta_types::{BackupId, DbName, InstanceId};
use serde::{Deserialize, Serialize};

use super::resize_node::{recount, resize_node};
use super::{engine_error, nodes_with};
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
        let (instance_id, db_name) = Self::database(task.params());
        remove(writer, instance_id, db_name)
    }
}

impl DropsDatabase for DeleteDatabase {
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

/// A workflow at whose end a database is gone.
pub(super) trait DropsDatabase: Workflow {
    /// What it acts on.
    fn parts(&self) -> &Arc<Parts>;

    /// The database.
    fn database(params: &Self::Params) -> (&InstanceId, &DbName);

    /// The sets that stay.
    fn kept(task: &TaskContext<'_, Self>) -> Result<Vec<BackupId>, StepError>;
}

/// Writes that there is no such database.
pub(super) fn remove(
    writer: &Writer<'_>,
    instance_id: &InstanceId,
    db_name: &DbName,
) -> Result<(), StepError> {
    writer.delete_database(instance_id, db_name)?;
    recount(writer, instance_id)
}

/// The database is gone in MariaDB, on each of its nodes, with what was granted on it. Sessions that do not give way
/// are ended.
pub(super) struct DropOnNode;

#[async_trait]
impl<W: DropsDatabase> Step<W> for DropOnNode {
    const NAME: &'static str = "drop-on-node";
    const TITLE: &'static str = "Dropping the database";
    const WEIGHT: u32 = 3;
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, (instance_id, db_name)) = (workflow.parts(), W::database(task.params()));
        for node in nodes_with(parts, instance_id, db_name)? {
            let dropped = parts.engine.drop_database(&node.node_id, db_name).await;
            dropped.map_err(engine_error)?;
        }
        Ok(())
    }
}

/// The nodes give back what they had for it.
pub(super) struct ResizeNode;

#[async_trait]
impl<W: DropsDatabase> Step<W> for ResizeNode {
    const NAME: &'static str = "resize-node";
    const TITLE: &'static str = "Resizing the node";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, (instance_id, db_name)) = (workflow.parts(), W::database(task.params()));
        resize_node(parts, instance_id, |database| {
            is_counted(database) && database.db_name != *db_name
        })
        .await
    }
}

/// Nothing of the database is left to restore but what stays.
pub(super) struct RemoveBackups;

#[async_trait]
impl<W: DropsDatabase> Step<W> for RemoveBackups {
    const NAME: &'static str = "remove-backups";
    const TITLE: &'static str = "Removing the backups";
    const IS_INTERRUPTIBLE: bool = true;
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, (instance_id, db_name)) = (workflow.parts(), W::database(task.params()));
        let kept = W::kept(task)?;
        let removed = parts.remove_backups(instance_id, Some(db_name), &kept);
        Ok(removed.await?)
    }
}
