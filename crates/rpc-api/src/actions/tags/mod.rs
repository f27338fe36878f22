//! Tags of instances.

pub(crate) mod list_tag_resources;
pub(crate) mod tag_resources;
pub(crate) mod untag_resources;
