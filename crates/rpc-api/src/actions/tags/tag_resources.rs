//! TagResources.

use crate::Action;
use crate::actions::common::{FORBIDDEN_RAM, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID};
use crate::spec::{ActionSpec, Availability, HttpsRule, ParameterSpec, RamResource, Section};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::TagResources,
    name: "TagResources",
    aliases: &[],
    section: Section::Tags,
    description: "Adds tags to instances.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        ParameterSpec::text("RegionId", "Region of the instances.").required(),
        ParameterSpec::text("ResourceType", "Kind of resource.").required(),
        ParameterSpec::repeated("ResourceId.N", "Instance identifiers.").required(),
        ParameterSpec::repeated("Tag.N.Key", "Keys of tags.").required(),
        ParameterSpec::repeated("Tag.N.Value", "Values of tags, by the number of the key."),
    ],
    response: &[REQUEST_ID],
    errors: &[MISSING_PARAMETER, INSTANCE_NOT_FOUND, FORBIDDEN_RAM],
    example: &[
        ("RegionId", "cn-hangzhou"),
        ("ResourceType", "dbinstance"),
        ("ResourceId.1", "{InstanceId}"),
        ("Tag.1.Key", "team"),
        ("Tag.1.Value", "shop"),
    ],
    availability: Availability::Planned,
};
