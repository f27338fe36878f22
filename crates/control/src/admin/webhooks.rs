//! `openpeta admin webhook …`

use std::time::Instant;

use openpeta_rpc_api::ApiError;
use openpeta_store::{Delivery, EventRecord, NewEvent, NewWebhook, Reader, Webhook};
use openpeta_types::{EventKind, InstanceId, Secret, Severity, format_time};
use serde_json::{Value, json};

use super::alerts::check_instance;
use super::{AdminChange, check_name, duplicate, not_found};
use crate::outgoing::{self, Address};
use crate::webhooks::{self, Message, Target};
use crate::{Control, ControlError, random};

/// What the operator says of a new webhook.
pub(super) struct WebhookOrder {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) ca_file: Option<String>,
    pub(super) kinds: Option<Vec<EventKind>>,
    pub(super) min_severity: Severity,
    pub(super) instance_id: Option<InstanceId>,
}

impl Control {
    /// Makes a webhook with a new secret, which is shown this once.
    pub(super) fn webhook_create(
        &self,
        change: &AdminChange,
        order: WebhookOrder,
    ) -> Result<Value, ControlError> {
        check_name(&order.name)?;
        let wrong = |what: &str, detail: &str| {
            ControlError::from(ApiError::invalid_parameter(what).with_detail(&format!("{detail}.")))
        };
        Address::parse(&order.url).map_err(|error| wrong("url", &error))?;
        if let Some(file) = &order.ca_file {
            let read = outgoing::tls_config(Some(file.as_ref()));
            read.map_err(|error| wrong("ca_file", &error))?;
        }
        let webhook = NewWebhook {
            name: order.name,
            url: order.url,
            secret: Secret::new(random::alphanumeric::<40>()?),
            ca_file: order.ca_file,
            kinds: order.kinds,
            min_severity: order.min_severity,
            instance_id: order.instance_id,
            created_at: change.now,
        };
        self.parts.store.write(|writer| {
            check_instance(writer, webhook.instance_id.as_ref())?;
            let added = writer.insert_webhook(&webhook);
            added.map_err(duplicate("name"))?;
            change.record(writer, None, webhook.instance_id.as_ref())
        })?;
        Ok(json!({ "name": webhook.name, "secret": webhook.secret.expose() }))
    }

    pub(super) fn webhook_delete(
        &self,
        change: &AdminChange,
        name: &str,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let webhook = find(writer, name)?;
            writer.delete_webhook(webhook.webhook_id)?;
            change.record(writer, None, webhook.webhook.instance_id.as_ref())?;
            Ok(row(&webhook, None))
        })
    }

    pub(super) fn webhook_list(&self) -> Result<Value, ControlError> {
        self.parts.store.read(|reader| {
            let webhooks = reader.webhooks()?;
            let rows = webhooks.iter().map(|webhook| {
                let next = reader.deliveries(webhook.webhook_id, 1)?.pop();
                Ok(row(webhook, next.as_ref()))
            });
            rows.collect()
        })
    }

    /// Posts a notification of its own to a webhook, once, and tells what came of it.
    pub(super) async fn webhook_test(
        &self,
        change: &AdminChange,
        name: &str,
    ) -> Result<Value, ControlError> {
        let webhook = self.parts.store.read(|reader| find(reader, name))?;
        let kind = EventKind::WebhookTest;
        let event = NewEvent::new(change.now, kind, "a test, asked for by the operator");
        let delivery_id = random::request_id()?.to_string().to_lowercase();
        let message = Message {
            delivery_id: &delivery_id,
            kind,
            body: webhooks::body(&delivery_id, &EventRecord { id: 0, event }),
        };
        let target = Target::of(&webhook, &self.parts.config.alerts);
        let begun = Instant::now();
        let posted = webhooks::post(&target, &message, change.now).await;
        let milliseconds = begun.elapsed().as_millis();
        let status = posted.map_err(ControlError::unavailable)?;
        Ok(json!({
            "name": name, "status": status, "milliseconds": milliseconds,
            "delivery_id": delivery_id,
        }))
    }
}

fn find(reader: &Reader<'_>, name: &str) -> Result<Webhook, ControlError> {
    let mut webhooks = reader.webhooks()?.into_iter();
    let found = webhooks.find(|webhook| webhook.webhook.name == name);
    found.ok_or_else(|| not_found("name"))
}

fn row(webhook: &Webhook, next: Option<&Delivery>) -> Value {
    let its = &webhook.webhook;
    json!({
        "name": its.name,
        "url": its.url,
        "ca_file": its.ca_file,
        "kinds": its.kinds,
        "min_severity": its.min_severity,
        "instance_id": its.instance_id.as_ref().map(|id| id.as_str()),
        "waiting": webhook.waiting,
        "dropped": webhook.dropped,
        "attempts": next.map(|next| next.attempts),
        "next_attempt_at": next.map(|next| format_time(next.due_at)),
        "last_error": next.and_then(|next| next.last_error.clone()),
        "created_at": format_time(its.created_at),
    })
}
