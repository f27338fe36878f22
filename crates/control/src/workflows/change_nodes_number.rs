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
use openpeta_types::{DbName, InstanceId};
use serde::{Deserialize, Serialize};

use super::added_nodes::{AddsNodes, CreateNodes, StartNodes};
use super::moving::{
    Announce, Change, CopyPartitions, CutOver, MovesPartitions, clean_sources, node, numbered,
    status_after,
};
use super::resize_node::{recount, resize_node};
use super::{engine_error, instance, sql_on};
use crate::instance_nodes::{OrderedNode, is_on};
use crate::node_size::is_counted;
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
        Change {
            instance_id: &params.instance_id,
            db_name: &params.db_name,
            from: params.from,
            to: params.to,
            nodes: &params.nodes,
            before: &params.before,
            after: &params.after,
        }
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
        let params = task.params();
        if let Some(database) = database(writer, params)? {
            let (id, name) = (&params.instance_id, &params.db_name);
            self.0.settle_usage(writer, id, name, Timestamp::now())?;
            writer.update_database(&Database {
                node_number: params.to,
                status: status_after(database.status),
                ..database
            })?;
        }
        let parts = Arc::clone(&self.0);
        writer.after_commit(move || parts.wake_reconcilers());
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
        for node in &params.nodes {
            writer.delete_node(&node.node_id)?;
        }
        if let Some(database) = database(writer, params)? {
            self.0.settle_usage(writer, id, name, Timestamp::now())?;
            writer.update_database(&Database {
                node_number: params.from,
                status: status_after(database.status),
                ..database
            })?;
        }
        let action = Action::ModifyDatabaseNodesNumber.spec().name;
        self.0.cancel_order(writer, id, Some(name), action)?;
        if let Some(token) = &params.client_token {
            writer.delete_idempotency(task.account_id(), action, token)?;
        }
        recount(writer, id)
    }
}

fn database(
    writer: &Writer<'_>,
    params: &ChangeNodesNumberParams,
) -> Result<Option<Database>, StepError> {
    Ok(writer.database(&params.instance_id, &params.db_name)?)
}

/// Nodes that are there for other databases have room for this one.
struct ResizeNodes;

#[async_trait]
impl Step<ChangeNodesNumber> for ResizeNodes {
    const NAME: &'static str = "resize-nodes";
    const TITLE: &'static str = "Resizing nodes";
    type Output = ();

    async fn run(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let is_counted = |database: &mut Database| is_counted(database);
        resize_node(&workflow.0, &task.params().instance_id, is_counted).await
    }

    async fn undo(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let params = task.params();
        resize_node(&workflow.0, &params.instance_id, |database| {
            if database.db_name == params.db_name {
                database.node_number = params.from;
            }
            is_counted(database)
        })
        .await
    }
}

/// Accounts and empty tables are on the nodes that partitions come to.
struct Define;

#[async_trait]
impl Step<ChangeNodesNumber> for Define {
    const NAME: &'static str = "define";
    const TITLE: &'static str = "Defining accounts and tables";
    type Output = ();

    async fn run(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let change = ChangeNodesNumber::change(task.params());
        let nodes = numbered(parts, &change)?;
        let home = node(&nodes, 0)?;
        let instance = instance(parts, &params.instance_id)?;
        let accounts = parts.accounts_with_grants(&params.instance_id)?;
        let used = change.used_targets();
        for number in change.targets().difference(&used) {
            let target = node(&nodes, *number)?;
            let (from, to) = (&home.node_id, &target.node_id);
            let defined = parts
                .engine
                .define_partitions(&params.db_name, from, to)
                .await;
            defined.map_err(engine_error)?;
            for (account, grants) in &accounts {
                let applied = parts.apply_account_on(target, &instance, account, grants);
                applied.await?;
                // What was given by SQL counts as well.
                let mut sql = sql_on(parts, home).await?;
                let held = sql.held_by(&account.name).await;
                sql.close().await;
                let mut sql = sql_on(parts, target).await?;
                let set = sql
                    .set_held(&account.name, &held.map_err(engine_error)?)
                    .await;
                sql.close().await;
                set.map_err(engine_error)?;
            }
        }
        Ok(parts.enforce_lock(&params.instance_id).await?)
    }

    /// New nodes go as a whole; from others the database goes.
    async fn undo(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let change = ChangeNodesNumber::change(task.params());
        for target in numbered(parts, &change)? {
            let is_new = params.nodes.iter().any(|it| it.node_id == target.node_id);
            let is_used = change.used_targets().contains(&target.number);
            if is_new || is_used || !change.targets().contains(&target.number) {
                continue;
            }
            let engine = &parts.engine;
            let forgotten = engine.forget_moves(&target.node_id, &params.db_name).await;
            match forgotten {
                // The database is not there.
                Err(error) if error.server_code() == Some(1049) => continue,
                done => done.map_err(engine_error)?,
            }
            let dropped = engine.drop_database(&target.node_id, &params.db_name);
            dropped.await.map_err(engine_error)?;
        }
        Ok(())
    }
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
