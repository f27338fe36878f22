//! What an archive has, for whoever keeps a copy of it elsewhere: finished files as they are, the
//! file that is being written in pieces, compressed and encrypted by themselves.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use openpeta_types::NodeId;

use super::archive::{self, LEVEL};
use crate::background::in_background;
use crate::engine::Engine;
use crate::error::{AtPath, EngineError, Result};
use crate::sealed::{BackupKeys, MaybeSealed, OpeningReader};

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCopy {
    /// Its number in the log.
    pub number: u64,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Whether it is the copy of a file that the server has finished.
    pub is_finished: bool,
}

impl Engine {
    /// The files of an archive, in order.
    ///
    /// # Errors
    /// A file error.
    pub fn log_copies(&self, archive: &Path) -> Result<Vec<LogCopy>> {
        archive::list(archive)
    }

    /// A piece of the file that is being written, compressed, and encrypted if there is a key;
    /// `None` when the file is not there any more, or is shorter.
    ///
    /// # Errors
    /// A file error.
    pub async fn log_piece(
        &self,
        node: &NodeId,
        copy: &LogCopy,
        from: u64,
        length: u64,
    ) -> Result<Option<Vec<u8>>> {
        let (path, keys) = (copy.path.clone(), self.backup_keys().clone());
        let lock = self.archive_locks().lock(node).await;
        in_background(move || {
            let text = read(&path, from, length)?;
            // The log is archived further while this is compressed.
            drop(lock);
            text.map(|text| compress(&text, &path, &keys)).transpose()
        })
        .await
    }

    /// Makes the copy of the file that a lost node was writing out of its pieces, in their order.
    ///
    /// # Errors
    /// [`EngineError::DamagedLog`], [`EngineError::NoKey`], a file error.
    pub async fn join_log_pieces(
        &self,
        archive: &Path,
        number: u64,
        pieces: Vec<PathBuf>,
    ) -> Result<()> {
        let (archive, keys) = (archive.to_owned(), self.backup_keys().clone());
        in_background(move || join(&archive, number, &pieces, &keys)).await
    }

    /// What the endings of pieces are, with the key that there is.
    #[must_use]
    pub fn piece_ending(&self) -> String {
        let mut ending = archive::COMPRESSED.to_owned();
        if self.backup_keys().current().is_some() {
            ending = format!("{ending}.{}", crate::sealed::ENDING);
        }
        ending
    }
}

/// Encrypts a file with the operator's key into another one, which must not exist.
///
/// # Errors
/// A file error, also when there is no key: it must not be anywhere in the clear.
pub fn seal_file(source: &Path, target: &Path, keys: &BackupKeys) -> Result<()> {
    if keys.current().is_none() {
        let missing = std::io::Error::other("there is no key");
        return Err(missing).at("encrypt", source);
    }
    let mut from = File::open(source).at("open", source)?;
    let file = create(target)?;
    let mut sealing = MaybeSealed::new(file, keys.current()).at("write", target)?;
    std::io::copy(&mut from, &mut sealing).at("encrypt", source)?;
    let file = sealing.finish().at("write", target)?;
    file.sync_all().at("sync", target)
}

/// Decrypts such a file.
///
/// # Errors
/// [`EngineError::DamagedSet`], [`EngineError::NoKey`], a file error.
pub fn open_file(source: &Path, target: &Path, keys: &BackupKeys) -> Result<()> {
    let from = std::io::BufReader::new(File::open(source).at("open", source)?);
    let mut opening = OpeningReader::open(from, keys).map_err(|failure| failure.at(source))?;
    let mut file = create(target)?;
    std::io::copy(&mut opening, &mut file).at("decrypt", source)?;
    file.sync_all().at("sync", target)
}

fn create(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .at("create", path)
}

/// So many bytes of a file; `None` when it does not have them.
fn read(path: &Path, from: u64, length: u64) -> Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.at("open", path)?,
    };
    file.seek(SeekFrom::Start(from)).at("read", path)?;
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text).at("read", path)?;
    Ok((text.len() as u64 == length).then_some(text))
}

fn compress(text: &[u8], path: &Path, keys: &BackupKeys) -> Result<Vec<u8>> {
    let target = MaybeSealed::new(Vec::new(), keys.current()).at("encrypt", path)?;
    let mut encoder = zstd::Encoder::new(target, LEVEL).at("compress", path)?;
    encoder.include_checksum(true).at("compress", path)?;
    encoder.write_all(text).at("compress", path)?;
    let sealing = encoder.finish().at("compress", path)?;
    sealing.finish().at("encrypt", path)
}

fn join(archive: &Path, number: u64, pieces: &[PathBuf], keys: &BackupKeys) -> Result<()> {
    let target = archive::raw_path(archive, number);
    let new = archive.join("joined.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .at("create", &new)?;
    for path in pieces {
        let mut source = archive::open(path, keys)?;
        let mut text = Vec::new();
        let result = source.read_to_end(&mut text);
        result.map_err(|_| EngineError::DamagedLog {
            path: path.clone(),
            offset: text.len() as u64,
            what: "cannot be decompressed",
        })?;
        file.write_all(&text).at("write", &new)?;
    }
    file.sync_all().at("sync", &new)?;
    fs::rename(&new, &target).at("rename", &new)?;
    crate::template::sync_dir(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_to_what_they_are_of() {
        let dir = tempfile::tempdir().expect("a directory");
        let text: Vec<u8> = (0..100_000_u32).map(|at| (at / 7) as u8).collect();
        let raw = archive::raw_path(dir.path(), 2);
        fs::write(&raw, &text).expect("ours");
        let keys = BackupKeys::default();
        let cuts = [0, 10_000, 10_001, 100_000_u64];
        let mut pieces = Vec::new();
        for at in cuts.windows(2) {
            let text = read(&raw, at[0], at[1] - at[0]).expect("readable");
            let piece = compress(&text.expect("it is so long"), &raw, &keys).expect("memory");
            let path = dir.path().join(format!("piece-{}.zst", at[0]));
            fs::write(&path, piece).expect("ours");
            pieces.push(path);
        }
        assert_eq!(read(&raw, 99_999, 2).expect("readable"), None);
        fs::remove_file(&raw).expect("ours");
        assert_eq!(read(&raw, 0, 1).expect("readable"), None);
        join(dir.path(), 2, &pieces, &keys).expect("whole");
        assert_eq!(fs::read(&raw).expect("there"), text);
        let listed = archive::list(dir.path()).expect("readable");
        assert_eq!((listed[0].number, listed[0].is_finished), (2, false));
        let cut = fs::read(&pieces[1]).expect("there");
        fs::write(&pieces[1], &cut[..cut.len() - 3]).expect("ours");
        assert!(join(dir.path(), 2, &pieces, &keys).is_err());
    }
}
