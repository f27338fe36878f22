//! Regions and zones.

pub(crate) mod describe_regions;
