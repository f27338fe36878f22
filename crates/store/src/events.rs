//! Events, and what webhooks are to be told of them.

use jiff::Timestamp;
use openpeta_types::{DbName, EventKind, InstanceId, LockMode, Severity};
use rusqlite::params;

use crate::changes::Topic;
use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "events";

/// Events that are deleted in one transaction, so that others need not wait long.
const PRUNED_AT_ONCE: u32 = 2_000;

/// Notifications that wait for one webhook at most; the oldest make way.
const MOST_WAITING: u32 = 1_000;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// When.
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: EventKind,
    /// How much it matters.
    pub severity: Severity,
    /// The instance that it is about.
    pub instance_id: Option<InstanceId>,
    /// The database that it is about.
    pub db_name: Option<DbName>,
    /// A sentence.
    pub text: String,
    /// The facts, a JSON object as text.
    pub details: String,
    /// Of the events with the same text here there is only one.
    pub once: Option<String>,
}

impl NewEvent {
    /// An event of its kind's usual severity about nothing in particular.
    #[must_use]
    pub fn new(at: Timestamp, kind: EventKind, text: impl Into<String>) -> Self {
        Self {
            at,
            kind,
            severity: kind.severity(),
            instance_id: None,
            db_name: None,
            text: text.into(),
            details: "{}".to_owned(),
            once: None,
        }
    }

    /// It is about an instance.
    #[must_use]
    pub fn of(mut self, instance_id: Option<&InstanceId>) -> Self {
        self.instance_id = instance_id.cloned();
        self
    }

    /// Its facts, an object.
    #[must_use]
    pub fn with(mut self, details: &serde_json::Value) -> Self {
        self.details = details.to_string();
        self
    }

    /// There is only one with this text.
    #[must_use]
    pub fn once(mut self, text: impl Into<String>) -> Self {
        self.once = Some(text.into());
        self
    }
}

/// An event of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Its number, ascending as they were written.
    pub id: i64,
    /// What it says.
    pub event: NewEvent,
}

/// Which events to list; all that is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// About this instance.
    pub instance_id: Option<InstanceId>,
    /// Of one of these kinds; any if it is empty.
    pub kinds: Vec<EventKind>,
    /// Of this severity at least.
    pub severity: Option<Severity>,
    /// Not before.
    pub since: Option<Timestamp>,
}

pub(crate) fn read(columns: &mut Columns<'_, '_>) -> Result<EventRecord, StoreError> {
    Ok(EventRecord {
        id: columns.get()?,
        event: NewEvent {
            at: columns.get()?,
            kind: columns.get()?,
            severity: columns.get()?,
            instance_id: columns.get()?,
            db_name: columns.get()?,
            text: columns.get()?,
            details: columns.get()?,
            once: columns.get()?,
        },
    })
}

impl Reader<'_> {
    /// The newest `limit` events that pass the filter, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn events(&self, filter: &EventFilter, limit: u32) -> Result<Vec<EventRecord>, StoreError> {
        let kinds = (!filter.kinds.is_empty()).then(|| names(&filter.kinds));
        self.all(
            TABLE,
            "SELECT id, at, kind, severity, instance_id, db_name, text, details, once
             FROM events
             WHERE (?1 IS NULL OR instance_id = ?1)
               AND (?2 IS NULL OR kind IN (SELECT value FROM json_each(?2)))
               AND (?3 IS NULL OR severity >= ?3) AND (?4 IS NULL OR at >= ?4)
             ORDER BY id DESC LIMIT ?5",
            params![
                P(&filter.instance_id),
                kinds,
                P(&filter.severity),
                P(&filter.since),
                limit
            ],
            read,
        )
    }

    /// The newest event of one of two kinds about an instance.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn last_event(
        &self,
        instance_id: &InstanceId,
        kinds: [EventKind; 2],
    ) -> Result<Option<EventRecord>, StoreError> {
        self.one(
            TABLE,
            "SELECT id, at, kind, severity, instance_id, db_name, text, details, once
             FROM events WHERE instance_id = ?1 AND kind IN (?2, ?3) ORDER BY id DESC LIMIT 1",
            params![P(instance_id), P(&kinds[0]), P(&kinds[1])],
            read,
        )
    }
}

impl Writer<'_> {
    /// Adds an event, and a notification for each webhook that wants it. Tells whether it was
    /// added: not if it may be there only once and is.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn insert_event(&self, event: &NewEvent) -> Result<bool, StoreError> {
        let added = self.execute(
            "INSERT OR IGNORE INTO events
                 (at, kind, severity, instance_id, db_name, text, details, once)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                P(&event.at),
                P(&event.kind),
                P(&event.severity),
                P(&event.instance_id),
                P(&event.db_name),
                event.text,
                event.details,
                event.once
            ],
        )?;
        if added == 0 {
            return Ok(false);
        }
        if event.kind.is_told() {
            self.notify_webhooks(self.last_number(), event)?;
        }
        Ok(true)
    }

    /// As [`insert_event`](Self::insert_event), beside a change that must not fail for it.
    pub fn note_event(&self, event: &NewEvent) {
        // An error that ends the transaction is met again by whatever comes next in it.
        if let Err(error) = self.insert_event(event) {
            tracing::warn!(%error, kind = %event.kind, text = event.text, "an event could not be recorded");
        }
    }

    fn notify_webhooks(&self, event_id: i64, event: &NewEvent) -> Result<(), StoreError> {
        let told = self.execute(
            "INSERT INTO deliveries (delivery_id, webhook_id, event_id, at, kind, severity,
                 instance_id, db_name, text, details, due_at)
             SELECT lower(hex(randomblob(16))), webhook_id, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?2
             FROM webhooks
             WHERE min_severity <= ?4
               AND (kinds IS NULL OR ?3 IN (SELECT value FROM json_each(kinds)))
               AND (instance_id IS NULL OR instance_id = ?5)",
            params![
                event_id,
                P(&event.at),
                P(&event.kind),
                P(&event.severity),
                P(&event.instance_id),
                P(&event.db_name),
                event.text,
                event.details
            ],
        )?;
        if told > 0 {
            self.touch(Topic::Deliveries);
            self.bound_deliveries()?;
        }
        Ok(())
    }

    /// The oldest notifications of a webhook make way when too many wait.
    fn bound_deliveries(&self) -> Result<(), StoreError> {
        let ids = self.all(
            "webhooks",
            "SELECT webhook_id FROM webhooks",
            [],
            |columns| columns.get::<i64>(),
        )?;
        for webhook_id in ids {
            let dropped = self.execute(
                "DELETE FROM deliveries WHERE seq IN
                     (SELECT seq FROM deliveries WHERE webhook_id = ?1
                      ORDER BY seq DESC LIMIT -1 OFFSET ?2)",
                params![webhook_id, MOST_WAITING],
            )?;
            if dropped > 0 {
                self.count_dropped(webhook_id, dropped)?;
            }
        }
        Ok(())
    }

    /// Deletes events from before `before`, and the oldest beyond so many; not too many at once.
    /// Returns how many went: not all if it is more than none.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn prune_events(&self, before: Timestamp, most: u32) -> Result<usize, StoreError> {
        let old = self.execute(
            "DELETE FROM events WHERE id IN
                 (SELECT id FROM events WHERE at < ?1 ORDER BY id LIMIT ?2)",
            params![P(&before), PRUNED_AT_ONCE],
        )?;
        let surplus = self.execute(
            "DELETE FROM events WHERE id IN
                 (SELECT id FROM events
                  WHERE id <= (SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?1)
                  ORDER BY id LIMIT ?2)",
            params![most, PRUNED_AT_ONCE],
        )?;
        Ok(old + surplus)
    }

    /// Writes an event if the instance's lock is about to become another one.
    pub(crate) fn note_lock(
        &self,
        instance_id: &InstanceId,
        mode: LockMode,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let Some(instance) = self.instance(instance_id)? else {
            return Ok(());
        };
        if instance.lock_mode == mode {
            return Ok(());
        }
        let kind = match (mode, instance.lock_mode) {
            (LockMode::LockByDiskQuota, _) => EventKind::DiskQuotaReached,
            (LockMode::LockByExpiration, _) => EventKind::InstanceExpired,
            (LockMode::LockByArrears, _) => EventKind::InstanceOverdue,
            (LockMode::ManualLock, _) => EventKind::InstanceLocked,
            (LockMode::Unlock, LockMode::LockByDiskQuota) => EventKind::DiskQuotaLifted,
            (LockMode::Unlock, _) => EventKind::InstanceUnlocked,
        };
        let text = match (mode, reason) {
            (LockMode::Unlock, _) => format!("{instance_id} is no longer locked"),
            (mode, Some(reason)) => format!("{instance_id} is locked ({mode}): {reason}"),
            (mode, None) => format!("{instance_id} is locked ({mode})"),
        };
        let details = serde_json::json!({
            "lock_mode": mode, "former_lock_mode": instance.lock_mode, "reason": reason,
        });
        let event = NewEvent::new(Timestamp::now(), kind, text);
        self.note_event(&event.of(Some(instance_id)).with(&details));
        Ok(())
    }
}

/// Names of kinds, as a JSON array.
pub(crate) fn names(kinds: &[EventKind]) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    serde_json::Value::from(names).to_string()
}
