//! DescribeDatabaseList.

use crate::Action;
use crate::actions::common::{FORBIDDEN_RAM, REQUEST_ID};
use crate::spec::{
    ActionSpec, Availability, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeDatabaseList,
    name: "DescribeDatabaseList",
    aliases: &[],
    section: Section::Databases,
    description: "Pages through all databases of the account.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::AnyInstance,
    preconditions: &[],
    parameters: &[
        ParameterSpec::text("InstanceId", "Filter."),
        ParameterSpec::text("InstanceStatus", "Filter."),
        ParameterSpec::text("ChargeType", "Filter."),
        ParameterSpec::integer("PageNumber", "Page, from 1."),
        ParameterSpec::integer("PageSize", "Records per page."),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::integer("PageNumber", "Page shown."),
        FieldSpec::integer("PageSize", "Records per page."),
        FieldSpec::integer("TotalCount", "Matching records over all pages."),
        FieldSpec::list(
            "Databases",
            "Database",
            &[
                FieldSpec::text("InstanceId", "Instance identifier."),
                FieldSpec::text("InstanceName", "Display name."),
                FieldSpec::text("RegionId", "Region."),
                FieldSpec::text("ZoneId", "Zone."),
                FieldSpec::text("InstanceStatus", "Status of the instance."),
                FieldSpec::text("DBName", "Database name."),
                FieldSpec::text("NodeSpec", "Node class."),
                FieldSpec::integer("NodeNumber", "Number of nodes."),
                FieldSpec::text("ChargeType", "Billing mode."),
                FieldSpec::text("CreateTime", "Time of creation."),
                FieldSpec::text("EndTime", "Expiry."),
                FieldSpec::text("NetworkType", "Network type."),
                FieldSpec::text("VPCId", "VPC."),
                FieldSpec::text("VSwitchId", "Only for VPC endpoints."),
            ],
            "Databases.",
        ),
    ],
    errors: &[FORBIDDEN_RAM],
    example: &[("PageNumber", "1"), ("PageSize", "30")],
    availability: Availability::Planned,
};
