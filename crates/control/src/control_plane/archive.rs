//! The file that a backup of the control plane is: a tar archive that begins with a manifest and
//! the manifest's SHA-256, as `sha256sum` writes it. All other members stand in the manifest, in
//! their order, each with its length and SHA-256.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use openpeta_types::InstanceId;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use tar::{Archive, Builder, EntryType, Header};

/// The form that this version writes and reads.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const MANIFEST_DIGEST: &str = "manifest.json.sha256";
/// Bytes that a manifest may have.
const LONGEST_MANIFEST: u64 = 64 << 20;
/// Bytes that are moved at once.
const CHUNK: usize = 64 << 10;

/// Why an archive cannot be written, read or put in place. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file operation failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("{} is no whole backup of a control plane: {what}", path.display())]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The archive was made by a later version.
    #[error("{} was made by OpenPeta {version}, which this version does not know: {what}; use that version or a later one", path.display())]
    Newer {
        /// The archive.
        path: PathBuf,
        /// Who made it.
        version: String,
        /// What is newer.
        what: String,
    },
    /// Something is where the restored data directory is to be.
    #[error("{}: {what}", path.display())]
    InTheWay {
        /// Where.
        path: PathBuf,
        /// What, and what to do.
        what: String,
    },
    /// The store in the archive, or the one that is backed up, does not work.
    #[error("metadata store: {0}")]
    Store(#[from] openpeta_store::StoreError),
}

impl ArchiveError {
    /// The error of an operation on a file.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// What is in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveManifest {
    /// The form of the archive.
    pub format: u32,
    /// The version of OpenPeta that wrote it.
    pub version: String,
    /// The schema of the store in it.
    pub schema: u32,
    /// The moment whose state it is.
    pub taken_at: Timestamp,
    /// The data directory that was backed up.
    pub data_dir: String,
    /// The instances that the store knows.
    pub instances: Vec<InstanceId>,
    /// The other members, in their order.
    pub members: Vec<Member>,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its path in the data directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Whether others than its owner may read it.
    pub is_public: bool,
}

/// A file that is to be in an archive.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) content: Content,
    pub(super) is_public: bool,
}

/// Where its content is.
pub(super) enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl Content {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Bytes(bytes) => Box::new(bytes.as_slice()),
        })
    }
}

/// Writes an archive that only its owner may read. It has its name when it is whole and on disk.
pub(super) fn write(
    path: &Path,
    mut manifest: ArchiveManifest,
    sources: &[Source],
) -> Result<ArchiveManifest, ArchiveError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    for source in sources {
        let (bytes, sha256) = source
            .content
            .open()
            .and_then(|mut content| copy(&mut content, &mut io::sink()))
            .map_err(ArchiveError::io(Path::new(&source.name)))?;
        manifest.members.push(Member {
            name: source.name.clone(),
            bytes,
            sha256,
            is_public: source.is_public,
        });
    }
    manifest.format = FORMAT;
    let written = write_new(&new, &manifest, sources)
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| File::open(parent(path))?.sync_all());
    if let Err(error) = written {
        let _ = fs::remove_file(&new);
        return Err(ArchiveError::io(path)(error));
    }
    Ok(manifest)
}

fn write_new(new: &Path, manifest: &ArchiveManifest, sources: &[Source]) -> io::Result<()> {
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)?;
    let mut tar = Builder::new(BufWriter::with_capacity(CHUNK, file));
    let mut text = serde_json::to_vec_pretty(manifest)?;
    text.push(b'\n');
    let (_, sha256) = copy(&mut text.as_slice(), &mut io::sink())?;
    let digest = format!("{sha256}  {MANIFEST}\n");
    append(&mut tar, MANIFEST, text.len() as u64, &mut text.as_slice())?;
    append(
        &mut tar,
        MANIFEST_DIGEST,
        digest.len() as u64,
        &mut digest.as_bytes(),
    )?;
    for (member, source) in manifest.members.iter().zip(sources) {
        let mut content = Digesting::new(source.content.open()?);
        append(&mut tar, &member.name, member.bytes, &mut content)?;
        if content.finish() != (member.bytes, member.sha256.clone()) {
            let what = format!("{} changed while it was read", member.name);
            return Err(io::Error::other(what));
        }
    }
    let file = tar
        .into_inner()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

fn append<W: Write>(
    tar: &mut Builder<W>,
    name: &str,
    bytes: u64,
    content: &mut dyn Read,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o600);
    header.set_size(bytes);
    tar.append_data(&mut header, name, content.take(bytes))
}

/// Reads all of an archive, and compares each member with the manifest. Nothing is written.
///
/// # Errors
/// [`ArchiveError::Damaged`], [`ArchiveError::Newer`], [`ArchiveError::Io`].
pub fn check(path: &Path) -> Result<ArchiveManifest, ArchiveError> {
    read(path, |_| Ok(Box::new(io::sink())))
}

/// Writes the members of an archive into a directory, each checked again.
pub(super) fn unpack(path: &Path, directory: &Path) -> Result<ArchiveManifest, ArchiveError> {
    read(path, |member| {
        let target = directory.join(&member.name);
        if let Some(parent) = target.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o711)
                .create(parent)?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(if member.is_public { 0o644 } else { 0o600 })
            .open(target)?;
        Ok(Box::new(Synced(file)))
    })
}

/// Reads an archive; each member goes to what `target` gives for it.
fn read<'t>(
    path: &Path,
    target: impl Fn(&Member) -> io::Result<Box<dyn Sink + 't>>,
) -> Result<ArchiveManifest, ArchiveError> {
    let damaged = |what: &str| ArchiveError::Damaged {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    let file = File::open(path).map_err(ArchiveError::io(path))?;
    let mut archive = Archive::new(BufReader::with_capacity(CHUNK, file));
    // Whatever the reader of the form does not like is damage; the disk would say so as well.
    let broken = |error: io::Error| damaged(&error.to_string());
    let mut entries = archive.entries().map_err(broken)?;
    let mut next = || match entries.next() {
        None => Err(damaged("it ends too early")),
        Some(entry) => {
            let entry = entry.map_err(broken)?;
            let name = entry.path().map_err(broken)?.to_string_lossy().into_owned();
            match entry.header().entry_type() {
                EntryType::Regular => Ok((name, entry)),
                _ => Err(damaged("it has something else than files")),
            }
        }
    };
    let (name, entry) = next()?;
    if name != MANIFEST {
        return Err(damaged("it does not begin with a manifest"));
    }
    let mut text = Vec::new();
    entry
        .take(LONGEST_MANIFEST)
        .read_to_end(&mut text)
        .map_err(broken)?;
    let (name, mut entry) = next()?;
    let mut digest = String::new();
    let (_, sha256) = copy(&mut text.as_slice(), &mut io::sink()).map_err(broken)?;
    if name != MANIFEST_DIGEST
        || entry.read_to_string(&mut digest).is_err()
        || digest != format!("{sha256}  {MANIFEST}\n")
    {
        return Err(damaged("its manifest is not the one that was written"));
    }
    let manifest = parse(path, &text)?;
    for member in &manifest.members {
        let (name, mut entry) = next()?;
        if name != member.name {
            return Err(damaged(&format!("{} is missing", member.name)));
        }
        let at = path.join(&member.name);
        let mut to = target(member).map_err(ArchiveError::io(&at))?;
        let found = copy(&mut entry, &mut to).map_err(broken)?;
        if found != (member.bytes, member.sha256.clone()) {
            return Err(damaged(&format!("{} is not what was written", member.name)));
        }
        to.end().map_err(ArchiveError::io(&at))?;
    }
    match next() {
        Ok((name, _)) => Err(damaged(&format!("{name} does not belong to it"))),
        // The end, as it should be.
        Err(_) => Ok(manifest),
    }
}

/// The manifest, if this version can do what it asks for.
fn parse(path: &Path, text: &[u8]) -> Result<ArchiveManifest, ArchiveError> {
    /// What the manifest of any version tells.
    #[derive(Deserialize)]
    struct Any {
        format: u32,
        version: String,
    }
    let damaged = |what: String| ArchiveError::Damaged {
        path: path.to_owned(),
        what,
    };
    let not_json = |error: serde_json::Error| damaged(format!("its manifest: {error}"));
    let newer = |version: String, what: String| ArchiveError::Newer {
        path: path.to_owned(),
        version,
        what,
    };
    let any: Any = serde_json::from_slice(text).map_err(not_json)?;
    if any.format != FORMAT {
        return Err(newer(any.version, format!("form {}", any.format)));
    }
    let manifest: ArchiveManifest = serde_json::from_slice(text).map_err(not_json)?;
    if manifest.schema > openpeta_store::schema_version() {
        let what = format!("schema {} of the store", manifest.schema);
        return Err(newer(manifest.version, what));
    }
    let is_inside = |member: &Member| {
        let mut parts = Path::new(&member.name).components();
        !member.name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    match manifest.members.iter().find(|member| !is_inside(member)) {
        Some(member) => Err(damaged(format!("{:?} is no name of a member", member.name))),
        None => Ok(manifest),
    }
}

/// Where a member goes.
trait Sink: Write {
    /// Everything was written.
    fn end(&mut self) -> io::Result<()>;
}

impl Sink for io::Sink {
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is on disk in the end.
struct Synced(File);

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Sink for Synced {
    fn end(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// Passes bytes on and remembers their number and digest.
struct Digesting<R> {
    inner: R,
    bytes: u64,
    digest: Context,
}

impl<R> Digesting<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            bytes: 0,
            digest: Context::new(&SHA256),
        }
    }

    fn finish(self) -> (u64, String) {
        let digest = self.digest.finish();
        let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        (self.bytes, digits.collect())
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}

/// Copies to the end; tells length and SHA-256.
fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(u64, String)> {
    let mut from = Digesting::new(from);
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            return Ok(from.finish());
        }
        to.write_all(&chunk[..read])?;
    }
}

/// The directory that a file is in.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}
