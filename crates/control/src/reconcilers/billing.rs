//! Billing: what is used is on record, what is not paid for is locked, what has expired long ago
//! is released.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use openpeta_types::InstanceId;

use crate::ControlError;
use crate::billing::SteadyClock;
use crate::parts::Parts;

/// What must be remembered between two rounds.
pub(crate) struct Billing {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    clock: SteadyClock,
    /// The hour up to which usage is on record.
    metered: Option<i64>,
    /// Instances whose nodes could not be told of their lock yet.
    unenforced: BTreeSet<InstanceId>,
}

impl Default for Billing {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            state: Mutex::default(),
        }
    }
}

impl Billing {
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
        self.with_state(|state| {
            state.clock.look(now, elapsed);
            state.meter(parts, now)?;
            let changed = parts.update_locks(None, now)?;
            state.unenforced.extend(changed);
            if state.clock.is_proven() && !parts.is_recovering() {
                parts.release_expired(now)?;
            }
            Ok::<_, ControlError>(())
        })?;
        self.enforce(parts).await;
        Ok(())
    }

    /// Makes nodes and gateway follow changed locks, one after the other.
    async fn enforce(&self, parts: &Parts) {
        let ids = self.with_state(|state| std::mem::take(&mut state.unenforced));
        for id in ids {
            if let Err(error) = parts.enforce_lock(&id).await {
                tracing::warn!(instance = %id, context = error.context, "the node could not be told of its lock; it is told again");
                self.with_state(|state| state.unenforced.insert(id));
            }
        }
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// Records usage when a new hour has begun, by a clock that is believed.
    fn meter(&mut self, parts: &Parts, now: Timestamp) -> Result<(), ControlError> {
        let hour = now.as_second().div_euclid(3_600);
        if self.metered == Some(hour) || !self.clock.is_believed() {
            return Ok(());
        }
        parts.meter(now)?;
        self.metered = Some(hour);
        Ok(())
    }
}
