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
    /// When the oldest of them was asked for, as long as they are not finished.
    pub oldest: Option<Timestamp>,
}

/// Triggers keep the counts; what is unfinished is few and has an index.
const TASK_TOTALS: &str = "SELECT counts.status, sum(counts.tasks),
        coalesce(sum(counts.tasks) FILTER (WHERE counts.status = ?1 AND counts.phase <> ?2), 0),
        (SELECT min(begin_at) FROM tasks
         WHERE status IN ('0', '1') AND status = counts.status)
    FROM task_counts AS counts GROUP BY counts.status HAVING sum(counts.tasks) > 0 ORDER BY counts.status";

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
    /// Tasks by status; those without any are left out. Takes as long however many have ended.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn task_totals(&self) -> Result<Vec<TaskTotal>, StoreError> {
        self.all(
            "tasks",
            TASK_TOTALS,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;

    /// What SQLite does for a query.
    fn plan(store: &Store, sql: &str) -> Vec<String> {
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let plan = store.read(|reader| {
            let parameters = ["3", "done"];
            reader.all("plan", &explain, parameters, |columns| {
                let _: (i64, i64, i64) = (columns.get()?, columns.get()?, columns.get()?);
                columns.get::<String>()
            })
        });
        plan.expect("it can be explained")
    }

    #[test]
    fn tasks_are_counted_without_reading_them() {
        let directory = tempfile::tempdir().expect("tempdir");
        let store = Store::open(directory.path()).expect("a store");
        let plan = plan(&store, TASK_TOTALS);
        let reads: Vec<_> = plan
            .iter()
            .filter(|line| line.contains("SCAN") || line.contains("SEARCH"))
            .filter(|line| line.split_whitespace().nth(1) == Some("tasks"))
            .collect();
        assert!(!reads.is_empty(), "{plan:?}");
        for read in reads {
            assert!(read.contains("INDEX tasks_unfinished"), "{plan:?}");
        }
    }
}
