//! Tasks: long operations and where they stand. The rules are the tasks crate's; here are rows.

use jiff::{SignedDuration, Timestamp};
use openpeta_types::{AccountId, DbName, InstanceId, Secret, TaskId, TaskStatus, TraceContext};
use rusqlite::params;

use crate::changes::Topic;
use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer, spelled};

const TABLE: &str = "tasks";

/// The columns that [`read`] reads, in its order.
macro_rules! columns {
    () => {
        "task_id, account_id, instance_id, db_name, action, workflow, status, phase, progress, \
         current_step, message, cause, cancel_requested, begin_at, started_at, finish_at, \
         expected_finish_at, trace"
    };
}

/// Which tasks a [`TaskFilter`] means.
macro_rules! filter {
    () => {
        " FROM tasks WHERE (?1 IS NULL OR account_id = ?1) AND (?2 IS NULL OR instance_id = ?2) \
         AND (?3 IS NULL OR action = ?3) AND (?4 IS NULL OR instr(?4, status) > 0) \
         AND (?5 IS NULL OR begin_at >= ?5) AND (?6 IS NULL OR begin_at <= ?6)"
    };
}

spelled!(
    /// Which way a task goes. One that failed before `Done` is stuck: it waits for the operator.
    TaskPhase {
        /// Its steps are run, first to last.
        Forward = "forward",
        /// A step failed for good; what was done is undone, last to first.
        Unwinding = "unwinding",
        /// It was cancelled; what was done is undone, last to first.
        Cancelling = "cancelling",
        /// It came to its end.
        Done = "done",
    }
);

/// A task to be added; the store hands out its number.
#[derive(Clone, Debug)]
pub struct NewTask<'a> {
    /// Whose task.
    pub account_id: AccountId,
    /// The instance that it is about; its tasks run one after the other.
    pub instance_id: Option<InstanceId>,
    /// The database that it is about.
    pub db_name: Option<DbName>,
    /// The API action that started it.
    pub action: &'a str,
    /// The workflow.
    pub workflow: &'a str,
    /// Its parameters, a JSON text; encrypted in the store.
    pub params: Secret,
    /// The names of its steps, in order.
    pub steps: Vec<&'a str>,
    /// When it was asked for.
    pub begin_at: Timestamp,
    /// The trace of the call that asked for it.
    pub trace: Option<TraceContext>,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub task_id: TaskId,
    /// Whose task.
    pub account_id: AccountId,
    /// The instance that it is about.
    pub instance_id: Option<InstanceId>,
    /// The database that it is about.
    pub db_name: Option<DbName>,
    /// The API action that started it.
    pub action: String,
    /// The workflow.
    pub workflow: String,
    /// Its status, as the API shows it.
    pub status: TaskStatus,
    /// Which way it goes.
    pub phase: TaskPhase,
    /// 0 to 100.
    pub progress: u8,
    /// Title of the step that runs.
    pub current_step: Option<String>,
    /// What the client is told.
    pub message: Option<String>,
    /// Why it failed, for the operator; no secrets.
    pub cause: Option<String>,
    /// Whether somebody asked to cancel it.
    pub cancel_requested: bool,
    /// When it was asked for.
    pub begin_at: Timestamp,
    /// When its first step began.
    pub started_at: Option<Timestamp>,
    /// When it reached a final status.
    pub finish_at: Option<Timestamp>,
    /// When it will probably be finished.
    pub expected_finish_at: Option<Timestamp>,
    /// The trace of the call that asked for it.
    pub trace: Option<TraceContext>,
}

impl Task {
    /// Whether it failed on its way and waits for the operator to retry it.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.status == TaskStatus::Failed && self.phase != TaskPhase::Done
    }
}

/// Which tasks to list; all that is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter<'a> {
    /// Of this tenant.
    pub account_id: Option<AccountId>,
    /// About this instance.
    pub instance_id: Option<InstanceId>,
    /// Started by this API action.
    pub action: Option<String>,
    /// In one of these statuses.
    pub statuses: Option<&'a [TaskStatus]>,
    /// Asked for not before.
    pub from: Option<Timestamp>,
    /// Asked for not after.
    pub to: Option<Timestamp>,
}

fn read(columns: &mut Columns<'_, '_>) -> Result<Task, StoreError> {
    Ok(Task {
        task_id: columns.get()?,
        account_id: columns.get()?,
        instance_id: columns.get()?,
        db_name: columns.get()?,
        action: columns.get()?,
        workflow: columns.get()?,
        status: columns.get()?,
        phase: columns.get()?,
        progress: columns.get()?,
        current_step: columns.get()?,
        message: columns.get()?,
        cause: columns.get()?,
        cancel_requested: columns.get()?,
        begin_at: columns.get()?,
        started_at: columns.get()?,
        finish_at: columns.get()?,
        expected_finish_at: columns.get()?,
        trace: columns.get()?,
    })
}

impl Reader<'_> {
    /// The task of that number.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn task(&self, task_id: TaskId) -> Result<Option<Task>, StoreError> {
        self.one(
            TABLE,
            concat!("SELECT ", columns!(), " FROM tasks WHERE task_id = ?"),
            [P(&task_id)],
            read,
        )
    }

    /// The parameters that a task was added with, a JSON text.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn task_params(&self, task_id: TaskId) -> Result<Secret, StoreError> {
        let sealed: Vec<u8> = self
            .one(
                TABLE,
                "SELECT params_sealed FROM tasks WHERE task_id = ?",
                [P(&task_id)],
                |columns| columns.get(),
            )?
            .ok_or(StoreError::NotFound { table: TABLE })?;
        let plain = self
            .shared
            .sealer
            .open(TABLE, &[&task_id.to_string()], &sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| StoreError::bad_row(TABLE, 0))?;
        Ok(Secret::new(text))
    }

    /// How many tasks pass the filter, and `limit` of them from `offset` on, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn task_page(
        &self,
        filter: &TaskFilter<'_>,
        offset: u64,
        limit: u32,
    ) -> Result<(u64, Vec<Task>), StoreError> {
        // Statuses are single digits: a set of them is a text of digits.
        let statuses: Option<String> = filter
            .statuses
            .map(|statuses| statuses.iter().map(|status| status.as_str()).collect());
        let total: i64 = self
            .one(
                TABLE,
                concat!("SELECT count(*)", filter!()),
                params![
                    P(&filter.account_id),
                    P(&filter.instance_id),
                    P(&filter.action),
                    P(&statuses),
                    P(&filter.from),
                    P(&filter.to),
                ],
                |columns| columns.get(),
            )?
            .unwrap_or_default();
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let page = self.all(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                filter!(),
                " ORDER BY task_id DESC LIMIT ?7 OFFSET ?8"
            ),
            params![
                P(&filter.account_id),
                P(&filter.instance_id),
                P(&filter.action),
                P(&statuses),
                P(&filter.from),
                P(&filter.to),
                P(&limit),
                P(&offset),
            ],
            read,
        )?;
        Ok((total.unsigned_abs(), page))
    }

    /// All tasks that are pending or running, oldest first; stuck ones are not among them.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn unfinished_tasks(&self) -> Result<Vec<Task>, StoreError> {
        self.all(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM tasks WHERE status IN ('0', '1') ORDER BY task_id"
            ),
            [],
            read,
        )
    }

    /// The tasks of an instance that are pending or running, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn unfinished_tasks_of(&self, instance_id: &InstanceId) -> Result<Vec<Task>, StoreError> {
        let mut tasks = self.unfinished_tasks()?;
        tasks.retain(|task| task.instance_id.as_ref() == Some(instance_id));
        Ok(tasks)
    }

    /// How long the last `limit` successful tasks of a workflow took, latest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn task_durations(
        &self,
        workflow: &str,
        limit: u32,
    ) -> Result<Vec<SignedDuration>, StoreError> {
        self.all(
            TABLE,
            "SELECT finish_at - started_at FROM tasks
             WHERE workflow = ? AND status = '2' AND started_at IS NOT NULL
             ORDER BY finish_at DESC LIMIT ?",
            params![workflow, P(&limit)],
            |columns| Ok(SignedDuration::from_micros(columns.get()?)),
        )
    }
}

impl Writer<'_> {
    /// Adds a pending task with its pending steps; returns its number: at least seven digits,
    /// never used twice.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn insert_task(&self, task: &NewTask<'_>) -> Result<TaskId, StoreError> {
        self.touch(Topic::Tasks);
        self.execute(
            "INSERT INTO tasks (account_id, instance_id, db_name, action, workflow, params_sealed,
                                status, phase, progress, cancel_requested, begin_at, trace)
             VALUES (?, ?, ?, ?, ?, x'', ?, ?, 0, 0, ?, ?)",
            params![
                P(&task.account_id),
                P(&task.instance_id),
                P(&task.db_name),
                task.action,
                task.workflow,
                P(&TaskStatus::Pending),
                P(&TaskPhase::Forward),
                P(&task.begin_at),
                P(&task.trace),
            ],
        )?;
        let task_id = TaskId::from_number(self.last_number());
        let params = task.params.expose().as_bytes();
        let sealed = self
            .shared
            .sealer
            .seal(TABLE, &[&task_id.to_string()], params);
        self.execute(
            "UPDATE tasks SET params_sealed = ?2 WHERE task_id = ?1",
            params![P(&task_id), sealed],
        )?;
        self.insert_task_steps(task_id, &task.steps)?;
        Ok(task_id)
    }

    /// Replaces what changes in the life of a task: from `status` on all fields but `begin_at`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn update_task(&self, task: &Task) -> Result<(), StoreError> {
        self.touch(Topic::Tasks);
        self.change(
            TABLE,
            "UPDATE tasks SET status = ?2, phase = ?3, progress = ?4, current_step = ?5,
                message = ?6, cause = ?7, cancel_requested = ?8, started_at = ?9,
                finish_at = ?10, expected_finish_at = ?11
             WHERE task_id = ?1",
            params![
                P(&task.task_id),
                P(&task.status),
                P(&task.phase),
                P(&task.progress),
                P(&task.current_step),
                P(&task.message),
                P(&task.cause),
                P(&task.cancel_requested),
                P(&task.started_at),
                P(&task.finish_at),
                P(&task.expected_finish_at),
            ],
        )
    }

    /// Says how far a task is, and when it will probably be finished if that is known better than
    /// before, without waking those who wait for tasks to begin or end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_task_progress(
        &self,
        task_id: TaskId,
        progress: u8,
        (current_step, message): (&str, &str),
        expected_finish_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.change(
            TABLE,
            "UPDATE tasks SET progress = ?2, current_step = ?3, message = ?4,
                expected_finish_at = coalesce(?5, expected_finish_at)
             WHERE task_id = ?1",
            params![
                P(&task_id),
                P(&progress),
                current_step,
                message,
                P(&expected_finish_at)
            ],
        )
    }
}
