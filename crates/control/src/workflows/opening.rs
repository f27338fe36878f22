//! Adding an endpoint to an instance, as several workflows do: it listens, it answers, and if
//! anything fails it is as if it had never been.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_store::{Endpoint, EndpointState, Writer};
use openpeta_tasks::{Step, StepError, TaskContext, Workflow};
use openpeta_types::{EndpointId, InstanceId, ObjectStatus};

use super::FAILED_INSIDE;
use crate::OpenEndpointError;
use crate::network::{Opened, check_reachable, reachable_address};
use crate::parts::Parts;

/// In how many places an endpoint is tried, when others keep taking them.
const PLACES_TRIED: u32 = 8;

/// Opens an endpoint; does nothing if it is open. Taken since it was chosen, another place does as
/// well where the client did not ask for this one, and DescribeInstanceInfo tells it.
pub(super) fn open(parts: &Parts, id: &EndpointId, may_move: bool) -> Result<Endpoint, StepError> {
    for _ in 0..PLACES_TRIED {
        match parts.open_endpoint(id)? {
            Opened::Open(endpoint) => return Ok(endpoint),
            Opened::NotWanted => {
                let cause = "the endpoint is not to be open";
                return Err(StepError::permanent(FAILED_INSIDE, cause));
            }
            Opened::Failed(OpenEndpointError::AddressInUse(_)) if may_move => {
                parts.move_endpoint(id)?;
            }
            Opened::Failed(error) => {
                let message = format!("The endpoint cannot be opened: {error}.");
                return Err(StepError::permanent(message, error));
            }
        }
    }
    Err(StepError::transient("others take every place first"))
}

/// Opens an endpoint, if a restart closed it, and waits for its answer. No login is made, since
/// nobody but the client knows the password, and the whitelist may not admit this machine.
pub(super) async fn check(parts: &Parts, id: &EndpointId, may_move: bool) -> Result<(), StepError> {
    let endpoint = open(parts, id, may_move)?;
    check_reachable(reachable_address(&endpoint))
        .await
        .map_err(StepError::transient)
}

/// As [`check`], of all endpoints of an instance that clients may use.
pub(super) async fn check_all(parts: &Parts, instance_id: &InstanceId) -> Result<(), StepError> {
    let endpoints = parts
        .store
        .read(|reader| reader.endpoints_of(instance_id))?;
    let is_wanted = |endpoint: &&Endpoint| endpoint.state == EndpointState::Active;
    for endpoint in endpoints.iter().filter(is_wanted) {
        check(parts, &endpoint.endpoint_id, true).await?;
    }
    Ok(())
}

/// A workflow that adds an endpoint to an instance that is MODIFY meanwhile.
pub(super) trait AddsEndpoint: Workflow {
    /// What its steps act on.
    fn parts(&self) -> &Arc<Parts>;

    /// The instance and its new endpoint.
    fn added(params: &Self::Params) -> Added<'_>;
}

/// A new endpoint of an instance.
pub(super) struct Added<'a> {
    pub(super) instance_id: &'a InstanceId,
    pub(super) endpoint_id: &'a EndpointId,
    /// Whether another place does when its own is taken.
    pub(super) may_move: bool,
}

/// The gateway listens.
pub(super) struct OpenEndpoint;

#[async_trait]
impl<W: AddsEndpoint> Step<W> for OpenEndpoint {
    const NAME: &'static str = "open-endpoint";
    const TITLE: &'static str = "Opening the endpoint";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let added = W::added(task.params());
        open(workflow.parts(), added.endpoint_id, added.may_move).map(drop)
    }

    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let added = W::added(task.params());
        workflow.parts().close_endpoint(added.endpoint_id);
        Ok(())
    }
}

/// Clients get an answer there.
pub(super) struct CheckEndpoint;

#[async_trait]
impl<W: AddsEndpoint> Step<W> for CheckEndpoint {
    const NAME: &'static str = "check-endpoint";
    const TITLE: &'static str = "Checking that clients can connect";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let added = W::added(task.params());
        check(workflow.parts(), added.endpoint_id, added.may_move).await
    }

    // What it may have opened is closed by the undo of the step before.
}

/// Forgets the new endpoint; the instance is as it was.
pub(super) fn forget<W: AddsEndpoint>(
    workflow: &W,
    writer: &Writer<'_>,
    task: &TaskContext<'_, W>,
) -> Result<(), StepError> {
    let added = W::added(task.params());
    writer.delete_endpoint(added.endpoint_id)?;
    writer.set_instance_status(added.instance_id, ObjectStatus::Active)?;
    // A task that was cancelled before its first step has no undo to make, but a restart may have
    // opened the endpoint.
    let (parts, id) = (Arc::clone(workflow.parts()), added.endpoint_id.clone());
    writer.after_commit(move || parts.close_endpoint(&id));
    Ok(())
}
