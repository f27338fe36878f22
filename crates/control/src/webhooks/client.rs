//! One POST to a webhook: within a time, nothing of the answer read but its status.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use jiff::Timestamp;
use openpeta_store::Webhook;
use openpeta_types::{EventKind, Secret};

use super::Failure;
use super::signature::signature;
use crate::AlertsConfig;
use crate::outgoing::{Address, send, tls_config};

/// Who a notification is for.
pub(crate) struct Target {
    url: String,
    secret: Secret,
    ca_file: Option<PathBuf>,
    time_out_seconds: u32,
}

/// A notification.
pub(crate) struct Message<'a> {
    pub(crate) delivery_id: &'a str,
    pub(crate) kind: EventKind,
    pub(crate) body: String,
}

impl Target {
    pub(crate) fn of(webhook: &Webhook, config: &AlertsConfig) -> Self {
        Self {
            url: webhook.webhook.url.clone(),
            secret: webhook.webhook.secret.clone(),
            ca_file: webhook.webhook.ca_file.as_ref().map(PathBuf::from),
            time_out_seconds: config.timeout_seconds,
        }
    }
}

/// Posts a notification; `Ok` with the status when the receiver has taken it.
pub(crate) async fn post(
    target: &Target,
    message: &Message<'_>,
    now: Timestamp,
) -> Result<u16, Failure> {
    let seconds = target.time_out_seconds;
    let attempt = attempt(target, message, now);
    let status = tokio::time::timeout(Duration::from_secs(seconds.into()), attempt).await;
    match status.map_err(|_| Failure::TimeOut(seconds))? {
        Ok(status @ 200..300) => Ok(status),
        Ok(status) => Err(Failure::Status(status)),
        Err(reason) => Err(Failure::Transport(reason)),
    }
}

async fn attempt(target: &Target, message: &Message<'_>, now: Timestamp) -> Result<u16, String> {
    let address = Address::parse(&target.url)?;
    let request = Request::post(address.path())
        .header(CONTENT_TYPE, "application/json")
        .header("OpenPeta-Delivery", message.delivery_id)
        .header("OpenPeta-Event", message.kind.as_str())
        .header(
            "OpenPeta-Signature",
            signature(&target.secret, now.as_second(), &message.body),
        )
        .body(Full::new(Bytes::from(message.body.clone())));
    let request = request.map_err(|error| error.to_string())?;
    let tls = match address.is_https() {
        true => Some(tls_config(target.ca_file.as_deref())?),
        false => None,
    };
    let reply = send(&address, tls, request, 0).await?;
    Ok(reply.status)
}
