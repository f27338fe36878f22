//! What has run out goes: temporary credentials and old idempotency records.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::parts::Parts;
use crate::{ControlError, idempotency};

/// Forgets what is no longer needed.
pub(super) async fn reconcile(parts: Arc<Parts>) -> Result<(), ControlError> {
    let now = Timestamp::now();
    parts.store.write(|writer| {
        writer.delete_expired_access_keys(now)?;
        writer.sweep_idempotency(now - SignedDuration::from_hours(idempotency::KEPT_HOURS))?;
        Ok(())
    })
}
