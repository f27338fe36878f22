//! DeleteAccount (API document 9.2).

use openpeta_rpc_api::EmptyResponse;
use openpeta_rpc_api::accounts::DeleteAccountRequest;
use openpeta_types::{AccountStatus, TaskId};

use super::{PATIENCE, active_account};
use crate::workflows::delete_account::{DeleteAccount, DeleteAccountParams};
use crate::{Control, ControlError, MutatingCall, audit};

impl Control {
    /// DeleteAccount: drops an account; its sessions are closed.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `OperationDenied.DBInstanceStatus`,
    /// `InvalidAccountName.NotFound`, `OperationDenied.AccountStatus`, `Forbidden.RAM`.
    pub async fn delete_account(
        &self,
        call: &MutatingCall,
        request: &DeleteAccountRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let task = self.drop_account(call, request)?;
        self.wait_for_task(task, PATIENCE).await;
        Ok(EmptyResponse)
    }

    /// Writes that the account goes and the task that removes it, and closes its sessions.
    pub(crate) fn drop_account(
        &self,
        call: &MutatingCall,
        request: &DeleteAccountRequest,
    ) -> Result<TaskId, ControlError> {
        let (id, name) = (&request.instance_id, &request.account_name);
        let task = self.parts.store.write(|writer| {
            self.active_instance(writer, &call.caller, call.action, id)?;
            active_account(writer, id, name)?;
            writer.set_account_status(id, name, AccountStatus::Delete)?;
            let params = DeleteAccountParams {
                instance_id: id.clone(),
                account_name: name.clone(),
            };
            let task = self.enqueue::<DeleteAccount>(writer, call, id, None, params)?;
            audit::record(writer, call, Some(id), Some(task))?;
            Ok::<_, ControlError>(task)
        })?;
        // Nobody logs in with it from here on, whenever the task comes to its turn.
        self.parts.publish(id).map_err(ControlError::after_commit)?;
        Ok(task)
    }
}
