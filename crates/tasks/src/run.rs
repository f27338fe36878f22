//! The life of one task: step after step forward, or undo after undo back.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use jiff::Timestamp;
use openpeta_store::{StepState, Store, TaskPhase};
use openpeta_types::{Secret, TaskId};
use tokio::sync::watch;
use tracing::Instrument;

use crate::context::{Progress, TaskRecord};
use crate::workflow::ErasedWorkflow;
use crate::{
    HookAction, HookPoint, RetryPolicy, StepError, StepKind, StepOutcome, StepRun, TasksConfig,
};

/// Why a task is left alone before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The worker shuts down.
    Stopped,
    /// A hook played a crash.
    Aborted,
}

/// Runs one task. What it knows of the task is what the store has.
pub(crate) struct Runner {
    pub(crate) store: Store,
    pub(crate) workflow: Arc<dyn ErasedWorkflow>,
    pub(crate) config: TasksConfig,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) record: TaskRecord,
}

impl Runner {
    /// Runs the task until it ends, is stuck, or has to be left alone.
    pub(crate) async fn run(mut self) -> Result<(), Halt> {
        if !self.knows_the_steps() {
            let cause = "the workflow has other steps than the task was begun with";
            return self.stick("Internal error.", cause).await;
        }
        while !self.record.task.status.is_final() {
            if *self.stop.borrow() {
                return Err(Halt::Stopped);
            }
            match self.record.task.phase {
                TaskPhase::Forward => match self.next_to_run() {
                    Some(step) => self.go_forward(step).await?,
                    None => self.finish().await?,
                },
                TaskPhase::Unwinding | TaskPhase::Cancelling => match self.next_to_undo() {
                    Some(step) => self.go_back(step).await?,
                    None => self.finish().await?,
                },
                TaskPhase::Done => return Ok(()),
            }
        }
        Ok(())
    }

    pub(crate) fn task_id(&self) -> TaskId {
        self.record.task.task_id
    }

    fn knows_the_steps(&self) -> bool {
        let stored = self.record.steps.iter().map(|step| step.name.as_str());
        stored.eq(self.workflow.specs().iter().map(|spec| spec.name))
    }

    /// The first step that is not done; one that failed is taken up by a retry.
    fn next_to_run(&self) -> Option<usize> {
        let mut steps = self.record.steps.iter();
        steps.position(|step| step.state != StepState::Done)
    }

    /// The last step that may have left something.
    fn next_to_undo(&self) -> Option<usize> {
        let mut steps = self.record.steps.iter();
        steps.rposition(|step| {
            matches!(
                step.state,
                StepState::Running | StepState::Done | StepState::Failed
            )
        })
    }

    /// Runs a step until it is done, or fails for good.
    async fn go_forward(&mut self, step: usize) -> Result<(), Halt> {
        let policy = self.policy(step);
        for attempt in 1.. {
            if !self.record_begin(step).await? {
                return Ok(());
            }
            let began = Timestamp::now();
            let ended = self.attempt_run(step).await;
            self.observe(step, false, began, StepOutcome::of(&ended));
            match ended? {
                Ok(output) => {
                    self.record_done(step, output).await?;
                    return match self.hook(step, HookPoint::AfterRecord)? {
                        Ok(()) => Ok(()),
                        Err(error) => self.fail(step, error).await,
                    };
                }
                Err(StepError::Transient { cause })
                    if attempt < policy.attempts || self.is_cancel_requested() =>
                {
                    self.record_failed_attempt(step, &cause).await?;
                    self.pause(policy.delay(attempt)).await?;
                }
                Err(error) => return self.fail(step, error).await,
            }
        }
        Ok(())
    }

    /// A step failed for good: back, or, if there is no way back, stop here.
    async fn fail(&mut self, step: usize, error: StepError) -> Result<(), Halt> {
        let spec = self.workflow.specs()[step];
        let earlier = &self.workflow.specs()[..step];
        let can_go_back = earlier.iter().all(|spec| spec.kind == StepKind::Undoable);
        let (message, cause) = match error {
            StepError::Refused { message, cause } if can_go_back => {
                // The cause may quote what a user wrote: it belongs to the task, not into the log.
                tracing::info!(step = spec.name, "a step was refused");
                return self.record_refused(step, &message, &cause).await;
            }
            StepError::Permanent { message, cause } | StepError::Refused { message, cause } => {
                (message, cause)
            }
            StepError::Transient { cause } => (format!("{} did not succeed.", spec.title), cause),
        };
        tracing::warn!(step = spec.name, %cause, "a step failed for good");
        self.record_failed(step, &cause).await?;
        let cause = format!("step {}: {cause}", spec.name);
        match spec.kind {
            StepKind::Undoable => self.turn_back(&message, &cause).await,
            StepKind::Forward => self.stick(&message, &cause).await,
        }
    }

    /// Undoes a step; when that fails for good the task is stuck.
    async fn go_back(&mut self, step: usize) -> Result<(), Halt> {
        let policy = self.policy(step);
        for attempt in 1.. {
            self.record_undo(step).await?;
            let began = Timestamp::now();
            let ended = self.attempt_undo(step).await;
            self.observe(step, true, began, StepOutcome::of(&ended));
            match ended? {
                Ok(()) => return self.record_undone(step).await,
                Err(StepError::Transient { cause }) if attempt < policy.attempts => {
                    self.record_failed_attempt(step, &cause).await?;
                    self.pause(policy.delay(attempt)).await?;
                }
                Err(
                    StepError::Transient { cause }
                    | StepError::Permanent { cause, .. }
                    | StepError::Refused { cause, .. },
                ) => {
                    let name = self.workflow.specs()[step].name;
                    let message = "The operation failed and could not be undone completely.";
                    let cause = format!("undo of step {name}: {cause}");
                    return self.stick(message, &cause).await;
                }
            }
        }
        Ok(())
    }

    /// Ends the task: the state that it leads to and its final status in one transaction.
    async fn finish(&mut self) -> Result<(), Halt> {
        let policy = self.config.retry;
        for attempt in 1.. {
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| self.try_finish()));
            match ended.unwrap_or_else(|panic| Err(panicked(&*panic))) {
                Ok(task) => {
                    tracing::info!(status = ?task.status, "task ended");
                    self.record.task = task;
                    if self.record.task.phase == TaskPhase::Done {
                        self.config.observer.task_ended(&self.record.task);
                    }
                    return Ok(());
                }
                Err(StepError::Transient { cause }) if attempt < policy.attempts => {
                    tracing::warn!(%cause, "a task could not be ended");
                    self.pause(policy.delay(attempt)).await?;
                }
                Err(
                    StepError::Transient { cause }
                    | StepError::Permanent { cause, .. }
                    | StepError::Refused { cause, .. },
                ) => {
                    let message = "The operation could not be completed.";
                    return self
                        .stick(message, &format!("end of the task: {cause}"))
                        .await;
                }
            }
        }
        Ok(())
    }

    /// One run of a step, hooks around it.
    async fn attempt_run(&mut self, step: usize) -> Result<Result<Secret, StepError>, Halt> {
        if let Err(error) = self.hook(step, HookPoint::BeforeRun)? {
            return Ok(Err(error));
        }
        let progress = self.progress(step);
        let run = self.workflow.run(step, &self.record, &progress);
        let run = AssertUnwindSafe(run).catch_unwind();
        let run = run.instrument(self.step_span(step));
        let ended = if self.workflow.specs()[step].is_interruptible {
            let mut stop = self.stop.clone();
            tokio::select! {
                ended = run => ended,
                _ = stop.wait_for(|&stop| stop) => return Err(Halt::Stopped),
                () = self.cancel_requested() => {
                    return Ok(Err(StepError::transient("cancelled while it ran")));
                }
            }
        } else {
            run.await
        };
        let output = match ended {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Ok(Err(error)),
            Err(panic) => return Ok(Err(panicked(&*panic))),
        };
        let hook = self.hook(step, HookPoint::AfterRun)?;
        Ok(hook.map(|()| output))
    }

    /// One run of an undo, hooks around it.
    async fn attempt_undo(&mut self, step: usize) -> Result<Result<(), StepError>, Halt> {
        if let Err(error) = self.hook(step, HookPoint::BeforeUndo)? {
            return Ok(Err(error));
        }
        let progress = self.progress(step);
        let undo = self.workflow.undo(step, &self.record, &progress);
        let undo = AssertUnwindSafe(undo).catch_unwind();
        match undo.instrument(self.step_span(step)).await {
            Ok(Ok(())) => self.hook(step, HookPoint::AfterUndo),
            Ok(Err(error)) => Ok(Err(error)),
            Err(panic) => Ok(Err(panicked(&*panic))),
        }
    }

    /// What is logged while a step runs, by whomever, is of it.
    fn step_span(&self, step: usize) -> tracing::Span {
        tracing::error_span!("step", step = self.workflow.specs()[step].name)
    }

    fn observe(&self, step: usize, is_undo: bool, began: Timestamp, outcome: StepOutcome) {
        self.config.observer.step_ran(&StepRun {
            task: &self.record.task,
            index: step,
            step: self.workflow.specs()[step].name,
            is_undo,
            attempt: self.record.steps[step].attempts,
            began,
            outcome,
        });
    }

    fn hook(&self, step: usize, point: HookPoint) -> Result<Result<(), StepError>, Halt> {
        let name = self.workflow.specs()[step].name;
        let workflow = &self.record.task.workflow;
        match self.config.hooks.at(self.task_id(), workflow, name, point) {
            HookAction::Continue => Ok(Ok(())),
            HookAction::Fail(error) => Ok(Err(error)),
            HookAction::Abort => Err(Halt::Aborted),
        }
    }

    fn policy(&self, step: usize) -> RetryPolicy {
        let spec = &self.workflow.specs()[step];
        spec.retry.unwrap_or(self.config.retry)
    }

    fn progress(&self, step: usize) -> Progress {
        let title = self.workflow.specs()[step].title;
        let (from, to) = match self.record.task.phase {
            TaskPhase::Forward => (self.percent(step), self.percent(step + 1)),
            // On the way back the percentage stays where the failure left it.
            _ => (self.record.task.progress, self.record.task.progress),
        };
        Progress::new(self.store.clone(), self.task_id(), title, (from, to))
    }

    /// How much of the whole is done when that many steps are: 0 to 99.
    pub(crate) fn percent(&self, steps_done: usize) -> u8 {
        let weights = || {
            self.workflow
                .specs()
                .iter()
                .map(|spec| u64::from(spec.weight))
        };
        let total = weights().sum::<u64>().max(1);
        let done = weights().take(steps_done).sum::<u64>();
        u8::try_from(done * 100 / total).unwrap_or(100).min(99)
    }
}

/// What a panic says, as an error that no repetition helps against.
fn panicked(panic: &(dyn Any + Send)) -> StepError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    StepError::permanent("Internal error.", format!("panicked: {text}"))
}
