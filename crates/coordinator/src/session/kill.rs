//! `KILL` of sessions whose statements run on several nodes.

use super::{Failure, Session};
use crate::plan::control::Kill;

impl Session {
    /// Home has been told to kill; if it did, so do the other nodes.
    pub(super) async fn killed(&mut self, kill: Kill, done: bool) {
        if done {
            let instance = std::sync::Arc::clone(&self.instance);
            instance
                .end_session(kill.session, kill.statement_alone)
                .await;
        }
    }

    /// COM_PROCESS_KILL.
    pub(super) async fn process_kill(&mut self, command: &[u8]) -> Result<(), Failure> {
        self.relay(command).await?;
        let id = command.get(1..).and_then(|id| id.first_chunk().copied());
        if let Some(id) = id {
            let kill = Kill {
                session: u32::from_le_bytes(id),
                statement_alone: false,
            };
            self.killed(kill, self.relayed_error.is_none()).await;
        }
        Ok(())
    }
}
