//! The engine: all operations on the nodes of one data directory.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openpeta_types::{NodeId, NodeSettings, Secret};
use rustix::process::Signal;

use crate::backup::{LOAD_ATTEMPT, Pace};
use crate::config::EngineConfig;
use crate::disk::{DiskGauge, NodeDisk};
use crate::error::{AtPath, EngineError, Result};
use crate::layout::Layout;
use crate::locks::Locks;
use crate::node_dir::{self, NodeEntry};
use crate::process::{self, NodeProcess, ProcessFigures, ProcessHandle, RunningNode};
use crate::sealed::BackupKeys;
use crate::sql::{NodeSql, TableSizes};
use crate::template;
use crate::user::{NodeUser, find_program};
use crate::version::server_version;
use crate::{config_file, start, version};

/// Pause between two attempts to connect to a server that is starting.
const CONNECT_PAUSE: Duration = Duration::from_millis(2);

/// How a node was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// It was not running.
    NotRunning,
    /// It shut down by itself within the deadline.
    Clean,
    /// It was killed at the deadline; its next start recovers.
    Killed,
}

/// How far new settings took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// They hold now, or will at the next start of a node that is not running.
    Now,
    /// Some need a restart of the node.
    AfterRestart,
}

/// Runs the nodes of one data directory. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: EngineConfig,
    user: NodeUser,
    layout: Layout,
    server_version: String,
    locks: Locks,
    /// Held while the archive of a node's log is written.
    archive_locks: Locks,
    disk_gauge: DiskGauge,
    backup_pace: Arc<Pace>,
}

impl Engine {
    /// Checks programs, node user and directories, and makes the directories.
    ///
    /// # Errors
    /// What is missing or unfit, named: [`EngineError::BinaryMissing`],
    /// [`EngineError::UnsupportedServer`], the errors about the node user, and those about the
    /// data directory's path.
    pub async fn open(config: EngineConfig) -> Result<Self> {
        blocking(move || {
            let mut config = config;
            config.mariadbd = find_program(&config.mariadbd)?;
            config.install_db = find_program(&config.install_db)?;
            let server_version = server_version(&config.mariadbd)?;
            let user = NodeUser::resolve(config.node_user.as_deref())?;
            let layout = Layout::open(&config, &user)?;
            let inner = Inner {
                backup_pace: Arc::new(Pace::new(
                    config.backup_bytes_per_second,
                    config.backup_floor_bytes_per_second,
                )),
                config,
                user,
                layout,
                server_version,
                locks: Locks::default(),
                archive_locks: Locks::default(),
                disk_gauge: DiskGauge::default(),
            };
            Ok(Self {
                inner: Arc::new(inner),
            })
        })
        .await
    }

    pub(crate) fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    /// The version of the installed server, for example `10.11.19-MariaDB`.
    #[must_use]
    pub fn server_version(&self) -> &str {
        &self.inner.server_version
    }

    /// The same as one number, as executable comments compare it: 101119 for 10.11.19.
    #[must_use]
    pub fn server_version_number(&self) -> u32 {
        version::comment_number(&self.inner.server_version)
    }

    /// Where nodes lie, without symlinks.
    #[must_use]
    pub fn nodes_dir(&self) -> &Path {
        &self.inner.layout.nodes
    }

    /// A node's unix socket.
    ///
    /// # Errors
    /// [`EngineError::SocketPathTooLong`] for an overlong node id.
    pub fn socket_path(&self, node: &NodeId) -> Result<PathBuf> {
        self.inner.layout.socket(node)
    }

    /// Makes the template that nodes are copied from, unless there is a fitting one. Takes about
    /// a second; [`create_node`](Self::create_node) does it when need be.
    ///
    /// # Errors
    /// [`EngineError::TemplateFailed`] with what the installation printed, or a file error.
    pub async fn prepare_template(&self) -> Result<()> {
        self.template_data().await.map(drop)
    }

    async fn template_data(&self) -> Result<PathBuf> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            template::prepare(
                &inner.config,
                &inner.user,
                &inner.server_version,
                &inner.layout.template,
            )
        })
        .await
    }

    /// Makes a node's directory. One that exists keeps its data and gets the settings, which
    /// hold from its next start; what an interrupted creation left is made anew.
    ///
    /// When it returns, the node is on disk.
    ///
    /// # Errors
    /// A file error, or that of the template.
    pub async fn create_node(&self, node: &NodeId, settings: &NodeSettings) -> Result<()> {
        self.socket_path(node)?;
        let template_data = self.template_data().await?;
        let _lock = self.inner.locks.lock(node).await;
        let (inner, node, settings) = (Arc::clone(&self.inner), node.clone(), settings.clone());
        blocking(move || {
            let dir = inner.layout.node(&node);
            node_dir::create(&dir, &template_data, &node, &settings, &inner.user)
        })
        .await
    }

    /// Starts a node and waits until it accepts connections. One that runs already, or is still
    /// starting, is adopted.
    ///
    /// # Errors
    /// [`EngineError::NoSuchNode`]; [`EngineError::EarlyExit`] with the end of the error log;
    /// [`EngineError::StartTimeout`], after which the server goes on starting and calling again
    /// goes on waiting.
    pub async fn start_node(&self, node: &NodeId) -> Result<RunningNode> {
        let begun = Instant::now();
        let dir = self.node_dir(node)?;
        let (process, log_start) = self.spawn_or_adopt(node, &dir).await?;
        let early_exit = || EngineError::EarlyExit {
            node: node.clone(),
            log_tail: node_dir::error_log_tail(&dir, log_start),
        };
        let Some(process) = process else {
            return Err(early_exit());
        };
        let Some(handle) = ProcessHandle::open(process)? else {
            return Err(early_exit());
        };
        let limit = self
            .inner
            .config
            .start_timeout
            .saturating_sub(begun.elapsed());
        tokio::select! {
            ended = handle.ended() => {
                ended.at("wait for", &dir)?;
                Err(early_exit())
            }
            ready = tokio::time::timeout(limit, self.connect_when_ready(node)) => match ready {
                Ok(ready) => {
                    ready?.close().await;
                    Ok(process)
                }
                Err(_) => Err(EngineError::StartTimeout {
                    node: node.clone(),
                    waited: begun.elapsed(),
                    log_tail: node_dir::error_log_tail(&dir, log_start),
                }),
            }
        }
    }

    /// The node's process, started if need be; `None` when it ended at once. Also where in the
    /// error log this start begins.
    async fn spawn_or_adopt(
        &self,
        node: &NodeId,
        dir: &Path,
    ) -> Result<(Option<RunningNode>, u64)> {
        let _lock = self.inner.locks.lock(node).await;
        if let Some(process) = self.running(node)? {
            self.note(dir, process)?;
            return Ok((Some(process), 0));
        }
        let log = node_dir::open_error_log(dir, &self.inner.user)?;
        let log_start = node_dir::error_log_length(dir);
        let config = &self.inner.config;
        let process = start::spawn(
            &config.mariadbd,
            dir,
            log,
            &self.inner.user,
            config.oom_score_adj,
        )?;
        if let Some(process) = process {
            self.note(dir, process)?;
        }
        Ok((process, log_start))
    }

    fn note(&self, dir: &Path, process: RunningNode) -> Result<()> {
        if node_dir::read_pid(dir) == Some(process) {
            return Ok(());
        }
        node_dir::write_pid(dir, process, &self.inner.user)
    }

    /// Connects as soon as the server lets us in.
    ///
    /// The socket appears before the server accepts; a connection made in between is answered
    /// when it does, so the pause does not add to the start.
    async fn connect_when_ready(&self, node: &NodeId) -> Result<NodeSql> {
        loop {
            match self.connect(node, self.inner.config.start_timeout).await {
                Err(EngineError::Connect { source, .. }) if is_starting(&source) => {
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    /// The node's process, if it runs. A process that got the node's old process id does not
    /// count, nor does one that nobody waited for.
    ///
    /// # Errors
    /// A file error on `/proc`.
    pub fn running(&self, node: &NodeId) -> Result<Option<RunningNode>> {
        let dir = self.inner.layout.node(node);
        let recorded = node_dir::read_pid(&dir);
        process::find(&self.inner.config.mariadbd, &dir, recorded)
    }

    /// Waits until the node's process has ended; returns at once when it does not run. Works
    /// for adopted processes as well.
    ///
    /// # Errors
    /// A file error on `/proc` or the process's descriptor.
    pub async fn wait_exit(&self, node: &NodeId) -> Result<()> {
        let Some(process) = self.running(node)? else {
            return Ok(());
        };
        match ProcessHandle::open(process)? {
            Some(handle) => handle
                .ended()
                .await
                .at("wait for", &self.inner.layout.node(node)),
            None => Ok(()),
        }
    }

    /// Stops a node: asks it to shut down, and kills it when it has not within `deadline`.
    ///
    /// # Errors
    /// [`EngineError::StopFailed`] when even killing did not end it.
    pub async fn stop_node(&self, node: &NodeId, deadline: Duration) -> Result<StopOutcome> {
        let _lock = self.inner.locks.lock(node).await;
        self.stop_locked(node, deadline).await
    }

    async fn stop_locked(&self, node: &NodeId, deadline: Duration) -> Result<StopOutcome> {
        let dir = self.inner.layout.node(node);
        let Some(process) = self.running(node)? else {
            return Ok(StopOutcome::NotRunning);
        };
        let Some(handle) = ProcessHandle::open(process)? else {
            return Ok(StopOutcome::NotRunning);
        };
        handle.signal(Signal::TERM).at("stop", &dir)?;
        if handle.ended_within(deadline).await.at("wait for", &dir)? {
            return Ok(StopOutcome::Clean);
        }
        tracing::warn!(%node, pid = process.pid, ?deadline, "the node did not stop; killing it");
        handle.signal(Signal::KILL).at("kill", &dir)?;
        let limit = self.inner.config.kill_timeout;
        if handle.ended_within(limit).await.at("wait for", &dir)? {
            return Ok(StopOutcome::Killed);
        }
        Err(EngineError::StopFailed {
            node: node.clone(),
            pid: process.pid,
        })
    }

    /// Kills a node if it runs and removes its directory, whatever state it is in. A node that
    /// does not exist is no error.
    ///
    /// # Errors
    /// [`EngineError::StopFailed`] or a file error; calling again goes on.
    pub async fn destroy_node(&self, node: &NodeId) -> Result<()> {
        let lock = self.inner.locks.lock(node).await;
        // Its data are going away: a clean shutdown has nothing to save.
        self.stop_locked(node, Duration::ZERO).await?;
        let dir = self.inner.layout.node(node);
        blocking(move || {
            process::kill_workers(&dir.join(LOAD_ATTEMPT))?;
            node_dir::destroy(&dir)
        })
        .await?;
        drop(lock);
        self.inner.locks.forget(node);
        Ok(())
    }

    /// The nodes on disk, leftovers included, sorted.
    ///
    /// # Errors
    /// A file error.
    pub fn list_nodes(&self) -> Result<Vec<NodeEntry>> {
        node_dir::list(&self.inner.layout.nodes)
    }

    /// The server processes of nodes in this data directory, whether their directories still
    /// exist or not.
    ///
    /// # Errors
    /// A file error on `/proc`.
    pub fn list_processes(&self) -> Result<Vec<NodeProcess>> {
        process::list(&self.inner.config.mariadbd, &self.inner.layout.nodes)
    }

    /// What the node takes on disk. What the server's own schemas take was measured within the
    /// last ten minutes, all else now.
    ///
    /// # Errors
    /// A file error, also for a node that does not exist.
    pub async fn disk(&self, node: &NodeId) -> Result<NodeDisk> {
        let (inner, dir) = (Arc::clone(&self.inner), self.inner.layout.node(node));
        blocking(move || inner.disk_gauge.measure(&dir)).await
    }

    /// Bytes of temporary files of the node's process that are open and have no name any more, as
    /// those of large sorts: no part of what [`disk`](Self::disk) tells. 0 when it does not run.
    pub async fn nameless_bytes(&self, node: &NodeId) -> u64 {
        let Some(process) = self.running(node).ok().flatten() else {
            return 0;
        };
        let dir = self.inner.layout.node(node);
        let measured = blocking(move || Ok(process::nameless_bytes(process, &dir)));
        measured.await.unwrap_or_default()
    }

    /// What the tables of each database of the node take inside of their files: asked of the
    /// server, within `limit` a statement.
    ///
    /// # Errors
    /// One of the administration connection, also for a node that does not run.
    pub async fn table_sizes(
        &self,
        node: &NodeId,
        with_free: bool,
        limit: Duration,
    ) -> Result<BTreeMap<String, TableSizes>> {
        let mut sql = self.sql_with_limit(node, limit).await?;
        let sizes = sql.table_sizes(with_free).await?;
        sql.close().await;
        Ok(sizes)
    }

    /// Memory of the node's process in bytes (PSS).
    ///
    /// # Errors
    /// [`EngineError::NotRunning`], or a file error on `/proc`.
    pub fn memory(&self, node: &NodeId) -> Result<u64> {
        let process = self.running(node)?.ok_or_else(|| self.not_running(node))?;
        process::memory(process)
    }

    /// What the node's process has taken of the processor, and its resident memory.
    ///
    /// # Errors
    /// [`EngineError::NotRunning`], or a file error on `/proc`.
    pub async fn process_figures(&self, node: &NodeId) -> Result<ProcessFigures> {
        let process = self.running(node)?.ok_or_else(|| self.not_running(node))?;
        blocking(move || process::figures(process)).await
    }

    /// Gives a node other settings: in its `my.cnf`, and at once where the server can.
    ///
    /// # Errors
    /// [`EngineError::NoSuchNode`], a file error, or one of the administration connection.
    pub async fn apply_settings(&self, node: &NodeId, settings: &NodeSettings) -> Result<Applied> {
        let dir = self.node_dir(node)?;
        {
            let _lock = self.inner.locks.lock(node).await;
            node_dir::write_config(&dir, node, settings, &self.inner.user)?;
        }
        if self.running(node)?.is_none() {
            return Ok(Applied::Now);
        }
        let mut sql = self.sql(node).await?;
        let connections = config_file::server_connections(settings);
        let complete = sql
            .set_sizes(
                settings.buffer_pool_bytes,
                settings.redo_log_bytes,
                connections,
            )
            .await?;
        sql.close().await;
        Ok(if complete {
            Applied::Now
        } else {
            Applied::AfterRestart
        })
    }

    /// Makes a node read-only for everybody but administration, or writable again; holds over
    /// restarts.
    ///
    /// # Errors
    /// [`EngineError::NoSuchNode`], a file error, or one of the administration connection, for
    /// example when a session holds table locks for longer than a statement may wait.
    pub async fn set_read_only(&self, node: &NodeId, read_only: bool) -> Result<()> {
        let dir = self.node_dir(node)?;
        {
            let _lock = self.inner.locks.lock(node).await;
            node_dir::write_read_only(&dir, read_only, &self.inner.user)?;
        }
        if self.running(node)?.is_some() {
            let mut sql = self.sql(node).await?;
            sql.set_read_only(read_only).await?;
            sql.close().await;
        }
        Ok(())
    }

    /// Stops a node that is about to get other files; it is not started before the lock is gone.
    pub(crate) async fn stop_for_exchange(
        &self,
        node: &NodeId,
        deadline: Duration,
    ) -> Result<tokio::sync::OwnedMutexGuard<()>> {
        let lock = self.inner.locks.lock(node).await;
        self.stop_locked(node, deadline).await?;
        Ok(lock)
    }

    /// Says whether the node runs events from its next start on.
    pub(crate) async fn set_events(&self, node: &NodeId, is_on: bool) -> Result<()> {
        let dir = self.node_dir(node)?;
        let _lock = self.inner.locks.lock(node).await;
        node_dir::write_loading(&dir, !is_on, &self.inner.user)
    }

    /// Opens an administration connection.
    ///
    /// # Errors
    /// [`EngineError::Connect`] or [`EngineError::SqlTimeout`].
    pub async fn sql(&self, node: &NodeId) -> Result<NodeSql> {
        self.connect(node, self.inner.config.sql_timeout).await
    }

    /// As [`sql`](Self::sql), with a time of its own for each statement.
    pub(crate) async fn sql_with_limit(&self, node: &NodeId, limit: Duration) -> Result<NodeSql> {
        let config = &self.inner.config;
        let socket = self.socket_path(node)?;
        NodeSql::connect(&socket, &config.admin_password, config.sql_timeout, limit).await
    }

    async fn connect(&self, node: &NodeId, limit: Duration) -> Result<NodeSql> {
        let config = &self.inner.config;
        let socket = self.socket_path(node)?;
        NodeSql::connect(&socket, &config.admin_password, limit, config.sql_timeout).await
    }

    /// The password of administration.
    pub(crate) fn admin_password(&self) -> &Secret {
        &self.inner.config.admin_password
    }

    /// What backups are encrypted with.
    pub(crate) fn backup_keys(&self) -> &BackupKeys {
        &self.inner.config.backup_keys
    }

    /// How quickly backups may be taken.
    pub(crate) fn backup_pace(&self) -> Arc<Pace> {
        Arc::clone(&self.inner.backup_pace)
    }

    /// Held while the archive of a node's log is written.
    pub(crate) fn archive_locks(&self) -> &Locks {
        &self.inner.archive_locks
    }

    /// Whom nodes run as.
    pub(crate) fn user(&self) -> &NodeUser {
        &self.inner.user
    }

    /// Whether the node's directory is there.
    #[must_use]
    pub fn has_node(&self, node: &NodeId) -> bool {
        self.inner.layout.node(node).is_dir()
    }

    pub(crate) fn node_dir(&self, node: &NodeId) -> Result<PathBuf> {
        let dir = self.inner.layout.node(node);
        if dir.is_dir() {
            Ok(dir)
        } else {
            Err(EngineError::NoSuchNode { node: node.clone() })
        }
    }

    fn not_running(&self, node: &NodeId) -> EngineError {
        EngineError::NotRunning { node: node.clone() }
    }
}

/// Whether a failed connection means that the server is not up yet.
fn is_starting(error: &mysql_async::Error) -> bool {
    match error {
        mysql_async::Error::Io(mysql_async::IoError::Io(error)) => matches!(
            error.kind(),
            ErrorKind::NotFound
                | ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::UnexpectedEof
                | ErrorKind::BrokenPipe
        ),
        mysql_async::Error::Driver(mysql_async::DriverError::ConnectionClosed) => true,
        _ => false,
    }
}

/// Runs file work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    // What is logged there belongs to the call or task that it is done for.
    let span = tracing::Span::current();
    let work = move || span.in_scope(work);
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
