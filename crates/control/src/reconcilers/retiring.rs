//! Old endpoints go when their time has come after a switch of the network type.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use openpeta_store::{Endpoint, Topic};
use tokio::time::sleep;

use super::SLOW;
use crate::ControlError;
use crate::parts::Parts;

/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// Closes endpoints when they are due: looks when the next one is, and whenever an endpoint
/// changed.
pub(super) async fn run(parts: Arc<Parts>) {
    let mut changed = parts.store.watch(Topic::Endpoints);
    loop {
        changed.mark_unchanged();
        let wait = match reconcile(&parts) {
            // Not longer than a minute: the clock may be set meanwhile.
            Ok(next) => next.map_or(SLOW, time_until).min(SLOW),
            Err(error) => {
                tracing::error!(code = %error.api.code, context = error.context, "an old endpoint could not be closed; it is tried again");
                PAUSE
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            still = changed.changed() => if still.is_err() { return },
        }
    }
}

/// Closes what is due; returns when the next endpoint is.
pub(super) fn reconcile(parts: &Parts) -> Result<Option<Timestamp>, ControlError> {
    for endpoint in parts.store.read(|reader| reader.expiring_endpoints())? {
        if let Some(end) = endpoint.expires_at
            && end > Timestamp::now()
        {
            return Ok(Some(end));
        }
        retire(parts, &endpoint)?;
    }
    Ok(None)
}

fn retire(parts: &Parts, endpoint: &Endpoint) -> Result<(), ControlError> {
    let id = &endpoint.endpoint_id;
    // Nothing opens it any more: it has expired.
    parts.close_endpoint(id);
    parts.store.write(|writer| match writer.endpoint(id)? {
        Some(_) => writer.delete_endpoint(id),
        // Gone with its instance meanwhile.
        None => Ok(()),
    })?;
    tracing::info!(instance = %endpoint.instance_id, address = %endpoint.address, port = endpoint.port, "the old endpoint is closed");
    Ok(())
}

fn time_until(end: Timestamp) -> Duration {
    let left = end
        .duration_since(Timestamp::now())
        .max(SignedDuration::ZERO);
    left.unsigned_abs()
}
