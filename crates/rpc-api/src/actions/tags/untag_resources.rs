//! UntagResources.

use crate::Action;
use crate::actions::common::{FORBIDDEN_RAM, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID};
use crate::spec::{ActionSpec, Availability, HttpsRule, ParameterSpec, RamResource, Section};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::UntagResources,
    name: "UntagResources",
    aliases: &[],
    section: Section::Tags,
    description: "Removes tags from instances.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        ParameterSpec::text("RegionId", "Region of the instances.").required(),
        ParameterSpec::text("ResourceType", "Kind of resource.").required(),
        ParameterSpec::repeated("ResourceId.N", "Instance identifiers.").required(),
        ParameterSpec::repeated("TagKey.N", "Keys of the tags to remove."),
        ParameterSpec::boolean("All", "Remove every tag."),
    ],
    response: &[REQUEST_ID],
    errors: &[MISSING_PARAMETER, INSTANCE_NOT_FOUND, FORBIDDEN_RAM],
    example: &[
        ("RegionId", "cn-hangzhou"),
        ("ResourceType", "dbinstance"),
        ("ResourceId.1", "{InstanceId}"),
        ("TagKey.1", "team"),
    ],
    availability: Availability::Planned,
};
