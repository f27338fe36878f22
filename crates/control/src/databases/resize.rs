//! ModifyDatabaseNodesNumber.

use openpeta_rpc_api::EmptyResponse;
use openpeta_rpc_api::databases::ModifyDatabaseNodesNumberRequest;

use crate::ordering::several_nodes;
use crate::{Control, ControlError, MutatingCall, audit, idempotency};

impl Control {
    /// ModifyDatabaseNodesNumber: nothing is to be done for the number that the database has;
    /// another one is not available yet.
    ///
    /// # Errors
    /// Those of the action's table.
    pub fn modify_database_nodes_number(
        &self,
        call: &MutatingCall,
        request: &ModifyDatabaseNodesNumberRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let (id, name) = (&request.instance_id, &request.db_name);
        self.parts.store.write(|writer| {
            let token = request.client_token.as_ref();
            if idempotency::answered::<()>(writer, call, token)?.is_none() {
                let (_, database) =
                    self.active_database(writer, &call.caller, call.action, id, name)?;
                if request.node_number != database.node_number {
                    return Err(ControlError::from(several_nodes()));
                }
                idempotency::remember(writer, call, token, &())?;
            }
            audit::record(writer, call, Some(id), None)
        })?;
        Ok(EmptyResponse)
    }
}
