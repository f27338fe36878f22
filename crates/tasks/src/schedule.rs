//! Which task runs when: in order, one at a time for an instance, not too many at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use openpeta_store::{Store, StoreError, Task, Topic};
use openpeta_types::{InstanceId, TaskId, TaskStatus};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use crate::run::{Halt, Runner};
use crate::run_store::load;
use crate::{TasksConfig, Workflows};

/// When the store fails the list of tasks is read again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Begins tasks as they can be begun.
pub(crate) struct Scheduler {
    store: Store,
    workflows: Arc<Workflows>,
    config: TasksConfig,
    stop: watch::Receiver<bool>,
    running: JoinSet<Result<(), Halt>>,
    running_ids: HashMap<Id, TaskId>,
    /// Tasks not to begin: those that run, and those that a crash was played in or that
    /// panicked; with their instances, that others wait for.
    held: BTreeMap<TaskId, Option<InstanceId>>,
}

impl Scheduler {
    pub(crate) fn new(
        store: Store,
        workflows: Arc<Workflows>,
        config: TasksConfig,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            store,
            workflows,
            config,
            stop,
            running: JoinSet::new(),
            running_ids: HashMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// Runs until the worker is stopped and no task runs any more.
    pub(crate) async fn run(mut self) {
        let mut changes = self.store.watch(Topic::Tasks);
        loop {
            changes.borrow_and_update();
            let stopping = *self.stop.borrow();
            if stopping && self.running.is_empty() {
                return;
            }
            let begun = if stopping { Ok(()) } else { self.begin_tasks() };
            if let Err(error) = &begun {
                tracing::error!(%error, "tasks cannot be read");
            }
            tokio::select! {
                Some(ended) = self.running.join_next_with_id() => self.release(ended),
                _ = changes.changed(), if !stopping => {}
                _ = self.stop.changed(), if !stopping => {}
                () = tokio::time::sleep(AGAIN_AFTER), if begun.is_err() => {}
            }
        }
    }

    /// Begins every task that waits for nothing, oldest first.
    fn begin_tasks(&mut self) -> Result<(), StoreError> {
        let unfinished = self.store.read(|reader| reader.unfinished_tasks())?;
        let mut busy: BTreeSet<InstanceId> = self.held.values().flatten().cloned().collect();
        for task in unfinished {
            if self.running.len() >= self.config.max_running {
                break;
            }
            if self.held.contains_key(&task.task_id) {
                continue;
            }
            let waits = match &task.instance_id {
                // Whether it can begin or not: those behind it wait for it.
                Some(instance_id) => !busy.insert(instance_id.clone()),
                None => false,
            };
            if !waits {
                self.begin(task)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, task: Task) -> Result<(), StoreError> {
        let Some(workflow) = self.workflows.find(&task.workflow) else {
            let cause = format!("this version has no workflow {}", task.workflow);
            return self.stick(task, cause);
        };
        let record = match self.store.read(|reader| load(reader, task.task_id)) {
            Ok(record) => record,
            Err(error @ (StoreError::Undecryptable { .. } | StoreError::Corrupt { .. })) => {
                return self.stick(task, error.to_string());
            }
            Err(error) => return Err(error),
        };
        let runner = Runner {
            store: self.store.clone(),
            workflow: Arc::clone(workflow),
            config: self.config.clone(),
            stop: self.stop.clone(),
            record,
        };
        let handle = self.running.spawn(runner.run());
        self.running_ids.insert(handle.id(), task.task_id);
        self.held.insert(task.task_id, task.instance_id);
        Ok(())
    }

    /// A task that cannot be run here is not lost: a version or key that can will retry it.
    fn stick(&self, mut task: Task, cause: String) -> Result<(), StoreError> {
        tracing::error!(task = %task.task_id, cause, "a task is stuck");
        task.status = TaskStatus::Failed;
        task.message = Some("Internal error.".to_owned());
        task.cause = Some(cause);
        task.finish_at = Some(Timestamp::now());
        self.store.write(|writer| writer.update_task(&task))
    }

    /// Makes room for others after a task ended.
    fn release(&mut self, ended: Result<(Id, Result<(), Halt>), tokio::task::JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let task_id = self.running_ids.remove(&id);
        match (ended, task_id) {
            (Ok((_, Ok(()) | Err(Halt::Stopped))), Some(task_id)) => {
                self.held.remove(&task_id);
            }
            (Ok((_, Err(Halt::Aborted))), _) | (_, None) => {}
            (Err(error), Some(task_id)) => {
                tracing::error!(task = %task_id, %error, "the task's runner panicked");
            }
        }
    }
}
