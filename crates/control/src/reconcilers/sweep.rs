//! Leftovers: directories and processes of nodes, and files of backup sets, that the store does
//! not know.

use std::collections::HashSet;
use std::sync::Arc;

use crate::ControlError;
use crate::parts::Parts;

/// Removes what belongs to no node of the store.
///
/// A node's row is written before anything of it exists and deleted after everything of it is
/// gone. So what is listed first and then looked up in the store is a leftover if it is not
/// there.
pub(super) async fn reconcile(parts: Arc<Parts>) -> Result<(), ControlError> {
    if parts.is_recovering() {
        return parts.adopt_sets();
    }
    let directories = parts
        .engine
        .list_nodes()
        .map_err(ControlError::unavailable)?;
    let processes = parts
        .engine
        .list_processes()
        .map_err(ControlError::unavailable)?;
    let known: HashSet<_> = parts
        .store
        .read(|reader| reader.nodes())?
        .into_iter()
        .map(|node| node.node_id)
        .collect();
    let found = directories
        .into_iter()
        .map(|entry| entry.node)
        .chain(processes.into_iter().map(|process| process.node));
    let leftovers: HashSet<_> = found.filter(|node| !known.contains(node)).collect();
    for node in leftovers {
        tracing::warn!(%node, "removing a leftover node");
        parts
            .engine
            .destroy_node(&node)
            .await
            .map_err(ControlError::unavailable)?;
    }
    parts.sweep_backups().await
}
