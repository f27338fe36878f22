//! UntagResources.

use std::collections::BTreeSet;

use openpeta_types::{InstanceId, TagKey};

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::actions::tags::{REGION_NOT_FOUND, RESOURCE_TYPE, RESOURCE_TYPE_UNKNOWN, TOO_MANY_IDS};
use crate::checks::check_required;
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::tag_parameters::{
    TAG_KEY_MALFORMED, check_resource_type, region, resource_ids, tag_keys,
};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::UntagResources,
    name: "UntagResources",
    aliases: &[],
    section: Section::Tags,
    description: "Removes tags from instances. A key that an instance does not have is no error.",
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
        ParameterSpec::repeated(
            "TagKey.N",
            "Keys of the tags to remove; required unless All is true.",
        )
        .constraints("at most 20; N counts from 1, gaps do not matter"),
        ParameterSpec::boolean("All", "Remove every tag, whatever keys are named."),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        REGION_NOT_FOUND,
        RESOURCE_TYPE_UNKNOWN,
        TOO_MANY_IDS,
        TAG_KEY_MALFORMED,
        ErrorSpec::new("QuotaExceeded.Tag", 403, "more than 20 keys in the call"),
        ErrorSpec::new(
            "InvalidAll.ValueNotSupported",
            400,
            "All is neither true nor false",
        ),
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("RegionId", "cn-hangzhou"),
        ("ResourceType", "dbinstance"),
        ("ResourceId.1", "{InstanceId}"),
        ("TagKey.1", "team"),
    ],
};

/// A checked UntagResources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntagResourcesRequest {
    /// A region that exists; all instances must be in it.
    pub region_id: String,
    /// The instances, 1 to 50, each once.
    pub resource_ids: Vec<InstanceId>,
    /// Which tags go.
    pub tags: TagsToRemove,
}

/// Which tags UntagResources takes off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagsToRemove {
    /// Every one.
    All,
    /// Those with these keys, 1 to 20.
    Keys(BTreeSet<TagKey>),
}

impl ApiRequest for UntagResourcesRequest {
    const ACTION: Action = Action::UntagResources;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let region_id = region(params)?;
        check_resource_type(params)?;
        let resource_ids = resource_ids(params)?;
        let keys = tag_keys(params)?;
        let tags = match params.boolean("All")? {
            Some(true) => TagsToRemove::All,
            _ if keys.is_empty() => return Err(ApiError::missing_parameter("TagKey.1")),
            _ => TagsToRemove::Keys(keys),
        };
        Ok(Self {
            region_id,
            resource_ids,
            tags,
        })
    }
}
