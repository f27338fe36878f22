//! Backups that policies ask for.

use jiff::Timestamp;
use openpeta_store::{AuditEntry, ScheduledDatabase, Writer};
use openpeta_types::{
    BackupId, BackupMethod, BackupMode, DbName, InstanceId, ObjectStatus, TaskId, format_time,
};
use serde_json::json;

use super::create::{Wanted, begin_backup, require_no_backup};
use super::schedule;
use crate::instance_nodes::is_spread;
use crate::parts::Parts;
use crate::{ControlError, random};

/// Name of such a backup in the audit trail, where the operator's commands are `admin:…`.
const ACTION: &str = "backup:automatic";
/// The same of one after an import.
const AFTER_IMPORT: &str = "backup:after-import";

/// Sets that are begun because of policies before others of their kind have ended: as many as are
/// taken at the same time. More would only stand in the way of those that somebody asks for.
const AT_A_TIME: u32 = 2;

impl Parts {
    /// Begins the backups that policies ask for now, a few at a time. Returns how many.
    ///
    /// Also of instances that are locked: their content is worth as much.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn begin_due_backups(&self, now: Timestamp) -> Result<usize, ControlError> {
        let databases = self.store.read(|reader| reader.scheduled_databases())?;
        let mut due: Vec<_> = databases
            .into_iter()
            .filter_map(|database| Some((due(&database, now)?, database)))
            .collect();
        // Those that have waited longest first.
        due.sort_by_key(|(due, _)| *due);
        let mut begun = 0;
        for (due, database) in due {
            let began = self
                .store
                .write(|writer| self.begin_due_backup(writer, &database, due, now))?;
            match began {
                Began::Yes => begun += 1,
                Began::NotOwed => {}
                Began::NoRoom => break,
            }
        }
        Ok(begun)
    }

    /// Begins the backup of a database that was due at `due`, if it is owed still.
    fn begin_due_backup(
        &self,
        writer: &Writer<'_>,
        scheduled: &ScheduledDatabase,
        due: Timestamp,
        now: Timestamp,
    ) -> Result<Began, ControlError> {
        let (id, name) = (&scheduled.instance_id, &scheduled.db_name);
        let attempts = writer.automated_backups_since(id, name, due)?;
        if !schedule::is_owed(&attempts, now) {
            return Ok(Began::NotOwed);
        }
        // Everything may have changed since the list was read.
        let is_active = |status| status == ObjectStatus::Active;
        let instance = writer.instance(id)?.filter(|it| is_active(it.status));
        let database = writer.database(id, name)?.filter(|it| is_active(it.status));
        let (Some(instance), Some(database)) = (instance, database) else {
            return Ok(Began::NotOwed);
        };
        if writer.backup_policy(id, name)? != Some(scheduled.policy)
            || require_no_backup(writer, id, Some(name)).is_err()
        {
            return Ok(Began::NotOwed);
        }
        if writer.running_automated_backups()? >= AT_A_TIME {
            return Ok(Began::NoRoom);
        }
        let (backup_id, task) = begin_backup(
            writer,
            &instance,
            &database,
            match is_spread(&database) {
                true => Wanted {
                    mode: BackupMode::Automated,
                    method: BackupMethod::Logical,
                    base_id: None,
                },
                false => Wanted {
                    mode: BackupMode::Automated,
                    method: self.config.backup.method(),
                    base_id: self.base_by_policy(writer, &instance, &database.db_name)?,
                },
            },
            now,
            None,
        )?;
        record(writer, scheduled, due, backup_id, task, now)?;
        tracing::info!(instance = %id, database = %name, backup = %backup_id, due = %due, attempt = attempts.len() + 1, "a backup begins because its policy asks for it");
        Ok(Began::Yes)
    }
}

impl Parts {
    /// Begins a backup of a database whose tables were just imported, if its log is archived: the
    /// log has them under another database's name, so that no restore leads past the import.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn begin_backup_after_import(
        &self,
        writer: &Writer<'_>,
        id: &InstanceId,
        name: &DbName,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let policy = writer.backup_policy(id, name)?.unwrap_or_default();
        let (Some(instance), Some(database)) = (writer.instance(id)?, writer.database(id, name)?)
        else {
            return Ok(());
        };
        if !policy.is_binlog_enabled || instance.status == ObjectStatus::Delete {
            return Ok(());
        }
        if require_no_backup(writer, id, Some(name)).is_err() {
            tracing::warn!(instance = %id, database = %name, "a backup was under way when an import was put in its place: a point in time after it needs another one");
            return Ok(());
        }
        let wanted = Wanted {
            mode: BackupMode::Automated,
            method: self.config.backup.method(),
            base_id: None,
        };
        let (backup_id, task) = begin_backup(writer, &instance, &database, wanted, now, None)?;
        let parameters = json!({ "db_name": name.as_str(), "backup_id": backup_id.to_string() });
        audit(writer, AFTER_IMPORT, id, parameters, task, now)
    }
}

/// Whether a backup was begun.
enum Began {
    Yes,
    /// It is taken already, or cannot be taken now.
    NotOwed,
    /// Enough are being taken.
    NoRoom,
}

fn due(database: &ScheduledDatabase, now: Timestamp) -> Option<Timestamp> {
    let policy = &database.policy;
    let shift = schedule::shift(policy, &database.instance_id, &database.db_name);
    schedule::latest_due(policy, shift, now)
}

fn record(
    writer: &Writer<'_>,
    database: &ScheduledDatabase,
    due: Timestamp,
    backup_id: BackupId,
    task: TaskId,
    now: Timestamp,
) -> Result<(), ControlError> {
    let parameters = json!({
        "db_name": database.db_name.as_str(),
        "backup_id": backup_id.to_string(),
        "due": format_time(due),
    });
    audit(writer, ACTION, &database.instance_id, parameters, task, now)
}

fn audit(
    writer: &Writer<'_>,
    action: &str,
    id: &InstanceId,
    parameters: serde_json::Value,
    task: TaskId,
    now: Timestamp,
) -> Result<(), ControlError> {
    let instance = writer.instance(id)?;
    writer.insert_audit(&AuditEntry {
        at: now,
        account_id: instance.map(|instance| instance.account_id),
        ram_user: None,
        access_key_id: None,
        action: action.to_owned(),
        instance_id: Some(id.clone()),
        source_ip: None,
        user_agent: None,
        request_id: random::request_id()?.to_string(),
        parameters: parameters.to_string(),
        outcome: "OK".to_owned(),
        task_id: Some(task),
    })?;
    Ok(())
}
