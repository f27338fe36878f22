//! Leaving: the nodes of an instance are about to serve another one. Nobody is let in any more, what is half
//! done on them is brought to its end, and then nothing of it is remembered under the instance's name.

use std::sync::Arc;
use std::time::Duration;

use openpeta_types::route::InstanceRoute;
use tokio::time::Instant;

use super::{CoordinatorError, Coordinators, Instance, recovery};

/// How often it is looked whether sessions have ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Why an instance's nodes could not be left. Nobody is let in then, nothing is lost, and trying again may
/// help.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// Sessions do not end.
    #[error("sessions over its nodes have not ended after {0:?}")]
    Sessions(Duration),
    /// A transaction or a definition is not carried out on a node, because that does not answer or another
    /// process looks after it.
    #[error("what is in doubt on its nodes is not settled after {0:?}")]
    InDoubt(Duration),
    /// What was written down cannot be read or removed.
    #[error(transparent)]
    Coordinator(#[from] CoordinatorError),
}

impl Coordinators {
    /// Lets nobody in to an instance any more, ends its sessions, brings all definitions and transactions
    /// to their end that were begun on the nodes of the route, and forgets them. Returns when no node
    /// has anything prepared, after `patience` at most.
    ///
    /// # Errors
    /// [`LeaveError`].
    pub async fn leave(
        &self,
        route: &Arc<InstanceRoute>,
        patience: Duration,
    ) -> Result<(), LeaveError> {
        let id = &route.instance_id;
        let end = Instant::now() + patience;
        self.withdraw(id);
        // Who has it may still decide on a transaction.
        loop {
            let open = self.withdrawn(id);
            if open.is_empty() {
                break;
            }
            for instance in &open {
                instance.sessions().end_all();
            }
            drop(open);
            if Instant::now() >= end {
                return Err(LeaveError::Sessions(patience));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let opened = Instance::open(Arc::clone(&self.config), route);
        let instance = opened.map_err(CoordinatorError::from)?;
        let settled = tokio::time::timeout_at(end, recovery::settle_all(&instance)).await;
        settled.map_err(|_| LeaveError::InDoubt(patience))?;
        drop(instance);
        Ok(self.remove_lives(id)?)
    }
}
