//! Who is told what tasks did.

use jiff::Timestamp;
use openpeta_store::Task;

use crate::StepError;
use crate::run::Halt;

/// How a run of a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// It did what it is for.
    Done,
    /// It failed, as it may not another time.
    Transient,
    /// It failed, as it would again.
    Permanent,
    /// It was refused and did nothing.
    Refused,
    /// It was left before its end, for the next process.
    Interrupted,
}

impl StepOutcome {
    pub(crate) const fn of<T>(ended: &Result<Result<T, StepError>, Halt>) -> Self {
        match ended {
            Ok(Ok(_)) => Self::Done,
            Ok(Err(StepError::Transient { .. })) => Self::Transient,
            Ok(Err(StepError::Permanent { .. })) => Self::Permanent,
            Ok(Err(StepError::Refused { .. })) => Self::Refused,
            Err(_) => Self::Interrupted,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A run of a step, or of its undo, that has ended.
#[derive(Clone, Debug)]
pub struct StepRun<'a> {
    /// Of which task.
    pub task: &'a Task,
    /// The step's place among those of the workflow.
    pub index: usize,
    /// Its name.
    pub step: &'static str,
    /// Whether it was undone.
    pub is_undo: bool,
    /// The how manieth run it was, undos counted, over all processes.
    pub attempt: u32,
    /// When it began.
    pub began: Timestamp,
    /// How it ended.
    pub outcome: StepOutcome,
}

/// Is told what tasks did; must not wait for anything.
pub trait Observer: Send + Sync + 'static {
    /// A run of a step ended, at this moment.
    fn step_ran(&self, run: &StepRun<'_>);
    /// A task ended. One that is stuck has not.
    fn task_ended(&self, task: &Task);
}

/// Does not care.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn step_ran(&self, _run: &StepRun<'_>) {}
    fn task_ended(&self, _task: &Task) {}
}
