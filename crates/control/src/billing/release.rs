//! Expired instances are released, some days after they were locked.

use jiff::Timestamp;
use openpeta_store::{AuditEntry, Instance};
use openpeta_types::{LockMode, ObjectStatus, format_time};
use serde_json::json;

use crate::parts::Parts;
use crate::recycle_bin::OnDelete;
use crate::{ControlError, random};

/// Name of the release in the audit trail, where the operator's commands are `admin:…`.
const ACTION: &str = "billing:release";

impl Parts {
    /// Releases the instances whose time has come: their deletion begins, and cannot be taken
    /// back. Returns how many.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn release_expired(&self, now: Timestamp) -> Result<usize, ControlError> {
        let instances = self.store.read(|reader| reader.instances())?;
        let due = instances.into_iter().filter(|it| is_due(it, now));
        let mut released = 0;
        for candidate in due {
            let id = &candidate.instance_id;
            self.store.write(|writer| {
                // It may have been renewed since.
                let Some(instance) = writer.instance(id)?.filter(|it| is_due(it, now)) else {
                    return Ok::<_, ControlError>(());
                };
                let task = self.release(writer, &instance, OnDelete::Recycle, (now, None))?;
                writer.insert_audit(&AuditEntry {
                    at: now,
                    account_id: Some(instance.account_id),
                    ram_user: None,
                    access_key_id: None,
                    action: ACTION.to_owned(),
                    instance_id: Some(id.clone()),
                    source_ip: None,
                    user_agent: None,
                    request_id: random::request_id()?.to_string(),
                    parameters: json!({
                        "expires_at": format_time(instance.expires_at),
                        "release_at": instance.release_at.map(format_time),
                    })
                    .to_string(),
                    outcome: "OK".to_owned(),
                    task_id: Some(task),
                })?;
                tracing::warn!(instance = %id, %task, "an expired instance is released");
                released += 1;
                Ok(())
            })?;
        }
        Ok(released)
    }
}

fn is_due(instance: &Instance, now: Timestamp) -> bool {
    instance.lock_mode == LockMode::LockByExpiration
        && instance.expires_at <= now
        && instance.release_at.is_some_and(|at| at <= now)
        && matches!(
            instance.status,
            ObjectStatus::Active | ObjectStatus::Inactive
        )
}
