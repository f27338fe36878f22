//! ModifyDatabaseNodesNumber of a database on one node: it gets several. Its tables stay whole on the first
//! one, so no row moves: nodes are made, the database and the accounts are on them, and from one moment
//! on clients go through the coordinator, where tables can be distributed. From then on nothing is
//! undone, for clients may have done so.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_store::{NodeState, Writer};
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, forward, undoable};

use super::added_nodes::{AddsNodes, CreateNodes, StartNodes};
use super::change_nodes_number::{ChangeNodesNumberParams, succeeded, unwound};
use super::moving::{Change, Define, MovesPartitions, ResizeNodes, give_accounts};
use super::{engine_error, sql_of};
use crate::instance_nodes::OrderedNode;
use crate::parts::Parts;

/// Gives a database on one node several.
pub(crate) struct SpreadDatabase(pub(super) Arc<Parts>);

impl AddsNodes for SpreadDatabase {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn nodes(params: &ChangeNodesNumberParams) -> &[OrderedNode] {
        &params.nodes
    }
}

impl MovesPartitions for SpreadDatabase {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn change(params: &ChangeNodesNumberParams) -> Change<'_> {
        params.change()
    }
}

impl Workflow for SpreadDatabase {
    const NAME: &'static str = "spread-database";
    type Params = ChangeNodesNumberParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(CreateNodes),
            undoable(StartNodes),
            undoable(ResizeNodes),
            undoable(Define),
            undoable(CheckTables),
            forward(Spread),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        succeeded(&self.0, writer, task.params())
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        unwound(&self.0, writer, (task.account_id(), task.params()))
    }
}

/// No table says of itself that its rows are on several nodes: all of them are on one.
struct CheckTables;

#[async_trait]
impl Step<SpreadDatabase> for CheckTables {
    const NAME: &'static str = "check-tables";
    const TITLE: &'static str = "Checking tables";
    type Output = ();

    async fn run(
        &self,
        workflow: &SpreadDatabase,
        task: &TaskContext<'_, SpreadDatabase>,
    ) -> Result<(), StepError> {
        let params = task.params();
        let mut sql = sql_of(&workflow.0, &params.instance_id).await?;
        let found = sql.distributions(&params.db_name).await;
        sql.close().await;
        match found.map_err(engine_error)?.first() {
            None => Ok(()),
            Some((table, _)) => Err(StepError::permanent(
                format!("Table {table} has the option distribute_by: remove it first."),
                "a table on one node says that it is distributed",
            )),
        }
    }
}

/// Clients reach the instance through the coordinator, which knows the nodes of the database.
struct Spread;

#[async_trait]
impl Step<SpreadDatabase> for Spread {
    const NAME: &'static str = "spread";
    const TITLE: &'static str = "Letting clients use the nodes";
    type Output = ();

    async fn run(
        &self,
        workflow: &SpreadDatabase,
        task: &TaskContext<'_, SpreadDatabase>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let (id, name) = (&params.instance_id, &params.db_name);
        let is_there = parts.store.write(|writer| {
            // Its instance may have been released meanwhile.
            if writer.database(id, name)?.is_none() {
                return Ok(false);
            }
            writer.put_partitions(id, name, &params.after)?;
            for node in &params.nodes {
                let row = writer.node(&node.node_id)?;
                if row.is_some_and(|row| row.state == NodeState::Creating) {
                    writer.set_node_state(&node.node_id, NodeState::Running)?;
                }
            }
            Ok::<_, StepError>(true)
        })?;
        parts.publish(id)?;
        if is_there {
            // From here on what is given to accounts goes to all nodes; up to here it went to the first one.
            give_accounts(parts, &params.change()).await?;
        }
        Ok(())
    }
}
