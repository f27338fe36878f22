//! What a bucket has that this host does not know of, because it is another host: sets, and backups
//! of the control plane.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use openpeta_engine::{BackupKeys, MANIFEST, open_file, seal_file};
use openpeta_types::{BackupId, InstanceId};

use super::logs::digest_of;
use super::parts::PartNotes;
use super::record::{self, Record};
use super::transfer::{Told, download};
use super::upload::Sending;
use super::{Bucket, RemoteError, RemoteSets, Result, SETS};

/// The directory of the control plane's backups in the bucket.
const CONTROL_PLANE: &str = "control-plane";
/// What stands behind the names of encrypted files.
const SEALED: &str = ".enc";

impl RemoteSets {
    /// Has the manifests here of the sets in the bucket of which nothing is noted, so that they are
    /// sets like all others. Returns how many were fetched.
    pub(crate) async fn find(
        &self,
        dir_of: &(dyn Fn(&InstanceId, BackupId) -> PathBuf + Send + Sync),
    ) -> Result<u64> {
        let Some(bucket) = &self.bucket else {
            return Ok(0);
        };
        let place = bucket.prefix.clone().join(SETS);
        let mut found = 0;
        for (path, _) in bucket.list(&place).await? {
            let parts: Vec<_> = path.prefix_match(&place).into_iter().flatten().collect();
            let [instance, backup_id, name] = parts.as_slice() else {
                continue;
            };
            let instance = InstanceId::parse(instance.as_ref()).ok();
            let backup_id = BackupId::parse(backup_id.as_ref()).ok();
            let Some((instance, backup_id)) = instance.zip(backup_id) else {
                continue;
            };
            let dir = dir_of(&instance, backup_id);
            if name.as_ref() != MANIFEST || self.records.read(&instance, backup_id)?.is_some() {
                continue;
            }
            // The manifest was put there last, and is written here last: with it, it is a set.
            let record = Record {
                url: bucket.url.clone(),
                upload: None,
                is_whole: true,
            };
            make_dir(&dir)?;
            self.records.write(&instance, backup_id, &record)?;
            let target = dir.join(MANIFEST);
            if !target.exists() {
                let fetched = download(bucket, &path, &target, &ignore).await;
                if fetched.is_err() {
                    self.records.remove(&instance, backup_id)?;
                }
                fetched?;
            }
            found += 1;
        }
        Ok(found)
    }

    /// Puts a backup of the control plane into the bucket, encrypted.
    pub(crate) async fn put_control_plane(&self, file: &Path, keys: &BackupKeys) -> Result<()> {
        let Some(bucket) = &self.bucket else {
            return Ok(());
        };
        let mut sealed = file.as_os_str().to_owned();
        sealed.push(".sending");
        let sealed = PathBuf::from(sealed);
        let notes = self.records.0.join(CONTROL_PLANE).with_extension("json");
        let parts = PartNotes(notes.with_extension("parts"));
        let put = async {
            let begun = record::read(&notes)?.filter(|record| record.url == bucket.url);
            if let Some(upload) = begun.and_then(|record| record.upload) {
                bucket.abort(&upload).await?;
            }
            let _ = fs::remove_file(&sealed);
            seal_file(file, &sealed, keys).map_err(engine)?;
            let sending = Sending {
                path: &sealed,
                object: &control_plane(bucket, file)?,
                sha256: &digest_of(&sealed).await?,
                // It is encrypted anew, and then is another file: what was begun is of no use.
                begun: None,
                parts: &parts,
            };
            let note = |upload| {
                let record = Record {
                    url: bucket.url.clone(),
                    upload,
                    is_whole: false,
                };
                record::write(&notes, &record)
            };
            bucket.send(sending, &ignore, note, &|_| {}).await
        };
        let put = put.await;
        let _ = fs::remove_file(&sealed);
        put
    }

    /// Removes one that was put there.
    pub(crate) async fn remove_control_plane(&self, file: &Path) -> Result<()> {
        match &self.bucket {
            Some(bucket) => bucket.delete(&control_plane(bucket, file)?).await,
            None => Ok(()),
        }
    }
}

/// The names of the control plane's backups in a bucket, oldest first.
pub(crate) async fn control_planes(bucket: &Bucket) -> Result<Vec<String>> {
    let place = bucket.prefix.clone().join(CONTROL_PLANE);
    let found = bucket.list(&place).await?;
    let names: BTreeSet<_> = found
        .iter()
        .filter_map(|(path, _)| path.filename()?.strip_suffix(SEALED))
        .map(str::to_owned)
        .collect();
    Ok(names.into_iter().collect())
}

/// Fetches one into a new file.
pub(crate) async fn fetch_control_plane(
    bucket: &Bucket,
    name: &str,
    keys: &BackupKeys,
    target: &Path,
) -> Result<()> {
    let mut sealed = target.as_os_str().to_owned();
    sealed.push(SEALED);
    let sealed = PathBuf::from(sealed);
    let object = control_plane(bucket, Path::new(name))?;
    let fetched = download(bucket, &object, &sealed, &ignore).await;
    let opened = fetched.and_then(|_| open_file(&sealed, target, keys).map_err(engine));
    let _ = fs::remove_file(&sealed);
    opened
}

fn control_plane(bucket: &Bucket, file: &Path) -> Result<object_store::path::Path> {
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| std::io::Error::other("it has no name"))?;
    let place = bucket.prefix.clone().join(CONTROL_PLANE);
    Ok(place.join(format!("{name}{SEALED}")))
}

fn engine(error: openpeta_engine::EngineError) -> RemoteError {
    std::io::Error::other(error).into()
}

fn make_dir(dir: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

fn ignore(_: Told) {}
