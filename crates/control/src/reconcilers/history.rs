//! Audit rows, tasks and usage records are kept for as long as the operator wants them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use openpeta_store::{StoreError, Writer};

use crate::ControlError;
use crate::billing::SteadyClock;
use crate::parts::Parts;

/// Rows that are looked at in one transaction.
const AT_ONCE: u32 = 500;

/// What must be remembered between two rounds.
pub(crate) struct History {
    started: Instant,
    clock: Mutex<SteadyClock>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            clock: Mutex::default(),
        }
    }
}

/// Removes some rows from before a time; how many.
type Prune = fn(&Writer<'_>, Timestamp, u32) -> Result<usize, StoreError>;

impl History {
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
        let is_proven = {
            let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
            clock.look(now, elapsed);
            clock.is_proven()
        };
        // A clock that was set to next year must not take what is of this one.
        if !is_proven || parts.is_recovering() {
            return Ok(());
        }
        let history = &parts.config.history;
        let kept: [(u32, Prune); 3] = [
            (history.audit_days, |writer, before, among| {
                writer.prune_audit(before, among)
            }),
            (history.task_days, |writer, before, among| {
                writer.prune_tasks(before, among)
            }),
            (history.usage_days, |writer, before, among| {
                writer.prune_usage(before, among)
            }),
        ];
        for (days, prune) in kept {
            let age = SignedDuration::from_hours(24 * i64::from(days));
            let Some(before) = now.checked_sub(age).ok().filter(|_| days > 0) else {
                continue;
            };
            while parts.store.write(|writer| prune(writer, before, AT_ONCE))? > 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use openpeta_store::AuditFilter;

    use super::*;
    use crate::ControlConfig;
    use crate::admin::protocol::AdminCommand;
    use crate::testing::{TestEngine, World};

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_old_goes_when_the_clock_is_known_to_go_evenly() {
        let engine = TestEngine::new().await;
        let mut config = ControlConfig::default();
        config.history.audit_days = 30;
        let world = World::configured(&engine, config);
        let rows = || {
            let rows = world
                .parts
                .store
                .read(|reader| reader.audit(&AuditFilter::default(), 10));
            rows.expect("the store works").len()
        };
        let make = AdminCommand::TenantCreate {
            name: "old".to_owned(),
        };
        world.control.admin(make, Timestamp::now()).await;
        let made = rows();
        assert!(made > 0);
        let history = History::default();
        let after = |seconds| {
            let days = SignedDuration::from_hours(24 * 31);
            Timestamp::now() + days + SignedDuration::from_secs(seconds)
        };
        let round = async |seconds: u32| {
            let elapsed = Duration::from_secs(seconds.into());
            let done = history.round(&world.parts, after(seconds.into()), elapsed);
            done.await.expect("the store works");
        };
        round(5).await;
        assert_eq!(rows(), made);
        round(3_605).await;
        assert_eq!(rows(), 0);
    }
}
