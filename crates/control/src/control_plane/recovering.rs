//! A data directory that was restored knows that it was.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use openpeta_store::{BackupOutcome, NewBackupSet, Writer};
use openpeta_types::{BackupId, BackupMethod, BackupMode, BackupType, DbName, InstanceId};
use serde::{Deserialize, Serialize};

use super::archive::ArchiveError;
use crate::ControlError;
use crate::parts::Parts;

/// Where sets go in the end that belong to nothing which the store knows.
const UNCLAIMED: &str = "unclaimed-backups";

/// What stands in the file that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recovery {
    /// When it was restored.
    pub(crate) restored_at: Timestamp,
    /// When the backup was taken that it was restored from.
    pub(crate) taken_at: Timestamp,
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("recovery.json")
}

impl Recovery {
    /// Notes in a data directory that it was restored.
    pub(super) fn note(&self, data_dir: &Path) -> Result<(), ArchiveError> {
        let path = path(data_dir);
        let mut text = serde_json::to_vec_pretty(self).expect("two times are JSON");
        text.push(b'\n');
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| {
                file.write_all(&text)?;
                file.sync_all()
            })
            .map_err(ArchiveError::io(&path))
    }
}

impl Parts {
    /// Whether this is a restored data directory of which nobody has said yet that all is well:
    /// then nothing is removed that the store does not know, or no longer wants, for the store is
    /// older than what lies on disk.
    pub(crate) fn is_recovering(&self) -> bool {
        path(self.store.data_dir()).exists()
    }

    /// What is known of the restore.
    pub(crate) fn recovery(&self) -> Result<Option<Recovery>, ArchiveError> {
        let path = path(self.store.data_dir());
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            result => result.map_err(ArchiveError::io(&path))?,
        };
        let recovery = serde_json::from_slice(&text).map_err(|error| ArchiveError::Damaged {
            path,
            what: error.to_string(),
        })?;
        Ok(Some(recovery))
    }

    /// Has everything go on as usual.
    pub(crate) fn end_recovery(&self) -> Result<(), ArchiveError> {
        let data_dir = self.store.data_dir();
        let path = path(data_dir);
        let ended = match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result.and_then(|()| File::open(data_dir)?.sync_all()),
        };
        ended.map_err(ArchiveError::io(&path))
    }

    /// Enters the whole sets into the store that lie in the directory of sets and that it does not
    /// know, if it knows their databases.
    ///
    /// # Errors
    /// [`ControlError`] when the store or the disk fails.
    pub(crate) fn adopt_sets(&self) -> Result<(), ControlError> {
        for (instance_id, backup_id) in self.unknown_sets()? {
            let path = self.backup_dir(&instance_id, backup_id);
            let found = match self.engine.look_at_set(&path) {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(instance = %instance_id, backup = %backup_id, %error, "a backup set that was found cannot be used");
                    continue;
                }
            };
            let manifest = &found.manifest;
            let source = &manifest.source;
            let is_its = source.instance_id == instance_id.as_str()
                && source.backup_id == backup_id.to_string();
            let Some(db_name) = DbName::parse(&source.db_name).ok().filter(|_| is_its) else {
                tracing::warn!(instance = %instance_id, backup = %backup_id, "a backup set lies in the place of another one");
                continue;
            };
            let outcome = BackupOutcome {
                size_bytes: i64::try_from(found.bytes).unwrap_or(i64::MAX),
                manifest_sha256: Some(found.manifest_sha256.clone()),
                failure: None,
                ended_at: Some(manifest.taken_at),
                key_id: manifest.encryption.as_ref().map(|it| it.key_id.clone()),
            };
            let taken_at = manifest.taken_at;
            let method = match manifest.physical {
                None => BackupMethod::Logical,
                Some(_) => BackupMethod::Physical,
            };
            let base = manifest.physical.as_ref().and_then(|it| it.base.as_ref());
            let base_id = base.and_then(|base| BackupId::parse(&base.backup_id).ok());
            let kind = (method, base_id);
            let id = &instance_id;
            let is_adopted = self
                .store
                .write(|writer| adopt(writer, id, &db_name, backup_id, kind, taken_at, &outcome))?;
            if is_adopted {
                tracing::info!(instance = %instance_id, database = %db_name, backup = %backup_id, "a backup set that was found is entered");
            }
        }
        Ok(())
    }

    /// The sets that lie in the directory of sets and that the store does not know.
    pub(crate) fn unknown_sets(&self) -> Result<Vec<(InstanceId, BackupId)>, ControlError> {
        let known = self.store.read(|reader| reader.backup_set_ids())?;
        let parse = |(instance, name): (String, String)| {
            Some((
                InstanceId::parse(&instance).ok()?,
                BackupId::parse(&name).ok()?,
            ))
        };
        let found = self.sets_on_disk()?.into_iter().filter_map(parse);
        Ok(found.filter(|set| !known.contains(set)).collect())
    }

    /// Puts the sets aside that belong to nothing which the store knows: in the directory of sets
    /// they would be removed as leftovers. Returns how many.
    ///
    /// # Errors
    /// [`ArchiveError::Io`], or the store's.
    pub(crate) fn put_unknown_sets_aside(&self) -> Result<usize, ControlError> {
        let unknown = self.unknown_sets()?;
        let aside = self.store.data_dir().join(UNCLAIMED);
        for (instance_id, backup_id) in &unknown {
            let from = self.backup_dir(instance_id, *backup_id);
            let directory = aside.join(instance_id.as_str());
            let to = directory.join(backup_id.to_string());
            let moved = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .and_then(|()| fs::rename(&from, &to));
            moved.map_err(ArchiveError::io(&from))?;
            tracing::warn!(instance = %instance_id, backup = %backup_id, to = %to.display(), "a backup set of an unknown instance is put aside");
        }
        Ok(unknown.len())
    }
}

/// Enters a set whose database the store knows; whether it does.
fn adopt(
    writer: &Writer<'_>,
    instance_id: &InstanceId,
    db_name: &DbName,
    backup_id: BackupId,
    (method, base_id): (BackupMethod, Option<BackupId>),
    taken_at: Timestamp,
    outcome: &BackupOutcome,
) -> Result<bool, ControlError> {
    let instance = writer.instance(instance_id)?;
    let database = writer.database(instance_id, db_name)?;
    let (Some(instance), Some(database)) = (instance, database) else {
        return Ok(false);
    };
    // Of another instance, for all that is known.
    if writer.backup_set(backup_id)?.is_some() {
        return Ok(false);
    }
    let set = NewBackupSet {
        account_id: instance.account_id,
        instance_id: instance_id.clone(),
        db_name: db_name.clone(),
        backup_type: match base_id {
            None => BackupType::Full,
            Some(_) => BackupType::Incremental,
        },
        mode: BackupMode::Manual,
        method,
        base_id,
        node_spec: database.node_spec,
        node_number: database.node_number,
        started_at: taken_at,
    };
    writer.adopt_backup_set(backup_id, &set, outcome)?;
    Ok(true)
}
