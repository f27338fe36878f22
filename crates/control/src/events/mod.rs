//! Events that are not written by the transaction of what they tell of: they wait in memory for a
//! moment, so that nothing waits for them.

mod refusals;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use openpeta_store::{NewEvent, Store, StoreError};
use openpeta_types::{AccountId, EventKind};
use serde_json::json;
use tokio::sync::Notify;

use crate::parts::Parts;
use crate::{ControlError, EventsConfig};
pub(crate) use refusals::of_refusals;

/// Events that wait to be written at most; further ones are counted and lost.
const MOST_WAITING: usize = 10_000;
/// Events that are written in one transaction.
const WRITTEN_AT_ONCE: usize = 500;
/// Pause after the store failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Kinds of quota refusals that are told apart between two times that they are written.
const MOST_QUOTAS: usize = 100;

/// Events on their way to the store.
#[derive(Default)]
pub(crate) struct Events {
    waiting: Mutex<Waiting>,
    /// Held from taking events to their being in the store.
    writing: Mutex<()>,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<NewEvent>,
    lost: u64,
    /// Calls that were refused for a quota, by tenant, action and code.
    quotas: BTreeMap<(AccountId, &'static str, String), u64>,
}

impl Events {
    /// Has an event written soon. Never waits for anything.
    pub(crate) fn record(&self, event: NewEvent) {
        tracing::debug!(kind = %event.kind, text = event.text, "event");
        let mut waiting = self.waiting();
        match waiting.events.len() {
            0..MOST_WAITING => waiting.events.push_back(event),
            _ => waiting.lost += 1,
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Counts a call that was refused for a quota.
    pub(crate) fn quota_refused(&self, tenant: AccountId, action: &'static str, code: &str) {
        let mut waiting = self.waiting();
        let key = (tenant, action, code.to_owned());
        if waiting.quotas.len() < MOST_QUOTAS || waiting.quotas.contains_key(&key) {
            *waiting.quotas.entry(key).or_default() += 1;
        }
    }

    /// Makes events of what was counted.
    pub(crate) fn count_up(&self, now: Timestamp) {
        let counted = std::mem::take(&mut self.waiting().quotas);
        for ((tenant, action, code), count) in counted {
            let text = format!("{count} calls of {action} by {tenant} were refused: {code}");
            let details = json!({
                "account_id": tenant.to_string(), "action": action, "code": code, "count": count,
            });
            self.record(NewEvent::new(now, EventKind::QuotaRefused, text).with(&details));
        }
    }

    /// Writes what waits; when it returns, all that was recorded before is in the store.
    pub(crate) fn write(&self, store: &Store) -> Result<(), StoreError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (batch, lost) = {
                let mut waiting = self.waiting();
                let count = waiting.events.len().min(WRITTEN_AT_ONCE);
                let batch: Vec<_> = waiting.events.drain(..count).collect();
                (batch, std::mem::take(&mut waiting.lost))
            };
            if batch.is_empty() && lost == 0 {
                return Ok(());
            }
            let written = store.write(|writer| {
                for event in &batch {
                    writer.insert_event(event)?;
                }
                if lost > 0 {
                    let text = format!("{lost} events could not be written");
                    let event = NewEvent::new(Timestamp::now(), EventKind::EventsLost, text);
                    writer.insert_event(&event.with(&json!({ "count": lost })))?;
                }
                Ok::<_, StoreError>(())
            });
            if let Err(error) = written {
                self.take_back(batch, lost);
                return Err(error);
            }
        }
    }

    fn take_back(&self, batch: Vec<NewEvent>, lost: u64) {
        let mut waiting = self.waiting();
        waiting.lost += lost;
        for event in batch.into_iter().rev() {
            if waiting.events.len() < MOST_WAITING {
                waiting.events.push_front(event);
            } else {
                waiting.lost += 1;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes events as they come, for as long as the service runs.
pub(crate) async fn write(parts: Arc<Parts>) {
    loop {
        parts.events.wake.notified().await;
        while let Err(error) = parts.events.write(&parts.store) {
            tracing::warn!(%error, "events cannot be written; they wait");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Once a minute: makes events of what was counted, and forgets old ones.
pub(crate) async fn reconcile(parts: Arc<Parts>) -> Result<(), ControlError> {
    let now = Timestamp::now();
    collect(&parts, now);
    let EventsConfig {
        keep_days,
        max_events,
    } = parts.config.events;
    let age = SignedDuration::from_hours(24 * i64::from(keep_days));
    let before = now.checked_sub(age).unwrap_or(Timestamp::MIN);
    while parts
        .store
        .write(|writer| writer.prune_events(before, max_events))?
        > 0
    {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Makes events of what was counted since this was last done.
pub(crate) fn collect(parts: &Parts, now: Timestamp) {
    for event in of_refusals(parts.gateway.take_refusals(), now) {
        parts.events.record(event);
    }
    parts.events.count_up(now);
    let day = now.as_second().div_euclid(86_400);
    for (source, places) in parts.samples.take_damage() {
        let text = format!("{places} places in the samples of {source} are damaged");
        let event = NewEvent::new(now, EventKind::SamplesDamaged, text);
        // Whoever looks at it again and again learns nothing new.
        let event = event.once(format!("samples-damaged:{source}:{day}"));
        let details = json!({ "source": source, "places": places });
        parts.events.record(event.with(&details));
    }
}

#[cfg(test)]
mod tests;
