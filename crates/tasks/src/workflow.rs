//! What a workflow is: a list of steps, and what its end leads to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openpeta_store::Writer;
use openpeta_types::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::{Progress, TaskRecord};
use crate::{StepError, TaskContext};

/// A kind of task. The value holds what its steps act on (engine, store, gateway); the list of
/// [`steps`](Workflow::steps) reads as the operation does, top to bottom.
pub trait Workflow: Send + Sync + Sized + 'static {
    /// Its name in the store, kebab-case. A name stands for one list of steps for ever: tasks
    /// in the store were begun with it.
    const NAME: &'static str;

    /// Whether its tasks take long. Such tasks have places of their own among those that run, so
    /// that short ones need not wait for them.
    const IS_LONG: bool = false;

    /// Whether its tasks run beside others about the same instance. Otherwise these are run one
    /// after the other.
    const RUNS_BESIDE_OTHERS: bool = false;

    /// What a task of this kind is told. May hold secrets: it is encrypted in the store.
    type Params: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Its steps, in order; no undoable one behind a forward one.
    fn steps() -> Vec<StepEntry<Self>>;

    /// Writes what the success of all steps leads to, in the transaction that ends the task.
    ///
    /// # Errors
    /// A [`StepError`] rolls back; after the last attempt the task is stuck.
    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError>;

    /// Writes what it leads to that all is undone, in the transaction that ends the task,
    /// after a failure or because it was `cancelled`. A workflow of forward steps alone, which
    /// cannot be undone, has nothing to write.
    ///
    /// # Errors
    /// A [`StepError`] rolls back; after the last attempt the task is stuck.
    fn on_unwound(
        &self,
        _writer: &Writer<'_>,
        _task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        Ok(())
    }
}

/// A step of a workflow: what it does, and how that is undone, beside each other.
///
/// Both must bear being run again from the start, whatever an earlier run did or left half done.
#[async_trait]
pub trait Step<W: Workflow>: Send + Sync + 'static {
    /// Its name in the store, kebab-case, unique within the workflow.
    const NAME: &'static str;
    /// What it does, in words, for whoever watches the task.
    const TITLE: &'static str;
    /// How much of the whole it is, for the percentage.
    const WEIGHT: u32 = 1;
    /// How often it is tried; `None` for the usual.
    const RETRY: Option<RetryPolicy> = None;

    /// Whether its run may be dropped at any await, which leaves what a crash would leave, when
    /// the task is cancelled or the worker stops. For a step that takes long.
    const IS_INTERRUPTIBLE: bool = false;

    /// What later steps and the undo may need of it; encrypted in the store.
    type Output: Serialize + DeserializeOwned + Send;

    /// Does it.
    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>)
    -> Result<Self::Output, StepError>;

    /// Undoes all that `run` may have done, also when that did not finish or did not begin. The
    /// default is for steps that leave nothing behind. Never called for forward steps.
    async fn undo(&self, _workflow: &W, _task: &TaskContext<'_, W>) -> Result<(), StepError> {
        Ok(())
    }
}

/// Whether a step can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// It can.
    Undoable,
    /// It cannot: the task goes on from there until it is through, unless this is the first such
    /// step and it is refused ([`StepError::Refused`]).
    Forward,
}

/// What is known of a step without running it.
#[derive(Clone, Copy, Debug)]
pub struct StepSpec {
    /// [`Step::NAME`].
    pub name: &'static str,
    /// [`Step::TITLE`].
    pub title: &'static str,
    /// [`Step::WEIGHT`].
    pub weight: u32,
    /// Whether it can be undone.
    pub kind: StepKind,
    /// [`Step::RETRY`].
    pub retry: Option<RetryPolicy>,
    /// [`Step::IS_INTERRUPTIBLE`].
    pub is_interruptible: bool,
}

/// How often something is tried, and how long to wait between: twice as long each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, at least one.
    pub attempts: u32,
    /// Wait after the first failure.
    pub first_delay: Duration,
    /// Longest wait.
    pub max_delay: Duration,
}

impl RetryPolicy {
    /// How long to wait after the attempt of that number, counted from 1.
    pub(crate) fn delay(&self, attempt: u32) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        self.first_delay.saturating_mul(factor).min(self.max_delay)
    }
}

impl Default for RetryPolicy {
    /// Eight attempts within about half a minute.
    fn default() -> Self {
        Self {
            attempts: 8,
            first_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(30),
        }
    }
}

/// A step in the list of a workflow; made by [`undoable`] and [`forward`].
pub struct StepEntry<W: Workflow> {
    spec: StepSpec,
    step: Box<dyn ErasedStep<W>>,
}

impl<W: Workflow> StepEntry<W> {
    /// What is known of the step.
    #[must_use]
    pub fn spec(&self) -> &StepSpec {
        &self.spec
    }
}

/// A step that is undone when the task fails or is cancelled.
pub fn undoable<W: Workflow, S: Step<W>>(step: S) -> StepEntry<W> {
    entry(step, StepKind::Undoable)
}

/// A step that cannot be undone.
pub fn forward<W: Workflow, S: Step<W>>(step: S) -> StepEntry<W> {
    entry(step, StepKind::Forward)
}

fn entry<W: Workflow, S: Step<W>>(step: S, kind: StepKind) -> StepEntry<W> {
    StepEntry {
        spec: StepSpec {
            name: S::NAME,
            title: S::TITLE,
            weight: S::WEIGHT,
            kind,
            retry: S::RETRY,
            is_interruptible: S::IS_INTERRUPTIBLE,
        },
        step: Box::new(step),
    }
}

/// A step whose output is a JSON text.
#[async_trait]
trait ErasedStep<W: Workflow>: Send + Sync {
    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<Secret, StepError>;
    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError>;
}

#[async_trait]
impl<W: Workflow, S: Step<W>> ErasedStep<W> for S {
    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<Secret, StepError> {
        let output = Step::run(self, workflow, task).await?;
        let text = serde_json::to_string(&output)
            .map_err(|error| StepError::permanent("Internal error.", error))?;
        Ok(Secret::new(text))
    }

    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        Step::undo(self, workflow, task).await
    }
}

/// The workflows that a worker knows, by name.
#[derive(Default)]
pub struct Workflows(BTreeMap<&'static str, Arc<dyn ErasedWorkflow>>);

impl Workflows {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a workflow.
    ///
    /// # Panics
    /// When the program is wrong: a name is taken, the list of steps is empty, or an undoable
    /// step comes behind a forward one.
    #[must_use]
    pub fn with<W: Workflow>(mut self, workflow: W) -> Self {
        let steps = W::steps();
        let specs: Vec<_> = steps.iter().map(|entry| entry.spec).collect();
        assert!(!specs.is_empty(), "{} has no steps", W::NAME);
        assert!(
            specs.is_sorted_by_key(|spec| spec.kind == StepKind::Forward),
            "{} has an undoable step behind a forward one",
            W::NAME
        );
        for (index, spec) in specs.iter().enumerate() {
            let unique = specs[..index]
                .iter()
                .all(|earlier| earlier.name != spec.name);
            assert!(unique, "{} has two steps {}", W::NAME, spec.name);
        }
        let registered = Registered {
            workflow,
            steps,
            specs,
        };
        let earlier = self.0.insert(W::NAME, Arc::new(registered));
        assert!(earlier.is_none(), "two workflows are named {}", W::NAME);
        self
    }

    /// The names of all, sorted; for a test that every one has its tests.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<dyn ErasedWorkflow>> {
        self.0.get(name)
    }
}

/// A workflow without its types, as the worker runs it.
#[async_trait]
pub(crate) trait ErasedWorkflow: Send + Sync {
    fn specs(&self) -> &[StepSpec];
    fn is_long(&self) -> bool;
    fn runs_beside_others(&self) -> bool;
    async fn run(
        &self,
        step: usize,
        record: &TaskRecord,
        progress: &Progress,
    ) -> Result<Secret, StepError>;
    async fn undo(
        &self,
        step: usize,
        record: &TaskRecord,
        progress: &Progress,
    ) -> Result<(), StepError>;
    fn on_success(&self, writer: &Writer<'_>, record: &TaskRecord) -> Result<(), StepError>;
    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        record: &TaskRecord,
        cancelled: bool,
    ) -> Result<(), StepError>;
}

struct Registered<W: Workflow> {
    workflow: W,
    steps: Vec<StepEntry<W>>,
    specs: Vec<StepSpec>,
}

#[async_trait]
impl<W: Workflow> ErasedWorkflow for Registered<W> {
    fn specs(&self) -> &[StepSpec] {
        &self.specs
    }

    fn is_long(&self) -> bool {
        W::IS_LONG
    }

    fn runs_beside_others(&self) -> bool {
        W::RUNS_BESIDE_OTHERS
    }

    async fn run(
        &self,
        step: usize,
        record: &TaskRecord,
        progress: &Progress,
    ) -> Result<Secret, StepError> {
        let task = TaskContext::new(record, Some(progress))?;
        self.steps[step].step.run(&self.workflow, &task).await
    }

    async fn undo(
        &self,
        step: usize,
        record: &TaskRecord,
        progress: &Progress,
    ) -> Result<(), StepError> {
        let task = TaskContext::new(record, Some(progress))?;
        self.steps[step].step.undo(&self.workflow, &task).await
    }

    fn on_success(&self, writer: &Writer<'_>, record: &TaskRecord) -> Result<(), StepError> {
        let task = TaskContext::new(record, None)?;
        self.workflow.on_success(writer, &task)
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        record: &TaskRecord,
        cancelled: bool,
    ) -> Result<(), StepError> {
        let task = TaskContext::new(record, None)?;
        self.workflow.on_unwound(writer, &task, cancelled)
    }
}
