//! A backup of the control plane is taken while it runs.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use openpeta_store::{Store, schema_version};

use super::archive::{self, ArchiveError, ArchiveManifest, Content, Source};
use crate::parts::Parts;
use crate::{ControlError, DataDir};

/// The store in an archive, and in a data directory.
const STORE: &str = "store.sqlite3";
const KEY: &str = "store.key";
/// The configuration in an archive, whatever its file was called.
const CONFIGURATION: &str = "openpeta.toml";
/// The copy of the store from which an archive is written.
const COPY: &str = "store.copy";

/// An archive that was written.
#[derive(Clone, Debug)]
pub(crate) struct TakenArchive {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) manifest: ArchiveManifest,
}

impl Parts {
    /// Writes a backup of the control plane into a file that does not exist yet, or into one of
    /// its usual name.
    ///
    /// # Errors
    /// [`ArchiveError`]; there is no such file then.
    pub(crate) async fn back_up_control_plane(
        &self,
        path: Option<PathBuf>,
        now: Timestamp,
    ) -> Result<TakenArchive, ArchiveError> {
        let _one_at_a_time = self.control_plane_backup.lock().await;
        let data_dir = DataDir::new(self.store.data_dir());
        let usual = data_dir.control_plane_backups();
        let path = path.unwrap_or_else(|| usual.join(super::schedule::file_name(now)));
        let (store, configuration) = (self.store.clone(), self.config.file.clone());
        let taken = tokio::task::spawn_blocking(move || {
            take(&store, &data_dir, configuration.as_deref(), path, now)
        });
        match taken.await {
            Ok(taken) => taken,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

fn take(
    store: &Store,
    data_dir: &DataDir,
    configuration: Option<&Path>,
    path: PathBuf,
    now: Timestamp,
) -> Result<TakenArchive, ArchiveError> {
    if path.exists() {
        let what = "exists already; name another file".to_owned();
        return Err(ArchiveError::InTheWay { path, what });
    }
    let usual = data_dir.control_plane_backups();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&usual)
        .map_err(ArchiveError::io(&usual))?;
    let copy = usual.join(COPY);
    remove(&copy)?;
    let taken = store
        .copy_to(&copy)
        .map_err(ArchiveError::from)
        .and_then(|()| write(store, data_dir, configuration, &copy, &path, now));
    remove(&copy)?;
    let manifest = taken?;
    // What cannot be read again is none.
    archive::check(&path)?;
    let bytes = fs::metadata(&path).map_err(ArchiveError::io(&path))?.len();
    Ok(TakenArchive {
        path,
        bytes,
        manifest,
    })
}

fn write(
    store: &Store,
    data_dir: &DataDir,
    configuration: Option<&Path>,
    copy: &Path,
    path: &Path,
    now: Timestamp,
) -> Result<ArchiveManifest, ArchiveError> {
    let mut sources = vec![
        Source {
            name: STORE.to_owned(),
            content: Content::File(copy.to_owned()),
            is_public: false,
        },
        source(&data_dir.path().join(KEY), KEY.to_owned())?,
    ];
    sources.extend(certificates(&data_dir.tls())?);
    if let Some(file) = configuration {
        sources.push(Source {
            is_public: false,
            ..source(file, CONFIGURATION.to_owned())?
        });
    }
    let instances = store.read(|reader| reader.instances())?;
    let manifest = ArchiveManifest {
        format: 0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        schema: schema_version(),
        taken_at: now,
        data_dir: data_dir.path().to_string_lossy().into_owned(),
        instances: instances.into_iter().map(|it| it.instance_id).collect(),
        members: Vec::new(),
    };
    archive::write(path, manifest, &sources)
}

/// The files of certificates and their keys, by name; none in a control plane without any.
fn certificates(directory: &Path) -> Result<Vec<Source>, ArchiveError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.map_err(ArchiveError::io(directory))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(ArchiveError::io(directory))?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let name = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        format!("tls/{name}")
    };
    let sources = paths.iter().map(|path| source(path, name(path)));
    sources.collect()
}

/// A small file, read at once.
fn source(path: &Path, name: String) -> Result<Source, ArchiveError> {
    let content = fs::read(path).map_err(ArchiveError::io(path))?;
    let metadata = fs::metadata(path).map_err(ArchiveError::io(path))?;
    Ok(Source {
        name,
        content: Content::Bytes(content),
        is_public: metadata.permissions().mode() & 0o004 != 0,
    })
}

fn remove(path: &Path) -> Result<(), ArchiveError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ArchiveError::io(path)(error)),
        _ => Ok(()),
    }
}

impl From<ArchiveError> for ControlError {
    /// It is told to the operator alone.
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::InTheWay { .. } => {
                let detail = format!("{error}.");
                let api = openpeta_rpc_api::ApiError::invalid_parameter("file");
                api.with_detail(&detail).into()
            }
            ArchiveError::Store(error) => error.into(),
            error => Self::unavailable(error),
        }
    }
}
