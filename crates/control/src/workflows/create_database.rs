//! CreateDatabase: room on the node, then the database there. The instance stays in use.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_rpc_api::Action;
use openpeta_store::Writer;
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::{DbName, InstanceId, ObjectStatus};
use serde::{Deserialize, Serialize};

use super::resize_node::{recount, resize_node};
use super::{engine_error, sql_of};
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
        let CreateDatabaseParams {
            instance_id,
            db_name,
            ..
        } = task.params();
        // Its instance may have been released meanwhile.
        let database = writer.database(instance_id, db_name)?;
        if database.is_some_and(|database| database.status == ObjectStatus::Create) {
            writer.set_database_status(instance_id, db_name, ObjectStatus::Active)?;
        }
        recount(writer, instance_id)
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        let CreateDatabaseParams {
            instance_id,
            db_name,
            client_token,
        } = task.params();
        let action = Action::CreateDatabase.spec().name;
        self.0
            .cancel_order(writer, instance_id, Some(db_name), action)?;
        writer.delete_database(instance_id, db_name)?;
        if let Some(token) = client_token {
            writer.delete_idempotency(task.account_id(), action, token)?;
        }
        recount(writer, instance_id)
    }
}

/// Nobody made a database of that name by SQL: what is on the node from here on is the task's.
struct CheckName;

#[async_trait]
impl Step<CreateDatabase> for CheckName {
    const NAME: &'static str = "check-name";
    const TITLE: &'static str = "Checking that the name is free";
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateDatabase,
        task: &TaskContext<'_, CreateDatabase>,
    ) -> Result<(), StepError> {
        let CreateDatabaseParams {
            instance_id,
            db_name,
            ..
        } = task.params();
        let mut sql = sql_of(&workflow.0, instance_id).await?;
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
struct ResizeNode;

#[async_trait]
impl Step<CreateDatabase> for ResizeNode {
    const NAME: &'static str = "resize-node";
    const TITLE: &'static str = "Resizing the node";
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateDatabase,
        task: &TaskContext<'_, CreateDatabase>,
    ) -> Result<(), StepError> {
        let CreateDatabaseParams {
            instance_id,
            db_name,
            ..
        } = task.params();
        resize_node(&workflow.0, instance_id, |database| {
            is_counted(database) || database.db_name == *db_name
        })
        .await
    }

    async fn undo(
        &self,
        workflow: &CreateDatabase,
        task: &TaskContext<'_, CreateDatabase>,
    ) -> Result<(), StepError> {
        let CreateDatabaseParams {
            instance_id,
            db_name,
            ..
        } = task.params();
        resize_node(&workflow.0, instance_id, |database| {
            is_counted(database) && database.db_name != *db_name
        })
        .await
    }
}

/// The database exists in MariaDB.
struct CreateOnNode;

#[async_trait]
impl Step<CreateDatabase> for CreateOnNode {
    const NAME: &'static str = "create-on-node";
    const TITLE: &'static str = "Creating the database";
    type Output = ();

    async fn run(
        &self,
        workflow: &CreateDatabase,
        task: &TaskContext<'_, CreateDatabase>,
    ) -> Result<(), StepError> {
        let CreateDatabaseParams {
            instance_id,
            db_name,
            ..
        } = task.params();
        let mut sql = sql_of(&workflow.0, instance_id).await?;
        let created = sql.create_database(db_name).await;
        sql.close().await;
        created.map_err(engine_error)
    }

    /// Drops it while nobody has put anything into it; what a Super account has made of it by
    /// then is not for this task to destroy.
    async fn undo(
        &self,
        workflow: &CreateDatabase,
        task: &TaskContext<'_, CreateDatabase>,
    ) -> Result<(), StepError> {
        let CreateDatabaseParams {
            instance_id,
            db_name,
            ..
        } = task.params();
        let mut sql = sql_of(&workflow.0, instance_id).await?;
        let dropped = sql.drop_empty_database(db_name).await;
        sql.close().await;
        if !dropped.map_err(engine_error)? {
            tracing::warn!(instance = %instance_id, database = %db_name, "not empty, so it is left on the node");
        }
        Ok(())
    }
}
