//! Sets of data files: `mariadb-backup` copies them, we say what they hold.
//!
//! Of a node, only the files of one database are in a set, with what InnoDB keeps for all of
//! them (its system tablespace and redo log), the stored programs, and InnoDB's statistics. No
//! account is in it. What is restored gets all else that a server needs from the installation.

mod foreign;
mod merge;
mod relay;
mod restore;
mod still;
mod tool;
mod truth;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openpeta_types::{DbName, NodeId};
use tokio::io::{AsyncRead, AsyncReadExt};

use self::relay::{NO_PASSWORD, Relay};
pub(crate) use self::restore::ATTEMPT as LOAD_ATTEMPT;
use self::restore::{check_room, option};
pub use self::still::{Stillness, Stood};
use self::tool::{Tool, Tools, tail};
use self::truth::Truth;
use super::manifest::{BackupSource, BaseSet, DumpFile, Manifest, PLAIN_FILES, Physical};
use super::pace::{Pace, Paced};
use super::writer::DumpWriter;
use super::{Progress, TakenSet, entries, set_dir};
use crate::engine::{Engine, blocking};
use crate::error::{AtPath, EngineError, Result};
use crate::node_dir::no_follow;
use crate::sealed;
use crate::sql::ADMIN_ACCOUNT;
use crate::template::remove;

/// The name of the file with the data.
pub(super) const STREAM: &str = "data.mbstream.zst";

/// The socket that stands before the server's; as long a name as that one has.
const SOCKET: &str = "backup.sock";

/// Where `mariadb-backup` says how far it came, in the node's directory of temporary files.
const NOTES: &str = "backup-notes";

/// What Zstandard makes of tables that can be compressed well: a disk with less room than that
/// has none.
const LIKELY_COMPRESSION: u64 = 4;

/// What is copied beside the database. All else in the system's schema is the installation's.
const SYSTEM_TABLES: &str = "mysql.proc mysql.event mysql.innodb_table_stats \
    mysql.innodb_index_stats mysql.gtid_slave_pos mysql.transaction_registry";

/// What an incremental set goes on from.
#[derive(Clone, Debug)]
pub struct Base {
    /// The set.
    pub set: BaseSet,
    /// Its `to_lsn`.
    pub lsn: u64,
}

impl Engine {
    /// Takes a set of data files of a database into a directory that then is exactly that set;
    /// only of what was written since another one, if there is a `base`. Clients go on, but for
    /// definitions, tables without transactions and, for an instant, commits at its end. Where
    /// transactions over nodes may write to the database, none is under way at its moment: `still` sees to
    /// that. Dropping the future leaves leftovers that [`destroy_set`](Self::destroy_set) or another
    /// attempt removes.
    ///
    /// # Errors
    /// [`EngineError::NotStill`], [`EngineError::InDoubt`]; [`EngineError::SchemaChanged`] when a definition was changed before its table was read;
    /// [`EngineError::UnsupportedEngine`]; [`EngineError::NoRoom`]; [`EngineError::BackupToolFailed`],
    /// [`EngineError::BinaryMissing`]; a file error, or one of the connection.
    pub async fn take_physical_set(
        &self,
        node: &NodeId,
        database: &DbName,
        set: &Path,
        source: &BackupSource,
        (base, still): (Option<&Base>, Option<&dyn Stillness>),
        progress: Progress<'_>,
    ) -> Result<TakenSet> {
        let tools = self.backup_tools().await?;
        if base.is_none() {
            self.check_room_for(node, database, set).await?;
        }
        let mut session = self.session(node, database).await?;
        let one = self.session(node, database).await?;
        let mut locking = [one, self.session(node, database).await?];
        let path = set.to_owned();
        let directory = blocking(move || set_dir::begin(&path)).await?;
        let keys = self.backup_keys().clone();
        let name = match keys.current() {
            None => STREAM.to_owned(),
            Some(_) => format!("{STREAM}.{}", sealed::ENDING),
        };
        // How quickly the files are read is bounded below, for not all of it may wait.
        let mut writer =
            DumpWriter::create(&directory, name, Pace::unbounded().begin(), keys.clone())?;

        let node_dir = self.node_dir(node)?;
        let notes = node_dir.join("tmp").join(NOTES);
        remove(&notes)?;
        let (relay, mut held) = Relay::open(
            node_dir.join(SOCKET),
            self.socket_path(node)?,
            self.user(),
            self.admin_password().clone(),
        )?;
        let mut tool = self.copy_files(&tools, &node_dir, database, &notes, base)?;
        relay.admit(tool.pid());
        let (output, errors) = (tool.child().stdout.take(), tool.child().stderr.take());
        let is_held = AtomicBool::new(false);
        let copy = async {
            let pace = self.backup_pace().begin();
            let pumped = pump(output, &mut writer, pace, &is_held, progress);
            let printed = async { tail(errors).await.at("read from", &tools.backup) };
            let ((), printed) = tokio::try_join!(pumped, printed)?;
            tool.finish(&printed).await?;
            relay.close();
            writer.finish().await
        };
        let find = truth::find(
            &mut session,
            &mut locking,
            (node, database),
            (&mut held, still),
            &is_held,
            progress,
        );
        let (dump, truth) = tokio::try_join!(copy, find)?;
        session.close().await;
        for locking in locking {
            locking.close().await;
        }

        let noted = Notes::read(&notes)?;
        remove(&notes)?;
        noted.check(&truth, base)?;
        let physical = Physical {
            from_lsn: noted.from_lsn,
            to_lsn: noted.to_lsn,
            base: base.map(|base| base.set.clone()),
        };
        let mut manifest = manifest(truth, database, source, dump, physical);
        manifest.binlog.node = node.to_string();
        manifest.encrypt(&keys);
        let set = set.to_owned();
        blocking(move || {
            let (bytes, manifest_sha256) = set_dir::finish(&set, &manifest, &keys)?;
            Ok(TakenSet {
                bytes: bytes + manifest.dump.bytes,
                manifest,
                manifest_sha256,
            })
        })
        .await
    }

    /// Makes sure that a full set has room where it is to be. How well it can be compressed nobody
    /// knows beforehand: what fills the disk all the same is removed again.
    async fn check_room_for(&self, node: &NodeId, database: &DbName, set: &Path) -> Result<()> {
        let data = self.node_dir(node)?.join("data");
        let (of_database, set) = (data.join(database.as_str()), set.to_owned());
        blocking(move || {
            let bytes = bytes_in(&of_database)? + bytes_of(&data.join("ibdata1"));
            // The directory is not made yet.
            let there = set.ancestors().find(|dir| dir.is_dir());
            check_room(there.unwrap_or(Path::new("/")), bytes / LIKELY_COMPRESSION)
        })
        .await
    }

    async fn backup_tools(&self) -> Result<Arc<Tools>> {
        let server = self.config().mariadbd.clone();
        let version = self.server_version().to_owned();
        blocking(move || Tools::find(&server, &version).map(Arc::new)).await
    }

    /// Starts the copy.
    fn copy_files(
        &self,
        tools: &Tools,
        node_dir: &Path,
        database: &DbName,
        notes: &Path,
        base: Option<&Base>,
    ) -> Result<Tool> {
        let temporary = node_dir.join("tmp");
        let mut command = self.user().command(&tools.backup);
        command
            .arg("--no-defaults")
            .args(["--backup", "--stream=mbstream"])
            .arg(option("--datadir=", &node_dir.join("data")))
            .arg(option("--socket=", &node_dir.join(SOCKET)))
            .arg(option("--target-dir=", &temporary))
            .arg(option("--tmpdir=", &temporary))
            .arg(option("--extra-lsndir=", notes))
            .arg(format!("--user={ADMIN_ACCOUNT}"))
            .arg(format!("--password={NO_PASSWORD}"))
            .arg(format!("--databases={database} {SYSTEM_TABLES}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(base) = base {
            command.arg(format!("--incremental-lsn={}", base.lsn));
        }
        Tool::spawn(command, &tools.backup)
    }
}

/// Bytes of the files in a directory and those below.
fn bytes_below(dir: &Path) -> Result<u64> {
    let mut bytes = bytes_in(dir)?;
    for entry in std::fs::read_dir(dir).at("read", dir)? {
        let entry = entry.at("read", dir)?;
        if entry.file_type().at("read", dir)?.is_dir() {
            bytes += bytes_below(&entry.path())?;
        }
    }
    Ok(bytes)
}

/// Bytes of the files in a directory.
fn bytes_in(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).at("read", dir)? {
        bytes += bytes_of(&entry.at("read", dir)?.path());
    }
    Ok(bytes)
}

/// Bytes of a file; one that is gone meanwhile has none.
fn bytes_of(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).map_or(0, |metadata| metadata.len())
}

/// Carries the stream into the file, at the pace of backups but where somebody waits for it.
async fn pump(
    output: Option<impl AsyncRead + Unpin>,
    writer: &mut DumpWriter,
    mut pace: Paced,
    is_held: &AtomicBool,
    progress: Progress<'_>,
) -> Result<()> {
    let Some(mut output) = output else {
        return Ok(());
    };
    let mut copied = 0;
    loop {
        let read = output.read_buf(&mut writer.buffer).await;
        let read = read.at("read from", Path::new("mariadb-backup"))?;
        if read == 0 {
            return Ok(());
        }
        // While the tool holds locks, nothing waits.
        if !is_held.load(Ordering::Relaxed) {
            pace.pass(read).await;
        }
        copied += read as u64;
        writer.flush_if_full().await?;
        // How much it will be nobody says beforehand.
        progress(0, 0, &format!("files, {} MiB so far", copied >> 20));
    }
}

fn manifest(
    truth: Truth,
    database: &DbName,
    source: &BackupSource,
    dump: DumpFile,
    physical: Physical,
) -> Manifest {
    let schema = truth.schema;
    Manifest {
        format: PLAIN_FILES,
        source: source.clone(),
        server_version: truth.moment.server_version,
        taken_at: truth.moment.at,
        binlog: truth.moment.binlog,
        dump,
        files: Vec::new(),
        encryption: None,
        physical: Some(physical),
        spread: None,
        views: entries::views(&schema, database),
        routines: entries::programs(&schema.routines),
        triggers: entries::programs(&schema.triggers),
        events: entries::events(&schema.events),
        tables: truth.tables,
        sequences: truth.sequences,
        invalid_views: schema.invalid_views,
        database: schema.database,
    }
}

/// What `mariadb-backup` says of a copy.
#[derive(Debug, PartialEq, Eq)]
struct Notes {
    from_lsn: u64,
    to_lsn: u64,
    /// As `filename 'bin.000001', position '4540', …`.
    position: String,
}

impl Notes {
    fn read(dir: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = dir.join(name);
            let mut text = String::new();
            // The directory is the node's.
            let file = File::options()
                .read(true)
                .custom_flags(no_follow())
                .open(&path);
            let file = file.at("open", &path)?;
            let read = file.take(64 << 10).read_to_string(&mut text);
            read.at("read", &path).map(|_| text)
        };
        Self::parse(&read("xtrabackup_checkpoints")?, &read("xtrabackup_info")?).ok_or_else(|| {
            EngineError::BackupToolFailed {
                program: "mariadb-backup".to_owned(),
                output: format!("what it wrote into {} is unknown", dir.display()),
            }
        })
    }

    fn parse(checkpoints: &str, info: &str) -> Option<Self> {
        let value = |text: &str, name: &str| {
            text.lines().find_map(|line| {
                let (found, value) = line.split_once('=')?;
                (found.trim() == name).then(|| value.trim().to_owned())
            })
        };
        let number = |name| value(checkpoints, name)?.parse().ok();
        Some(Self {
            from_lsn: number("from_lsn")?,
            to_lsn: number("to_lsn")?,
            position: value(info, "binlog_pos").unwrap_or_default(),
        })
    }

    /// Makes sure that the copy is of the moment that we looked at, and goes on from its base.
    fn check(&self, truth: &Truth, base: Option<&Base>) -> Result<()> {
        let failed = |output: String| EngineError::BackupToolFailed {
            program: "mariadb-backup".to_owned(),
            output,
        };
        let binlog = &truth.moment.binlog;
        let ours = format!("filename '{}', position '{}'", binlog.file, binlog.position);
        if !self.position.starts_with(&ours) {
            let theirs = &self.position;
            return Err(failed(format!("it copied {theirs}, not {ours}")));
        }
        match base {
            Some(base) if base.lsn != self.from_lsn => {
                let (wanted, found) = (base.lsn, self.from_lsn);
                Err(failed(format!("it began at {found}, not {wanted}")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_needs_room() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("a.ibd"), [0; 5000]).expect("ours");
        std::fs::write(dir.path().join("a.frm"), [0; 7]).expect("ours");
        assert_eq!(bytes_in(dir.path()).expect("readable"), 5007);
        assert_eq!(bytes_of(&dir.path().join("gone")), 0);
        assert!(check_room(dir.path(), 0).is_ok());
        let refused = check_room(dir.path(), u64::MAX / 2);
        assert!(
            matches!(refused, Err(EngineError::NoRoom { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn what_the_program_says_is_understood() {
        let checkpoints = "backup_type = incremental\nfrom_lsn = 44404\nto_lsn = 44500\n\
            last_lsn = 313469\n";
        let info = "uuid = x\nbinlog_pos = filename 'bin.000001', position '4540', GTID of \
            the last change '0-7-23'\n";
        let notes = Notes::parse(checkpoints, info).expect("as it is");
        assert_eq!((notes.from_lsn, notes.to_lsn), (44404, 44500));
        assert!(
            notes
                .position
                .starts_with("filename 'bin.000001', position '4540'")
        );
        assert_eq!(Notes::parse("from_lsn = 1\n", info), None);
        assert_eq!(Notes::parse("from_lsn = 1\nto_lsn = x\n", info), None);
    }
}
