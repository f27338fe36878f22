//! `openpeta admin event …`

use openpeta_store::{EventFilter, EventRecord};
use openpeta_types::format_time;
use serde_json::{Value, json};

use crate::{Control, ControlError};

/// Rows of a list that names no limit.
const DEFAULT_LIMIT: u32 = 100;

impl Control {
    pub(super) fn event_list(
        &self,
        filter: EventFilter,
        limit: Option<u32>,
    ) -> Result<Value, ControlError> {
        // What has happened is on the list, also when it happened just now. A store that takes no
        // events still lists those it has.
        if let Err(error) = self.parts.events.write(&self.parts.store) {
            tracing::warn!(%error, "events cannot be written; they wait");
        }
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        let events = self
            .parts
            .store
            .read(|reader| reader.events(&filter, limit))?;
        Ok(events.iter().map(row).collect())
    }
}

pub(crate) fn row(record: &EventRecord) -> Value {
    let event = &record.event;
    json!({
        "id": record.id,
        "at": format_time(event.at),
        "kind": event.kind,
        "severity": event.severity,
        "instance_id": event.instance_id.as_ref().map(|id| id.as_str()),
        "db_name": event.db_name.as_ref().map(|name| name.as_str()),
        "text": event.text,
        "details": serde_json::from_str::<Value>(&event.details).unwrap_or_default(),
    })
}
