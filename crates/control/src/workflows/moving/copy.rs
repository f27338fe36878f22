//! Rows are copied to the nodes that partitions come to.

use std::time::Instant;

use async_trait::async_trait;
use openpeta_engine::{Mover, PartitionMove};
use openpeta_tasks::{Step, StepError, TaskContext};

use super::{Change, MovesPartitions, clean, forget, node, numbered};
use crate::parts::Parts;
use crate::placement::moves;
use crate::workflows::engine_error;
use crate::workflows::new_instance::start_nodes;

/// The moves of an order, begun or gone on with.
pub(super) async fn movers(parts: &Parts, change: &Change<'_>) -> Result<Vec<Mover>, StepError> {
    // Nobody else starts a node again that is not in use yet.
    start_nodes(parts, change.nodes).await?;
    let nodes = numbered(parts, change)?;
    let mut with_broadcast = change.targets();
    with_broadcast.retain(|number| !change.used_targets().contains(number));
    let mut movers = Vec::new();
    for ((from, to), partitions) in moves(change.before, change.after) {
        let begun = parts.engine.begin_move(PartitionMove {
            database: change.db_name.clone(),
            from: node(&nodes, from)?.node_id.clone(),
            to: node(&nodes, to)?.node_id.clone(),
            count: change.count()?,
            partitions,
            // All nodes have them, and each target needs them once.
            broadcast: with_broadcast.remove(&to),
        });
        movers.push(begun.await.map_err(engine_error)?);
    }
    Ok(movers)
}

/// Whether all targets are nearly where their sources are.
pub(super) async fn is_near(movers: &mut [Mover]) -> Result<bool, StepError> {
    let mut is_near = true;
    for mover in movers {
        is_near &= mover.approach().await.map_err(engine_error)?.is_small();
    }
    Ok(is_near)
}

/// Rows are on the nodes that partitions come to, as they were a moment ago.
pub(in crate::workflows) struct CopyPartitions;

#[async_trait]
impl<W: MovesPartitions> Step<W> for CopyPartitions {
    const NAME: &'static str = "copy-partitions";
    const TITLE: &'static str = "Copying partitions";
    const WEIGHT: u32 = 30;
    const IS_INTERRUPTIBLE: bool = true;
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, change) = (workflow.parts(), &W::change(task.params()));
        let mut movers = movers(parts, change).await?;
        let count = movers.len().max(1);
        for (number, mover) in movers.iter_mut().enumerate() {
            loop {
                let begun = Instant::now();
                if !mover.copy().await.map_err(engine_error)? {
                    break;
                }
                let (done, tables) = mover.copied_tables();
                let of_mover = done as f64 / tables.max(1) as f64;
                let fraction = (number as f64 + of_mover) / count as f64;
                let rows = mover.copied_rows();
                task.progress(0.9 * fraction, &format!("{rows} rows are copied"));
                tokio::time::sleep(parts.config.nodes.move_pause(begun.elapsed())).await;
            }
        }
        task.progress(0.9, "following what is written");
        while !is_near(&mut movers).await? {}
        for mover in movers {
            mover.close().await;
        }
        Ok(())
    }

    /// What was copied goes with the nodes, or with the database on them; from nodes that are in use it is
    /// removed.
    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, change) = (workflow.parts(), &W::change(task.params()));
        let used = change.used_targets();
        clean(parts, change, &used, change.before).await?;
        forget(parts, change, &used).await
    }
}
