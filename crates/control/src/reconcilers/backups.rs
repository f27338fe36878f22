//! Backups are taken when their policies say so, go when their time is over, and are proven now
//! and then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::ControlError;
use crate::billing::SteadyClock;
use crate::parts::Parts;

/// Between two proofs that this process begins, whatever became of the first.
const BETWEEN_PROOFS: Duration = Duration::from_secs(3_600);

/// What must be remembered between two rounds.
pub(crate) struct Backups {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    clock: SteadyClock,
    /// When a proof was begun, by the clock that cannot be set.
    proof_begun: Option<Duration>,
}

impl Default for Backups {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            state: Mutex::default(),
        }
    }
}

impl Backups {
    /// One round, by the clocks of the machine.
    pub(crate) async fn reconcile(self: Arc<Self>, parts: Arc<Parts>) -> Result<(), ControlError> {
        self.round(&parts, Timestamp::now(), self.started.elapsed())
            .await
    }

    /// One round at a time. `elapsed` is what a clock says that cannot be set.
    pub(crate) async fn round(
        &self,
        parts: &Parts,
        now: Timestamp,
        elapsed: Duration,
    ) -> Result<(), ControlError> {
        let is_proven = self.with_state(|state| {
            state.clock.look(now, elapsed);
            state.clock.is_proven()
        });
        parts.begin_due_backups(now)?;
        parts.release_copies()?;
        self.with_state(|state| state.prove(parts, now, elapsed))?;
        // A clock that was set to next year must not take all the sets.
        if is_proven && !parts.is_recovering() {
            parts.expire_backups(now).await?;
            parts.purge_recycled(now).await?;
            parts.release_replaced(now)?;
        }
        Ok(())
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// Has a set proven if it is time to.
    fn prove(
        &mut self,
        parts: &Parts,
        now: Timestamp,
        elapsed: Duration,
    ) -> Result<(), ControlError> {
        let is_early = |begun: Duration| elapsed.saturating_sub(begun) < BETWEEN_PROOFS;
        if self.proof_begun.is_some_and(is_early) {
            return Ok(());
        }
        let every = parts.config.backup.drill_interval();
        if parts.begin_due_verification(every, now)?.is_some() {
            self.proof_begun = Some(elapsed);
        }
        Ok(())
    }
}
