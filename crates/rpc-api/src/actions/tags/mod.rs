//! Tags of instances.

pub(crate) mod list_tag_resources;
pub(crate) mod tag_resources;
pub(crate) mod untag_resources;

pub use list_tag_resources::{ListTagResourcesRequest, ListTagResourcesResponse, TagResource};
pub use tag_resources::TagResourcesRequest;
pub use untag_resources::{TagsToRemove, UntagResourcesRequest};

use crate::spec::{ErrorSpec, ParameterSpec};

const RESOURCE_TYPE: ParameterSpec = ParameterSpec::text("ResourceType", "Kind of resource.")
    .required()
    .constraints("dbinstance or, as the vendor's relational service has it, INSTANCE; in any case");

const REGION_NOT_FOUND: ErrorSpec =
    ErrorSpec::new("InvalidRegionId.NotFound", 404, "unknown RegionId");

const RESOURCE_TYPE_UNKNOWN: ErrorSpec = ErrorSpec::new(
    "InvalidResourceType.ValueNotSupported",
    400,
    "not a kind of resource that has tags",
);

const TOO_MANY_IDS: ErrorSpec = ErrorSpec::new(
    "InvalidDBInstanceId.QuotaExceeded",
    400,
    "more than 50 instances in the call",
);
