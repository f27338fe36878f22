//! How steps fail, and why a task cannot be cancelled or retried.

use std::fmt::Display;

use openpeta_store::StoreError;
use openpeta_types::TaskId;
use thiserror::Error;

/// Why a step, or its undo, did not succeed. Neither text may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StepError {
    /// It may succeed when tried again.
    #[error("{cause}")]
    Transient {
        /// What happened, for the operator.
        cause: String,
    },
    /// It will not succeed however often it is tried.
    #[error("{cause}")]
    Permanent {
        /// What the client is told.
        message: String,
        /// What happened, for the operator.
        cause: String,
    },
    /// It will not succeed, and it is certain that nothing was done: a forward step that is
    /// refused leaves the way back open.
    #[error("{cause}")]
    Refused {
        /// What the client is told.
        message: String,
        /// What happened, for the operator.
        cause: String,
    },
}

impl StepError {
    /// A failure to try again after.
    pub fn transient(cause: impl Display) -> Self {
        Self::Transient {
            cause: cause.to_string(),
        }
    }

    /// A failure for good, with what the client is told and what the operator is.
    pub fn permanent(message: impl Display, cause: impl Display) -> Self {
        Self::Permanent {
            message: message.to_string(),
            cause: cause.to_string(),
        }
    }

    /// A failure for good of a step that did nothing, with what the client is told and what the
    /// operator is.
    pub fn refused(message: impl Display, cause: impl Display) -> Self {
        Self::Refused {
            message: message.to_string(),
            cause: cause.to_string(),
        }
    }
}

impl From<StoreError> for StepError {
    /// The store's failures pass: a full disk is made room on, a broken one is replaced.
    fn from(error: StoreError) -> Self {
        Self::transient(error)
    }
}

/// Why a request about a task is refused.
#[derive(Debug, Error)]
pub enum TaskError {
    /// There is no such task.
    #[error("there is no task {0}")]
    NotFound(TaskId),
    /// The task cannot be cancelled.
    #[error("task {task_id} cannot be cancelled: {reason}")]
    NotCancellable {
        /// The task.
        task_id: TaskId,
        /// Why.
        reason: NotCancellable,
    },
    /// The task is not stuck.
    #[error("task {0} is not stuck")]
    NotStuck(TaskId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a task cannot be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotCancellable {
    /// It has ended, or is stuck.
    #[error("it has ended")]
    Ended,
    /// It failed and is being undone.
    #[error("it failed and is being undone")]
    Unwinding,
    /// Nothing of it can be undone, and so neither can the decision to do it.
    #[error("it cannot be undone")]
    Irrevocable,
    /// It has begun what cannot be undone.
    #[error("it has begun what cannot be undone")]
    PastForwardStep,
    /// This version does not know its workflow.
    #[error("its workflow is unknown")]
    UnknownWorkflow,
}
