//! Where the files of backup sets lie, and that none lie there without a row in the store.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use openpeta_store::{Topic, Writer};
use openpeta_types::{BackupId, BackupStatus, DbName, InstanceId};

use super::{RemoteLogs, RemoteSets, sets_in_use};
use crate::ControlError;
use crate::config::BackupConfig;
use crate::parts::Parts;
use crate::workflows::create_database_backup::is_backup;
use crate::workflows::export_database::is_export;
use crate::workflows::import_database::is_import;
use crate::workflows::verify_backup::is_verification;

/// The directory of sets in the data directory.
const DIRECTORY: &str = "backups";

/// The directory of what is noted of sets in a bucket.
const REMOTE: &str = "backups.remote";

/// The same of archived logs.
const REMOTE_LOGS: &str = "binlogs.remote";

impl Parts {
    /// The sets that are in the bucket of a configuration, if it names one.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub(crate) fn remote_sets(
        config: &BackupConfig,
        data_dir: &Path,
    ) -> Result<RemoteSets, String> {
        Ok(RemoteSets::new(config.bucket()?, data_dir.join(REMOTE)))
    }

    /// The archives of logs that are there.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub(crate) fn remote_logs(
        config: &BackupConfig,
        data_dir: &Path,
    ) -> Result<RemoteLogs, String> {
        Ok(RemoteLogs::new(
            config.bucket()?,
            data_dir.join(REMOTE_LOGS),
        ))
    }

    fn backups_dir(&self) -> PathBuf {
        self.store.data_dir().join(DIRECTORY)
    }

    /// The directory of a set.
    pub(crate) fn backup_dir(&self, instance: &InstanceId, backup_id: BackupId) -> PathBuf {
        let instance_dir = self.backups_dir().join(instance.as_str());
        instance_dir.join(backup_id.to_string())
    }

    /// Removes the files of a set, wherever they are. What a bucket does not let go now goes with
    /// the leftovers.
    ///
    /// # Errors
    /// [`ControlError`] when the disk fails.
    pub(crate) async fn destroy_backup(
        &self,
        instance: &InstanceId,
        backup_id: BackupId,
    ) -> Result<(), ControlError> {
        let set = self.backup_dir(instance, backup_id);
        let removed = self.engine.destroy_set(&set).await;
        removed.map_err(ControlError::unavailable)?;
        self.remove_remote(instance, backup_id).await;
        Ok(())
    }

    /// Removes what is in the bucket of a set; whether that could be done.
    async fn remove_remote(&self, instance: &InstanceId, backup_id: BackupId) -> bool {
        let removed = self.remote_sets.remove(instance, backup_id).await;
        if let Err(error) = &removed {
            tracing::warn!(%instance, backup = %backup_id, %error, "a set is not removed from the backup storage; it is tried again");
        }
        removed.is_ok()
    }

    /// Removes what is in the bucket of sets that the store does not know, or that failed.
    async fn sweep_remote(&self) -> Result<(), ControlError> {
        let sets = self.remote_sets.sets().map_err(ControlError::unavailable)?;
        for (instance, backup_id) in sets {
            let set = self.store.read(|reader| reader.backup_set(backup_id))?;
            let is_recycled = self.is_recycled(backup_id)?;
            let is_kept = set.is_some_and(|set| set.status != BackupStatus::Failed) || is_recycled;
            // One that is not reached now is not reached for the others either.
            if !is_kept
                && self.remote_sets.is_used()
                && !self.remove_remote(&instance, backup_id).await
            {
                break;
            }
        }
        Ok(())
    }

    /// Lets copies of sets go that were fetched from the bucket and that nobody reads any more.
    ///
    /// # Errors
    /// [`ControlError`] when the store or the disk fails.
    pub(crate) fn release_copies(&self) -> Result<(), ControlError> {
        let sets = self.remote_sets.sets().map_err(ControlError::unavailable)?;
        if sets.is_empty() {
            return Ok(());
        }
        let used = self.store.read(sets_in_use)?;
        for (instance, backup_id) in sets {
            if !used.contains(&backup_id) {
                let dir = self.backup_dir(&instance, backup_id);
                let released = self.remote_sets.release_copy(&instance, backup_id, &dir);
                released.map_err(ControlError::unavailable)?;
            }
        }
        Ok(())
    }

    /// Removes the files of the sets of an instance, or of one of its databases, but for those that
    /// are `kept` or in the recycle bin already, after the
    /// backups that are being taken have come to their end. They have been told to.
    ///
    /// # Errors
    /// [`ControlError`] when the store or the disk fails.
    pub(crate) async fn remove_backups(
        &self,
        instance: &InstanceId,
        db_name: Option<&DbName>,
        kept: &[BackupId],
    ) -> Result<(), ControlError> {
        self.end_of_backups(instance, db_name).await?;
        let concerned = |backup_id: BackupId| {
            if kept.contains(&backup_id) || self.is_recycled(backup_id)? {
                return Ok(false);
            }
            let set = self.store.read(|reader| reader.backup_set(backup_id))?;
            let is_other = |name: &DbName| db_name.is_some_and(|asked| asked != name);
            Ok::<_, ControlError>(!set.is_some_and(|set| is_other(&set.set.db_name)))
        };
        for (group, name) in self.sets_on_disk()? {
            let Ok(backup_id) = BackupId::parse(&name) else {
                continue;
            };
            if group == instance.as_str() && concerned(backup_id)? {
                self.destroy_backup(instance, backup_id).await?;
            }
        }
        Ok(())
    }

    fn is_recycled(&self, backup_id: BackupId) -> Result<bool, ControlError> {
        let found = self.store.read(|reader| reader.recycled_set(backup_id))?;
        Ok(found.is_some())
    }

    /// Waits until no backup of an instance, or of one of its databases, is being taken or proven.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) async fn end_of_backups(
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
        self.sweep_remote().await
    }

    pub(crate) fn sets_on_disk(&self) -> Result<Vec<(String, String)>, ControlError> {
        let listed = self.engine.list_sets(&self.backups_dir());
        listed.map_err(ControlError::unavailable)
    }
}

/// Whether a task takes a set, proves one, imports or exports, of the instance that it is about.
fn works_on_sets(task: &openpeta_store::Task) -> bool {
    is_backup(task) || is_verification(task) || is_import(task) || is_export(task)
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
