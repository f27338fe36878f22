//! AddBuDBInstanceRelation.

use openpeta_rpc_api::instances::{
    AddBuDBInstanceRelationRequest, AddBuDBInstanceRelationResponse,
};
use openpeta_store::Instance;

use crate::{Control, ControlError, MutatingCall, audit};

impl Control {
    /// AddBuDBInstanceRelation: notes which business unit an instance belongs to.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `OperationDenied.DBInstanceStatus`, `Forbidden.RAM`.
    pub fn add_bu_db_instance_relation(
        &self,
        call: &MutatingCall,
        request: &AddBuDBInstanceRelationRequest,
    ) -> Result<AddBuDBInstanceRelationResponse, ControlError> {
        let id = &request.instance_id;
        let name = self.parts.store.write(|writer| {
            let instance = self.active_instance(writer, &call.caller, call.action, id)?;
            let name = instance.name.clone();
            writer.update_instance(&Instance {
                business_unit: Some(request.business_unit.clone()),
                ..instance
            })?;
            audit::record(writer, call, Some(id), None)?;
            Ok::<_, ControlError>(name)
        })?;
        Ok(AddBuDBInstanceRelationResponse {
            business_unit: request.business_unit.clone(),
            db_instance_name: name.map_or_else(|| id.to_string(), String::from),
        })
    }
}
