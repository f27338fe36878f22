//! Nodes that a database comes to are made ready for it.

use async_trait::async_trait;
use openpeta_store::Database;
use openpeta_tasks::{Step, StepError, TaskContext};

use super::{Change, MovesPartitions, node, numbered};
use crate::node_size::is_counted;
use crate::parts::Parts;
use crate::workflows::new_instance::start_nodes;
use crate::workflows::resize_node::resize_node;
use crate::workflows::{engine_error, instance, sql_on};

/// Nodes that are there for other databases have room for this one.
pub(in crate::workflows) struct ResizeNodes;

#[async_trait]
impl<W: MovesPartitions> Step<W> for ResizeNodes {
    const NAME: &'static str = "resize-nodes";
    const TITLE: &'static str = "Resizing nodes";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let is_counted = |database: &mut Database| is_counted(database);
        resize_node(
            workflow.parts(),
            W::change(task.params()).instance_id,
            is_counted,
        )
        .await
    }

    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let change = W::change(task.params());
        resize_node(workflow.parts(), change.instance_id, |database| {
            if database.db_name == *change.db_name {
                database.node_number = change.from;
            }
            is_counted(database)
        })
        .await
    }
}

/// The nodes that the database comes to have its accounts, with all that these may do at home.
pub(in crate::workflows) async fn give_accounts(
    parts: &Parts,
    change: &Change<'_>,
) -> Result<(), StepError> {
    let nodes = numbered(parts, change)?;
    let home = node(&nodes, 0)?;
    let instance = instance(parts, change.instance_id)?;
    let accounts = parts.accounts_with_grants(change.instance_id)?;
    let used = change.used_targets();
    for number in change.targets().difference(&used) {
        let target = node(&nodes, *number)?;
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
    Ok(())
}

/// Accounts and empty tables are on the nodes that partitions come to.
pub(in crate::workflows) struct Define;

#[async_trait]
impl<W: MovesPartitions> Step<W> for Define {
    const NAME: &'static str = "define";
    const TITLE: &'static str = "Defining accounts and tables";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, change) = (workflow.parts(), W::change(task.params()));
        // Nobody else starts a node again that is not in use yet.
        start_nodes(parts, change.nodes).await?;
        let nodes = numbered(parts, &change)?;
        let home = node(&nodes, 0)?;
        let used = change.used_targets();
        for number in change.targets().difference(&used) {
            let target = node(&nodes, *number)?;
            let (from, to) = (&home.node_id, &target.node_id);
            let defined = parts
                .engine
                .define_partitions(change.db_name, from, to)
                .await;
            defined.map_err(engine_error)?;
        }
        give_accounts(parts, &change).await?;
        Ok(parts.enforce_lock(change.instance_id).await?)
    }

    /// New nodes go as a whole; from others the database goes.
    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, change) = (workflow.parts(), W::change(task.params()));
        for target in numbered(parts, &change)? {
            let is_new = change.nodes.iter().any(|it| it.node_id == target.node_id);
            let is_used = change.used_targets().contains(&target.number);
            if is_new || is_used || !change.targets().contains(&target.number) {
                continue;
            }
            let engine = &parts.engine;
            let forgotten = engine.forget_moves(&target.node_id, change.db_name).await;
            match forgotten {
                // The database is not there.
                Err(error) if error.server_code() == Some(1049) => continue,
                done => done.map_err(engine_error)?,
            }
            let dropped = engine.drop_database(&target.node_id, change.db_name);
            dropped.await.map_err(engine_error)?;
        }
        Ok(())
    }
}
