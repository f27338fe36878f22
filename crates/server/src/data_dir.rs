//! The data directory itself, and small files in it. That one process serves it at a time is
//! the store's business.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::ServeError;

/// Makes the data directory if there is none: mode 0711, so that nodes, which may run as
/// another user, can pass through it and nobody else can list it. An existing one keeps its
/// mode; opening it for nodes is the engine's business.
///
/// # Errors
/// [`ServeError::DataDir`] when it cannot be made.
pub(crate) fn prepare(path: &Path) -> Result<(), ServeError> {
    let refused = |reason| ServeError::DataDir {
        path: path.to_owned(),
        reason,
    };
    if !path.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(path)
            .map_err(refused)?;
    }
    if path.is_dir() {
        Ok(())
    } else {
        Err(refused(io::ErrorKind::NotADirectory.into()))
    }
}

/// Writes a file that only its owner may read, in one step: a reader sees the former content
/// or the new one, also after a crash.
///
/// # Errors
/// The operating system's reason.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = PathBuf::from(path).into_os_string();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    // A leftover of a crash may have another mode, which opening would keep.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("metadata").permissions().mode() & 0o7777
    }

    #[test]
    fn a_new_directory_can_be_passed_through_but_not_listed() {
        let parent = tempfile::tempdir().expect("tempdir");
        let dir = parent.path().join("a/b");
        prepare(&dir).expect("made");
        assert_eq!(mode(&dir), 0o711);
    }

    #[test]
    fn private_files_are_private() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("secret");
        std::fs::write(dir.path().join("secret.new"), "leftover").expect("write");
        for content in ["one", "two"] {
            write_private(&path, content.as_bytes()).expect("write");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), content);
            assert_eq!(mode(&path), 0o600);
        }
    }

    #[test]
    fn what_cannot_be_a_directory_is_said() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("write");
        let error = prepare(&file).expect_err("a file");
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains("file"), "{error}");
    }
}
