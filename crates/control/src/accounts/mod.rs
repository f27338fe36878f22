//! Database accounts of an instance (API document 9).

mod create;
mod delete;
mod describe;
mod modify_description;
mod passwords;
mod privileges;
#[cfg(test)]
mod tests;

use std::time::Duration;

use openpeta_rpc_api::ApiError;
use openpeta_store::{Account, Reader};
use openpeta_types::{AccountName, AccountStatus, InstanceId, TaskId, TaskStatus};

use crate::{Control, ControlError};

/// How long a call waits for its task. The change is on disk before; waiting spares most clients
/// the polling.
const PATIENCE: Duration = Duration::from_secs(5);

impl Control {
    /// Waits for the task of a call that promises its effect, but not for long.
    ///
    /// # Errors
    /// `ServiceUnavailable` when the task failed. It was undone, a ClientToken included: the same
    /// call may be sent again.
    async fn wait_or_fail(&self, task: TaskId) -> Result<(), ControlError> {
        match self.wait_for_task(task, PATIENCE).await {
            Some(task) if matches!(task.status, TaskStatus::Failed | TaskStatus::Cancelled) => {
                let cause = task.cause.unwrap_or_default();
                Err(ControlError::unavailable(cause).after_commit())
            }
            _ => Ok(()),
        }
    }
}

/// The account of that name, if it can be changed.
///
/// # Errors
/// `InvalidAccountName.NotFound`; `OperationDenied.AccountStatus` unless it is ACTIVE.
fn active_account(
    reader: &Reader<'_>,
    id: &InstanceId,
    name: &AccountName,
) -> Result<Account, ControlError> {
    let account = reader
        .account(id, name)?
        .ok_or_else(ApiError::account_not_found)?;
    if account.status != AccountStatus::Active {
        let detail = format!("The account is {}.", account.status);
        return Err(ApiError::account_status().with_detail(&detail).into());
    }
    Ok(account)
}
