//! When and how databases are backed up, where that differs from the defaults.

use openpeta_types::{BackupPeriod, BackupWindow, DbName, InstanceId, RetentionDays};
use rusqlite::params;

use crate::column::P;
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "backup_policies";

/// The backup policy of a database. The default is what a database has that nobody gave one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupPolicy {
    /// Whether the binary log is backed up.
    pub is_binlog_enabled: bool,
    /// On which days.
    pub period: BackupPeriod,
    /// At which time of the day.
    pub window: BackupWindow,
    /// For how long sets are kept.
    pub retention: RetentionDays,
}

impl Reader<'_> {
    /// The policy of a database; `None` when nobody gave it one.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn backup_policy(
        &self,
        instance_id: &InstanceId,
        db_name: &DbName,
    ) -> Result<Option<BackupPolicy>, StoreError> {
        self.one(
            TABLE,
            "SELECT binlog_enabled, period, window, retention_days FROM backup_policies
             WHERE instance_id = ? AND db_name = ?",
            params![P(instance_id), P(db_name)],
            |columns| {
                Ok(BackupPolicy {
                    is_binlog_enabled: columns.get()?,
                    period: columns.get()?,
                    window: columns.get()?,
                    retention: columns.get()?,
                })
            },
        )
    }
}

impl Writer<'_> {
    /// Gives a database a policy, or another one; it goes with the database.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is no such database.
    pub fn put_backup_policy(
        &self,
        instance_id: &InstanceId,
        db_name: &DbName,
        policy: &BackupPolicy,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO backup_policies (instance_id, db_name, binlog_enabled, period, window,
                                          retention_days)
             VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (instance_id, db_name) DO UPDATE SET binlog_enabled = ?3, period = ?4,
                window = ?5, retention_days = ?6",
            params![
                P(instance_id),
                P(db_name),
                P(&policy.is_binlog_enabled),
                P(&policy.period),
                P(&policy.window),
                P(&policy.retention),
            ],
        )?;
        Ok(())
    }
}
