//! When and how databases are backed up, where that differs from the defaults.

use jiff::Timestamp;
use openpeta_types::{BackupPeriod, BackupWindow, DbName, InstanceId, NodeId, RetentionDays};
use rusqlite::params;

use crate::column::{Columns, P};
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
    /// From when on days and window hold: no backup is owed for a time before it.
    pub effective_at: Timestamp,
}

/// A database that is to be backed up by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledDatabase {
    /// Its instance.
    pub instance_id: InstanceId,
    /// Its name.
    pub db_name: DbName,
    /// When.
    pub policy: BackupPolicy,
}

fn read(columns: &mut Columns<'_, '_>) -> Result<BackupPolicy, StoreError> {
    Ok(BackupPolicy {
        is_binlog_enabled: columns.get()?,
        period: columns.get()?,
        window: columns.get()?,
        retention: columns.get()?,
        effective_at: columns.get()?,
    })
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
            "SELECT binlog_enabled, period, window, retention_days, effective_at
             FROM backup_policies WHERE instance_id = ? AND db_name = ?",
            params![P(instance_id), P(db_name)],
            read,
        )
    }

    /// The databases whose policy names a day, and which can be backed up now: they and their
    /// instances are ACTIVE.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn scheduled_databases(&self) -> Result<Vec<ScheduledDatabase>, StoreError> {
        self.all(
            TABLE,
            "SELECT p.instance_id, p.db_name, p.binlog_enabled, p.period, p.window,
                    p.retention_days, p.effective_at
             FROM backup_policies p
             JOIN instances i ON i.instance_id = p.instance_id AND i.status = 'ACTIVE'
             JOIN databases d ON d.instance_id = p.instance_id AND d.db_name = p.db_name
                             AND d.status = 'ACTIVE'
             WHERE p.period <> 'None' ORDER BY p.instance_id, p.db_name",
            [],
            |columns| {
                Ok(ScheduledDatabase {
                    instance_id: columns.get()?,
                    db_name: columns.get()?,
                    policy: read(columns)?,
                })
            },
        )
    }
}

impl Reader<'_> {
    /// The nodes whose binary log is backed up, since the policy of one of their databases says
    /// so, with the instances that they serve.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn logged_nodes(&self) -> Result<Vec<(NodeId, InstanceId)>, StoreError> {
        self.all(
            TABLE,
            "SELECT i.node_id, i.instance_id
             FROM backup_policies p JOIN instances i USING (instance_id)
             WHERE p.binlog_enabled AND i.node_id IS NOT NULL AND i.status <> 'CREATE'
             UNION
             SELECT n.node_id, i.instance_id
             FROM backup_policies p JOIN instances i USING (instance_id)
             JOIN databases d USING (instance_id, db_name)
             JOIN nodes n ON n.instance_id = i.instance_id
             WHERE p.binlog_enabled AND i.status <> 'CREATE' AND d.status <> 'CREATE'
             AND n.number BETWEEN 1 AND d.node_number - 1
             ORDER BY 1",
            [],
            |columns| Ok((columns.get()?, columns.get()?)),
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
                                          retention_days, effective_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (instance_id, db_name) DO UPDATE SET binlog_enabled = ?3, period = ?4,
                window = ?5, retention_days = ?6, effective_at = ?7",
            params![
                P(instance_id),
                P(db_name),
                P(&policy.is_binlog_enabled),
                P(&policy.period),
                P(&policy.window),
                P(&policy.retention),
                P(&policy.effective_at),
            ],
        )?;
        Ok(())
    }
}
