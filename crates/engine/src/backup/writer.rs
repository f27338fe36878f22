//! The files of a set or export being written: text in, compressed and hashed on a thread of its own.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use openpeta_types::Compression;
use ring::digest::{Context, SHA256};
use rustix::fs::{Advice, fadvise};
use tokio::sync::mpsc;

use super::manifest::DumpFile;
use super::pace::Paced;
use super::set_dir::{create_file, hex};
use crate::background::{self, Work};
use crate::error::{AtPath, Result};
use crate::sealed::{BackupKeys, MaybeSealed};

/// Text that is handed to the thread at once.
const CHUNK: usize = 512 << 10;
/// Chunks that may wait for the thread.
const QUEUE: usize = 4;
/// Zstandard's own default: about as quick as a disk.
const LEVEL: i32 = 3;
/// Bytes of a file after which what lies before them is let go of.
const WINDOW: u64 = 8 << 20;
/// gzip's own default.
const GZIP_LEVEL: u32 = 6;

/// Takes the text of a dump.
pub(super) struct DumpWriter {
    pub(super) buffer: Vec<u8>,
    /// The files that were begun, the last one being written. Digests come in the end.
    files: Vec<DumpFile>,
    compression: Compression,
    chunks: mpsc::Sender<Chunk>,
    thread: Work<Option<Vec<(u64, String)>>>,
    pace: Paced,
}

enum Chunk {
    Text(Vec<u8>),
    /// What follows is in another file.
    Next(String, Compression),
    /// There is no more; without it the file is not whole.
    End,
}

/// Where the text goes.
enum Place {
    /// Into files of a directory, encrypted if there is a key.
    Dir(PathBuf, BackupKeys),
    /// To somebody who takes it as it comes.
    Stream,
}

impl DumpWriter {
    /// Makes the file of a set; what is written to it is encrypted if there is a key.
    pub(super) fn create(dir: &Path, name: String, pace: Paced, keys: BackupKeys) -> Result<Self> {
        Self::create_as(dir, name, Compression::Zstd, pace, keys)
    }

    /// Makes the first file of an export.
    pub(super) fn create_as(
        dir: &Path,
        name: String,
        compression: Compression,
        pace: Paced,
        keys: BackupKeys,
    ) -> Result<Self> {
        let file = Output::File(create_file(&dir.join(&name))?);
        let place = Place::Dir(dir.to_owned(), keys);
        Self::begin(place, (name, file), compression, pace)
    }

    /// Hands what is written to somebody, who is too slow for a disk or too quick.
    pub(super) fn stream(
        sink: mpsc::Sender<Vec<u8>>,
        compression: Compression,
        pace: Paced,
    ) -> Result<Self> {
        let name = "the stream".to_owned();
        Self::begin(
            Place::Stream,
            (name, Output::Stream(sink)),
            compression,
            pace,
        )
    }

    fn begin(
        place: Place,
        (name, output): (String, Output),
        compression: Compression,
        pace: Paced,
    ) -> Result<Self> {
        let (chunks, queue) = mpsc::channel(QUEUE);
        let first = (name.clone(), output, compression);
        let thread = background::begin(move || compress(&place, first, queue))?;
        Ok(Self {
            buffer: Vec::with_capacity(CHUNK + CHUNK / 4),
            files: vec![begun(name)],
            compression,
            chunks,
            thread,
            pace,
        })
    }

    /// Whether there is enough in the buffer to hand it over.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= CHUNK
    }

    /// Hands over what is in the buffer when that is enough.
    pub(super) async fn flush_if_full(&mut self) -> Result<()> {
        if self.is_full() {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        if let Some(file) = self.files.last_mut() {
            file.sql_bytes += self.buffer.len() as u64;
        }
        let text = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK + CHUNK / 4));
        // The server waits meanwhile: it sends no more than is read.
        self.pace.pass(text.len()).await;
        self.send(Chunk::Text(text)).await
    }

    async fn send(&mut self, chunk: Chunk) -> Result<()> {
        // When the thread has ended, finishing tells why.
        let _ = self.chunks.send(chunk).await;
        if self.chunks.is_closed() {
            return self.failure().await;
        }
        Ok(())
    }

    /// Writes text.
    pub(super) async fn write(&mut self, text: &str) -> Result<()> {
        self.buffer.extend_from_slice(text.as_bytes());
        self.flush_if_full().await
    }

    /// Ends the file that is being written, and begins another one.
    pub(super) async fn next_file(&mut self, name: &str) -> Result<()> {
        let name = format!("{name}{}", self.compression.ending());
        self.begin_file(name, self.compression).await
    }

    /// The same with one that is not compressed.
    pub(super) async fn next_plain_file(&mut self, name: &str) -> Result<()> {
        self.begin_file(name.to_owned(), Compression::None).await
    }

    async fn begin_file(&mut self, name: String, compression: Compression) -> Result<()> {
        self.flush().await?;
        self.files.push(begun(name.clone()));
        self.send(Chunk::Next(name, compression)).await
    }

    /// Bytes of text in the file that is being written.
    pub(super) fn file_bytes(&self) -> u64 {
        let before = self.files.last().map_or(0, |file| file.sql_bytes);
        before + self.buffer.len() as u64
    }

    /// Writes the rest and waits until all of a single file is on disk.
    pub(super) async fn finish(self) -> Result<DumpFile> {
        let mut files = self.finish_files().await?;
        Ok(files.pop().expect("one was begun"))
    }

    /// Writes the rest and waits until all files are on disk, in the order in which they were begun.
    pub(super) async fn finish_files(mut self) -> Result<Vec<DumpFile>> {
        self.flush().await?;
        let _ = self.chunks.send(Chunk::End).await;
        let written = self
            .thread
            .wait()
            .await?
            .expect("a thread that was told of the end reached it");
        let files = self.files.into_iter().zip(written);
        let whole = files.map(|(file, (bytes, sha256))| DumpFile {
            bytes,
            sha256,
            ..file
        });
        Ok(whole.collect())
    }

    /// Why the thread ended early.
    async fn failure(&mut self) -> Result<()> {
        self.thread.wait().await.map(drop)
    }
}

fn begun(name: String) -> DumpFile {
    DumpFile {
        name,
        ..DumpFile::default()
    }
}

/// Compresses chunks into files until the end; gives length and digest of each, or nothing when the
/// chunks stopped coming.
fn compress(
    place: &Place,
    (name, output, compression): (String, Output, Compression),
    mut queue: mpsc::Receiver<Chunk>,
) -> Result<Option<Vec<(u64, String)>>> {
    let mut written = Vec::new();
    let (mut path, mut encoder) = place.encoder(&name, output, compression)?;
    while let Some(chunk) = queue.blocking_recv() {
        match chunk {
            Chunk::Text(text) => {
                encoder.write_all(&text).at("write", &path)?;
            }
            Chunk::Next(name, compression) => {
                written.push(encoder.finish().at("write", &path)?);
                let Place::Dir(dir, _) = place else {
                    let several = io::Error::other("a stream is one file");
                    return Err(several).at("begin", Path::new(&name));
                };
                let output = Output::File(create_file(&dir.join(&name))?);
                (path, encoder) = place.encoder(&name, output, compression)?;
            }
            Chunk::End => {
                written.push(encoder.finish().at("write", &path)?);
                return Ok(Some(written));
            }
        }
    }
    Ok(None)
}

impl Place {
    fn encoder(
        &self,
        name: &str,
        output: Output,
        compression: Compression,
    ) -> Result<(PathBuf, Encoder)> {
        let (path, key) = match self {
            Self::Dir(dir, keys) => (dir.join(name), keys.current()),
            Self::Stream => (name.into(), None),
        };
        let target = MaybeSealed::new(Hashing::of(output), key).at("write", &path)?;
        let encoder = Encoder::new(target, compression).at("compress", &path)?;
        Ok((path, encoder))
    }
}

type Target = MaybeSealed<Hashing>;

/// Compresses what is written to it.
enum Encoder {
    Zstd(zstd::Encoder<'static, Target>),
    Gzip(flate2::write::GzEncoder<Target>),
    Plain(Target),
}

impl Encoder {
    fn new(target: Target, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(target, LEVEL)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
            Compression::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Self::Gzip(flate2::write::GzEncoder::new(target, level))
            }
            Compression::None => Self::Plain(target),
        })
    }

    fn write_all(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.write_all(text),
            Self::Gzip(encoder) => encoder.write_all(text),
            Self::Plain(target) => target.write_all(text),
        }
    }

    /// Length and digest of what was written, which is on disk then.
    fn finish(self) -> io::Result<(u64, String)> {
        let target = match self {
            Self::Zstd(encoder) => encoder.finish()?,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Plain(target) => target,
        };
        target.finish()?.finish()
    }
}

/// What takes the bytes in the end.
enum Output {
    File(File),
    Stream(mpsc::Sender<Vec<u8>>),
}

/// Writes a file and computes its digest.
pub(super) struct Hashing {
    output: Output,
    digest: Context,
    bytes: u64,
    /// As far as it was let go of.
    let_go: u64,
}

impl Hashing {
    pub(super) fn new(file: File) -> Self {
        Self::of(Output::File(file))
    }

    fn of(output: Output) -> Self {
        Self {
            output,
            digest: Context::new(&SHA256),
            bytes: 0,
            let_go: 0,
        }
    }

    /// Length and digest of what was written, which is on disk then.
    pub(super) fn finish(self) -> io::Result<(u64, String)> {
        if let Output::File(file) = &self.output {
            file.sync_all()?;
        }
        Ok((self.bytes, hex(self.digest)))
    }
}

impl Hashing {
    /// Has what was written go to the disk here and now, so that clients do not have to wait for all of
    /// it in the end; what is there is kept in memory no longer, which they have use for.
    fn let_go(&mut self) {
        let Output::File(file) = &self.output else {
            return;
        };
        if self.bytes < self.let_go + WINDOW {
            return;
        }
        // What was begun to be written the last time is on disk by now.
        let begin = self.let_go.saturating_sub(WINDOW);
        // Only memory is at stake.
        let _ = fadvise(
            file,
            begin,
            NonZeroU64::new(self.bytes - begin),
            Advice::DontNeed,
        );
        self.let_go = self.bytes;
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.output {
            Output::File(file) => file.write(bytes)?,
            Output::Stream(sink) => {
                let sent = sink.blocking_send(bytes.to_vec());
                sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
                bytes.len()
            }
        };
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        self.let_go();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.output {
            Output::File(file) => file.flush(),
            Output::Stream(_) => Ok(()),
        }
    }
}
