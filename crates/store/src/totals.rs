//! Numbers of tasks and backup sets, for those who watch the service.

use jiff::Timestamp;
use openpeta_types::{BackupStatus, DbName, InstanceId, TaskStatus};
use rusqlite::params;

use crate::column::P;
use crate::{Reader, StoreError, TaskPhase};

/// How many tasks there are of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskTotal {
    /// The status.
    pub status: TaskStatus,
    /// Tasks.
    pub count: u32,
    /// Those of them that failed on their way and wait for the operator.
    pub stuck: u32,
    /// When the oldest of them was asked for.
    pub oldest: Timestamp,
}

/// The backup sets of a database of one status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupTotal {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// The status.
    pub status: BackupStatus,
    /// Sets.
    pub count: u32,
    /// Their bytes.
    pub bytes: i64,
    /// When the last of them began.
    pub latest: Timestamp,
}

impl Reader<'_> {
    /// Tasks by status; those without any are left out.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn task_totals(&self) -> Result<Vec<TaskTotal>, StoreError> {
        self.all(
            "tasks",
            "SELECT status, count(*), count(*) FILTER (WHERE status = ?1 AND phase <> ?2),
                    min(begin_at)
             FROM tasks GROUP BY status ORDER BY status",
            params![P(&TaskStatus::Failed), P(&TaskPhase::Done)],
            |columns| {
                Ok(TaskTotal {
                    status: columns.get()?,
                    count: columns.get()?,
                    stuck: columns.get()?,
                    oldest: columns.get()?,
                })
            },
        )
    }

    /// Backup sets by database and status.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn backup_totals(&self) -> Result<Vec<BackupTotal>, StoreError> {
        self.all(
            "backup_sets",
            "SELECT instance_id, db_name, status, count(*), sum(size_bytes), max(started_at)
             FROM backup_sets GROUP BY instance_id, db_name, status
             ORDER BY instance_id, db_name, status",
            [],
            |columns| {
                Ok(BackupTotal {
                    instance_id: columns.get()?,
                    db_name: columns.get()?,
                    status: columns.get()?,
                    count: columns.get()?,
                    bytes: columns.get()?,
                    latest: columns.get()?,
                })
            },
        )
    }
}
