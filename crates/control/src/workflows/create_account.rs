//! CreateAccount: the account on the node, then in the gateway.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_rpc_api::Action;
use openpeta_store::Writer;
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::{AccountName, AccountStatus, InstanceId};
use serde::{Deserialize, Serialize};

use super::{FAILED_INSIDE, engine_error, instance};
use crate::parts::Parts;

/// Makes a new account usable.
pub(crate) struct CreateAccount(pub(super) Arc<Parts>);

/// Which one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreateAccountParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) account_name: AccountName,
    /// Forgotten when the account cannot be made, so that the call can be sent again.
    pub(crate) client_token: Option<String>,
}

impl Workflow for CreateAccount {
    const NAME: &'static str = "create-account";
    type Params = CreateAccountParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![undoable(CreateOnNode)]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let CreateAccountParams {
            instance_id,
            account_name,
            ..
        } = task.params();
        writer.set_account_status(instance_id, account_name, AccountStatus::Active)?;
        Ok(())
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        let CreateAccountParams {
            instance_id,
            account_name,
            ..
        } = task.params();
        writer.delete_account(instance_id, account_name)?;
        if let Some(token) = &task.params().client_token {
            let action = Action::CreateAccount.spec().name;
            writer.delete_idempotency(task.account_id(), action, token)?;
        }
        self.0.publish_after_commit(writer, instance_id);
        Ok(())
    }
}

/// The account exists in MariaDB with its privileges, and the gateway lets it in. A restart
/// publishes every route before tasks go on, so that this still holds when the step was done before.
struct CreateOnNode;

#[async_trait]
impl Step<CreateAccount> for CreateOnNode {
    const NAME: &'static str = "create-on-node";
    const TITLE: &'static str = "Creating the account";
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateAccount,
        task: &TaskContext<'_, CreateAccount>,
    ) -> Result<(), StepError> {
        let parts = &workflow.0;
        let CreateAccountParams {
            instance_id,
            account_name,
            ..
        } = task.params();
        let instance = instance(parts, instance_id)?;
        let accounts = parts.accounts_with_grants(instance_id)?;
        let found = accounts
            .iter()
            .find(|(account, _)| account.name == *account_name);
        let (account, grants) = found
            .ok_or_else(|| StepError::permanent(FAILED_INSIDE, "the account's row is gone"))?;
        parts.apply_account(&instance, account, grants).await?;
        Ok(parts.publish(instance_id)?)
    }

    async fn undo(
        &self,
        workflow: &CreateAccount,
        task: &TaskContext<'_, CreateAccount>,
    ) -> Result<(), StepError> {
        let CreateAccountParams {
            instance_id,
            account_name,
            ..
        } = task.params();
        drop_on_node(&workflow.0, instance_id, account_name).await
    }
}

/// Drops an account on the nodes, where it is there; its sessions are killed.
pub(super) async fn drop_on_node(
    parts: &Parts,
    instance_id: &InstanceId,
    account_name: &AccountName,
) -> Result<(), StepError> {
    for node in parts.nodes_of(instance_id)? {
        let sql = parts.engine.sql(&node.node_id).await;
        let mut sql = sql.map_err(engine_error)?;
        let dropped = sql.drop_account(account_name).await;
        sql.close().await;
        dropped.map_err(engine_error)?;
    }
    Ok(())
}
