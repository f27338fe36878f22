//! A set of data files for a node that has other databases: a server of its own runs on the
//! files, and what it says is loaded as SQL text. Data files of two servers cannot be put
//! together.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use openpeta_types::{DbName, NodeId, NodeSettings};

use super::restore::{Attempt, option, settle};
use super::tool::Tool;
use crate::backup::layout::Layout;
use crate::backup::manifest::BackupSource;
use crate::backup::session::Session;
use crate::backup::writer::DumpWriter;
use crate::backup::{DUMP, Pace, Progress, dump};
use crate::config_file;
use crate::engine::Engine;
use crate::error::{AtPath, EngineError, Result};
use crate::sealed::BackupKeys;
use crate::template::{make_for_node, write_for_node};

/// The socket of that server; its name is no longer than a node's.
pub(super) const SOCKET: &str = "load.sock";

/// Pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(10);

/// Sizes of that server. Nobody but us uses it.
const SETTINGS: NodeSettings = NodeSettings {
    buffer_pool_bytes: 64 << 20,
    redo_log_bytes: 16 << 20,
    max_connections: 10,
    disk_quota_bytes: u64::MAX,
};

impl Engine {
    pub(super) async fn merge(
        &self,
        node: &NodeId,
        database: &DbName,
        attempt: Attempt,
        progress: Progress<'_>,
    ) -> Result<()> {
        let node_dir = self.node_dir(node)?;
        let socket = node_dir.join(SOCKET);
        let server = self.serve_files(&attempt, &socket, "")?;
        let mut session = self.connect_to_files(&socket, database, &attempt).await?;
        settle(&mut session, database).await?;
        let source = BackupSource {
            instance_id: String::new(),
            db_name: database.to_string(),
            backup_id: String::new(),
        };
        // What it says stays in the node's directory, as the files do, and goes with them.
        let dir = attempt.path("text");
        make_for_node(&dir, self.user())?;
        let keys = BackupKeys::default();
        let mut writer =
            DumpWriter::create(&dir, DUMP.to_owned(), Pace::unbounded().begin(), keys)?;
        let target = (&mut writer, &Layout::Set);
        let manifest = dump::take_down(&mut session, database, &source, target, progress).await?;
        session.close().await;
        let manifest = crate::backup::Manifest {
            dump: writer.finish().await?,
            ..manifest
        };
        drop(server);
        self.load_text(node, database, &dir, &manifest, progress)
            .await
    }

    /// Starts a server on files, with `more` settings.
    pub(super) fn serve_files(&self, attempt: &Attempt, socket: &Path, more: &str) -> Result<Tool> {
        let dir = attempt.path("");
        let mut text = config_file::render(&dir, &SETTINGS, 1, false);
        text = config_file::with_loading(&text, true);
        text.push_str(&format!("socket=\"{}\"\n{more}", socket.display()));
        for name in ["binlog", "relay", "files"] {
            make_for_node(&attempt.path(name), self.user())?;
        }
        let file = attempt.path(config_file::FILE_NAME);
        write_for_node(&file, &text, self.user())?;
        let server = &self.config().mariadbd;
        let mut command = self.user().command(server);
        command
            .arg(option("--defaults-file=", &file))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Tool::spawn(command, server)
    }

    /// Connects to such a server once it answers.
    pub(super) async fn connect_to_files(
        &self,
        socket: &Path,
        database: &DbName,
        attempt: &Attempt,
    ) -> Result<Session> {
        let begun = Instant::now();
        loop {
            let opened = Session::open(socket, self.admin_password(), database).await;
            match opened {
                Err(EngineError::Connect { .. })
                    if begun.elapsed() < self.config().start_timeout =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error @ EngineError::Connect { .. }) => {
                    let log = attempt.path("error.log");
                    let log = std::fs::read_to_string(&log).at("read", &log)?;
                    tracing::error!(log, "a server does not start with restored files");
                    return Err(error);
                }
                result => return result,
            }
        }
    }
}
