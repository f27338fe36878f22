//! Backup sets in a bucket: put there when they are whole, read again before they count, fetched
//! when somebody reads them.
//!
//! Of each set the manifest stays on this host, so that all questions but those for the data are
//! answered without the bucket.

mod bucket;
mod connector;
mod logs;
mod lost;
mod parts;
mod record;
mod transfer;
mod upload;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{Error as ObjectError, GetOptions, GetRange, ObjectStore as _};
use openpeta_engine::{DumpFile, MANIFEST};
use openpeta_tasks::StepError;
use openpeta_types::{BackupId, InstanceId};
use ring::digest::{Context, SHA256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

pub(crate) use self::bucket::Bucket;
use self::bucket::Objects;
pub use self::bucket::S3Config;
pub(crate) use self::logs::RemoteLogs;
pub(crate) use self::lost::{control_planes, fetch_control_plane};
use self::record::{Record, Records};
use self::transfer::Progress;
pub(crate) use self::transfer::Told;
use self::upload::Sending;
use super::waiting::WaitingSets;

/// The directory of sets in the bucket.
const SETS: &str = "backups";
/// Bytes that a fetched set leaves free on the disk.
const LEFT_FREE: u64 = 256 << 20;

/// What servers say that have no room left.
const FULL: [&str; 4] = [
    "507 Insufficient Storage",
    "InsufficientStorage",
    "QuotaExceeded",
    "StorageFull",
];

/// What they say of uploads that they do not have, or not as they were sent.
const NO_UPLOAD: [&str; 2] = ["NoSuchUpload", "InvalidPart<"];

/// What clients are told of failures that say nothing about a set.
const UNUSABLE: &str = "The backup storage cannot be used.";
const REFUSED: &str = "The backup storage refuses access.";
const STORAGE_FULL: &str = "The backup storage is full.";
const ELSEWHERE: &str = "The backup set is in a storage that is not in use.";
const NO_SPACE: &str = "The host has no disk space left.";

/// Whether what a client is told of a failure is about the storage or the host, and not about a set.
pub(crate) fn is_of_storage(message: &str) -> bool {
    [UNUSABLE, REFUSED, STORAGE_FULL, ELSEWHERE, NO_SPACE].contains(&message)
}

/// A set on this host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalSet<'a> {
    pub(crate) instance_id: &'a InstanceId,
    pub(crate) backup_id: BackupId,
    /// Its directory.
    pub(crate) dir: &'a Path,
    /// Its data file.
    pub(crate) dump: &'a DumpFile,
    /// SHA-256 of its manifest.
    pub(crate) manifest_sha256: &'a str,
}

impl LocalSet<'_> {
    fn has_data(&self) -> bool {
        self.dir.join(&self.dump.name).exists()
    }
}

/// Why something about a bucket failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// The credentials are not taken.
    #[error("the backup storage refuses access: {0}")]
    Refused(ObjectError),
    /// It cannot be reached, or answers with an error.
    #[error("the backup storage cannot be used: {0}")]
    Failed(ObjectError),
    /// It takes no more.
    #[error("the backup storage is full: {0}")]
    Full(ObjectError),
    /// The bucket does not exist.
    #[error("the backup storage does not have the bucket: {0}")]
    NoBucket(ObjectError),
    /// It does not know an upload in parts, or not all of its parts.
    #[error("the backup storage does not have what was sent of it: {0}")]
    NoUpload(ObjectError),
    /// Something is not there that was put there.
    #[error("{0} is not in the backup storage")]
    Missing(ObjectPath),
    /// The storage does not know what it was sent just now.
    #[error("the backup storage has lost {0} while it was sent")]
    Lost(ObjectPath),
    /// What is there is not what was put there.
    #[error("{0} in the backup storage is not what was put there")]
    Differs(ObjectPath),
    /// The configuration names another bucket, or none.
    #[error("the set is in {0}, which is not the configured backup storage")]
    Elsewhere(String),
    /// A set would not fit on the disk.
    #[error("fetching the set takes {needed} bytes of disk space, {free} are free")]
    NoSpace {
        /// What it takes.
        needed: u64,
        /// What there is.
        free: u64,
    },
    /// A file operation failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<ObjectError> for RemoteError {
    fn from(error: ObjectError) -> Self {
        let text = error.to_string();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        match error {
            // The library tells of an answer in words alone, and servers use several codes.
            error if says(&FULL) => Self::Full(error),
            error if says(&["NoSuchBucket"]) => Self::NoBucket(error),
            error if says(&NO_UPLOAD) => Self::NoUpload(error),
            ObjectError::NotFound { path, .. } => Self::Missing(path.into()),
            ObjectError::PermissionDenied { .. } | ObjectError::Unauthenticated { .. } => {
                Self::Refused(error)
            }
            error => Self::Failed(error),
        }
    }
}

impl From<RemoteError> for StepError {
    fn from(error: RemoteError) -> Self {
        let message = match &error {
            RemoteError::Io(io) if io.kind() == io::ErrorKind::StorageFull => NO_SPACE,
            RemoteError::Io(_) => return Self::transient(error),
            RemoteError::Refused(_) => REFUSED,
            RemoteError::Failed(_)
            | RemoteError::NoBucket(_)
            | RemoteError::NoUpload(_)
            | RemoteError::Lost(_) => UNUSABLE,
            RemoteError::Full(_) => STORAGE_FULL,
            RemoteError::Missing(_) | RemoteError::Differs(_) => "The backup set is damaged.",
            RemoteError::Elsewhere(_) => ELSEWHERE,
            RemoteError::NoSpace { .. } => NO_SPACE,
        };
        Self::permanent(message, error)
    }
}

type Result<T> = std::result::Result<T, RemoteError>;

/// The sets in the bucket, if there is one.
pub(crate) struct RemoteSets {
    bucket: Option<Bucket>,
    records: Records,
    fetches: AtomicU64,
    /// Those that it did not take when they were put there.
    pub(crate) waiting: WaitingSets,
}

impl RemoteSets {
    /// With records in that directory.
    pub(crate) const fn new(bucket: Option<Bucket>, records: PathBuf) -> Self {
        Self {
            bucket,
            records: Records(records),
            fetches: AtomicU64::new(0),
            waiting: WaitingSets::new(),
        }
    }

    /// Whether sets are put into a bucket.
    pub(crate) const fn is_used(&self) -> bool {
        self.bucket.is_some()
    }

    /// The bucket in which a whole set is; `None` for one on this host.
    pub(crate) fn place_of(&self, instance: &InstanceId, backup_id: BackupId) -> Option<String> {
        let record = self.records.read(instance, backup_id).ok()??;
        record.is_whole.then_some(record.url)
    }

    /// Puts a set into the bucket, reads it again, and lets the data on this host go.
    pub(crate) async fn put(&self, set: LocalSet<'_>, progress: Progress<'_>) -> Result<()> {
        self.send(set, progress).await?;
        match self.is_used() {
            true => self.release(set.dir),
            false => Ok(()),
        }
    }

    /// Puts a set into the bucket and reads it again.
    async fn send(&self, set: LocalSet<'_>, progress: Progress<'_>) -> Result<()> {
        let Some(bucket) = &self.bucket else {
            return Ok(());
        };
        let known = self.records.read(set.instance_id, set.backup_id)?;
        if !known.as_ref().is_some_and(|record| record.is_whole) {
            let mut record = known.unwrap_or_else(|| Record {
                url: bucket.url.clone(),
                upload: None,
                is_whole: false,
            });
            self.upload(bucket, set, &mut record, progress).await?;
            record.is_whole = true;
            self.records
                .write(set.instance_id, set.backup_id, &record)?;
        }
        Ok(())
    }

    /// Without patience: for somebody who has something else to do if it fails.
    fn hasty(&self) -> Self {
        let bucket = self.bucket.clone().map(|bucket| Bucket {
            patience: Duration::ZERO,
            ..bucket
        });
        Self::new(bucket, self.records.0.clone())
    }

    /// As [`put`](Self::put), without patience.
    pub(crate) async fn put_now(&self, set: LocalSet<'_>, progress: Progress<'_>) -> Result<()> {
        self.hasty().put(set, progress).await
    }

    /// Puts a set into the bucket without patience. The data on this host stays.
    pub(crate) async fn send_now(&self, set: LocalSet<'_>, progress: Progress<'_>) -> Result<()> {
        self.hasty().send(set, progress).await
    }

    async fn upload(
        &self,
        bucket: &Bucket,
        set: LocalSet<'_>,
        record: &mut Record,
        progress: Progress<'_>,
    ) -> Result<()> {
        if record.url != bucket.url && record.upload.take().is_some() {
            tracing::warn!(
                url = record.url,
                "an upload that was begun stays in a backup storage that is not in use"
            );
        }
        record.url.clone_from(&bucket.url);
        self.records.write(set.instance_id, set.backup_id, record)?;
        let total = 2 * set.dump.bytes;
        let parts = self.records.parts(set.instance_id, set.backup_id);
        // The manifest comes last: where there is one, the data is there.
        for (name, sha256) in [
            (set.dump.name.as_str(), &*set.dump.sha256),
            (MANIFEST, set.manifest_sha256),
        ] {
            let is_data = name != MANIFEST;
            let done = |bytes| {
                if is_data {
                    progress(Told::Bytes(bytes, total));
                }
            };
            let sending = Sending {
                path: &set.dir.join(name),
                object: &object(bucket, set.instance_id, set.backup_id, name),
                sha256,
                begun: record.upload.clone(),
                parts: &parts,
            };
            let note = |upload| {
                record.upload = upload;
                self.records.write(set.instance_id, set.backup_id, record)
            };
            bucket.send(sending, progress, note, &done).await?;
        }
        Ok(())
    }

    /// Has the data of a set on this host, fetched from the bucket if need be.
    pub(crate) async fn fetch(&self, set: LocalSet<'_>, progress: Progress<'_>) -> Result<()> {
        if set.has_data() {
            return Ok(());
        }
        let Some(record) = self.records.read(set.instance_id, set.backup_id)? else {
            // It was never anywhere else.
            return Ok(());
        };
        let bucket = self
            .bucket
            .as_ref()
            .filter(|bucket| bucket.url == record.url);
        let bucket = bucket.ok_or(RemoteError::Elsewhere(record.url))?;
        let needed = set.dump.bytes + LEFT_FREE;
        let free = free_bytes(set.dir)?;
        if free < needed {
            return Err(RemoteError::NoSpace { needed, free });
        }
        // Whoever else fetches it at the same time writes a file of its own.
        let number = self.fetches.fetch_add(1, Ordering::Relaxed);
        let new = set.dir.join(format!("fetch-{number}"));
        let fetched = self.fetch_to(bucket, set, &new, progress).await;
        if fetched.is_err() {
            let _ = tokio::fs::remove_file(&new).await;
        }
        fetched
    }

    async fn fetch_to(
        &self,
        bucket: &Bucket,
        set: LocalSet<'_>,
        new: &Path,
        progress: Progress<'_>,
    ) -> Result<()> {
        let object = object(bucket, set.instance_id, set.backup_id, &set.dump.name);
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(new).await?;
        let mut chunks = bucket.read(&object, progress);
        let (mut digest, mut done) = (Context::new(&SHA256), 0);
        while let Some(chunk) = chunks.next().await? {
            digest.update(&chunk);
            done += chunk.len() as u64;
            if done > set.dump.bytes {
                return Err(RemoteError::Differs(object));
            }
            file.write_all(&chunk).await?;
            progress(Told::Bytes(done, set.dump.bytes));
        }
        if hex(digest) != set.dump.sha256 {
            return Err(RemoteError::Differs(object));
        }
        file.sync_all().await?;
        tokio::fs::rename(new, set.dir.join(&set.dump.name)).await?;
        Ok(())
    }

    /// A file of a set that is whole in the bucket; `None` for one that never was there.
    pub(crate) fn file(
        &self,
        instance: &InstanceId,
        backup_id: BackupId,
        name: &str,
    ) -> Result<Option<RemoteFile>> {
        let record = self.records.read(instance, backup_id)?;
        let Some(record) = record.filter(|record| record.is_whole) else {
            return Ok(None);
        };
        let bucket = self
            .bucket
            .as_ref()
            .filter(|bucket| bucket.url == record.url);
        let bucket = bucket.ok_or(RemoteError::Elsewhere(record.url))?;
        Ok(Some(RemoteFile {
            objects: bucket.objects.clone(),
            object: object(bucket, instance, backup_id, name),
        }))
    }

    /// Lets the data of a set on this host go, if the set is whole in the bucket.
    pub(crate) fn release_copy(
        &self,
        instance: &InstanceId,
        backup_id: BackupId,
        dir: &Path,
    ) -> Result<()> {
        match self.place_of(instance, backup_id) {
            Some(_) => self.release(dir),
            None => Ok(()),
        }
    }

    /// Removes all files of a set on this host but its manifest.
    fn release(&self, dir: &Path) -> Result<()> {
        let entries = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_name() == MANIFEST {
                continue;
            }
            match std::fs::remove_file(entry.path()) {
                // Somebody else lets it go as well.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Removes what is in the bucket of a set, and what was begun there.
    pub(crate) async fn remove(&self, instance: &InstanceId, backup_id: BackupId) -> Result<()> {
        let Some(mut record) = self.records.read(instance, backup_id)? else {
            return Ok(());
        };
        let bucket = self
            .bucket
            .as_ref()
            .filter(|bucket| bucket.url == record.url);
        let bucket = bucket.ok_or_else(|| RemoteError::Elsewhere(record.url.clone()))?;
        if let Some(upload) = record.upload.take() {
            bucket.abort(&upload).await?;
        }
        let dir = directory(bucket, instance, backup_id);
        bucket.delete_all(&dir).await?;
        Ok(self.records.remove(instance, backup_id)?)
    }

    /// The sets of which it was begun to put them into a bucket, and which are not whole there.
    pub(crate) fn unfinished(&self) -> Result<Vec<(InstanceId, BackupId)>> {
        let mut sets = self.sets()?;
        sets.retain(|(instance, backup_id)| self.place_of(instance, *backup_id).is_none());
        Ok(sets)
    }

    /// The sets of which something is, or may be, in a bucket.
    pub(crate) fn sets(&self) -> Result<Vec<(InstanceId, BackupId)>> {
        Ok(self.records.list()?)
    }
}

/// A file in the bucket.
pub(crate) struct RemoteFile {
    objects: Arc<dyn Objects>,
    object: ObjectPath,
}

impl RemoteFile {
    /// Some of its bytes, as they come.
    pub(crate) async fn read(
        self,
        range: Range<u64>,
    ) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
        if range.is_empty() {
            return Ok(futures_util::stream::empty().boxed());
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let got = self.objects.get_opts(&self.object, options).await;
        let chunks = got.map_err(io::Error::other)?.into_stream();
        Ok(chunks.map_err(io::Error::other).boxed())
    }
}

fn directory(bucket: &Bucket, instance: &InstanceId, backup_id: BackupId) -> ObjectPath {
    let sets = bucket.prefix.clone().join(SETS);
    sets.join(instance.as_str()).join(backup_id.to_string())
}

fn object(bucket: &Bucket, instance: &InstanceId, backup_id: BackupId, name: &str) -> ObjectPath {
    directory(bucket, instance, backup_id).join(name)
}

/// Bytes that may still be written on the disk of a directory.
pub(crate) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn hex(digest: Context) -> String {
    let digest = digest.finish();
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

#[cfg(test)]
mod tests;
