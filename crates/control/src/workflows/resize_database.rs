//! ModifyDatabaseNodesSpec: the node gets what the new spec is worth, while it is in use.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use openpeta_rpc_api::Action;
use openpeta_store::{Database, Writer};
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::{DbName, InstanceId, NodeSettings, NodeSpec, ObjectStatus};
use serde::{Deserialize, Serialize};

use super::resize_node::{recount, resize_node};
use crate::node_size::is_counted;
use crate::parts::Parts;

/// Gives a database other nodes.
pub(crate) struct ResizeDatabase(pub(super) Arc<Parts>);

/// Which database, and what it gets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ResizeDatabaseParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) db_name: DbName,
    pub(crate) node_spec: NodeSpec,
    pub(crate) settings: NodeSettings,
    /// Forgotten when it cannot be done, so that the call can be sent again.
    pub(crate) client_token: Option<String>,
}

impl Workflow for ResizeDatabase {
    const NAME: &'static str = "resize-database";
    type Params = ResizeDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![undoable(ResizeNode)]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let params = task.params();
        if let Some(database) = database(writer, params)? {
            let (id, name) = (&params.instance_id, &params.db_name);
            self.0.settle_usage(writer, id, name, Timestamp::now())?;
            writer.update_database(&Database {
                node_spec: params.node_spec.clone(),
                settings: params.settings.clone(),
                status: after(&database),
                ..database
            })?;
        }
        recount(writer, &params.instance_id)
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        let params = task.params();
        let (id, name) = (&params.instance_id, &params.db_name);
        if let Some(database) = database(writer, params)? {
            writer.set_database_status(id, name, after(&database))?;
        }
        let action = Action::ModifyDatabaseNodesSpec.spec().name;
        self.0.cancel_order(writer, id, Some(name), action)?;
        if let Some(token) = &params.client_token {
            writer.delete_idempotency(task.account_id(), action, token)?;
        }
        recount(writer, id)
    }
}

fn database(
    writer: &Writer<'_>,
    params: &ResizeDatabaseParams,
) -> Result<Option<Database>, StepError> {
    Ok(writer.database(&params.instance_id, &params.db_name)?)
}

/// Its status when this is over. Its instance may have been released meanwhile.
fn after(database: &Database) -> ObjectStatus {
    match database.status {
        ObjectStatus::Modify => ObjectStatus::Active,
        other => other,
    }
}

/// The node gets what its databases are worth with the new spec.
struct ResizeNode;

#[async_trait]
impl Step<ResizeDatabase> for ResizeNode {
    const NAME: &'static str = "resize-node";
    const TITLE: &'static str = "Resizing the node";
    type Output = ();

    async fn run(
        &self,
        workflow: &ResizeDatabase,
        task: &TaskContext<'_, ResizeDatabase>,
    ) -> Result<(), StepError> {
        let params = task.params();
        resize_node(&workflow.0, &params.instance_id, |database| {
            if database.db_name == params.db_name {
                database.settings = params.settings.clone();
            }
            is_counted(database)
        })
        .await
    }

    async fn undo(
        &self,
        workflow: &ResizeDatabase,
        task: &TaskContext<'_, ResizeDatabase>,
    ) -> Result<(), StepError> {
        let is_counted = |database: &mut Database| is_counted(database);
        resize_node(&workflow.0, &task.params().instance_id, is_counted).await
    }
}
