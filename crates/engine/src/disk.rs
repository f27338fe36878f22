//! What a node takes of disk and memory.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{AtPath, Result};

/// Disk space of a node in bytes, as allocated by the file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Tables, indexes and undo: what the users' data takes.
    pub data_bytes: u64,
    /// Binary logs.
    pub binlog_bytes: u64,
    /// Redo logs, temporary files, error and slow logs.
    pub other_bytes: u64,
    /// Temporary tables and files that have a name: a part of the others.
    pub temporary_bytes: u64,
}

impl DiskUsage {
    /// All of it.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.data_bytes + self.binlog_bytes + self.other_bytes
    }
}

/// What lies in a node's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeDisk {
    /// All of it, by kind.
    pub usage: DiskUsage,
    /// Of the data, bytes of each database: by the name of its directory, which is the database's
    /// name for names that the API allows. The server's own schemas are left out.
    pub databases: BTreeMap<String, u64>,
}

/// Measures directories of nodes.
///
/// The server's own schemas have ten times as many files as an idle node has besides, and hardly
/// ever change: what they take is remembered for [`REMEMBERED`].
#[derive(Debug, Default)]
pub(crate) struct DiskGauge {
    schemas: Mutex<HashMap<PathBuf, (u64, Instant)>>,
}

/// How long it is remembered what the server's own schemas of a node take.
const REMEMBERED: Duration = Duration::from_secs(600);

impl DiskGauge {
    /// Measures a node's directory. Files that vanish while it looks count as nothing.
    pub(crate) fn measure(&self, node_dir: &Path) -> Result<NodeDisk> {
        let known = self.schemas(node_dir);
        let (disk, schemas) = measure(node_dir, known).at("measure", node_dir)?;
        if known.is_none() {
            let mut remembered = lock(&self.schemas);
            remembered.retain(|_, (_, at)| at.elapsed() < REMEMBERED);
            remembered.insert(node_dir.to_owned(), (schemas, Instant::now()));
        }
        Ok(disk)
    }

    /// What the server's own schemas take, if that was measured lately.
    fn schemas(&self, node_dir: &Path) -> Option<u64> {
        let remembered = lock(&self.schemas);
        let (bytes, at) = remembered.get(node_dir)?;
        (at.elapsed() < REMEMBERED).then_some(*bytes)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the server's own schemas apart; they are not looked into when they are known.
fn measure(node_dir: &Path, schemas: Option<u64>) -> io::Result<(NodeDisk, u64)> {
    let mut disk = NodeDisk::default();
    let mut measured_schemas = 0;
    each_entry(node_dir, &mut |entry| {
        let usage = &mut disk.usage;
        match entry.file_name().to_str() {
            Some("binlog") => usage.binlog_bytes += tree_bytes(entry)?,
            Some("data") => {
                usage.data_bytes += own_bytes(entry)?;
                each_entry(&entry.path(), &mut |entry| match kind_of(entry) {
                    Kind::ServersSchema if schemas.is_some() => Ok(()),
                    Kind::ServersSchema => {
                        measured_schemas += tree_bytes(entry)?;
                        Ok(())
                    }
                    kind => add(&mut disk, entry, kind),
                })?;
            }
            Some("tmp") => {
                let bytes = tree_bytes(entry)?;
                usage.other_bytes += bytes;
                usage.temporary_bytes += bytes.saturating_sub(own_bytes(entry)?);
            }
            _ => usage.other_bytes += tree_bytes(entry)?,
        }
        Ok(())
    })?;
    let schemas = schemas.unwrap_or(measured_schemas);
    disk.usage.data_bytes += schemas;
    Ok((disk, schemas))
}

/// What an entry of the server's data directory is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    ServersSchema,
    TemporaryTables,
    Log,
    Data,
}

fn kind_of(entry: &DirEntry) -> Kind {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    if SERVERS_SCHEMAS.contains(&&*name) {
        Kind::ServersSchema
    } else if name.starts_with("ibtmp") {
        Kind::TemporaryTables
    } else if LOGS.iter().any(|prefix| name.starts_with(prefix)) {
        Kind::Log
    } else {
        Kind::Data
    }
}

/// Adds an entry of the server's data directory.
fn add(disk: &mut NodeDisk, entry: &DirEntry, kind: Kind) -> io::Result<()> {
    let bytes = tree_bytes(entry)?;
    let usage = &mut disk.usage;
    match kind {
        Kind::TemporaryTables => {
            usage.other_bytes += bytes;
            usage.temporary_bytes += bytes;
        }
        Kind::Log => usage.other_bytes += bytes,
        Kind::Data | Kind::ServersSchema => {
            usage.data_bytes += bytes;
            if entry.file_type()?.is_dir()
                && let Some(name) = entry.file_name().to_str()
            {
                disk.databases.insert(name.to_owned(), bytes);
            }
        }
    }
    Ok(())
}

const SERVERS_SCHEMAS: [&str; 3] = ["mysql", "performance_schema", "sys"];

/// How the names of the server's own logs and intermediate files begin.
const LOGS: [&str; 3] = ["ib_logfile", "aria_log", "#"];

/// What an entry takes itself, without what lies in it.
fn own_bytes(entry: &DirEntry) -> io::Result<u64> {
    Ok(entry.metadata()?.blocks() * 512)
}

fn tree_bytes(entry: &DirEntry) -> io::Result<u64> {
    let meta = entry.metadata()?;
    let mut bytes = meta.blocks() * 512;
    if meta.is_dir() {
        each_entry(&entry.path(), &mut |child| {
            bytes += tree_bytes(child)?;
            Ok(())
        })?;
    }
    Ok(bytes)
}

/// Calls `visit` for the entries of a directory; what no longer exists is passed over.
fn each_entry(dir: &Path, visit: &mut dyn FnMut(&DirEntry) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        match entry.and_then(|entry| visit(&entry)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_where_they_belong() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let node = dir.path();
        for sub in ["data/adb", "data/mysql", "binlog", "tmp"] {
            fs::create_dir_all(node.join(sub)).expect("create");
        }
        let kib = |count: usize| vec![1; count << 10];
        fs::write(node.join("data/adb/t.ibd"), kib(256)).expect("write");
        fs::write(node.join("data/mysql/user.MAD"), kib(16)).expect("write");
        fs::write(node.join("data/ibdata1"), kib(128)).expect("write");
        fs::write(node.join("data/ib_logfile0"), kib(512)).expect("write");
        fs::write(node.join("binlog/bin.000001"), kib(64)).expect("write");
        fs::write(node.join("error.log"), kib(32)).expect("write");
        fs::write(node.join("data/ibtmp1"), kib(128)).expect("write");
        fs::write(node.join("tmp/#sql-temptable-1.MAD"), kib(64)).expect("write");

        let gauge = DiskGauge::default();
        let NodeDisk { usage, databases } = gauge.measure(node).expect("measured");
        let within = |bytes: u64, kib: u64| (kib << 10..(kib + 40) << 10).contains(&bytes);
        assert!(within(usage.data_bytes, 256 + 128 + 16), "{usage:?}");
        assert!(within(usage.binlog_bytes, 64), "{usage:?}");
        assert!(within(usage.other_bytes, 512 + 32 + 128 + 64), "{usage:?}");
        assert!(within(usage.temporary_bytes, 128 + 64), "{usage:?}");
        assert_eq!(databases.keys().collect::<Vec<_>>(), ["adb"]);
        assert!(within(databases["adb"], 256), "{databases:?}");

        // What the server's own schemas take is remembered; all else is looked at each time.
        fs::write(node.join("data/mysql/user.MAD"), kib(64)).expect("write");
        fs::write(node.join("data/adb/u.ibd"), kib(64)).expect("write");
        let again = gauge.measure(node).expect("measured");
        assert!(within(again.databases["adb"], 256 + 64), "{again:?}");
        let grown = again.usage.data_bytes - usage.data_bytes;
        assert!(within(grown, 64), "{grown}");
        let fresh = DiskGauge::default().measure(node).expect("measured");
        let late = fresh.usage.data_bytes - again.usage.data_bytes;
        assert!((1..=64 << 10).contains(&late), "{late}");
    }

    #[test]
    fn a_missing_node_is_an_error() {
        let gauge = DiskGauge::default();
        assert!(gauge.measure(Path::new("/nonexistent/node")).is_err());
    }
}
