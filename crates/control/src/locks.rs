//! Locks of instances: why an instance refuses changes through the API and writes through the
//! gateway. The store says it; this carries it out on the node and in the gateway.

use openpeta_store::{Instance, NodeState};

use crate::ControlError;
use crate::parts::Parts;

impl Parts {
    /// Makes node and gateway follow the lock that the store has. May be repeated.
    ///
    /// # Errors
    /// [`ControlError`] when the node cannot be told; the reconciler tries again.
    pub(crate) async fn enforce_lock(&self, instance: &Instance) -> Result<(), ControlError> {
        if let Some(node_id) = &instance.node_id {
            let node = self.store.read(|reader| reader.node(node_id))?;
            if node.is_some_and(|node| node.state == NodeState::Running) {
                let read_only = instance.lock_mode.is_locked();
                let set = self.engine.set_read_only(node_id, read_only).await;
                set.map_err(ControlError::unavailable)?;
            }
        }
        self.publish(&instance.instance_id)
    }
}
