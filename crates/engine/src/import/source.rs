//! Where a dump is read from: a file, a directory of files, or a stream; compressed or not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::backup::MANIFEST;
use crate::error::{AtPath, EngineError, Result};
use crate::sealed::{BackupKeys, OpeningReader};

/// What a stream of `mariadb-backup` begins with.
const STREAM: &[u8] = b"XBSTCK01";

/// What is read at once.
const CHUNK: usize = 256 << 10;
/// Chunks that may wait.
const QUEUE: usize = 4;

/// Opens a file or stream from its beginning.
type Open = Box<dyn FnOnce() -> io::Result<Box<dyn Read + Send>> + Send>;

/// A dump to be imported, made of one or several files that are read one after the other.
pub struct ImportSource {
    pub(super) files: Vec<ImportFile>,
    /// How much there is to read, compressed as it lies; 0 if that is not known.
    pub(super) bytes: u64,
    /// The database that the files are of, where their names tell it.
    pub(super) database: Option<String>,
    /// Rows of tables, where somebody has written them down beside the dump.
    pub(super) rows: BTreeMap<String, u64>,
    /// The manifest of a set, if it is one.
    pub(super) manifest: Option<PathBuf>,
}

/// One file of a dump.
pub(super) struct ImportFile {
    pub(super) name: String,
    is_sealed: bool,
    open: Open,
}

impl ImportFile {
    /// Whether the programs in it have semicolons inside, but no delimiter of their own.
    pub(super) fn has_loose_programs(&self) -> bool {
        let name = plain_name(&self.name);
        name.ends_with("-schema-post.sql") || name.ends_with("-schema-triggers.sql")
    }
}

impl ImportSource {
    /// A stream of that length, if that is known.
    pub fn stream(
        name: String,
        bytes: Option<u64>,
        open: impl FnOnce() -> io::Result<Box<dyn Read + Send>> + Send + 'static,
    ) -> Self {
        Self {
            files: vec![ImportFile {
                name,
                is_sealed: false,
                open: Box::new(open),
            }],
            bytes: bytes.unwrap_or(0),
            database: None,
            rows: BTreeMap::new(),
            manifest: None,
        }
    }

    /// The same, of a database whose name the text need not tell.
    #[must_use]
    pub fn of_database(self, name: &str) -> Self {
        Self {
            database: Some(name.to_owned()),
            ..self
        }
    }

    /// A file, or a directory that is a set of ours or was written by mydumper; of the latter the
    /// files of that database, if it is named.
    ///
    /// # Errors
    /// [`EngineError::NotImported`] when it is none of these; a file error.
    pub fn path(path: &Path, database: Option<&str>) -> Result<Self> {
        let metadata = fs::metadata(path).at("open", path)?;
        if metadata.is_file() {
            let mut source = Self::empty();
            source.add(path, metadata.len());
            return Ok(source);
        }
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(path).at("read", path)? {
            let name = entry.at("read", path)?.file_name();
            names.insert(name.to_string_lossy().into_owned());
        }
        if !names.contains(MANIFEST) {
            return Self::mydumper(path, &names, database);
        }
        if names.contains("metadata") {
            // An export in several files: the manifest tells what is in them.
            names.remove(MANIFEST);
            let mut source = Self::mydumper(path, &names, database)?;
            source.manifest = Some(path.join(MANIFEST));
            return Ok(source);
        }
        Self::set(path, &names)
    }

    /// Whether there is a copy of a server's data files, as `mariadb-backup` makes it: a directory, or a
    /// stream in a file, compressed or not.
    ///
    /// # Errors
    /// A file error.
    pub fn is_copy(path: &Path) -> Result<bool> {
        if fs::metadata(path).at("open", path)?.is_dir() {
            let has = |name: &str| path.join(name).exists();
            let marks = ["xtrabackup_checkpoints", "mariadb_backup_checkpoints"];
            return Ok(marks.into_iter().any(has) && !has(MANIFEST));
        }
        let file = Box::new(File::open(path).at("open", path)?);
        // What cannot be decompressed is told by whoever reads it.
        let Ok(mut plain) = decompressed(file) else {
            return Ok(false);
        };
        let mut head = Vec::new();
        let read = plain
            .by_ref()
            .take(STREAM.len() as u64)
            .read_to_end(&mut head);
        Ok(read.is_ok() && head == STREAM)
    }

    /// The directory of a set of ours.
    pub(super) fn set_dir(&self) -> Option<&Path> {
        self.manifest.as_deref().and_then(Path::parent)
    }

    /// Whether it is a set of ours, which has a manifest.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.manifest.is_some()
    }

    fn empty() -> Self {
        Self {
            files: Vec::new(),
            bytes: 0,
            database: None,
            rows: BTreeMap::new(),
            manifest: None,
        }
    }

    fn add(&mut self, path: &Path, bytes: u64) {
        let owned = path.to_owned();
        self.bytes += bytes;
        self.files.push(ImportFile {
            name: path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned(),
            is_sealed: path.extension().is_some_and(|ending| ending == "enc"),
            open: Box::new(move || Ok(Box::new(File::open(owned)?))),
        });
    }

    /// A set of ours.
    fn set(path: &Path, names: &BTreeSet<String>) -> Result<Self> {
        let mut dumps = names.iter().filter(|name| name.starts_with("dump.sql"));
        let (Some(dump), None) = (dumps.next(), dumps.next()) else {
            return Err(refused(path, "it has a manifest, but not one data file"));
        };
        let file = path.join(dump);
        let bytes = fs::metadata(&file).at("open", &file)?.len();
        let mut source = Self::empty();
        source.add(&file, bytes);
        source.manifest = Some(path.join(MANIFEST));
        Ok(source)
    }

    /// What mydumper wrote: definitions of tables, then rows, then views, then programs.
    fn mydumper(path: &Path, names: &BTreeSet<String>, database: Option<&str>) -> Result<Self> {
        let known = names
            .iter()
            .filter_map(|name| plain_name(name).strip_suffix("-schema-create.sql"))
            .collect::<BTreeSet<_>>();
        let database = match (database, known.len()) {
            (Some(database), _) => database,
            (None, 1) => known.first().copied().unwrap_or_default(),
            (None, 0) => {
                let what = "it is neither a set nor a directory that mydumper wrote";
                return Err(refused(path, what));
            }
            (None, _) => {
                let known = known.into_iter().collect::<Vec<_>>().join(", ");
                let what = format!("it has several databases ({known}): name one (--source-db)");
                return Err(refused(path, &what));
            }
        };
        if names.contains("metadata.partial") || !names.contains("metadata") {
            let what = "it has no file `metadata`: mydumper did not finish";
            return Err(refused(path, what));
        }
        let mut parts: [Vec<&str>; 5] = Default::default();
        let prefixes = [format!("{database}."), format!("{database}-schema")];
        for name in names {
            let plain = plain_name(name);
            let is_table = plain.starts_with(&prefixes[0]);
            if !is_table && !plain.starts_with(&prefixes[1]) {
                continue;
            }
            let part = match plain {
                _ if plain.ends_with("-schema-create.sql") && !is_table => continue,
                _ if plain.ends_with("-schema-post.sql") && !is_table => 4,
                _ if plain.ends_with("-schema-triggers.sql") => 3,
                _ if plain.ends_with("-schema-view.sql") => 2,
                _ if plain.ends_with("-schema.sql") || plain.ends_with("-schema-sequence.sql") => 0,
                _ if plain.ends_with(".sql") => 1,
                _ if plain.ends_with("-metadata") || plain.ends_with("-checksum") => continue,
                _ => {
                    let what = format!("{name} is in a form that is not known here");
                    return Err(refused(path, &what));
                }
            };
            parts[part].push(name);
        }
        let mut source = Self::empty();
        source.database = Some(database.to_owned());
        for name in parts.into_iter().flatten() {
            let file = path.join(name);
            let bytes = fs::metadata(&file).at("open", &file)?.len();
            source.add(&file, bytes);
        }
        if source.files.is_empty() {
            return Err(refused(
                path,
                &format!("it has no file of database {database}"),
            ));
        }
        let metadata = path.join("metadata");
        let text = fs::read_to_string(&metadata).at("read", &metadata)?;
        source.rows = rows_in(&text, database);
        Ok(source)
    }
}

fn refused(path: &Path, what: &str) -> EngineError {
    EngineError::NotImported {
        what: format!("{}: {what}", path.display()),
    }
}

/// A file's name without the ending of its compression.
fn plain_name(name: &str) -> &str {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.strip_suffix(".zst").unwrap_or(name)
}

/// The rows of tables as newer versions of mydumper note them: a section for each table.
fn rows_in(metadata: &str, database: &str) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    let mut table = None;
    let prefix = format!("[`{database}`.`");
    for line in metadata.lines().map(str::trim) {
        if line.starts_with('[') {
            let name = line.strip_prefix(&prefix);
            table = name.and_then(|name| name.strip_suffix("`]"));
        } else if let Some(name) = line.strip_prefix("real_table_name=") {
            // Files may be called otherwise.
            table = table.and(Some(name));
        } else if let (Some(table), Some((key, value))) = (table, line.split_once('='))
            && key.trim().eq_ignore_ascii_case("rows")
            && let Ok(count) = value.trim().parse()
        {
            rows.insert(table.to_owned(), count);
        }
    }
    rows
}

/// Counts what is read.
struct Counting<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Reads a file on a thread of its own, and counts what is read of it as it lies.
pub(super) fn read(
    file: ImportFile,
    keys: &BackupKeys,
    count: &Arc<AtomicU64>,
) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let (keys, count) = (keys.clone(), Arc::clone(count));
    tokio::task::spawn_blocking(move || {
        if let Err(error) = pump(file, &keys, count, &sender) {
            // Whoever wanted it may have stopped.
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

fn pump(
    file: ImportFile,
    keys: &BackupKeys,
    count: Arc<AtomicU64>,
    sender: &mpsc::Sender<io::Result<Vec<u8>>>,
) -> io::Result<()> {
    let path = PathBuf::from(&file.name);
    let inner = (file.open)()?;
    let counting = BufReader::with_capacity(CHUNK, Counting { inner, count });
    let opened: Box<dyn Read> = match file.is_sealed {
        false => Box::new(counting),
        true => {
            let opened = OpeningReader::open(counting, keys);
            let opened = opened.map_err(|failure| failure.at(&path));
            Box::new(opened.map_err(io::Error::other)?)
        }
    };
    let mut plain = decompressed(opened)?;
    loop {
        let mut chunk = vec![0; CHUNK];
        let mut filled = 0;
        while filled < CHUNK {
            match plain.read(&mut chunk[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        chunk.truncate(filled);
        if filled == 0 || sender.blocking_send(Ok(chunk)).is_err() {
            return Ok(());
        }
    }
}

/// The text of what may be compressed by gzip or Zstandard, which its first bytes tell.
pub(crate) fn decompressed(mut file: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
    let mut head = Vec::new();
    (&mut file).take(4).read_to_end(&mut head)?;
    let is = |magic: &[u8]| head.starts_with(magic);
    let (is_gzip, is_zstd) = (is(&[0x1f, 0x8b]), is(&[0x28, 0xb5, 0x2f, 0xfd]));
    let is_other = is(b"BZh") || is(b"PK\x03\x04") || is(b"\xfd7zX");
    let whole = Cursor::new(head).chain(file);
    if is_other {
        let what = "it is in a form that is not known here: plain text, gzip and Zstandard are";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(if is_gzip {
        Box::new(flate2::read::MultiGzDecoder::new(whole))
    } else if is_zstd {
        Box::new(zstd::Decoder::new(whole)?)
    } else {
        Box::new(whole)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_out_of_metadata() {
        let text = "[config]\nrows = 9\n[`shop`.`t`]\nreal_table_name=t\nrows = 3\n[`other`.`u`]\nrows = 4\n";
        assert_eq!(rows_in(text, "shop"), BTreeMap::from([("t".to_owned(), 3)]));
        // As older versions have it.
        assert!(rows_in("Started dump at: x\nFinished dump at: y\n", "shop").is_empty());
    }

    #[test]
    fn files_of_mydumper_are_read_in_the_order_in_which_they_can_be_loaded() {
        let dir = tempfile::tempdir().expect("a directory");
        let names = [
            "metadata",
            "shop-schema-create.sql",
            "shop-schema-post.sql",
            "shop.v-schema-view.sql.gz",
            "shop.v-schema.sql.gz",
            "shop.orders.00001.sql.zst",
            "shop.orders-schema.sql.zst",
            "shop.orders-schema-triggers.sql",
            "other-schema-create.sql",
            "other.x.sql",
        ];
        for name in names {
            fs::write(dir.path().join(name), "x").expect("written");
        }
        let source = ImportSource::path(dir.path(), Some("shop")).expect("one");
        let files: Vec<_> = source.files.iter().map(|file| file.name.as_str()).collect();
        let expected = [
            "shop.orders-schema.sql.zst",
            "shop.v-schema.sql.gz",
            "shop.orders.00001.sql.zst",
            "shop.v-schema-view.sql.gz",
            "shop.orders-schema-triggers.sql",
            "shop-schema-post.sql",
        ];
        assert_eq!(files, expected);
        assert_eq!(source.bytes, 6);
        let several = ImportSource::path(dir.path(), None);
        let error = several.err().expect("not told which").to_string();
        assert!(error.contains("other, shop"), "{error}");
        fs::remove_file(dir.path().join("metadata")).expect("there");
        assert!(ImportSource::path(dir.path(), Some("shop")).is_err());
    }
}
