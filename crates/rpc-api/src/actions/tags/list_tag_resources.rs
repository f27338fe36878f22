//! ListTagResources.

use openpeta_types::{InstanceId, Tag, TagFilter};

use crate::actions::common::{FORBIDDEN_RAM, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID};
use crate::actions::tags::{REGION_NOT_FOUND, RESOURCE_TYPE, RESOURCE_TYPE_UNKNOWN, TOO_MANY_IDS};
use crate::checks::check_required;
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::tag_parameters::{
    KEY_OF_FILTER, TAG_KEY_DUPLICATE, TAG_KEY_MALFORMED, TAG_VALUE_MALFORMED, TOO_MANY_TAG_FILTERS,
    VALUE_OF_FILTER, check_resource_type, region, resource_ids, tag_filters,
};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params, tag_parameters};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ListTagResources,
    name: "ListTagResources",
    aliases: &[],
    section: Section::Tags,
    description: "Lists tags of instances: of those that are named, or of all that the caller may \
        see. When tags are named, only these, of instances that have all of them.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        ParameterSpec::text("RegionId", "Region of the instances.").required(),
        RESOURCE_TYPE,
        ParameterSpec::repeated("ResourceId.N", "Instance identifiers.")
            .constraints("at most 50; N counts from 1, gaps do not matter"),
        KEY_OF_FILTER,
        VALUE_OF_FILTER,
        ParameterSpec::text(
            "NextToken",
            "Where the next page begins; from the answer before, to the same question.",
        ),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text(
            "NextToken",
            "Where the next page begins; left out on the last.",
        )
        .optional(),
        FieldSpec::list(
            "TagResources",
            "TagResource",
            &[
                FieldSpec::text("ResourceType", "Kind of resource."),
                FieldSpec::text("ResourceId", "Instance identifier."),
                FieldSpec::text("TagKey", "Key of the tag."),
                FieldSpec::text("TagValue", "Value of the tag."),
            ],
            "Tags, those of up to 50 instances a page, newest instance first.",
        ),
    ],
    errors: &[
        MISSING_PARAMETER,
        REGION_NOT_FOUND,
        RESOURCE_TYPE_UNKNOWN,
        TOO_MANY_IDS,
        TAG_KEY_MALFORMED,
        TAG_VALUE_MALFORMED,
        TAG_KEY_DUPLICATE,
        TOO_MANY_TAG_FILTERS,
        ErrorSpec::new(
            "InvalidNextToken.Malformed",
            400,
            "not a token of an answer to this question",
        ),
        INSTANCE_NOT_FOUND,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("RegionId", "cn-hangzhou"),
        ("ResourceType", "dbinstance"),
        ("ResourceId.1", "{InstanceId}"),
    ],
};

/// A checked ListTagResources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTagResourcesRequest {
    /// A region that exists.
    pub region_id: String,
    /// The instances, up to 50, each once; none for all.
    pub resource_ids: Vec<InstanceId>,
    /// The tags, up to 20, each key once; none for all.
    pub tags: Vec<TagFilter>,
    /// Where the page begins, as it was sent.
    pub next_token: Option<String>,
}

impl ApiRequest for ListTagResourcesRequest {
    const ACTION: Action = Action::ListTagResources;
    type Response = ListTagResourcesResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let region_id = region(params)?;
        check_resource_type(params)?;
        Ok(Self {
            region_id,
            resource_ids: resource_ids(params)?,
            tags: tag_filters(params)?,
            next_token: params.get("NextToken").map(str::to_owned),
        })
    }
}

/// The answer to ListTagResources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListTagResourcesResponse {
    /// Where the next page begins; none on the last.
    pub next_token: Option<String>,
    /// The tags.
    pub tag_resources: Vec<TagResource>,
}

/// A tag on an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagResource {
    /// The instance.
    pub resource_id: InstanceId,
    /// The tag.
    pub tag: Tag,
}

impl ApiResponse for ListTagResourcesResponse {
    fn size_hint(&self) -> usize {
        256 + 128 * self.tag_resources.len()
    }

    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.optional_text("NextToken", self.next_token.as_deref());
        let resources = &self.tag_resources;
        writer.list("TagResources", "TagResource", resources, |writer, item| {
            writer.text("ResourceType", tag_parameters::RESOURCE_TYPE);
            writer.text("ResourceId", item.resource_id.as_str());
            writer.text("TagKey", item.tag.key.as_str());
            writer.text("TagValue", item.tag.value.as_str());
        });
    }
}
