//! Metrics and disk usage.

pub(crate) mod describe_database_performance;
pub(crate) mod describe_database_resource_usage;
pub(crate) mod describe_instance_performance;
pub(crate) mod describe_instance_resource_usage;
pub(crate) mod describe_monitor_items;
