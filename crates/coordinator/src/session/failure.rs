//! Why a statement, or a session, cannot go on.

use openpeta_mysql_wire::ErrPacket;

use crate::Refusal;
use crate::node::NodeError;

/// `ER_CONNECT_TO_FOREIGN_DATA_SOURCE`.
const NOT_REACHED: u16 = 1429;

/// Why a statement was not answered as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The statement failed; the session goes on.
    #[error("a statement failed: {}", String::from_utf8_lossy(&.0.message))]
    Statement(ErrPacket),
    /// A branch was not reached or was lost: the statement fails, and its transaction with it.
    #[error("node {node}")]
    Branch {
        /// Its number.
        node: u16,
        /// What happened.
        source: NodeError,
    },
    /// Home is lost, and the session with it.
    #[error("home")]
    Home(#[source] NodeError),
    /// The client has gone, or its connection cannot be used any more.
    #[error("the client has gone")]
    Client,
}

impl Failure {
    /// A failure of a node.
    #[must_use]
    pub fn of_node(node: u16, source: NodeError) -> Self {
        match node {
            crate::Topology::HOME => Self::Home(source),
            _ => Self::Branch { node, source },
        }
    }

    /// Of a statement that was sent: where it is a write that commits itself and the node was lost, nobody knows
    /// whether it was carried out, so the client is told neither.
    #[must_use]
    pub(super) fn behind_write(self, commits_itself: bool) -> Self {
        match self {
            Self::Branch { source, .. } if commits_itself => Self::Home(source),
            other => other,
        }
    }

    /// What the client is told, unless its session ends.
    #[must_use]
    pub fn packet(&self) -> Option<ErrPacket> {
        match self {
            Self::Statement(error) => Some(error.clone()),
            Self::Branch { node, source } => Some(match source {
                NodeError::Refused(error) => error.clone(),
                _ => ErrPacket::new(
                    NOT_REACHED,
                    b"HY000",
                    format!("OpenPeta: node-lost: node {node} of the instance does not answer"),
                ),
            }),
            Self::Home(_) | Self::Client => None,
        }
    }
}

impl From<ErrPacket> for Failure {
    fn from(error: ErrPacket) -> Self {
        Self::Statement(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Statement(refusal.packet().clone())
    }
}
