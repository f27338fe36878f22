//! How many notifications webhooks took, and how many attempts failed, since the service was started.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What was counted of a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WebhookCounts {
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
}

/// What was counted, by webhook.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<HashMap<i64, WebhookCounts>>);

impl Counts {
    pub(super) fn count(&self, webhook_id: i64, add: impl FnOnce(&mut WebhookCounts)) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        add(counts.entry(webhook_id).or_default());
    }

    pub(crate) fn of(&self, webhook_id: i64) -> WebhookCounts {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&webhook_id).copied().unwrap_or_default()
    }

    /// Forgets webhooks that are not there anymore.
    pub(super) fn keep(&self, is_there: impl Fn(i64) -> bool) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|webhook_id, _| is_there(*webhook_id));
    }
}
