//! Objects of a bucket, written and read with patience: a storage that does not answer is asked again
//! for minutes, for what is under way has taken long.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use hyper::body::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{Error as ObjectError, GetOptions, GetRange, ObjectStoreExt};
use ring::digest::{Context, SHA256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::bucket::Bucket;
use super::{RemoteError, Result, hex};

/// Wait before something is tried again, twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What somebody who waits is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    /// So many bytes of so many are done.
    Bytes(u64, u64),
    /// It does not go on; it is tried again.
    Trouble,
}

/// Is told how far something is.
pub(crate) type Progress<'a> = &'a (dyn Fn(Told) + Send + Sync);

impl Bucket {
    /// Asks for something until it is answered, or the bucket's patience is at its end.
    pub(super) async fn ask<T, F>(
        &self,
        tell: Progress<'_>,
        mut ask: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut patience = Patience::new(self.patience);
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => patience.wait(error.into(), tell).await?,
            }
        }
    }

    /// Puts a small object there.
    pub(super) async fn put(
        &self,
        object: &ObjectPath,
        content: Bytes,
        tell: Progress<'_>,
    ) -> Result<()> {
        let put = self.ask(tell, || self.objects.put(object, content.clone().into()));
        put.await.map(drop)
    }

    /// Begins to read an object.
    pub(super) const fn read<'a>(
        &'a self,
        object: &'a ObjectPath,
        tell: Progress<'a>,
    ) -> ObjectReader<'a> {
        ObjectReader {
            bucket: self,
            object,
            tell,
            patience: Patience::new(self.patience),
            chunks: None,
            at: 0,
            length: None,
        }
    }

    /// The SHA-256 of an object, by reading it.
    pub(super) async fn digest(
        &self,
        object: &ObjectPath,
        tell: Progress<'_>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<String> {
        let mut reader = self.read(object, tell);
        let mut digest = Context::new(&SHA256);
        while let Some(chunk) = reader.next().await? {
            digest.update(&chunk);
            progress(reader.at);
        }
        Ok(hex(digest))
    }

    /// The objects below a place, with their lengths. Asks once.
    pub(super) async fn list(&self, place: &ObjectPath) -> Result<Vec<(ObjectPath, u64)>> {
        let found = self.objects.list(Some(place));
        let found = found.map_ok(|object| (object.location, object.size));
        Ok(found.try_collect().await?)
    }

    /// Removes an object, if it is there. Asks once.
    pub(super) async fn delete(&self, object: &ObjectPath) -> Result<()> {
        match self.objects.delete(object).await {
            Err(ObjectError::NotFound { .. }) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Removes all objects below a place. Asks once.
    pub(super) async fn delete_all(&self, place: &ObjectPath) -> Result<()> {
        for (object, _) in self.list(place).await? {
            self.delete(&object).await?;
        }
        Ok(())
    }
}

/// Fetches an object into a new file, which is there when it is whole; returns its SHA-256.
pub(super) async fn download(
    bucket: &Bucket,
    object: &ObjectPath,
    target: &Path,
    tell: Progress<'_>,
) -> Result<String> {
    let mut name = target.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(new).await?;
    let (mut chunks, mut digest) = (bucket.read(object, tell), Context::new(&SHA256));
    while let Some(chunk) = chunks.next().await? {
        digest.update(&chunk);
        file.write_all(&chunk).await?;
    }
    file.sync_all().await?;
    tokio::fs::rename(new, target).await?;
    Ok(hex(digest))
}

/// An object being read. When the storage fails, it goes on where it was.
pub(super) struct ObjectReader<'a> {
    bucket: &'a Bucket,
    object: &'a ObjectPath,
    tell: Progress<'a>,
    patience: Patience,
    chunks: Option<BoxStream<'static, object_store::Result<Bytes>>>,
    at: u64,
    length: Option<u64>,
}

impl ObjectReader<'_> {
    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.once().await {
                Ok(chunk) => {
                    self.at += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
                    self.patience = Patience::new(self.bucket.patience);
                    return Ok(chunk);
                }
                Err(error) => {
                    self.chunks = None;
                    self.patience.wait(error.into(), self.tell).await?;
                }
            }
        }
    }

    async fn once(&mut self) -> object_store::Result<Option<Bytes>> {
        if let Some(chunks) = &mut self.chunks {
            return chunks.try_next().await;
        }
        if self.length == Some(self.at) {
            return Ok(None);
        }
        let options = GetOptions {
            range: (self.at > 0).then_some(GetRange::Offset(self.at)),
            ..GetOptions::default()
        };
        let found = self.bucket.objects.get_opts(self.object, options).await?;
        self.length = Some(found.meta.size);
        let chunks = self.chunks.insert(found.into_stream().boxed());
        chunks.try_next().await
    }
}

/// For how long something is tried again.
struct Patience {
    left: Duration,
    pause: Duration,
    since: Option<Instant>,
}

impl Patience {
    const fn new(left: Duration) -> Self {
        Self {
            left,
            pause: FIRST_PAUSE,
            since: None,
        }
    }

    /// Waits until something that failed may be tried again.
    ///
    /// # Errors
    /// That of the failure, when another attempt is of no use or comes too late.
    async fn wait(&mut self, error: RemoteError, tell: Progress<'_>) -> Result<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let pause = match error {
            RemoteError::Failed(_) => self.pause(since.elapsed()),
            _ => None,
        };
        let Some(pause) = pause else {
            return Err(error);
        };
        tracing::warn!(%error, "the backup storage does not answer; it is tried again");
        tell(Told::Trouble);
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// How long to wait before another attempt, so long after the first one.
    fn pause(&mut self, elapsed: Duration) -> Option<Duration> {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        (elapsed + pause <= self.left).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_have_an_end() {
        let mut patience = Patience::new(Duration::from_secs(100));
        let (mut elapsed, mut pauses) = (Duration::ZERO, Vec::new());
        while let Some(pause) = patience.pause(elapsed) {
            elapsed += pause;
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(Patience::new(Duration::ZERO).pause(elapsed), None);
    }
}
