//! Regions and zones.

pub(super) mod describe_regions;
