//! CreateTable, ModifyTable, DeleteTable, TruncateTable, CreateIndex, DeleteIndex: one definition
//! statement about one table.
//!
//! A statement cannot be undone, and run twice it may fail or do more than it should. So what the
//! table was before is written down first; MariaDB's definitions are atomic, so when the step
//! is run again the table tells whether the statement has been carried out. Somebody else who
//! redefines the same table by SQL between a crash and the next start is taken for it.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use openpeta_engine::{DDL_SECONDS, DDL_WAIT_SECONDS, Defined, Refusal, TableState};
use openpeta_store::Writer;
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, forward, undoable};
use openpeta_types::{DbName, InstanceId, NodeId, ObjectStatus, TableName};
use serde::{Deserialize, Serialize};

use super::{FAILED_INSIDE, engine_error, instance};
use crate::ControlError;
use crate::instance_nodes::{is_on, is_spread};
use crate::parts::Parts;

/// Carries out a definition statement.
pub(crate) struct ChangeTable(pub(super) Arc<Parts>);

/// Which one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChangeTableParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) db_name: DbName,
    /// The table that the statement is about.
    pub(crate) table: TableName,
    /// What the table shows meanwhile.
    pub(crate) status: ObjectStatus,
    pub(crate) statement: String,
}

impl Workflow for ChangeTable {
    const NAME: &'static str = "change-table";
    type Params = ChangeTableParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![undoable(Inspect), forward(Define)]
    }

    fn on_success(
        &self,
        _writer: &Writer<'_>,
        _task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        Ok(())
    }
}

/// Where a database is.
enum Nodes {
    One(NodeId),
    /// Home first, and where the coordinator speaks for them.
    Several(Vec<NodeId>, PathBuf),
}

impl ChangeTable {
    fn nodes(&self, params: &ChangeTableParams) -> Result<Nodes, StepError> {
        let parts = &self.0;
        let found = parts.store.read(|reader| {
            let id = &params.instance_id;
            let Some(database) = reader.database(id, &params.db_name)? else {
                return Ok(None);
            };
            if !is_spread(&database) {
                return Ok(None);
            }
            let Some(instance) = reader.instance(id)? else {
                return Ok(None);
            };
            let mut nodes = reader.serving_nodes(&instance)?;
            nodes.retain(|node| is_on(&database, node.number));
            nodes.sort_unstable_by_key(|node| node.number);
            let sharding = parts.sharding(reader, &instance)?;
            Ok::<_, ControlError>(sharding.map(|sharding| (nodes, sharding.coordinator_socket)))
        });
        match found? {
            None => Ok(Nodes::One(self.node(params)?)),
            Some((nodes, socket)) => {
                let nodes = nodes.into_iter().map(|node| node.node_id).collect();
                Ok(Nodes::Several(nodes, socket))
            }
        }
    }

    fn node(&self, params: &ChangeTableParams) -> Result<NodeId, StepError> {
        let node = instance(&self.0, &params.instance_id)?.node_id;
        node.ok_or_else(|| StepError::permanent(FAILED_INSIDE, "the instance has no node"))
    }
}

/// What the table is before.
struct Inspect;

#[async_trait]
impl Step<ChangeTable> for Inspect {
    const NAME: &'static str = "inspect";
    const TITLE: &'static str = "Looking at the table";
    type Output = TableState;

    async fn run(
        &self,
        workflow: &ChangeTable,
        task: &TaskContext<'_, ChangeTable>,
    ) -> Result<TableState, StepError> {
        let params = task.params();
        let node = workflow.node(params)?;
        let mut sql = workflow.0.engine.sql(&node).await.map_err(engine_error)?;
        let state = sql.table_state(&params.db_name, &params.table).await;
        sql.close().await;
        state.map_err(engine_error)
    }
}

/// The statement is carried out.
pub(crate) struct Define;

#[async_trait]
impl Step<ChangeTable> for Define {
    const NAME: &'static str = "define";
    const TITLE: &'static str = "Running the statement";
    const WEIGHT: u32 = 9;
    // What runs on the node meanwhile is ended by the next run, or found to be done.
    const IS_INTERRUPTIBLE: bool = true;
    type Output = ();

    async fn run(
        &self,
        workflow: &ChangeTable,
        task: &TaskContext<'_, ChangeTable>,
    ) -> Result<(), StepError> {
        let params = task.params();
        let before = task.output::<Inspect>()?;
        let (id, database, table) = (&params.instance_id, &params.db_name, &params.table);
        let engine = &workflow.0.engine;
        let statement = &params.statement;
        let defined = match workflow.nodes(params)? {
            Nodes::One(node) => {
                let run = engine.run_ddl(&node, database, table, &before, statement);
                run.await
            }
            Nodes::Several(nodes, socket) => {
                let over = (&nodes[..], id, socket.as_path());
                let run = engine.run_ddl_over_nodes(over, database, table, &before, statement);
                run.await
            }
        };
        match defined.map_err(engine_error)? {
            Defined::Done => Ok(()),
            Defined::Refused(refusal) => Err(refused(&refusal, database)),
        }
    }
}

/// MariaDB's errors about privileges: their messages name the account that OpenPeta uses.
const NO_PRIVILEGE: [u16; 6] = [1044, 1045, 1142, 1143, 1227, 1370];
/// Waited too long for a lock.
const LOCK_WAIT_TIMEOUT: u16 = 1205;
/// The server is read-only: the instance was locked meanwhile.
const READ_ONLY: u16 = 1290;
/// Ran for too long.
const STATEMENT_TIMEOUT: u16 = 1969;

fn refused(refusal: &Refusal, database: &DbName) -> StepError {
    let message = match refusal.code {
        code if NO_PRIVILEGE.contains(&code) => {
            format!("The statement may use tables of the database {database} alone.")
        }
        LOCK_WAIT_TIMEOUT => format!(
            "Sessions that use the table did not give way within {DDL_WAIT_SECONDS} seconds."
        ),
        READ_ONLY => "The instance is locked.".to_owned(),
        STATEMENT_TIMEOUT => format!(
            "The statement took longer than {DDL_SECONDS} seconds and was given up; by SQL it may \
             take as long as it needs."
        ),
        _ => refusal.message.clone(),
    };
    let cause = format!("MariaDB error {}: {}", refusal.code, refusal.message);
    StepError::refused(message, cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_see_mariadbs_words_but_not_our_account() {
        let shop = DbName::parse("shop").expect("a database name");
        let message = |code, text: &str| {
            let refusal = Refusal {
                code,
                message: text.to_owned(),
            };
            match refused(&refusal, &shop) {
                StepError::Refused { message, cause } => {
                    assert!(cause.contains(text));
                    message
                }
                other => panic!("{other:?}"),
            }
        };
        let duplicate = "Duplicate column name 'id'";
        assert_eq!(message(1060, duplicate), duplicate);
        let denied = "CREATE command denied to user 'openpeta-ddl:shop'@'localhost'";
        assert!(!message(1142, denied).contains("openpeta-ddl"));
        assert!(message(1205, "Lock wait timeout exceeded").contains("30 seconds"));
    }
}
