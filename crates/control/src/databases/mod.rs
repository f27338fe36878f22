//! Databases of an instance (API document 8): ordering, showing, resizing, dropping.

mod create;
mod delete;
mod describe;
mod list;
mod partitions;
mod renumber;
mod resize;
mod room;
#[cfg(test)]
mod spread_tests;
#[cfg(test)]
mod tests;

pub(crate) use partitions::PartitionRow;

use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::{Database, Instance, Reader};
use openpeta_types::{DbName, InstanceId, ObjectStatus};

use crate::authorize::require_unlocked;
use crate::instance_nodes::is_spread;
use crate::{Caller, Control, ControlError};

/// Another database of an instance for which nodes are made or removed, or whose partitions move.
pub(crate) fn spread_in_change(
    reader: &Reader<'_>,
    id: &InstanceId,
    db_name: &DbName,
) -> Result<Option<Database>, ControlError> {
    use ObjectStatus::{Append, Create, Delete};
    let is_changing = |status| matches!(status, Create | Delete | Append);
    let mut others = reader.databases(id)?.into_iter();
    let found = others.find(|it| is_spread(it) && is_changing(it.status) && it.db_name != *db_name);
    Ok(found)
}

impl Control {
    /// The database of that name and its instance, for an action that shows it.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `Forbidden.RAM`, `InvalidDBName.NotFound`.
    pub(crate) fn database(
        &self,
        reader: &Reader<'_>,
        caller: &Caller,
        action: Action,
        instance_id: &InstanceId,
        db_name: &DbName,
    ) -> Result<(Instance, Database), ControlError> {
        let instance = self.instance(reader, caller, action, instance_id)?;
        let database = reader.database(instance_id, db_name)?;
        Ok((instance, database.ok_or_else(ApiError::db_not_found)?))
    }

    /// As [`database`](Self::database), for an action that changes it or something below it:
    /// the instance is ACTIVE and, if the action's list of errors has it, not locked; then the
    /// database is ACTIVE.
    ///
    /// # Errors
    /// Also `OperationDenied.DBInstanceStatus`, `OperationDenied.LockMode` and
    /// `OperationDenied.DBStatus`, which names the task that holds the database.
    pub(crate) fn active_database(
        &self,
        reader: &Reader<'_>,
        caller: &Caller,
        action: Action,
        instance_id: &InstanceId,
        db_name: &DbName,
    ) -> Result<(Instance, Database), ControlError> {
        let instance = self.active_instance(reader, caller, action, instance_id)?;
        let locked = ApiError::instance_locked();
        if action
            .spec()
            .errors
            .iter()
            .any(|error| error.code == locked.code)
        {
            require_unlocked(&instance)?;
        }
        let database = reader.database(instance_id, db_name)?;
        let database = database.ok_or_else(ApiError::db_not_found)?;
        if database.status == ObjectStatus::Active {
            return Ok((instance, database));
        }
        let mut detail = format!("The database is {}.", database.status);
        let tasks = reader.unfinished_tasks_of(instance_id)?;
        if let Some(task) = tasks
            .iter()
            .find(|task| task.db_name.as_ref() == Some(db_name))
        {
            detail.push_str(&format!(
                " Task {} ({}) holds it.",
                task.task_id, task.action
            ));
        }
        Err(ApiError::db_status().with_detail(&detail).into())
    }
}
