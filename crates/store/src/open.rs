//! Opening the files of a store: lock, key, database.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::StoreError;
use crate::migrate::{MIGRATIONS, migrate};
use crate::seal::Sealer;

/// Statements that a connection keeps prepared; more than the crate has.
const CACHED_STATEMENTS: usize = 256;
/// How much of the database file is mapped into memory, in bytes. Lists are half as fast
/// without.
const MAPPED_BYTES: u64 = 1 << 30;
/// The write-ahead log is cut back to this size, in bytes, after a checkpoint.
const JOURNAL_LIMIT: u64 = 64 << 20;

/// Where the database is.
pub(crate) fn database_path(data_dir: &Path) -> PathBuf {
    data_dir.join("store.sqlite3")
}

/// Opens the database for writing, made or brought up to date if need be, and the key.
pub(crate) fn open_writer(data_dir: &Path) -> Result<(Connection, Sealer), StoreError> {
    let path = database_path(data_dir);
    // A file of no bytes was left by a crash in the first start: nothing is in it.
    let is_new = fs::metadata(&path).map_or(true, |metadata| metadata.len() == 0);
    let sealer = Sealer::load(&data_dir.join("store.key"), is_new)?;
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| unwritable(&path, error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&path, flags)?;
    configure(&connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_LIMIT.cast_signed())?;
    connection.pragma_update(None, "foreign_keys", true)?;
    migrate(&mut connection, MIGRATIONS)?;
    Ok((connection, sealer))
}

/// Opens the database for reading; a writer must be open.
pub(crate) fn open_reader(data_dir: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database_path(data_dir), flags)?;
    configure(&connection)?;
    Ok(connection)
}

/// What reading and writing connections have in common.
fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(Duration::from_secs(5))?;
    // Without the stability guarantee cached statements are planned anew as statistics change.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.pragma_update(None, "mmap_size", MAPPED_BYTES.cast_signed())?;
    Ok(())
}

/// A directory or file that may not be written is a read-only store.
pub(crate) fn unwritable(path: &Path, error: std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => StoreError::ReadOnly,
        _ => StoreError::io(path, error),
    }
}
