//! `openpeta admin node …`

use openpeta_store::Node;
use openpeta_types::format_time;
use serde_json::{Value, json};

use crate::{Control, ControlError};

impl Control {
    pub(super) async fn node_list(&self) -> Result<Value, ControlError> {
        let nodes = self.parts.store.read(|reader| reader.nodes())?;
        let mut rows = Vec::with_capacity(nodes.len());
        for node in &nodes {
            rows.push(self.node_row(node).await);
        }
        Ok(Value::Array(rows))
    }

    /// What a node is meant to be, and what it is; what cannot be measured is null.
    async fn node_row(&self, node: &Node) -> Value {
        let engine = &self.parts.engine;
        let process = engine.running(&node.node_id).ok().flatten();
        let disk = engine.disk(&node.node_id).await.ok();
        let usage = disk.map(|disk| disk.usage);
        json!({
            "node_id": node.node_id.as_str(),
            "instance_id": node.instance_id.as_ref().map(|id| id.as_str()),
            "number": node.number,
            "node_spec": node.node_spec.as_ref().map(|spec| spec.as_str()),
            "state": node.state.as_str(),
            "pid": process.map(|process| process.pid),
            "restarts": node.restarts,
            "memory_bytes": process.and_then(|_| engine.memory(&node.node_id).ok()),
            "data_bytes": usage.map(|usage| usage.data_bytes),
            "binlog_bytes": usage.map(|usage| usage.binlog_bytes),
            "disk_quota_bytes": node.settings.disk_quota_bytes,
            "created_at": format_time(node.created_at),
        })
    }
}
