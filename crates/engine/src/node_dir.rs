//! Node directories on disk.
//!
//! A node is made in `<id>.new` and renamed when it is whole; it is renamed to `<id>.del` before
//! it is removed. So `<id>` is always a whole node, and the others are leftovers.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use openpeta_types::{NodeId, NodeSettings};
use ring::digest;
use rustix::fs::OFlags;

use crate::error::{AtPath, Result};
use crate::process::RunningNode;
use crate::template::{remove, sync_dir};
use crate::user::NodeUser;
use crate::{config_file, copy};

const PID_FILE: &str = "node.pid";
const ERROR_LOG: &str = "error.log";

/// An error log larger than this is put aside at the next start.
const LOG_ROTATE_BYTES: u64 = 16 << 20;

/// How much of the error log a message quotes.
const LOG_TAIL_BYTES: u64 = 4 << 10;

/// A node as found on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeEntry {
    /// The node.
    pub node: NodeId,
    /// In what state its directory is.
    pub state: NodeEntryState,
}

/// The state of a node's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeEntryState {
    /// Whole.
    Complete,
    /// Left by a creation that was interrupted.
    HalfMade,
    /// Left by a removal that was interrupted.
    HalfRemoved,
}

/// Makes a node's directory from a template's data directory. A whole one that exists keeps its
/// data and only gets the settings.
pub(crate) fn create(
    dir: &Path,
    template_data: &Path,
    node: &NodeId,
    settings: &NodeSettings,
    user: &NodeUser,
) -> Result<()> {
    let new = with_ending(dir, "new");
    remove(&new)?;
    if dir.is_dir() {
        return write_config(dir, node, settings, user);
    }
    DirBuilder::new()
        .mode(0o700)
        .create(&new)
        .at("create", &new)?;
    copy::copy_tree(template_data, &new.join("data"), user.owner())?;
    for name in ["binlog", "relay", "tmp", "files"] {
        make_sub(&new.join(name), user)?;
    }
    let text = config_file::render(dir, settings, server_id(node), false);
    replace_file(&new, config_file::FILE_NAME, &text, user)?;
    let handle = File::open(&new).at("open", &new)?;
    user.give(&handle, &new)?;
    handle.sync_all().at("sync", &new)?;
    fs::rename(&new, dir).at("rename", &new)?;
    sync_dir(dir.parent().unwrap_or(Path::new("/")))
}

/// Makes a directory within a node's.
pub(crate) fn make_sub(sub: &Path, user: &NodeUser) -> Result<()> {
    DirBuilder::new()
        .mode(0o700)
        .create(sub)
        .at("create", sub)?;
    user.give(&File::open(sub).at("open", sub)?, sub)
}

/// Removes a node's directory and its leftovers. The node must not be running.
pub(crate) fn destroy(dir: &Path) -> Result<()> {
    let del = with_ending(dir, "del");
    remove(&del)?;
    remove(&with_ending(dir, "new"))?;
    match fs::rename(dir, &del) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        result => {
            result.at("rename", dir)?;
            remove(&del)?;
        }
    }
    sync_dir(dir.parent().unwrap_or(Path::new("/")))
}

/// What is in the nodes directory, sorted. Names that are no node's are passed over.
pub(crate) fn list(nodes_dir: &Path) -> Result<Vec<NodeEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(nodes_dir).at("list", nodes_dir)? {
        let name = entry.at("list", nodes_dir)?.file_name();
        let Some(name) = name.to_str() else { continue };
        // Node ids have no dot.
        let (id, state) = match name.split_once('.') {
            None => (name, NodeEntryState::Complete),
            Some((id, "new")) => (id, NodeEntryState::HalfMade),
            Some((id, "del")) => (id, NodeEntryState::HalfRemoved),
            Some(_) => continue,
        };
        if let Ok(node) = NodeId::parse(id) {
            entries.push(NodeEntry { node, state });
        }
    }
    entries.sort();
    Ok(entries)
}

/// Writes `my.cnf` anew; a node that is read-only stays so, and so does one that runs no events.
pub(crate) fn write_config(
    dir: &Path,
    node: &NodeId,
    settings: &NodeSettings,
    user: &NodeUser,
) -> Result<()> {
    let path = dir.join(config_file::FILE_NAME);
    let old = fs::read_to_string(&path).at("read", &path)?;
    let read_only = config_file::is_read_only(&old);
    let text = config_file::render(dir, settings, server_id(node), read_only);
    let text = config_file::with_loading(&text, config_file::is_loading(&old));
    if text == old {
        return Ok(());
    }
    replace_file(dir, config_file::FILE_NAME, &text, user)?;
    sync_dir(dir)
}

/// Sets in `my.cnf` whether the node starts read-only.
pub(crate) fn write_read_only(dir: &Path, read_only: bool, user: &NodeUser) -> Result<()> {
    let path = dir.join(config_file::FILE_NAME);
    let old = fs::read_to_string(&path).at("read", &path)?;
    let text = config_file::with_read_only(&old, read_only);
    if text == old {
        return Ok(());
    }
    replace_file(dir, config_file::FILE_NAME, &text, user)?;
    sync_dir(dir)
}

/// Sets in `my.cnf` whether the node starts without running events.
pub(crate) fn write_loading(dir: &Path, is_loading: bool, user: &NodeUser) -> Result<()> {
    let path = dir.join(config_file::FILE_NAME);
    let old = fs::read_to_string(&path).at("read", &path)?;
    let text = config_file::with_loading(&old, is_loading);
    if text == old {
        return Ok(());
    }
    replace_file(dir, config_file::FILE_NAME, &text, user)?;
    sync_dir(dir)
}

/// A number that tells the node from others in replication: out of its id, never 0.
fn server_id(node: &NodeId) -> u32 {
    let hash = digest::digest(&digest::SHA256, node.as_str().as_bytes());
    let bytes = hash.as_ref();
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).max(1)
}

/// Notes the process that serves the node.
pub(crate) fn write_pid(dir: &Path, process: RunningNode, user: &NodeUser) -> Result<()> {
    let text = format!("{} {}\n", process.pid, process.start_time);
    replace_file(dir, PID_FILE, &text, user)
}

/// The process that was noted last, which may have ended.
pub(crate) fn read_pid(dir: &Path) -> Option<RunningNode> {
    let text = fs::read_to_string(dir.join(PID_FILE)).ok()?;
    let mut numbers = text.split_ascii_whitespace();
    Some(RunningNode {
        pid: numbers.next()?.parse().ok()?,
        start_time: numbers.next()?.parse().ok()?,
    })
}

/// Opens the error log for appending; an overlong one is put aside first.
pub(crate) fn open_error_log(dir: &Path, user: &NodeUser) -> Result<File> {
    let path = dir.join(ERROR_LOG);
    if fs::symlink_metadata(&path).is_ok_and(|meta| meta.len() > LOG_ROTATE_BYTES) {
        fs::rename(&path, with_ending(&path, "1")).at("put aside", &path)?;
    }
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(no_follow())
        .open(&path)
        .at("open", &path)?;
    user.give(&file, &path)?;
    Ok(file)
}

/// Length of the error log in bytes; 0 when there is none.
pub(crate) fn error_log_length(dir: &Path) -> u64 {
    fs::symlink_metadata(dir.join(ERROR_LOG)).map_or(0, |meta| meta.size())
}

/// The end of the error log, at most 4 KiB and nothing before `from`.
pub(crate) fn error_log_tail(dir: &Path, from: u64) -> String {
    let read = || {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(no_follow())
            .open(dir.join(ERROR_LOG))?;
        let length = file.metadata()?.len();
        let start = from.min(length).max(length.saturating_sub(LOG_TAIL_BYTES));
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    match read() {
        Ok(text) if text.is_empty() => "(nothing)".to_owned(),
        Ok(text) => text,
        Err(error) => format!("(cannot be read: {error})"),
    }
}

/// Replaces a file in a node's directory in one step. The directory belongs to the node user,
/// who might put a symlink in the way: none is followed.
fn replace_file(dir: &Path, name: &str, text: &str, user: &NodeUser) -> Result<()> {
    let path = dir.join(name);
    let new = with_ending(&path, "tmp");
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).at("remove", &new);
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(&new)
        .at("create", &new)?;
    file.write_all(text.as_bytes()).at("write", &new)?;
    rustix::fs::fchown(&file, None, user.group()).at("change the group of", &new)?;
    file.sync_all().at("sync", &new)?;
    fs::rename(&new, &path).at("replace", &path)
}

pub(crate) fn no_follow() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed()
}

/// The path with a dot and an ending.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_listed_as_such() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["nd-a", "nd-b.new", "nd-c.del", "nd-d.old", "lost+found"] {
            fs::create_dir(dir.path().join(name)).expect("create");
        }
        let found: Vec<_> = list(dir.path())
            .expect("list")
            .into_iter()
            .map(|entry| (entry.node.to_string(), entry.state))
            .collect();
        let expected = [
            ("nd-a".to_owned(), NodeEntryState::Complete),
            ("nd-b".to_owned(), NodeEntryState::HalfMade),
            ("nd-c".to_owned(), NodeEntryState::HalfRemoved),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn removal_takes_leftovers_along_and_may_be_repeated() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let node = dir.path().join("nd-a");
        for name in ["nd-a", "nd-a.new", "nd-a.del"] {
            fs::create_dir_all(dir.path().join(name).join("data")).expect("create");
        }
        destroy(&node).expect("destroy");
        destroy(&node).expect("destroy again");
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 0);
    }

    #[test]
    fn server_ids_differ_and_are_stable() {
        let id = |text: &str| server_id(&NodeId::parse(text).expect("a node id"));
        assert_eq!(id("nd-a"), id("nd-a"));
        assert_ne!(id("nd-a"), id("nd-b"));
    }

    #[test]
    fn the_log_tail_begins_where_this_start_began() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join(ERROR_LOG);
        assert!(error_log_tail(dir.path(), 0).starts_with("(cannot be read"));
        fs::write(&path, "old start\n").expect("write");
        let from = error_log_length(dir.path());
        assert_eq!(error_log_tail(dir.path(), from), "(nothing)");
        fs::write(&path, "old start\nnew start\n").expect("write");
        assert_eq!(error_log_tail(dir.path(), from), "new start");
        fs::write(&path, "x".repeat(10_000)).expect("write");
        assert_eq!(error_log_tail(dir.path(), 0).len(), 4 << 10);
    }
}
