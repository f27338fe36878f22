//! What DescribeInstancePerformance and DescribeDatabasePerformance share.

use super::items::{MONITOR_GROUPS, group};
use crate::{ApiError, ApiResponse, FieldWriter, Params};

/// The form of the values; their units are in DescribeMonitorItems.
const VALUE_KIND: &str = "integer";

/// Reads KeyList: keys of MonitorGroup, or of any group without one. A key that occurs twice is
/// meant once.
pub(super) fn keys(params: &Params) -> Result<Vec<&'static str>, ApiError> {
    let groups = match params.get("MonitorGroup") {
        Some(name) => std::slice::from_ref(
            group(name).ok_or_else(|| ApiError::value_not_supported("MonitorGroup"))?,
        ),
        None => &MONITOR_GROUPS,
    };
    let mut keys = Vec::new();
    for asked in params.required("KeyList")?.split(',') {
        let mut known = groups.iter().flat_map(|group| group.items);
        let item = known
            .find(|item| item.key == asked.trim())
            .ok_or_else(|| ApiError::value_not_supported("KeyList"))?;
        if !keys.contains(&item.key) {
            keys.push(item.key);
        }
    }
    Ok(keys)
}

/// The answer to both: a series for each key. No samples are kept yet, so all are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerformanceResponse {
    /// The keys, in the order of the request.
    pub keys: Vec<&'static str>,
}

impl ApiResponse for PerformanceResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.list("MonitorDatas", "MonitorData", &self.keys, |writer, key| {
            writer.text("Key", key);
            writer.text("Unit", VALUE_KIND);
            writer.list("PerformanceValues", "PerformanceValue", [(); 0], |_, ()| {});
        });
    }
}
