//! Nodes: `mariadbd` processes that are meant to exist.

use jiff::Timestamp;
use openpeta_types::{InstanceId, NodeId, NodeSettings, NodeSpec};
use rusqlite::params;

use crate::changes::Topic;
use crate::column::{Columns, P};
use crate::{Instance, Reader, StoreError, Writer, spelled};

const TABLE: &str = "nodes";

spelled!(
    /// What a node is meant to be; whether it is so is for the reconciler to find out.
    NodeState {
        /// Its data directory is being made.
        Creating = "creating",
        /// Its process runs.
        Running = "running",
        /// Its process does not run, its data is kept.
        Stopped = "stopped",
        /// Process and data are being removed.
        Destroying = "destroying",
        /// A task works with it, and removes it in the end; nobody else does anything to it.
        Scratch = "scratch",
    }
);

/// A database node. The row exists as long as there may be a process or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub node_id: NodeId,
    /// The instance that it serves; `None` for a spare one.
    pub instance_id: Option<InstanceId>,
    /// Which of the instance's nodes it is; 0 is the one that has every database.
    pub number: u16,
    /// The spec that it was made for; `None` for a spare one.
    pub node_spec: Option<NodeSpec>,
    /// What it gets.
    pub settings: NodeSettings,
    /// What it is meant to be.
    pub state: NodeState,
    /// How often its process was started again after it had ended unasked.
    pub restarts: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

fn read(columns: &mut Columns<'_, '_>) -> Result<Node, StoreError> {
    Ok(Node {
        node_id: columns.get()?,
        instance_id: columns.get()?,
        number: columns.get()?,
        node_spec: columns.get()?,
        settings: settings(&columns.get::<String>()?)
            .ok_or_else(|| StoreError::bad_row(TABLE, 4))?,
        state: columns.get()?,
        restarts: columns.get()?,
        created_at: columns.get()?,
    })
}

impl Reader<'_> {
    /// The node of that id.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn node(&self, node_id: &NodeId) -> Result<Option<Node>, StoreError> {
        self.one(
            TABLE,
            "SELECT node_id, instance_id, number, node_spec, settings, state, restarts,
                    created_at
             FROM nodes WHERE node_id = ?",
            [P(node_id)],
            read,
        )
    }

    /// All nodes, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        self.all(
            TABLE,
            "SELECT node_id, instance_id, number, node_spec, settings, state, restarts,
                    created_at
             FROM nodes ORDER BY created_at, node_id",
            [],
            read,
        )
    }

    /// The nodes of an instance by number; those of one number, of which only the one that the
    /// instance's row names serves it, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn nodes_of(&self, instance_id: &InstanceId) -> Result<Vec<Node>, StoreError> {
        self.all(
            TABLE,
            "SELECT node_id, instance_id, number, node_spec, settings, state, restarts,
                    created_at
             FROM nodes WHERE instance_id = ? ORDER BY number, created_at, node_id",
            [P(instance_id)],
            read,
        )
    }

    /// The nodes that serve an instance, by number: the one that its row names, and those that are
    /// further and do not go.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn serving_nodes(&self, instance: &Instance) -> Result<Vec<Node>, StoreError> {
        let mut nodes = self.nodes_of(&instance.instance_id)?;
        nodes.retain(|node| match node.number {
            0 => Some(&node.node_id) == instance.node_id.as_ref(),
            _ => node.state != NodeState::Destroying,
        });
        Ok(nodes)
    }

    /// The nodes that serve no instance yet and stand ready for one, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn spare_nodes(&self) -> Result<Vec<Node>, StoreError> {
        self.all(
            TABLE,
            "SELECT node_id, instance_id, number, node_spec, settings, state, restarts,
                    created_at
             FROM nodes WHERE instance_id IS NULL AND state <> 'scratch'
             ORDER BY created_at, node_id",
            [],
            read,
        )
    }
}

impl Writer<'_> {
    /// Adds a node.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken.
    pub fn insert_node(&self, node: &Node) -> Result<(), StoreError> {
        self.touch(Topic::Nodes);
        self.execute(
            "INSERT INTO nodes (node_id, instance_id, number, node_spec, settings, state,
                                restarts, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                P(&node.node_id),
                P(&node.instance_id),
                P(&node.number),
                P(&node.node_spec),
                settings_text(&node.settings),
                P(&node.state),
                P(&node.restarts),
                P(&node.created_at),
            ],
        )?;
        Ok(())
    }

    /// Replaces everything of a node but id and creation time.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn update_node(&self, node: &Node) -> Result<(), StoreError> {
        self.touch(Topic::Nodes);
        self.change(
            TABLE,
            "UPDATE nodes SET instance_id = ?2, number = ?3, node_spec = ?4, settings = ?5,
                              state = ?6, restarts = ?7
             WHERE node_id = ?1",
            params![
                P(&node.node_id),
                P(&node.instance_id),
                P(&node.number),
                P(&node.node_spec),
                settings_text(&node.settings),
                P(&node.state),
                P(&node.restarts),
            ],
        )
    }

    /// Sets what a node is meant to be.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_node_state(&self, node_id: &NodeId, state: NodeState) -> Result<(), StoreError> {
        self.touch(Topic::Nodes);
        self.change(
            TABLE,
            "UPDATE nodes SET state = ?2 WHERE node_id = ?1",
            params![P(node_id), P(&state)],
        )
    }

    /// Removes a node; the instance that it served has none from then on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete_node(&self, node_id: &NodeId) -> Result<(), StoreError> {
        self.touch(Topic::Nodes);
        self.change(TABLE, "DELETE FROM nodes WHERE node_id = ?", [P(node_id)])
    }
}

/// Settings as a column has them; `None` for a text that [`settings_text`] did not make.
pub(crate) fn settings(text: &str) -> Option<NodeSettings> {
    serde_json::from_str(text).ok()
}

/// Settings as a column keeps them.
pub(crate) fn settings_text(settings: &NodeSettings) -> String {
    serde_json::to_string(settings).expect("numbers by name are JSON")
}
