//! What has run out: PrePaid instances are locked, temporary credentials and old idempotency
//! records go.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use openpeta_store::Instance;
use openpeta_types::{LockMode, ObjectStatus, format_time};

use crate::parts::Parts;
use crate::{ControlError, idempotency};

/// Locks what has expired and forgets what is no longer needed.
pub(super) async fn reconcile(parts: Arc<Parts>) -> Result<(), ControlError> {
    let now = Timestamp::now();
    parts.store.write(|writer| {
        writer.delete_expired_access_keys(now)?;
        writer.sweep_idempotency(now - SignedDuration::from_hours(idempotency::KEPT_HOURS))?;
        Ok::<_, ControlError>(())
    })?;
    for instance in parts.store.read(|reader| reader.instances())? {
        let expired = instance.expires_at <= now && instance.status == ObjectStatus::Active;
        if expired && !instance.lock_mode.is_locked() {
            lock(&parts, instance).await?;
        }
    }
    Ok(())
}

async fn lock(parts: &Parts, instance: Instance) -> Result<(), ControlError> {
    let mode = LockMode::LockByExpiration;
    let reason = format!(
        "the paid period ended at {}",
        format_time(instance.expires_at)
    );
    parts
        .store
        .write(|writer| writer.set_instance_lock(&instance.instance_id, mode, Some(&reason)))?;
    tracing::warn!(instance = %instance.instance_id, reason, "instance locked");
    parts
        .enforce_lock(&Instance {
            lock_mode: mode,
            lock_reason: Some(reason),
            ..instance
        })
        .await
}
