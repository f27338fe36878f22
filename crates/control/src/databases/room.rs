//! Whether what is on disk fits when a node becomes smaller. An instance that has more than it may
//! is locked for writes, out of which clients do not get by themselves; so it is refused before.

use std::collections::BTreeMap;

use openpeta_engine::NodeDisk;
use openpeta_rpc_api::ApiError;
use openpeta_store::{Database, Reader};
use openpeta_types::{InstanceId, NodeId, ObjectStatus};

use crate::instance_nodes::is_on;
use crate::node_size::node_settings;
use crate::parts::Parts;
use crate::{Control, ControlError, MutatingCall};

/// What an instance has on disk, by the numbers of its nodes.
pub(crate) struct Measured(BTreeMap<u16, OnNode>);

/// What a node has on disk.
struct OnNode {
    /// Without binary logs, which are purged when they are in the way.
    bytes: u64,
    by_database: BTreeMap<String, u64>,
}

impl Control {
    /// What the instance has on disk; `None` when that cannot be measured. Nothing is measured
    /// for those who may not know.
    ///
    /// # Errors
    /// What keeps the caller from changing the instance at all.
    pub(super) async fn measured(
        &self,
        call: &MutatingCall,
        id: &InstanceId,
    ) -> Result<Option<Measured>, ControlError> {
        let instance = self
            .parts
            .store
            .read(|reader| self.active_instance(reader, &call.caller, call.action, id))?;
        let nodes = self
            .parts
            .store
            .read(|reader| reader.serving_nodes(&instance))?;
        let mut measured = BTreeMap::new();
        for node in nodes {
            match measure(&self.parts, &node.node_id).await {
                Some(its) => measured.insert(node.number, its),
                None => return Ok(None),
            };
        }
        Ok(Some(Measured(measured)))
    }
}

async fn measure(parts: &Parts, node: &NodeId) -> Option<OnNode> {
    match parts.engine.disk(node).await {
        Ok(NodeDisk { usage, databases }) => Some(OnNode {
            bytes: usage.data_bytes + usage.other_bytes,
            by_database: databases,
        }),
        Err(error) => {
            tracing::warn!(%node, %error, "cannot measure disk space");
            None
        }
    }
}

impl Measured {
    /// Refuses what would leave less disk than is in use. `stays` says which databases stay and
    /// may set right what they get; those that are being dropped do not count.
    ///
    /// # Errors
    /// `OperationDenied.DBInstanceStorageReduce`, with both numbers.
    pub(super) fn check_room(
        &self,
        reader: &Reader<'_>,
        id: &InstanceId,
        stays: impl Fn(&mut Database) -> bool,
    ) -> Result<(), ControlError> {
        let all = reader.databases(id)?;
        for (number, on_node) in &self.0 {
            let there = all.iter().filter(|its| is_on(its, *number)).cloned();
            on_node.check_room(there.collect(), &stays)?;
        }
        Ok(())
    }
}

impl OnNode {
    fn check_room(
        &self,
        all: Vec<Database>,
        stays: impl Fn(&mut Database) -> bool,
    ) -> Result<(), ControlError> {
        let mut databases = all.clone();
        databases.retain(|database| database.status != ObjectStatus::Delete);
        let had = quota(&databases);
        let mut gone = all;
        databases.retain_mut(|database| stays(database));
        gone.retain(|database| {
            databases
                .iter()
                .all(|stays| stays.db_name != database.db_name)
        });
        // A further node goes with the last database on it.
        if databases.is_empty() {
            return Ok(());
        }
        let size = |database: &Database| self.by_database.get(database.db_name.as_str());
        let freed: u64 = gone.iter().filter_map(size).sum();
        let (used, quota) = (self.bytes.saturating_sub(freed), quota(&databases));
        if quota < had && used > quota {
            let detail = format!("{used} bytes are in use, and there would be room for {quota}.");
            return Err(ApiError::storage_reduce().with_detail(&detail).into());
        }
        Ok(())
    }
}

fn quota(databases: &[Database]) -> u64 {
    node_settings(databases.iter().map(|database| &database.settings)).disk_quota_bytes
}
