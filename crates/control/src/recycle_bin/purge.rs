//! What leaves the bin.

use jiff::Timestamp;
use openpeta_store::{AuditEntry, RecycledSet, Writer};
use serde_json::json;

use crate::backups::sets_in_use;
use crate::parts::Parts;
use crate::{ControlError, random};

/// Name of the removal in the audit trail.
const ACTION: &str = "recycle:purge";

impl Parts {
    /// Removes what has been in the bin for its days, unless it is being restored. Returns how
    /// many.
    ///
    /// # Errors
    /// [`ControlError`] when the store or the disk fails.
    pub(crate) async fn purge_recycled(&self, now: Timestamp) -> Result<usize, ControlError> {
        let due = self.store.read(|reader| reader.purgeable_sets(now))?;
        let mut purged = 0;
        for set in due {
            let backup_id = set.backup_id;
            let is_gone = self.store.write(|writer| {
                let is_there = writer.recycled_set(backup_id)?.is_some();
                if !is_there || sets_in_use(writer)?.contains(&backup_id) {
                    return Ok::<_, ControlError>(false);
                }
                writer.delete_recycled_set(backup_id)?;
                record(writer, &set, now)?;
                Ok(true)
            })?;
            if is_gone {
                // What is left when this is cut off goes with the leftovers.
                self.destroy_backup(&set.instance_id, backup_id).await?;
                tracing::info!(instance = %set.instance_id, database = %set.db_name, backup = %backup_id, "a deleted database leaves the recycle bin since its time is over");
                purged += 1;
            }
        }
        Ok(purged)
    }
}

fn record(writer: &Writer<'_>, set: &RecycledSet, now: Timestamp) -> Result<(), ControlError> {
    writer.insert_audit(&AuditEntry {
        at: now,
        account_id: Some(set.account_id),
        ram_user: None,
        access_key_id: None,
        action: ACTION.to_owned(),
        instance_id: Some(set.instance_id.clone()),
        source_ip: None,
        user_agent: None,
        request_id: random::request_id()?.to_string(),
        parameters: json!({
            "db_name": set.db_name.as_str(),
            "backup_id": set.backup_id.to_string(),
        })
        .to_string(),
        outcome: "OK".to_owned(),
        task_id: None,
    })?;
    Ok(())
}
