//! CreateTable.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{ActionSpec, Availability, HttpsRule, ParameterSpec, RamResource, Section};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::CreateTable,
    name: "CreateTable",
    aliases: &[],
    section: Section::Tables,
    description: "Creates a table from a DDL text.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "database is ACTIVE"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::text("PartitionKey", "Column that distributes the rows."),
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
            "CREATE TABLE orders (id INT PRIMARY KEY, total DECIMAL(10,2))",
        ),
    ],
    availability: Availability::Planned,
};
