//! TagResources.

use openpeta_types::{InstanceId, Tag};

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::actions::tags::{REGION_NOT_FOUND, RESOURCE_TYPE, RESOURCE_TYPE_UNKNOWN, TOO_MANY_IDS};
use crate::checks::check_required;
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::tag_parameters::{
    TAG_KEY_DUPLICATE, TAG_KEY_MALFORMED, TAG_VALUE_MALFORMED, check_resource_type, region,
    resource_ids, tags,
};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::TagResources,
    name: "TagResources",
    aliases: &[],
    section: Section::Tags,
    description: "Adds tags to instances. A tag whose key an instance has gets the new value. \
        Either all instances get all tags, or none gets any.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["every instance is ACTIVE"],
    parameters: &[
        ParameterSpec::text("RegionId", "Region of the instances.").required(),
        RESOURCE_TYPE,
        ParameterSpec::repeated("ResourceId.N", "Instance identifiers.")
            .required()
            .constraints("at most 50; N counts from 1, gaps do not matter"),
        ParameterSpec::repeated("Tag.N.Key", "Keys of tags.")
            .required()
            .constraints(
                "at most 20, each once; 1-128 characters but controls, not beginning with aliyun \
                or acs:, without http:// and https://",
            ),
        ParameterSpec::repeated("Tag.N.Value", "Values of tags, by the number of the key.")
            .constraints("up to 128 characters but controls; empty when left out"),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        REGION_NOT_FOUND,
        RESOURCE_TYPE_UNKNOWN,
        TOO_MANY_IDS,
        TAG_KEY_MALFORMED,
        TAG_VALUE_MALFORMED,
        TAG_KEY_DUPLICATE,
        ErrorSpec::new(
            "QuotaExceeded.Tag",
            403,
            "more than 20 tags in the call, or on an instance afterwards",
        ),
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("RegionId", "cn-hangzhou"),
        ("ResourceType", "dbinstance"),
        ("ResourceId.1", "{InstanceId}"),
        ("Tag.1.Key", "team"),
        ("Tag.1.Value", "shop"),
    ],
};

/// A checked TagResources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagResourcesRequest {
    /// A region that exists; all instances must be in it.
    pub region_id: String,
    /// The instances, 1 to 50, each once.
    pub resource_ids: Vec<InstanceId>,
    /// The tags, 1 to 20, each key once.
    pub tags: Vec<Tag>,
}

impl ApiRequest for TagResourcesRequest {
    const ACTION: Action = Action::TagResources;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let region_id = region(params)?;
        check_resource_type(params)?;
        Ok(Self {
            region_id,
            resource_ids: resource_ids(params)?,
            tags: tags(params)?,
        })
    }
}
