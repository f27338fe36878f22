//! AllocateInstancePublicConnection (API document 7.11) and ReleaseInstancePublicConnection.

use openpeta_rpc_api::instances::{
    AllocateInstancePublicConnectionRequest, ReleaseInstancePublicConnectionRequest,
};
use openpeta_rpc_api::{ApiError, EmptyResponse};
use openpeta_store::{Endpoint, EndpointState};
use openpeta_types::{EndpointType, ObjectStatus};

use crate::authorize::require_unlocked;
use crate::network::{ConnectionString, check_prefix, usual_prefix};
use crate::workflows::public_connection::{
    AllocatePublicConnection, AllocatePublicConnectionParams, ReleasePublicConnection,
    ReleasePublicConnectionParams,
};
use crate::{Control, ControlError, MutatingCall, audit};

impl Control {
    /// AllocateInstancePublicConnection: gives an instance a public endpoint. Returns when that
    /// is decided; a task opens it.
    ///
    /// # Errors
    /// Those of the action's table; nothing changes then.
    pub fn allocate_instance_public_connection(
        &self,
        call: &MutatingCall,
        request: &AllocateInstancePublicConnectionRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let id = &request.instance_id;
        self.parts.store.write(|writer| {
            let instance = self.active_instance(writer, &call.caller, call.action, id)?;
            require_unlocked(&instance)?;
            let is_public = |other: &Endpoint| other.endpoint_type == EndpointType::Public;
            if writer.endpoints_of(id)?.iter().any(is_public) {
                return Err(ApiError::public_connection_exists().into());
            }
            let prefix = match &request.prefix {
                Some(prefix) => prefix.clone(),
                None => usual_prefix(id)?,
            };
            check_prefix(writer, id, &prefix)?;
            let endpoint = self
                .parts
                .public_endpoint(writer, &instance, prefix, request.port)?;
            writer.insert_endpoint(&Endpoint {
                state: EndpointState::Opening,
                ..endpoint.clone()
            })?;
            writer.set_instance_status(id, ObjectStatus::Modify)?;
            let params = AllocatePublicConnectionParams {
                instance_id: id.clone(),
                endpoint_id: endpoint.endpoint_id,
                port_is_asked_for: request.port.is_some(),
            };
            let task = self.enqueue::<AllocatePublicConnection>(writer, call, id, None, params)?;
            audit::record(writer, call, Some(id), Some(task))
        })?;
        Ok(EmptyResponse)
    }

    /// ReleaseInstancePublicConnection: takes the public endpoint from an instance. Returns when
    /// that is decided; a task closes it with the sessions that came through it.
    ///
    /// # Errors
    /// Those of the action's table; nothing changes then.
    pub fn release_instance_public_connection(
        &self,
        call: &MutatingCall,
        request: &ReleaseInstancePublicConnectionRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let id = &request.instance_id;
        self.parts.store.write(|writer| {
            let instance = self.active_instance(writer, &call.caller, call.action, id)?;
            require_unlocked(&instance)?;
            let named = ConnectionString::parse(&request.current_connection_string);
            let endpoints = writer.endpoints_of(id)?;
            let endpoint_id = named.public_endpoint(&endpoints)?.endpoint_id.clone();
            writer.set_endpoint_state(&endpoint_id, EndpointState::Closing)?;
            writer.set_instance_status(id, ObjectStatus::Modify)?;
            let params = ReleasePublicConnectionParams {
                instance_id: id.clone(),
                endpoint_id,
            };
            let task = self.enqueue::<ReleasePublicConnection>(writer, call, id, None, params)?;
            audit::record(writer, call, Some(id), Some(task))
        })?;
        Ok(EmptyResponse)
    }
}
