//! Metrics and disk usage.

pub(crate) mod describe_database_performance;
pub(crate) mod describe_database_resource_usage;
pub(crate) mod describe_instance_performance;
pub(crate) mod describe_instance_resource_usage;
pub(crate) mod describe_monitor_items;
mod items;
mod performance;
mod resource_usage;
mod window;

pub use describe_database_performance::DescribeDatabasePerformanceRequest;
pub use describe_database_resource_usage::DescribeDatabaseResourceUsageRequest;
pub use describe_instance_performance::DescribeInstancePerformanceRequest;
pub use describe_instance_resource_usage::DescribeInstanceResourceUsageRequest;
pub use describe_monitor_items::{
    DescribeMonitorItemsRequest, DescribeMonitorItemsResponse, ItemLevel, MonitorItems,
};
pub use items::{FLAT_ITEMS, MONITOR_GROUPS, MonitorGroup, MonitorItem};
pub use performance::{MonitorKey, PerformanceResponse, Series};
pub use resource_usage::{ResourceSample, ResourceUsageResponse, Sizes};
pub use window::Window;
