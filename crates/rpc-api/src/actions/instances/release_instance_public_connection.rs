//! ReleaseInstancePublicConnection.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ReleaseInstancePublicConnection,
    name: "ReleaseInstancePublicConnection",
    aliases: &[],
    section: Section::Instances,
    description: "Removes the public endpoint of an instance.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE"],
    parameters: &[
        ParameterSpec::text(
            "DBInstanceId",
            "Instance identifier (these newer actions use the name DBInstanceId).",
        )
        .required()
        .aliases(&["InstanceId"]),
        ParameterSpec::text(
            "CurrentConnectionString",
            "Host name of the endpoint to remove.",
        )
        .required(),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        ErrorSpec::new(
            "InvalidCurrentConnectionString.NotFound",
            400,
            "no such endpoint",
        ),
        ErrorSpec::new(
            "OperationDenied.DBInstanceNetType",
            403,
            "not a public endpoint",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("DBInstanceId", "{InstanceId}"),
        ("CurrentConnectionString", "{PublicConnectionString}"),
    ],
    availability: Availability::Planned,
};
