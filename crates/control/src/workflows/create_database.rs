//! CreateDatabase: room on the node, then the database there. The instance stays in use. What is
//! spread over several nodes is made by [`super::create_spread_database`], with the same steps.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_rpc_api::Action;
use openpeta_store::Writer;
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::{AccountId, DbName, InstanceId, ObjectStatus};
use serde::{Deserialize, Serialize};

use super::resize_node::{recount, resize_node};
use super::{engine_error, nodes_with, sql_of, sql_on};
use crate::node_size::is_counted;
use crate::parts::Parts;

/// Makes an ordered database real.
pub(crate) struct CreateDatabase(pub(super) Arc<Parts>);

/// Which one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreateDatabaseParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) db_name: DbName,
    /// Forgotten when the database cannot be made, so that the call can be sent again.
    pub(crate) client_token: Option<String>,
}

/// A workflow that makes a database in an instance that clients use.
pub(super) trait MakesDatabase: Workflow {
    /// What it acts on.
    fn parts(&self) -> &Arc<Parts>;

    /// The database.
    fn database(params: &Self::Params) -> &CreateDatabaseParams;
}

impl MakesDatabase for CreateDatabase {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn database(params: &CreateDatabaseParams) -> &CreateDatabaseParams {
        params
    }
}

impl Workflow for CreateDatabase {
    const NAME: &'static str = "create-database";
    type Params = CreateDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(CheckName),
            undoable(ResizeNode),
            undoable(CreateOnNode),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        activate(writer, task.params())
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        remove(&self.0, writer, task.params(), task.account_id())
    }
}

/// Writes that the database can be used.
pub(super) fn activate(
    writer: &Writer<'_>,
    params: &CreateDatabaseParams,
) -> Result<(), StepError> {
    let CreateDatabaseParams {
        instance_id,
        db_name,
        ..
    } = params;
    // Its instance may have been released meanwhile.
    let database = writer.database(instance_id, db_name)?;
    if database.is_some_and(|database| database.status == ObjectStatus::Create) {
        writer.set_database_status(instance_id, db_name, ObjectStatus::Active)?;
    }
    recount(writer, instance_id)
}

/// Writes that there is no such database, and that nothing is owed for it.
pub(super) fn remove(
    parts: &Parts,
    writer: &Writer<'_>,
    params: &CreateDatabaseParams,
    account_id: AccountId,
) -> Result<(), StepError> {
    let CreateDatabaseParams {
        instance_id,
        db_name,
        client_token,
    } = params;
    let action = Action::CreateDatabase.spec().name;
    parts.cancel_order(writer, instance_id, Some(db_name), action)?;
    writer.delete_database(instance_id, db_name)?;
    if let Some(token) = client_token {
        writer.delete_idempotency(account_id, action, token)?;
    }
    recount(writer, instance_id)
}

/// Nobody made a database of that name by SQL: what is on the node from here on is the task's.
pub(super) struct CheckName;

#[async_trait]
impl<W: MakesDatabase> Step<W> for CheckName {
    const NAME: &'static str = "check-name";
    const TITLE: &'static str = "Checking that the name is free";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let CreateDatabaseParams {
            instance_id,
            db_name,
            ..
        } = W::database(task.params());
        let mut sql = sql_of(workflow.parts(), instance_id).await?;
        let names = sql.databases().await;
        sql.close().await;
        let taken = names.map_err(engine_error)?;
        if taken.iter().any(|name| name == db_name.as_str()) {
            let message = "A database of that name was made by SQL.";
            return Err(StepError::permanent(message, message));
        }
        Ok(())
    }
}

/// The node has room for it.
pub(super) struct ResizeNode;

#[async_trait]
impl<W: MakesDatabase> Step<W> for ResizeNode {
    const NAME: &'static str = "resize-node";
    const TITLE: &'static str = "Resizing the node";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let CreateDatabaseParams {
            instance_id,
            db_name,
            ..
        } = W::database(task.params());
        resize_node(workflow.parts(), instance_id, |database| {
            is_counted(database) || database.db_name == *db_name
        })
        .await
    }

    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let CreateDatabaseParams {
            instance_id,
            db_name,
            ..
        } = W::database(task.params());
        resize_node(workflow.parts(), instance_id, |database| {
            is_counted(database) && database.db_name != *db_name
        })
        .await
    }
}

/// The database exists in MariaDB, on each of its nodes.
pub(super) struct CreateOnNode;

#[async_trait]
impl<W: MakesDatabase> Step<W> for CreateOnNode {
    const NAME: &'static str = "create-on-node";
    const TITLE: &'static str = "Creating the database";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let CreateDatabaseParams {
            instance_id,
            db_name,
            ..
        } = W::database(task.params());
        let parts = workflow.parts();
        for node in nodes_with(parts, instance_id, db_name)? {
            let mut sql = sql_on(parts, &node).await?;
            let created = sql.create_database(db_name).await;
            sql.close().await;
            created.map_err(engine_error)?;
        }
        Ok(())
    }

    /// Drops it while nobody has put anything into it; what a Super account has made of it by
    /// then is not for this task to destroy.
    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let CreateDatabaseParams {
            instance_id,
            db_name,
            ..
        } = W::database(task.params());
        let parts = workflow.parts();
        for node in nodes_with(parts, instance_id, db_name)? {
            let mut sql = sql_on(parts, &node).await?;
            let dropped = sql.drop_empty_database(db_name).await;
            sql.close().await;
            if !dropped.map_err(engine_error)? {
                let node = &node.node_id;
                tracing::warn!(instance = %instance_id, %node, database = %db_name, "not empty, so it is left on the node");
            }
        }
        Ok(())
    }
}
