//! TruncateTable.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{ActionSpec, Availability, HttpsRule, ParameterSpec, RamResource, Section};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::TruncateTable,
    name: "TruncateTable",
    aliases: &[],
    section: Section::Tables,
    description: "Empties a table.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "database is ACTIVE"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::text("TableName", "Table name.").required(),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        DB_NOT_FOUND,
        DB_STATUS,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("DBName", "{DBName}"),
        ("TableName", "orders"),
    ],
    availability: Availability::Planned,
};
