//! ModifyAccountDescription.

use openpeta_rpc_api::EmptyResponse;
use openpeta_rpc_api::accounts::ModifyAccountDescriptionRequest;

use super::active_account;
use crate::{Control, ControlError, MutatingCall, audit};

impl Control {
    /// ModifyAccountDescription: changes the remark on an account.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `OperationDenied.DBInstanceStatus`,
    /// `InvalidAccountName.NotFound`, `OperationDenied.AccountStatus`, `Forbidden.RAM`.
    pub fn modify_account_description(
        &self,
        call: &MutatingCall,
        request: &ModifyAccountDescriptionRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let (id, name) = (&request.instance_id, &request.account_name);
        self.parts.store.write(|writer| {
            self.active_instance(writer, &call.caller, call.action, id)?;
            active_account(writer, id, name)?;
            let description = Some(request.account_description.clone());
            writer.set_account_description(id, name, &description)?;
            audit::record(writer, call, Some(id), None)?;
            Ok(EmptyResponse)
        })
    }
}
