//! One lock per node: its directory and process are changed by one operation at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openpeta_types::NodeId;
use tokio::sync::OwnedMutexGuard;

/// The locks of the nodes that were used so far.
#[derive(Debug, Default)]
pub(crate) struct Locks(Mutex<HashMap<NodeId, Arc<tokio::sync::Mutex<()>>>>);

impl Locks {
    /// Waits until the node is free and takes it.
    pub(crate) async fn lock(&self, node: &NodeId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.all();
            Arc::clone(locks.entry(node.clone()).or_default())
        };
        lock.lock_owned().await
    }

    /// Drops the lock of a node that is gone, unless somebody is waiting for it.
    pub(crate) fn forget(&self, node: &NodeId) {
        let mut locks = self.all();
        if locks
            .get(node)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            locks.remove(node);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<NodeId, Arc<tokio::sync::Mutex<()>>>> {
        // Nothing that could panic runs while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
