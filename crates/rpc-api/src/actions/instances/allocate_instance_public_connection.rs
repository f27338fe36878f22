//! AllocateInstancePublicConnection.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::AllocateInstancePublicConnection,
    name: "AllocateInstancePublicConnection",
    aliases: &[],
    section: Section::Instances,
    description: "Gives an instance a public endpoint.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "no public endpoint yet"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text(
            "ConnectionStringPrefix",
            "First label of the new host name.",
        )
        .default("the InstanceId plus a suffix"),
        ParameterSpec::text("Port", "Port.")
            .default("3306")
            .constraints("3200..3999")
            .range(3200, 3999),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        ErrorSpec::new("InvalidPort.Malformed", 400, "not an integer in 3200..3999"),
        ErrorSpec::new(
            "InvalidConnectionStringPrefix.Malformed",
            400,
            "not a DNS label",
        ),
        ErrorSpec::new(
            "InvalidConnectionStringPrefix.Duplicate",
            400,
            "prefix taken",
        ),
        ErrorSpec::new(
            "PublicConnectionExists",
            403,
            "a public endpoint exists already",
        ),
        ErrorSpec::new("NetTypeExists", 403, "same meaning, older code"),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("ConnectionStringPrefix", "{ConnectionStringPrefix}"),
        ("Port", "{PublicPort}"),
    ],
    availability: Availability::Planned,
};
