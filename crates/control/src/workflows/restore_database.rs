//! RestoreDatabase: a new instance with the content of a backup set, compared with it before
//! anybody may call it restored.

use std::sync::Arc;

use openpeta_rpc_api::Action;
use openpeta_store::{Task, Writer};
use openpeta_tasks::{StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::{BackupId, DbName, InstanceId, NodeId, Secret};
use serde::{Deserialize, Serialize};

use super::loading::{CheckSet, CompareContent, LoadSet, LoadsSet, SetSource};
use super::new_instance::{
    self, CheckLogin, CreateNode, MakesInstance, NewInstanceParams, OpenEndpoint, StartNode,
};
use crate::parts::Parts;

/// Restores a set into a new instance.
pub(crate) struct RestoreDatabase(pub(super) Arc<Parts>);

/// Which set, into which instance.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RestoreDatabaseParams {
    pub(crate) instance: NewInstanceParams,
    pub(crate) db_name: DbName,
    pub(crate) source_instance_id: InstanceId,
    pub(crate) backup_id: BackupId,
    pub(crate) manifest_sha256: String,
}

impl MakesInstance for RestoreDatabase {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn instance(params: &RestoreDatabaseParams) -> &NewInstanceParams {
        &params.instance
    }
}

impl Workflow for RestoreDatabase {
    const NAME: &'static str = "restore-database";
    const IS_LONG: bool = true;
    type Params = RestoreDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(CheckSet),
            undoable(CreateNode),
            undoable(StartNode),
            undoable(LoadSet),
            undoable(CompareContent),
            undoable(OpenEndpoint),
            undoable(CheckLogin),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        new_instance::activate(&self.0, writer, &task.params().instance)
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        let action = Action::RestoreDatabase.name();
        new_instance::remove(&self.0, writer, &task.params().instance, action)
    }
}

impl LoadsSet for RestoreDatabase {
    const IS_FOR_USE: bool = true;

    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn source(params: &RestoreDatabaseParams) -> SetSource<'_> {
        SetSource {
            instance_id: &params.source_instance_id,
            db_name: &params.db_name,
            backup_id: params.backup_id,
            manifest_sha256: &params.manifest_sha256,
        }
    }

    fn node(params: &RestoreDatabaseParams) -> &NodeId {
        &params.instance.node_id
    }
}

/// Whether a task restores a set.
pub(crate) fn is_restore(task: &Task) -> bool {
    task.workflow == RestoreDatabase::NAME
}

/// The set that such a task restores, by its parameters.
pub(crate) fn set_of(params: &Secret) -> Option<BackupId> {
    let params: RestoreDatabaseParams = serde_json::from_str(params.expose()).ok()?;
    Some(params.backup_id)
}
