//! CreateInstance: a node, its database, its account, its endpoint.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_rpc_api::Action;
use openpeta_store::Writer;
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, undoable};

use super::new_instance::{
    self, CheckLogin, CreateNode, MakesInstance, NewInstanceParams, OpenEndpoint, StartNode,
};
use super::{engine_error, instance};
use crate::instance_nodes::is_on;
use crate::parts::Parts;

/// Makes an ordered instance real.
pub(crate) struct CreateInstance(pub(super) Arc<Parts>);

impl MakesInstance for CreateInstance {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn instance(params: &NewInstanceParams) -> &NewInstanceParams {
        params
    }
}

impl Workflow for CreateInstance {
    const NAME: &'static str = "create-instance";
    type Params = NewInstanceParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(CreateNode),
            undoable(StartNode),
            undoable(CreateDatabase),
            undoable(OpenEndpoint),
            undoable(CheckLogin),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        new_instance::activate(&self.0, writer, task.params())
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        let action = Action::CreateInstance.name();
        new_instance::remove(&self.0, writer, task.params(), action)
    }
}

/// The first database, and the first account with its privileges.
struct CreateDatabase;

#[async_trait]
impl Step<CreateInstance> for CreateDatabase {
    const NAME: &'static str = "create-database";
    const TITLE: &'static str = "Creating database and account";
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateInstance,
        task: &TaskContext<'_, CreateInstance>,
    ) -> Result<(), StepError> {
        let parts = &workflow.0;
        let instance = instance(parts, &task.params().instance_id)?;
        let databases = parts
            .store
            .read(|reader| reader.databases(&instance.instance_id))?;
        for (number, node) in (0_u16..).zip(task.params().nodes()) {
            let mut sql = parts
                .engine
                .sql(&node.node_id)
                .await
                .map_err(engine_error)?;
            for database in databases.iter().filter(|database| is_on(database, number)) {
                sql.create_database(&database.db_name)
                    .await
                    .map_err(engine_error)?;
            }
            sql.close().await;
        }
        for (account, grants) in parts.accounts_with_grants(&instance.instance_id)? {
            parts.apply_account(&instance, &account, &grants).await?;
        }
        Ok(())
    }

    // Both go with the nodes.
}
