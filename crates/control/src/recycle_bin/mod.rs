//! The recycle bin: a database that is deleted is backed up once more, and kept with what else a
//! restore needs until its days are over.
//!
//! Here is what goes into the bin and how it comes out again; the last backup itself is a step of
//! [`crate::workflows::final_backup`]. The files of a set stay where they lie: what changes is
//! which row the store has of it, in the transaction that ends the deletion.

mod content;
mod purge;
mod restore;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use openpeta_store::{Instance, NewBackupSet, Writer};
use openpeta_types::{BackupId, BackupMethod, BackupMode, BackupType, DbName, ObjectStatus};
use serde::{Deserialize, Serialize};

pub(crate) use self::content::RecycledContent;
pub(crate) use self::restore::RestoreOrder;
use crate::ControlError;
use crate::parts::Parts;

/// What becomes of what is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDelete {
    /// It goes into the bin, if there is one.
    Recycle,
    /// It goes for good.
    Destroy,
}

/// What a deletion leaves in the bin.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LastSets {
    /// For how many days.
    pub(crate) days: u32,
    /// A set for each database.
    pub(crate) sets: Vec<LastSet>,
}

/// The last set of a database. Its row is there already.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LastSet {
    pub(crate) db_name: DbName,
    pub(crate) backup_id: BackupId,
    pub(crate) content: RecycledContent,
}

impl Parts {
    /// Writes the sets that are to be taken of the databases of an instance, or of one of them,
    /// before they go. To be called while all is as it was. `None` when nothing is kept.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn begin_last_sets(
        &self,
        writer: &Writer<'_>,
        instance: &Instance,
        db_name: Option<&DbName>,
        now: Timestamp,
    ) -> Result<Option<LastSets>, ControlError> {
        let days = self.config.backup.recycle_days;
        if days == 0 {
            return Ok(None);
        }
        let id = &instance.instance_id;
        let mut databases = writer.databases(id)?;
        databases.retain(|database| {
            let is_asked = db_name.is_none_or(|asked| *asked == database.db_name);
            // One that is being made has nothing, one that is being deleted has a task of its own.
            let has_content =
                !matches!(database.status, ObjectStatus::Create | ObjectStatus::Delete);
            is_asked && has_content
        });
        let begin = |database: openpeta_store::Database| {
            let backup_id = writer.insert_backup_set(&NewBackupSet {
                account_id: instance.account_id,
                instance_id: id.clone(),
                db_name: database.db_name.clone(),
                backup_type: BackupType::Full,
                mode: BackupMode::Manual,
                method: BackupMethod::Logical,
                base_id: None,
                node_spec: database.node_spec.clone(),
                node_number: database.node_number,
                started_at: now,
            })?;
            Ok(LastSet {
                backup_id,
                content: RecycledContent::of(writer, instance, &database)?,
                db_name: database.db_name,
            })
        };
        let sets: Result<Vec<_>, ControlError> = databases.into_iter().map(begin).collect();
        Ok(Some(LastSets { days, sets: sets? }))
    }
}
