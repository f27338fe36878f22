//! What a running task writes down, and how it waits.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use openpeta_store::{
    NewEvent, Reader, StepState, StoreError, Task, TaskPhase, TaskStep, Topic, Writer,
};
use openpeta_types::{EventKind, Secret, TaskId, TaskStatus};

use crate::context::TaskRecord;
use crate::run::{Halt, Runner};
use crate::tasks::past_forward_step;
use crate::{RetryPolicy, StepError};

/// How many earlier tasks the expected end is taken from.
const DURATIONS: u32 = 15;

/// Reads a task with all that its steps need.
pub(crate) fn load(reader: &Reader<'_>, task_id: TaskId) -> Result<TaskRecord, StoreError> {
    let task = reader.task(task_id)?;
    Ok(TaskRecord {
        task: task.ok_or(StoreError::NotFound { table: "tasks" })?,
        params: reader.task_params(task_id)?,
        steps: reader.task_steps(task_id)?,
    })
}

impl Runner {
    /// Records that a step begins. Returns `false`, and turns the task around, when somebody
    /// asked to cancel it and it can still be undone.
    pub(crate) async fn record_begin(&mut self, index: usize) -> Result<bool, Halt> {
        let spec = self.workflow.specs()[index];
        let percent = self.percent(index);
        let workflow = self.workflow.clone();
        self.change(|writer, task, steps| {
            if task.cancel_requested && !past_forward_step(writer, &*workflow, task.task_id)? {
                task.phase = TaskPhase::Cancelling;
                return Ok(());
            }
            let now = Timestamp::now();
            if task.started_at.is_none() {
                task.started_at = Some(now);
                task.expected_finish_at = expected_finish(writer, &task.workflow, now)?;
            }
            task.status = TaskStatus::Running;
            task.progress = percent;
            task.current_step = Some(spec.title.to_owned());
            task.message = None;
            task.cause = None;
            let step = &mut steps[index];
            step.state = StepState::Running;
            step.attempts += 1;
            step.started_at.get_or_insert(now);
            step.finished_at = None;
            Ok(())
        })
        .await?;
        Ok(self.record.task.phase == TaskPhase::Forward)
    }

    /// Records that a step is done and what it gave.
    pub(crate) async fn record_done(&mut self, index: usize, output: Secret) -> Result<(), Halt> {
        let percent = self.percent(index + 1);
        self.change(|_, task, steps| {
            task.progress = percent;
            let step = &mut steps[index];
            step.state = StepState::Done;
            step.output = Some(output.clone());
            step.error = None;
            step.finished_at = Some(Timestamp::now());
            Ok(())
        })
        .await
    }

    /// Records why an attempt failed that will be repeated.
    pub(crate) async fn record_failed_attempt(
        &mut self,
        index: usize,
        cause: &str,
    ) -> Result<(), Halt> {
        tracing::info!(
            step = self.record.steps[index].name,
            cause,
            "an attempt failed, another one follows"
        );
        self.change(|_, _, steps| {
            steps[index].error = Some(cause.to_owned());
            Ok(())
        })
        .await
    }

    /// Records that a step failed for good.
    pub(crate) async fn record_failed(&mut self, index: usize, cause: &str) -> Result<(), Halt> {
        self.change(|_, _, steps| {
            let step = &mut steps[index];
            step.state = StepState::Failed;
            step.error = Some(cause.to_owned());
            step.finished_at = Some(Timestamp::now());
            Ok(())
        })
        .await
    }

    /// Records that a step was refused, did nothing, and that the task turns around: in one
    /// transaction, since the way back from a forward step is open only because it did nothing.
    pub(crate) async fn record_refused(
        &mut self,
        index: usize,
        message: &str,
        cause: &str,
    ) -> Result<(), Halt> {
        let name = self.workflow.specs()[index].name;
        self.change(|_, task, steps| {
            let step = &mut steps[index];
            step.state = StepState::Undone;
            step.error = Some(cause.to_owned());
            step.finished_at = Some(Timestamp::now());
            task.phase = TaskPhase::Unwinding;
            task.message = Some(message.to_owned());
            task.cause = Some(format!("step {name}: {cause}"));
            Ok(())
        })
        .await
    }

    /// Records that a step is being undone.
    pub(crate) async fn record_undo(&mut self, index: usize) -> Result<(), Halt> {
        let title = self.workflow.specs()[index].title;
        self.change(|_, task, steps| {
            task.status = TaskStatus::Running;
            task.current_step = Some(format!("Undo: {title}"));
            steps[index].attempts += 1;
            Ok(())
        })
        .await
    }

    /// Records that a step is undone.
    pub(crate) async fn record_undone(&mut self, index: usize) -> Result<(), Halt> {
        self.change(|_, _, steps| {
            let step = &mut steps[index];
            step.state = StepState::Undone;
            step.finished_at = Some(Timestamp::now());
            Ok(())
        })
        .await
    }

    /// Turns a task around that failed.
    pub(crate) async fn turn_back(&mut self, message: &str, cause: &str) -> Result<(), Halt> {
        self.change(|_, task, _| {
            task.phase = TaskPhase::Unwinding;
            task.message = Some(message.to_owned());
            task.cause = Some(cause.to_owned());
            Ok(())
        })
        .await
    }

    /// Leaves a task as failed where it stands, for the operator to retry.
    pub(crate) async fn stick(&mut self, message: &str, cause: &str) -> Result<(), Halt> {
        tracing::error!(cause, "a task is stuck");
        self.change(|writer, task, _| {
            task.status = TaskStatus::Failed;
            task.message = Some(message.to_owned());
            task.cause = Some(cause.to_owned());
            task.finish_at = Some(Timestamp::now());
            note_failure(writer, task);
            Ok(())
        })
        .await
    }

    /// The transaction that ends the task. A request to cancel that came after the last step
    /// turns it around instead.
    pub(crate) fn try_finish(&self) -> Result<Task, StepError> {
        let task_id = self.task_id();
        self.store.write(|writer| {
            let table = "tasks";
            let found = writer.task(task_id)?;
            let mut task = found.ok_or(StoreError::NotFound { table })?;
            match task.phase {
                TaskPhase::Forward
                    if task.cancel_requested
                        && !past_forward_step(writer, &*self.workflow, task_id)? =>
                {
                    task.phase = TaskPhase::Cancelling;
                    writer.update_task(&task)?;
                    return Ok(task);
                }
                TaskPhase::Forward => {
                    self.workflow.on_success(writer, &self.record)?;
                    task.status = TaskStatus::Succeeded;
                    task.progress = 100;
                    task.message = None;
                }
                TaskPhase::Unwinding => {
                    self.workflow.on_unwound(writer, &self.record, false)?;
                    task.status = TaskStatus::Failed;
                }
                TaskPhase::Cancelling => {
                    self.workflow.on_unwound(writer, &self.record, true)?;
                    task.status = TaskStatus::Cancelled;
                    task.message = Some("Cancelled.".to_owned());
                }
                TaskPhase::Done => return Ok(task),
            }
            task.phase = TaskPhase::Done;
            task.current_step = None;
            task.finish_at = Some(Timestamp::now());
            writer.update_task(&task)?;
            if task.status == TaskStatus::Failed {
                note_failure(writer, &task);
            }
            Ok(task)
        })
    }

    /// Waits before the next attempt; less if the task is cancelled meanwhile.
    pub(crate) async fn pause(&mut self, delay: Duration) -> Result<(), Halt> {
        let mut changes = self.store.watch(Topic::Tasks);
        let until = tokio::time::Instant::now() + delay;
        loop {
            changes.borrow_and_update();
            let forward = self.record.task.phase == TaskPhase::Forward;
            if forward && self.is_cancel_requested() {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => return Ok(()),
                _ = self.stop.wait_for(|&stop| stop) => return Err(Halt::Stopped),
                _ = changes.changed() => {}
            }
        }
    }

    /// Waits until somebody asks to cancel the task.
    pub(crate) async fn cancel_requested(&self) {
        let mut changes = self.store.watch(Topic::Tasks);
        loop {
            changes.borrow_and_update();
            if self.is_cancel_requested() || changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// A store that cannot be read now says no; the next transaction will see it.
    pub(crate) fn is_cancel_requested(&self) -> bool {
        let task = self.store.read(|reader| reader.task(self.task_id()));
        task.is_ok_and(|task| task.is_some_and(|task| task.cancel_requested))
    }

    /// Changes the task and its steps in one transaction, on the rows as they are now: others
    /// may ask to cancel meanwhile. A failing store is tried again until it works, because the
    /// next thing must not be done before this one is recorded.
    async fn change(
        &mut self,
        change: impl Fn(&Writer<'_>, &mut Task, &mut [TaskStep]) -> Result<(), StoreError>,
    ) -> Result<(), Halt> {
        let task_id = self.task_id();
        for attempt in 1.. {
            let changed = self.store.write(|writer| {
                let before = load(writer, task_id)?;
                let (mut task, mut steps) = (before.task.clone(), before.steps.clone());
                change(writer, &mut task, &mut steps)?;
                if task != before.task {
                    writer.update_task(&task)?;
                }
                for (step, before) in steps.iter().zip(&before.steps) {
                    if step != before {
                        writer.update_task_step(step)?;
                    }
                }
                Ok::<_, StoreError>((task, steps))
            });
            match changed {
                Ok((task, steps)) => {
                    self.record.task = task;
                    self.record.steps = steps;
                    return Ok(());
                }
                Err(error) => {
                    tracing::error!(%error, "a task's state cannot be recorded");
                    let delay = RetryPolicy::default().delay(attempt);
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        _ = self.stop.wait_for(|&stop| stop) => return Err(Halt::Stopped),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Writes the event of a task that failed, in the transaction that records it.
fn note_failure(writer: &Writer<'_>, task: &Task) {
    let (kind, what) = match task.phase {
        TaskPhase::Done => (EventKind::of_failed(&task.action), "failed"),
        _ => (EventKind::TaskStuck, "is stuck"),
    };
    let (id, action) = (task.task_id, &task.action);
    let message = task.message.as_deref().unwrap_or_default();
    // The cause may quote what a user wrote: it stays with the task.
    let text = format!("task {id} ({action}) {what}: {message}");
    let details = serde_json::json!({
        "task_id": id.to_string(), "action": action, "message": task.message,
    });
    let event = NewEvent::new(Timestamp::now(), kind, text).of(task.instance_id.as_ref());
    writer.note_event(&NewEvent {
        db_name: task.db_name.clone(),
        ..event.with(&details)
    });
}

/// When a task that begins now will end, if it takes as long as most of its kind did.
fn expected_finish(
    reader: &Reader<'_>,
    workflow: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let mut durations: Vec<SignedDuration> = reader.task_durations(workflow, DURATIONS)?;
    durations.sort_unstable();
    let median = durations.get(durations.len() / 2);
    Ok(median.and_then(|&median| now.checked_add(median).ok()))
}
