//! Which task runs when: in order, one at a time for an instance, not too many at once. Tasks
//! that take long are counted apart, and some run beside the others of their instance.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use openpeta_store::{Store, StoreError, Task, Topic};
use openpeta_types::{InstanceId, TaskId, TaskStatus};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tracing::Instrument;

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
    running_ids: HashMap<Id, Running>,
    /// Tasks not to begin: those that run, and those that a crash was played in or that
    /// panicked; with the instances that others wait for.
    held: BTreeMap<TaskId, Option<InstanceId>>,
}

/// A task that runs.
#[derive(Clone, Copy)]
struct Running {
    task_id: TaskId,
    is_long: bool,
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
            if self.held.contains_key(&task.task_id) {
                continue;
            }
            let workflow = self.workflows.find(&task.workflow);
            let is_long = workflow.is_some_and(|workflow| workflow.is_long());
            let waits = match &task.instance_id {
                Some(_) if workflow.is_some_and(|workflow| workflow.runs_beside_others()) => false,
                // Whether it can begin or not: those behind it wait for it.
                Some(instance_id) => !busy.insert(instance_id.clone()),
                None => false,
            };
            if !waits && self.has_room(is_long) {
                self.begin(task)?;
            }
        }
        Ok(())
    }

    /// Whether one more task of that kind may run.
    fn has_room(&self, is_long: bool) -> bool {
        let of_kind = |running: &&Running| running.is_long == is_long;
        let limit = match is_long {
            true => self.config.max_long,
            false => self.config.max_running,
        };
        self.running_ids.values().filter(of_kind).count() < limit
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
        let (is_long, beside) = (workflow.is_long(), workflow.runs_beside_others());
        let runner = Runner {
            store: self.store.clone(),
            workflow: Arc::clone(workflow),
            config: self.config.clone(),
            stop: self.stop.clone(),
            record,
        };
        let span = tracing::error_span!(
            "task",
            task_id = %task.task_id,
            workflow = task.workflow,
            instance = task.instance_id.as_ref().map(tracing::field::display),
        );
        let handle = self.running.spawn(runner.run().instrument(span));
        let task_id = task.task_id;
        let running = Running { task_id, is_long };
        self.running_ids.insert(handle.id(), running);
        self.held
            .insert(task_id, task.instance_id.filter(|_| !beside));
        Ok(())
    }

    /// A task that cannot be run here is not lost: a version or key that can will retry it.
    fn stick(&self, mut task: Task, cause: String) -> Result<(), StoreError> {
        tracing::error!(task_id = %task.task_id, cause, "a task is stuck");
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
        let task_id = self.running_ids.remove(&id).map(|running| running.task_id);
        match (ended, task_id) {
            (Ok((_, Ok(()) | Err(Halt::Stopped))), Some(task_id)) => {
                self.held.remove(&task_id);
            }
            (Ok((_, Err(Halt::Aborted))), _) | (_, None) => {}
            (Err(error), Some(task_id)) => {
                tracing::error!(%task_id, %error, "the task's runner panicked");
            }
        }
    }
}
