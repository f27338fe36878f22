//! Numbers of tasks, backup sets, alerts and notifications, for those who watch the service.

use jiff::Timestamp;
use openpeta_types::{BackupStatus, DbName, InstanceId, Severity, TaskStatus};
use rusqlite::params;

use crate::column::P;
use crate::{AlertPhase, Reader, StoreError, TaskPhase};

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

/// What waits for a webhook and what it did not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookTotal {
    /// Its number.
    pub webhook_id: i64,
    /// Its name.
    pub name: String,
    /// Notifications that it did not get, ever.
    pub dropped: u32,
    /// Notifications that wait.
    pub waiting: u32,
    /// The time of the event that waits longest.
    pub oldest: Option<Timestamp>,
}

/// How many alerts there are of a severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertTotal {
    /// Where they stand.
    pub phase: AlertPhase,
    /// How bad.
    pub severity: Severity,
    /// Rules and instances.
    pub count: u32,
}

/// What restores of whole backup sets for proof came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProofTotals {
    /// Sets that were restored.
    pub proven: u32,
    /// Sets that could not be restored.
    pub failed: u32,
    /// Sets that nobody has tried.
    pub untried: u32,
    /// When one was restored last.
    pub last_proven: Option<Timestamp>,
}

/// What the recycle bin has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecycledTotals {
    /// Deleted databases.
    pub databases: u32,
    /// What their sets take.
    pub bytes: i64,
}

impl Reader<'_> {
    /// What the recycle bin has.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn recycled_totals(&self) -> Result<RecycledTotals, StoreError> {
        let totals = self.one(
            "recycle_bin",
            "SELECT count(*), coalesce(sum(size_bytes), 0) FROM recycle_bin",
            [],
            |columns| {
                Ok(RecycledTotals {
                    databases: columns.get()?,
                    bytes: columns.get()?,
                })
            },
        )?;
        Ok(totals.unwrap_or_default())
    }

    /// Webhooks, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn webhook_totals(&self) -> Result<Vec<WebhookTotal>, StoreError> {
        self.all(
            "webhooks",
            "SELECT webhook_id, name, dropped,
                    (SELECT count(*) FROM deliveries d WHERE d.webhook_id = w.webhook_id),
                    (SELECT at FROM deliveries d WHERE d.webhook_id = w.webhook_id
                     ORDER BY seq LIMIT 1)
             FROM webhooks w ORDER BY webhook_id",
            [],
            |columns| {
                Ok(WebhookTotal {
                    webhook_id: columns.get()?,
                    name: columns.get()?,
                    dropped: columns.get()?,
                    waiting: columns.get()?,
                    oldest: columns.get()?,
                })
            },
        )
    }

    /// Alerts by where they stand and how bad they are.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn alert_totals(&self) -> Result<Vec<AlertTotal>, StoreError> {
        self.all(
            "alert_states",
            "SELECT phase, severity, count(*) FROM alert_states JOIN alert_rules USING (rule_id)
             GROUP BY phase, severity ORDER BY phase, severity",
            [],
            |columns| {
                Ok(AlertTotal {
                    phase: columns.get()?,
                    severity: columns.get()?,
                    count: columns.get()?,
                })
            },
        )
    }

    /// What restores for proof came to.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn proof_totals(&self) -> Result<ProofTotals, StoreError> {
        let totals = self.one(
            "backup_sets",
            "SELECT count(*) FILTER (WHERE verified_at IS NOT NULL AND verify_failure IS NULL),
                    count(*) FILTER (WHERE verify_failure IS NOT NULL),
                    count(*) FILTER (WHERE verified_at IS NULL),
                    max(verified_at) FILTER (WHERE verify_failure IS NULL)
             FROM backup_sets WHERE status = 'Success'",
            [],
            |columns| {
                Ok(ProofTotals {
                    proven: columns.get()?,
                    failed: columns.get()?,
                    untried: columns.get()?,
                    last_proven: columns.get()?,
                })
            },
        )?;
        Ok(totals.unwrap_or_default())
    }

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
