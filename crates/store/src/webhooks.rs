//! Webhooks, and the notifications that wait for them.

use jiff::Timestamp;
use openpeta_types::{EventKind, InstanceId, Secret, Severity};
use rusqlite::params;

use crate::changes::Topic;
use crate::column::{Columns, P};
use crate::events::names;
use crate::{EventRecord, NewEvent, Reader, StoreError, Writer};

const TABLE: &str = "webhooks";
const DELIVERIES: &str = "deliveries";

/// Who is told of events over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWebhook {
    /// Its name, unique.
    pub name: String,
    /// Where notifications are posted.
    pub url: String,
    /// What they are signed with.
    pub secret: Secret,
    /// The certificates that are trusted, in place of the system's.
    pub ca_file: Option<String>,
    /// Kinds of events that it is told of; all with `None`.
    pub kinds: Option<Vec<EventKind>>,
    /// The least severity that it is told of.
    pub min_severity: Severity,
    /// The instance that it is told of; all, and what is about none, with `None`.
    pub instance_id: Option<InstanceId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A webhook of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its number.
    pub webhook_id: i64,
    /// What it is.
    pub webhook: NewWebhook,
    /// Notifications that it did not get: too many waited, or for too long.
    pub dropped: u32,
    /// Notifications that wait.
    pub waiting: u32,
}

/// A notification that a webhook has not taken yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its place in the order.
    pub seq: i64,
    /// Its id, the same for each attempt.
    pub delivery_id: String,
    /// The webhook.
    pub webhook_id: i64,
    /// The event.
    pub event: EventRecord,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is due.
    pub due_at: Timestamp,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

impl Reader<'_> {
    /// All webhooks, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        self.all(
            TABLE,
            "SELECT webhook_id, name, url, secret_sealed, ca_file, kinds, min_severity, instance_id,
                    created_at, dropped,
                    (SELECT count(*) FROM deliveries d WHERE d.webhook_id = w.webhook_id)
             FROM webhooks w ORDER BY webhook_id",
            [],
            |columns| self.read_webhook(columns),
        )
    }

    fn read_webhook(&self, columns: &mut Columns<'_, '_>) -> Result<Webhook, StoreError> {
        let webhook_id = columns.get()?;
        let name: String = columns.get()?;
        let url = columns.get()?;
        let sealed: Vec<u8> = columns.get()?;
        let plain = self.shared.sealer.open(TABLE, &[&name], &sealed)?;
        let secret = std::str::from_utf8(&plain).map_err(|_| StoreError::bad_row(TABLE, 3))?;
        let secret = Secret::new(secret);
        let ca_file = columns.get()?;
        let kinds: Option<String> = columns.get()?;
        let kinds = kinds.map(|text| serde_json::from_str(&text));
        let kinds = kinds
            .transpose()
            .map_err(|_| StoreError::bad_row(TABLE, 5))?;
        let webhook = NewWebhook {
            name,
            url,
            secret,
            ca_file,
            kinds,
            min_severity: columns.get()?,
            instance_id: columns.get()?,
            created_at: columns.get()?,
        };
        Ok(Webhook {
            webhook_id,
            webhook,
            dropped: columns.get()?,
            waiting: columns.get()?,
        })
    }

    /// The notifications of a webhook in the order of their events, so many at most.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn deliveries(&self, webhook_id: i64, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.all(
            DELIVERIES,
            "SELECT seq, delivery_id, webhook_id, event_id, at, kind, severity, instance_id,
                    db_name, text, details, attempts, due_at, last_error
             FROM deliveries WHERE webhook_id = ? ORDER BY seq LIMIT ?",
            params![webhook_id, limit],
            read_delivery,
        )
    }
}

fn read_delivery(columns: &mut Columns<'_, '_>) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        seq: columns.get()?,
        delivery_id: columns.get()?,
        webhook_id: columns.get()?,
        event: EventRecord {
            id: columns.get()?,
            event: NewEvent {
                at: columns.get()?,
                kind: columns.get()?,
                severity: columns.get()?,
                instance_id: columns.get()?,
                db_name: columns.get()?,
                text: columns.get()?,
                details: columns.get()?,
                once: None,
            },
        },
        attempts: columns.get()?,
        due_at: columns.get()?,
        last_error: columns.get()?,
    })
}

impl Writer<'_> {
    /// Adds a webhook; returns its number.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is one of that name.
    pub fn insert_webhook(&self, webhook: &NewWebhook) -> Result<i64, StoreError> {
        let plain = webhook.secret.expose().as_bytes();
        let sealed = self.shared.sealer.seal(TABLE, &[&webhook.name], plain);
        self.execute(
            "INSERT INTO webhooks (name, url, secret_sealed, ca_file, kinds, min_severity,
                                   instance_id, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                webhook.name,
                webhook.url,
                sealed,
                webhook.ca_file,
                webhook.kinds.as_deref().map(names),
                P(&webhook.min_severity),
                P(&webhook.instance_id),
                P(&webhook.created_at)
            ],
        )?;
        let number = self.last_number();
        self.touch(Topic::Deliveries);
        Ok(number)
    }

    /// Removes a webhook and what waits for it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete_webhook(&self, webhook_id: i64) -> Result<(), StoreError> {
        self.touch(Topic::Deliveries);
        self.change(
            TABLE,
            "DELETE FROM webhooks WHERE webhook_id = ?",
            [webhook_id],
        )
    }

    /// A notification was taken, or is given up.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn delete_delivery(&self, seq: i64) -> Result<(), StoreError> {
        self.execute("DELETE FROM deliveries WHERE seq = ?", [seq])?;
        Ok(())
    }

    /// An attempt failed; the next one is due then.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn put_off_delivery(
        &self,
        seq: i64,
        due_at: Timestamp,
        error: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE deliveries SET attempts = attempts + 1, due_at = ?2, last_error = ?3
             WHERE seq = ?1",
            params![seq, P(&due_at), error],
        )?;
        Ok(())
    }

    /// Counts notifications that a webhook will not get.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn count_dropped(&self, webhook_id: i64, count: usize) -> Result<(), StoreError> {
        self.execute(
            "UPDATE webhooks SET dropped = dropped + ?2 WHERE webhook_id = ?1",
            params![webhook_id, i64::try_from(count).unwrap_or(i64::MAX)],
        )?;
        Ok(())
    }
}
