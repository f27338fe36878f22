//! Sets go when their time is over.

use std::collections::HashSet;

use jiff::Timestamp;
use openpeta_store::{AuditEntry, BackupSet, Reader, Task, Writer};
use openpeta_types::BackupId;
use serde_json::json;

use crate::parts::Parts;
use crate::workflows::recover_instance;
use crate::workflows::restore_database;
use crate::workflows::verify_backup;
use crate::{ControlError, random};

/// Name of the removal in the audit trail.
const ACTION: &str = "backup:expire";

impl Parts {
    /// Removes the sets whose time is over by the policies of their databases. Returns how many.
    ///
    /// What stays whatever its age: the newest whole set of each database, protected sets, what
    /// kept sets go on from, and a set that somebody restores or verifies at the moment.
    ///
    /// # Errors
    /// [`ControlError`] when the store or the disk fails.
    pub(crate) async fn expire_backups(&self, now: Timestamp) -> Result<usize, ControlError> {
        let expired = self.store.read(|reader| reader.expired_backups(now))?;
        let mut removed = 0;
        for candidate in expired {
            let backup_id = candidate.backup_id;
            let is_gone = self.store.write(|writer| {
                // It may have been protected since, or be in use.
                let still = writer.expired_backups(now)?;
                let is_expired = still.iter().any(|set| set.backup_id == backup_id);
                if !is_expired || sets_in_use(writer)?.contains(&backup_id) {
                    return Ok::<_, ControlError>(false);
                }
                remove(writer, &candidate, now)?;
                Ok(true)
            })?;
            if is_gone {
                // What is left when this is cut off goes with the leftovers.
                self.destroy_backup(&candidate.set.instance_id, backup_id)
                    .await?;
                tracing::info!(instance = %candidate.set.instance_id, backup = %backup_id, "a backup set is removed since its time is over");
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// The sets that unfinished tasks read.
pub(crate) fn sets_in_use(reader: &Reader<'_>) -> Result<HashSet<BackupId>, ControlError> {
    let mut sets = HashSet::new();
    for task in reader.unfinished_tasks()? {
        sets.extend(set_read_by(reader, &task)?);
        if recover_instance::is_recovery(&task) {
            let params = reader.task_params(task.task_id)?;
            sets.extend(recover_instance::sets_of(&params));
        }
    }
    for set in sets.clone() {
        let bases = reader.backup_bases(set)?;
        sets.extend(bases.iter().map(|base| base.backup_id));
    }
    Ok(sets)
}

fn set_read_by(reader: &Reader<'_>, task: &Task) -> Result<Option<BackupId>, ControlError> {
    let of_task = match () {
        () if restore_database::is_restore(task) => restore_database::set_of,
        () if verify_backup::is_verification(task) => verify_backup::set_of,
        () => return Ok(None),
    };
    Ok(of_task(&reader.task_params(task.task_id)?))
}

/// Writes that there is no such set any more.
fn remove(writer: &Writer<'_>, set: &BackupSet, now: Timestamp) -> Result<(), ControlError> {
    writer.delete_backup_set(set.backup_id)?;
    writer.insert_audit(&AuditEntry {
        at: now,
        account_id: Some(set.set.account_id),
        ram_user: None,
        access_key_id: None,
        action: ACTION.to_owned(),
        instance_id: Some(set.set.instance_id.clone()),
        source_ip: None,
        user_agent: None,
        request_id: random::request_id()?.to_string(),
        parameters: json!({
            "db_name": set.set.db_name.as_str(),
            "backup_id": set.backup_id.to_string(),
        })
        .to_string(),
        outcome: "OK".to_owned(),
        task_id: None,
    })?;
    Ok(())
}
