//! SwitchInstanceNetType: a new endpoint in the other network, then it is the default one. The
//! old one works on for a while; a reconciler closes it.

use std::sync::Arc;

use jiff::Timestamp;
use openpeta_store::{Endpoint, EndpointState, Instance, Writer};
use openpeta_tasks::{StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::{EndpointId, EndpointType, InstanceId, NetworkType, ObjectStatus};
use serde::{Deserialize, Serialize};

use super::FAILED_INSIDE;
use super::opening::{Added, AddsEndpoint, CheckEndpoint, OpenEndpoint, forget};
use crate::parts::Parts;

/// Moves an instance to another network.
pub(crate) struct SwitchNetType(pub(super) Arc<Parts>);

/// Which one, and where to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SwitchNetTypeParams {
    pub(crate) instance_id: InstanceId,
    /// The new endpoint.
    pub(crate) endpoint_id: EndpointId,
}

impl AddsEndpoint for SwitchNetType {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn added(params: &SwitchNetTypeParams) -> Added<'_> {
        Added {
            instance_id: &params.instance_id,
            endpoint_id: &params.endpoint_id,
            may_move: true,
        }
    }
}

impl Workflow for SwitchNetType {
    const NAME: &'static str = "switch-instance-net-type";
    type Params = SwitchNetTypeParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![undoable(OpenEndpoint), undoable(CheckEndpoint)]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let SwitchNetTypeParams {
            instance_id,
            endpoint_id,
        } = task.params();
        let gone = || StepError::permanent(FAILED_INSIDE, "the instance or its endpoint is gone");
        let instance = writer.instance(instance_id)?.ok_or_else(gone)?;
        let added = writer.endpoint(endpoint_id)?.ok_or_else(gone)?;
        let end = Timestamp::now() + self.0.config.network.switch_grace();
        for endpoint in writer.endpoints_of(instance_id)? {
            if is_default(&endpoint) {
                writer.set_endpoint_expiry(&endpoint.endpoint_id, Some(end))?;
            }
        }
        writer.set_endpoint_state(endpoint_id, EndpointState::Active)?;
        writer.update_instance(&Instance {
            network_type: match added.endpoint_type {
                EndpointType::Vpc => NetworkType::Vpc,
                EndpointType::Internal | EndpointType::Public => NetworkType::Classic,
            },
            vpc_id: added.vpc_id,
            vswitch_id: added.vswitch_id,
            status: ObjectStatus::Active,
            ..instance
        })?;
        Ok(())
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        forget(self, writer, task)
    }
}

fn is_default(endpoint: &Endpoint) -> bool {
    endpoint.endpoint_type != EndpointType::Public
        && endpoint.state == EndpointState::Active
        && endpoint.expires_at.is_none()
}
