//! Files on their way to the bucket: at once when they are small, else in parts, of which those that
//! are done are noted, so that nobody sends them again after a restart.

use std::io;
use std::path::Path;

use hyper::body::Bytes;
use object_store::Error as ObjectError;
use object_store::multipart::PartId;
use object_store::path::Path as ObjectPath;
use ring::digest::{Context, SHA256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::bucket::Bucket;
use super::parts::{PartNotes, SentPart, Whole};
use super::record::Upload;
use super::transfer::Progress;
use super::{RemoteError, Result, hex};

/// Bytes of a part of an upload at least.
pub(super) const PART: u64 = 16 << 20;
/// Parts of an upload at most; S3 takes 10,000.
const MOST_PARTS: u64 = 9_000;
/// How often an upload is begun that the bucket then knows nothing of.
const ATTEMPTS: u32 = 3;

/// A file that is to be in the bucket.
pub(super) struct Sending<'a> {
    pub(super) path: &'a Path,
    pub(super) object: &'a ObjectPath,
    /// SHA-256 of the file.
    pub(super) sha256: &'a str,
    /// The upload in parts that an earlier attempt has begun.
    pub(super) begun: Option<Upload>,
    /// Where its parts are noted.
    pub(super) parts: &'a PartNotes,
}

/// How an upload in parts ended.
enum Ended {
    Whole,
    /// What lies here is not what was sent.
    Changed(Upload),
    /// The bucket does not know it, or not all of its parts.
    Gone(RemoteError),
}

impl Bucket {
    /// Sends a file and reads it again. `note` is told of an upload in parts before it takes space,
    /// and when it has ended; `progress` of the bytes that were sent, and read after that.
    pub(super) async fn send(
        &self,
        sending: Sending<'_>,
        tell: Progress<'_>,
        mut note: impl FnMut(Option<Upload>) -> io::Result<()> + Send,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<()> {
        let (object, sha256) = (sending.object, sending.sha256);
        let length = tokio::fs::metadata(sending.path).await?.len();
        let is_small = length <= PART;
        let mut begun = sending.begun.clone();
        if let Some(upload) =
            begun.take_if(|upload| is_small || upload.object != object.to_string())
        {
            // What nobody finishes takes space that nobody sees.
            self.abort_patiently(&upload, tell).await?;
            sending.parts.clear()?;
            note(None)?;
        }
        if is_small {
            let content = tokio::fs::read(sending.path).await?;
            self.put(object, content.into(), tell).await?;
        } else {
            let mut attempt = 1;
            loop {
                let sent =
                    self.send_parts(&sending, length, begun.take(), tell, &mut note, progress);
                match sent.await? {
                    Ended::Whole => break,
                    Ended::Changed(upload) => self.abort_patiently(&upload, tell).await?,
                    Ended::Gone(error) => {
                        tracing::info!(%object, %error, "an upload is gone from the backup storage; it begins anew");
                        // Unless its end is all that was not noted.
                        if self.has(object, sha256, tell).await? {
                            break;
                        }
                    }
                }
                sending.parts.clear()?;
                note(None)?;
                if attempt == ATTEMPTS {
                    return Err(RemoteError::Lost(object.clone()));
                }
                attempt += 1;
            }
            note(None)?;
            sending.parts.clear()?;
        }
        let read = |bytes| progress(length + bytes);
        match self.digest(object, tell, &read).await? == sha256 {
            true => Ok(()),
            false => Err(RemoteError::Differs(object.clone())),
        }
    }

    async fn send_parts(
        &self,
        sending: &Sending<'_>,
        length: u64,
        begun: Option<Upload>,
        tell: Progress<'_>,
        note: &mut (impl FnMut(Option<Upload>) -> io::Result<()> + Send),
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Ended> {
        let object = sending.object;
        let part_bytes = PART.max(length.div_ceil(MOST_PARTS).next_multiple_of(1 << 20));
        let whole = |upload| Whole {
            upload,
            length,
            part_bytes,
        };
        let (whole, done) = match begun.map(whole) {
            Some(whole) => match sending.parts.read(&whole)? {
                Some(done) => (whole, done),
                None => return Ok(Ended::Changed(whole.upload)),
            },
            None => {
                let create = || self.objects.create_multipart(object);
                let upload = Upload {
                    object: object.to_string(),
                    id: self.ask(tell, create).await?,
                };
                note(Some(upload.clone()))?;
                (whole(upload), Vec::new())
            }
        };
        if !done.is_empty() {
            tracing::info!(%object, parts = done.len(), "an upload goes on with the parts that are not there yet");
        }
        sending.parts.begin(&whole, &done)?;
        let id = &whole.upload.id;
        let mut file = File::open(sending.path).await?;
        let (mut ids, mut sent, mut done) = (Vec::new(), 0, done.into_iter());
        while sent < length {
            let mut part = Vec::new();
            (&mut file).take(part_bytes).read_to_end(&mut part).await?;
            if part.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            sent += part.len() as u64;
            let part = Bytes::from(part);
            let mut digest = Context::new(&SHA256);
            digest.update(&part);
            let sha256 = hex(digest);
            let e_tag = match done.next() {
                Some(known) if known.sha256 == sha256 => known.e_tag,
                Some(_) => return Ok(Ended::Changed(whole.upload)),
                None => {
                    let number = ids.len();
                    let put = || {
                        let part = part.clone().into();
                        self.objects.put_part(object, id, number, part)
                    };
                    let put = match self.ask(tell, put).await {
                        // What is to be put there cannot be missing: it is the upload that is gone.
                        Err(error) if is_gone(&error) => return Ok(Ended::Gone(error)),
                        put => put?,
                    };
                    let e_tag = put.content_id;
                    let part = SentPart {
                        e_tag: e_tag.clone(),
                        sha256,
                    };
                    sending.parts.add(&part)?;
                    e_tag
                }
            };
            ids.push(PartId { content_id: e_tag });
            progress(sent);
        }
        let complete = || self.objects.complete_multipart(object, id, ids.clone());
        match self.ask(tell, complete).await {
            Err(error) if is_gone(&error) => Ok(Ended::Gone(error)),
            ended => ended.map(|_| Ended::Whole),
        }
    }

    /// Whether an object is there and is what it should be.
    async fn has(&self, object: &ObjectPath, sha256: &str, tell: Progress<'_>) -> Result<bool> {
        match self.digest(object, tell, &|_| {}).await {
            Err(RemoteError::Missing(_)) => Ok(false),
            digest => Ok(digest? == sha256),
        }
    }

    /// Gives up an upload in parts that was begun. Asks once.
    pub(super) async fn abort(&self, upload: &Upload) -> Result<()> {
        let object = ObjectPath::from(upload.object.clone());
        match self.objects.abort_multipart(&object, &upload.id).await {
            Err(ObjectError::NotFound { .. }) => Ok(()),
            result => Ok(result?),
        }
    }

    /// The same, until it is answered.
    async fn abort_patiently(&self, upload: &Upload, tell: Progress<'_>) -> Result<()> {
        let object = ObjectPath::from(upload.object.clone());
        let abort = || async {
            match self.objects.abort_multipart(&object, &upload.id).await {
                Err(ObjectError::NotFound { .. }) => Ok(()),
                result => result,
            }
        };
        self.ask(tell, abort).await
    }
}

/// Whether a failure of an upload in parts says that the bucket has it no more, or not all of it.
const fn is_gone(error: &RemoteError) -> bool {
    matches!(error, RemoteError::Missing(_) | RemoteError::NoUpload(_))
}
