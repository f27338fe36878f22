//! What a node takes of disk and memory.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
    /// Temporary tables and files: a part of the others, and files that are open and have no name
    /// any more, as those of large sorts, which are no part of them.
    pub temporary_bytes: u64,
}

impl DiskUsage {
    /// All of it.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.data_bytes + self.binlog_bytes + self.other_bytes
    }
}

/// Measures a node's directory. Files that vanish while it looks count as nothing.
pub(crate) fn usage(node_dir: &Path) -> Result<DiskUsage> {
    let mut usage = DiskUsage::default();
    each_entry(node_dir, &mut |entry| {
        let bytes = tree_bytes(entry)?;
        match entry.file_name().to_str() {
            Some("binlog") => usage.binlog_bytes += bytes,
            Some("data") => {
                let other = bytes_of(&entry.path(), &OWN_FILES)?;
                usage.data_bytes += bytes.saturating_sub(other);
                usage.other_bytes += other.min(bytes);
                usage.temporary_bytes += bytes_of(&entry.path(), &[TEMPORARY_TABLES])?;
            }
            Some("tmp") => {
                usage.other_bytes += bytes;
                each_entry(&entry.path(), &mut |file| {
                    usage.temporary_bytes += tree_bytes(file)?;
                    Ok(())
                })?;
            }
            _ => usage.other_bytes += bytes,
        }
        Ok(())
    })
    .at("measure", node_dir)?;
    Ok(usage)
}

/// Allocated bytes of each database, by the name of its directory, which is the database's
/// name for names that the API allows.
pub(crate) fn databases(node_dir: &Path) -> Result<BTreeMap<String, u64>> {
    let data = node_dir.join("data");
    let mut sizes = BTreeMap::new();
    each_entry(&data, &mut |entry| {
        if entry.file_type()?.is_dir()
            && let Some(name) = entry.file_name().to_str()
            && !SYSTEM_SCHEMAS.contains(&name)
        {
            sizes.insert(name.to_owned(), tree_bytes(entry)?);
        }
        Ok(())
    })
    .at("measure", &data)?;
    Ok(sizes)
}

const SYSTEM_SCHEMAS: [&str; 3] = ["mysql", "performance_schema", "sys"];

/// How the names of files in the server's data directory begin that are log or temporary.
const OWN_FILES: [&str; 4] = ["ib_logfile", TEMPORARY_TABLES, "aria_log", "#"];
/// InnoDB's file of temporary tables.
const TEMPORARY_TABLES: &str = "ibtmp";

/// Bytes of what lies in a directory under names that begin so.
fn bytes_of(dir: &Path, prefixes: &[&str]) -> io::Result<u64> {
    let mut bytes = 0;
    each_entry(dir, &mut |entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            bytes += tree_bytes(entry)?;
        }
        Ok(())
    })?;
    Ok(bytes)
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
        fs::write(node.join("data/ibdata1"), kib(128)).expect("write");
        fs::write(node.join("data/ib_logfile0"), kib(512)).expect("write");
        fs::write(node.join("binlog/bin.000001"), kib(64)).expect("write");
        fs::write(node.join("error.log"), kib(32)).expect("write");
        fs::write(node.join("data/ibtmp1"), kib(128)).expect("write");
        fs::write(node.join("tmp/#sql-temptable-1.MAD"), kib(64)).expect("write");

        let usage = usage(node).expect("measure");
        let within = |bytes: u64, kib: u64| (kib << 10..(kib + 40) << 10).contains(&bytes);
        assert!(within(usage.data_bytes, 256 + 128), "{usage:?}");
        assert!(within(usage.binlog_bytes, 64), "{usage:?}");
        assert!(within(usage.other_bytes, 512 + 32 + 128 + 64), "{usage:?}");
        assert!(within(usage.temporary_bytes, 128 + 64), "{usage:?}");

        let databases = databases(node).expect("measure");
        assert_eq!(databases.keys().collect::<Vec<_>>(), ["adb"]);
        assert!(within(databases["adb"], 256), "{databases:?}");
    }

    #[test]
    fn a_missing_node_is_an_error() {
        assert!(usage(Path::new("/nonexistent/node")).is_err());
    }
}
