//! CreateDatabaseBackup.

use openpeta_rpc_api::ApiError;
use openpeta_rpc_api::backups::{CreateDatabaseBackupRequest, CreateDatabaseBackupResponse};
use openpeta_store::{NewBackupSet, Reader};
use openpeta_types::{BackupMethod, BackupMode, BackupType, DbName, InstanceId};

use crate::authorize::{require_active_database, require_unlocked};
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
            let backup_id = writer.insert_backup_set(&NewBackupSet {
                account_id: call.caller.account_id,
                instance_id: id.clone(),
                db_name: db_name.clone(),
                backup_type: BackupType::Full,
                mode: BackupMode::Manual,
                method: BackupMethod::Logical,
                node_spec: database.node_spec,
                node_number: database.node_number,
                started_at: call.caller.now,
            })?;
            let params = CreateDatabaseBackupParams {
                instance_id: id.clone(),
                db_name: db_name.clone(),
                backup_id,
            };
            let db_name = Some(db_name.clone());
            let task = self.enqueue::<CreateDatabaseBackup>(writer, call, id, db_name, params)?;
            audit::record(writer, call, Some(id), Some(task))?;
            Ok::<_, ControlError>(backup_id)
        })?;
        Ok(CreateDatabaseBackupResponse { backup_id })
    }
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
