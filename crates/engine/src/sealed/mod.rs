//! Encrypted files of backups. docs/backup.md describes the form, so that one can be read
//! without this program.
//!
//! A file has a key of its own, derived from the operator's key and a random salt. Its content is
//! encrypted in chunks, each with its number and whether it is the last one as the nonce (the
//! STREAM construction): chunks that were changed, moved, left out or cut off do not open.

mod keys;

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use ring::aead::{Aad, LessSafeKey, Nonce};
use ring::rand::{SecureRandom, SystemRandom};

pub use self::keys::BackupKeys;
pub(crate) use self::keys::{Key, KeyId};
use crate::error::{AtPath, EngineError, Result};

/// What encrypted files are called beside their names.
pub(crate) const ENDING: &str = "enc";

/// How they are encrypted, as manifests call it.
pub(crate) const METHOD: &str = "AES-256-GCM";

const MAGIC: &[u8; 16] = b"OPENPETA SEALED1";
const ID: usize = 8;
const SALT: usize = 32;
const HEADER: usize = MAGIC.len() + ID + SALT;
const TAG: usize = 16;
/// Plain bytes of a chunk at most.
const CHUNK: usize = 64 << 10;
/// In a chunk's length: there is no other one.
const LAST: u32 = 1 << 31;

/// What is common to all chunks of a file.
struct Sealing {
    key: LessSafeKey,
    header: [u8; HEADER],
    chunks: u64,
}

impl Sealing {
    /// The nonce of the next chunk.
    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.chunks.to_be_bytes());
        nonce[11] = u8::from(is_last);
        self.chunks += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Encrypts what is written to it. Without [`finish`](Self::finish), what it wrote does not open.
pub(crate) struct SealingWriter<W> {
    target: W,
    sealing: Sealing,
    chunk: Vec<u8>,
}

impl<W: Write> SealingWriter<W> {
    /// Begins a file.
    pub(crate) fn new(mut target: W, key: &Key) -> io::Result<Self> {
        let mut header = [0; HEADER];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[MAGIC.len()..][..ID].copy_from_slice(&key.id.0);
        let salt = &mut header[MAGIC.len() + ID..];
        let filled = SystemRandom::new().fill(salt);
        filled.map_err(|_| io::Error::other("the system has no random numbers"))?;
        let sealing = Sealing {
            key: key.of_file(salt),
            header,
            chunks: 0,
        };
        target.write_all(&header)?;
        Ok(Self {
            target,
            sealing,
            chunk: Vec::with_capacity(CHUNK + TAG),
        })
    }

    /// Writes the last chunk.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.target)
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.sealing.nonce(is_last);
        let (key, aad) = (&self.sealing.key, Aad::from(&self.sealing.header));
        let sealed = key.seal_in_place_append_tag(nonce, aad, &mut self.chunk);
        sealed.map_err(|_| io::Error::other("a chunk cannot be encrypted"))?;
        let length = u32::try_from(self.chunk.len()).expect("a chunk is small");
        let length = if is_last { length | LAST } else { length };
        self.target.write_all(&length.to_be_bytes())?;
        self.target.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits: it may be the last one.
        if self.chunk.len() == CHUNK && !bytes.is_empty() {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

/// Decrypts what it reads. It gives nothing that was not proven to be what was written, and ends
/// without an error only where the file did.
pub(crate) struct OpeningReader<R> {
    source: R,
    sealing: Sealing,
    chunk: Vec<u8>,
    /// Bytes of the chunk that were given.
    given: usize,
    is_over: bool,
}

/// Why a file cannot be decrypted.
#[derive(Debug)]
pub(crate) enum OpenFailure {
    /// It cannot be read.
    Io(io::Error),
    /// It does not begin as an encrypted file.
    NotSealed,
    /// It was encrypted with a key that is not there.
    NoKey(KeyId),
}

impl From<io::Error> for OpenFailure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl OpenFailure {
    /// The same of a file at a path.
    pub(crate) fn at(self, path: &Path) -> EngineError {
        let path = path.to_owned();
        match self {
            Self::Io(source) => EngineError::Io {
                action: "read",
                path,
                source,
            },
            Self::NotSealed => EngineError::NotEncrypted { path },
            Self::NoKey(key_id) => EngineError::NoKey {
                path,
                key_id: key_id.to_string(),
            },
        }
    }
}

impl<R: Read> OpeningReader<R> {
    /// Reads the header.
    pub(crate) fn open(mut source: R, keys: &BackupKeys) -> std::result::Result<Self, OpenFailure> {
        let mut header = [0; HEADER];
        match source.read_exact(&mut header) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(OpenFailure::NotSealed);
            }
            result => result?,
        }
        let (magic, rest) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(OpenFailure::NotSealed);
        }
        let (id, salt) = rest.split_at(ID);
        let id = KeyId(id.try_into().expect("split there"));
        let key = keys.find(id).ok_or(OpenFailure::NoKey(id))?;
        let sealing = Sealing {
            key: key.of_file(salt),
            header,
            chunks: 0,
        };
        Ok(Self {
            source,
            sealing,
            chunk: Vec::with_capacity(CHUNK + TAG),
            given: 0,
            is_over: false,
        })
    }

    /// Reads the next chunk.
    fn next(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let length = u32::from_be_bytes(length);
        let is_last = length & LAST != 0;
        let length = (length & !LAST) as usize;
        if !(TAG..=CHUNK + TAG).contains(&length) {
            return Err(invalid("has a chunk that is no chunk"));
        }
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.resize(length, 0);
        self.fill(&mut chunk)?;
        let nonce = self.sealing.nonce(is_last);
        let (key, aad) = (&self.sealing.key, Aad::from(&self.sealing.header));
        let opened = key.open_in_place(nonce, aad, &mut chunk);
        let length = opened.map_err(|_| invalid("was changed"))?.len();
        chunk.truncate(length);
        (self.chunk, self.given, self.is_over) = (chunk, 0, is_last);
        if is_last && self.source.read(&mut [0])? != 0 {
            return Err(invalid("goes on after its end"));
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        match self.source.read_exact(bytes) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(invalid("was cut off")),
            result => result,
        }
    }
}

impl<R: Read> Read for OpeningReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.given == self.chunk.len() && !self.is_over && !bytes.is_empty() {
            self.next()?;
        }
        let rest = &self.chunk[self.given..];
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        self.given += length;
        Ok(length)
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// A file that may be encrypted.
pub(crate) enum MaybeSealed<W: Write> {
    Plain(W),
    Sealed(Box<SealingWriter<W>>),
}

impl<W: Write> MaybeSealed<W> {
    /// Encrypts if there is a key.
    pub(crate) fn new(target: W, key: Option<&Key>) -> io::Result<Self> {
        Ok(match key {
            None => Self::Plain(target),
            Some(key) => Self::Sealed(Box::new(SealingWriter::new(target, key)?)),
        })
    }

    /// Writes what is left.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(target) => Ok(target),
            Self::Sealed(sealing) => sealing.finish(),
        }
    }
}

impl<W: Write> Write for MaybeSealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(target) => target.write(bytes),
            Self::Sealed(sealing) => sealing.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(target) => target.flush(),
            Self::Sealed(sealing) => sealing.flush(),
        }
    }
}

/// Encrypts a few bytes.
pub(crate) fn seal(bytes: &[u8], key: &Key) -> io::Result<Vec<u8>> {
    let mut writer = SealingWriter::new(Vec::new(), key)?;
    writer.write_all(bytes)?;
    writer.finish()
}

/// Decrypts a few bytes that a file has.
pub(crate) fn open(sealed: &[u8], keys: &BackupKeys, path: &Path) -> Result<Vec<u8>> {
    let mut reader = OpeningReader::open(sealed, keys).map_err(|failure| failure.at(path))?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).at("decrypt", path)?;
    Ok(bytes)
}

impl<W> fmt::Debug for SealingWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingWriter").finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for OpeningReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpeningReader").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
