//! SwitchInstanceNetType (API document 7.10).

use jiff::SignedDuration;
use openpeta_rpc_api::instances::{NetworkPlacement, SwitchInstanceNetTypeRequest};
use openpeta_rpc_api::{ApiError, EmptyResponse};
use openpeta_store::{Endpoint, EndpointState, Instance, Reader, TaskFilter};
use openpeta_types::{ObjectStatus, TaskStatus};

use crate::authorize::require_unlocked;
use crate::workflows::switch_net_type::{SwitchNetType, SwitchNetTypeParams};
use crate::{Control, ControlError, MutatingCall, audit};

/// How often an instance may be switched within [`PERIOD_HOURS`].
const SWITCHES: u64 = 20;
const PERIOD_HOURS: i64 = 24;

impl Control {
    /// SwitchInstanceNetType: moves an instance to another network. Returns when that is
    /// decided; a task opens the new endpoint. Until it has, and for a time of grace afterwards,
    /// the old one works.
    ///
    /// # Errors
    /// Those of the action's table, in its order; nothing changes then.
    pub fn switch_instance_net_type(
        &self,
        call: &MutatingCall,
        request: &SwitchInstanceNetTypeRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let id = &request.instance_id;
        self.parts.store.write(|writer| {
            let instance = self.active_instance(writer, &call.caller, call.action, id)?;
            require_unlocked(&instance)?;
            if instance.network_type == request.target.network_type() {
                return Err(ApiError::net_type_exists().into());
            }
            check_switches(writer, call, &instance)?;
            let endpoint = self.endpoint_after_switch(writer, &instance, &request.target)?;
            writer.insert_endpoint(&endpoint)?;
            writer.set_instance_status(id, ObjectStatus::Modify)?;
            let params = SwitchNetTypeParams {
                instance_id: id.clone(),
                endpoint_id: endpoint.endpoint_id,
            };
            let task = self.enqueue::<SwitchNetType>(writer, call, id, None, params)?;
            audit::record(writer, call, Some(id), Some(task))
        })?;
        Ok(EmptyResponse)
    }

    fn endpoint_after_switch(
        &self,
        reader: &Reader<'_>,
        instance: &Instance,
        target: &NetworkPlacement,
    ) -> Result<Endpoint, ControlError> {
        let parts = &self.parts;
        let endpoint = match target {
            NetworkPlacement::Classic => parts.classic_endpoint(reader, instance),
            NetworkPlacement::Vpc { vpc_id, vswitch_id } => {
                parts.vpc_endpoint(reader, instance, vpc_id, vswitch_id)
            }
        };
        match endpoint {
            Ok(endpoint) => Ok(Endpoint {
                state: EndpointState::Opening,
                ..endpoint
            }),
            // Nothing is for sale here: the table has a code of its own.
            Err(error) if error.api.code == ApiError::sold_out().code => {
                let detail = "No address or port is left there, or other programs listen on them.";
                Err(ApiError::switch_denied().with_detail(detail).into())
            }
            Err(error) => Err(error),
        }
    }
}

/// Refuses one more switch when there were too many of late. Those that failed do not count.
fn check_switches(
    reader: &Reader<'_>,
    call: &MutatingCall,
    instance: &Instance,
) -> Result<(), ControlError> {
    let counting = [
        TaskStatus::Pending,
        TaskStatus::Running,
        TaskStatus::Succeeded,
    ];
    let filter = TaskFilter {
        instance_id: Some(instance.instance_id.clone()),
        action: Some(call.action.spec().name.to_owned()),
        statuses: Some(&counting),
        from: Some(call.caller.now - SignedDuration::from_hours(PERIOD_HOURS)),
        ..TaskFilter::default()
    };
    let (switches, _) = reader.task_page(&filter, 0, 0)?;
    if switches >= SWITCHES {
        return Err(ApiError::switch_quota_exceeded().into());
    }
    Ok(())
}
