//! GrantAccountPrivilege and RevokeAccountPrivilege.

use std::collections::BTreeSet;

use openpeta_rpc_api::accounts::{GrantAccountPrivilegeRequest, RevokeAccountPrivilegeRequest};
use openpeta_rpc_api::{ApiError, EmptyResponse};
use openpeta_store::{Reader, Writer};
use openpeta_types::{
    AccountName, AccountType, DbName, InstanceId, ObjectStatus, PrivilegeSet, TaskId,
};

use super::active_account;
use crate::authorize::require_unlocked;
use crate::workflows::account_privileges::PrivilegeChange;
use crate::workflows::grant_account_privilege::GrantAccountPrivilege;
use crate::workflows::revoke_account_privilege::RevokeAccountPrivilege;
use crate::{Control, ControlError, MutatingCall, audit};

impl Control {
    /// GrantAccountPrivilege: replaces what an account has on some databases by a named set.
    ///
    /// # Errors
    /// Those of the action's table; nothing has changed then.
    pub async fn grant_account_privilege(
        &self,
        call: &MutatingCall,
        request: &GrantAccountPrivilegeRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let task = self.begin_grant(call, request)?;
        self.wait_or_fail(task).await?;
        Ok(EmptyResponse)
    }

    /// Writes the task that gives the privileges.
    pub(crate) fn begin_grant(
        &self,
        call: &MutatingCall,
        request: &GrantAccountPrivilegeRequest,
    ) -> Result<TaskId, ControlError> {
        let id = &request.instance_id;
        self.parts.store.write(|writer| {
            let change = self.privilege_change(
                writer,
                call,
                (id, &request.account_name),
                &request.db_names,
                Some(request.account_privilege),
            )?;
            let task = self.enqueue::<GrantAccountPrivilege>(writer, call, id, None, change)?;
            audit::record(writer, call, Some(id), Some(task))?;
            Ok(task)
        })
    }

    /// RevokeAccountPrivilege: takes everything away that an account has on some databases.
    ///
    /// # Errors
    /// Those of the action's table; nothing has changed then.
    pub async fn revoke_account_privilege(
        &self,
        call: &MutatingCall,
        request: &RevokeAccountPrivilegeRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let task = self.begin_revoke(call, request)?;
        self.wait_or_fail(task).await?;
        Ok(EmptyResponse)
    }

    /// Writes the task that takes the privileges away.
    pub(crate) fn begin_revoke(
        &self,
        call: &MutatingCall,
        request: &RevokeAccountPrivilegeRequest,
    ) -> Result<TaskId, ControlError> {
        let id = &request.instance_id;
        self.parts.store.write(|writer| {
            let account = (id, &request.account_name);
            let change = self.privilege_change(writer, call, account, &request.db_names, None)?;
            let task = self.enqueue::<RevokeAccountPrivilege>(writer, call, id, None, change)?;
            audit::record(writer, call, Some(id), Some(task))?;
            Ok(task)
        })
    }

    /// Checks a change of privileges.
    fn privilege_change(
        &self,
        writer: &Writer<'_>,
        call: &MutatingCall,
        (id, name): (&InstanceId, &AccountName),
        db_names: &BTreeSet<DbName>,
        privilege: Option<PrivilegeSet>,
    ) -> Result<PrivilegeChange, ControlError> {
        let instance = self.active_instance(writer, &call.caller, call.action, id)?;
        require_unlocked(&instance)?;
        let account = active_account(writer, id, name)?;
        if account.account_type == AccountType::Super {
            // It has all privileges on all databases: a named set would be less, and what is
            // taken away on one database it would still have by the other grant.
            let detail = "A Super account has all privileges on all databases.";
            return Err(ApiError::account_type().with_detail(detail).into());
        }
        for db_name in db_names {
            require_active_database(writer, id, db_name)?;
        }
        Ok(PrivilegeChange {
            instance_id: id.clone(),
            account_name: name.clone(),
            account_created_at: account.created_at,
            db_names: db_names.clone(),
            privilege,
        })
    }
}

/// Refuses a database that does not exist, or to which something else is being done.
fn require_active_database(
    reader: &Reader<'_>,
    id: &InstanceId,
    db_name: &DbName,
) -> Result<(), ControlError> {
    let database = reader
        .database(id, db_name)?
        .ok_or_else(ApiError::db_not_found)?;
    if database.status != ObjectStatus::Active {
        let detail = format!("The database {db_name} is {}.", database.status);
        return Err(ApiError::db_status().with_detail(&detail).into());
    }
    Ok(())
}
