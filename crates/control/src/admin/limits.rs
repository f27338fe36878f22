//! `openpeta admin account limits` and `openpeta admin instance slow-log`.

use std::time::Duration;

use openpeta_rpc_api::ApiError;
use openpeta_store::Reader;
use openpeta_types::{AccountName, InstanceId};
use serde_json::{Value, json};

use super::AdminChange;
use super::protocol::SlowThreshold;
use crate::{Control, ControlError};

impl Control {
    /// Sets what is given and tells what holds. Is in force, for open sessions too, when it returns.
    pub(super) fn account_limits(
        &self,
        change: &AdminChange,
        id: &InstanceId,
        name: &AccountName,
        connections: Option<u32>,
        queries_per_second: Option<u32>,
    ) -> Result<Value, ControlError> {
        if connections.is_none() && queries_per_second.is_none() {
            return self.parts.store.read(|reader| limits_row(reader, id, name));
        }
        self.parts.store.write(|writer| {
            let instance = writer
                .instance(id)?
                .ok_or_else(ApiError::instance_not_found)?;
            writer
                .account(id, name)?
                .ok_or_else(ApiError::account_not_found)?;
            let mut all = writer.account_limits(id)?;
            let mut limits = all.remove(name.as_str()).unwrap_or_default();
            limits.connections = connections.unwrap_or(limits.connections);
            limits.queries_per_second = queries_per_second.unwrap_or(limits.queries_per_second);
            writer.put_account_limits(id, name, limits)?;
            change.record(writer, Some(instance.account_id), Some(id))?;
            self.parts.publish_after_commit(writer, id);
            limits_row(writer, id, name)
        })
    }

    /// Sets from when on statements are slow, if that is given, and tells it.
    pub(super) fn instance_slow_log(
        &self,
        change: &AdminChange,
        id: &InstanceId,
        threshold: Option<SlowThreshold>,
    ) -> Result<Value, ControlError> {
        let Some(threshold) = threshold else {
            return self.parts.store.read(|reader| slow_log_row(reader, id));
        };
        self.parts.store.write(|writer| {
            let instance = writer
                .instance(id)?
                .ok_or_else(ApiError::instance_not_found)?;
            let threshold = match threshold {
                SlowThreshold::Default => None,
                SlowThreshold::Millis(millis) => Some(Duration::from_millis(millis.into())),
            };
            writer.set_slow_threshold(id, threshold)?;
            change.record(writer, Some(instance.account_id), Some(id))?;
            self.parts.publish_after_commit(writer, id);
            slow_log_row(writer, id)
        })
    }
}

fn limits_row(
    reader: &Reader<'_>,
    id: &InstanceId,
    name: &AccountName,
) -> Result<Value, ControlError> {
    reader
        .account(id, name)?
        .ok_or_else(ApiError::account_not_found)?;
    let limits = reader.account_limits(id)?;
    let limits = limits.get(name.as_str()).copied().unwrap_or_default();
    Ok(json!({
        "instance_id": id.as_str(),
        "account_name": name.as_str(),
        "connections": limits.connections,
        "queries_per_second": limits.queries_per_second,
    }))
}

fn slow_log_row(reader: &Reader<'_>, id: &InstanceId) -> Result<Value, ControlError> {
    reader
        .instance(id)?
        .ok_or_else(ApiError::instance_not_found)?;
    let threshold = reader.slow_threshold(id)?;
    Ok(json!({
        "instance_id": id.as_str(),
        // Null where the configured one holds.
        "threshold_ms": threshold.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
    }))
}
