//! A copy of the whole store, taken while it is in use.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};

use crate::column::P;
use crate::migrate::MIGRATIONS;
use crate::{Store, StoreError, Writer, open};

/// The schema that this version writes.
#[must_use]
pub fn schema_version() -> u32 {
    u32::try_from(MIGRATIONS.len()).expect("migrations are few")
}

impl Store {
    /// Writes what the last commit left into a new database file that only its owner may read. It
    /// is one state of the store; nobody waits for it. The key is another file.
    ///
    /// # Errors
    /// [`StoreError::Io`] when there is such a file; [`StoreError::Corrupt`] when the copy is not
    /// a sound database; others as the files fail.
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        // SQLite takes an empty file as it is, with its mode.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| StoreError::io(path, error))?;
        // A connection of its own: those of readers are for reads that take microseconds.
        let source = open::open_reader(self.data_dir())?;
        source.execute("VACUUM INTO ?", [path.to_string_lossy()])?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let copy = Connection::open_with_flags(path, flags)?;
        let verdict: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        match verdict.as_str() {
            "ok" => Ok(()),
            _ => Err(StoreError::Corrupt { detail: verdict }),
        }
    }
}

impl Writer<'_> {
    /// Leaves a gap in all numbers that are handed out one after the other, so that none is used
    /// twice which a lost later state of the store may have handed out.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn skip_numbers(&self, gap: u32) -> Result<(), StoreError> {
        self.execute("UPDATE sqlite_sequence SET seq = seq + ?", params![P(&gap)])?;
        Ok(())
    }
}
