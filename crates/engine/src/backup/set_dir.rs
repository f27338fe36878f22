//! Backup sets on disk.
//!
//! A set is made in `<id>.new` and renamed when it is whole; it is renamed to `<id>.del` before
//! it is removed. So `<id>` is always a whole set, and the others are leftovers.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

use super::manifest::{BinlogPosition, DumpFile, Manifest};
use crate::error::{AtPath, EngineError, Result};
use crate::sealed::BackupKeys;
use crate::template::{remove, sync_dir};

/// The manifest's name in the directory of a set.
pub const MANIFEST: &str = "manifest.json";

/// Bytes read at once where a file is read for its digest alone.
const CHUNK: usize = 256 << 10;

/// Where the parts of a set are while it is being made.
pub(super) fn unfinished(set: &Path) -> PathBuf {
    with_ending(set, "new")
}

/// Makes the directory in which a set is made, without what an interrupted attempt left.
pub(super) fn begin(set: &Path) -> Result<PathBuf> {
    let new = unfinished(set);
    remove(&new)?;
    let parent = set.parent().unwrap_or(Path::new("/"));
    let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
    made.at("create", parent)?;
    DirBuilder::new()
        .mode(0o700)
        .create(&new)
        .at("create", &new)?;
    Ok(new)
}

/// Writes the manifest and gives the directory its name; what a former attempt finished is
/// replaced. Returns the manifest's length and SHA-256.
pub(super) fn finish(set: &Path, manifest: &Manifest, keys: &BackupKeys) -> Result<(u64, String)> {
    let new = unfinished(set);
    let written = write_manifest(&new, manifest, keys)?;
    sync_dir(&new)?;
    discard(set)?;
    fs::rename(&new, set).at("rename", &new)?;
    let parent = set.parent().unwrap_or(Path::new("/"));
    sync_dir(parent)?;
    // The directory above may be new as well.
    sync_dir(parent.parent().unwrap_or(Path::new("/")))?;
    Ok(written)
}

/// Writes a manifest into a directory; returns its length and SHA-256.
pub(super) fn write_manifest(
    dir: &Path,
    manifest: &Manifest,
    keys: &BackupKeys,
) -> Result<(u64, String)> {
    let path = dir.join(MANIFEST);
    let text = manifest.to_file(keys).at("encrypt", &path)?;
    let mut file = create_file(&path)?;
    file.write_all(&text).at("write", &path)?;
    file.sync_all().at("sync", &path)?;
    let mut digest = Context::new(&SHA256);
    digest.update(&text);
    Ok((text.len() as u64, hex(digest)))
}

/// Removes a set and its leftovers, and the directory above when it is the last one in there.
pub(super) fn destroy(set: &Path) -> Result<()> {
    remove_set(set)?;
    let parent = set.parent().unwrap_or(Path::new("/"));
    match fs::remove_dir(parent) {
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(error).at("remove", parent)
        }
        _ => Ok(()),
    }
}

/// Removes a set and its leftovers.
pub(super) fn remove_set(set: &Path) -> Result<()> {
    remove(&unfinished(set))?;
    discard(set)
}

fn discard(set: &Path) -> Result<()> {
    let del = with_ending(set, "del");
    remove(&del)?;
    match fs::rename(set, &del) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => {
            result.at("rename", set)?;
            remove(&del)
        }
    }
}

/// Reads the manifest of a set, after a check that it is the one that was written.
///
/// # Errors
/// [`EngineError::DamagedSet`] when it is not, or is of a form that is not known here;
/// [`EngineError::NoKey`].
pub(super) fn read_manifest(set: &Path, sha256: &str, keys: &BackupKeys) -> Result<Manifest> {
    let text = read_file(set, sha256)?;
    Manifest::from_file(&text, keys, &set.join(MANIFEST))
}

/// Makes sure that it is not an export in several files, which is imported and not restored.
pub(super) fn require_one_file(set: &Path, manifest: &Manifest) -> Result<()> {
    match manifest.files.is_empty() {
        true => Ok(()),
        false => Err(EngineError::DamagedSet {
            path: set.to_owned(),
            what: "is an export in several files, and no set".to_owned(),
        }),
    }
}

/// The manifest of a set that nothing is known of, after a check of its data against it.
///
/// # Errors
/// [`EngineError::DamagedSet`], [`EngineError::NoKey`], or a file error.
pub(crate) fn read_set(set: &Path, keys: &BackupKeys) -> Result<Manifest> {
    let path = set.join(MANIFEST);
    let text = fs::read(&path).at("read", &path)?;
    let manifest = Manifest::from_file(&text, keys, &path)?;
    check_dump(set, &manifest)?;
    Ok(manifest)
}

/// Where in the logs of its nodes a set was taken, after the same check. Needs no key.
///
/// # Errors
/// [`EngineError::DamagedSet`].
pub(super) fn read_positions(set: &Path, sha256: &str) -> Result<Vec<BinlogPosition>> {
    let text = read_file(set, sha256)?;
    Manifest::positions_in_file(&text).map_err(|error| EngineError::DamagedSet {
        path: set.join(MANIFEST),
        what: error.to_string(),
    })
}

/// The file of a manifest, if it is the one that was written.
fn read_file(set: &Path, sha256: &str) -> Result<Vec<u8>> {
    let path = set.join(MANIFEST);
    let damaged = |what: String| EngineError::DamagedSet {
        path: path.clone(),
        what,
    };
    let text = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(damaged("is not there".to_owned()));
        }
        result => result.at("read", &path)?,
    };
    let mut digest = Context::new(&SHA256);
    digest.update(&text);
    let found = hex(digest);
    if found != sha256 {
        return Err(damaged(format!("has the SHA-256 {found}, not {sha256}")));
    }
    Ok(text)
}

/// Checks length and digest of a set's data.
///
/// # Errors
/// [`EngineError::DamagedSet`] when one is not that of the manifest.
pub(super) fn check_dump(set: &Path, manifest: &Manifest) -> Result<()> {
    if manifest.files.is_empty() {
        return check_file(set, &manifest.dump);
    }
    manifest
        .files
        .iter()
        .try_for_each(|file| check_file(set, file))
}

fn check_file(set: &Path, expected: &DumpFile) -> Result<()> {
    let path = set.join(&expected.name);
    let damaged = |what: String| EngineError::DamagedSet {
        path: path.clone(),
        what,
    };
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(damaged("is not there".to_owned()));
        }
        result => result.at("open", &path)?,
    };
    let mut digest = Context::new(&SHA256);
    let mut length = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk).at("read", &path)?;
        if read == 0 {
            break;
        }
        length += read as u64;
        digest.update(&chunk[..read]);
    }
    if length != expected.bytes {
        let expected = expected.bytes;
        return Err(damaged(format!("has {length} bytes, not {expected}")));
    }
    let found = hex(digest);
    if found != expected.sha256 {
        let expected = &expected.sha256;
        return Err(damaged(format!("has the SHA-256 {found}, not {expected}")));
    }
    Ok(())
}

/// A new file that nobody else may read.
pub(super) fn create_file(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .at("create", path)
}

/// A digest in hexadecimal.
pub(super) fn hex(digest: Context) -> String {
    let digest = digest.finish();
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

/// The names below a directory of sets, each without its ending, sorted; none when the
/// directory does not exist.
pub(super) fn list(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.at("list", dir)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.at("list", dir)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
        names.push(stem.to_owned());
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}
