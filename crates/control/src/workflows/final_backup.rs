//! The last backup of databases that are being deleted, and their way into the recycle bin.
//!
//! It stands in nobody's way: what cannot be backed up is deleted all the same, and the newest
//! whole set that there is goes into the bin instead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use openpeta_engine::{BackupSource, EngineError, HeldByAccount, TakenSet};
use openpeta_store::{
    BackupOutcome, BackupSet, NewEvent, Reader, Recycling, StoreError, Topic, Writer,
};
use openpeta_tasks::{Step, StepError, TaskContext, Workflow};
use openpeta_types::{
    AccountName, AccountType, BackupId, BackupStatus, BackupType, DbName, EventKind, InstanceId,
    NodeId, ObjectStatus,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::meter::Meter;
use super::{engine_error, loading};
use crate::backups::{LocalSet, Told, free_bytes};
use crate::instance_nodes::is_spread;
use crate::parts::Parts;
use crate::recycle_bin::{LastSet, LastSets};

/// How often a set is begun anew, since a definition changed or the node was in the way.
const ATTEMPTS: u32 = 3;
/// Between two of them.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes that stay free on the disk: others write there, too.
const LEFT_FREE: u64 = 256 << 20;
/// Between two looks at the disk and at whether the set grows.
const LOOK: Duration = Duration::from_secs(1);
/// Without any progress for so long the node hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// A workflow that deletes databases and leaves them in the recycle bin.
pub(super) trait Recycles: Workflow {
    /// What it acts on.
    fn parts(&self) -> &Arc<Parts>;

    /// The instance.
    fn instance_id(params: &Self::Params) -> &InstanceId;

    /// The sets that are to be taken.
    fn last_sets(params: &Self::Params) -> &LastSets;
}

/// What came of the last backup of a database.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LastBackup {
    db_name: DbName,
    /// The set that goes into the bin.
    kept: Option<BackupId>,
    /// Why it is none that was taken now.
    failure: Option<String>,
    /// What accounts have on the node in the database.
    held: BTreeMap<AccountName, HeldByAccount>,
}

/// The sets that go into the bin.
pub(super) fn kept(backups: &[LastBackup]) -> Vec<BackupId> {
    backups.iter().filter_map(|backup| backup.kept).collect()
}

/// Puts the sets into the bin, in the transaction that deletes their databases and before that.
pub(super) fn recycle<W: Recycles>(
    writer: &Writer<'_>,
    task: &TaskContext<'_, W>,
) -> Result<(), StepError> {
    let now = Timestamp::now();
    let id = W::instance_id(task.params());
    let LastSets { days, sets } = W::last_sets(task.params());
    for backup in task.output::<FinalBackup>()? {
        let Some(set) = sets.iter().find(|set| set.db_name == backup.db_name) else {
            continue;
        };
        let mut failure = backup.failure;
        let mut is_kept = false;
        if let Some(backup_id) = backup.kept {
            let recycling = Recycling {
                is_final: failure.is_none(),
                deleted_at: now,
                purge_at: now + SignedDuration::from_hours(24 * i64::from(*days)),
                content: set.content.with_held(backup.held).to_text(),
            };
            is_kept = writer.recycle_set(backup_id, &recycling)?;
        }
        if !is_kept {
            failure.get_or_insert_with(|| "The set is gone.".to_owned());
        }
        if let Some(failure) = failure {
            let kept = backup.kept.filter(|_| is_kept);
            note_failure(writer, id, &backup.db_name, kept, &failure, now);
        }
    }
    Ok(())
}

fn note_failure(
    writer: &Writer<'_>,
    id: &InstanceId,
    db_name: &DbName,
    kept: Option<BackupId>,
    failure: &str,
    now: Timestamp,
) {
    let outcome = match kept {
        Some(backup_id) => format!("set {backup_id} is kept instead"),
        None => "no set is kept".to_owned(),
    };
    tracing::warn!(instance = %id, database = %db_name, failure, outcome, "a deleted database could not be backed up for the last time");
    let text =
        format!("database {db_name} was deleted without a final backup, {outcome}: {failure}");
    let details = json!({ "kept": kept.map(|id| id.to_string()), "failure": failure });
    let event = NewEvent::new(now, EventKind::FinalBackupFailed, text).of(Some(id));
    writer.note_event(&NewEvent {
        db_name: Some(db_name.clone()),
        ..event.with(&details)
    });
}

/// Every database has its last set, or an earlier one, or it is known why there is none.
pub(super) struct FinalBackup;

#[async_trait]
impl<W: Recycles> Step<W> for FinalBackup {
    const NAME: &'static str = "final-backup";
    const TITLE: &'static str = "Taking the final backup";
    const WEIGHT: u32 = 20;
    const IS_INTERRUPTIBLE: bool = true;
    type Output = Vec<LastBackup>;

    async fn run(
        &self,
        workflow: &W,
        task: &TaskContext<'_, W>,
    ) -> Result<Vec<LastBackup>, StepError> {
        let (parts, id) = (workflow.parts(), W::instance_id(task.params()));
        let node = super::instance(parts, id)?.node_id;
        let mut backups = Vec::new();
        for set in &W::last_sets(task.params()).sets {
            let db_name = &set.db_name;
            parts.end_of_backups(id, Some(db_name)).await?;
            let failure = take(parts, task, id, node.as_ref(), set).await?;
            let kept = match &failure {
                None => Some(set.backup_id),
                Some(_) => newest_whole_set(parts, id, db_name)?,
            };
            let held = match &node {
                Some(node) => held(parts, node, set).await,
                None => BTreeMap::new(),
            };
            backups.push(LastBackup {
                db_name: db_name.clone(),
                kept,
                failure,
                held,
            });
        }
        Ok(backups)
    }
}

/// Takes the set of a database; why not, if it cannot be.
async fn take<W: Recycles>(
    parts: &Parts,
    task: &TaskContext<'_, W>,
    id: &InstanceId,
    node: Option<&NodeId>,
    set: &LastSet,
) -> Result<Option<String>, StepError> {
    let row = parts
        .store
        .read(|reader| reader.backup_set(set.backup_id))?;
    let Some(row) = row else {
        return Ok(Some("The set is gone.".to_owned()));
    };
    match row.status {
        BackupStatus::Success => return Ok(None),
        BackupStatus::Failed => {}
        _ => match attempts(parts, task, id, node, set).await? {
            Ok(outcome) => {
                // Whoever gave it up meanwhile came too late.
                let status = BackupStatus::Success;
                parts
                    .store
                    .write(|writer| writer.finish_backup_set(set.backup_id, status, &outcome))?;
                return Ok(None);
            }
            Err(failure) => give_up(parts, set.backup_id, &failure)?,
        },
    }
    if let Err(error) = parts.destroy_backup(id, set.backup_id).await {
        // It is tried again with the other sets.
        tracing::warn!(instance = %id, backup = %set.backup_id, context = error.context, "what there is of a final backup is not removed");
    }
    let row = parts
        .store
        .read(|reader| reader.backup_set(set.backup_id))?;
    let failure = row.and_then(|row| row.outcome.failure);
    Ok(Some(failure.unwrap_or_default()))
}

/// Notes that a set will not be taken, unless that is known.
fn give_up(parts: &Parts, backup_id: BackupId, failure: &str) -> Result<(), StoreError> {
    parts
        .store
        .write(|writer| note_given_up(writer, backup_id, failure))
}

/// Writes that a set that is being taken is not wanted any more; whoever takes it leaves off.
pub(crate) fn note_given_up(
    writer: &Writer<'_>,
    backup_id: BackupId,
    failure: &str,
) -> Result<(), StoreError> {
    let is_open = |set: &BackupSet| set.status == BackupStatus::Progress;
    if writer.backup_set(backup_id)?.as_ref().is_some_and(is_open) {
        let outcome = BackupOutcome {
            failure: Some(failure.to_owned()),
            ended_at: Some(Timestamp::now()),
            ..BackupOutcome::default()
        };
        writer.finish_backup_set(backup_id, BackupStatus::Failed, &outcome)?;
    }
    Ok(())
}

/// A few attempts at a set; what it came to, or why it is given up.
async fn attempts<W: Recycles>(
    parts: &Parts,
    task: &TaskContext<'_, W>,
    id: &InstanceId,
    node: Option<&NodeId>,
    set: &LastSet,
) -> Result<Result<BackupOutcome, String>, StepError> {
    let Some(node) = node else {
        return Ok(Err("The instance has no node.".to_owned()));
    };
    for attempt in 1.. {
        let progress = Progressing::default();
        let taken = tokio::select! {
            taken = take_once(parts, task, id, node, set, &progress) => taken,
            failure = hindered(parts, set.backup_id, &progress) => return Ok(Err(failure?)),
        };
        let error = match taken {
            Ok(taken) => return Ok(Ok(stored(parts, task, id, set, taken).await?)),
            Err(error) => error,
        };
        tracing::info!(instance = %id, backup = %set.backup_id, attempt, cause = %error, "a final backup failed");
        match error {
            StepError::Transient { .. } if attempt < ATTEMPTS => tokio::time::sleep(PAUSE).await,
            StepError::Transient { .. } => return Ok(Err("The node cannot be read.".to_owned())),
            StepError::Permanent { message, .. } | StepError::Refused { message, .. } => {
                return Ok(Err(message));
            }
        }
    }
    Ok(Err(String::new()))
}

/// Takes the set once, whatever became of the node since it was wanted.
async fn take_once<W: Recycles>(
    parts: &Parts,
    task: &TaskContext<'_, W>,
    id: &InstanceId,
    node: &NodeId,
    set: &LastSet,
    progressing: &Progressing,
) -> Result<TakenSet, StepError> {
    let database = parts
        .store
        .read(|reader| reader.database(id, &set.db_name))?;
    let database = database.filter(is_spread);
    let nodes = match &database {
        Some(database) => parts.nodes_of_database(id, database)?,
        None => vec![node.clone()],
    };
    loading::start_all(parts, &nodes).await?;
    if super::instance(parts, id)?.status == ObjectStatus::Delete {
        // Nobody looks after transactions that are in doubt any more, and what was committed shall be there.
        parts.leave_nodes(id).await?;
    }
    let source = BackupSource {
        instance_id: id.to_string(),
        db_name: set.db_name.to_string(),
        backup_id: set.backup_id.to_string(),
    };
    let meter = Meter::new();
    let progress = |done: u64, total: u64, what: &str| {
        progressing.0.fetch_add(1, Ordering::Relaxed);
        meter.tell(task, (done, total), &format!("Reading table {what}"));
    };
    let directory = parts.backup_dir(id, set.backup_id);
    let engine = &parts.engine;
    let taken = match database {
        Some(_) => {
            let begun = parts.begin_snapshots(id, &set.db_name).await?;
            let (snapshots, partitions) = (begun.snapshots, &begun.partitions);
            engine
                .take_spread_set(snapshots, &directory, &source, partitions, &progress)
                .await
        }
        None => {
            let origin = parts.origin_of(id, &set.db_name, node).await?;
            engine
                .take_set(origin, &set.db_name, &directory, &source, &progress)
                .await
        }
    };
    taken.map_err(|error| match error {
        // Another attempt may meet nobody who changes something.
        EngineError::SchemaChanged { .. } => StepError::transient(error),
        error => engine_error(error),
    })
}

/// Puts a set where sets are kept. If that cannot be done, here is better than nowhere; it is brought there
/// later.
async fn stored<W: Recycles>(
    parts: &Parts,
    task: &TaskContext<'_, W>,
    id: &InstanceId,
    set: &LastSet,
    taken: TakenSet,
) -> Result<BackupOutcome, StoreError> {
    if parts.remote_sets.is_used() {
        let directory = parts.backup_dir(id, set.backup_id);
        let local = LocalSet {
            instance_id: id,
            backup_id: set.backup_id,
            dir: &directory,
            dump: &taken.manifest.dump,
            manifest_sha256: &taken.manifest_sha256,
        };
        let meter = Meter::new();
        let progress = |told: Told| meter.tell_of_storage(task, told, "Storing the backup");
        if let Err(error) = parts.remote_sets.put_now(local, &progress).await {
            parts.note_waiting(id, set.backup_id, &set.db_name, error.into())?;
        }
    }
    Ok(BackupOutcome {
        size_bytes: i64::try_from(taken.bytes).unwrap_or(i64::MAX),
        manifest_sha256: Some(taken.manifest_sha256),
        failure: None,
        ended_at: Some(Timestamp::now()),
        key_id: taken.manifest.encryption.map(|it| it.key_id),
    })
}

/// How often progress was told.
#[derive(Debug, Default)]
struct Progressing(AtomicU64);

/// Waits until there is a reason to leave off: the disk gets full, the operator does not want the
/// set, nothing goes on.
async fn hindered(
    parts: &Parts,
    backup_id: BackupId,
    progressing: &Progressing,
) -> Result<String, StoreError> {
    let mut changes = parts.store.watch(Topic::Tasks);
    let (mut told, mut since) = (0, tokio::time::Instant::now());
    loop {
        changes.borrow_and_update();
        let set = parts.store.read(|reader| reader.backup_set(backup_id))?;
        if let Some(set) = set.filter(|set| set.status == BackupStatus::Failed) {
            return Ok(set.outcome.failure.unwrap_or_default());
        }
        if free_bytes(parts.store.data_dir()).is_ok_and(|free| free < LEFT_FREE) {
            return Ok("The host has no disk space left.".to_owned());
        }
        let now = progressing.0.load(Ordering::Relaxed);
        if now != told {
            (told, since) = (now, tokio::time::Instant::now());
        } else if since.elapsed() > PATIENCE {
            return Ok("The node does not answer.".to_owned());
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = changes.changed() => {}
        }
    }
}

/// The newest whole set of a database that can be restored by itself.
fn newest_whole_set(
    parts: &Parts,
    id: &InstanceId,
    db_name: &DbName,
) -> Result<Option<BackupId>, StoreError> {
    let is_good = |set: &BackupSet| {
        let is_sound = set
            .verification
            .as_ref()
            .is_none_or(|proof| proof.failure.is_none());
        set.set.db_name == *db_name
            && set.status == BackupStatus::Success
            && set.set.backup_type == BackupType::Full
            && is_sound
    };
    let found = parts
        .store
        .read(|reader: &Reader<'_>| reader.backup_sets(Some(id), u32::MAX))?;
    Ok(found.into_iter().find(is_good).map(|set| set.backup_id))
}

/// What accounts have in the database by the node, which knows of grants by SQL, too; of a node
/// that cannot be asked nothing.
async fn held(parts: &Parts, node: &NodeId, set: &LastSet) -> BTreeMap<AccountName, HeldByAccount> {
    let ask = async || {
        let mut sql = parts.engine.sql(node).await?;
        let present = sql.accounts().await?;
        let mut held = BTreeMap::new();
        for account in set.content.accounts() {
            // One of type Super has everything.
            let is_normal = account.account_type == AccountType::Normal;
            if is_normal && present.contains(&account.name) {
                let all = sql.held_by(&account.name).await?;
                held.insert(account.name.clone(), all.only_on(&set.db_name));
            }
        }
        sql.close().await;
        Ok::<_, EngineError>(held)
    };
    match tokio::time::timeout(PATIENCE, ask()).await {
        Ok(Ok(held)) => held,
        Ok(Err(error)) => {
            tracing::warn!(%node, %error, "grants made by SQL are not kept");
            BTreeMap::new()
        }
        Err(_) => BTreeMap::new(),
    }
}
