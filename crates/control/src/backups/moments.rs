//! Moments of databases that are spread over nodes: every few seconds their instance stands still for an
//! instant, and it is noted how far the binary log of each node is. A restore to a point in time goes to
//! the moment before it.
//!
//! They lie beside the archived log of node 0, in `moments`: a line of JSON for each, in the order of time. One
//! at which all logs are where they were is not noted: what was restored would be the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use openpeta_engine::{BinlogPosition, EngineError, LogAfter, Manifest, NodeSql};
use openpeta_rpc_api::ApiError;
use openpeta_types::{DbName, InstanceId, NodeId};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::Placement;
use crate::ControlError;
use crate::instance_nodes::is_spread;
use crate::parts::Parts;

/// The name of the file in the archive of node 0.
const FILE: &str = "moments";
/// How long clients wait at most for one.
const LIMIT: Duration = Duration::from_millis(200);

/// How far the logs of all nodes were at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    /// When. What was committed by then is in the logs before those places, as far as several nodes
    /// are concerned; on one node alone commits go on meanwhile.
    pub(crate) at: Timestamp,
    /// Node 0 first.
    pub(crate) nodes: Vec<BinlogPosition>,
    /// Where partitions were.
    pub(crate) partitions: Placement,
}

/// The last moment of each instance that this process has noted.
#[derive(Default)]
pub(crate) struct LastMoments(Mutex<HashMap<InstanceId, Moment>>);

impl Parts {
    /// Notes a moment of each instance that has a database over several nodes whose log is archived. One
    /// that does not come to a standstill has the next one some seconds later.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) async fn note_moments(self: &Arc<Self>) -> Result<(), ControlError> {
        let widest = self.store.read(|reader| {
            let instances: BTreeSet<_> = reader
                .logged_nodes()?
                .into_iter()
                .map(|(_, instance)| instance)
                .collect();
            let mut widest = Vec::new();
            for id in instances {
                let mut logged = Vec::new();
                for database in reader.databases(&id)? {
                    let policy = reader.backup_policy(&id, &database.db_name)?;
                    if is_spread(&database) && policy.is_some_and(|policy| policy.is_binlog_enabled)
                    {
                        logged.push(database);
                    }
                }
                // Its nodes are all that there are of any.
                let database = logged
                    .into_iter()
                    .max_by_key(|database| database.node_number);
                widest.extend(database.map(|database| (id, database)));
            }
            Ok::<_, ControlError>(widest)
        })?;
        let mut running = JoinSet::new();
        for (id, database) in widest {
            let nodes = self.nodes_of_database(&id, &database)?;
            let parts = Arc::clone(self);
            running.spawn(async move {
                if let Err(error) = parts.note_moment(&id, &database.db_name, &nodes).await {
                    tracing::debug!(instance = %id, error, "no moment of all nodes is noted; it is tried again");
                }
            });
        }
        while running.join_next().await.is_some() {}
        Ok(())
    }

    /// Notes a moment of an instance; why not, if it cannot be done.
    pub(crate) async fn note_moment(
        &self,
        id: &InstanceId,
        db_name: &DbName,
        nodes: &[NodeId],
    ) -> Result<(), String> {
        let told = |error: EngineError| error.to_string();
        let mut connections = Vec::new();
        for node in nodes {
            connections.push((node, self.engine.sql(node).await.map_err(told)?));
        }
        let mut found = None;
        let look = Box::pin(async {
            let nodes = positions(&mut connections).await;
            // Before anything goes on: who is asked for this time or a later one gets it.
            let at = Timestamp::now();
            found = Some(nodes.map(|nodes| (at, nodes)));
        });
        let before = self.settled_placement(id);
        let stood = self.gateway.stand_still(id, db_name, LIMIT, look).await;
        let after = self.settled_placement(id);
        for (_, connection) in connections {
            connection.close().await;
        }
        stood.map_err(|error| error.to_string())?;
        let found = found.ok_or_else(|| "nobody looked".to_owned())?;
        let (at, nodes_at) = found.map_err(told)?;
        let partitions = match (before, after) {
            (Ok(Some(before)), Ok(Some(after))) if before == after => before,
            _ => return Err("partitions are being moved".to_owned()),
        };
        let moment = Moment {
            at,
            nodes: nodes_at,
            partitions,
        };
        let Some(home) = nodes.first() else {
            return Err("it has no nodes".to_owned());
        };
        let mut last = self
            .last_moments
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.get(id).is_some_and(|last| {
            (&last.nodes, &last.partitions) == (&moment.nodes, &moment.partitions)
        }) {
            return Ok(());
        }
        append(&self.log_archive(home), &moment).map_err(|error| error.to_string())?;
        last.insert(id.clone(), moment);
        Ok(())
    }

    /// The moments that were noted, in the order of time, with node 0 as it is.
    ///
    /// # Errors
    /// [`ControlError`] when the file cannot be read.
    pub(crate) fn moments_of(&self, home: &NodeId) -> Result<Vec<Moment>, ControlError> {
        read(&self.log_archive(home)).map_err(ControlError::unavailable)
    }

    /// The last moment that was noted at a time or before it, with node 0 as it is.
    ///
    /// # Errors
    /// [`ControlError`] when the file cannot be read.
    pub(crate) fn moment_before(
        &self,
        home: &NodeId,
        time: Timestamp,
    ) -> Result<Option<Moment>, ControlError> {
        let moments = self.moments_of(home)?;
        Ok(moments.into_iter().rev().find(|moment| moment.at <= time))
    }

    /// The last moment up to a time to which the archived logs lead on from a set; `None` when there is none
    /// after the set.
    ///
    /// # Errors
    /// `OperationDenied.NotFoundBackup` when the logs do not lead on from it; [`ControlError`] when a file
    /// cannot be read.
    pub(crate) fn last_moment_after(
        &self,
        manifest: &Manifest,
        db_name: &DbName,
        until: Timestamp,
    ) -> Result<Option<Moment>, ControlError> {
        let refused = |why: &str| {
            let set = &manifest.source.backup_id;
            ControlError::from(
                ApiError::no_backup().with_detail(&format!("{why} backup set {set}.")),
            )
        };
        let begins = manifest.binlogs();
        let after = |position: &BinlogPosition| {
            let node = NodeId::parse(&position.node).ok();
            let archive = node.map(|node| self.log_archive(&node));
            let after = archive.map(|archive| self.engine.archive_after(&archive, position));
            after.and_then(Result::ok).unwrap_or(LogAfter::Gap)
        };
        if begins.iter().any(|begin| after(begin) == LogAfter::Gap) {
            return Err(refused("The archived binary logs do not go on from"));
        }
        let home = NodeId::parse(&manifest.binlog.node).map_err(ControlError::internal)?;
        let mut moments = read(&self.log_archive(&home)).map_err(ControlError::unavailable)?;
        // What one of the logs does not have any more is no moment of all.
        moments.retain(|moment| {
            let is_its = moment.at >= manifest.taken_at && moment.at <= until;
            is_its
                && begins.len() <= moment.nodes.len()
                && begins
                    .iter()
                    .zip(&moment.nodes)
                    .all(|(begin, end)| begin.leads_to(end) && after(end) == LogAfter::GoesOn)
        });
        let Some(last) = moments.pop() else {
            return Ok(None);
        };
        let placed = manifest.spread.as_ref().map(|spread| &spread.partitions);
        if placed != last.partitions.get(db_name) {
            return Err(refused("Partitions have been moved since"));
        }
        Ok(Some(last))
    }

    /// Forgets the moments of a node 0 from before a position in its log; the first one that stays.
    ///
    /// # Errors
    /// [`ControlError`] when the file cannot be written.
    pub(crate) fn purge_moments(
        &self,
        home: &NodeId,
        oldest: &BinlogPosition,
    ) -> Result<Option<Timestamp>, ControlError> {
        let archive = self.log_archive(home);
        // Nobody notes one meanwhile.
        let _last = self
            .last_moments
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut moments = read(&archive).map_err(ControlError::unavailable)?;
        let before = moments.len();
        moments.retain(|moment| {
            let home = moment.nodes.first();
            home.is_some_and(|home| oldest.leads_to(home))
        });
        if moments.len() < before {
            replace(&archive, &moments).map_err(ControlError::unavailable)?;
        }
        Ok(moments.first().map(|moment| moment.at))
    }
}

/// How far the logs are, if no transaction is half carried out at that moment.
async fn positions(
    connections: &mut [(&NodeId, NodeSql)],
) -> Result<Vec<BinlogPosition>, EngineError> {
    let mut positions = Vec::new();
    for (node, connection) in &mut *connections {
        positions.push(connection.binlog_position(node).await?);
    }
    // Sessions of a process that ends after a hand-over do not stand still with ours.
    for ((node, connection), position) in connections.iter_mut().zip(&positions) {
        if connection.is_in_doubt_since(position).await? {
            let node = (*node).clone();
            return Err(EngineError::InDoubt { node });
        }
    }
    Ok(positions)
}

/// A moment as the file has it.
pub(super) fn line(moment: &Moment) -> Vec<u8> {
    let mut line = serde_json::to_vec(moment).expect("plain data is JSON");
    line.push(b'\n');
    line
}

fn append(archive: &Path, moment: &Moment) -> std::io::Result<()> {
    let path = archive.join(FILE);
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .mode(0o600)
        .open(path)?;
    // One that a crash cut off must not spoil the next.
    let mut text = match ends_with_line(&file)? {
        true => Vec::new(),
        false => vec![b'\n'],
    };
    text.extend(line(moment));
    file.write_all(&text)?;
    file.sync_data()
}

fn ends_with_line(file: &std::fs::File) -> std::io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let Some(last) = file.metadata()?.len().checked_sub(1) else {
        return Ok(true);
    };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte == [b'\n'])
}

/// The moments in an archive.
pub(super) fn read(archive: &Path) -> std::io::Result<Vec<Moment>> {
    read_file(&archive.join(FILE))
}

/// The moments in a file; none if there is no file.
pub(super) fn read_file(path: &Path) -> std::io::Result<Vec<Moment>> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        result => result?,
    };
    // A line that a crash cut off says nothing.
    let moments = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    Ok(moments.collect())
}

/// Adds moments that came from elsewhere to those in an archive, which has all of a node that is there.
pub(super) fn add(archive: &Path, found: Vec<Moment>) -> std::io::Result<()> {
    let here = read(archive)?;
    let before = here.len();
    let all: BTreeMap<_, _> = found
        .into_iter()
        .chain(here)
        .map(|moment| (moment.at, moment))
        .collect();
    if all.len() == before {
        return Ok(());
    }
    let all: Vec<_> = all.into_values().collect();
    replace(archive, &all)
}

fn replace(archive: &Path, moments: &[Moment]) -> std::io::Result<()> {
    let (path, new): (PathBuf, _) = (archive.join(FILE), archive.join("moments.new"));
    let text: Vec<u8> = moments.iter().flat_map(line).collect();
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&text)?;
    file.sync_all()?;
    std::fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(second: i64, position: u64) -> Moment {
        Moment {
            at: Timestamp::from_second(second).expect("in range"),
            nodes: vec![BinlogPosition {
                node: "nd-a".into(),
                file: "bin.000001".into(),
                position,
                gtid: String::new(),
            }],
            partitions: Placement::new(),
        }
    }

    #[test]
    fn moments_are_read_as_they_were_noted_whatever_a_crash_cut_off() {
        let archive = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(read(archive.path()).expect("none yet"), []);
        append(archive.path(), &moment(1, 4)).expect("written");
        let path = archive.path().join(FILE);
        let mut text = std::fs::read(&path).expect("readable");
        text.extend_from_slice(b"{\"at\":\"1970");
        std::fs::write(&path, text).expect("writable");
        append(archive.path(), &moment(2, 8)).expect("written");
        let both = [moment(1, 4), moment(2, 8)];
        add(archive.path(), both.to_vec()).expect("nothing to do");
        assert_eq!(read(archive.path()).expect("readable"), both);
        replace(archive.path(), &both[1..]).expect("writable");
        assert_eq!(read(archive.path()).expect("readable"), both[1..]);
        // An old copy was put back, and others were fetched.
        add(
            archive.path(),
            vec![moment(3, 9), moment(1, 4), moment(2, 8)],
        )
        .expect("writable");
        let all = [moment(1, 4), moment(2, 8), moment(3, 9)];
        assert_eq!(read(archive.path()).expect("readable"), all);
    }
}
