//! Backup sets of one database: taken down as SQL text with a manifest, loaded into another
//! node, compared with the manifest.
//!
//! MariaDB's own `mariadb-dump` would not do: it writes a `FLOAT` with six digits, so that what
//! is loaded is not what was there; it stops at a view that refers to something that is gone;
//! and nobody counts the rows that it wrote. What is written here can be loaded with MariaDB's
//! own client, see docs/backup.md.

mod checksum;
mod columns;
mod decrypt;
mod definer;
mod dump;
mod entries;
mod export;
mod found;
pub(crate) mod in_doubt;
mod layout;
mod load;
mod manifest;
mod moment;
mod pace;
mod physical;
mod schema;
mod session;
mod set_dir;
mod spread;
mod spread_export;
mod untold;
mod verify;
mod views;
mod writer;

use std::future::Future;
use std::path::{Path, PathBuf};

use openpeta_types::{DbName, ExportForm, NodeId};
use tokio::sync::watch;

pub use self::set_dir::MANIFEST;
pub use decrypt::decrypt_backup;
pub use manifest::{
    BackupSource, BaseSet, BinlogPosition, DatabaseInfo, DumpFile, Encryption, EventEntry,
    Manifest, NodeContent, NodePart, Physical, SequenceEntry, Spread, TableEntry,
};
pub use physical::{Base, Stillness, Stood};
pub use spread::{Origin, Snapshots};

pub(crate) use self::spread::IDS;
pub(crate) use self::spread_export::said_by_users;

pub(crate) use self::columns::{Column, check_query, names, select};
use self::export::{Output, Place};
use self::layout::Layout;
pub(crate) use self::layout::REMARK;
pub(crate) use self::pace::Pace;
pub(crate) use self::physical::LOAD_ATTEMPT;
pub(crate) use self::schema::{Schema, Table, triggered};
pub(crate) use self::session::{MAX_PACKET, Session, bytes};
pub(crate) use self::set_dir::read_set;
pub(crate) use self::verify::checksum;
use self::writer::DumpWriter;
use crate::background::{self, in_background};
use crate::engine::{Engine, blocking};
use crate::error::Result;
use crate::sealed::BackupKeys;

/// The name of the file with the data.
const DUMP: &str = "dump.sql.zst";

/// `max_allowed_packet` of nodes, as their configuration has it.
const USUAL_PACKET: usize = 64 << 20;

/// Is told how much is done: bytes so far, about how many in all, and what is at work.
pub type Progress<'a> = &'a (dyn Fn(u64, u64, &str) + Send + Sync);

/// The same, owned by whoever tells.
type Tell = Box<dyn Fn(u64, u64, &str) + Send + Sync>;

/// A set that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenSet {
    /// What is told of it.
    pub manifest: Manifest,
    /// SHA-256 of the file that the manifest is in.
    pub manifest_sha256: String,
    /// What the set takes on disk.
    pub bytes: u64,
}

impl Engine {
    /// Takes a backup set of a database into a directory that then is exactly that set. Nobody
    /// is kept from working with the database meanwhile. Dropping the future leaves leftovers
    /// that [`destroy_set`](Self::destroy_set) or another attempt removes.
    ///
    /// # Errors
    /// [`EngineError::SchemaChanged`](crate::EngineError::SchemaChanged) when somebody changed
    /// the definition of an object meanwhile;
    /// [`EngineError::UnknownColumnType`](crate::EngineError::UnknownColumnType); a file error,
    /// or one of the connection.
    pub async fn take_set(
        &self,
        origin: impl Into<Origin>,
        database: &DbName,
        set: &Path,
        source: &BackupSource,
        progress: Progress<'_>,
    ) -> Result<TakenSet> {
        let keys = self.backup_keys().clone();
        self.write_set(origin.into(), database, (set, keys), None, source, progress)
            .await
    }

    async fn write_set(
        &self,
        origin: Origin,
        database: &DbName,
        (set, keys): (&Path, BackupKeys),
        form: Option<ExportForm>,
        source: &BackupSource,
        progress: Progress<'_>,
    ) -> Result<TakenSet> {
        let directory = set.to_owned();
        let directory = blocking(move || set_dir::begin(&directory)).await?;
        let place = Place {
            output: Output::Dir(directory, keys.clone()),
            form,
        };
        let manifest = self
            .take_down(origin, database, place, source, progress)
            .await?;
        self.finish_set(set, manifest, keys).await
    }

    /// Writes the manifest, with which the set is whole.
    async fn finish_set(
        &self,
        set: &Path,
        mut manifest: Manifest,
        keys: BackupKeys,
    ) -> Result<TakenSet> {
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

    /// Writes the data of a set or export.
    async fn take_down(
        &self,
        origin: Origin,
        database: &DbName,
        place: Place,
        source: &BackupSource,
        progress: Progress<'_>,
    ) -> Result<Manifest> {
        let engine = self.clone();
        let (name, source) = (database.clone(), source.clone());
        let work = move |mut writer: DumpWriter, layout: Layout, tell: Tell| async move {
            let (node, mut session, begun) = origin.begin(&engine, &name).await?;
            let target = (&mut writer, &layout);
            let taken = dump::write_down(&mut session, &name, &source, begun, None, target, &*tell);
            let mut manifest = taken.await?;
            session.close().await;
            manifest.binlog.node = node.to_string();
            let files = writer.finish_files().await?;
            Ok(export::with_files(manifest, files))
        };
        self.write_text(database, place, work, progress).await
    }

    /// Writes the text of a set or export, with little regard for who waits for it: clients
    /// go first.
    async fn write_text<F>(
        &self,
        database: &DbName,
        place: Place,
        work: impl FnOnce(DumpWriter, Layout, Tell) -> F + Send + 'static,
        progress: Progress<'_>,
    ) -> Result<Manifest>
    where
        F: Future<Output = Result<Manifest>>,
    {
        let database = database.clone();
        let (sender, mut told) = watch::channel((0, 0, String::new()));
        let tell: Tell = Box::new(move |done, total, what| {
            sender.send_replace((done, total, what.to_owned()));
        });
        let pace = self.backup_pace();
        let work = background::future_in_background(move || async move {
            let (writer, layout) = place.open(&database, pace.begin())?;
            work(writer, layout, tell).await
        });
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                taken = &mut work => return taken,
                Ok(()) = told.changed() => {
                    let (done, total, what) = told.borrow_and_update().clone();
                    progress(done, total, &what);
                }
            }
        }
    }

    /// Checks that the files of a set are those that were written, and returns its manifest.
    ///
    /// # Errors
    /// [`EngineError::DamagedSet`](crate::EngineError::DamagedSet), naming the file;
    /// [`EngineError::NoKey`](crate::EngineError::NoKey); a file error.
    pub async fn check_set(&self, set: &Path, manifest_sha256: &str) -> Result<Manifest> {
        let (set, manifest_sha256) = (set.to_owned(), manifest_sha256.to_owned());
        let keys = self.backup_keys().clone();
        in_background(move || {
            let manifest = set_dir::read_manifest(&set, &manifest_sha256, &keys)?;
            set_dir::check_dump(&set, &manifest)?;
            Ok(manifest)
        })
        .await
    }

    /// Reads the manifest of a set, after a check that it is the one that was written.
    ///
    /// # Errors
    /// [`EngineError::DamagedSet`](crate::EngineError::DamagedSet);
    /// [`EngineError::NoKey`](crate::EngineError::NoKey); a file error.
    pub fn read_manifest(&self, set: &Path, manifest_sha256: &str) -> Result<Manifest> {
        set_dir::read_manifest(set, manifest_sha256, self.backup_keys())
    }

    /// Where in the binary logs of its nodes a set was taken, node 0 first. Needs no key.
    ///
    /// # Errors
    /// [`EngineError::DamagedSet`](crate::EngineError::DamagedSet); a file error.
    pub fn read_positions(&self, set: &Path, manifest_sha256: &str) -> Result<Vec<BinlogPosition>> {
        set_dir::read_positions(set, manifest_sha256)
    }

    /// Makes a database anew out of a set, and those before it that it goes on from, the first
    /// one first, on a node that nobody else uses. The node runs no events from here on until
    /// [`finish_load`](Self::finish_load).
    ///
    /// # Errors
    /// [`EngineError::NotLoaded`](crate::EngineError::NotLoaded) when the server refuses a
    /// statement; [`EngineError::DamagedSet`](crate::EngineError::DamagedSet);
    /// [`EngineError::NoRoom`](crate::EngineError::NoRoom) and
    /// [`EngineError::BackupToolFailed`](crate::EngineError::BackupToolFailed) for data files; a
    /// file error, or one of the connection.
    pub async fn load_set(
        &self,
        node: &NodeId,
        database: &DbName,
        bases: &[(PathBuf, Manifest)],
        set: &Path,
        manifest: &Manifest,
        progress: Progress<'_>,
    ) -> Result<()> {
        set_dir::require_one_file(set, manifest)?;
        if manifest.physical.is_none() {
            return self
                .load_text(node, database, set, manifest, progress)
                .await;
        }
        let mut sets: Vec<_> = bases
            .iter()
            .map(|(path, manifest)| (path.as_path(), manifest))
            .collect();
        sets.push((set, manifest));
        self.load_files(node, database, &sets, progress).await
    }

    /// Makes a database anew out of SQL text.
    async fn load_text(
        &self,
        node: &NodeId,
        database: &DbName,
        set: &Path,
        manifest: &Manifest,
        progress: Progress<'_>,
    ) -> Result<()> {
        // An interrupted load may still be at work in there.
        self.drop_database(node, database).await?;
        let mut sql = self.sql(node).await?;
        sql.create_database(database).await?;
        sql.set_loading(true, MAX_PACKET).await?;
        sql.close().await;
        let mut session = self.session(node, database).await?;
        // What is loaded is where the binary log of this node begins.
        session
            .run("load a backup", b"SET SESSION sql_log_bin=0")
            .await?;
        let all = 0..manifest.dump.sql_bytes;
        load::load(
            &mut session,
            set,
            manifest,
            all,
            self.backup_keys(),
            progress,
        )
        .await?;
        session.close().await;
        Ok(())
    }

    /// Compares a database with the manifest of the set that it was loaded from: every object,
    /// and the rows of every table.
    ///
    /// # Errors
    /// [`EngineError::RestoreDiffers`](crate::EngineError::RestoreDiffers), naming a difference;
    /// [`EngineError::UnknownColumnType`](crate::EngineError::UnknownColumnType); one of the
    /// connection.
    pub async fn verify_set(
        &self,
        node: &NodeId,
        database: &DbName,
        manifest: &Manifest,
        progress: Progress<'_>,
    ) -> Result<()> {
        let mut session = self.session(node, database).await?;
        verify::verify(&mut session, database, manifest, progress).await?;
        session.close().await;
        Ok(())
    }

    /// Lets a node that was loaded run events and have its usual limits.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn finish_load(&self, node: &NodeId) -> Result<()> {
        self.set_events(node, true).await?;
        let mut sql = self.sql(node).await?;
        sql.set_loading(false, USUAL_PACKET).await?;
        sql.close().await;
        Ok(())
    }

    /// Removes a set and what attempts to take it left, and the directory above if it was the
    /// last one there. One that does not exist is no error.
    ///
    /// # Errors
    /// A file error.
    pub async fn destroy_set(&self, set: &Path) -> Result<()> {
        let set = set.to_owned();
        blocking(move || set_dir::destroy(&set)).await
    }

    /// The sets in a directory that has one directory for each group of sets: group and name
    /// of each, leftovers included.
    ///
    /// # Errors
    /// A file error.
    pub fn list_sets(&self, directory: &Path) -> Result<Vec<(String, String)>> {
        let mut sets = Vec::new();
        for group in set_dir::list(directory)? {
            let names = set_dir::list(&directory.join(&group))?;
            sets.extend(names.into_iter().map(|name| (group.clone(), name)));
        }
        Ok(sets)
    }

    pub(crate) async fn session(&self, node: &NodeId, database: &DbName) -> Result<Session> {
        let socket: PathBuf = self.socket_path(node)?;
        Session::open(&socket, self.admin_password(), database).await
    }
}
