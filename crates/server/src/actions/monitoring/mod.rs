//! Metrics and disk usage.

pub(super) mod describe_database_performance;
pub(super) mod describe_database_resource_usage;
pub(super) mod describe_instance_performance;
pub(super) mod describe_instance_resource_usage;
pub(super) mod describe_monitor_items;
