//! Relay logs made of an archive: what a server applies as if it came from another one.
//!
//! The server's own applier is exact where anything that writes statements would not be, and
//! applies transactions side by side.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use openpeta_types::Gtid;

use super::event::MAGIC;
use super::reader::{LogReader, RawEvent};
use super::select::{LogPosition, Selected, Selector, Until, Verdict};
use crate::error::{AtPath, EngineError, Result};
use crate::sealed::BackupKeys;
use crate::template::sync_dir;
use crate::user::NodeUser;

/// The name of relay logs without their numbers, as `relay_log` says.
const STEM: &str = "relay";

/// Tells that there were relay logs; it stays when the server has removed them.
const BEGUN: &str = "begun";

/// A group that is larger is written before it is known whether it is wanted.
const GROUP_IN_MEMORY: usize = 4 << 20;

/// What is to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RelayLogs {
    /// What is in them.
    pub(super) selected: Selected,
    /// Their lengths, by name in order.
    pub(super) files: Vec<(String, u64)>,
}

/// What to make them of.
pub(super) struct Source<'a> {
    /// The copies of log files, the first one with `begin` in it.
    pub(super) files: &'a [(u64, PathBuf)],
    /// Where to begin.
    pub(super) begin: LogPosition,
    /// Where to stop.
    pub(super) until: Until,
    /// The database whose changes are wanted.
    pub(super) database: &'a str,
    /// The server that wrote the log.
    pub(super) server_version: u32,
    /// What finished copies are encrypted with.
    pub(super) keys: &'a BackupKeys,
}

/// Writes relay logs and their index into a directory.
pub(super) fn write(source: &Source<'_>, dir: &Path, user: &NodeUser) -> Result<RelayLogs> {
    let begun = dir.join(BEGUN);
    File::create(&begun).at("create", &begun)?;
    let mut selector = source.selector().without(without_ends(source)?);
    let mut files = Vec::new();
    let mut end = source.begin;
    for (number, path) in source.files {
        let name = format!("{STEM}.{:06}", files.len() + 1);
        let target = RelayFile::create(dir.join(&name), user)?;
        let log = source.open(*number, path)?;
        let (length, seen, is_over) = copy_wanted(&mut selector, *number, log, target)?;
        end = end.max(LogPosition {
            file: *number,
            offset: seen,
        });
        selector.file_ended();
        files.push((name, length));
        if is_over {
            break;
        }
    }
    let index = dir.join(format!("{STEM}.index"));
    let lines: String = files
        .iter()
        .map(|(name, _)| format!("{}\n", dir.join(name).display()))
        .collect();
    fs::write(&index, lines).at("write", &index)?;
    user.give(&File::open(&index).at("open", &index)?, &index)?;
    sync_dir(dir)?;
    if let Until::Position(until) = source.until
        && end < until
    {
        return Err(EngineError::LogGap {
            file: format!("bin.{:06}", end.file),
            position: end.offset,
        });
    }
    let selected = selector
        .finish()
        .map_err(|gtid| EngineError::NoSuchTransaction { gtid })?;
    Ok(RelayLogs { selected, files })
}

impl Source<'_> {
    fn selector(&self) -> Selector<'_> {
        Selector::new(self.database, self.server_version, self.until)
    }

    /// Opens a file, where what is looked at begins; gives its first event as well.
    fn open<'p>(&self, number: u64, path: &'p Path) -> Result<(LogReader<'p>, RawEvent)> {
        let (mut log, first) = LogReader::open(path, self.keys)?;
        if number == self.begin.file {
            log.skip_to(self.begin.offset)?;
        }
        Ok((log, first))
    }
}

/// Reads all that may be wanted for the XA transactions that have no end in it.
fn without_ends(source: &Source<'_>) -> Result<HashSet<Gtid>> {
    let mut selector = source.selector();
    for (number, path) in source.files {
        let (mut log, _) = source.open(*number, path)?;
        while let Some(event) = log.event()? {
            let content = log.content(&event)?;
            let at = LogPosition {
                file: *number,
                offset: event.offset,
            };
            let verdict = selector.event(at, &event.header, content);
            if verdict.map_err(|what| log.damaged(what))? == Verdict::Stop {
                return Ok(selector.without_ends());
            }
        }
        selector.file_ended();
    }
    Ok(selector.without_ends())
}

/// Whether relay logs were made in a directory.
pub(super) fn is_begun(dir: &Path) -> bool {
    dir.join(BEGUN).exists()
}

/// Removes all that lies in the directory of relay logs.
pub(super) fn clear(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).at("list", dir)? {
        let path = entry.at("list", dir)?.path();
        match fs::remove_file(&path) {
            // The server removes what it has applied.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            result => result.at("remove", &path)?,
        }
    }
    sync_dir(dir)
}

/// Copies the groups of one file that are wanted. Returns what was written, where in the log that ended,
/// and whether nothing that follows is wanted.
fn copy_wanted(
    selector: &mut Selector<'_>,
    number: u64,
    (mut log, first): (LogReader<'_>, RawEvent),
    mut target: RelayFile,
) -> Result<(u64, u64, bool)> {
    let (mut is_over, mut seen) = (false, 0);
    target.write(&MAGIC)?;
    // How the others are written stands in front of each file.
    target.write(&first.bytes)?;
    while let Some(event) = log.event()? {
        let content = log.content(&event)?;
        let length = event.bytes.len() as u64;
        let at = LogPosition {
            file: number,
            offset: event.offset,
        };
        let verdict = selector.event(at, &event.header, content);
        match verdict.map_err(|what| log.damaged(what))? {
            Verdict::Pass => {}
            Verdict::Begin | Verdict::Part => target.hold(&event.bytes)?,
            Verdict::Keep => {
                target.hold(&event.bytes)?;
                target.keep()?;
            }
            Verdict::Drop => target.discard()?,
            Verdict::Stop => {
                seen = event.offset;
                is_over = true;
                break;
            }
        }
        seen = event.offset + length;
    }
    target.discard()?;
    Ok((target.finish()?, seen, is_over))
}

/// A relay log being written.
struct RelayFile {
    path: PathBuf,
    file: BufWriter<File>,
    /// Where the group at hand begins.
    group_begin: u64,
    /// Its events that were not written yet.
    group: Vec<u8>,
    /// Bytes of it that were.
    spilled: u64,
}

impl RelayFile {
    fn create(path: PathBuf, user: &NodeUser) -> Result<Self> {
        let file = File::create(&path).at("create", &path)?;
        user.give(&file, &path)?;
        Ok(Self {
            path,
            file: BufWriter::with_capacity(1 << 20, file),
            group_begin: 0,
            group: Vec::new(),
            spilled: 0,
        })
    }

    /// Writes what belongs to no group.
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.group_begin += bytes.len() as u64;
        self.file.write_all(bytes).at("write", &self.path)
    }

    /// Takes an event of a group.
    fn hold(&mut self, event: &[u8]) -> Result<()> {
        self.group.extend_from_slice(event);
        if self.group.len() > GROUP_IN_MEMORY {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        self.file.write_all(&self.group).at("write", &self.path)?;
        self.spilled += self.group.len() as u64;
        self.group.clear();
        Ok(())
    }

    /// The group is wanted.
    fn keep(&mut self) -> Result<()> {
        self.spill()?;
        self.group_begin += std::mem::take(&mut self.spilled);
        Ok(())
    }

    /// The group is not wanted.
    fn discard(&mut self) -> Result<()> {
        self.group.clear();
        if std::mem::take(&mut self.spilled) == 0 {
            return Ok(());
        }
        let begin = self.group_begin;
        self.file
            .seek(SeekFrom::Start(begin))
            .at("write", &self.path)?;
        self.file.get_ref().set_len(begin).at("shorten", &self.path)
    }

    /// What was written, on disk.
    fn finish(mut self) -> Result<u64> {
        self.file.flush().at("write", &self.path)?;
        self.file.get_ref().sync_all().at("sync", &self.path)?;
        Ok(self.group_begin)
    }
}
