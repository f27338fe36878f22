//! What a step knows of its task, and how it says how far it is.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use openpeta_store::{Store, Task, TaskStep};
use openpeta_types::{AccountId, DbName, InstanceId, Secret, TaskId};

use crate::{Step, StepError, Workflow};

/// Percent of a task whose steps are done and which has not ended.
const ALL_DONE: u8 = 99;
/// How often progress within a step is written down at most.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// A task as the store has it.
pub(crate) struct TaskRecord {
    pub(crate) task: Task,
    pub(crate) params: Secret,
    pub(crate) steps: Vec<TaskStep>,
}

/// A task as its steps see it.
pub struct TaskContext<'a, W: Workflow> {
    record: &'a TaskRecord,
    params: W::Params,
    progress: Option<&'a Progress>,
}

impl<'a, W: Workflow> TaskContext<'a, W> {
    pub(crate) fn new(
        record: &'a TaskRecord,
        progress: Option<&'a Progress>,
    ) -> Result<Self, StepError> {
        Ok(Self {
            record,
            params: decode(&record.params, "parameters")?,
            progress,
        })
    }

    /// The task.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        self.record.task.task_id
    }

    /// Whose task.
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        self.record.task.account_id
    }

    /// The instance that it is about.
    #[must_use]
    pub fn instance_id(&self) -> Option<&InstanceId> {
        self.record.task.instance_id.as_ref()
    }

    /// The database that it is about.
    #[must_use]
    pub fn db_name(&self) -> Option<&DbName> {
        self.record.task.db_name.as_ref()
    }

    /// What the task was told.
    #[must_use]
    pub fn params(&self) -> &W::Params {
        &self.params
    }

    /// What a step gave that is done.
    ///
    /// # Errors
    /// [`StepError::Permanent`] when it is not done.
    pub fn output<S: Step<W>>(&self) -> Result<S::Output, StepError> {
        self.try_output::<S>()?.ok_or_else(|| {
            let cause = format!("step {} has given nothing yet", S::NAME);
            StepError::permanent("Internal error.", cause)
        })
    }

    /// What a step gave, if it was ever done; in an undo that is not certain, not even of the
    /// step that is undone.
    ///
    /// # Errors
    /// [`StepError::Permanent`] when the stored text is not what the step gives.
    pub fn try_output<S: Step<W>>(&self) -> Result<Option<S::Output>, StepError> {
        let mut steps = self.record.steps.iter();
        let step = steps.find(|step| step.name == S::NAME);
        let output = step.and_then(|step| step.output.as_ref());
        output.map(|text| decode(text, S::NAME)).transpose()
    }

    /// Says how much of the running step is done, from 0 to 1, and what it is at, for whoever
    /// watches the task. Cheap to call often.
    pub fn progress(&self, fraction: f64, message: &str) {
        if let Some(progress) = self.progress {
            progress.report(fraction, message, None);
        }
    }

    /// As [`progress`](Self::progress), by who knows how fast the step goes: so it is known when
    /// the task will probably be finished.
    pub fn progress_at(&self, fraction: f64, message: &str, pace: Pace) {
        if let Some(progress) = self.progress {
            progress.report(fraction, message, Some(pace));
        }
    }
}

/// How fast a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// For how long it has run.
    pub elapsed: Duration,
    /// For about how long it will go on.
    pub left: Duration,
}

impl Pace {
    /// For about how long the task will go on, of which the step is from the one percentage to the
    /// other: what comes behind it takes as long as its weight says.
    fn left_of_task(self, (from, to): (u8, u8)) -> Duration {
        let step = self.elapsed.saturating_add(self.left);
        let behind = u32::from(ALL_DONE.saturating_sub(to));
        let share = u32::from(to.saturating_sub(from)).max(1);
        let behind = step.saturating_mul(behind) / share;
        self.left.saturating_add(behind)
    }
}

/// Reads a stored JSON text; the error does not show it.
fn decode<T: serde::de::DeserializeOwned>(text: &Secret, what: &str) -> Result<T, StepError> {
    serde_json::from_str(text.expose()).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        let cause = format!(
            "the stored {what} cannot be read: {:?} at {place}",
            error.classify()
        );
        StepError::permanent("Internal error.", cause)
    })
}

/// Writes down how far a running step is, not too often.
pub(crate) struct Progress {
    store: Store,
    task_id: TaskId,
    title: &'static str,
    /// Percent of the task when the step begins and when it is done.
    from: u8,
    to: u8,
    written: Mutex<Option<Instant>>,
}

impl Progress {
    pub(crate) fn new(
        store: Store,
        task_id: TaskId,
        title: &'static str,
        (from, to): (u8, u8),
    ) -> Self {
        Self {
            store,
            task_id,
            title,
            from,
            to,
            written: Mutex::default(),
        }
    }

    fn report(&self, fraction: f64, message: &str, pace: Option<Pace>) {
        {
            let mut written = self
                .written
                .lock()
                .unwrap_or_else(|error| error.into_inner());
            if written.is_some_and(|at| at.elapsed() < PROGRESS_INTERVAL) {
                return;
            }
            *written = Some(Instant::now());
        }
        let share = f64::from(self.to - self.from) * fraction.clamp(0.0, 1.0);
        let percent = self.from + share as u8;
        let left = pace.map(|pace| pace.left_of_task((self.from, self.to)));
        let end = |left| Timestamp::now().checked_add(left).ok();
        let expected = left.and_then(end);
        let written = self.store.write(|writer| {
            let told = (self.title, message);
            writer.set_task_progress(self.task_id, percent, told, expected)
        });
        if let Err(error) = written {
            tracing::warn!(%error, "progress could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_behind_a_step_takes_as_long_as_its_weight_says() {
        let seconds = Duration::from_secs;
        let pace = Pace {
            elapsed: seconds(30),
            left: seconds(10),
        };
        // The last step; one of half the task; one that is lost in rounding.
        assert_eq!(pace.left_of_task((50, 99)), seconds(10));
        assert_eq!(pace.left_of_task((9, 49)), seconds(10 + 50));
        assert_eq!(pace.left_of_task((98, 98)), seconds(10 + 40));
        let never = Pace {
            elapsed: Duration::MAX,
            left: Duration::MAX,
        };
        assert_eq!(never.left_of_task((0, 1)), Duration::MAX);
    }
}
