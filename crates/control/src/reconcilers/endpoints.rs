//! Endpoints of the store listen, others do not; every instance has its route.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use openpeta_types::ObjectStatus;

use crate::ControlError;
use crate::network::socket_address;
use crate::parts::Parts;

/// Publishes every route and opens every endpoint that is not open. An instance that is being
/// created or deleted is its task's business.
pub(super) async fn reconcile(parts: Arc<Parts>) -> Result<(), ControlError> {
    let settled = |status| !matches!(status, ObjectStatus::Create | ObjectStatus::Delete);
    // Clients wait for an endpoint whose address is taken: it is tried again soon.
    let pause = Duration::from_secs(parts.config.nodes.reconcile_seconds.max(1));
    while open_those_of(&parts, settled)? == Outcome::SomeFailed {
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// As [`reconcile`], at the start, before tasks go on: a create may have opened its endpoint
/// already, in the process before.
pub(super) fn reopen(parts: &Parts) -> Result<(), ControlError> {
    open_those_of(parts, |status| status != ObjectStatus::Delete).map(drop)
}

/// Whether all endpoints that should be open are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    AllOpen,
    SomeFailed,
}

fn open_those_of(
    parts: &Parts,
    wanted: impl Fn(ObjectStatus) -> bool,
) -> Result<Outcome, ControlError> {
    let mut outcome = Outcome::AllOpen;
    let open: HashSet<_> = parts.gateway.endpoints().into_iter().collect();
    let (instances, endpoints) = parts.store.read(|reader| {
        let instances = reader.instances()?;
        Ok::<_, ControlError>((instances, reader.endpoints()?))
    })?;
    let settled: HashSet<_> = instances
        .into_iter()
        .filter(|instance| wanted(instance.status))
        .map(|instance| instance.instance_id)
        .collect();
    let known: HashSet<_> = endpoints
        .iter()
        .map(|endpoint| &endpoint.endpoint_id)
        .collect();
    for endpoint in open.iter().filter(|endpoint| !known.contains(endpoint)) {
        parts.gateway.close_endpoint(endpoint, Duration::ZERO);
    }
    for instance in &settled {
        parts.publish(instance)?;
    }
    for endpoint in endpoints
        .iter()
        .filter(|endpoint| settled.contains(&endpoint.instance_id))
        .filter(|endpoint| !open.contains(&endpoint.endpoint_id))
    {
        let address = socket_address(endpoint);
        let opened =
            parts
                .gateway
                .open_endpoint(&endpoint.endpoint_id, address, &endpoint.instance_id);
        if let Err(error) = opened {
            outcome = Outcome::SomeFailed;
            tracing::error!(instance = %endpoint.instance_id, %address, %error, "an endpoint cannot be opened; clients cannot connect");
        }
    }
    Ok(outcome)
}
