//! Standing still: for a moment no transaction over nodes is being carried out and no definition is
//! half done, so that whoever looks at each node meanwhile sees one moment of all.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Instance;
use super::recovery::listed;
use crate::node::NodeError;

/// Why an instance did not stand still, or not for long enough. Trying again later helps in all cases
/// but that it is not served.
#[derive(Debug, thiserror::Error)]
pub enum StandStillError {
    /// Nobody coordinates it.
    #[error("the instance has no coordinator")]
    NotServed,
    /// Tables are being defined, which takes as long as it takes.
    #[error("tables are being defined")]
    Defining,
    /// A transaction is not carried out on a node, because that does not answer or nobody looks after it.
    #[error("a transaction is in doubt on a node")]
    InDoubt,
    /// A node is not reached.
    #[error("node {node} is not reached")]
    Node {
        /// Its number.
        node: u16,
        /// Why not.
        #[source]
        source: NodeError,
    },
    /// Clients have waited for long enough.
    #[error("it took longer than {0:?}")]
    TooLong(Duration),
}

impl Instance {
    /// Does something while no transaction over nodes is between its first vote and its end, nothing is in
    /// doubt on the nodes of a database, and no definition is half done if it is over several. Commits over
    /// nodes wait meanwhile, so it is given up after `limit`; what goes to one node alone goes on.
    ///
    /// # Errors
    /// [`StandStillError`]; the work may have been begun then.
    pub async fn stand_still<T>(
        &self,
        database: &str,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, StandStillError> {
        let in_doubt = |_| StandStillError::InDoubt;
        // A definition is half done on several nodes only.
        let is_spread = self.topology().is_spread(database);
        if is_spread {
            let finished = self.finish_definitions().await;
            finished.map_err(|_| StandStillError::Defining)?;
        }
        let nodes = self.topology().nodes_of(database);
        self.doubt().wait(&nodes).await.map_err(in_doubt)?;
        // Connecting takes longer than all that follows.
        let mut connections = Vec::new();
        for node in nodes.iter().copied() {
            let lost = |source| StandStillError::Node { node, source };
            connections.push((node, self.connect(node).await.map_err(lost)?));
        }
        // Nobody must queue behind us for as long as a definition takes.
        let _defining = match is_spread {
            true => {
                let defining = self.definitions().try_write_owned();
                Some(defining.map_err(|_| StandStillError::Defining)?)
            }
            false => None,
        };
        let still = async {
            let _gate = Arc::clone(&self.gate()).write_owned().await;
            for (node, connection) in &mut connections {
                let lost = |source| StandStillError::Node {
                    node: *node,
                    source,
                };
                // One of a process that ends after a hand-over does not know our gate.
                if !listed(connection).await.map_err(lost)?.is_empty() {
                    self.doubt().look();
                    return Err(StandStillError::InDoubt);
                }
            }
            if !self.doubt().is_settled(&nodes) {
                return Err(StandStillError::InDoubt);
            }
            Ok(work.await)
        };
        let done = tokio::time::timeout(limit, still).await;
        done.map_err(|_| StandStillError::TooLong(limit))?
    }
}
