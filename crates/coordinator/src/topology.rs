//! Which nodes an instance has, and which partition is where.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use openpeta_sql_route::Partitions;
use openpeta_types::route::Sharding;

/// The nodes of an instance by number, and where the partitions of its databases are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    nodes: Vec<PathBuf>,
    databases: BTreeMap<String, Vec<u16>>,
    foreign: BTreeMap<String, Vec<u16>>,
    moving: BTreeSet<String>,
}

impl Topology {
    /// As the route has it.
    #[must_use]
    pub fn new(sharding: &Sharding) -> Self {
        Self {
            nodes: sharding.nodes.clone(),
            databases: sharding.databases.clone(),
            foreign: sharding.foreign.clone(),
            moving: sharding.moving.clone(),
        }
    }

    /// The number of the first node, which has all that is not distributed.
    pub const HOME: u16 = 0;

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> u16 {
        self.nodes.len().try_into().unwrap_or(u16::MAX)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The socket of a node.
    #[must_use]
    pub fn socket(&self, node: u16) -> Option<&Path> {
        self.nodes.get(usize::from(node)).map(PathBuf::as_path)
    }

    /// The databases that are spread over nodes.
    pub fn databases(&self) -> impl Iterator<Item = &str> {
        self.databases.keys().map(String::as_str)
    }

    /// The partitions of a database; `None` if it is not spread.
    #[must_use]
    pub fn partitions(&self, database: &str) -> Option<Partitions> {
        let count = self.databases.get(database)?.len();
        let count = NonZeroU16::new(count.try_into().ok()?)?;
        Some(Partitions::new(count))
    }

    /// The node that a partition of a database is on.
    #[must_use]
    pub fn node_of(&self, database: &str, partition: u16) -> Option<u16> {
        let nodes = self.databases.get(database)?;
        nodes.get(usize::from(partition)).copied()
    }

    /// Whether partitions of some database are being moved.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        !self.moving.is_empty()
    }

    /// Which partitions of a database each node has, if any may have rows of others: then these rows do
    /// not count. `None` when every row is where it belongs.
    #[must_use]
    pub fn owned(&self, database: &str) -> Option<BTreeMap<u16, Vec<u16>>> {
        if self.foreign.get(database)?.is_empty() {
            return None;
        }
        let mut owned: BTreeMap<u16, Vec<u16>> = BTreeMap::new();
        for node in self.nodes_of(database) {
            owned.insert(node, Vec::new());
        }
        for (partition, node) in (0..).zip(self.databases.get(database)?) {
            owned.entry(*node).or_default().push(partition);
        }
        Some(owned)
    }

    /// Whether a database has partitions, and so distributed tables.
    #[must_use]
    pub fn is_spread(&self, database: &str) -> bool {
        self.databases.contains_key(database)
    }

    /// The nodes that a database is on, in order. Home is always one of them.
    #[must_use]
    pub fn nodes_of(&self, database: &str) -> Vec<u16> {
        let spread = self.databases.get(database).into_iter().flatten();
        let nodes: BTreeSet<u16> = spread.copied().chain([Self::HOME]).collect();
        nodes.into_iter().collect()
    }
}
