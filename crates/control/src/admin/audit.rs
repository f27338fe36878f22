//! `openpeta admin audit …`

use openpeta_store::{AuditFilter, AuditRecord};
use openpeta_types::{AccountId, InstanceId, format_time};
use serde_json::{Value, json};

use crate::{Control, ControlError};

/// Rows of a list that names no limit.
const DEFAULT_LIMIT: u32 = 100;

impl Control {
    pub(super) fn audit_list(
        &self,
        account_id: Option<AccountId>,
        instance_id: Option<InstanceId>,
        action: Option<String>,
        limit: Option<u32>,
    ) -> Result<Value, ControlError> {
        let filter = AuditFilter {
            account_id,
            instance_id,
            action,
            ..AuditFilter::default()
        };
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        let records = self
            .parts
            .store
            .read(|reader| reader.audit(&filter, limit))?;
        Ok(records.iter().map(row).collect())
    }
}

fn row(record: &AuditRecord) -> Value {
    let entry = &record.entry;
    json!({
        "id": record.id,
        "at": format_time(entry.at),
        "account_id": entry.account_id.map(|id| id.to_string()),
        "ram_user": entry.ram_user,
        "access_key_id": entry.access_key_id,
        "action": entry.action,
        "instance_id": entry.instance_id.as_ref().map(|id| id.as_str()),
        "source_ip": entry.source_ip.map(|ip| ip.to_string()),
        "user_agent": entry.user_agent,
        "request_id": entry.request_id,
        "parameters": serde_json::from_str::<Value>(&entry.parameters).unwrap_or_default(),
        "outcome": entry.outcome,
        "task_id": entry.task_id.map(|id| id.to_string()),
    })
}
