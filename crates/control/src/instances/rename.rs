//! ModifyInstanceName (API document 7.3).

use openpeta_rpc_api::EmptyResponse;
use openpeta_rpc_api::instances::ModifyInstanceNameRequest;
use openpeta_store::Instance;

use crate::{Control, ControlError, MutatingCall, audit};

impl Control {
    /// ModifyInstanceName: changes the display name.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `OperationDenied.DBInstanceStatus`, `Forbidden.RAM`.
    pub fn modify_instance_name(
        &self,
        call: &MutatingCall,
        request: &ModifyInstanceNameRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let id = &request.instance_id;
        self.parts.store.write(|writer| {
            let instance = self.active_instance(writer, &call.caller, call.action, id)?;
            let name = Some(request.new_instance_name.clone());
            writer.update_instance(&Instance { name, ..instance })?;
            audit::record(writer, call, Some(id), None)
        })?;
        Ok(EmptyResponse)
    }
}
