//! An instance whose data is lost is brought back: what is decided before the task begins.

use jiff::Timestamp;
use openpeta_engine::{LogAfter, Manifest};
use openpeta_rpc_api::ApiError;
use openpeta_store::{BackupSet, Instance, Node, NodeState, Reader, Writer};
use openpeta_tasks::{NewTask, Tasks};
use openpeta_types::{BackupId, BackupStatus, DbName, InstanceId, NodeId, ObjectStatus, TaskId};

use crate::admin::protocol::ReplayedLog;
use crate::parts::Parts;
use crate::workflows::recover_instance::{
    RecoverInstance, RecoverInstanceParams, RecoveredDatabase, Spread,
};
use crate::{ControlError, random};

/// What the task is called where calls of the API are named.
const ACTION: &str = "RecoverInstance";

/// Of how many sets one is looked for.
const MAX_SETS: u32 = 10_000;

/// What the operator asks for.
pub(crate) struct RecoveryOrder<'a> {
    pub(crate) instance_id: &'a InstanceId,
    /// In place of the newest sets of their databases.
    pub(crate) backup_ids: &'a [BackupId],
    pub(crate) log: ReplayedLog,
    /// Databases that are given up.
    pub(crate) without: &'a [DbName],
}

impl Parts {
    /// Whether an instance has a node whose directory is not there. One that is being made has
    /// none yet.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn is_lost(
        &self,
        reader: &Reader<'_>,
        instance: &Instance,
    ) -> Result<bool, ControlError> {
        if instance.status == ObjectStatus::Create {
            return Ok(false);
        }
        let nodes = reader.serving_nodes(instance)?;
        let is_lost = |node: &Node| {
            let is_made = node.number == 0 || node.state != NodeState::Creating;
            is_made && !self.engine.has_node(&node.node_id)
        };
        Ok(nodes.iter().any(is_lost))
    }

    /// Has an instance brought back whose data is lost.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`; `OperationDenied.DBInstanceStatus` when its data is not
    /// lost; `OperationDenied.NotFoundBackup` naming the database that cannot be brought back.
    pub(crate) fn begin_recovery(
        &self,
        writer: &Writer<'_>,
        order: &RecoveryOrder<'_>,
        now: Timestamp,
    ) -> Result<(TaskId, Instance), ControlError> {
        let id = order.instance_id;
        let instance = writer.instance(id)?;
        let instance = instance.ok_or_else(ApiError::instance_not_found)?;
        let refused = |detail: &str| ApiError::instance_status().with_detail(detail);
        let lost = writer.serving_nodes(&instance)?;
        if !self.is_lost(writer, &instance)? {
            let detail = "The data directory of its node is there. Only an instance whose data is lost is recovered; move the directory away if it is of no use.";
            return Err(refused(detail).into());
        }
        if !matches!(
            instance.status,
            ObjectStatus::Active | ObjectStatus::Inactive
        ) {
            return Err(refused("A task works on it.").into());
        }
        let databases = self.recovered_databases(writer, order)?;
        let widest = databases.iter().map(|its| its.after.node_number).max();
        let no_node = || ControlError::internal("the instance has no node");
        let mut made = Vec::new();
        for number in 0..widest.unwrap_or(1) as usize {
            let like = lost.get(number).or(lost.last()).ok_or_else(no_node)?;
            made.push(new_node(writer, like, now)?);
        }
        let mut lost = lost.into_iter().map(|node| node.node_id);
        let (lost_node, mut made) = (lost.next().ok_or_else(no_node)?, made.into_iter());
        let node_id = made.next().ok_or_else(no_node)?;
        writer.set_instance_status(id, ObjectStatus::Migrate)?;
        let task = NewTask::<RecoverInstance> {
            account_id: instance.account_id,
            instance_id: Some(id.clone()),
            db_name: None,
            action: ACTION,
            params: RecoverInstanceParams {
                instance_id: id.clone(),
                lost_node,
                lost_further: lost.collect(),
                node_id,
                further: made.collect(),
                databases,
                log: order.log,
                without: order.without.to_vec(),
            },
            trace: None,
        };
        Ok((Tasks::enqueue(writer, &task)?, instance))
    }

    /// What each database of the instance is brought back from.
    fn recovered_databases(
        &self,
        reader: &Reader<'_>,
        order: &RecoveryOrder<'_>,
    ) -> Result<Vec<RecoveredDatabase>, ControlError> {
        let id = order.instance_id;
        let mut wanted = Vec::new();
        for backup_id in order.backup_ids {
            let set = reader.backup_set(*backup_id)?;
            let set = set.filter(|set| set.set.instance_id == *id);
            wanted.push(set.ok_or_else(ApiError::backup_not_found)?);
        }
        let mut databases = Vec::new();
        let mut placed = reader.partitions(id)?;
        let rows = reader.databases(id)?;
        if let Some(unknown) = order
            .without
            .iter()
            .find(|name| !rows.iter().any(|row| row.db_name == **name))
        {
            let detail = format!("The instance has no database {unknown}.");
            return Err(ApiError::db_not_found().with_detail(&detail).into());
        }
        for row in rows {
            let name = row.db_name;
            let is_unmade = matches!(row.status, ObjectStatus::Create | ObjectStatus::Delete);
            if is_unmade || order.without.contains(&name) {
                continue;
            }
            let asked = wanted.iter().find(|set| set.set.db_name == name);
            let (set, manifest) = match asked {
                Some(set) => self.whole(set).map(|manifest| (set.clone(), manifest)),
                None => self.base_set(reader, id, &name, order.log)?,
            }
            .ok_or_else(|| no_set(&name, order.log))?;
            self.require_log(&set, &manifest, order.log)?;
            let spread = manifest.spread.as_ref();
            databases.push(RecoveredDatabase {
                before: Spread {
                    node_number: row.node_number,
                    partitions: placed.remove(&name).unwrap_or_default(),
                },
                after: Spread {
                    node_number: u32::try_from(manifest.node_number()).unwrap_or(u32::MAX),
                    partitions: spread.map_or_else(Vec::new, |its| its.partitions.clone()),
                },
                db_name: name,
                backup_id: set.backup_id,
                manifest_sha256: set.outcome.manifest_sha256.unwrap_or_default(),
            });
        }
        if databases.is_empty() {
            let detail = "No database of the instance would be left.";
            return Err(ApiError::no_backup().with_detail(detail).into());
        }
        Ok(databases)
    }

    /// The newest whole set of a database whose files are there.
    pub(crate) fn newest_set(
        &self,
        reader: &Reader<'_>,
        instance_id: &InstanceId,
        db_name: &DbName,
    ) -> Result<Option<(BackupSet, Manifest)>, ControlError> {
        self.base_set(reader, instance_id, db_name, ReplayedLog::Nothing)
    }

    /// The newest of the sets from which the log is to go on.
    fn base_set(
        &self,
        reader: &Reader<'_>,
        instance_id: &InstanceId,
        db_name: &DbName,
        log: ReplayedLog,
    ) -> Result<Option<(BackupSet, Manifest)>, ControlError> {
        let is_early = |manifest: &Manifest| match log {
            ReplayedLog::Before(time) => manifest.taken_at < time,
            _ => true,
        };
        let sets = reader.backup_sets(Some(instance_id), MAX_SETS)?;
        let its = sets.into_iter().filter(|set| set.set.db_name == *db_name);
        let whole = its.filter_map(|set| Some((self.whole(&set)?, set)));
        let newest = whole
            .filter(|(manifest, _)| is_early(manifest))
            .max_by_key(|(manifest, _)| manifest.taken_at);
        Ok(newest.map(|(manifest, set)| (set, manifest)))
    }

    /// The manifest of a set that is whole, as far as can be told at once.
    fn whole(&self, set: &BackupSet) -> Option<Manifest> {
        if set.status != BackupStatus::Success {
            return None;
        }
        let sha256 = set.outcome.manifest_sha256.as_deref()?;
        let directory = self.backup_dir(&set.set.instance_id, set.backup_id);
        self.engine.read_manifest(&directory, sha256).ok()
    }

    /// Whether the archived log goes on from a set.
    pub(crate) fn log_goes_on(&self, manifest: &Manifest) -> bool {
        self.log_after(manifest) == LogAfter::GoesOn && manifest.table_without_moment().is_none()
    }

    /// How the archived logs of all nodes go on: as the one that leads least far.
    fn log_after(&self, manifest: &Manifest) -> LogAfter {
        let mut all = LogAfter::GoesOn;
        for begin in manifest.binlogs() {
            let Ok(node) = NodeId::parse(&begin.node) else {
                return LogAfter::Gap;
            };
            let archive = self.log_archive(&node);
            match self.engine.archive_after(&archive, &begin) {
                Ok(LogAfter::GoesOn) => {}
                Ok(LogAfter::EndsBefore) => all = LogAfter::EndsBefore,
                Ok(LogAfter::Gap) | Err(_) => return LogAfter::Gap,
            }
        }
        all
    }

    /// Refuses a recovery for want of the log that it is to apply. One that ends before the set has nothing
    /// to add to it: that is its end, but no later time.
    fn require_log(
        &self,
        set: &BackupSet,
        manifest: &Manifest,
        log: ReplayedLog,
    ) -> Result<(), ControlError> {
        let after = self.log_after(manifest);
        let has_moment = manifest.table_without_moment().is_none();
        let until = match log {
            ReplayedLog::Before(time) => time,
            _ => Timestamp::MAX,
        };
        let what = match (log, after) {
            (ReplayedLog::Nothing, _) => return Ok(()),
            (_, LogAfter::GoesOn) if has_moment && manifest.spread.is_some() => {
                // It says why when the logs do not lead to its moments.
                let name = &set.set.db_name;
                return self.last_moment_after(manifest, name, until).map(drop);
            }
            (_, LogAfter::GoesOn) if self.is_spread_in_log(set, manifest, until)? => {
                "goes over moves of partitions and does not go on from"
            }
            (_, LogAfter::GoesOn) if has_moment => return Ok(()),
            (ReplayedLog::Everything, LogAfter::EndsBefore) => return Ok(()),
            (ReplayedLog::Before(_), LogAfter::EndsBefore) => "ends before",
            _ => "does not go on from",
        };
        let detail = format!(
            "The archived binary log {what} backup set {}.",
            set.backup_id
        );
        Err(ApiError::no_backup().with_detail(&detail).into())
    }
}

impl Parts {
    /// Whether a database whose set is of one node got several of them later in its log: what that node has
    /// in its log from then on is a part of what was written.
    fn is_spread_in_log(
        &self,
        set: &BackupSet,
        manifest: &Manifest,
        until: Timestamp,
    ) -> Result<bool, ControlError> {
        let home = NodeId::parse(&manifest.binlog.node).map_err(ControlError::internal)?;
        let mut moments = self.moments_of(&home)?.into_iter();
        Ok(moments.any(|moment| {
            let is_later = moment.at >= manifest.taken_at && moment.at <= until;
            is_later && moment.partitions.contains_key(&set.set.db_name)
        }))
    }
}

/// The row of a node that the instance gets, like one that is lost.
fn new_node(writer: &Writer<'_>, lost: &Node, now: Timestamp) -> Result<NodeId, ControlError> {
    let node = Node {
        node_id: random::node_id()?,
        instance_id: None,
        number: 0,
        state: NodeState::Scratch,
        restarts: 0,
        created_at: now,
        ..lost.clone()
    };
    writer.insert_node(&node)?;
    Ok(node.node_id)
}

fn no_set(db_name: &DbName, log: ReplayedLog) -> ApiError {
    let before = match log {
        ReplayedLog::Before(_) => " from before that time",
        _ => "",
    };
    let detail = format!(
        "There is no whole backup set of database {db_name}{before}: put its files into the directory of sets, or give the database up with --without."
    );
    ApiError::no_backup().with_detail(&detail)
}
