//! DeleteInstance with a recycle bin: what [`super::delete_instance`] does, with a last backup of
//! every database after the clients are out.

use std::sync::Arc;

use openpeta_store::{Task, Writer};
use openpeta_tasks::{StepEntry, StepError, TaskContext, Workflow, forward};
use openpeta_types::{BackupId, InstanceId, Secret};
use serde::{Deserialize, Serialize};

use super::delete_instance::{
    self, CloseEndpoints, DeletesInstance, DestroyNodes, RemoveBackups, StopNodes,
};
use super::final_backup::{self, FinalBackup, Recycles};
use super::recycle_database::{RecycleDatabase, RecycleDatabaseParams};
use super::recycle_spread_database::RecycleSpreadDatabase;
use crate::parts::Parts;
use crate::recycle_bin::LastSets;

/// Releases an instance and leaves its databases in the recycle bin.
pub(crate) struct RecycleInstance(pub(super) Arc<Parts>);

/// Which one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RecycleInstanceParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) last_sets: LastSets,
}

impl Workflow for RecycleInstance {
    const NAME: &'static str = "recycle-instance";
    const IS_LONG: bool = true;
    type Params = RecycleInstanceParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            forward(CloseEndpoints),
            forward(FinalBackup),
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
        final_backup::recycle(writer, task)?;
        delete_instance::remove(writer, &task.params().instance_id)
    }
}

impl DeletesInstance for RecycleInstance {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn instance_id(params: &RecycleInstanceParams) -> &InstanceId {
        &params.instance_id
    }

    fn kept(task: &TaskContext<'_, Self>) -> Result<Vec<BackupId>, StepError> {
        Ok(final_backup::kept(&task.output::<FinalBackup>()?))
    }
}

impl Recycles for RecycleInstance {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn instance_id(params: &RecycleInstanceParams) -> &InstanceId {
        &params.instance_id
    }

    fn last_sets(params: &RecycleInstanceParams) -> &LastSets {
        &params.last_sets
    }
}

/// The sets that such a task, or one that deletes a database, takes, by its parameters; `None` for
/// other tasks.
pub(crate) fn last_sets_of(task: &Task, params: &Secret) -> Option<LastSets> {
    match task.workflow.as_str() {
        RecycleInstance::NAME => {
            let params: RecycleInstanceParams = serde_json::from_str(params.expose()).ok()?;
            Some(params.last_sets)
        }
        RecycleDatabase::NAME | RecycleSpreadDatabase::NAME => {
            let params: RecycleDatabaseParams = serde_json::from_str(params.expose()).ok()?;
            Some(params.last_sets)
        }
        _ => None,
    }
}
