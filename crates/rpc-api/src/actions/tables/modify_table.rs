//! ModifyTable.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{ActionSpec, Availability, HttpsRule, ParameterSpec, RamResource, Section};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ModifyTable,
    name: "ModifyTable",
    aliases: &[],
    section: Section::Tables,
    description: "Alters a table by a DDL text.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "database is ACTIVE"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::text("TableDDL", "The SQL statement.").required(),
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
        (
            "TableDDL",
            "ALTER TABLE orders ADD COLUMN note VARCHAR(200)",
        ),
    ],
    availability: Availability::Planned,
};
