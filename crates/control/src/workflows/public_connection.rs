//! AllocateInstancePublicConnection and ReleaseInstancePublicConnection: an instance gets a
//! public endpoint, and loses it again with the sessions that came through it.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_store::{EndpointState, Writer};
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, forward, undoable};
use openpeta_types::{EndpointId, InstanceId, ObjectStatus};
use serde::{Deserialize, Serialize};

use super::opening::{Added, AddsEndpoint, CheckEndpoint, OpenEndpoint, forget};
use crate::parts::Parts;

/// Opens a public endpoint.
pub(crate) struct AllocatePublicConnection(pub(super) Arc<Parts>);

/// Which one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AllocatePublicConnectionParams {
    pub(crate) instance_id: InstanceId,
    /// The new endpoint.
    pub(crate) endpoint_id: EndpointId,
    /// The client asked for this very port.
    pub(crate) port_is_asked_for: bool,
}

impl AddsEndpoint for AllocatePublicConnection {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn added(params: &AllocatePublicConnectionParams) -> Added<'_> {
        Added {
            instance_id: &params.instance_id,
            endpoint_id: &params.endpoint_id,
            may_move: !params.port_is_asked_for,
        }
    }
}

impl Workflow for AllocatePublicConnection {
    const NAME: &'static str = "allocate-public-connection";
    type Params = AllocatePublicConnectionParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![undoable(OpenEndpoint), undoable(CheckEndpoint)]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let params = task.params();
        writer.set_endpoint_state(&params.endpoint_id, EndpointState::Active)?;
        writer.set_instance_status(&params.instance_id, ObjectStatus::Active)?;
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

/// Closes a public endpoint. The call made it CLOSING: nothing opens it again.
pub(crate) struct ReleasePublicConnection(pub(super) Arc<Parts>);

/// Which one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReleasePublicConnectionParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) endpoint_id: EndpointId,
}

impl Workflow for ReleasePublicConnection {
    const NAME: &'static str = "release-public-connection";
    type Params = ReleasePublicConnectionParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![forward(CloseEndpoint)]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let params = task.params();
        writer.delete_endpoint(&params.endpoint_id)?;
        writer.set_instance_status(&params.instance_id, ObjectStatus::Active)?;
        Ok(())
    }
}

/// The gateway listens no more; sessions through the endpoint end, others stay.
struct CloseEndpoint;

#[async_trait]
impl Step<ReleasePublicConnection> for CloseEndpoint {
    const NAME: &'static str = "close-endpoint";
    const TITLE: &'static str = "Closing the endpoint";
    type Output = ();

    async fn run(
        &self,
        workflow: &ReleasePublicConnection,
        task: &TaskContext<'_, ReleasePublicConnection>,
    ) -> Result<(), StepError> {
        workflow.0.close_endpoint(&task.params().endpoint_id);
        Ok(())
    }
}
