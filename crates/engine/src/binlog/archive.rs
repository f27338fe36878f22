//! The archive of a node's binary log: a directory with a copy of each of its files.
//!
//! `bin.000001.zst` is the copy of a file that the server has finished (`bin.000001.zst.enc` if it
//! is encrypted), `bin.000002` of the one that it is writing, as far as it was seen. `marks` tells when it was seen how far: a line with
//! the times just before and after in microseconds since 1970, the file's number and its length.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::select::LogPosition;
use super::shipping::LogCopy;
use crate::error::{AtPath, Result};
use crate::sealed::{self, BackupKeys, MaybeSealed, OpeningReader};
use crate::template::sync_dir;

/// What the names of log files begin with, as `log_bin` says.
const STEM: &str = "bin.";
pub(super) const COMPRESSED: &str = "zst";
const MARKS: &str = "marks";
pub(super) const LEVEL: i32 = 3;

/// Time between two marks. Within it, a restore goes by the times of the events.
const BETWEEN_MARKS: SignedDuration = SignedDuration::from_secs(10);

/// More than a line of marks has.
const MARK_BYTES: u64 = 128;

/// How far an archive goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchivedLog {
    /// When it was the whole log.
    pub until: Timestamp,
    /// Bytes that were added to it just now, before compression.
    pub added_bytes: u64,
    /// Bytes that it takes on disk.
    pub bytes: u64,
}

/// A look at a log that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Just before it.
    pub(super) from: Timestamp,
    /// Just after it.
    pub(super) until: Timestamp,
    /// Where the log ended.
    pub(super) end: LogPosition,
}

/// A copy in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Copied {
    path: PathBuf,
    bytes: u64,
    is_finished: bool,
}

/// Copies what the archive does not have yet of the log files in `source`.
///
/// `is_first` asks for the unfinished copy to be made anew: what was not synced when the machine
/// went down may be anything. `is_marked` asks for a mark, however old the last one is.
pub(super) fn archive(
    source: &Path,
    archive: &Path,
    (is_first, is_marked): (bool, bool),
    keys: &BackupKeys,
) -> Result<ArchivedLog> {
    make_dir(archive)?;
    let mut copies = copies(archive)?;
    let mut added_bytes = 0;
    // What is seen from here on may be younger than this, never older.
    let from = Timestamp::now();
    let logs = log_files(source)?;
    let begin = copies.keys().next_back().copied().unwrap_or_default();
    let newest = logs.last().map_or(0, |(number, _)| *number);
    // Purged on the node before all of it was seen: what is missing must not be passed over.
    if let Some(copy) = copies.get(&begin).filter(|copy| !copy.is_finished)
        && !logs.iter().any(|(number, _)| *number == begin)
    {
        tracing::warn!(path = %copy.path.display(), "the log was purged before its end was copied");
        let cut = copy.path.with_extension("cut");
        fs::rename(&copy.path, &cut).at("rename", &copy.path)?;
        copies.remove(&begin);
    }
    let mut end = None;
    for (number, path) in logs.into_iter().filter(|(number, _)| *number >= begin) {
        let old = copies.get(&number);
        if old.is_some_and(|copy| copy.is_finished) {
            continue;
        }
        let had = old.map_or(0, |copy| copy.bytes);
        let copy = if number < newest {
            let copied = finish(&path, archive, number, keys)?;
            added_bytes += copied.1.saturating_sub(had);
            copied.0
        } else {
            let length = follow(&path, archive, number, if is_first { 0 } else { had })?;
            added_bytes += length.saturating_sub(had);
            end = Some(LogPosition {
                file: number,
                offset: length,
            });
            Copied {
                path: raw_path(archive, number),
                bytes: length,
                is_finished: false,
            }
        };
        copies.insert(number, copy);
    }
    if let Some(end) = end {
        let until = Timestamp::now();
        mark(archive, Mark { from, until, end }, is_marked)?;
    }
    Ok(ArchivedLog {
        until: from,
        added_bytes,
        bytes: copies.values().map(|copy| copy.bytes).sum(),
    })
}

/// Removes the copies of files before the one with that number.
pub(super) fn purge(archive: &Path, first_kept: u64) -> Result<()> {
    for (number, copy) in copies(archive)? {
        if number < first_kept {
            fs::remove_file(&copy.path).at("remove", &copy.path)?;
        }
    }
    let kept: Vec<_> = marks(archive)?
        .into_iter()
        .filter(|mark| mark.end.file >= first_kept)
        .collect();
    let new = archive.join("marks.new");
    let text: String = kept.iter().map(Mark::line).collect();
    fs::write(&new, text).at("write", &new)?;
    let path = archive.join(MARKS);
    fs::rename(&new, &path).at("rename", &new)
}

/// The copies from the file with that number on, in order; `None` when one is missing.
pub(super) fn files_from(archive: &Path, first: u64) -> Result<Option<Vec<(u64, PathBuf)>>> {
    let files: Vec<_> = copies(archive)?
        .into_iter()
        .filter(|(number, _)| *number >= first)
        .map(|(number, copy)| (number, copy.path))
        .collect();
    let is_whole = !files.is_empty()
        && (first..)
            .zip(&files)
            .all(|(expected, (number, _))| expected == *number);
    Ok(is_whole.then_some(files))
}

/// How far the newest copy goes; `None` without any. Of one that is compressed nobody knows, but it
/// has all of its file.
pub(super) fn end(archive: &Path) -> Result<Option<LogPosition>> {
    let newest = copies(archive)?.into_iter().next_back();
    Ok(newest.map(|(file, copy)| LogPosition {
        file,
        offset: match copy.is_finished {
            true => u64::MAX,
            false => copy.bytes,
        },
    }))
}

/// The same with what is known of each.
pub(super) fn list(archive: &Path) -> Result<Vec<LogCopy>> {
    let copies = copies(archive)?.into_iter();
    let listed = copies.map(|(number, copy)| LogCopy {
        number,
        path: copy.path,
        bytes: copy.bytes,
        is_finished: copy.is_finished,
    });
    Ok(listed.collect())
}

/// All copies there are, in order.
pub(super) fn files(archive: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let files = copies(archive)?.into_iter();
    Ok(files.map(|(number, copy)| (number, copy.path)).collect())
}

/// When the log was seen how far, oldest first.
pub(super) fn marks(archive: &Path) -> Result<Vec<Mark>> {
    let path = archive.join(MARKS);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        result => result.at("read", &path)?,
    };
    // A line that a crash cut off says nothing.
    Ok(text.lines().filter_map(Mark::parse).collect())
}

/// Opens a copy for reading.
pub(super) fn open(path: &Path, keys: &BackupKeys) -> Result<Box<dyn Read + Send>> {
    const BUFFER: usize = 256 << 10;
    let mut file: Box<dyn Read + Send> = Box::new(File::open(path).at("open", path)?);
    let has_ending = |path: &Path, ending| path.extension().is_some_and(|found| found == ending);
    let mut name = path.to_owned();
    if has_ending(&name, sealed::ENDING) {
        let opened = OpeningReader::open(BufReader::with_capacity(BUFFER, file), keys);
        file = Box::new(opened.map_err(|failure| failure.at(path))?);
        name.set_extension("");
    }
    if has_ending(&name, COMPRESSED) {
        file = Box::new(zstd::Decoder::new(file).at("decompress", path)?);
    }
    Ok(Box::new(BufReader::with_capacity(BUFFER, file)))
}

/// A log file's name.
pub(super) fn name(number: u64) -> String {
    format!("{STEM}{number:06}")
}

/// The number in a log file's name.
pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(STEM)?;
    let is_number = digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

fn make_dir(archive: &Path) -> Result<()> {
    if archive.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(archive);
    made.at("create", archive)?;
    let parent = archive.parent().unwrap_or(Path::new("/"));
    sync_dir(parent)?;
    sync_dir(parent.parent().unwrap_or(Path::new("/")))
}

/// The server's log files by their numbers.
fn log_files(source: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(source).at("list", source)? {
        let entry = entry.at("list", source)?;
        if let Some(number) = entry.file_name().to_str().and_then(number) {
            files.push((number, entry.path()));
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn copies(archive: &Path) -> Result<BTreeMap<u64, Copied>> {
    let mut copies: BTreeMap<u64, Copied> = BTreeMap::new();
    let entries = match fs::read_dir(archive) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(copies),
        result => result.at("list", archive)?,
    };
    for entry in entries {
        let entry = entry.at("list", archive)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let name = name.strip_suffix(".enc").unwrap_or(name);
        let (log, is_finished) = match name.strip_suffix(".zst") {
            Some(log) => (log, true),
            None => (name, false),
        };
        let Some(number) = number(log) else { continue };
        let path = entry.path();
        let bytes = entry.metadata().at("look at", &path)?.len();
        let copy = Copied {
            path,
            bytes,
            is_finished,
        };
        // Both are there when finishing one was cut off at its last step.
        let known = copies.entry(number).or_insert_with(|| copy.clone());
        if is_finished {
            *known = copy;
        }
    }
    Ok(copies)
}

/// Makes the copy of a file that the server has finished, instead of the one that followed it.
/// Returns it and the length of the file.
fn finish(path: &Path, archive: &Path, number: u64, keys: &BackupKeys) -> Result<(Copied, u64)> {
    let mut name = format!("{STEM}{number:06}.{COMPRESSED}");
    if keys.current().is_some() {
        name = format!("{name}.{}", sealed::ENDING);
    }
    let (new, done) = (archive.join(format!("{name}.new")), archive.join(name));
    remove_file(&new)?;
    let mut source = File::open(path).at("open", path)?;
    let target = MaybeSealed::new(create(&new)?, keys.current()).at("write", &new)?;
    let mut encoder = zstd::Encoder::new(target, LEVEL).at("compress", path)?;
    encoder.include_checksum(true).at("compress", path)?;
    let length = std::io::copy(&mut source, &mut encoder).at("compress", path)?;
    let sealing = encoder.finish().at("compress", path)?;
    let target = sealing.finish().at("write", &new)?;
    target.sync_all().at("sync", &new)?;
    let bytes = target.metadata().at("look at", &new)?.len();
    fs::rename(&new, &done).at("rename", &new)?;
    sync_dir(archive)?;
    remove_file(&raw_path(archive, number))?;
    let copied = Copied {
        path: done,
        bytes,
        is_finished: true,
    };
    Ok((copied, length))
}

/// Copies what was added to a file that the server is writing, and returns its length.
fn follow(path: &Path, archive: &Path, number: u64, had: u64) -> Result<u64> {
    let target_path = raw_path(archive, number);
    let mut source = File::open(path).at("open", path)?;
    let length = source.metadata().at("look at", path)?.len();
    if length == had {
        return Ok(length);
    }
    // A server that lost its last writes goes on in a new file, but this one is shorter.
    if had == 0 || length < had {
        let new = archive.join("unfinished.new");
        remove_file(&new)?;
        let mut target = create(&new)?;
        let copied = std::io::copy(&mut source, &mut target).at("copy", path)?;
        target.sync_all().at("sync", &new)?;
        fs::rename(&new, &target_path).at("rename", &new)?;
        sync_dir(archive)?;
        return Ok(copied);
    }
    source.seek(SeekFrom::Start(had)).at("read", path)?;
    let opened = OpenOptions::new().append(true).open(&target_path);
    let mut target = opened.at("open", &target_path)?;
    let copied = std::io::copy(&mut source, &mut target).at("copy", path)?;
    target.sync_data().at("sync", &target_path)?;
    Ok(had + copied)
}

/// Notes how far the log was seen, if it is further than before and some time after that; at once
/// when the clock was put back, or `is_wanted`.
fn mark(archive: &Path, mark: Mark, is_wanted: bool) -> Result<()> {
    let path = archive.join(MARKS);
    let opened = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(&path);
    let mut file = opened.at("open", &path)?;
    let length = file.metadata().at("look at", &path)?.len();
    let tail_begin = length.saturating_sub(MARK_BYTES);
    file.seek(SeekFrom::Start(tail_begin)).at("read", &path)?;
    let mut tail = String::new();
    file.read_to_string(&mut tail).at("read", &path)?;
    let is_new = |last: &Mark| {
        let since = mark.from.duration_since(last.until);
        let is_due = since.is_negative() || since >= BETWEEN_MARKS;
        is_wanted || (last.end != mark.end && is_due)
    };
    if tail
        .lines()
        .next_back()
        .and_then(Mark::parse)
        .is_none_or(|last| is_new(&last))
    {
        let line = if tail.is_empty() || tail.ends_with('\n') {
            mark.line()
        } else {
            format!("\n{}", mark.line())
        };
        file.write_all(line.as_bytes()).at("write", &path)?;
    }
    Ok(())
}

impl Mark {
    fn line(&self) -> String {
        let (from, until) = (self.from.as_microsecond(), self.until.as_microsecond());
        format!("{from} {until} {} {}\n", self.end.file, self.end.offset)
    }

    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<i64> = line
            .split(' ')
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()
            .ok()?;
        let [from, until, file, offset] = fields.try_into().ok()?;
        Some(Self {
            from: Timestamp::from_microsecond(from).ok()?,
            until: Timestamp::from_microsecond(until).ok()?,
            end: LogPosition {
                file: file.try_into().ok()?,
                offset: offset.try_into().ok()?,
            },
        })
    }
}

pub(super) fn raw_path(archive: &Path, number: u64) -> PathBuf {
    archive.join(format!("{STEM}{number:06}"))
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.at("remove", path),
    }
}

fn create(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .at("create", path)
}
