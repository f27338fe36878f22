//! Archives of binary logs in the bucket: finished files as they are, the file that is being written
//! in pieces, so that no more than some seconds of commits are on this host alone.
//!
//! `binlogs/<node>/bin.000001.zst` is a finished file, `bin.000002.0000000000-0000004096.zst` a
//! piece of the next one, both with `.enc` behind if they are encrypted; `marks` is as on disk. Moments of all
//! nodes are in `moments.1795000200`, those of ten minutes from that second on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use object_store::path::Path as ObjectPath;
use openpeta_engine::{Engine, LogCopy};
use openpeta_types::NodeId;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::parts::PartNotes;
use super::record::Upload;
use super::transfer::Told;
use super::upload::Sending;
use super::{Bucket, RemoteError, hex};
use crate::backups::moments;

/// The directory of archives in the bucket.
const LOGS: &str = "binlogs";
const MARKS: &str = "marks";
/// What the names of spans of moments begin with.
const MOMENTS: &str = "moments.";
/// Seconds of moments in an object: what is written again each time stays small.
const SPAN: i64 = 600;
/// Bytes of log in a piece at most.
const PIECE: u64 = 16 << 20;
/// Time between two copies of the marks, which a restore to the end of the log does not need.
const BETWEEN_MARKS: SignedDuration = SignedDuration::from_mins(10);

/// Why an archive could not be brought to the bucket, or from there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error(transparent)]
    Engine(#[from] openpeta_engine::EngineError),
}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        Self::Remote(error.into())
    }
}

type Result<T> = std::result::Result<T, LogError>;

/// What is, or may be, in the bucket of an archive. It is there before anything is in the bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    url: String,
    upload: Option<Upload>,
    /// SHA-256 of each file that is whole there.
    files: BTreeMap<String, String>,
    tail: Tail,
    /// The begins of the spans of moments that are there.
    #[serde(default)]
    moments: BTreeSet<i64>,
}

/// The file that is being written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tail {
    number: u64,
    /// So much of it is there.
    length: u64,
    pieces: Vec<String>,
}

/// How far the archive of a node is in the bucket, as this process knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredLog {
    /// The bucket has all that was written until then.
    pub(crate) until: Option<Timestamp>,
    /// When marks were copied last.
    marks_at: Option<Timestamp>,
    /// The last moment that was copied.
    moment: Option<Timestamp>,
    pub(crate) failure: Option<String>,
}

/// What came of a look for logs of a lost host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// The archives in the bucket, if there is one.
pub(crate) struct RemoteLogs {
    bucket: Option<Bucket>,
    records: PathBuf,
    states: Mutex<HashMap<NodeId, StoredLog>>,
    /// Whoever reads a record and writes it again does so alone.
    changing: tokio::sync::Mutex<()>,
}

impl RemoteLogs {
    /// With records in that directory. Nobody waits for what is done here: it is tried again.
    pub(crate) fn new(bucket: Option<Bucket>, records: PathBuf) -> Self {
        let bucket = bucket.map(|bucket| Bucket {
            patience: std::time::Duration::ZERO,
            ..bucket
        });
        Self {
            bucket,
            records,
            states: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// Whether archives are kept in a bucket.
    pub(crate) const fn is_used(&self) -> bool {
        self.bucket.is_some()
    }

    fn states(&self) -> MutexGuard<'_, HashMap<NodeId, StoredLog>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far a node's archive is there; `None` without a bucket.
    pub(crate) fn state(&self, node: &NodeId) -> Option<StoredLog> {
        self.bucket.as_ref()?;
        Some(self.states().get(node).cloned().unwrap_or_default())
    }

    /// Brings what is new in an archive to the bucket. `until` is when the archive had all.
    pub(crate) async fn ship(
        &self,
        engine: &Engine,
        node: &NodeId,
        archive: &Path,
        until: Timestamp,
    ) -> Result<()> {
        let Some(bucket) = &self.bucket else {
            return Ok(());
        };
        let _changing = self.changing.lock().await;
        let mut state = self.states().get(node).cloned().unwrap_or_default();
        let shipping = Shipping {
            logs: self,
            bucket,
            engine,
            node,
        };
        let shipped = shipping.run(archive, &mut state).await;
        match &shipped {
            Ok(()) => {
                state.until = Some(until);
                state.failure = None;
            }
            Err(error) => state.failure = Some(error.to_string()),
        }
        self.states().insert(node.clone(), state);
        shipped
    }

    /// Removes files before the one with that number.
    pub(crate) async fn purge(&self, node: &NodeId, first_kept: u64) -> Result<()> {
        let _changing = self.changing.lock().await;
        let Some((bucket, mut record)) = self.known(node)? else {
            return Ok(());
        };
        let is_old = |name: &String| number(name).is_some_and(|number| number < first_kept);
        let old: Vec<_> = record
            .files
            .keys()
            .filter(|name| is_old(name))
            .cloned()
            .collect();
        for name in old {
            bucket.delete(&object(bucket, node, &name)).await?;
            record.files.remove(&name);
            self.write(node, &record)?;
        }
        Ok(())
    }

    /// Removes moments from before a time.
    pub(crate) async fn purge_moments(&self, node: &NodeId, first_kept: Timestamp) -> Result<()> {
        let _changing = self.changing.lock().await;
        let Some((bucket, mut record)) = self.known(node)? else {
            return Ok(());
        };
        let kept = record.moments.split_off(&span(first_kept));
        for old in std::mem::replace(&mut record.moments, kept) {
            let target = object(bucket, node, &format!("{MOMENTS}{old}"));
            bucket.delete(&target).await?;
        }
        Ok(self.write(node, &record)?)
    }

    /// Removes all that is there of a node.
    pub(crate) async fn remove(&self, node: &NodeId) -> Result<()> {
        let _changing = self.changing.lock().await;
        let Some((bucket, record)) = self.known(node)? else {
            return Ok(());
        };
        if let Some(upload) = &record.upload {
            bucket.abort(upload).await?;
        }
        bucket.delete_all(&directory(bucket, node)).await?;
        self.parts(node).clear()?;
        match fs::remove_file(self.path(node)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        self.states().remove(node);
        Ok(())
    }

    /// The nodes of which something is, or may be, in a bucket.
    pub(crate) fn nodes(&self) -> io::Result<Vec<NodeId>> {
        let entries = match fs::read_dir(&self.records) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut nodes = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
            nodes.extend(stem.and_then(|stem| NodeId::parse(stem).ok()));
        }
        Ok(nodes)
    }

    /// The nodes of which the bucket has something, whoever put it there.
    pub(crate) async fn nodes_in_bucket(&self) -> Result<Vec<NodeId>> {
        let Some(bucket) = &self.bucket else {
            return Ok(Vec::new());
        };
        let place = bucket.prefix.clone().join(LOGS);
        let mut nodes = Vec::new();
        for (path, _) in bucket.list(&place).await? {
            let mut parts = path.prefix_match(&place).into_iter().flatten();
            let node = parts.next();
            nodes.extend(node.and_then(|node| NodeId::parse(node.as_ref()).ok()));
        }
        nodes.sort();
        nodes.dedup();
        Ok(nodes)
    }

    /// Fetches what the bucket has of the log of a node, and the archive on this host has not.
    pub(crate) async fn fetch(
        &self,
        engine: &Engine,
        node: &NodeId,
        archive: &Path,
    ) -> Result<Fetched> {
        let Some(bucket) = &self.bucket else {
            return Ok(Fetched::default());
        };
        let _changing = self.changing.lock().await;
        let place = directory(bucket, node);
        let mut record = self.read(node)?.unwrap_or_default();
        record.url.clone_from(&bucket.url);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(archive)?;
        let mut fetched = Fetched::default();
        let (mut pieces, mut last_finished) = (Vec::new(), 0);
        let mut moments = Vec::new();
        for (path, bytes) in bucket.list(&place).await? {
            let Some(name) = path.filename().map(str::to_owned) else {
                continue;
            };
            if let Some(piece) = Piece::parse(&name) {
                pieces.push((piece, name));
                continue;
            }
            if let Some(span) = name.strip_prefix(MOMENTS) {
                let target = archive.join(format!("{name}.fetched"));
                let _ = fs::remove_file(&target);
                download(bucket, &path, &target).await?;
                moments.extend(moments::read_file(&target)?);
                fs::remove_file(&target)?;
                record.moments.extend(span.parse::<i64>().ok());
                continue;
            }
            last_finished = last_finished.max(number(&name).unwrap_or_default());
            let target = archive.join(&name);
            if !target.exists() {
                let sha256 = download(bucket, &path, &target).await?;
                fetched.files += 1;
                fetched.bytes += bytes;
                if name != MARKS {
                    record.files.insert(name, sha256);
                }
            }
        }
        moments::add(archive, moments)?;
        // Pieces of a file that was finished since were left by an upload that was cut off.
        pieces.retain(|(piece, _)| piece.number > last_finished);
        if let Some(first) = pieces.iter().map(|(piece, _)| piece.number).min()
            && let names = Piece::leading_on(&pieces, first)
            && !has_as_much(engine, archive, first, &names)?
        {
            let mut paths = Vec::new();
            for name in &names {
                let target = archive.join(name);
                let _ = fs::remove_file(&target);
                download(bucket, &object(bucket, node, name), &target).await?;
                fetched.bytes += fs::metadata(&target)?.len();
                paths.push(target);
            }
            engine
                .join_log_pieces(archive, first, paths.clone())
                .await?;
            for path in paths {
                fs::remove_file(path)?;
            }
            fetched.files += 1;
        }
        self.write(node, &record)?;
        Ok(fetched)
    }

    /// The record of a node, and the bucket that it is about.
    fn known(&self, node: &NodeId) -> Result<Option<(&Bucket, Record)>> {
        let Some(record) = self.read(node)? else {
            return Ok(None);
        };
        let bucket = self.bucket.as_ref();
        let bucket = bucket.filter(|bucket| bucket.url == record.url);
        let bucket = bucket.ok_or_else(|| RemoteError::Elsewhere(record.url.clone()))?;
        Ok(Some((bucket, record)))
    }

    fn path(&self, node: &NodeId) -> PathBuf {
        self.records.join(format!("{node}.json"))
    }

    /// What is noted of the parts of its upload.
    fn parts(&self, node: &NodeId) -> PartNotes {
        PartNotes(self.path(node).with_extension("parts"))
    }

    fn read(&self, node: &NodeId) -> io::Result<Option<Record>> {
        match fs::read(self.path(node)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            text => Ok(Some(serde_json::from_slice(&text?)?)),
        }
    }

    fn write(&self, node: &NodeId, record: &Record) -> io::Result<()> {
        let path = self.path(node);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.records)?;
        let new = path.with_extension("new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        fs::File::open(&self.records)?.sync_all()
    }
}

/// An archive on its way to the bucket.
struct Shipping<'a> {
    logs: &'a RemoteLogs,
    bucket: &'a Bucket,
    engine: &'a Engine,
    node: &'a NodeId,
}

impl Shipping<'_> {
    async fn run(&self, archive: &Path, state: &mut StoredLog) -> Result<()> {
        let known = self.logs.read(self.node)?;
        // In another bucket it begins anew.
        let known = known.filter(|record| record.url == self.bucket.url);
        let is_new = known.is_none();
        let mut record = known.unwrap_or_else(|| Record {
            url: self.bucket.url.clone(),
            ..Record::default()
        });
        let copies = self.engine.log_copies(archive)?;
        let (finished, unfinished): (Vec<_>, Vec<_>) =
            copies.into_iter().partition(|copy| copy.is_finished);
        // One that was cut off goes on, unless its file has gone meanwhile.
        let is_wanted = |upload: &Upload| {
            let of = |copy: &LogCopy| object(self.bucket, self.node, &file_name(&copy.path));
            let mut objects = finished.iter().map(of);
            objects.any(|object| object.to_string() == upload.object)
        };
        let unwanted = record.upload.take_if(|upload| !is_wanted(upload));
        if let Some(upload) = &unwanted {
            self.bucket.abort(upload).await?;
        }
        if is_new || unwanted.is_some() {
            self.logs.write(self.node, &record)?;
        }
        for copy in &finished {
            let name = file_name(&copy.path);
            if !record.files.contains_key(&name) {
                self.put_file(copy, &name, &mut record).await?;
            }
        }
        if let Some(copy) = unfinished.last() {
            self.put_tail(copy, &mut record).await?;
        }
        let now = Timestamp::now();
        let is_early = |at: Timestamp| now.duration_since(at) < BETWEEN_MARKS;
        let marks = archive.join(MARKS);
        if !state.marks_at.is_some_and(is_early) && marks.exists() {
            let content = fs::read(&marks)?;
            let target = object(self.bucket, self.node, MARKS);
            self.bucket.put(&target, content.into(), &ignore).await?;
            state.marks_at = Some(now);
        }
        self.put_moments(archive, &mut record, state).await
    }

    /// Puts moments there that are new, and with them all that belong to the same ten minutes.
    async fn put_moments(
        &self,
        archive: &Path,
        record: &mut Record,
        state: &mut StoredLog,
    ) -> Result<()> {
        let moments = moments::read(archive)?;
        let Some(last) = moments.last().map(|moment| moment.at) else {
            return Ok(());
        };
        if state.moment == Some(last) {
            return Ok(());
        }
        let known = record.moments.last().copied().unwrap_or(i64::MIN);
        let mut spans: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
        for moment in &moments {
            let span = span(moment.at);
            if span >= known {
                spans.entry(span).or_default().extend(moments::line(moment));
            }
        }
        for (span, text) in spans {
            let target = object(self.bucket, self.node, &format!("{MOMENTS}{span}"));
            record.moments.insert(span);
            self.logs.write(self.node, record)?;
            self.bucket.put(&target, text.into(), &ignore).await?;
        }
        state.moment = Some(last);
        Ok(())
    }

    /// Puts a finished file there, and lets its pieces go.
    async fn put_file(&self, copy: &LogCopy, name: &str, record: &mut Record) -> Result<()> {
        let sha256 = digest_of(&copy.path).await?;
        let sending = Sending {
            path: &copy.path,
            object: &object(self.bucket, self.node, name),
            sha256: &sha256,
            begun: record.upload.clone(),
            parts: &self.logs.parts(self.node),
        };
        let note = |upload| {
            record.upload = upload;
            self.logs.write(self.node, record)
        };
        self.bucket.send(sending, &ignore, note, &|_| {}).await?;
        record.files.insert(name.to_owned(), sha256);
        self.logs.write(self.node, record)?;
        if record.tail.number == copy.number {
            self.remove_pieces(record).await?;
        }
        Ok(())
    }

    /// Puts what is new in the file that is being written there.
    async fn put_tail(&self, copy: &LogCopy, record: &mut Record) -> Result<()> {
        if record.tail.number != copy.number || record.tail.length > copy.bytes {
            self.remove_pieces(record).await?;
            record.tail.number = copy.number;
        }
        while record.tail.length < copy.bytes {
            let from = record.tail.length;
            let length = (copy.bytes - from).min(PIECE);
            let piece = self.engine.log_piece(self.node, copy, from, length).await?;
            let Some(piece) = piece else {
                // It was finished meanwhile; the next look finds that.
                return Ok(());
            };
            let (to, ending) = (from + length, self.engine.piece_ending());
            let name = format!("bin.{:06}.{from:010}-{to:010}.{ending}", copy.number);
            let target = object(self.bucket, self.node, &name);
            let mut digest = Context::new(&SHA256);
            digest.update(&piece);
            let sha256 = hex(digest);
            self.bucket.put(&target, piece.into(), &ignore).await?;
            if self.bucket.digest(&target, &ignore, &|_| {}).await? != sha256 {
                return Err(RemoteError::Differs(target).into());
            }
            record.tail.pieces.push(name);
            record.tail.length = to;
            self.logs.write(self.node, record)?;
        }
        Ok(())
    }

    async fn remove_pieces(&self, record: &mut Record) -> Result<()> {
        for name in &record.tail.pieces {
            let target = object(self.bucket, self.node, name);
            self.bucket.delete(&target).await?;
        }
        record.tail = Tail::default();
        Ok(self.logs.write(self.node, record)?)
    }
}

/// A piece, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    number: u64,
    from: u64,
    to: u64,
}

impl Piece {
    fn parse(name: &str) -> Option<Self> {
        let mut fields = name.strip_prefix("bin.")?.split('.');
        let (number, range) = (fields.next()?, fields.next()?);
        let (from, to) = range.split_once('-')?;
        Some(Self {
            number: number.parse().ok()?,
            from: from.parse().ok()?,
            to: to.parse().ok()?,
        })
    }

    /// The names of the pieces that lead furthest from the begin of a file. An attempt that was cut
    /// off may have left others.
    fn leading_on(pieces: &[(Self, String)], number: u64) -> Vec<String> {
        // From each place: how far it leads, where the piece ends, and its name.
        let mut best: BTreeMap<u64, (u64, u64, &str)> = BTreeMap::new();
        let mut its: Vec<_> = pieces
            .iter()
            .filter(|(it, _)| it.number == number)
            .collect();
        its.sort_unstable_by_key(|(piece, _)| std::cmp::Reverse(piece.from));
        for (piece, name) in its.into_iter().filter(|(piece, _)| piece.from < piece.to) {
            let reach = best.get(&piece.to).map_or(piece.to, |(reach, ..)| *reach);
            let known = best.entry(piece.from).or_insert((reach, piece.to, name));
            if known.0 < reach {
                *known = (reach, piece.to, name);
            }
        }
        let (mut at, mut names) = (0, Vec::new());
        while let Some((_, to, name)) = best.get(&at) {
            names.push((*name).to_owned());
            at = *to;
        }
        names
    }
}

/// The begin of the span that a moment belongs to.
fn span(at: Timestamp) -> i64 {
    at.as_second().div_euclid(SPAN) * SPAN
}

/// The number in the name of a finished file.
fn number(name: &str) -> Option<u64> {
    let (number, _) = name.strip_prefix("bin.")?.split_once('.')?;
    number.parse().ok()
}

/// Whether the archive here has as much of a file as its pieces, which may be a copy from earlier.
fn has_as_much(engine: &Engine, archive: &Path, number: u64, pieces: &[String]) -> Result<bool> {
    let last = pieces.last().and_then(|name| Piece::parse(name));
    let reach = last.map_or(0, |piece| piece.to);
    let copies = engine.log_copies(archive)?;
    let has_it =
        |copy: &LogCopy| copy.number == number && (copy.is_finished || copy.bytes >= reach);
    Ok(copies.iter().any(has_it))
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Fetches an object into a file; returns its SHA-256.
async fn download(bucket: &Bucket, object: &ObjectPath, target: &Path) -> Result<String> {
    super::transfer::download(bucket, object, target, &ignore)
        .await
        .map_err(LogError::from)
}

pub(super) async fn digest_of(path: &Path) -> io::Result<String> {
    let mut file = tokio::fs::File::open(path).await?;
    let (mut digest, mut chunk) = (Context::new(&SHA256), vec![0; 256 << 10]);
    loop {
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Ok(hex(digest));
        }
        digest.update(&chunk[..read]);
    }
}

fn directory(bucket: &Bucket, node: &NodeId) -> ObjectPath {
    bucket.prefix.clone().join(LOGS).join(node.as_str())
}

fn object(bucket: &Bucket, node: &NodeId, name: &str) -> ObjectPath {
    directory(bucket, node).join(name)
}

fn ignore(_: Told) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lead_on_from_the_begin() {
        let names = [
            "bin.000002.0000000000-0000000100.zst",
            "bin.000002.0000000100-0000000300.zst.enc",
            // Left by an attempt that was cut off before it was noted.
            "bin.000002.0000000100-0000000350.zst.enc",
            "bin.000002.0000000300-0000000400.zst",
            "bin.000002.0000000500-0000000600.zst",
        ];
        let parsed = |name: &&str| (Piece::parse(name).expect("a piece"), (*name).to_owned());
        let pieces: Vec<_> = names.iter().map(parsed).collect();
        let leading = Piece::leading_on(&pieces, 2);
        assert_eq!(leading, [names[0], names[1], names[3]]);
        let mut shorter = pieces.clone();
        shorter.retain(|(piece, _)| piece.from != 300);
        let leading = Piece::leading_on(&shorter, 2);
        assert_eq!(leading, [names[0], names[2]], "it leads further");
        assert!(Piece::leading_on(&pieces, 3).is_empty());
        for other in ["bin.000002.zst", "bin.000002.zst.enc", "marks"] {
            assert_eq!(Piece::parse(other), None, "{other}");
        }
        assert_eq!(number("bin.000012.zst.enc"), Some(12));
        assert_eq!(number("marks"), None);
    }
}
