//! Backup sets for those who fetch them: links that expire, and the set as an archive in pieces.

mod archive;
mod link;

use std::io::{self, ErrorKind, SeekFrom};
use std::net::IpAddr;
use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use openpeta_engine::MANIFEST;
use openpeta_store::{AuditEntry, BackupSet};
use openpeta_types::BackupStatus;
use ring::digest::{SHA256, digest};
use ring::hmac;
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use self::archive::Layout;
pub use self::link::{LinkError, SetLink};
use super::remote::RemoteFile;
use crate::{Control, ControlError};

/// Bytes that are read of a file at once.
const CHUNK: usize = 128 << 10;
/// Name of a download in the audit trail.
const ACTION: &str = "backup:download";

/// What the key of links is derived for.
const KEY_PURPOSE: &str = "backup download";

/// A set that can be fetched, as a tar archive of its files. Whoever removes the set meanwhile does
/// not take the open file away.
pub struct FetchableSet {
    /// Names the content: another one has another name.
    pub tag: String,
    /// What a file of it may be called.
    pub file_name: String,
    layout: Layout,
    set: BackupSet,
    data: Data,
}

/// Where the data is.
enum Data {
    Here(File),
    InBucket(RemoteFile),
}

/// Who fetches.
#[derive(Clone, Debug)]
pub struct Fetcher {
    /// The client's address.
    pub source_ip: IpAddr,
    /// The client's `User-Agent`, cut to a sensible length.
    pub user_agent: String,
    /// The request's id.
    pub request_id: String,
    /// Which bytes are asked for.
    pub range: Range<u64>,
    /// When.
    pub now: Timestamp,
}

/// What the manifest of every set says in the clear.
#[derive(Deserialize)]
struct ManifestHead {
    dump: DumpHead,
}

#[derive(Deserialize)]
struct DumpHead {
    name: String,
    bytes: u64,
}

impl Control {
    fn link_key(&self) -> hmac::Key {
        let secret = self.parts.store.derive_secret(KEY_PURPOSE);
        hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes())
    }

    /// Path and query of a link to a set, for as long as it is configured.
    pub(super) fn link_to(&self, set: &BackupSet, now: Timestamp) -> String {
        let link = SetLink {
            account_id: set.set.account_id,
            instance_id: set.set.instance_id.clone(),
            backup_id: set.backup_id,
            expires: now.as_second() + i64::from(self.parts.config.backup.download_seconds),
        };
        link.to_text(&self.link_key())
    }

    /// What a link leads to.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn read_link(&self, path: &str, query: &str, now: Timestamp) -> Result<SetLink, LinkError> {
        SetLink::read(path, query, &self.link_key(), now)
    }

    /// The set that a link leads to; `None` when it is gone.
    ///
    /// # Errors
    /// [`ControlError`] when the store or the disk fails, or the set is not as it was taken.
    pub async fn fetchable_set(
        &self,
        link: &SetLink,
    ) -> Result<Option<FetchableSet>, ControlError> {
        let (parts, instance_id, backup_id) = (&self.parts, &link.instance_id, link.backup_id);
        let found = parts.store.read(|reader| reader.backup_set(backup_id))?;
        let is_it = |set: &BackupSet| {
            set.set.account_id == link.account_id
                && set.set.instance_id == *instance_id
                && set.status == BackupStatus::Success
        };
        let Some(set) = found.filter(is_it) else {
            return Ok(None);
        };
        let directory = parts.backup_dir(instance_id, backup_id);
        let manifest = match tokio::fs::read(directory.join(MANIFEST)).await {
            // It goes at this moment.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            manifest => manifest.map_err(ControlError::unavailable)?,
        };
        let manifest_sha256 = set.outcome.manifest_sha256.clone().unwrap_or_default();
        let damaged = |what: &str| ControlError::internal(format!("set {backup_id}: {what}"));
        if hex(digest(&SHA256, &manifest).as_ref()) != manifest_sha256 {
            return Err(damaged("the manifest is not the one that was written"));
        }
        let head: Result<ManifestHead, _> = serde_json::from_slice(&manifest);
        let Ok(ManifestHead { dump }) = head else {
            return Err(damaged("the manifest cannot be read"));
        };
        let data = match File::open(directory.join(&dump.name)).await {
            Ok(file) => {
                let length = file.metadata().await.map_err(ControlError::unavailable)?;
                if length.len() != dump.bytes {
                    return Err(damaged("the data has another length"));
                }
                Data::Here(file)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let file = parts
                    .remote_sets
                    .file(instance_id, backup_id, &dump.name)
                    .map_err(ControlError::unavailable)?;
                match file {
                    Some(file) => Data::InBucket(file),
                    None => return Ok(None),
                }
            }
            Err(error) => return Err(ControlError::unavailable(error)),
        };
        let ended_at = set.outcome.ended_at.unwrap_or_default();
        let layout = Layout::new(
            &backup_id.to_string(),
            (MANIFEST, &manifest),
            (&dump.name, dump.bytes),
            ended_at.as_second().unsigned_abs(),
        );
        Ok(Some(FetchableSet {
            tag: manifest_sha256,
            file_name: format!("{}-{backup_id}.tar", set.set.db_name),
            layout,
            set,
            data,
        }))
    }

    /// Writes the audit row of a set that is being fetched.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub fn record_fetch(&self, set: &FetchableSet, by: &Fetcher) -> Result<(), ControlError> {
        let of = &set.set.set;
        self.parts.store.write(|writer| {
            writer.insert_audit(&AuditEntry {
                at: by.now,
                account_id: Some(of.account_id),
                ram_user: None,
                access_key_id: None,
                action: ACTION.to_owned(),
                instance_id: Some(of.instance_id.clone()),
                source_ip: Some(by.source_ip),
                user_agent: Some(by.user_agent.clone()),
                request_id: by.request_id.clone(),
                parameters: serde_json::json!({
                    "db_name": of.db_name.as_str(),
                    "backup_id": set.set.backup_id.to_string(),
                    "from_byte": by.range.start,
                    "bytes": by.range.end - by.range.start,
                })
                .to_string(),
                outcome: "OK".to_owned(),
                task_id: None,
            })?;
            Ok(())
        })
    }
}

impl FetchableSet {
    /// Bytes of the whole archive.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.layout.total()
    }

    /// Bytes of it, as they are asked for: what is not asked for is not read. If fewer come there
    /// is an error in their place.
    #[must_use]
    pub fn bytes(self, range: &Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        let pieces = self.layout.pieces(range);
        let data = match self.data {
            Data::Here(file) => read(file, pieces.data).boxed(),
            Data::InBucket(file) => {
                let opened = async move { file.read(pieces.data).await };
                stream::once(opened).try_flatten().boxed()
            }
        };
        let whole = |bytes: Bytes| {
            let pieces = (!bytes.is_empty()).then_some(Ok(bytes));
            stream::iter(pieces)
        };
        let zeros = Bytes::from(vec![0; pieces.zeros]);
        whole(pieces.head).chain(data).chain(whole(zeros)).boxed()
    }
}

fn read(file: File, range: Range<u64>) -> impl stream::Stream<Item = io::Result<Bytes>> {
    stream::try_unfold(
        (file, range, false),
        async |(mut file, mut range, is_there)| {
            if !is_there {
                file.seek(SeekFrom::Start(range.start)).await?;
            }
            let left = range.end - range.start;
            if left == 0 {
                return Ok(None);
            }
            let length = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            let mut chunk = vec![0; length];
            file.read_exact(&mut chunk).await?;
            range.start += length as u64;
            Ok(Some((Bytes::from(chunk), (file, range, true))))
        },
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
