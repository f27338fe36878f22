//! DescribeInstanceInfoByConnection.

use crate::Action;
use crate::actions::common::{FORBIDDEN_RAM, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID};
use crate::spec::{
    ActionSpec, Availability, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeInstanceInfoByConnection,
    name: "DescribeInstanceInfoByConnection",
    aliases: &[],
    section: Section::Instances,
    description: "Finds an instance by one of its host names.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[ParameterSpec::text("ConnectionString", "Host name of an endpoint.").required()],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::text("InstanceName", "Display name."),
        FieldSpec::text("RegionId", "Region."),
        FieldSpec::text("ZoneId", "Zone."),
        FieldSpec::text("InstanceStatus", "Status of the instance."),
        FieldSpec::list(
            "NetworkInfoItems",
            "NetworkInfoItem",
            &[
                FieldSpec::text("NetworkType", "Network type."),
                FieldSpec::text("ConnectionString", "Host name or address."),
                FieldSpec::text("Port", "Port."),
                FieldSpec::text("VpcId", "Only for VPC endpoints.").optional(),
                FieldSpec::text("VSwitchId", "Only for VPC endpoints.").optional(),
                FieldSpec::text("PrivateIpAddress", "Address in the VSwitch.").optional(),
            ],
            "Endpoints.",
        ),
        FieldSpec::list(
            "Databases",
            "Database",
            &[
                FieldSpec::text("DBName", "Database name."),
                FieldSpec::text("ChargeType", "Billing mode of the database.")
                    .allowed(&["PrePaid", "PostPaid"]),
            ],
            "Databases of the instance (short form).",
        ),
    ],
    errors: &[MISSING_PARAMETER, INSTANCE_NOT_FOUND, FORBIDDEN_RAM],
    example: &[("ConnectionString", "{ConnectionString}")],
    availability: Availability::Planned,
};
