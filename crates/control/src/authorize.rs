//! Authorizing and fetching in one step: no function of the control plane gets hold of an
//! instance without having asked whether the caller may do this to it.

use std::sync::Arc;

use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::{Database, Instance, InstanceDetail, Reader};
use openpeta_types::{DbName, InstanceId, ObjectStatus};

use crate::ram::Permission;
use crate::{Caller, Control, ControlError};

impl Control {
    /// Whether the caller may use an action at all, before its parameters are looked at:
    /// permission comes before parameters in the order of checks.
    ///
    /// `instance` is the parameter that names an instance, as the client sent it, if any: its id,
    /// or for DescribeInstanceInfoByConnection one of its endpoints. The tenant itself
    /// always may; whether the instance exists is then told by the action itself.
    ///
    /// # Errors
    /// `Forbidden.RAM`.
    pub fn check_permission(
        &self,
        caller: &Caller,
        action: Action,
        instance: Option<&str>,
        region: Option<&str>,
    ) -> Result<(), ControlError> {
        if caller.ram_user.is_none() {
            return Ok(());
        }
        // A list names an instance as a filter only; what it may show is decided row by row. A
        // call about several instances asks for each of them.
        if matches!(
            action,
            Action::DescribeInstances
                | Action::DescribeDatabaseList
                | Action::ListTagResources
                | Action::TagResources
                | Action::UntagResources
        ) {
            let permission = self.permission(caller, action)?;
            return permission.for_instances().map(drop);
        }
        let Some(text) = instance.filter(|text| !text.is_empty()) else {
            return self.check_any_instance(caller, action, region.unwrap_or("*"));
        };
        let permission = self.permission(caller, action)?;
        let owned = |detail: &Arc<InstanceDetail>| detail.instance.account_id == caller.account_id;
        let found = match action {
            Action::DescribeInstanceInfoByConnection => self.at_connection(caller, text).ok(),
            _ => InstanceId::parse(text)
                .ok()
                .and_then(|id| self.parts.store.instance_detail(&id))
                .filter(owned),
        };
        match found.as_deref() {
            Some(InstanceDetail { instance, .. }) => {
                permission.check(&instance.region_id, instance.instance_id.as_str())
            }
            // The action itself tells that there is none.
            None => permission.for_instances().map(drop),
        }
    }

    /// Checks an action that names no instance, such as CreateInstance.
    ///
    /// # Errors
    /// `Forbidden.RAM`.
    pub(crate) fn check_any_instance(
        &self,
        caller: &Caller,
        action: Action,
        region: &str,
    ) -> Result<(), ControlError> {
        self.permission(caller, action)?.check(region, "*")
    }

    /// The instance of that id, if it is the caller's and the caller may do this to it.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, also for an instance of another tenant; `Forbidden.RAM`.
    pub(crate) fn instance(
        &self,
        reader: &Reader<'_>,
        caller: &Caller,
        action: Action,
        id: &InstanceId,
    ) -> Result<Instance, ControlError> {
        let owned = |instance: &Instance| instance.account_id == caller.account_id;
        let found = reader.instance(id)?.filter(owned);
        let instance = found.ok_or_else(ApiError::instance_not_found)?;
        self.permission(caller, action)?
            .check(&instance.region_id, id.as_str())?;
        Ok(instance)
    }

    /// As [`instance`](Self::instance), with its endpoints and databases, as of the last commit.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn detail(
        &self,
        caller: &Caller,
        action: Action,
        id: &InstanceId,
    ) -> Result<Arc<InstanceDetail>, ControlError> {
        let owned = |detail: &Arc<InstanceDetail>| detail.instance.account_id == caller.account_id;
        let found = self.parts.store.instance_detail(id).filter(owned);
        let detail = found.ok_or_else(ApiError::instance_not_found)?;
        let region = &detail.instance.region_id;
        self.permission(caller, action)?
            .check(region, id.as_str())?;
        Ok(detail)
    }

    /// As [`instance`](Self::instance), for an action that changes it or something below it.
    ///
    /// # Errors
    /// Also `OperationDenied.DBInstanceStatus` unless it is ACTIVE, naming the task that
    /// holds it.
    pub(crate) fn active_instance(
        &self,
        reader: &Reader<'_>,
        caller: &Caller,
        action: Action,
        id: &InstanceId,
    ) -> Result<Instance, ControlError> {
        let instance = self.instance(reader, caller, action, id)?;
        if instance.status == ObjectStatus::Active {
            return Ok(instance);
        }
        let mut detail = format!("The instance is {}.", instance.status);
        if let Some(task) = reader.unfinished_tasks_of(id)?.first() {
            detail.push_str(&format!(
                " Task {} ({}) holds it.",
                task.task_id, task.action
            ));
        }
        Err(ApiError::instance_status().with_detail(&detail).into())
    }

    /// What the caller may do with an action.
    pub(crate) fn permission(
        &self,
        caller: &Caller,
        action: Action,
    ) -> Result<Permission, ControlError> {
        Permission::of(&self.policies, &self.parts.store, caller, action)
    }
}

/// Refuses a change of a locked instance.
///
/// # Errors
/// `OperationDenied.LockMode`, naming lock and reason.
pub(crate) fn require_unlocked(instance: &Instance) -> Result<(), ControlError> {
    if !instance.lock_mode.is_locked() {
        return Ok(());
    }
    let reason = instance.lock_reason.as_deref().unwrap_or("no reason given");
    let detail = format!("{}: {reason}", instance.lock_mode);
    Err(ApiError::instance_locked().with_detail(&detail).into())
}

/// The database of that name in an instance that the caller may use.
///
/// # Errors
/// `InvalidDBName.NotFound`.
pub(crate) fn require_database(
    reader: &Reader<'_>,
    instance: &InstanceId,
    db_name: &DbName,
) -> Result<Database, ControlError> {
    let found = reader.database(instance, db_name)?;
    found.ok_or_else(|| ApiError::db_not_found().into())
}

/// As [`require_database`], for a change of the database or of something below it.
///
/// # Errors
/// Also `OperationDenied.DBStatus` unless it is ACTIVE.
pub(crate) fn require_active_database(
    reader: &Reader<'_>,
    instance: &InstanceId,
    db_name: &DbName,
) -> Result<Database, ControlError> {
    let database = require_database(reader, instance, db_name)?;
    if database.status == ObjectStatus::Active {
        return Ok(database);
    }
    let detail = format!("The database is {}.", database.status);
    Err(ApiError::db_status().with_detail(&detail).into())
}
