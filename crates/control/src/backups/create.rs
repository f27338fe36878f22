//! CreateDatabaseBackup.

use jiff::Timestamp;
use openpeta_rpc_api::backups::{CreateDatabaseBackupRequest, CreateDatabaseBackupResponse};
use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::{Database, Instance, NewBackupSet, Reader, Writer};
use openpeta_tasks::{NewTask, Tasks};
use openpeta_types::{
    BackupId, BackupMethod, BackupMode, BackupType, DbName, InstanceId, TaskId, TraceContext,
};

use crate::authorize::{require_active_database, require_unlocked};
use crate::instance_nodes::is_spread;
use crate::workflows::create_database_backup::{CreateDatabaseBackup, CreateDatabaseBackupParams};
use crate::{Control, ControlError, MutatingCall, audit};

impl Control {
    /// CreateDatabaseBackup: has a full backup of a database taken. The database stays as
    /// usable as it is; other calls about it are taken meanwhile.
    ///
    /// # Errors
    /// Those of the action's table; no set is listed then.
    pub fn create_database_backup(
        &self,
        call: &MutatingCall,
        request: &CreateDatabaseBackupRequest,
    ) -> Result<CreateDatabaseBackupResponse, ControlError> {
        let (id, db_name) = (&request.instance_id, &request.db_name);
        let backup_id = self.parts.store.write(|writer| {
            let instance = self.active_instance(writer, &call.caller, call.action, id)?;
            require_unlocked(&instance)?;
            let database = require_active_database(writer, id, db_name)?;
            require_no_backup(writer, id, Some(db_name))?;
            let (method, base_id) = match (request.backup_type, request.method) {
                _ if is_spread(&database) => (spread_method(request)?, None),
                (BackupType::Incremental, None | Some(BackupMethod::Physical)) => {
                    let base = self.parts.base_of(writer, &instance, db_name);
                    let base = base?.map_err(|why| ApiError::no_backup().with_detail(&why))?;
                    (BackupMethod::Physical, Some(base))
                }
                (BackupType::Incremental, Some(_)) => {
                    let detail = "An incremental backup consists of data files (Physical).";
                    return Err(ApiError::backup_method().with_detail(detail).into());
                }
                (BackupType::Full, asked) => {
                    (asked.unwrap_or(self.parts.config.backup.method()), None)
                }
            };
            let (backup_id, task) = begin_backup(
                writer,
                &instance,
                &database,
                Wanted {
                    mode: BackupMode::Manual,
                    method,
                    base_id,
                },
                call.caller.now,
                call.caller.trace,
            )?;
            audit::record(writer, call, Some(id), Some(task))?;
            Ok::<_, ControlError>(backup_id)
        })?;
        Ok(CreateDatabaseBackupResponse { backup_id })
    }
}

/// How a set of a database that is spread over nodes is taken: as text, whatever is usual.
///
/// # Errors
/// `OperationDenied.BackupMethod` when the call asks for something else.
fn spread_method(request: &CreateDatabaseBackupRequest) -> Result<BackupMethod, ControlError> {
    let is_text = !matches!(request.method, Some(method) if method != BackupMethod::Logical);
    if is_text && request.backup_type == BackupType::Full {
        return Ok(BackupMethod::Logical);
    }
    let detail =
        "Backups of a database that is spread over nodes are full and of SQL text (Logical).";
    Err(ApiError::backup_method().with_detail(detail).into())
}

/// What kind of set is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Who wants it.
    pub(super) mode: BackupMode,
    /// How it is to be taken.
    pub(super) method: BackupMethod,
    /// The set that it is to go on from.
    pub(super) base_id: Option<BackupId>,
}

/// Writes a set that is to be taken, and the task that takes it.
pub(super) fn begin_backup(
    writer: &Writer<'_>,
    instance: &Instance,
    database: &Database,
    wanted: Wanted,
    now: Timestamp,
    trace: Option<TraceContext>,
) -> Result<(BackupId, TaskId), ControlError> {
    let instance_id = &instance.instance_id;
    let backup_id = writer.insert_backup_set(&NewBackupSet {
        account_id: instance.account_id,
        instance_id: instance_id.clone(),
        db_name: database.db_name.clone(),
        backup_type: match wanted.base_id {
            None => BackupType::Full,
            Some(_) => BackupType::Incremental,
        },
        mode: wanted.mode,
        method: wanted.method,
        base_id: wanted.base_id,
        node_spec: database.node_spec.clone(),
        node_number: database.node_number,
        started_at: now,
    })?;
    let task = Tasks::enqueue(
        writer,
        &NewTask::<CreateDatabaseBackup> {
            account_id: instance.account_id,
            instance_id: Some(instance_id.clone()),
            db_name: Some(database.db_name.clone()),
            action: Action::CreateDatabaseBackup.name(),
            params: CreateDatabaseBackupParams {
                instance_id: instance_id.clone(),
                db_name: database.db_name.clone(),
                backup_id,
                method: wanted.method,
                base_id: wanted.base_id,
            },
            trace,
        },
    )?;
    Ok((backup_id, task))
}

/// Refuses what cannot be done while a backup is taken, of one database or of any.
///
/// # Errors
/// `OperationDenied.BackupJobExists`, naming the set.
pub(crate) fn require_no_backup(
    reader: &Reader<'_>,
    instance: &InstanceId,
    db_name: Option<&DbName>,
) -> Result<(), ControlError> {
    let running = reader.running_backups(instance)?;
    let concerns = |name: &DbName| db_name.is_none_or(|asked| asked == name);
    match running.iter().find(|set| concerns(&set.set.db_name)) {
        None => Ok(()),
        Some(set) => {
            let detail = format!("Backup {} is being taken.", set.backup_id);
            Err(ApiError::backup_job_exists().with_detail(&detail).into())
        }
    }
}
