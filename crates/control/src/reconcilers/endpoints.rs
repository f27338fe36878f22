//! Endpoints of the store listen, others do not; every instance has its route.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use openpeta_store::{Endpoint, EndpointState, Instance};
use openpeta_types::ObjectStatus;

use crate::ControlError;
use crate::network::Opened;
use crate::parts::Parts;

/// Publishes every route and opens every endpoint that is not open. An instance that is being
/// created or deleted, and an endpoint that is being opened, is its task's business.
pub(super) async fn reconcile(parts: Arc<Parts>) -> Result<(), ControlError> {
    let settled = |instance: &Instance, endpoint: &Endpoint| {
        instance.status != ObjectStatus::Create && endpoint.state == EndpointState::Active
    };
    // Clients wait for an endpoint whose address is taken: it is tried again soon.
    let pause = Duration::from_secs(parts.config.nodes.reconcile_seconds.max(1));
    while open_those_of(&parts, settled)? == Outcome::SomeFailed {
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// As [`reconcile`], at the start, before tasks go on: a task may have opened its endpoint
/// already, in the process before.
pub(super) fn reopen(parts: &Parts) -> Result<(), ControlError> {
    open_those_of(parts, |_, _| true).map(drop)
}

/// Whether all endpoints that should be open are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    AllOpen,
    SomeFailed,
}

fn open_those_of(
    parts: &Parts,
    wanted: impl Fn(&Instance, &Endpoint) -> bool,
) -> Result<Outcome, ControlError> {
    let mut outcome = Outcome::AllOpen;
    let open: HashSet<_> = parts.gateway.endpoints().into_iter().collect();
    let (instances, endpoints) = parts.store.read(|reader| {
        let instances = reader.instances()?;
        Ok::<_, ControlError>((instances, reader.endpoints()?))
    })?;
    let instances: HashMap<_, _> = instances
        .iter()
        .filter(|instance| instance.status != ObjectStatus::Delete)
        .map(|instance| (&instance.instance_id, instance))
        .collect();
    let known: HashSet<_> = endpoints
        .iter()
        .map(|endpoint| &endpoint.endpoint_id)
        .collect();
    for endpoint in open.iter().filter(|endpoint| !known.contains(endpoint)) {
        parts.close_endpoint(endpoint);
    }
    for instance in instances.keys() {
        parts.publish(instance)?;
    }
    for endpoint in endpoints
        .iter()
        .filter(|endpoint| !open.contains(&endpoint.endpoint_id))
    {
        let instance = instances.get(&endpoint.instance_id);
        if !instance.is_some_and(|instance| wanted(instance, endpoint)) {
            continue;
        }
        if let Opened::Failed(error) = parts.open_endpoint(&endpoint.endpoint_id)? {
            outcome = Outcome::SomeFailed;
            tracing::error!(instance = %endpoint.instance_id, %error, "an endpoint cannot be opened; clients cannot connect");
        }
    }
    Ok(outcome)
}
