//! What the control plane tells the gateway about an instance.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{InstanceId, Secret, Whitelist};

/// Everything that the gateway needs to let clients of one instance in.
#[derive(Clone, Debug)]
pub struct InstanceRoute {
    /// The instance.
    pub instance_id: InstanceId,
    /// Addresses that may connect; checked before the handshake.
    pub whitelist: Whitelist,
    /// Accounts by name.
    pub accounts: HashMap<String, AccountLogin>,
    /// Those of them that may ask the gateway about itself.
    pub super_accounts: HashSet<String>,
    /// Limits of the accounts that have any.
    pub limits: HashMap<String, AccountLimits>,
    /// Statements that take so long are slow; zero for none, `None` for what is configured.
    pub slow_threshold: Option<Duration>,
    /// Unix socket of the instance's node; with several, of the one that has every database.
    pub node_socket: PathBuf,
    /// How its rows are spread, when it has more than one node.
    pub sharding: Option<Sharding>,
    /// Sessions that may be open at once; one more is refused with error 1040.
    pub max_connections: u32,
    /// Why writes are refused, when they are; named in the error that a client sees.
    pub write_lock: Option<String>,
}

impl InstanceRoute {
    /// Where sessions go: to the node, or to what stands before several.
    #[must_use]
    pub fn session_socket(&self) -> &Path {
        self.sharding
            .as_ref()
            .map_or(&self.node_socket, |sharding| &sharding.coordinator_socket)
    }
}

/// How the rows of an instance are spread over its nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharding {
    /// Unix socket of the coordinator, which speaks the protocol of a node.
    pub coordinator_socket: PathBuf,
    /// Unix sockets of the nodes by number; the first is [`InstanceRoute::node_socket`].
    pub nodes: Vec<PathBuf>,
    /// The databases that are spread over several nodes: which node, by its number, each partition is
    /// on. A database that is not named is whole on the first node.
    pub databases: BTreeMap<String, Vec<u16>>,
    /// Nodes that may have rows of partitions which are another node's, by database.
    #[serde(default)]
    pub foreign: BTreeMap<String, Vec<u16>>,
    /// Databases whose partitions are being moved: their definitions stay as they are.
    #[serde(default)]
    pub moving: BTreeSet<String>,
}

/// How much an account may do at once; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountLimits {
    /// Sessions that may be open.
    pub connections: u32,
    /// Statements in a second.
    pub queries_per_second: u32,
}

/// How a client proves to be an account, and how the gateway proves it to the node.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountLogin {
    /// SHA1(SHA1(password)), for `mysql_native_password`.
    pub native: [u8; 20],
    /// SHA256(SHA256(password)), for `caching_sha2_password`.
    pub sha2: [u8; 32],
    /// The account's password on the node, random and known to no client.
    pub backend_password: Secret,
}

impl std::fmt::Debug for AccountLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccountLogin(***)")
    }
}
