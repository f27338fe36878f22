//! What has run out goes: temporary credentials and old idempotency records.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::parts::Parts;
use crate::{ControlError, idempotency};

/// How long temporary credentials are known after their end, so that calls with them are told
/// that they have expired rather than that there are none.
const KEPT_AFTER_EXPIRY: SignedDuration = SignedDuration::from_hours(24);

/// Forgets what is no longer needed.
pub(super) async fn reconcile(parts: Arc<Parts>) -> Result<(), ControlError> {
    let now = Timestamp::now();
    parts.store.write(|writer| {
        writer.delete_expired_access_keys(now - KEPT_AFTER_EXPIRY)?;
        writer.sweep_idempotency(now - SignedDuration::from_hours(idempotency::KEPT_HOURS))?;
        Ok(())
    })
}
