//! GrantAccountPrivilege: replaces what an account has on databases by a named set.

use std::sync::Arc;

use openpeta_store::Writer;
use openpeta_tasks::{StepEntry, StepError, TaskContext, Workflow};

use super::account_privileges::{self, ChangesPrivileges, PrivilegeChange};
use crate::parts::Parts;

/// Replaces what an account has on databases by a named set.
pub(crate) struct GrantAccountPrivilege(pub(super) Arc<Parts>);

impl Workflow for GrantAccountPrivilege {
    const NAME: &'static str = "grant-account-privilege";
    type Params = PrivilegeChange;

    fn steps() -> Vec<StepEntry<Self>> {
        account_privileges::steps()
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        account_privileges::record(writer, task)
    }
}

impl ChangesPrivileges for GrantAccountPrivilege {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }
}
