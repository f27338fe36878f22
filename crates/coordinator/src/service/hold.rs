//! Holding: for a moment nobody uses distributed tables, so that partitions can go over to another node.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Instance;
use super::recovery::listed;

/// How long transactions that have to end may take for that.
const GRACE: Duration = Duration::from_secs(1);
/// How long it may take until what was committed is committed everywhere.
const SETTLED: Duration = Duration::from_secs(1);

/// Why an instance was not held. Nothing has changed then, and trying again later helps in all cases but
/// that it is not served.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Nobody coordinates it.
    #[error("the instance has no coordinator")]
    NotServed,
    /// Sessions use distributed tables and do not end.
    #[error("sessions use the tables whose partitions shall move")]
    Used,
    /// A transaction is not carried out on a node.
    #[error("a transaction is in doubt on a node")]
    InDoubt,
}

impl Instance {
    /// Whether definitions are under way, or were cut off and cannot be brought to their end. Who has
    /// published a route that says that partitions move waits until there are none.
    pub async fn is_defining(&self) -> bool {
        self.finish_definitions().await.is_err() || self.definitions().try_write_owned().is_err()
    }

    /// Does something while nobody uses distributed tables, nothing is prepared on any node and nothing
    /// is in doubt. Who wants to use one waits meanwhile. Transactions that are open are waited for;
    /// those that are still open after `patience` end with an error if they are `called`, and else it is
    /// given up.
    ///
    /// # Errors
    /// [`HoldError`]; the work was not begun then.
    pub async fn hold<T>(
        &self,
        patience: Duration,
        called: bool,
        work: impl Future<Output = T>,
    ) -> Result<T, HoldError> {
        let nodes: Vec<u16> = (0..self.topology().len()).collect();
        let mut connections = Vec::new();
        for node in &nodes {
            let connection = self.connect(*node).await;
            connections.push(connection.map_err(|_| HoldError::InDoubt)?);
        }
        let call = called.then_some(GRACE);
        let closed = self.passages().close(patience, call).await;
        let _closed = closed.ok_or(HoldError::Used)?;
        let settled = async {
            let gate = Arc::clone(&self.gate()).write_owned().await;
            let alone = self.alone(&nodes).await.ok()?;
            for connection in &mut connections {
                if !listed(connection).await.ok()?.is_empty() {
                    self.doubt().look();
                    return None;
                }
            }
            Some((gate, alone))
        };
        let settled = tokio::time::timeout(SETTLED, settled).await;
        let _settled = settled.ok().flatten().ok_or(HoldError::InDoubt)?;
        Ok(work.await)
    }
}
