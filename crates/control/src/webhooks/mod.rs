//! Webhooks: events are posted to who wants them, signed, each until it is taken or given up.
//!
//! What is to be told is in the store ([`Delivery`]), put there by the transaction that wrote the
//! event, and deleted once the receiver has taken it. So nothing is lost by a crash, and what the
//! crash came in between of is sent again with the same id.

mod backoff;
mod body;
mod client;
mod counts;
mod signature;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use openpeta_store::{Delivery, NewEvent, StoreError, Topic, Webhook};
use openpeta_types::EventKind;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::ControlError;
use crate::parts::Parts;
pub(crate) use backoff::Failure;
pub(crate) use body::body;
pub(crate) use client::{Message, Target, post};
pub(crate) use counts::Counts;

/// Pause after the store failed.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two looks at the store; the clock may be set meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A sender for each webhook, for as long as the service runs: one that does not answer holds up
/// nobody else.
pub(crate) async fn run(parts: Arc<Parts>) {
    let mut senders = Senders::default();
    let mut changed = parts.store.watch(Topic::Deliveries);
    loop {
        changed.mark_unchanged();
        let webhooks: Result<_, StoreError> = parts.store.read(|reader| reader.webhooks());
        match webhooks {
            Ok(webhooks) => senders.follow(&parts, webhooks),
            Err(error) => {
                tracing::warn!(%error, "webhooks cannot be read; they are looked at again");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// The tasks that send; they end with this.
#[derive(Default)]
struct Senders(HashMap<i64, JoinHandle<()>>);

impl Senders {
    fn follow(&mut self, parts: &Arc<Parts>, webhooks: Vec<Webhook>) {
        self.0.retain(|id, sender| {
            let stays = webhooks.iter().any(|webhook| webhook.webhook_id == *id);
            if !stays {
                sender.abort();
            }
            stays
        });
        let is_there = |id| webhooks.iter().any(|webhook| webhook.webhook_id == id);
        parts.delivery_counts.keep(is_there);
        for webhook in webhooks {
            let id = webhook.webhook_id;
            self.0
                .entry(id)
                .or_insert_with(|| tokio::spawn(send(Arc::clone(parts), webhook)));
        }
    }
}

impl Drop for Senders {
    fn drop(&mut self) {
        self.0.values().for_each(JoinHandle::abort);
    }
}

/// Sends what waits for a webhook, in the order of the events.
async fn send(parts: Arc<Parts>, webhook: Webhook) {
    let mut changed = parts.store.watch(Topic::Deliveries);
    loop {
        changed.mark_unchanged();
        let wait = match send_next(&parts, &webhook).await {
            Ok(Next::AtOnce) => continue,
            Ok(Next::After(wait)) => wait.min(LONGEST_WAIT),
            Ok(Next::WhenChanged) => LONGEST_WAIT,
            Err(error) => {
                tracing::warn!(
                    webhook = webhook.webhook.name,
                    context = error.context,
                    "a notification cannot be recorded; it is sent again"
                );
                PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            still = changed.changed() => if still.is_err() { return },
        }
    }
}

/// When to go on.
enum Next {
    AtOnce,
    After(Duration),
    WhenChanged,
}

async fn send_next(parts: &Parts, webhook: &Webhook) -> Result<Next, ControlError> {
    let id = webhook.webhook_id;
    let waiting = parts.store.read(|reader| reader.deliveries(id, 1))?;
    let Some(delivery) = waiting.into_iter().next() else {
        return Ok(Next::WhenChanged);
    };
    let now = Timestamp::now();
    let wait = delivery.due_at.duration_since(now);
    // A longer one tells that the clock was put back.
    let is_due = wait <= SignedDuration::ZERO || wait > backoff::LONGEST;
    if !is_due && delivery.attempts > 0 {
        return Ok(Next::After(wait.unsigned_abs()));
    }
    let target = Target::of(webhook, &parts.config.alerts);
    let message = Message {
        delivery_id: &delivery.delivery_id,
        kind: delivery.event.event.kind,
        body: body(&delivery.delivery_id, &delivery.event),
    };
    match post(&target, &message, now).await {
        Ok(_) => {
            parts.delivery_counts.count(id, |its| its.delivered += 1);
            parts
                .store
                .write(|writer| writer.delete_delivery(delivery.seq))?;
        }
        Err(failure) => {
            parts.delivery_counts.count(id, |its| its.failed += 1);
            put_off(parts, webhook, &delivery, &failure)?;
        }
    }
    Ok(Next::AtOnce)
}

/// Notes that an attempt failed, or gives up.
fn put_off(
    parts: &Parts,
    webhook: &Webhook,
    delivery: &Delivery,
    failure: &Failure,
) -> Result<(), ControlError> {
    let now = Timestamp::now();
    let (name, attempts) = (&webhook.webhook.name, delivery.attempts + 1);
    let hours = i64::from(parts.config.alerts.give_up_hours);
    let age = now.duration_since(delivery.event.event.at);
    let gives_up = age >= SignedDuration::from_hours(hours) || failure.is_hopeless(attempts);
    tracing::info!(webhook = name, delivery = delivery.delivery_id, attempts, %failure, gives_up, "a notification was not taken");
    parts.store.write(|writer| {
        if !gives_up {
            let random = u32::from_le_bytes(crate::random::bytes()?);
            let due_at = now
                .checked_add(backoff::pause(attempts, random))
                .unwrap_or(Timestamp::MAX);
            let failure = failure.to_string();
            return Ok(writer.put_off_delivery(delivery.seq, due_at, &failure)?);
        }
        writer.delete_delivery(delivery.seq)?;
        writer.count_dropped(webhook.webhook_id, 1)?;
        let text = format!(
            "webhook {name} did not take {} in {attempts} attempts: {failure}",
            delivery.delivery_id
        );
        let details = json!({
            "webhook": name, "delivery_id": delivery.delivery_id, "attempts": attempts,
            "event_id": delivery.event.id, "error": failure.to_string(),
        });
        let kind = EventKind::DeliveryAbandoned;
        let event = NewEvent::new(now, kind, text).with(&details);
        writer.note_event(&event.of(delivery.event.event.instance_id.as_ref()));
        Ok(())
    })
}

#[cfg(test)]
mod tests;
