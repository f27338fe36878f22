//! What a restore in place has replaced goes when its days are over.

use jiff::Timestamp;
use openpeta_store::{AuditEntry, Instance, ReplacedContent, Writer};
use openpeta_types::{ObjectStatus, TaskId, format_time};
use serde_json::json;

use crate::parts::Parts;
use crate::recycle_bin::OnDelete;
use crate::{ControlError, random};

/// Name of the release in the audit trail.
const ACTION: &str = "backup:release-replaced";

impl Parts {
    /// Releases the instances that hold what was replaced long enough ago: their deletion begins,
    /// as if somebody had asked for it. One that is busy waits. Returns how many.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn release_replaced(&self, now: Timestamp) -> Result<usize, ControlError> {
        let due = self.store.read(|reader| reader.releasable_content(now))?;
        let mut released = 0;
        for content in due {
            let id = &content.instance_id;
            let task = self.store.write(|writer| {
                // It may have been switched back, or kept, since.
                let still = writer.replaced_content(id)?;
                let instance = writer.instance(id)?;
                let (Some(content), Some(instance)) = (still, instance) else {
                    return Ok::<_, ControlError>(None);
                };
                let is_at_rest = matches!(
                    instance.status,
                    ObjectStatus::Active | ObjectStatus::Inactive
                );
                let is_due = content.release_at <= now;
                if !is_due || !is_at_rest || !writer.unfinished_tasks_of(id)?.is_empty() {
                    return Ok(None);
                }
                let task = self.release(writer, &instance, OnDelete::Recycle, (now, None))?;
                record(writer, &instance, &content, (now, task))?;
                Ok(Some(task))
            })?;
            if let Some(task) = task {
                tracing::info!(instance = %id, served_by = %content.served_by, %task, "an instance with replaced content is released since its time is over");
                released += 1;
            }
        }
        Ok(released)
    }
}

fn record(
    writer: &Writer<'_>,
    instance: &Instance,
    content: &ReplacedContent,
    (now, task): (Timestamp, TaskId),
) -> Result<(), ControlError> {
    writer.insert_audit(&AuditEntry {
        at: now,
        account_id: Some(instance.account_id),
        ram_user: None,
        access_key_id: None,
        action: ACTION.to_owned(),
        instance_id: Some(instance.instance_id.clone()),
        source_ip: None,
        user_agent: None,
        request_id: random::request_id()?.to_string(),
        parameters: json!({
            "served_by": content.served_by.as_str(),
            "replaced_at": format_time(content.replaced_at),
            "release_at": format_time(content.release_at),
        })
        .to_string(),
        outcome: "OK".to_owned(),
        task_id: Some(task),
    })?;
    Ok(())
}
