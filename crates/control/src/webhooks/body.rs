//! What is posted.

use openpeta_store::EventRecord;
use openpeta_types::format_time;
use serde_json::{Value, json};

/// The body: the same bytes at each attempt.
pub(crate) fn body(delivery_id: &str, record: &EventRecord) -> String {
    let event = &record.event;
    json!({
        "version": 1,
        "delivery_id": delivery_id,
        "event": {
            "id": record.id,
            "at": format_time(event.at),
            "kind": event.kind,
            "severity": event.severity,
            "instance_id": event.instance_id.as_ref().map(|id| id.as_str()),
            "db_name": event.db_name.as_ref().map(|name| name.as_str()),
            "text": event.text,
            "details": serde_json::from_str::<Value>(&event.details).unwrap_or_default(),
        },
    })
    .to_string()
}
