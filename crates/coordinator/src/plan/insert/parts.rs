//! What each node gets of the rows.

use std::collections::BTreeMap;

use openpeta_sql_route::KeyValue;

use super::{InsertPlan, Place};
use crate::topology::Topology;

/// What one node gets of an [`InsertPlan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The node.
    pub node: u16,
    /// Its statement.
    pub statement: Vec<u8>,
    /// Which rows it has, by their place in the statement.
    pub rows: Vec<usize>,
    /// How many of them are in which partition; none for a table that is whole on each node.
    pub partitions: BTreeMap<u16, u64>,
}

impl InsertPlan {
    /// How many ids its rows are to get.
    #[must_use]
    pub fn ids(&self) -> u64 {
        self.rows.iter().filter(|row| row.id).count() as u64
    }

    /// Whether each node that it runs on makes the same of it, where all nodes must.
    #[must_use]
    pub fn is_same_everywhere(&self) -> bool {
        self.table.key().is_some() || !self.needs.random
    }

    /// How many rows it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What each node gets, when the rows get ids from `first` on.
    #[must_use]
    pub fn parts(&self, first: u64, topology: &Topology) -> Vec<Part> {
        let mut id = first;
        let mut parts: BTreeMap<u16, Part> = BTreeMap::new();
        for (number, row) in self.rows.iter().enumerate() {
            let mut text = row.before.clone();
            let own = id;
            if row.id {
                text.extend_from_slice(id.to_string().as_bytes());
                id += 1;
            }
            text.extend_from_slice(&row.after);
            let partition = match row.place {
                Place::Partition(partition) => Some(partition),
                Place::Everywhere => None,
                Place::OfId => self.partition_of_id(own, topology),
            };
            let nodes = match (row.place, partition) {
                (Place::Everywhere, _) => topology.nodes_of(&self.table.schema),
                (_, partition) => {
                    let schema = &self.table.schema;
                    let node = partition.and_then(|it| topology.node_of(schema, it));
                    vec![node.unwrap_or(Topology::HOME)]
                }
            };
            for node in nodes {
                let part = parts.entry(node).or_insert_with(|| Part {
                    node,
                    statement: self.head.clone(),
                    rows: Vec::new(),
                    partitions: BTreeMap::new(),
                });
                if let Some(partition) = partition {
                    *part.partitions.entry(partition).or_default() += 1;
                }
                if !part.rows.is_empty() {
                    part.statement.push(b',');
                }
                part.statement.extend_from_slice(&text);
                part.rows.push(number);
            }
        }
        let mut parts: Vec<_> = parts.into_values().collect();
        for part in &mut parts {
            if !self.tail.is_empty() {
                part.statement.push(b' ');
                part.statement.extend_from_slice(&self.tail);
            }
        }
        parts
    }

    fn partition_of_id(&self, id: u64, topology: &Topology) -> Option<u16> {
        let value = KeyValue::Integer(id.into());
        let partitions = topology.partitions(&self.table.schema)?;
        self.table.key()?.partition(&value, partitions)
    }
}
