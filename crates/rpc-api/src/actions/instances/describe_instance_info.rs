//! DescribeInstanceInfo.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{ActionSpec, Availability, FieldSpec, HttpsRule, RamResource, Section};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeInstanceInfo,
    name: "DescribeInstanceInfo",
    aliases: &[],
    section: Section::Instances,
    description: "Shows one instance with its endpoints and databases.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[INSTANCE_ID],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::text("InstanceName", "Display name.").optional(),
        FieldSpec::text("RegionId", "Region."),
        FieldSpec::text("ZoneId", "Zone."),
        FieldSpec::text("InstanceStatus", "Status of the instance."),
        FieldSpec::list(
            "NetworkInfoItems",
            "NetworkInfoItem",
            &[
                FieldSpec::text("NetworkType", "Kind of endpoint.")
                    .allowed(&["PUBLIC", "INTERNAL", "VPC"]),
                FieldSpec::text("ConnectionString", "Host name."),
                FieldSpec::text("Port", "Port, as text."),
                FieldSpec::text("VpcId", "Only for VPC endpoints.").optional(),
                FieldSpec::text("VSwitchId", "Only for VPC endpoints.").optional(),
                FieldSpec::text("PrivateIpAddress", "Only for VPC endpoints.").optional(),
            ],
            "Endpoints; PUBLIC appears after AllocateInstancePublicConnection.",
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
    availability: Availability::Available,
};
