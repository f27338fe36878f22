//! Partitions of databases over several nodes, as the operator sees and moves them.

use std::collections::{BTreeMap, BTreeSet};

use openpeta_engine::{Counting, PartitionSize};
use openpeta_rpc_api::ApiError;
use openpeta_sql_route::Partitions;
use openpeta_store::{Database, Instance, Node, Reader, Writer};
use openpeta_tasks::{NewTask, Tasks};
use openpeta_types::{DbName, InstanceId, ObjectStatus, TaskId};

use super::spread_in_change;
use crate::ControlError;
use crate::authorize::{require_active_database, require_database};
use crate::instance_nodes::is_spread;
use crate::parts::Parts;
use crate::workflows::move_partitions::{MovePartitions, MovePartitionsParams};

/// What the task is called where calls of the API are named.
const ACTION: &str = "MovePartitions";

/// A partition, where it is and how large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionRow {
    pub(crate) partition: u16,
    pub(crate) node: Node,
    /// `None` when its node does not tell.
    pub(crate) size: Option<PartitionSize>,
}

impl Parts {
    /// The partitions of a database in their order, with their rows as they are counted or estimated.
    ///
    /// # Errors
    /// When there is no such database, or it has one node.
    pub(crate) async fn partition_rows(
        &self,
        id: &InstanceId,
        db_name: &DbName,
        counting: Counting,
    ) -> Result<Vec<PartitionRow>, ControlError> {
        let (placement, nodes) = self.store.read(|reader| {
            let instance = found(reader, id)?;
            let database = require_database(reader, id, db_name)?;
            let placement = placement(reader, id, &database)?;
            Ok::<_, ControlError>((placement, reader.serving_nodes(&instance)?))
        })?;
        let count = u16::try_from(placement.len()).ok();
        let count = count.and_then(std::num::NonZeroU16::new);
        let count = count.ok_or_else(|| ControlError::internal("there are no partitions"))?;
        let mut sizes: BTreeMap<u16, BTreeMap<u16, PartitionSize>> = BTreeMap::new();
        for node in &nodes {
            let owned = owned(&placement, node.number);
            if owned.is_empty() {
                continue;
            }
            let owned = (Partitions::new(count), &owned[..]);
            let found = self
                .engine
                .partition_sizes(&node.node_id, db_name, owned, counting);
            match found.await {
                Ok(found) => {
                    sizes.insert(node.number, found);
                }
                Err(error) => {
                    tracing::warn!(node = %node.node_id, error = &error as &dyn std::error::Error, "partitions are not measured");
                }
            }
        }
        let row = |(partition, number): (u16, &u16)| {
            let node = nodes.iter().find(|node| node.number == *number)?.clone();
            let size = sizes.get(number).and_then(|its| its.get(&partition));
            Some(PartitionRow {
                partition,
                node,
                size: size.copied(),
            })
        };
        Ok((0..).zip(&placement).filter_map(row).collect())
    }

    /// Has partitions go to another node of their database; a task does it.
    ///
    /// # Errors
    /// When there is no such database, partition or node, the database or its instance is not ACTIVE, or
    /// another database's partitions move; when nothing would move, or a node would keep no partition.
    pub(crate) fn begin_move(
        &self,
        writer: &Writer<'_>,
        (id, db_name): (&InstanceId, &DbName),
        partitions: &BTreeSet<u16>,
        node: u16,
    ) -> Result<(TaskId, Instance), ControlError> {
        let instance = found(writer, id)?;
        let database = require_database(writer, id, db_name)?;
        let before = placement(writer, id, &database)?;
        if instance.status != ObjectStatus::Active {
            let detail = format!("The instance is {}.", instance.status);
            return Err(ApiError::instance_status().with_detail(&detail).into());
        }
        require_active_database(writer, id, db_name)?;
        if let Some(other) = spread_in_change(writer, id, db_name)? {
            let detail = format!(
                "Nodes are made or removed for database {}, or its partitions move ({}).",
                other.db_name, other.status
            );
            return Err(ApiError::instance_status().with_detail(&detail).into());
        }
        let after = moved(&before, database.node_number, partitions, node)?;
        writer.set_database_status(id, db_name, ObjectStatus::Append)?;
        let task = NewTask::<MovePartitions> {
            account_id: instance.account_id,
            instance_id: Some(id.clone()),
            db_name: Some(db_name.clone()),
            action: ACTION,
            params: MovePartitionsParams {
                instance_id: id.clone(),
                db_name: db_name.clone(),
                node_number: database.node_number,
                before,
                after,
            },
            trace: None,
        };
        Ok((Tasks::enqueue(writer, &task)?, instance))
    }
}

fn found(reader: &Reader<'_>, id: &InstanceId) -> Result<Instance, ControlError> {
    let instance = reader.instance(id)?;
    instance.ok_or_else(|| ApiError::instance_not_found().into())
}

/// Where the partitions of a database are.
///
/// # Errors
/// `OperationDenied.DBInstanceType` when it has one node.
fn placement(
    reader: &Reader<'_>,
    id: &InstanceId,
    database: &Database,
) -> Result<Vec<u16>, ControlError> {
    let placement = reader.partitions(id)?.remove(&database.db_name);
    placement.filter(|_| is_spread(database)).ok_or_else(|| {
        let name = &database.db_name;
        let detail = format!("Database {name} has one node, so its partitions have no other.");
        ApiError::instance_type().with_detail(&detail).into()
    })
}

fn owned(placement: &[u16], number: u16) -> Vec<u16> {
    let of_node = (0..).zip(placement).filter(|(_, its)| **its == number);
    of_node.map(|(partition, _)| partition).collect()
}

/// Where partitions are when some of them have moved.
///
/// # Errors
/// `InvalidParameter`, naming what is wrong.
fn moved(
    before: &[u16],
    node_number: u32,
    partitions: &BTreeSet<u16>,
    node: u16,
) -> Result<Vec<u16>, ControlError> {
    let refused = |parameter: &str, detail: String| {
        let error = ApiError::invalid_parameter(parameter);
        ControlError::from(error.with_detail(&detail))
    };
    if u32::from(node) >= node_number {
        let last = node_number - 1;
        let detail = format!("The database has no node {node}: its nodes are 0 to {last}.");
        return Err(refused("node", detail));
    }
    let last = before.len() - 1;
    if let Some(unknown) = partitions.iter().find(|it| usize::from(**it) > last) {
        let detail = format!("There is no partition {unknown}: they are 0 to {last}.");
        return Err(refused("partition", detail));
    }
    let mut after = before.to_vec();
    for partition in partitions {
        after[usize::from(*partition)] = node;
    }
    if after == before {
        let detail = format!("Nothing has to move: node {node} has it already.");
        return Err(refused("partition", detail));
    }
    let left = before.iter().find(|node| !after.contains(node));
    match left {
        Some(left) => Err(refused(
            "partition",
            format!(
                "Node {left} would have no partition left, and each has one at least: \
                 ModifyDatabaseNodesNumber removes nodes."
            ),
        )),
        None => Ok(after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(partitions: &[u16], node: u16) -> Result<Vec<u16>, String> {
        let partitions = partitions.iter().copied().collect();
        let moved = moved(&[0, 1, 0, 1], 2, &partitions, node);
        moved.map_err(|error| error.api.to_string())
    }

    #[test]
    fn partitions_go_where_they_shall() {
        assert_eq!(told(&[0], 1).expect("moved"), [1, 1, 0, 1]);
        assert_eq!(told(&[1, 2], 0).expect("moved"), [0, 0, 0, 1]);
        for (partitions, node, what) in [
            (&[4][..], 1, "no partition 4"),
            (&[0], 2, "no node 2"),
            (&[0, 2], 0, "Nothing has to move"),
            (&[0, 2], 1, "Node 0 would have no partition left"),
        ] {
            let error = told(partitions, node).expect_err(what);
            assert!(error.contains(what), "{error}");
        }
    }
}
