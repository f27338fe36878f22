//! RevokeAccountPrivilege: takes everything away that an account has on databases.

use std::sync::Arc;

use openpeta_store::Writer;
use openpeta_tasks::{StepEntry, StepError, TaskContext, Workflow};

use super::account_privileges::{self, ChangesPrivileges, PrivilegeChange};
use crate::parts::Parts;

/// Takes everything away that an account has on databases.
pub(crate) struct RevokeAccountPrivilege(pub(super) Arc<Parts>);

impl Workflow for RevokeAccountPrivilege {
    const NAME: &'static str = "revoke-account-privilege";
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

impl ChangesPrivileges for RevokeAccountPrivilege {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }
}
