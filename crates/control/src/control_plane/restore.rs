//! A data directory is made out of a backup of the control plane.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use openpeta_store::{AuditEntry, Store, StoreError};
use serde_json::json;

use super::archive::{self, ArchiveError, ArchiveManifest};
use super::recovering::Recovery;
use crate::random;

/// Name of the restore in the audit trail.
const ACTION: &str = "admin:control-plane-restore";

/// What may have been handed out between the backup and the loss: sets and tasks at the pace of
/// ten a second, for a day.
const GAP: u32 = 1_000_000;

/// A data directory that was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Where it is.
    pub data_dir: PathBuf,
    /// What it was made of.
    pub manifest: ArchiveManifest,
}

/// Makes a data directory out of a backup of a control plane. `data_dir` must not exist, or be
/// empty. It is whole when it is there: it is made beside, opened once, and then renamed.
///
/// # Errors
/// [`ArchiveError`]; `data_dir` is as it was then.
pub fn restore(file: &Path, data_dir: &Path) -> Result<Restored, ArchiveError> {
    let data_dir = std::path::absolute(data_dir).map_err(ArchiveError::io(data_dir))?;
    archive::check(file)?;
    require_free(&data_dir)?;
    let parent = archive::parent(&data_dir);
    fs::create_dir_all(parent).map_err(ArchiveError::io(parent))?;
    let mut new = data_dir.clone().into_os_string();
    new.push(".restoring");
    let new = PathBuf::from(new);
    // Mode 0711, as the service makes it: nodes may run as another user.
    match DirBuilder::new().mode(0o711).create(&new) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let what = "was left by a restore that was cut off; remove it".to_owned();
            return Err(ArchiveError::InTheWay { path: new, what });
        }
        result => result.map_err(ArchiveError::io(&new))?,
    }
    let made = make(file, &new).and_then(|manifest| {
        put_in_place(&new, &data_dir).map_err(ArchiveError::io(&data_dir))?;
        Ok(manifest)
    });
    match made {
        Ok(manifest) => Ok(Restored { data_dir, manifest }),
        Err(error) => {
            let _ = fs::remove_dir_all(&new);
            Err(error)
        }
    }
}

/// Refuses a place where something is.
fn require_free(data_dir: &Path) -> Result<(), ArchiveError> {
    let in_the_way = |what: &str| ArchiveError::InTheWay {
        path: data_dir.to_owned(),
        what: what.to_owned(),
    };
    match fs::read_dir(data_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            Err(in_the_way("is not a directory"))
        }
        Err(error) => Err(ArchiveError::io(data_dir)(error)),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(in_the_way(
                "is not empty; a control plane is restored into a directory that is empty or does not exist",
            )),
        },
    }
}

/// Unpacks, and has the store opened once: so key and store belong together, and this version
/// can serve them.
fn make(file: &Path, new: &Path) -> Result<ArchiveManifest, ArchiveError> {
    let manifest = archive::unpack(file, new)?;
    let store = Store::open(new)?;
    let now = Timestamp::now();
    store.write(|writer| {
        writer.skip_numbers(GAP)?;
        writer.insert_audit(&AuditEntry {
            at: now,
            account_id: None,
            ram_user: None,
            access_key_id: None,
            action: ACTION.to_owned(),
            instance_id: None,
            source_ip: None,
            user_agent: None,
            request_id: random::request_id()
                .map_err(|error| StoreError::Corrupt {
                    detail: error.to_string(),
                })?
                .to_string(),
            parameters: json!({ "file": file, "taken_at": manifest.taken_at }).to_string(),
            outcome: "OK".to_owned(),
            task_id: None,
        })?;
        Ok::<_, StoreError>(())
    })?;
    drop(store);
    let recovery = Recovery {
        restored_at: now,
        taken_at: manifest.taken_at,
    };
    recovery.note(new)?;
    Ok(manifest)
}

fn put_in_place(new: &Path, data_dir: &Path) -> std::io::Result<()> {
    let tls = new.join("tls");
    if tls.is_dir() {
        File::open(tls)?.sync_all()?;
    }
    File::open(new)?.sync_all()?;
    // An empty directory is replaced, one that is no longer empty is not.
    fs::rename(new, data_dir)?;
    File::open(archive::parent(data_dir))?.sync_all()
}
