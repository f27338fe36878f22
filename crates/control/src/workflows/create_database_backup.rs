//! CreateDatabaseBackup: a set is taken, whole or not at all.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use openpeta_engine::{BackupSource, Base, BaseSet, EngineError, Stillness, TakenSet};
use openpeta_store::{BackupOutcome, Task, Writer};
use openpeta_tasks::{RetryPolicy, Step, StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::{BackupId, BackupMethod, BackupStatus, DbName, InstanceId, ObjectStatus};
use serde::{Deserialize, Serialize};

use super::meter::Meter;
use super::{FAILED_INSIDE, engine_error, instance};
use crate::backups::{LocalSet, Told};
use crate::instance_nodes::is_spread;
use crate::parts::Parts;

/// How often a backup is begun anew when a definition changed while it was taken.
const ATTEMPTS: u32 = 3;

/// Bytes below which it does not matter how large an incremental set is.
const SMALL: u64 = 1 << 20;

/// Takes a full backup of a database.
pub(crate) struct CreateDatabaseBackup(pub(super) Arc<Parts>);

/// Of which one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreateDatabaseBackupParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) db_name: DbName,
    pub(crate) backup_id: BackupId,
    /// How it is taken.
    #[serde(default = "logical")]
    pub(crate) method: BackupMethod,
    /// The set that it goes on from.
    #[serde(default)]
    pub(crate) base_id: Option<BackupId>,
}

/// How tasks of earlier versions take sets.
const fn logical() -> BackupMethod {
    BackupMethod::Logical
}

/// Whether a task takes a backup.
pub(crate) fn is_backup(task: &Task) -> bool {
    task.workflow == CreateDatabaseBackup::NAME
}

impl Workflow for CreateDatabaseBackup {
    const NAME: &'static str = "create-database-backup";
    const IS_LONG: bool = true;
    const RUNS_BESIDE_OTHERS: bool = true;
    type Params = CreateDatabaseBackupParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![undoable(TakeSet), undoable(StoreSet)]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let taken = task.output::<TakeSet>()?;
        let outcome = BackupOutcome {
            size_bytes: i64::try_from(taken.bytes).unwrap_or(i64::MAX),
            manifest_sha256: Some(taken.manifest_sha256),
            failure: None,
            ended_at: Some(Timestamp::now()),
            key_id: taken.key_id,
        };
        let backup_id = task.params().backup_id;
        if let Some(why) = taken.full_since {
            writer.make_backup_set_full(backup_id, taken.method, &why)?;
        }
        Ok(writer.finish_backup_set(backup_id, BackupStatus::Success, &outcome)?)
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        cancelled: bool,
    ) -> Result<(), StepError> {
        let failure = match cancelled {
            true => Some("It was cancelled.".to_owned()),
            false => writer.task(task.task_id())?.and_then(|task| task.message),
        };
        let outcome = BackupOutcome {
            failure,
            ended_at: Some(Timestamp::now()),
            ..BackupOutcome::default()
        };
        let backup_id = task.params().backup_id;
        Ok(writer.finish_backup_set(backup_id, BackupStatus::Failed, &outcome)?)
    }
}

/// The set is on disk, whole.
struct TakeSet;

/// What the store notes of a set.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Taken {
    bytes: u64,
    manifest_sha256: String,
    /// Which key it is encrypted with.
    #[serde(default)]
    key_id: Option<String>,
    /// Why it is a full set in the place of an incremental one, or text in the place of files.
    #[serde(default)]
    full_since: Option<String>,
    /// How it was taken, if that is another way than was asked for.
    #[serde(default)]
    method: Option<BackupMethod>,
}

#[async_trait]
impl Step<CreateDatabaseBackup> for TakeSet {
    const NAME: &'static str = "take-set";
    const TITLE: &'static str = "Taking the backup";
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RetryPolicy {
        attempts: 5,
        first_delay: Duration::from_secs(1),
        max_delay: Duration::from_secs(30),
    });
    type Output = Taken;

    async fn run(
        &self,
        workflow: &CreateDatabaseBackup,
        task: &TaskContext<'_, CreateDatabaseBackup>,
    ) -> Result<Taken, StepError> {
        let (taken, full_since) = take(&workflow.0, task).await?;
        let method = match &taken.manifest.physical {
            Some(_) => BackupMethod::Physical,
            None => BackupMethod::Logical,
        };
        Ok(Taken {
            method: Some(method).filter(|method| *method != task.params().method),
            bytes: taken.bytes,
            manifest_sha256: taken.manifest_sha256,
            key_id: taken.manifest.encryption.map(|it| it.key_id),
            full_since,
        })
    }

    async fn undo(
        &self,
        workflow: &CreateDatabaseBackup,
        task: &TaskContext<'_, CreateDatabaseBackup>,
    ) -> Result<(), StepError> {
        let params = task.params();
        let parts = &workflow.0;
        let removed = parts.destroy_backup(&params.instance_id, params.backup_id);
        Ok(removed.await?)
    }
}

/// The set is where sets are kept. It goes with what was taken.
struct StoreSet;

#[async_trait]
impl Step<CreateDatabaseBackup> for StoreSet {
    const NAME: &'static str = "store-set";
    const TITLE: &'static str = "Storing the backup";
    const IS_INTERRUPTIBLE: bool = true;
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateDatabaseBackup,
        task: &TaskContext<'_, CreateDatabaseBackup>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        if !parts.remote_sets.is_used() {
            return Ok(());
        }
        let taken = task.output::<TakeSet>()?;
        let dir = parts.backup_dir(&params.instance_id, params.backup_id);
        let manifest = parts.engine.read_manifest(&dir, &taken.manifest_sha256);
        let manifest = manifest.map_err(engine_error)?;
        let set = LocalSet {
            instance_id: &params.instance_id,
            backup_id: params.backup_id,
            dir: &dir,
            dump: &manifest.dump,
            manifest_sha256: &taken.manifest_sha256,
        };
        let meter = Meter::new();
        let progress = |told: Told| meter.tell_of_storage(task, told, "Storing the backup");
        Ok(parts.remote_sets.put(set, &progress).await?)
    }
}

/// What an incremental set goes on from, if the instance still serves it.
fn base(parts: &Parts, id: &InstanceId, base_id: BackupId) -> Result<Base, StepError> {
    let refused = |why: &str| {
        let message = format!("Backup set {base_id}, which this one goes on from, {why}.");
        StepError::permanent(message.clone(), message)
    };
    let set = parts.store.read(|reader| reader.backup_set(base_id))?;
    let sha256 = set.and_then(|set| set.outcome.manifest_sha256);
    let sha256 = sha256.ok_or_else(|| refused("is gone"))?;
    let dir = parts.backup_dir(id, base_id);
    let manifest = parts.engine.read_manifest(&dir, &sha256);
    let manifest = manifest.map_err(engine_error)?;
    let instance = instance(parts, id)?;
    parts.goes_on_from(&instance, &manifest).map_err(refused)?;
    let physical = manifest
        .physical
        .ok_or_else(|| refused("has no data files"))?;
    Ok(Base {
        set: BaseSet {
            backup_id: base_id.to_string(),
            manifest_sha256: sha256,
        },
        lsn: physical.to_lsn,
    })
}

/// Why a set of so many bytes should rather be a full one: that would be no larger, and needs no other.
fn why_full(parts: &Parts, base_id: BackupId, bytes: u64) -> Result<Option<String>, StepError> {
    let full = parts.store.read(|reader| {
        let mut chain = reader.backup_bases(base_id)?;
        chain.extend(reader.backup_set(base_id)?);
        Ok::<_, openpeta_store::StoreError>(chain.into_iter().find(|set| set.set.base_id.is_none()))
    })?;
    let of_full = full.map_or(u64::MAX, |set| set.outcome.size_bytes.unsigned_abs());
    Ok((bytes >= SMALL && bytes >= of_full)
        .then(|| format!("An incremental set took {bytes} bytes, the full one before {of_full}.")))
}

/// Takes the set; anew when somebody changed a definition meanwhile. Also why it is a full one
/// although an incremental one was asked for.
async fn take(
    parts: &Parts,
    task: &TaskContext<'_, CreateDatabaseBackup>,
) -> Result<(TakenSet, Option<String>), StepError> {
    let CreateDatabaseBackupParams {
        instance_id,
        db_name,
        backup_id,
        method,
        base_id,
    } = task.params();
    let set = parts.backup_dir(instance_id, *backup_id);
    let source = BackupSource {
        instance_id: instance_id.to_string(),
        db_name: db_name.to_string(),
        backup_id: backup_id.to_string(),
    };
    let meter = Meter::new();
    let progress = |done: u64, total: u64, what: &str| {
        let doing = match total {
            0 => format!("Copying {what}"),
            _ => format!("Reading table {what}"),
        };
        meter.tell(task, (done, total), &doing);
    };
    let (mut method, mut base_id, mut full_since) = (*method, *base_id, None);
    for attempt in 1.. {
        let instance = instance(parts, instance_id)?;
        if instance.status == ObjectStatus::Delete {
            let message = "The instance is being deleted.";
            return Err(StepError::permanent(message, message));
        }
        let node = instance.node_id;
        let node = node.ok_or_else(|| StepError::permanent(FAILED_INSIDE, "no node"))?;
        let engine = &parts.engine;
        let database = parts
            .store
            .read(|reader| reader.database(instance_id, db_name))?;
        let is_spread = database.as_ref().is_some_and(is_spread);
        let base = match base_id {
            None => None,
            Some(base_id) => Some(base(parts, instance_id, base_id)?),
        };
        let taken = match method {
            _ if is_spread => {
                task.progress(0.0, "Waiting for a moment of all nodes");
                let begun = parts.begin_snapshots(instance_id, db_name).await?;
                let (snapshots, partitions) = (begun.snapshots, &begun.partitions);
                engine
                    .take_spread_set(snapshots, &set, &source, partitions, &progress)
                    .await
            }
            BackupMethod::Physical => {
                let standing = parts.standing(instance_id, db_name);
                let begins: (_, Option<&dyn Stillness>) = (base.as_ref(), Some(&standing));
                engine
                    .take_physical_set(&node, db_name, &set, &source, begins, &progress)
                    .await
            }
            BackupMethod::Logical | BackupMethod::Snapshot => {
                let origin = parts.origin_of(instance_id, db_name, &node).await?;
                engine
                    .take_set(origin, db_name, &set, &source, &progress)
                    .await
            }
        };
        match taken {
            Ok(taken) => {
                let why = base_id.map(|base_id| why_full(parts, base_id, taken.bytes));
                let Some(why) = why.transpose()?.flatten() else {
                    parts.mark_set(&node).await;
                    return Ok((taken, full_since));
                };
                tracing::info!(instance = %instance_id, backup = %backup_id, why, "a full backup is taken in the place of an incremental one");
                (base_id, full_since) = (None, Some(why));
            }
            Err(EngineError::UnsupportedEngine { table, engine }) => {
                // Text can have any table, and a database that is not backed up has none.
                let why = format!(
                    "Table {table} has the engine {engine}, whose files cannot be copied: it is a logical backup."
                );
                tracing::info!(instance = %instance_id, backup = %backup_id, why, "a logical backup is taken in the place of a physical one");
                (method, base_id, full_since) = (BackupMethod::Logical, None, Some(why));
            }
            Err(EngineError::SchemaChanged { object }) if attempt < ATTEMPTS => {
                tracing::info!(instance = %instance_id, backup = %backup_id, object, "a definition changed during a backup; it begins anew");
            }
            Err(error) => return Err(engine_error(error)),
        }
    }
    Err(StepError::permanent(FAILED_INSIDE, "no attempt was made"))
}
