//! Where the files of backup sets lie, and that none lie there without a row in the store.

use std::collections::HashSet;
use std::path::PathBuf;

use openpeta_store::{Topic, Writer};
use openpeta_types::{BackupId, DbName, InstanceId};

use crate::ControlError;
use crate::parts::Parts;
use crate::workflows::create_database_backup::is_backup;
use crate::workflows::verify_backup::is_verification;

/// The directory of sets in the data directory.
const DIRECTORY: &str = "backups";

impl Parts {
    fn backups_dir(&self) -> PathBuf {
        self.store.data_dir().join(DIRECTORY)
    }

    /// The directory of a set.
    pub(crate) fn backup_dir(&self, instance: &InstanceId, backup_id: BackupId) -> PathBuf {
        let instance_dir = self.backups_dir().join(instance.as_str());
        instance_dir.join(backup_id.to_string())
    }

    /// Removes the files of the sets of an instance, or of one of its databases, after the
    /// backups that are being taken have come to their end. They have been told to.
    ///
    /// # Errors
    /// [`ControlError`] when the store or the disk fails.
    pub(crate) async fn remove_backups(
        &self,
        instance: &InstanceId,
        db_name: Option<&DbName>,
    ) -> Result<(), ControlError> {
        self.end_of_backups(instance, db_name).await?;
        let concerned = |backup_id: BackupId| {
            let set = self.store.read(|reader| reader.backup_set(backup_id))?;
            let is_other = |name: &DbName| db_name.is_some_and(|asked| asked != name);
            Ok::<_, ControlError>(!set.is_some_and(|set| is_other(&set.set.db_name)))
        };
        for (group, name) in self.sets_on_disk()? {
            let Ok(backup_id) = BackupId::parse(&name) else {
                continue;
            };
            if group == instance.as_str() && concerned(backup_id)? {
                let set = self.backup_dir(instance, backup_id);
                let removed = self.engine.destroy_set(&set).await;
                removed.map_err(ControlError::unavailable)?;
            }
        }
        Ok(())
    }

    /// Waits until no backup of an instance, or of one of its databases, is being taken or proven.
    async fn end_of_backups(
        &self,
        instance: &InstanceId,
        db_name: Option<&DbName>,
    ) -> Result<(), ControlError> {
        let mut changes = self.store.watch(Topic::Tasks);
        loop {
            changes.borrow_and_update();
            let tasks = self
                .store
                .read(|reader| reader.unfinished_tasks_of(instance))?;
            let concerned = |task: &&openpeta_store::Task| {
                works_on_sets(task) && (db_name.is_none() || task.db_name.as_ref() == db_name)
            };
            if tasks.iter().find(concerned).is_none() || changes.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// Removes files of sets that the store does not know.
    ///
    /// The row of a set is there before anything of it is on disk. So what is listed first and
    /// then looked up in the store is a leftover if it is not there.
    ///
    /// # Errors
    /// [`ControlError`] when the store or the disk fails.
    pub(crate) async fn sweep_backups(&self) -> Result<(), ControlError> {
        let found = self.sets_on_disk()?;
        let known: HashSet<(String, String)> = self
            .store
            .read(|reader| reader.backup_set_ids())?
            .into_iter()
            .map(|(instance, backup_id)| (instance.to_string(), backup_id.to_string()))
            .collect();
        for set in found.into_iter().filter(|set| !known.contains(set)) {
            let (instance, name) = set;
            tracing::warn!(instance, backup = name, "removing a leftover backup set");
            let path = self.backups_dir().join(instance).join(name);
            let removed = self.engine.destroy_set(&path).await;
            removed.map_err(ControlError::unavailable)?;
        }
        Ok(())
    }

    pub(crate) fn sets_on_disk(&self) -> Result<Vec<(String, String)>, ControlError> {
        let listed = self.engine.list_sets(&self.backups_dir());
        listed.map_err(ControlError::unavailable)
    }
}

/// Whether a task takes a set, or proves one, of the instance that it is about.
fn works_on_sets(task: &openpeta_store::Task) -> bool {
    is_backup(task) || is_verification(task)
}

/// Tells the backups that are being taken or proven of an instance, or of one of its databases,
/// that nobody wants them any more.
///
/// # Errors
/// [`ControlError`] when the store fails.
pub(crate) fn cancel_backups(
    writer: &Writer<'_>,
    instance: &InstanceId,
    db_name: Option<&DbName>,
) -> Result<(), ControlError> {
    for mut task in writer.unfinished_tasks_of(instance)? {
        if works_on_sets(&task) && (db_name.is_none() || task.db_name.as_ref() == db_name) {
            task.cancel_requested = true;
            writer.update_task(&task)?;
        }
    }
    Ok(())
}
