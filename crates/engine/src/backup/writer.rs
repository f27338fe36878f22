//! The file of a set being written: text in, compressed and hashed on a thread of its own.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
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

/// Takes the text of a dump.
pub(super) struct DumpWriter {
    pub(super) buffer: Vec<u8>,
    sql_bytes: u64,
    name: String,
    chunks: mpsc::Sender<Chunk>,
    thread: Work<Option<(u64, String)>>,
    pace: Paced,
}

enum Chunk {
    Text(Vec<u8>),
    /// There is no more; without it the file is not whole.
    End,
}

impl DumpWriter {
    /// Makes the file; what is written to it is encrypted if there is a key.
    pub(super) fn create(dir: &Path, name: String, pace: Paced, keys: BackupKeys) -> Result<Self> {
        let path = dir.join(&name);
        let file = create_file(&path)?;
        let (chunks, queue) = mpsc::channel(QUEUE);
        let thread = background::begin(move || compress(file, path, queue, &keys))?;
        Ok(Self {
            buffer: Vec::with_capacity(CHUNK + CHUNK / 4),
            sql_bytes: 0,
            name,
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
        self.sql_bytes += self.buffer.len() as u64;
        let text = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK + CHUNK / 4));
        // The server waits meanwhile: it sends no more than is read.
        self.pace.pass(text.len()).await;
        // When the thread has ended, finishing tells why.
        let _ = self.chunks.send(Chunk::Text(text)).await;
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

    /// Writes the rest and waits until all is on disk.
    pub(super) async fn finish(mut self) -> Result<DumpFile> {
        self.flush().await?;
        let _ = self.chunks.send(Chunk::End).await;
        let (bytes, sha256) = self
            .thread
            .wait()
            .await?
            .expect("a thread that was told of the end reached it");
        Ok(DumpFile {
            name: self.name,
            bytes,
            sha256,
            sql_bytes: self.sql_bytes,
        })
    }

    /// Why the thread ended early.
    async fn failure(&mut self) -> Result<()> {
        self.thread.wait().await.map(drop)
    }
}

/// Compresses chunks into the file until the end; gives length and digest of the file, or
/// nothing when the chunks stopped coming.
fn compress(
    file: File,
    path: PathBuf,
    mut queue: mpsc::Receiver<Chunk>,
    keys: &BackupKeys,
) -> Result<Option<(u64, String)>> {
    let target = MaybeSealed::new(Hashing::new(file), keys.current()).at("write", &path)?;
    let mut encoder = zstd::Encoder::new(target, LEVEL).at("compress", &path)?;
    encoder.include_checksum(true).at("compress", &path)?;
    while let Some(chunk) = queue.blocking_recv() {
        match chunk {
            Chunk::Text(text) => {
                encoder.write_all(&text).at("write", &path)?;
            }
            Chunk::End => {
                let sealing = encoder.finish().at("write", &path)?;
                let written = sealing.finish().at("write", &path)?;
                return written.finish().at("sync", &path).map(Some);
            }
        }
    }
    Ok(None)
}

/// Writes a file and computes its digest.
pub(super) struct Hashing {
    file: File,
    digest: Context,
    bytes: u64,
}

impl Hashing {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            digest: Context::new(&SHA256),
            bytes: 0,
        }
    }

    /// Length and digest of what was written, which is on disk then.
    pub(super) fn finish(self) -> io::Result<(u64, String)> {
        self.file.sync_all()?;
        Ok((self.bytes, hex(self.digest)))
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
