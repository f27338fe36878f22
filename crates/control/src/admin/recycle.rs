//! `openpeta admin recycle …`

use openpeta_rpc_api::ApiError;
use openpeta_store::{Reader, RecycledSet, Writer};
use openpeta_types::{AccountId, BackupId, DbName, InstanceId, format_time};
use serde_json::{Value, json};

use super::{AdminChange, in_use};
use crate::backups::sets_in_use;
use crate::recycle_bin::{RecycledContent, RestoreOrder};
use crate::workflows::final_backup::note_given_up;
use crate::workflows::recycle_instance::last_sets_of;
use crate::{Control, ControlError};

/// Why a final backup was not taken that the operator did not want.
const SKIPPED: &str = "The operator did not wait for it.";

impl Control {
    pub(super) fn recycle_list(
        &self,
        account_id: Option<AccountId>,
    ) -> Result<Value, ControlError> {
        let store = &self.parts.store;
        let sets = store.read(|reader| reader.recycled_sets(account_id))?;
        Ok(sets.iter().map(|set| self.recycled_row(set)).collect())
    }

    pub(super) fn recycle_show(&self, backup_id: BackupId) -> Result<Value, ControlError> {
        let (set, content) = self.parts.store.read(|reader| {
            let set = recycled(reader, backup_id)?;
            Ok::<_, ControlError>((set, reader.recycled_content(backup_id)?))
        })?;
        let mut shown = self.recycled_row(&set);
        shown["content"] = RecycledContent::from_text(&content)?.shown();
        Ok(shown)
    }

    pub(super) fn recycle_restore(
        &self,
        change: &AdminChange,
        order: RestoreOrder,
    ) -> Result<Value, ControlError> {
        let row = self.parts.store.write(|writer| {
            let ordered = self.restore_recycled(writer, order, change.now)?;
            let account_id = Some(ordered.set.account_id);
            change.record(writer, account_id, Some(&ordered.instance_id))?;
            Ok::<_, ControlError>(json!({
                "instance_id": ordered.instance_id.as_str(),
                "db_name": ordered.set.db_name.as_str(),
                "task_id": ordered.task_id.to_string(),
            }))
        })?;
        self.parts.wake_reconcilers();
        Ok(row)
    }

    /// Removes a deleted database for good, before its days are over.
    pub(super) async fn recycle_purge(
        &self,
        change: &AdminChange,
        backup_id: BackupId,
    ) -> Result<Value, ControlError> {
        let set = self.parts.store.write(|writer| {
            let set = recycled(writer, backup_id)?;
            if sets_in_use(writer)?.contains(&backup_id) {
                return Err(in_use("BackupId", "The set is being restored."));
            }
            writer.delete_recycled_set(backup_id)?;
            change.record(writer, Some(set.account_id), Some(&set.instance_id))?;
            Ok::<_, ControlError>(set)
        })?;
        let row = self.recycled_row(&set);
        self.parts
            .destroy_backup(&set.instance_id, backup_id)
            .await?;
        Ok(row)
    }

    /// Has databases that are being deleted go without a final backup.
    pub(super) fn recycle_skip(
        &self,
        change: &AdminChange,
        id: &InstanceId,
        db_name: Option<&DbName>,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let instance = writer.instance(id)?;
            let instance = instance.ok_or_else(ApiError::instance_not_found)?;
            let skipped = skip(writer, id, db_name)?;
            change.record(writer, Some(instance.account_id), Some(id))?;
            Ok(skipped)
        })
    }

    fn recycled_row(&self, set: &RecycledSet) -> Value {
        let place = self
            .parts
            .remote_sets
            .place_of(&set.instance_id, set.backup_id);
        json!({
            "backup_id": set.backup_id.to_string(),
            "account_id": set.account_id.to_string(),
            "instance_id": set.instance_id.as_str(),
            "db_name": set.db_name.as_str(),
            "final": set.is_final,
            "taken_at": format_time(set.started_at),
            "bytes": set.size_bytes,
            "key_id": set.key_id,
            "stored_in": place.as_deref().unwrap_or("local"),
            "waits_for_bucket": self.parts.remote_sets.waiting.failure(set.backup_id),
            "deleted_at": format_time(set.deleted_at),
            "purge_at": format_time(set.purge_at),
        })
    }
}

fn recycled(reader: &Reader<'_>, backup_id: BackupId) -> Result<RecycledSet, ControlError> {
    let set = reader.recycled_set(backup_id)?;
    Ok(set.ok_or_else(ApiError::backup_not_found)?)
}

/// Writes that final sets of an instance are not wanted, and wakes those who take them.
fn skip(
    writer: &Writer<'_>,
    id: &InstanceId,
    db_name: Option<&DbName>,
) -> Result<Value, ControlError> {
    let mut skipped = Vec::new();
    for task in writer.unfinished_tasks_of(id)? {
        let params = writer.task_params(task.task_id)?;
        let Some(last_sets) = last_sets_of(&task, &params) else {
            continue;
        };
        for set in last_sets.sets {
            if db_name.is_none_or(|asked| *asked == set.db_name) {
                note_given_up(writer, set.backup_id, SKIPPED)?;
                skipped.push(json!({
                    "task_id": task.task_id.to_string(),
                    "db_name": set.db_name.as_str(),
                }));
            }
        }
        writer.update_task(&task)?;
    }
    Ok(skipped.into())
}
