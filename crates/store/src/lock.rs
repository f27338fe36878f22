//! The lock of a data directory: who has it may write to the store.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::open::unwritable;

/// The lock of a data directory against other processes. It is held until every copy of its
/// descriptor is closed; so a process can give it to another without a moment in which it is free.
#[derive(Debug)]
pub struct DirLock {
    file: File,
    path: PathBuf,
}

impl DirLock {
    /// Takes the lock. The directory must exist.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::ReadOnly`], [`StoreError::Io`].
    pub fn take(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join("lock");
        // The file itself stays when the process ends: removing it would let two processes hold a
        // lock on two files of the same name.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| unwritable(&path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(StoreError::InUse { pid });
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::io(path, error)),
        }
        let lock = Self { file, path };
        lock.sign()?;
        Ok(lock)
    }

    /// The lock that another process holds and has sent a copy of. That process says when this one
    /// may use the store.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when it is not the lock of this directory.
    pub fn adopt(data_dir: &Path, fd: OwnedFd) -> Result<Self, StoreError> {
        let path = data_dir.join("lock");
        let file = File::from(fd);
        let failed = |error| StoreError::io(path.clone(), error);
        let sent = file.metadata().map_err(failed)?;
        let own = std::fs::metadata(&path).map_err(failed)?;
        if (sent.dev(), sent.ino()) != (own.dev(), own.ino()) {
            return Err(StoreError::InUse { pid: None });
        }
        // Succeeds at once for the one who has it.
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { pid: None }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Writes this process's number into the file, for whoever finds it locked.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn sign(&self) -> Result<(), StoreError> {
        let mut file = &self.file;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|error| StoreError::io(self.path.clone(), error))
    }
}

impl AsFd for DirLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
