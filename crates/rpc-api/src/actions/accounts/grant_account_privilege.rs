//! GrantAccountPrivilege.

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
    action: Action::GrantAccountPrivilege,
    name: "GrantAccountPrivilege",
    aliases: &[],
    section: Section::Accounts,
    description: "Gives an account a privilege set on databases.",
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
        ParameterSpec::text("AccountPrivilege", "Privilege set.")
            .required()
            .allowed(&["ReadWrite", "ReadOnly", "DDLOnly", "DMLOnly"]),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        ErrorSpec::new("InvalidAccountName.NotFound", 404, "no such account"),
        DB_NOT_FOUND,
        ErrorSpec::new(
            "InvalidAccountPrivilege.ValueNotSupported",
            400,
            "unknown privilege set",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("DBInstanceId", "{InstanceId}"),
        ("AccountName", "{AccountName}"),
        ("DBName", "{DBName}"),
        ("AccountPrivilege", "ReadWrite"),
    ],
    availability: Availability::Planned,
};
