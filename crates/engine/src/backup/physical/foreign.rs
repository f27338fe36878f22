//! A copy of a whole server that somebody else made with `mariadb-backup`: a server of its own runs on
//! the files, nobody reaches it, and what it says of one database is taken down as a set is.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use openpeta_types::{DbName, NodeId};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::restore::{Attempt, CHUNK, QUEUE, check_room, option};
use super::tool::{Tool, run, tail};
use crate::backup::layout::Layout;
use crate::backup::manifest::{BackupSource, Manifest};
use crate::backup::writer::DumpWriter;
use crate::backup::{DUMP, Pace, Progress, dump};
use crate::copy;
use crate::engine::{Engine, blocking};
use crate::error::{AtPath, EngineError, Result};
use crate::import::decompressed;
use crate::sealed::BackupKeys;
use crate::template::make_for_node;

/// Directories of a server that are no database of its users.
const SYSTEM: [&str; 4] = ["mysql", "sys", "performance_schema", "#rocksdb"];

/// Settings of the server that was copied without which no other one reads its files.
const NEEDED: [&str; 5] = [
    "innodb_page_size",
    "innodb_data_file_path",
    "innodb_undo_tablespaces",
    "innodb_checksum_algorithm",
    "lower_case_table_names",
];

/// The text of a database out of such a copy. It goes with the files when dropped.
pub(crate) struct TakenDown {
    _attempt: Attempt,
    /// The file with the text.
    pub(crate) text: PathBuf,
    pub(crate) manifest: Manifest,
}

impl Engine {
    /// Takes a database down out of a copy: a directory, or a stream in a file, compressed or not.
    pub(crate) async fn take_down_copy(
        &self,
        node: &NodeId,
        copy: &Path,
        database: Option<&str>,
        progress: Progress<'_>,
    ) -> Result<TakenDown> {
        let node_dir = self.node_dir(node)?;
        let attempt = self.begin_attempt(&node_dir).await?;
        self.fill(&attempt, &node_dir, copy, progress).await?;
        progress(0, 0, "what was written meanwhile");
        let tools = self.backup_tools().await?;
        let data = attempt.data();
        let mut command = self.user().command(&tools.backup);
        command
            .arg("--prepare")
            .arg(option("--target-dir=", &data))
            .arg(option("--tmpdir=", &attempt.path("tmp")));
        run(command, &tools.backup).await?;
        let (database, more) = {
            let (data, wanted) = (data.clone(), database.map(str::to_owned));
            blocking(move || Ok((choose(&data, wanted.as_deref())?, settings(&data)?))).await?
        };
        // Without grants a server would not know of events.
        self.install_into(&attempt, &database).await?;
        let socket = node_dir.join(super::merge::SOCKET);
        let server = self.serve_files(&attempt, &socket, &more)?;
        let mut session = self.connect_to_files(&socket, &database, &attempt).await?;
        let source = BackupSource {
            instance_id: String::new(),
            db_name: database.to_string(),
            backup_id: String::new(),
        };
        let dir = attempt.path("text");
        make_for_node(&dir, self.user())?;
        let keys = BackupKeys::default();
        let pace = Pace::unbounded().begin();
        let mut writer = DumpWriter::create(&dir, DUMP.to_owned(), pace, keys)?;
        let target = (&mut writer, &Layout::Set);
        let taken = dump::take_down(&mut session, &database, &source, target, progress);
        let manifest = taken.await?;
        session.close().await;
        let manifest = Manifest {
            dump: writer.finish().await?,
            ..manifest
        };
        drop(server);
        Ok(TakenDown {
            text: dir.join(DUMP),
            manifest,
            _attempt: attempt,
        })
    }

    /// Brings the files to where a server of ours can have them.
    async fn fill(
        &self,
        attempt: &Attempt,
        node_dir: &Path,
        copy: &Path,
        progress: Progress<'_>,
    ) -> Result<()> {
        let (data, owner) = (attempt.data(), self.user().owner());
        if !copy.is_dir() {
            let bytes = std::fs::metadata(copy).at("open", copy)?.len();
            check_room(node_dir, bytes)?;
            make_for_node(&data, self.user())?;
            return self.unpack_stream(copy, &data, bytes, progress).await;
        }
        progress(0, 0, "files");
        let (from, node_dir) = (copy.to_owned(), node_dir.to_owned());
        blocking(move || {
            check_room(&node_dir, super::bytes_below(&from)?)?;
            copy::copy_tree(&from, &data, owner)
        })
        .await
    }

    /// Unpacks a stream.
    async fn unpack_stream(
        &self,
        file: &Path,
        target: &Path,
        total: u64,
        progress: Progress<'_>,
    ) -> Result<()> {
        let tools = self.backup_tools().await?;
        let mut command = self.user().command(&tools.stream);
        command
            .args(["-x", "-C"])
            .arg(target)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut tool = Tool::spawn(command, &tools.stream)?;
        let (input, errors) = (tool.child().stdin.take(), tool.child().stderr.take());
        let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(QUEUE);
        let path = file.to_owned();
        let reading = tokio::task::spawn_blocking(move || read_pieces(&path, &sender));
        let feeding = async {
            let Some(mut input) = input else { return };
            let mut done = 0;
            while let Some(piece) = pieces.recv().await {
                // When the program has ended, it is told below why.
                if input.write_all(&piece).await.is_err() {
                    pieces.close();
                }
                done += piece.len() as u64;
                progress(done.min(total), total, "files");
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
}

fn read_pieces(path: &Path, pieces: &mpsc::Sender<Vec<u8>>) -> Result<()> {
    let file = Box::new(File::open(path).at("open", path)?);
    let mut plain = decompressed(file).at("read", path)?;
    loop {
        let mut piece = Vec::with_capacity(CHUNK);
        let read = plain.by_ref().take(CHUNK as u64).read_to_end(&mut piece);
        // Whoever wanted them does so no longer, and knows why.
        if read.at("read", path)? == 0 || pieces.blocking_send(piece).is_err() {
            return Ok(());
        }
    }
}

/// The database that is wanted, or the only one.
fn choose(data: &Path, wanted: Option<&str>) -> Result<DbName> {
    let refused = |what: String| EngineError::NotImported { what };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data).at("read", data)? {
        let entry = entry.at("read", data)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !SYSTEM.contains(&name.as_str()) {
            found.push(name);
        }
    }
    found.sort();
    let name = match wanted {
        Some(wanted) if found.iter().any(|name| name == wanted) => wanted,
        Some(wanted) => return Err(refused(format!("the copy has no database {wanted}"))),
        None => match found.as_slice() {
            [only] => only,
            [] => return Err(refused("the copy has no database".to_owned())),
            several => {
                let several = several.join(", ");
                let what =
                    format!("the copy has several databases ({several}): name one (--source-db)");
                return Err(refused(what));
            }
        },
    };
    DbName::parse(name).map_err(|_| {
        refused(format!(
            "database {name} of the copy has a name that cannot be read here"
        ))
    })
}

/// What the server that was copied was set to, as far as its files depend on it.
fn settings(data: &Path) -> Result<String> {
    let path = data.join("backup-my.cnf");
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        text => text.at("read", &path)?,
    };
    let is_plain = |value: &str| {
        let is_usual = |letter: char| letter.is_ascii_alphanumeric() || "._:;/-".contains(letter);
        !value.contains("..") && !value.starts_with('/') && value.chars().all(is_usual)
    };
    let needed = |line: &&str| {
        line.split_once('=')
            .is_some_and(|(name, value)| NEEDED.contains(&name.trim()) && is_plain(value.trim()))
    };
    let lines = text.lines().filter(needed).map(|line| format!("{line}\n"));
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_copy_is_chosen() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["mysql", "shop", "sys"] {
            std::fs::create_dir(dir.path().join(name)).expect("ours");
        }
        std::fs::write(dir.path().join("ibdata1"), "x").expect("ours");
        let chosen = |wanted| choose(dir.path(), wanted).map(|name| name.to_string());
        assert_eq!(chosen(None).expect("the only one"), "shop");
        assert_eq!(chosen(Some("shop")).expect("it is there"), "shop");
        assert!(chosen(Some("mysql")).is_err() && chosen(Some("other")).is_err());
        std::fs::create_dir(dir.path().join("other")).expect("ours");
        let refused = chosen(None).expect_err("two").to_string();
        assert!(refused.contains("other, shop"), "{refused}");
    }

    #[test]
    fn no_more_of_its_settings_is_taken_than_needed() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = "[mysqld]\ninnodb_page_size=8192\nplugin_load=evil.so\n\
            innodb_data_file_path=/etc/passwd:12M\ninnodb_undo_tablespaces=0\n";
        std::fs::write(dir.path().join("backup-my.cnf"), text).expect("ours");
        let kept = settings(dir.path()).expect("readable");
        assert_eq!(kept, "innodb_page_size=8192\ninnodb_undo_tablespaces=0\n");
    }
}
