//! The metrics there are, with the names that the old service showed for them.

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub struct MonitorItem {
    /// Its key, as KeyList names it.
    pub key: &'static str,
    /// Its name for people; Chinese, as clients of the old service show it.
    pub display_name: &'static str,
    /// What its values count.
    pub unit: &'static str,
}

impl MonitorItem {
    const fn new(key: &'static str, display_name: &'static str, unit: &'static str) -> Self {
        Self {
            key,
            display_name,
            unit,
        }
    }
}

/// Metrics that belong together.
#[derive(Debug)]
pub struct MonitorGroup {
    /// Its name, as MonitorGroup gives it.
    pub name: &'static str,
    /// Its name for people.
    pub description: &'static str,
    /// The metrics.
    pub items: &'static [MonitorItem],
}

/// All groups. The API document prints the metrics of `gas` alone; `gcs` occurs in its examples
/// with a key of the older, flat list, so that list is taken for its metrics.
pub static MONITOR_GROUPS: [MonitorGroup; 2] = [
    MonitorGroup {
        name: "gas",
        description: "分析统计",
        items: GAS,
    },
    MonitorGroup {
        name: "gcs",
        description: "访问统计",
        items: FLAT_ITEMS,
    },
];

/// The metrics of the old version, which knows no groups.
// One row an item, whatever its length.
#[rustfmt::skip]
pub static FLAT_ITEMS: &[MonitorItem] = &[
    MonitorItem::new("scon", "连接数", "count/s"), // Connections
    MonitorItem::new("sqps", "每秒请求数", "count/s"), // Requests per second
    MonitorItem::new("sni", "网络入流量", "byte/s"), // Network bytes in
    MonitorItem::new("sno", "网络出流量", "byte/s"), // Network bytes out
    MonitorItem::new("ses", "环境变量设置语句数", "count/s"), // SET statements
    MonitorItem::new("ser", "执行错误", "count/s"), // Statements that failed
    MonitorItem::new("sfn", "执行完成", "count/s"), // Statements that finished
    MonitorItem::new("smpm", "多分区修改语句数", "count/s"), // Multi-partition modifications
    MonitorItem::new("smpq", "多分区查询语句数", "count/s"), // Multi-partition queries
    MonitorItem::new("sos", "其他语句数", "count/s"), // Other statements
    MonitorItem::new("sspm", "单分区修改语句数", "count/s"), // Single-partition modifications
    MonitorItem::new("sspq", "单分区查询语句数", "count/s"), // Single-partition queries
    MonitorItem::new("stbs", "begin语句数", "count/s"), // BEGIN statements
    MonitorItem::new("stcs", "commit语句数", "count/s"), // COMMIT statements
    MonitorItem::new("stos", "其他事务语句数", "count/s"), // Other transaction statements
    MonitorItem::new("strs", "rollback语句数", "count/s"), // ROLLBACK statements
];

/// Analytic statistics.
#[rustfmt::skip]
static GAS: &[MonitorItem] = &[
    MonitorItem::new("stps", "写入TPS", "count/s"), // Write TPS
    MonitorItem::new("sqps", "查询QPS", "count/s"), // Query QPS
    MonitorItem::new("swart", "写入平均响应时间", "ms"), // Mean write latency
    MonitorItem::new("swmrt", "写入最大响应时间", "ms"), // Maximum write latency
    MonitorItem::new("swnb", "写入网络带宽", "bytes/s"), // Write bandwidth
    MonitorItem::new("sqart", "查询平均响应时间", "ms"), // Mean query latency
    MonitorItem::new("sqmrt", "查询最大响应时间", "ms"), // Maximum query latency
    MonitorItem::new("scon", "连接数", "count"), // Connections
    MonitorItem::new("disk_usage", "磁盘使用率", "percent"), // Disk used, percent
    MonitorItem::new("disk_total", "磁盘总空间", "bytes"), // Disk size
    MonitorItem::new("disk_used", "磁盘使用空间", "bytes"), // Disk used
];

/// The group of that name.
pub(super) fn group(name: &str) -> Option<&'static MonitorGroup> {
    MONITOR_GROUPS.iter().find(|group| group.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_are_unique_in_their_group() {
        for group in &MONITOR_GROUPS {
            let keys: HashSet<_> = group.items.iter().map(|item| item.key).collect();
            assert_eq!(keys.len(), group.items.len(), "{}", group.name);
        }
        assert_eq!((GAS.len(), FLAT_ITEMS.len()), (11, 16));
    }
}
