//! What can go wrong in the store, and which failure of SQLite means what.

use std::path::PathBuf;

use rusqlite::ErrorCode;
use thiserror::Error;

/// A failure of the store. None of the texts holds a secret; they are for the operator, a
/// client sees an internal error.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process serves from the same data directory.
    #[error("the data directory is in use by {}", match pid { Some(pid) => format!("process {pid}"), None => "another process".into() })]
    InUse {
        /// The other process, when it could be told.
        pid: Option<u32>,
    },
    /// The store exists but the key that its secrets are encrypted with does not.
    #[error("the store exists but its key {} is missing; put the key file back", path.display())]
    KeyMissing {
        /// Where the key is expected.
        path: PathBuf,
    },
    /// The key file does not hold 32 bytes.
    #[error("{} is not a store key", path.display())]
    KeyMalformed {
        /// The key file.
        path: PathBuf,
    },
    /// The key file is not the one with which the store was written.
    #[error(
        "a value in table {table} cannot be decrypted: the key file belongs to another store, or the value was changed"
    )]
    Undecryptable {
        /// The table that holds the value.
        table: &'static str,
    },
    /// The store was written by a later version of the program.
    #[error(
        "the store has schema {found}, this version knows up to {known}; use the newer version"
    )]
    NewerSchema {
        /// Schema of the store.
        found: u32,
        /// Latest schema that this version knows.
        known: u32,
    },
    /// A migration that was applied to the store is not the one that this version has.
    #[error(
        "migration {number} of the store differs from this version's; the store belongs to another build"
    )]
    MigrationChanged {
        /// Number of the migration.
        number: u32,
    },
    /// The data directory or the database file cannot be written.
    #[error("the store is read-only")]
    ReadOnly,
    /// No space is left; nothing was changed.
    #[error("the disk that holds the store is full")]
    DiskFull,
    /// The database file is damaged or no database.
    #[error("the store is damaged: {detail}")]
    Corrupt {
        /// What SQLite, or the reader of a row, said.
        detail: String,
    },
    /// A row with the same key exists, or a row that this one refers to does not.
    #[error("constraint: {constraint}")]
    Conflict {
        /// The violated rule, as SQLite names it: `UNIQUE constraint failed: tenants.name`.
        constraint: String,
    },
    /// The row to change does not exist.
    #[error("no such row in {table}")]
    NotFound {
        /// The table.
        table: &'static str,
    },
    /// A file operation failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Any other failure of SQLite.
    #[error("sqlite: {0}")]
    Sqlite(rusqlite::Error),
}

impl StoreError {
    /// Names the file that an I/O error is about, and tells the ones with a meaning of their own.
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull,
            std::io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Io {
                path: path.into(),
                source,
            },
        }
    }

    /// A row that holds what the types do not allow.
    pub(crate) fn bad_row(table: &'static str, column: usize) -> Self {
        Self::Corrupt {
            detail: format!("column {column} of a row of {table} holds no valid value"),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, text) = &error else {
            return Self::Sqlite(error);
        };
        let text = || text.clone().unwrap_or_else(|| failure.to_string());
        match failure.code {
            ErrorCode::DiskFull => Self::DiskFull,
            ErrorCode::ReadOnly => Self::ReadOnly,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                Self::Corrupt { detail: text() }
            }
            ErrorCode::ConstraintViolation => Self::Conflict { constraint: text() },
            _ => Self::Sqlite(error),
        }
    }
}
