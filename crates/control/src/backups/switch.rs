//! SwitchBackupDatabase: an instance and a restored copy of it serve each other's content.

use openpeta_rpc_api::backups::SwitchBackupDatabaseRequest;
use openpeta_rpc_api::{Action, ApiError, EmptyResponse};
use openpeta_store::{Instance, Reader};
use openpeta_types::{DbName, InstanceId, ObjectStatus};

use super::create::require_no_backup;
use crate::authorize::{require_active_database, require_unlocked};
use crate::workflows::switch_backup_database::{
    SwitchBackupDatabase, SwitchBackupDatabaseParams, SwitchedInstance,
};
use crate::{Control, ControlError, MutatingCall, audit};

impl Control {
    /// SwitchBackupDatabase: swaps the nodes of an instance and of one that was restored from
    /// it. Returns when the decision is on disk; a task does the rest.
    ///
    /// # Errors
    /// Those of the action's table; nothing is changed then.
    pub fn switch_backup_database(
        &self,
        call: &MutatingCall,
        request: &SwitchBackupDatabaseRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let SwitchBackupDatabaseRequest {
            source_instance_id: source,
            new_instance_id: new,
            db_name,
            releases_replaced,
        } = request;
        self.parts.store.write(|writer| {
            // Both are asked for before anything is told of either.
            for id in [source, new] {
                self.instance(writer, &call.caller, call.action, id)?;
            }
            if *releases_replaced {
                self.instance(writer, &call.caller, Action::DeleteInstance, new)?;
            }
            if source == new {
                return Err(ControlError::from(ApiError::same_instance()));
            }
            let source_side = self.switchable(writer, call, source, db_name)?;
            let new_side = self.switchable(writer, call, new, db_name)?;
            require_copy(writer, source, new, db_name)?;
            let params = SwitchBackupDatabaseParams {
                source: side(writer, source_side, db_name)?,
                new: side(writer, new_side, db_name)?,
                db_name: db_name.clone(),
                releases_replaced: *releases_replaced,
            };
            for id in [source, new] {
                writer.set_instance_status(id, ObjectStatus::Modify)?;
                writer.set_database_status(id, db_name, ObjectStatus::Modify)?;
            }
            let of_database = Some(db_name.clone());
            let task =
                self.enqueue::<SwitchBackupDatabase>(writer, call, source, of_database, params)?;
            audit::record(writer, call, Some(source), Some(task))
        })?;
        Ok(EmptyResponse)
    }

    /// An instance that holds this database alone and to which nothing is being done.
    fn switchable(
        &self,
        reader: &Reader<'_>,
        call: &MutatingCall,
        id: &InstanceId,
        db_name: &DbName,
    ) -> Result<Instance, ControlError> {
        let instance = self.active_instance(reader, &call.caller, call.action, id)?;
        require_unlocked(&instance)?;
        require_active_database(reader, id, db_name)?;
        let databases = reader.databases(id)?;
        if let Some(other) = databases.iter().find(|other| other.db_name != *db_name) {
            let name = &other.db_name;
            let detail = format!("Instance {id} has another database, {name}, on the same node.");
            return Err(ApiError::instance_type().with_detail(&detail).into());
        }
        require_no_backup(reader, id, None)?;
        if let Some(task) = reader.unfinished_tasks_of(id)?.first() {
            let detail = format!(
                "Task {} ({}) of instance {id} is under way.",
                task.task_id, task.action
            );
            return Err(ApiError::instance_status().with_detail(&detail).into());
        }
        Ok(instance)
    }
}

fn side(
    reader: &Reader<'_>,
    instance: Instance,
    db_name: &DbName,
) -> Result<SwitchedInstance, ControlError> {
    let no_node = || ControlError::internal("the instance has no node");
    let nodes = reader.serving_nodes(&instance)?;
    let further = nodes.into_iter().filter(|node| node.number > 0);
    let further = further.map(|node| node.node_id).collect();
    let mut partitions = reader.partitions(&instance.instance_id)?;
    Ok(SwitchedInstance {
        instance_id: instance.instance_id,
        node_id: instance.node_id.ok_or_else(no_node)?,
        further,
        partitions: partitions.remove(db_name).unwrap_or_default(),
    })
}

/// Refuses an instance that was not restored from the database.
fn require_copy(
    reader: &Reader<'_>,
    source: &InstanceId,
    new: &InstanceId,
    db_name: &DbName,
) -> Result<(), ControlError> {
    let copy = reader.database(new, db_name)?;
    if copy.is_some_and(|copy| copy.source_instance_id.as_ref() == Some(source)) {
        return Ok(());
    }
    let detail = format!("Database {db_name} of {new} was not restored from {source}.");
    Err(ApiError::no_backup().with_detail(&detail).into())
}
