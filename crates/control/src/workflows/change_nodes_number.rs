//! ModifyDatabaseNodesNumber: a database that is spread over nodes gets more of them, or fewer. Partitions are
//! copied to other nodes while clients use the database, follow what is written, and go over in
//! one moment in which nobody uses it; then their rows go from where they were, and nodes that are not
//! needed any more as a whole.
//!
//! Up to that moment everything can be undone. What says where partitions are is one row of the store:
//! a crash leaves the database on the nodes that this row names, and rows elsewhere do not count.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use openpeta_rpc_api::Action;
use openpeta_store::{Database, Node, NodeState, Writer};
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, forward, undoable};
use openpeta_types::{AccountId, DbName, InstanceId};
use serde::{Deserialize, Serialize};

use super::added_nodes::{AddsNodes, CreateNodes, StartNodes};
use super::engine_error;
use super::moving::{
    Announce, Change, CopyPartitions, CutOver, Define, MovesPartitions, ResizeNodes, clean_sources,
    status_after,
};
use super::resize_node::recount;
use crate::instance_nodes::{OrderedNode, is_on};
use crate::parts::Parts;

/// Gives a database other nodes.
pub(crate) struct ChangeNodesNumber(pub(super) Arc<Parts>);

/// What the order decided.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChangeNodesNumberParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) db_name: DbName,
    /// How many nodes it had.
    pub(crate) from: u32,
    /// How many it shall have.
    pub(crate) to: u32,
    /// The nodes that the instance gets for it.
    pub(crate) nodes: Vec<OrderedNode>,
    /// Where its partitions are.
    pub(crate) before: Vec<u16>,
    /// Where they shall be.
    pub(crate) after: Vec<u16>,
    /// Forgotten when it cannot be done, so that the call can be sent again.
    pub(crate) client_token: Option<String>,
}

impl ChangeNodesNumberParams {
    /// Which partitions move where.
    pub(super) fn change(&self) -> Change<'_> {
        Change {
            instance_id: &self.instance_id,
            db_name: &self.db_name,
            from: self.from,
            to: self.to,
            nodes: &self.nodes,
            before: &self.before,
            after: &self.after,
        }
    }
}

impl AddsNodes for ChangeNodesNumber {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn nodes(params: &ChangeNodesNumberParams) -> &[OrderedNode] {
        &params.nodes
    }
}

impl MovesPartitions for ChangeNodesNumber {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn change(params: &ChangeNodesNumberParams) -> Change<'_> {
        params.change()
    }
}

impl Workflow for ChangeNodesNumber {
    const NAME: &'static str = "change-nodes-number";
    const IS_LONG: bool = true;
    type Params = ChangeNodesNumberParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(CreateNodes),
            undoable(StartNodes),
            undoable(ResizeNodes),
            undoable(Announce),
            undoable(Define),
            undoable(CopyPartitions),
            forward(CutOver),
            forward(Clean),
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

/// The database has as many nodes as were ordered.
pub(super) fn succeeded(
    parts: &Arc<Parts>,
    writer: &Writer<'_>,
    params: &ChangeNodesNumberParams,
) -> Result<(), StepError> {
    if let Some(database) = database(writer, params)? {
        let (id, name) = (&params.instance_id, &params.db_name);
        parts.settle_usage(writer, id, name, Timestamp::now())?;
        writer.update_database(&Database {
            node_number: params.to,
            status: status_after(database.status),
            ..database
        })?;
    }
    let parts = Arc::clone(parts);
    writer.after_commit(move || parts.wake_reconcilers());
    recount(writer, &params.instance_id)
}

/// Nothing was ordered.
pub(super) fn unwound(
    parts: &Parts,
    writer: &Writer<'_>,
    (account, params): (AccountId, &ChangeNodesNumberParams),
) -> Result<(), StepError> {
    let (id, name) = (&params.instance_id, &params.db_name);
    for node in &params.nodes {
        writer.delete_node(&node.node_id)?;
    }
    if let Some(database) = database(writer, params)? {
        parts.settle_usage(writer, id, name, Timestamp::now())?;
        writer.update_database(&Database {
            node_number: params.from,
            status: status_after(database.status),
            ..database
        })?;
    }
    let action = Action::ModifyDatabaseNodesNumber.spec().name;
    parts.cancel_order(writer, id, Some(name), action)?;
    if let Some(token) = &params.client_token {
        writer.delete_idempotency(account, action, token)?;
    }
    recount(writer, id)
}

fn database(
    writer: &Writer<'_>,
    params: &ChangeNodesNumberParams,
) -> Result<Option<Database>, StepError> {
    Ok(writer.database(&params.instance_id, &params.db_name)?)
}

/// Rows of partitions go from the nodes that had them.
struct Clean;

#[async_trait]
impl Step<ChangeNodesNumber> for Clean {
    const NAME: &'static str = "clean";
    const TITLE: &'static str = "Removing rows that have moved";
    const WEIGHT: u32 = 10;
    type Output = ();

    async fn run(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        if !clean_sources(parts, &ChangeNodesNumber::change(params)).await? {
            return Ok(());
        }
        release(parts, params).await
    }
}

/// Removes the database from nodes that it is not on any more, and nodes that no other database needs.
async fn release(parts: &Parts, params: &ChangeNodesNumberParams) -> Result<(), StepError> {
    if params.to >= params.from {
        return Ok(());
    }
    let (id, name) = (&params.instance_id, &params.db_name);
    let is_left = |node: &Node| u32::from(node.number) >= params.to;
    let going = parts.store.write(|writer| {
        let mut databases = writer.databases(id)?;
        databases.retain(|database| database.db_name != *name);
        let mut nodes = writer.nodes_of(id)?;
        nodes.retain(is_left);
        for node in &mut nodes {
            if !databases.iter().any(|its| is_on(its, node.number)) {
                writer.set_node_state(&node.node_id, NodeState::Destroying)?;
                node.state = NodeState::Destroying;
            }
        }
        Ok::<_, StepError>(nodes)
    })?;
    for Node { node_id, state, .. } in going {
        if state == NodeState::Destroying {
            let destroyed = parts.engine.destroy_node(&node_id).await;
            destroyed.map_err(engine_error)?;
            parts.store.write(|writer| writer.delete_node(&node_id))?;
        } else {
            let dropped = parts.engine.drop_database(&node_id, name).await;
            dropped.map_err(engine_error)?;
        }
    }
    Ok(())
}
