//! DeleteDatabase with a recycle bin of what is spread over nodes: what
//! [`super::delete_spread_database`] does, after a last backup.

use std::sync::Arc;

use openpeta_store::Writer;
use openpeta_tasks::{StepEntry, StepError, TaskContext, Workflow, forward};
use openpeta_types::{BackupId, DbName, InstanceId};

use super::delete_database::{self, DropOnNode, DropsDatabase, RemoveBackups, ResizeNode};
use super::delete_spread_database::ReleaseNodes;
use super::final_backup::{self, FinalBackup, Recycles};
use super::recycle_database::RecycleDatabaseParams;
use crate::parts::Parts;
use crate::recycle_bin::LastSets;

/// Drops a database that is spread over nodes and leaves it in the recycle bin.
pub(crate) struct RecycleSpreadDatabase(pub(super) Arc<Parts>);

impl Workflow for RecycleSpreadDatabase {
    const NAME: &'static str = "recycle-spread-database";
    const IS_LONG: bool = true;
    type Params = RecycleDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            forward(FinalBackup),
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
        final_backup::recycle(writer, task)?;
        let params = task.params();
        delete_database::remove(writer, &params.instance_id, &params.db_name)
    }
}

impl DropsDatabase for RecycleSpreadDatabase {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn database(params: &RecycleDatabaseParams) -> (&InstanceId, &DbName) {
        (&params.instance_id, &params.db_name)
    }

    fn kept(task: &TaskContext<'_, Self>) -> Result<Vec<BackupId>, StepError> {
        Ok(final_backup::kept(&task.output::<FinalBackup>()?))
    }
}

impl Recycles for RecycleSpreadDatabase {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn instance_id(params: &RecycleDatabaseParams) -> &InstanceId {
        &params.instance_id
    }

    fn last_sets(params: &RecycleDatabaseParams) -> &LastSets {
        &params.last_sets
    }
}
