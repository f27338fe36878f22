//! DeleteDatabase with a recycle bin: what [`super::delete_database`] does, after a last backup.

use std::sync::Arc;

use openpeta_store::Writer;
use openpeta_tasks::{StepEntry, StepError, TaskContext, Workflow, forward};
use openpeta_types::{BackupId, DbName, InstanceId};
use serde::{Deserialize, Serialize};

use super::delete_database::{self, DropOnNode, DropsDatabase, RemoveBackups, ResizeNode};
use super::final_backup::{self, FinalBackup, Recycles};
use crate::parts::Parts;
use crate::recycle_bin::LastSets;

/// Drops a database and leaves it in the recycle bin.
pub(crate) struct RecycleDatabase(pub(super) Arc<Parts>);

/// Which one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RecycleDatabaseParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) db_name: DbName,
    pub(crate) last_sets: LastSets,
}

impl Workflow for RecycleDatabase {
    const NAME: &'static str = "recycle-database";
    const IS_LONG: bool = true;
    type Params = RecycleDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            forward(FinalBackup),
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
        final_backup::recycle(writer, task)?;
        let params = task.params();
        delete_database::remove(writer, &params.instance_id, &params.db_name)
    }
}

impl DropsDatabase for RecycleDatabase {
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

impl Recycles for RecycleDatabase {
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
