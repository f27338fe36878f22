//! Durable workflows: long operations as a list of steps that survive a crash.
//!
//! A caller adds a task in the transaction of its own change ([`Tasks::enqueue`]); a worker runs
//! its steps one after the other and records each before the next. The rules:
//!
//! - A step may be run again, also after it succeeded, and so may its undo: after a crash
//!   nobody knows how far it came. Random choices and ids are made before, in the parameters.
//! - A step that fails for good is undone and so are all before it, last to first. The end of
//!   the task and the state it leads to are one transaction ([`Workflow::on_success`],
//!   [`Workflow::on_unwound`]).
//! - A *forward* step destroys what no undo could bring back. From the first one on a task is
//!   neither unwound nor cancelled; it goes on until it is through.
//! - What can go neither way is *stuck*: failed, visible with its cause, and taken up again
//!   where it stood by [`Tasks::retry`].
//! - Tasks of one instance run one after the other, in the order in which they were added.
//!
//! Not here: what the steps do, whether a call may start a task, how a task is shown.

mod context;
mod error;
mod hooks;
mod observer;
mod run;
mod run_store;
mod schedule;
mod tasks;
#[cfg(feature = "test-util")]
pub mod test_util;
mod workflow;

pub use context::{Pace, TaskContext};
pub use error::{NotCancellable, StepError, TaskError};
#[cfg(debug_assertions)]
pub use hooks::{FailPoint, FailPointError};
pub use hooks::{HookAction, HookPoint, Hooks, NoHooks};
pub use observer::{NoObserver, Observer, StepOutcome, StepRun};
pub use tasks::{NewTask, Tasks, TasksConfig};
pub use workflow::{
    RetryPolicy, Step, StepEntry, StepKind, StepSpec, Workflow, Workflows, forward, undoable,
};
