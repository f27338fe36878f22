//! Steps that workflows share which move partitions of a database to other nodes while clients use it:
//! they are copied, follow what is written, and go over in one moment in which nobody uses the
//! database.
//!
//! Up to that moment everything can be undone. What says where partitions are is one row of the store:
//! a crash leaves the database on the nodes that this row names, and rows elsewhere do not count.

mod announce;
mod copy;
mod cut_over;
mod define;

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use openpeta_sql_route::Partitions;
use openpeta_store::{MovingPartitions, Node};
use openpeta_tasks::{StepError, Workflow};
use openpeta_types::{DbName, InstanceId, ObjectStatus};

pub(super) use self::announce::Announce;
pub(super) use self::copy::CopyPartitions;
pub(super) use self::cut_over::CutOver;
pub(super) use self::define::{Define, ResizeNodes, give_accounts};
use super::{FAILED_INSIDE, engine_error};
use crate::instance_nodes::OrderedNode;
use crate::parts::Parts;
use crate::placement::moves;

/// How often it is tried to find a moment in which nobody uses the database.
const ATTEMPTS: u32 = 12;
/// From which attempt on transactions that are in the way are ended.
const CALLED_FROM: u32 = 6;
/// How long sessions may take to end what they do before all go on.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long sessions go on between two attempts.
const BETWEEN: Duration = Duration::from_millis(700);

/// What a client is told when it was not found.
const NO_MOMENT: &str =
    "No moment was found in which sessions do not use the database; order it again.";

/// A workflow that moves partitions.
pub(super) trait MovesPartitions: Workflow {
    /// What it acts on.
    fn parts(&self) -> &Arc<Parts>;

    /// What was decided.
    fn change(params: &Self::Params) -> Change<'_>;
}

/// Which partitions move where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) instance_id: &'a InstanceId,
    pub(super) db_name: &'a DbName,
    /// How many nodes the database had.
    pub(super) from: u32,
    /// How many it shall have.
    pub(super) to: u32,
    /// The nodes that the instance gets for it.
    pub(super) nodes: &'a [OrderedNode],
    /// Where its partitions are.
    pub(super) before: &'a [u16],
    /// Where they shall be.
    pub(super) after: &'a [u16],
}

impl Change<'_> {
    /// The numbers of the nodes that partitions come to.
    pub(super) fn targets(&self) -> BTreeSet<u16> {
        let moves = moves(self.before, self.after);
        moves.into_iter().map(|((_, to), _)| to).collect()
    }

    /// Those of them on which the database is already.
    pub(super) fn used_targets(&self) -> BTreeSet<u16> {
        let mut targets = self.targets();
        targets.retain(|number| u32::from(*number) < self.from);
        targets
    }

    /// Those that partitions leave and that stay.
    pub(super) fn sources(&self) -> BTreeSet<u16> {
        let moves = moves(self.before, self.after);
        let sources = moves.into_iter().map(|((from, _), _)| from);
        sources.filter(|it| u32::from(*it) < self.to).collect()
    }

    fn count(&self) -> Result<Partitions, StepError> {
        let count = u16::try_from(self.after.len()).ok();
        let count = count.and_then(NonZeroU16::new).map(Partitions::new);
        count.ok_or_else(|| StepError::permanent(FAILED_INSIDE, "there are no partitions"))
    }
}

/// The status of a database when this is over. Its instance may have been released meanwhile.
pub(super) fn status_after(status: ObjectStatus) -> ObjectStatus {
    match status {
        ObjectStatus::Append => ObjectStatus::Active,
        other => other,
    }
}

/// The nodes of an instance by their numbers.
fn numbered(parts: &Parts, change: &Change<'_>) -> Result<Vec<Node>, StepError> {
    Ok(parts.nodes_of(change.instance_id)?)
}

/// The node of that number.
fn node(nodes: &[Node], number: u16) -> Result<&Node, StepError> {
    let found = nodes.iter().find(|node| node.number == number);
    let missing = || StepError::permanent(FAILED_INSIDE, format!("there is no node {number}"));
    found.ok_or_else(missing)
}

/// Writes what is under way, and has sessions go by it.
fn tell(parts: &Parts, change: &Change<'_>, moving: &MovingPartitions) -> Result<(), StepError> {
    let (id, name) = (change.instance_id, change.db_name);
    parts
        .store
        .write(|writer| writer.set_moving_partitions(id, name, moving))?;
    Ok(parts.publish(id)?)
}

/// Removes the rows of partitions that have gone over from where they were; then everything is as it
/// shall be. `false` when the database is gone.
pub(super) async fn clean_sources(parts: &Parts, change: &Change<'_>) -> Result<bool, StepError> {
    let id = change.instance_id;
    let placed = parts.store.read(|reader| reader.partitions(id))?;
    if !placed.contains_key(change.db_name) {
        return Ok(false);
    }
    clean(parts, change, &change.sources(), change.after).await?;
    tell(parts, change, &MovingPartitions::default())?;
    forget(parts, change, &change.targets()).await?;
    Ok(true)
}

/// Forgets on nodes how far moves to them are.
async fn forget(
    parts: &Parts,
    change: &Change<'_>,
    numbers: &BTreeSet<u16>,
) -> Result<(), StepError> {
    let nodes = numbered(parts, change)?;
    for number in numbers {
        let target = &node(&nodes, *number)?.node_id;
        let forgotten = parts.engine.forget_moves(target, change.db_name).await;
        forgotten.map_err(engine_error)?;
    }
    Ok(())
}

/// Removes from nodes what is not theirs by a placement.
async fn clean(
    parts: &Parts,
    change: &Change<'_>,
    numbers: &BTreeSet<u16>,
    placement: &[u16],
) -> Result<(), StepError> {
    let nodes = numbered(parts, change)?;
    let pause = |worked: Duration| Ok(parts.config.nodes.move_pause(worked));
    for number in numbers {
        let kept: Vec<u16> = (0..)
            .zip(placement)
            .filter(|(_, node)| *node == number)
            .map(|(partition, _)| partition)
            .collect();
        let source = &node(&nodes, *number)?.node_id;
        let (name, count) = (change.db_name, change.count()?);
        let cleaned = parts
            .engine
            .clean_partitions(source, name, (count, &kept), &pause)
            .await;
        let rows = cleaned.map_err(engine_error)?;
        tracing::info!(node = %source, rows, "rows that have moved are removed");
    }
    Ok(())
}
