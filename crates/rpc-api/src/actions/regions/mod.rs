//! Regions and zones.

pub(crate) mod describe_regions;

pub use describe_regions::{DescribeRegionsRequest, DescribeRegionsResponse};
