//! Steps of tasks: what was done and must not be forgotten.

use jiff::Timestamp;
use openpeta_types::{Secret, TaskId};
use rusqlite::params;

use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer, spelled};

const TABLE: &str = "task_steps";

spelled!(
    /// Where a step stands.
    StepState {
        /// Not begun.
        Pending = "pending",
        /// Begun; after a crash it may have done all, a part, or nothing.
        Running = "running",
        /// Done.
        Done = "done",
        /// Failed for good; it may have done a part.
        Failed = "failed",
        /// Undone.
        Undone = "undone",
    }
);

/// A step of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStep {
    /// The task.
    pub task_id: TaskId,
    /// Its place, from 0.
    pub index: u32,
    /// Its name within the workflow.
    pub name: String,
    /// Where it stands.
    pub state: StepState,
    /// What it gave, a JSON text; encrypted in the store.
    pub output: Option<Secret>,
    /// How often it was begun, or its undo.
    pub attempts: u32,
    /// Why it failed last, for the operator.
    pub error: Option<String>,
    /// When it was first begun.
    pub started_at: Option<Timestamp>,
    /// When it was done, failed or undone.
    pub finished_at: Option<Timestamp>,
}

impl Reader<'_> {
    /// All steps of a task, in order.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn task_steps(&self, task_id: TaskId) -> Result<Vec<TaskStep>, StoreError> {
        self.all(
            TABLE,
            "SELECT task_id, step_index, name, state, output_sealed, attempts, error, started_at,
                    finished_at
             FROM task_steps WHERE task_id = ? ORDER BY step_index",
            [P(&task_id)],
            |columns| self.read_step(columns),
        )
    }

    fn read_step(&self, columns: &mut Columns<'_, '_>) -> Result<TaskStep, StoreError> {
        let task_id: TaskId = columns.get()?;
        let index: u32 = columns.get()?;
        let unseal = |sealed: Vec<u8>| {
            let row = [task_id.to_string(), index.to_string()];
            let plain = self
                .shared
                .sealer
                .open(TABLE, &[&row[0], &row[1]], &sealed)?;
            let text = std::str::from_utf8(&plain).map_err(|_| StoreError::bad_row(TABLE, 4))?;
            Ok::<_, StoreError>(Secret::new(text))
        };
        Ok(TaskStep {
            task_id,
            index,
            name: columns.get()?,
            state: columns.get()?,
            output: columns.get::<Option<_>>()?.map(unseal).transpose()?,
            attempts: columns.get()?,
            error: columns.get()?,
            started_at: columns.get()?,
            finished_at: columns.get()?,
        })
    }
}

impl Writer<'_> {
    /// Adds the steps of a new task.
    pub(crate) fn insert_task_steps(
        &self,
        task_id: TaskId,
        names: &[&str],
    ) -> Result<(), StoreError> {
        for (index, name) in (0_u32..).zip(names) {
            self.execute(
                "INSERT INTO task_steps (task_id, step_index, name, state, attempts)
                 VALUES (?, ?, ?, ?, 0)",
                params![P(&task_id), P(&index), name, P(&StepState::Pending)],
            )?;
        }
        Ok(())
    }

    /// Replaces everything of a step but its place and name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn update_task_step(&self, step: &TaskStep) -> Result<(), StoreError> {
        let row = [step.task_id.to_string(), step.index.to_string()];
        let seal = |output: &Secret| {
            let plain = output.expose().as_bytes();
            self.shared.sealer.seal(TABLE, &[&row[0], &row[1]], plain)
        };
        self.change(
            TABLE,
            "UPDATE task_steps SET state = ?3, output_sealed = ?4, attempts = ?5, error = ?6,
                                   started_at = ?7, finished_at = ?8
             WHERE task_id = ?1 AND step_index = ?2",
            params![
                P(&step.task_id),
                P(&step.index),
                P(&step.state),
                step.output.as_ref().map(seal),
                P(&step.attempts),
                P(&step.error),
                P(&step.started_at),
                P(&step.finished_at),
            ],
        )
    }
}
