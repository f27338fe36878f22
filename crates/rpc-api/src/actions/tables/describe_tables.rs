//! DescribeTables.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeTables,
    name: "DescribeTables",
    aliases: &[],
    section: Section::Tables,
    description: "Lists the tables of a database.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::text("DBName", "Database name."),
        FieldSpec::list(
            "Tables",
            "Table",
            &[
                FieldSpec::text("TableName", "Table name."),
                FieldSpec::text("PartitionKey", "Column that distributes the rows."),
                FieldSpec::text("PrimaryKey", "Primary key."),
                FieldSpec::text("TableStatus", "Status of the table.").allowed(&[
                    "CREATE", "ACTIVE", "MODIFY", "DELETE", "MIGRATE", "APPEND", "INACTIVE",
                ]),
            ],
            "Tables.",
        ),
    ],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        DB_NOT_FOUND,
        FORBIDDEN_RAM,
    ],
    example: &[("InstanceId", "{InstanceId}"), ("DBName", "{DBName}")],
    availability: Availability::Planned,
};
