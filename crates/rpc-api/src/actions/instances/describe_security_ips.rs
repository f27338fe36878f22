//! DescribeSecurityIPs.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{ActionSpec, Availability, FieldSpec, HttpsRule, RamResource, Section};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeSecurityIPs,
    name: "DescribeSecurityIPs",
    aliases: &[],
    section: Section::Instances,
    description: "Lists the whitelist groups of an instance.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[INSTANCE_ID],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::text(
            "SecurityIPList",
            "Content of the default group, comma-separated.",
        ),
        FieldSpec::list(
            "SecurityIPs",
            "SecurityIpGroup",
            &[
                FieldSpec::text("SecurityIPListName", "Group name."),
                FieldSpec::text("SecurityIPListAttribute", "Group label, may be empty."),
                FieldSpec::text("SecurityIPList", "Comma-separated entries."),
            ],
            "Whitelist groups.",
        ),
    ],
    errors: &[MISSING_PARAMETER, INSTANCE_NOT_FOUND, FORBIDDEN_RAM],
    availability: Availability::Available,
};
