//! Locks of instances: why an instance refuses changes through the API and writes through the
//! gateway. The store says it; this carries it out on the node and in the gateway.

use openpeta_store::NodeState;
use openpeta_types::InstanceId;

use crate::ControlError;
use crate::parts::Parts;

impl Parts {
    /// Makes node and gateway follow the lock that the store has. May be repeated, and several
    /// may do it at once.
    ///
    /// # Errors
    /// [`ControlError`] when the node cannot be told; whoever changed the lock tries again, and
    /// the next start of the node brings it along.
    pub(crate) async fn enforce_lock(&self, id: &InstanceId) -> Result<(), ControlError> {
        // Somebody may change the lock while the node is told of it, and have told it before.
        while let Some(read_only) = self.is_locked(id)? {
            self.set_read_only(id, read_only).await?;
            if self.is_locked(id)? == Some(read_only) {
                break;
            }
        }
        self.publish(id)
    }

    /// Whether an instance is locked; `None` when there is none.
    fn is_locked(&self, id: &InstanceId) -> Result<Option<bool>, ControlError> {
        let instance = self.store.read(|reader| reader.instance(id))?;
        Ok(instance.map(|instance| instance.lock_mode.is_locked()))
    }

    async fn set_read_only(&self, id: &InstanceId, read_only: bool) -> Result<(), ControlError> {
        let nodes = self.store.read(|reader| reader.nodes_of(id))?;
        for node in nodes {
            if node.state == NodeState::Running {
                let set = self.engine.set_read_only(&node.node_id, read_only).await;
                set.map_err(ControlError::unavailable)?;
            }
        }
        Ok(())
    }
}
