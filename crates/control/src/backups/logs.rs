//! Binary logs are archived while they are written, so that databases can be restored to a point
//! in time.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use openpeta_engine::{ArchivedLog, BinlogPosition};
use openpeta_store::BackupSet;
use openpeta_types::{BackupStatus, InstanceId, NodeId};
use tokio::task::JoinSet;

use crate::ControlError;
use crate::parts::Parts;

/// The directory of archived logs in the data directory.
const DIRECTORY: &str = "binlogs";

/// Of how many sets the oldest that is of a node is looked for.
const MAX_SETS: u32 = 10_000;

/// How far the logs of nodes are archived, as this process knows.
#[derive(Default)]
pub(crate) struct LogArchives(Mutex<HashMap<NodeId, LogState>>);

/// What came of the last look at a node's log.
#[derive(Clone, Debug)]
struct LogState {
    instance_id: InstanceId,
    archived: Option<ArchivedLog>,
    failure: Option<String>,
}

/// The archive of an instance's binary log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogArchiveFigures {
    /// The instance.
    pub instance_id: InstanceId,
    /// The node that writes the log.
    pub node_id: NodeId,
    /// When the archive last had the whole log; `None` before it has for the first time since
    /// the service was started.
    pub until: Option<Timestamp>,
    /// What the archive takes on disk.
    pub bytes: u64,
    /// Why the last look failed, if it did.
    pub failure: Option<String>,
    /// For which time it is whole in the bucket; `None` without one, or before it was for the
    /// first time since the service was started.
    pub stored_until: Option<Timestamp>,
    /// Why the last copy to the bucket failed, if it did.
    pub store_failure: Option<String>,
}

impl LogArchives {
    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, LogState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far they are, by instance.
    pub(crate) fn figures(&self) -> Vec<LogArchiveFigures> {
        let figure = |(node, state): (&NodeId, &LogState)| LogArchiveFigures {
            instance_id: state.instance_id.clone(),
            node_id: node.clone(),
            until: state.archived.map(|archived| archived.until),
            bytes: state.archived.map_or(0, |archived| archived.bytes),
            failure: state.failure.clone(),
            stored_until: None,
            store_failure: None,
        };
        let mut figures: Vec<_> = self.lock().iter().map(figure).collect();
        figures.sort_by(|a, b| (&a.instance_id, &a.node_id).cmp(&(&b.instance_id, &b.node_id)));
        figures
    }
}

impl Parts {
    /// Where the log of a node is archived.
    pub(crate) fn log_archive(&self, node: &NodeId) -> PathBuf {
        self.log_archives_dir().join(node.as_str())
    }

    /// Whether the log of a node is archived, by a policy as it is now or as it was.
    pub(crate) fn is_log_archived(&self, node: &NodeId) -> bool {
        self.log_archive(node).is_dir()
    }

    fn log_archives_dir(&self) -> PathBuf {
        self.store.data_dir().join(DIRECTORY)
    }

    /// Archives what is new in the log of each node for which a policy asks for it. One that
    /// fails is told of and tried again at the next time.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) async fn archive_logs(self: &Arc<Self>) -> Result<(), ControlError> {
        let logged = self.store.read(|reader| reader.logged_nodes())?;
        let wanted: HashMap<_, _> = logged.iter().cloned().collect();
        self.log_archives
            .lock()
            .retain(|node, _| wanted.contains_key(node));
        let mut running = JoinSet::new();
        for (node, instance_id) in logged {
            let parts = Arc::clone(self);
            running.spawn(async move { parts.archive_log(&node, &instance_id).await });
        }
        while running.join_next().await.is_some() {}
        Ok(())
    }

    /// Archives what is new in the log of a node; whether it could be done.
    pub(crate) async fn archive_log(&self, node: &NodeId, instance_id: &InstanceId) -> bool {
        let known = self.log_archives.lock().get(node).cloned();
        let before = known.as_ref().and_then(|state| state.archived);
        let archive = self.log_archive(node);
        let archived = self
            .engine
            .archive_log(node, &archive, before.is_none())
            .await;
        let mut state = LogState {
            instance_id: instance_id.clone(),
            archived: before,
            failure: None,
        };
        match archived {
            Ok(archived) => state.archived = Some(archived),
            Err(error) => state.failure = Some(error.to_string()),
        }
        let failed_before = known.is_some_and(|state| state.failure.is_some());
        match &state.failure {
            Some(error) if !failed_before => {
                tracing::error!(instance = %instance_id, %node, error, "the binary log cannot be archived; it is tried again");
            }
            None if failed_before => {
                tracing::info!(instance = %instance_id, %node, "the binary log is archived again");
            }
            _ => {}
        }
        let is_done = state.failure.is_none();
        self.log_archives.lock().insert(node.clone(), state);
        is_done
    }

    /// Fetches from the bucket what the archive of a node's log lacks since the oldest set that a
    /// restore could begin with: files that somebody removed here, or a disk that was lost. What
    /// cannot be fetched is told by whoever needs it.
    pub(crate) async fn complete_log(&self, node: &NodeId, instance_id: &InstanceId) {
        if !self.remote_logs.is_used() {
            return;
        }
        let oldest = match self.oldest_position(node, instance_id) {
            Ok(Some(oldest)) => oldest,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%node, context = error.context, "it is not known which logs a restore needs");
                return;
            }
        };
        let archive = self.log_archive(node);
        if matches!(
            self.engine.archive_goes_on_from(&archive, &oldest),
            Ok(true)
        ) {
            return;
        }
        self.fetch_log(node).await;
    }

    /// Fetches from the bucket all that it has of a node's log and the archive here lacks: the node is
    /// lost, and so may be the end of its log. What cannot be fetched is told by whoever needs it.
    pub(crate) async fn fetch_log(&self, node: &NodeId) {
        if !self.remote_logs.is_used() {
            return;
        }
        let archive = self.log_archive(node);
        match self.remote_logs.fetch(&self.engine, node, &archive).await {
            Ok(fetched) => {
                tracing::info!(%node, files = fetched.files, bytes = fetched.bytes, "what the archive of a binary log lacked is fetched from the backup storage");
            }
            Err(error) => {
                tracing::warn!(%node, %error, "what the archive of a binary log lacks cannot be fetched from the backup storage");
            }
        }
    }

    /// Notes in the archive of a node's log that a set was taken of the node: what a point in time after
    /// it begins with. Without it the set is one all the same.
    pub(crate) async fn mark_set(&self, node: &NodeId) {
        if !self.is_log_archived(node) {
            return;
        }
        let archive = self.log_archive(node);
        if let Err(error) = self.engine.mark_log(node, &archive).await {
            tracing::warn!(%node, %error, "the archive of the binary log does not note that a set was taken");
        }
    }

    /// How far the archives of logs are, by instance.
    pub(crate) fn log_figures(&self) -> Vec<LogArchiveFigures> {
        let mut figures = self.log_archives.figures();
        for figure in &mut figures {
            if let Some(stored) = self.remote_logs.state(&figure.node_id) {
                figure.stored_until = stored.until;
                figure.store_failure = stored.failure;
            }
        }
        figures
    }

    /// Brings what is new in the archives of logs to the bucket. One that fails is told of and
    /// tried again at the next time.
    pub(crate) async fn ship_logs(&self) {
        if !self.remote_logs.is_used() {
            return;
        }
        for figure in self.log_archives.figures() {
            let (node, Some(until)) = (figure.node_id, figure.until) else {
                continue;
            };
            let known = self.remote_logs.state(&node);
            let failed_before = known.is_some_and(|state| state.failure.is_some());
            let archive = self.log_archive(&node);
            let shipped = self.remote_logs.ship(&self.engine, &node, &archive, until);
            match shipped.await {
                Err(error) if !failed_before => {
                    tracing::error!(instance = %figure.instance_id, %node, %error, "the archived binary log cannot be brought to the backup storage; it is tried again");
                }
                Ok(()) if failed_before => {
                    tracing::info!(instance = %figure.instance_id, %node, "the archived binary log is brought to the backup storage again");
                }
                _ => {}
            }
        }
    }

    /// Removes what is in the bucket of nodes that are gone. What cannot be removed now goes later.
    async fn tidy_remote_logs(&self) -> Result<(), ControlError> {
        for node in self
            .remote_logs
            .nodes()
            .map_err(ControlError::unavailable)?
        {
            let row = self.store.read(|reader| reader.node(&node))?;
            if row.and_then(|row| row.instance_id).is_none()
                && self.remote_logs.is_used()
                && let Err(error) = self.remote_logs.remove(&node).await
            {
                tracing::warn!(%node, %error, "an archived binary log is not removed from the backup storage; it is tried again");
            }
        }
        Ok(())
    }

    /// Removes what no restore needs: archives of nodes that are gone, and log files from before
    /// the oldest set that a restore could begin with.
    ///
    /// # Errors
    /// [`ControlError`] when the store or the disk fails.
    pub(crate) async fn tidy_log_archives(&self) -> Result<(), ControlError> {
        for node in self.archived_nodes()? {
            let row = self.store.read(|reader| reader.node(&node))?;
            let archive = self.log_archive(&node);
            match row.and_then(|row| row.instance_id) {
                // A node's row goes after everything of it.
                None => {
                    let removed = self.engine.destroy_log_archive(&node, &archive).await;
                    removed.map_err(ControlError::unavailable)?;
                    tracing::info!(%node, "the archive of its binary log is removed with a node");
                }
                Some(instance_id) => {
                    if let Some(oldest) = self.oldest_position(&node, &instance_id)? {
                        let purged = self.engine.purge_log_archive(&node, &archive, &oldest);
                        purged.await.map_err(ControlError::unavailable)?;
                        let moment = self.purge_moments(&node, &oldest)?;
                        self.purge_remote_log(&node, &oldest, moment).await;
                    }
                }
            }
        }
        self.tidy_remote_logs().await
    }

    async fn purge_remote_log(
        &self,
        node: &NodeId,
        oldest: &BinlogPosition,
        moment: Option<Timestamp>,
    ) {
        let number = oldest.file.rsplit('.').next();
        let Some(number) = number.and_then(|number| number.parse().ok()) else {
            return;
        };
        let mut purged = self.remote_logs.purge(node, number).await;
        if let (Ok(()), Some(moment)) = (&purged, moment) {
            purged = self.remote_logs.purge_moments(node, moment).await;
        }
        if let Err(error) = purged {
            tracing::warn!(%node, %error, "old log files are not removed from the backup storage; it is tried again");
        }
    }

    /// The position of the oldest whole set that was taken of a node's databases; `None` when it
    /// is not known what a restore needs.
    fn oldest_position(
        &self,
        node: &NodeId,
        instance_id: &InstanceId,
    ) -> Result<Option<BinlogPosition>, ControlError> {
        let sets = self
            .store
            .read(|reader| reader.backup_sets(Some(instance_id), MAX_SETS))?;
        // One that is being taken has its position already, and may be the oldest.
        if sets.iter().any(|set| set.status == BackupStatus::Progress) {
            return Ok(None);
        }
        for set in sets.iter().rev() {
            let mut positions = self.positions_of(set).into_iter();
            if let Some(position) = positions.find(|position| position.node == node.as_str()) {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// Where in the logs of its nodes a set was taken, if it is whole and its manifest can be read.
    fn positions_of(&self, set: &BackupSet) -> Vec<BinlogPosition> {
        let Some(sha256) = &set.outcome.manifest_sha256 else {
            return Vec::new();
        };
        let directory = self.backup_dir(&set.set.instance_id, set.backup_id);
        let positions = self.engine.read_positions(&directory, sha256);
        positions.unwrap_or_default()
    }

    fn archived_nodes(&self) -> Result<Vec<NodeId>, ControlError> {
        let entries = match std::fs::read_dir(self.log_archives_dir()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(ControlError::unavailable)?,
        };
        let mut nodes = BTreeMap::new();
        for entry in entries {
            let name = entry.map_err(ControlError::unavailable)?.file_name();
            let node = name.to_str().and_then(|name| NodeId::parse(name).ok());
            nodes.extend(node.map(|node| (node.to_string(), node)));
        }
        Ok(nodes.into_values().collect())
    }
}
