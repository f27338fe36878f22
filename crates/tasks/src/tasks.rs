//! What callers do with tasks: add, wait, cancel, retry.

use std::sync::Arc;

use jiff::Timestamp;
use openpeta_store::{Store, StoreError, Task, TaskPhase, Topic, Writer};
use openpeta_types::{AccountId, DbName, InstanceId, Secret, TaskId, TaskStatus, TraceContext};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::schedule::Scheduler;
use crate::workflow::ErasedWorkflow;
use crate::{
    Hooks, NoHooks, NoObserver, NotCancellable, Observer, RetryPolicy, StepKind, TaskError,
    Workflow, Workflows,
};

/// A task to be added.
pub struct NewTask<W: Workflow> {
    /// Whose task.
    pub account_id: AccountId,
    /// The instance that it is about; its tasks run one after the other, unless a workflow says
    /// otherwise.
    pub instance_id: Option<InstanceId>,
    /// The database that it is about.
    pub db_name: Option<DbName>,
    /// The API action that starts it, as DescribeTasks shows it.
    pub action: &'static str,
    /// What it is told; ids and random choices are in here.
    pub params: W::Params,
    /// The trace of the call that starts it.
    pub trace: Option<TraceContext>,
}

/// How tasks are run.
#[derive(Clone)]
pub struct TasksConfig {
    /// Tasks that run at the same time at most, those that take long left out.
    pub max_running: usize,
    /// Tasks that take long that run at the same time at most.
    pub max_long: usize,
    /// How often steps are tried that do not say it themselves.
    pub retry: RetryPolicy,
    /// Asked at each point of each step.
    pub hooks: Arc<dyn Hooks>,
    /// Told what tasks did.
    pub observer: Arc<dyn Observer>,
}

impl Default for TasksConfig {
    fn default() -> Self {
        Self {
            max_running: 8,
            max_long: 2,
            retry: RetryPolicy::default(),
            hooks: Arc::new(NoHooks),
            observer: Arc::new(NoObserver),
        }
    }
}

/// The worker that runs tasks. Clones share it.
#[derive(Clone)]
pub struct Tasks {
    store: Store,
    workflows: Arc<Workflows>,
    stop: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
    scheduler: Arc<JoinHandle<()>>,
}

impl Tasks {
    /// Starts the worker; it takes up everything that is not finished, and then what is added.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(store: Store, workflows: Workflows, config: TasksConfig) -> Self {
        let workflows = Arc::new(workflows);
        let stop = watch::Sender::new(false);
        let (has_ended, ended) = watch::channel(false);
        let scheduler = Scheduler::new(
            store.clone(),
            Arc::clone(&workflows),
            config,
            stop.subscribe(),
        );
        let scheduler = tokio::spawn(async move {
            scheduler.run().await;
            has_ended.send_replace(true);
        });
        Self {
            store,
            workflows,
            stop,
            ended,
            scheduler: Arc::new(scheduler),
        }
    }

    /// Adds a task in the caller's transaction; the worker begins it after the commit. Needs no
    /// running worker: a later start takes it up.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn enqueue<W: Workflow>(
        writer: &Writer<'_>,
        task: &NewTask<W>,
    ) -> Result<TaskId, StoreError> {
        let params = serde_json::to_string(&task.params).expect("parameters are plain data");
        let steps = W::steps();
        writer.insert_task(&openpeta_store::NewTask {
            account_id: task.account_id,
            instance_id: task.instance_id.clone(),
            db_name: task.db_name.clone(),
            action: task.action,
            workflow: W::NAME,
            params: Secret::new(params),
            steps: steps.iter().map(|entry| entry.spec().name).collect(),
            begin_at: Timestamp::now(),
            trace: task.trace,
        })
    }

    /// Waits until a task has reached a final status, or is stuck, and returns it.
    ///
    /// # Errors
    /// [`TaskError::NotFound`]; [`TaskError::Store`] when the store fails.
    pub async fn wait(&self, task_id: TaskId) -> Result<Task, TaskError> {
        let mut changes = self.store.watch(Topic::Tasks);
        loop {
            changes.borrow_and_update();
            let task = self.store.read(|reader| find(reader, task_id))?;
            if task.status.is_final() {
                return Ok(task);
            }
            changes
                .changed()
                .await
                .expect("the store outlives this worker");
        }
    }

    /// Asks that a task be undone and end as cancelled: before its next step begins, or within
    /// one that can be interrupted.
    ///
    /// # Errors
    /// [`TaskError::NotCancellable`] when it ended or is past what can be undone;
    /// [`TaskError::NotFound`]; [`TaskError::Store`] when the store fails.
    pub fn cancel(&self, task_id: TaskId) -> Result<(), TaskError> {
        self.store.write(|writer| self.cancel_in(writer, task_id))
    }

    /// As [`cancel`](Self::cancel), in the caller's transaction.
    ///
    /// # Errors
    /// The same.
    pub fn cancel_in(&self, writer: &Writer<'_>, task_id: TaskId) -> Result<(), TaskError> {
        let mut task = find(writer, task_id)?;
        let refuse = |reason| Err(TaskError::NotCancellable { task_id, reason });
        if task.status.is_final() {
            return refuse(NotCancellable::Ended);
        }
        match task.phase {
            TaskPhase::Forward => {}
            TaskPhase::Cancelling => return Ok(()),
            TaskPhase::Unwinding => return refuse(NotCancellable::Unwinding),
            TaskPhase::Done => return refuse(NotCancellable::Ended),
        }
        let Some(workflow) = self.workflows.find(&task.workflow) else {
            return refuse(NotCancellable::UnknownWorkflow);
        };
        // Whoever decided on it has written so already; to undo that is no part of it.
        if workflow
            .specs()
            .first()
            .is_some_and(|spec| spec.kind == StepKind::Forward)
        {
            return refuse(NotCancellable::Irrevocable);
        }
        if past_forward_step(writer, workflow.as_ref(), task_id)? {
            return refuse(NotCancellable::PastForwardStep);
        }
        task.cancel_requested = true;
        Ok(writer.update_task(&task)?)
    }

    /// Takes up a stuck task again where it stands.
    ///
    /// # Errors
    /// [`TaskError::NotStuck`]; [`TaskError::NotFound`]; [`TaskError::Store`] when the store
    /// fails.
    pub fn retry(&self, task_id: TaskId) -> Result<(), TaskError> {
        self.store.write(|writer| Self::retry_in(writer, task_id))
    }

    /// As [`retry`](Self::retry), in the caller's transaction.
    ///
    /// # Errors
    /// The same.
    pub fn retry_in(writer: &Writer<'_>, task_id: TaskId) -> Result<(), TaskError> {
        let mut task = find(writer, task_id)?;
        if !task.is_stuck() {
            return Err(TaskError::NotStuck(task_id));
        }
        task.status = TaskStatus::Running;
        task.finish_at = None;
        Ok(writer.update_task(&task)?)
    }

    /// Begins no further step, waits for those that run and cannot be interrupted, and returns. What is not finished is
    /// taken up by the next start.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        let mut ended = self.ended.clone();
        // An error means that the scheduler is gone, which is what is waited for.
        let _ = ended.wait_for(|&ended| ended).await;
    }

    /// Stops everything at once wherever it is, as a crash of the process would, as far as that
    /// is possible within one, and waits for that.
    pub async fn kill(&self) {
        self.scheduler.abort();
        let mut ended = self.ended.clone();
        // The sender goes with the scheduler: the error is what is waited for.
        let _ = ended.wait_for(|&ended| ended).await;
    }
}

/// Whether a step was begun that cannot be undone.
pub(crate) fn past_forward_step(
    reader: &openpeta_store::Reader<'_>,
    workflow: &dyn ErasedWorkflow,
    task_id: TaskId,
) -> Result<bool, StoreError> {
    let steps = reader.task_steps(task_id)?;
    let mut pairs = workflow.specs().iter().zip(&steps);
    Ok(pairs.any(|(spec, step)| {
        spec.kind == StepKind::Forward && step.state != openpeta_store::StepState::Pending
    }))
}

fn find(reader: &openpeta_store::Reader<'_>, task_id: TaskId) -> Result<Task, TaskError> {
    reader.task(task_id)?.ok_or(TaskError::NotFound(task_id))
}
