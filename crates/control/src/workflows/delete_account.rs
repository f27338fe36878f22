//! DeleteAccount: out of the gateway, off the node. Nothing here can be undone.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_store::Writer;
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, forward};
use openpeta_types::{AccountName, InstanceId};
use serde::{Deserialize, Serialize};

use super::create_account::drop_on_node;
use crate::parts::Parts;

/// Drops an account.
pub(crate) struct DeleteAccount(pub(super) Arc<Parts>);

/// Which one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeleteAccountParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) account_name: AccountName,
}

impl Workflow for DeleteAccount {
    const NAME: &'static str = "delete-account";
    type Params = DeleteAccountParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![forward(WithdrawFromGateway), forward(DropOnNode)]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let DeleteAccountParams {
            instance_id,
            account_name,
        } = task.params();
        writer.delete_account(instance_id, account_name)?;
        Ok(())
    }
}

/// Nobody logs in with it, and its sessions are closed.
struct WithdrawFromGateway;

#[async_trait]
impl Step<DeleteAccount> for WithdrawFromGateway {
    const NAME: &'static str = "withdraw-from-gateway";
    const TITLE: &'static str = "Closing the account's sessions";
    type Output = ();

    async fn run(
        &self,
        workflow: &DeleteAccount,
        task: &TaskContext<'_, DeleteAccount>,
    ) -> Result<(), StepError> {
        Ok(workflow.0.publish(&task.params().instance_id)?)
    }
}

/// The account is gone in MariaDB.
struct DropOnNode;

#[async_trait]
impl Step<DeleteAccount> for DropOnNode {
    const NAME: &'static str = "drop-on-node";
    const TITLE: &'static str = "Dropping the account";
    type Output = ();

    async fn run(
        &self,
        workflow: &DeleteAccount,
        task: &TaskContext<'_, DeleteAccount>,
    ) -> Result<(), StepError> {
        let DeleteAccountParams {
            instance_id,
            account_name,
        } = task.params();
        drop_on_node(&workflow.0, instance_id, account_name).await
    }
}
