//! A data directory with an engine, torn down with whatever still runs in it.

// Each test program uses a part of this.
#![allow(dead_code)]

pub mod beds;
pub mod raw;
pub mod refused;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use openpeta_engine::{Engine, EngineConfig};
use openpeta_types::{AccountName, DbName, NodeId, NodeSettings, Secret};

pub const ADMIN_PASSWORD: &str = "an admin's password";

pub const SETTINGS: NodeSettings = NodeSettings {
    buffer_pool_bytes: 64 << 20,
    redo_log_bytes: 16 << 20,
    max_connections: 50,
    disk_quota_bytes: 1 << 30,
};

pub const STOP_DEADLINE: Duration = Duration::from_secs(20);

pub struct Bed {
    pub engine: Engine,
    pub config: EngineConfig,
    // Dropped last, after the processes in it.
    pub dir: tempfile::TempDir,
}

impl Bed {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With a changed configuration.
    pub async fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        if rustix::process::geteuid().is_root() {
            // As /tmp itself; what is below decides who gets in.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
            std::fs::set_permissions(dir.path(), mode).expect("our own directory");
        }
        let mut config = EngineConfig::new(dir.path().join("d"), Secret::new(ADMIN_PASSWORD));
        config.relocation_dir = dir.path().join("relocated");
        config.template_dir = shared_template();
        change(&mut config);
        let engine = Engine::open(config.clone()).await.expect("open");
        Self {
            engine,
            config,
            dir,
        }
    }

    /// With one node that runs.
    pub async fn with_node() -> (Self, NodeId) {
        Self::with_node_and(|_| {}).await
    }

    /// With one node that runs, and a changed configuration.
    pub async fn with_node_and(change: impl FnOnce(&mut EngineConfig)) -> (Self, NodeId) {
        let bed = Self::with(change).await;
        let node = node("nd-test");
        bed.engine
            .create_node(&node, &SETTINGS)
            .await
            .expect("create");
        bed.engine.start_node(&node).await.expect("start");
        (bed, node)
    }

    pub fn node_dir(&self, node: &NodeId) -> PathBuf {
        self.engine.nodes_dir().join(node.as_str())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for found in self.engine.list_processes().unwrap_or_default() {
            kill("KILL", found.process.pid);
            let deadline = Instant::now() + Duration::from_secs(10);
            while self
                .engine
                .running(&found.node)
                .is_ok_and(|found| found.is_some())
                && Instant::now() < deadline
            {
                std::thread::yield_now();
            }
        }
    }
}

/// A template for all tests, in cargo's target directory, if the node user gets there. Each test
/// with one of its own would take seconds longer.
fn shared_template() -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let me = rustix::process::geteuid();
    let is_open = |dir: &Path| {
        std::fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
    };
    let usable = me.is_root() && dir.ancestors().all(is_open);
    usable.then(|| dir.join("engine-template"))
}

pub fn node(id: &str) -> NodeId {
    NodeId::parse(id).expect("a node id")
}

pub fn db(name: &str) -> DbName {
    DbName::parse(name).expect("a database name")
}

pub fn account(name: &str) -> AccountName {
    AccountName::parse_new(name).expect("an account name")
}

pub fn kill(signal: &str, pid: u32) {
    let status = Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .status()
        .expect("kill is essential");
    assert!(status.success(), "kill {signal} {pid}");
}

/// A user's connection to a node.
pub async fn client(socket: &Path, user: &str, password: &str) -> mysql_async::Result<Conn> {
    let options = OptsBuilder::default()
        .socket(Some(socket.to_string_lossy()))
        .user(Some(user))
        .pass(Some(password))
        .stmt_cache_size(0);
    Conn::new(options).await
}

/// Runs a statement; the server's error number when it refuses.
pub async fn try_sql(conn: &mut Conn, statement: &str) -> Result<(), u16> {
    match conn.query_drop(statement).await {
        Ok(()) => Ok(()),
        Err(mysql_async::Error::Server(error)) => Err(error.code),
        Err(error) => panic!("{statement}: {error}"),
    }
}
