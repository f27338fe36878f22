//! Which nodes an instance has, and which of its databases are on each.
//!
//! Nodes have numbers from 0 on. Number 0 has every database; one that was ordered with n nodes is
//! on the first n. Its rows are spread over partitions, which are what is moved between nodes.

use std::collections::{BTreeMap, BTreeSet};

use openpeta_rpc_api::ApiError;
use openpeta_store::{Database, Instance, Node, NodeState, Reader, Writer};
use openpeta_types::route::Sharding;
use openpeta_types::{InstanceId, NodeId, NodeSettings, NodeSpec, ObjectStatus};
use serde::{Deserialize, Serialize};

use crate::parts::Parts;
use crate::{ControlError, random};

/// Partitions that a database has for each node that it was ordered with.
const PARTITIONS_PER_NODE: u32 = 8;

/// Whether a database is on the node of that number.
pub(crate) fn is_on(database: &Database, number: u16) -> bool {
    number == 0 || u32::from(number) < database.node_number
}

/// Whether a database is spread over several nodes.
pub(crate) fn is_spread(database: &Database) -> bool {
    database.node_number > 1
}

/// Which node each partition of a new database is on.
pub(crate) fn first_placement(node_number: u32) -> Vec<u16> {
    let nodes = 0..u16::try_from(node_number).unwrap_or(u16::MAX);
    nodes
        .cycle()
        .take((PARTITIONS_PER_NODE * node_number) as usize)
        .collect()
}

/// Refuses what cannot be done yet with a database that is spread over nodes.
///
/// # Errors
/// `OperationDenied.DBInstanceType`.
pub(crate) fn require_whole(database: &Database, what: &str) -> Result<(), ControlError> {
    if !is_spread(database) {
        return Ok(());
    }
    let name = &database.db_name;
    let number = database.node_number;
    let detail = format!(
        "Database {name} is spread over {number} nodes: {what} is not available for it yet."
    );
    Err(ApiError::instance_type().with_detail(&detail).into())
}

/// A node that an order added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrderedNode {
    pub(crate) node_id: NodeId,
    /// It stood ready, started and empty.
    pub(crate) is_spare: bool,
}

/// What nodes are ordered for.
pub(crate) struct NodeOrder<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) spec: &'a NodeSpec,
    pub(crate) settings: &'a NodeSettings,
    pub(crate) now: jiff::Timestamp,
}

impl NodeOrder<'_> {
    /// Writes that the instance has a node of that number: a started spare one if there is one,
    /// else a new one.
    pub(crate) fn place(
        &self,
        writer: &Writer<'_>,
        number: u16,
    ) -> Result<OrderedNode, ControlError> {
        let ready = |node: &Node| node.state == NodeState::Running;
        let spare = writer.spare_nodes()?.into_iter().find(ready);
        let ordered = OrderedNode {
            is_spare: spare.is_some(),
            node_id: match spare {
                Some(spare) => spare.node_id,
                None => random::node_id()?,
            },
        };
        let node = Node {
            node_id: ordered.node_id.clone(),
            instance_id: Some(self.instance.instance_id.clone()),
            number,
            node_spec: Some(self.spec.clone()),
            settings: self.settings.clone(),
            state: NodeState::Creating,
            restarts: 0,
            created_at: self.now,
        };
        match ordered.is_spare {
            true => writer.update_node(&node)?,
            false => writer.insert_node(&node)?,
        }
        Ok(ordered)
    }
}

impl Parts {
    /// The nodes that serve an instance, by number; none when there is no such instance.
    pub(crate) fn nodes_of(&self, id: &InstanceId) -> Result<Vec<Node>, ControlError> {
        self.store.read(|reader| match reader.instance(id)? {
            Some(instance) => Ok(reader.serving_nodes(&instance)?),
            None => Ok(Vec::new()),
        })
    }

    /// How the rows of an instance are spread; `None` when every database is whole on one node.
    pub(crate) fn sharding(
        &self,
        reader: &Reader<'_>,
        instance: &Instance,
    ) -> Result<Option<Sharding>, ControlError> {
        let partitions = reader.partitions(&instance.instance_id)?;
        let Some(last) = partitions.values().flatten().max() else {
            return Ok(None);
        };
        let sockets = self.gateway.coordinator_sockets();
        let sockets =
            sockets.ok_or_else(|| ControlError::internal("there is no coordinator of nodes"))?;
        let serving = match instance.status {
            // All of them are to go, and are asked for what they have until they do.
            ObjectStatus::Delete => reader.nodes_of(&instance.instance_id)?,
            _ => reader.serving_nodes(instance)?,
        };
        let mut nodes = Vec::new();
        for number in 0..=*last {
            let node = serving.iter().find(|node| node.number == number);
            let node = node.ok_or_else(|| {
                ControlError::internal(format!("the instance has no node {number}"))
            })?;
            let socket = self.engine.socket_path(&node.node_id);
            nodes.push(socket.map_err(ControlError::internal)?);
        }
        let (mut foreign, mut moving) = (BTreeMap::new(), BTreeSet::new());
        for (name, its) in reader.moving_partitions(&instance.instance_id)? {
            if !its.foreign.is_empty() {
                foreign.insert(name.as_str().to_owned(), its.foreign);
            }
            if its.is_moving {
                moving.insert(name.as_str().to_owned());
            }
        }
        let databases: BTreeMap<_, _> = partitions
            .into_iter()
            .map(|(name, nodes)| (name.as_str().to_owned(), nodes))
            .collect();
        Ok(Some(Sharding {
            foreign,
            moving,
            coordinator_socket: sockets.join(format!("{}.sock", instance.instance_id)),
            nodes,
            databases,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_dealt_out_to_the_nodes() {
        assert_eq!(first_placement(2), [0, 1].repeat(8));
        let largest = first_placement(128);
        assert_eq!((largest.len(), largest[1023]), (1024, 127));
    }
}
