//! Encrypted backups made readable without the service: all that is needed is the key.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::manifest::{DumpFile, Manifest, PLAIN, PLAIN_FILES, PLAIN_SPREAD};
use super::set_dir::{self, MANIFEST, create_file};
use super::writer::Hashing;
use super::{DUMP, physical};
use crate::error::{AtPath, EngineError, Result};
use crate::sealed::{BackupKeys, OpeningReader};
use crate::template::{remove, sync_dir};

/// Decrypts a backup set, or one file of an archived log, to a path that does not exist yet.
/// What is there afterwards is whole: a set as it would have been without encryption. Returns how
/// many bytes its data file has.
///
/// # Errors
/// [`EngineError::NoKey`], [`EngineError::NotEncrypted`], [`EngineError::DamagedSet`]; a file
/// error.
pub fn decrypt_backup(keys: &BackupKeys, source: &Path, target: &Path) -> Result<u64> {
    if target.symlink_metadata().is_ok() {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists)).at("create", target);
    }
    let decrypted = match source.is_dir() {
        true => decrypt_set(keys, source, target),
        false => decrypt_file(keys, source, target).map(|(bytes, _)| bytes),
    };
    if decrypted.is_err() {
        match source.is_dir() {
            true => remove(target)?,
            // It may not have been made.
            false => drop(fs::remove_file(target)),
        }
    }
    decrypted
}

fn decrypt_set(keys: &BackupKeys, source: &Path, target: &Path) -> Result<u64> {
    let path = source.join(MANIFEST);
    let text = fs::read(&path).at("read", &path)?;
    let manifest = Manifest::from_file(&text, keys, &path)?;
    if manifest.encryption.is_none() {
        return Err(EngineError::NotEncrypted { path });
    }
    set_dir::check_dump(source, &manifest)?;
    let made = DirBuilder::new().mode(0o700).create(target);
    made.at("create", target)?;
    let data = source.join(&manifest.dump.name);
    let (name, format) = match (&manifest.physical, &manifest.spread) {
        (None, None) => (DUMP, PLAIN),
        (None, Some(_)) => (DUMP, PLAIN_SPREAD),
        (Some(_), _) => (physical::STREAM, PLAIN_FILES),
    };
    let (bytes, sha256) = decrypt_file(keys, &data, &target.join(name))?;
    let manifest = Manifest {
        format,
        encryption: None,
        dump: DumpFile {
            name: name.to_owned(),
            bytes,
            sha256,
            ..manifest.dump
        },
        ..manifest
    };
    set_dir::write_manifest(target, &manifest, &BackupKeys::default())?;
    sync_dir(target)?;
    Ok(bytes)
}

/// Returns length and SHA-256 of what is written.
fn decrypt_file(keys: &BackupKeys, source: &Path, target: &Path) -> Result<(u64, String)> {
    let file = File::open(source).at("open", source)?;
    let opened = OpeningReader::open(BufReader::with_capacity(256 << 10, file), keys);
    let mut plain = opened.map_err(|failure| failure.at(source))?;
    let mut hashing = Hashing::new(create_file(target)?);
    io::copy(&mut plain, &mut hashing).at("decrypt", source)?;
    hashing.finish().at("write", target)
}
