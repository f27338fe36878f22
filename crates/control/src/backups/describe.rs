//! DescribeDatabaseBackup (API document 11.1).

use openpeta_rpc_api::Action;
use openpeta_rpc_api::backups::{
    BackupItem, DescribeDatabaseBackupRequest, DescribeDatabaseBackupResponse,
};
use openpeta_store::{BackupSet, BackupSetFilter, BackupSetPage};
use openpeta_types::{BackupId, BackupStatus};

use crate::authorize::require_database;
use crate::{Caller, Control, ControlError};

impl Control {
    /// DescribeDatabaseBackup: the backup sets of a database that were begun in a time window,
    /// newest first. Whoever may restore them gets links to fetch them by, below the `origin` that
    /// the service was called at.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `InvalidDBName.NotFound`, `Forbidden.RAM`.
    pub fn describe_database_backup(
        &self,
        caller: &Caller,
        request: &DescribeDatabaseBackupRequest,
        origin: Option<&str>,
    ) -> Result<DescribeDatabaseBackupResponse, ControlError> {
        let (id, db_name) = (&request.instance_id, &request.db_name);
        let backup_id = request.backup_id.as_deref().map(BackupId::parse);
        let offset = u64::from(request.page_number - 1) * u64::from(request.page_size);
        let (page, origin) = self.parts.store.read(|reader| {
            self.instance(reader, caller, Action::DescribeDatabaseBackup, id)?;
            // A set is all that is in the database: seeing that there is one is not reading it.
            let may_restore = self.instance(reader, caller, Action::RestoreDatabase, id);
            let origin = origin.filter(|_| may_restore.is_ok());
            require_database(reader, id, db_name)?;
            let backup_id = match backup_id {
                // No set can have such a number.
                Some(Err(_)) => return Ok((none(), origin)),
                Some(Ok(backup_id)) => Some(backup_id),
                None => None,
            };
            let filter = BackupSetFilter {
                instance_id: id,
                db_name,
                from: request.start_time,
                to: request.end_time,
                status: request.status,
                mode: request.mode,
                backup_id,
            };
            let page = reader.backup_set_page(&filter, offset, request.page_size)?;
            Ok::<_, ControlError>((page, origin))
        })?;
        let item = |set: BackupSet| {
            let is_whole = set.status == BackupStatus::Success;
            let link = |origin| format!("{origin}{}", self.link_to(&set, caller.now));
            let download_url = origin.filter(|_| is_whole).map(link);
            item(set, download_url)
        };
        Ok(DescribeDatabaseBackupResponse {
            instance_id: id.clone(),
            db_name: db_name.clone(),
            total_size: page.total_bytes,
            total_record_count: u32::try_from(page.total).unwrap_or(u32::MAX),
            page_number: request.page_number,
            backups: page.sets.into_iter().map(item).collect(),
        })
    }
}

const fn none() -> BackupSetPage {
    BackupSetPage {
        total: 0,
        total_bytes: 0,
        sets: Vec::new(),
    }
}

fn item(set: BackupSet, download_url: Option<String>) -> BackupItem {
    BackupItem {
        backup_id: set.backup_id,
        status: set.status,
        start_time: set.set.started_at,
        end_time: set.outcome.ended_at,
        backup_type: set.set.backup_type,
        mode: set.set.mode,
        method: set.set.method,
        download_url,
        size: set.outcome.size_bytes.unsigned_abs(),
        node_number: set.set.node_number,
        node_class: set.set.node_spec,
        note: set.note,
        verified_time: set.verification.as_ref().map(|proof| proof.at),
        verify_failure: set.verification.and_then(|proof| proof.failure),
    }
}
