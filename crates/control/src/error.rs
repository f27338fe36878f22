//! The control plane's error: what the client is told, and what the operator needs to know.

use std::fmt;

use openpeta_rpc_api::ApiError;
use openpeta_store::StoreError;
use openpeta_tasks::TaskError;
use thiserror::Error;

/// Why a call was refused or failed.
///
/// [`api`](Self::api) goes to the client; [`context`](Self::context) goes to the log alone.
#[derive(Debug, Error)]
#[error("{api}")]
pub struct ControlError {
    /// The error as the client sees it: code, HTTP status, message, whether a retry helps.
    pub api: ApiError,
    /// What the operator needs to know; `None` when the client's own mistake explains it all.
    pub context: Option<String>,
    /// The call's own audit row is on disk already: what failed came after its commit.
    pub is_audited: bool,
}

impl ControlError {
    /// A failure that is not the client's doing: `InternalError` outside, `context` inside.
    pub fn internal(context: impl fmt::Display) -> Self {
        Self {
            api: ApiError::internal(),
            context: Some(context.to_string()),
            is_audited: false,
        }
    }

    /// A failure that passes by itself: `ServiceUnavailable` outside, `context` inside.
    pub fn unavailable(context: impl fmt::Display) -> Self {
        Self {
            api: ApiError::service_unavailable(),
            context: Some(context.to_string()),
            is_audited: false,
        }
    }

    /// Says that the failure came after the commit of the call's change and audit row.
    #[must_use]
    pub fn after_commit(mut self) -> Self {
        self.is_audited = true;
        self
    }
}

impl From<ApiError> for ControlError {
    fn from(api: ApiError) -> Self {
        Self {
            api,
            context: None,
            is_audited: false,
        }
    }
}

impl From<TaskError> for ControlError {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::NotFound(_) => ApiError::task_not_found().into(),
            TaskError::Store(error) => error.into(),
            refused => ApiError::incorrect_task_status()
                .with_detail(&format!("{refused}."))
                .into(),
        }
    }
}

impl From<StoreError> for ControlError {
    fn from(error: StoreError) -> Self {
        match error {
            // The operator makes room, or gives the directory back; the same call then works.
            StoreError::DiskFull | StoreError::ReadOnly | StoreError::Io { .. } => {
                Self::unavailable(error)
            }
            _ => Self::internal(error),
        }
    }
}
