//! RevokeAccountPrivilege.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::RevokeAccountPrivilege,
    name: "RevokeAccountPrivilege",
    aliases: &[],
    section: Section::Accounts,
    description: "Takes all privileges of an account on databases away.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "instance is not locked"],
    parameters: &[
        ParameterSpec::text(
            "DBInstanceId",
            "Instance identifier (these newer actions use the name DBInstanceId).",
        )
        .required()
        .aliases(&["InstanceId"]),
        ParameterSpec::text("AccountName", "Account.").required(),
        ParameterSpec::text("DBName", "Databases, comma-separated.").required(),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        ErrorSpec::new("InvalidAccountName.NotFound", 404, "no such account"),
        DB_NOT_FOUND,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("DBInstanceId", "{InstanceId}"),
        ("AccountName", "{AccountName}"),
        ("DBName", "{DBName}"),
    ],
    availability: Availability::Planned,
};
