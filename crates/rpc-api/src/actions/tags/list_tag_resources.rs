//! ListTagResources.

use crate::Action;
use crate::actions::common::{FORBIDDEN_RAM, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID};
use crate::spec::{
    ActionSpec, Availability, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ListTagResources,
    name: "ListTagResources",
    aliases: &[],
    section: Section::Tags,
    description: "Lists tags of instances.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        ParameterSpec::text("RegionId", "Region of the instances.").required(),
        ParameterSpec::text("ResourceType", "Kind of resource.").required(),
        ParameterSpec::repeated("ResourceId.N", "Instance identifiers."),
        ParameterSpec::repeated("Tag.N.Key", "Keys of tags."),
        ParameterSpec::repeated("Tag.N.Value", "Values of tags, by the number of the key."),
        ParameterSpec::text(
            "NextToken",
            "Where the next page begins; from the answer before.",
        ),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text(
            "NextToken",
            "Where the next page begins; empty on the last.",
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
            "Tags.",
        ),
    ],
    errors: &[MISSING_PARAMETER, INSTANCE_NOT_FOUND, FORBIDDEN_RAM],
    example: &[
        ("RegionId", "cn-hangzhou"),
        ("ResourceType", "dbinstance"),
        ("ResourceId.1", "{InstanceId}"),
    ],
    availability: Availability::Planned,
};
