//! DeleteDatabase.

use crate::Action;
use crate::actions::common::{
    CLIENT_TOKEN, DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED,
    INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID, TOKEN_MISMATCH,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DeleteDatabase,
    name: "DeleteDatabase",
    aliases: &[],
    section: Section::Databases,
    description: "Drops a database and its data.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[
        "instance status is ACTIVE",
        "instance is a primary instance",
        "it is not the only database of the instance",
    ],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        CLIENT_TOKEN,
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        DB_NOT_FOUND,
        DB_STATUS,
        ErrorSpec::new("OperationDenied.NoDatabase", 403, "it is the only database"),
        ErrorSpec::new(
            "OperationDenied.DBInstanceType",
            400,
            "not a primary instance",
        ),
        TOKEN_MISMATCH,
        FORBIDDEN_RAM,
    ],
    example: &[("InstanceId", "{InstanceId}"), ("DBName", "{DBName}")],
    availability: Availability::Planned,
};
