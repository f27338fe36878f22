//! Makes a node's data directory of a set of data files.
//!
//! The files are unpacked and brought to their moment beside the node's own, in a directory that
//! the next attempt removes. They get what else a server needs from the installation, as the
//! template did: system tables, and accounts, which are ours alone. Then the two data directories
//! change places, at once: whatever is cut off, the node has one or the other.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use openpeta_types::{DbName, NodeId};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::tool::{Tool, Tools, run, tail};
use crate::backup::manifest::Manifest;
use crate::backup::session::{MAX_PACKET, Session};
use crate::backup::{Progress, load};
use crate::engine::{Engine, blocking};
use crate::error::{AtPath, EngineError, Result};
use crate::sealed::BackupKeys;
use crate::sql::native_password_hash;
use crate::template::{self, make_for_node, remove, sync_dir, write_for_node};
use crate::{config_file, copy, node_dir, process, quote};

/// What directories of attempts are called, in the node's directory.
pub(crate) const ATTEMPT: &str = "load-";

/// Bytes that are handed over at once.
pub(super) const CHUNK: usize = 256 << 10;
/// Pieces that may wait for the program.
pub(super) const QUEUE: usize = 4;

/// What is left free on the disk.
const LEFT_FREE: u64 = 256 << 20;

/// How long the node, which has nothing worth saving, may take to stop.
const STOP: Duration = Duration::from_secs(10);

/// A set on disk.
pub(in crate::backup) type FilesOf<'a> = (&'a Path, &'a Manifest);

/// Files that are being made ready, gone when dropped.
pub(super) struct Attempt {
    dir: TempDir,
}

impl Attempt {
    /// Where the data directory is.
    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A place for other files.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Engine {
    /// Makes a database anew out of sets of data files, a full one and those that go on from it,
    /// on a node that nobody else uses. As with [`load_set`](Self::load_set).
    pub(in crate::backup) async fn load_files(
        &self,
        node: &NodeId,
        database: &DbName,
        sets: &[FilesOf<'_>],
        progress: Progress<'_>,
    ) -> Result<()> {
        let node_dir = self.node_dir(node)?;
        let attempt = self.make_ready(&node_dir, database, sets, progress).await?;
        if !self.is_alone(node, database).await? {
            return self.merge(node, database, attempt, progress).await;
        }
        progress(1, 1, "files into the node");
        self.exchange(node, &node_dir, attempt).await?;
        self.start_node(node).await?;
        let mut session = self.session(node, database).await?;
        settle(&mut session, database).await?;
        session.close().await;
        let mut sql = self.sql(node).await?;
        sql.set_loading(true, MAX_PACKET).await?;
        sql.close().await;
        Ok(())
    }

    /// Whether the node has no other database.
    async fn is_alone(&self, node: &NodeId, database: &DbName) -> Result<bool> {
        let mut sql = self.sql(node).await?;
        let found = sql.databases().await?;
        sql.close().await;
        Ok(found.iter().all(|name| name == database.as_str()))
    }

    /// Unpacks the sets into a data directory that a server of ours starts with.
    async fn make_ready(
        &self,
        node_dir: &Path,
        database: &DbName,
        sets: &[FilesOf<'_>],
        progress: Progress<'_>,
    ) -> Result<Attempt> {
        let tools = self.backup_tools().await?;
        let needed = sets.iter().map(|(_, manifest)| manifest.dump.sql_bytes);
        check_room(node_dir, needed.sum())?;
        let attempt = self.begin_attempt(node_dir).await?;
        let (data, temporary) = (attempt.data(), attempt.path("tmp"));
        for (number, &(set, manifest)) in sets.iter().enumerate() {
            let increment = attempt.path(&format!("increment-{number}"));
            let target = if number == 0 { &data } else { &increment };
            make_for_node(target, self.user())?;
            self.unpack(&tools, set, manifest, target, progress).await?;
            let bytes = manifest.dump.sql_bytes;
            progress(bytes, bytes, "what was written meanwhile");
            let mut command = self.user().command(&tools.backup);
            command
                .arg("--prepare")
                .arg(option("--target-dir=", &data))
                .arg(option("--tmpdir=", &temporary));
            if number > 0 {
                command.arg(option("--incremental-dir=", &increment));
            }
            run(command, &tools.backup).await?;
            let done = increment.clone();
            blocking(move || remove(&done)).await?;
        }
        remove_notes(&data)?;
        self.install_into(&attempt, database).await?;
        let synced = data.clone();
        blocking(move || copy::sync_tree(&synced)).await?;
        Ok(attempt)
    }

    /// An empty directory, without what earlier attempts left.
    pub(super) async fn begin_attempt(&self, node_dir: &Path) -> Result<Attempt> {
        let (node_dir, user) = (node_dir.to_owned(), self.user().clone());
        blocking(move || {
            process::kill_workers(&node_dir.join(ATTEMPT))?;
            for entry in fs::read_dir(&node_dir).at("list", &node_dir)? {
                let path = entry.at("list", &node_dir)?.path();
                let name = path.file_name().and_then(|name| name.to_str());
                if name.is_some_and(|name| name.starts_with(ATTEMPT)) {
                    // What is in the way goes with the next one.
                    if let Err(error) = remove(&path) {
                        tracing::warn!(%error, "what an attempt to restore left is not removed");
                    }
                }
            }
            let dir = tempfile::Builder::new()
                .prefix(ATTEMPT)
                .tempdir_in(&node_dir)
                .at("create a directory in", &node_dir)?;
            user.give(&File::open(dir.path()).at("open", dir.path())?, dir.path())?;
            make_for_node(&dir.path().join("tmp"), &user)?;
            Ok(Attempt { dir })
        })
        .await
    }

    /// Unpacks the stream of a set.
    async fn unpack(
        &self,
        tools: &Tools,
        set: &Path,
        manifest: &Manifest,
        target: &Path,
        progress: Progress<'_>,
    ) -> Result<()> {
        let mut command = self.user().command(&tools.stream);
        command
            .args(["-x", "-C"])
            .arg(target)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut tool = Tool::spawn(command, &tools.stream)?;
        let input = tool.child().stdin.take();
        let errors = tool.child().stderr.take();
        let path = set.join(&manifest.dump.name);
        let keys = manifest.encryption.as_ref().map(|_| self.backup_keys());
        let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(QUEUE);
        let keys = keys.cloned();
        let reading =
            tokio::task::spawn_blocking(move || read_pieces(&path, keys.as_ref(), &sender));
        let total = manifest.dump.sql_bytes;
        let feeding = async {
            let Some(mut input) = input else { return };
            let mut done = 0;
            while let Some(piece) = pieces.recv().await {
                // When the program has ended, it is told below why.
                if input.write_all(&piece).await.is_err() {
                    pieces.close();
                }
                done += piece.len() as u64;
                progress(done, total, "files");
            }
        };
        let printed = async { tail(errors).await.at("read from", &tools.stream) };
        let ((), printed) = tokio::join!(feeding, printed);
        let read = match reading.await {
            Ok(read) => read,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let finished = tool.finish(&printed?).await;
        // A damaged file is the reason for what the program says.
        read?;
        finished
    }

    /// Gives the files what else a server needs: system tables, and accounts, which are ours.
    pub(super) async fn install_into(&self, attempt: &Attempt, database: &DbName) -> Result<()> {
        let config = self.config();
        let (options, accounts) = (attempt.path("install.cnf"), attempt.path("accounts.sql"));
        let text = config_file::render_install(&attempt.data(), config.template_redo_log_bytes);
        write_for_node(&options, &text, self.user())?;
        let hash = native_password_hash(&config.admin_password);
        let mut text = template::account_statements(&hash);
        text.push_str(&forget_statements(database));
        write_for_node(&accounts, &text, self.user())?;
        let (data, temporary) = (attempt.data(), attempt.path("tmp"));
        let command =
            template::install_command(config, self.user(), &options, &data, &accounts, &temporary);
        run(command, &config.install_db).await
    }

    /// Lets the node have the files that were made ready.
    async fn exchange(&self, node: &NodeId, node_dir: &Path, attempt: Attempt) -> Result<()> {
        let stopped = self.stop_for_exchange(node, STOP).await?;
        let (dir, user) = (node_dir.to_owned(), self.user().clone());
        blocking(move || {
            // It must not run the events of the database before that was compared.
            node_dir::write_loading(&dir, true, &user)?;
            let (ours, its) = (attempt.data(), dir.join("data"));
            match renameat_with(CWD, &ours, CWD, &its, RenameFlags::EXCHANGE) {
                // Some file systems cannot.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    fs::rename(&its, attempt.path("old")).at("rename", &its)?;
                    fs::rename(&ours, &its).at("rename", &ours)?;
                }
                result => result.at("exchange", &its)?,
            }
            sync_dir(&dir)?;
            // Not before, should nobody wait for this any more.
            drop(stopped);
            Ok(())
        })
        .await
    }
}

/// Forgets what the server that was copied knew of others than the database.
fn forget_statements(database: &DbName) -> String {
    let name = quote::string(database.as_str());
    format!(
        "DELETE FROM mysql.proc WHERE db NOT IN ({name}, 'mysql', 'sys');\n\
         DELETE FROM mysql.event WHERE db <> {name};\n\
         DELETE FROM mysql.innodb_table_stats WHERE database_name NOT IN ({name}, 'mysql');\n\
         DELETE FROM mysql.innodb_index_stats WHERE database_name NOT IN ({name}, 'mysql');\n\
         DELETE FROM mysql.gtid_slave_pos;\n"
    )
}

/// Ends what was under way when the copy was made, and forgets the tables of other databases.
pub(super) async fn settle(session: &mut Session, database: &DbName) -> Result<()> {
    let action = "settle what was copied";
    session.run(action, b"SET SESSION sql_log_bin=0").await?;
    let prepared: Vec<(i64, i64, i64, String)> =
        session.rows(action, "XA RECOVER FORMAT='SQL'").await?;
    for (_, _, _, id) in prepared {
        session
            .run(action, format!("XA ROLLBACK {id}").as_bytes())
            .await?;
    }
    // Their files were not copied, but InnoDB knows of them, and would make no others.
    let query = format!(
        "SELECT DISTINCT SUBSTRING_INDEX(NAME, '/', 1) FROM information_schema.INNODB_SYS_TABLES \
         WHERE NAME LIKE '%/%' AND SUBSTRING_INDEX(NAME, '/', 1) NOT IN ({}, 'mysql', 'sys')",
        quote::string(database.as_str())
    );
    let others: Vec<String> = session.rows(action, &query).await?;
    for other in others {
        // As it is spelled in the names of files, where that is not the name itself.
        let name = match other.contains('@') {
            true => quote::identifier(&format!("#mysql50#{other}")),
            false => quote::identifier(&other),
        };
        for statement in [
            format!("CREATE DATABASE IF NOT EXISTS {name}"),
            format!("DROP DATABASE {name}"),
        ] {
            session.run(action, statement.as_bytes()).await?;
        }
    }
    Ok(())
}

/// Reads what is compressed in a file, piece by piece.
fn read_pieces(
    path: &Path,
    keys: Option<&BackupKeys>,
    pieces: &mpsc::Sender<Vec<u8>>,
) -> Result<()> {
    let mut plain = load::plain(path, keys)?;
    loop {
        let mut piece = Vec::with_capacity(CHUNK);
        let read = plain.by_ref().take(CHUNK as u64).read_to_end(&mut piece);
        // Whoever wanted them does so no longer, and knows why.
        if read.at("read", path)? == 0 || pieces.blocking_send(piece).is_err() {
            return Ok(());
        }
    }
}

/// Removes what `mariadb-backup` wrote for itself.
fn remove_notes(data: &Path) -> Result<()> {
    for name in [
        "backup-my.cnf",
        "xtrabackup_binlog_info",
        "xtrabackup_binlog_pos_innodb",
        "xtrabackup_checkpoints",
        "xtrabackup_info",
        "mariadb_backup_binlog_info",
        "mariadb_backup_checkpoints",
        "mariadb_backup_info",
    ] {
        let path = data.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).at("remove", &path);
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn check_room(dir: &Path, bytes: u64) -> Result<()> {
    let found = rustix::fs::statvfs(dir).at("look at", dir)?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let needed = bytes.saturating_add(LEFT_FREE);
    if free < needed {
        let path = dir.to_owned();
        return Err(EngineError::NoRoom { path, needed, free });
    }
    Ok(())
}

pub(super) fn option(name: &str, value: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(name);
    option.push(value);
    option
}
