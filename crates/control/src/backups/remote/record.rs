//! What is noted here of sets in the bucket. A record is there before anything of its set is in the
//! bucket, and goes after all of it, so that whatever is cut off can be tidied up.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use openpeta_types::{BackupId, InstanceId};
use serde::{Deserialize, Serialize};

use super::parts::PartNotes;

const ENDING: &str = "json";

/// What is, or may be, in the bucket of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The bucket, as the configuration had it.
    pub(super) url: String,
    /// An upload in parts that was begun.
    pub(super) upload: Option<Upload>,
    /// Whether all is there, and was read again.
    pub(super) is_whole: bool,
}

/// An upload in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Upload {
    /// The object that is to come of it.
    pub(super) object: String,
    /// Its id.
    pub(super) id: String,
}

/// The directory of records.
pub(super) struct Records(pub(super) PathBuf);

impl Records {
    fn path(&self, instance: &InstanceId, backup_id: BackupId) -> PathBuf {
        let dir = self.0.join(instance.as_str());
        dir.join(format!("{backup_id}.{ENDING}"))
    }

    pub(super) fn read(
        &self,
        instance: &InstanceId,
        backup_id: BackupId,
    ) -> io::Result<Option<Record>> {
        read(&self.path(instance, backup_id))
    }

    pub(super) fn write(
        &self,
        instance: &InstanceId,
        backup_id: BackupId,
        record: &Record,
    ) -> io::Result<()> {
        write(&self.path(instance, backup_id), record)
    }

    /// What is noted of the parts of its upload.
    pub(super) fn parts(&self, instance: &InstanceId, backup_id: BackupId) -> PartNotes {
        PartNotes(self.path(instance, backup_id).with_extension("parts"))
    }

    pub(super) fn remove(&self, instance: &InstanceId, backup_id: BackupId) -> io::Result<()> {
        self.parts(instance, backup_id).clear()?;
        let path = self.path(instance, backup_id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The last one takes the directory with it.
        let _ = fs::remove_dir(path.parent().expect("it has one"));
        Ok(())
    }

    /// The sets of which there are records.
    pub(super) fn list(&self) -> io::Result<Vec<(InstanceId, BackupId)>> {
        let mut sets = Vec::new();
        for dir in entries(&self.0)? {
            let name = dir.file_name().and_then(|name| name.to_str());
            let Some(instance) = name.and_then(|name| InstanceId::parse(name).ok()) else {
                continue;
            };
            for path in entries(&dir)? {
                let is_record = path.extension().is_some_and(|ending| ending == ENDING);
                let stem = path.file_stem().and_then(|stem| stem.to_str());
                let backup_id = stem.and_then(|stem| BackupId::parse(stem).ok());
                sets.extend(
                    backup_id
                        .filter(|_| is_record)
                        .map(|id| (instance.clone(), id)),
                );
            }
        }
        Ok(sets)
    }
}

/// Reads a record; `None` if there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<Record>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => Ok(Some(serde_json::from_slice(&text?)?)),
    }
}

/// Writes a record, whole or not at all.
pub(super) fn write(path: &Path, record: &Record) -> io::Result<()> {
    let dir = path.parent().expect("it has one");
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_dirs(dir)
}

fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect(),
    }
}

/// The directory and the two above it may be new.
fn sync_dirs(dir: &Path) -> io::Result<()> {
    dir.ancestors()
        .take(3)
        .try_for_each(|dir| File::open(dir)?.sync_all())
}
