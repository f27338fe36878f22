//! DescribeTableInfo.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeTableInfo,
    name: "DescribeTableInfo",
    aliases: &[],
    section: Section::Tables,
    description: "Shows the columns and keys of one table.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::text("TableName", "Table name.").required(),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::text(
            "DBName",
            "In the example and SDK; the public table lists InstanceName instead.",
        ),
        FieldSpec::text("TableName", "Table name."),
        FieldSpec::text("PartitionKey", "Column that distributes the rows."),
        FieldSpec::text("PrimaryKey", "Primary key."),
        FieldSpec::list(
            "Columns",
            "Column",
            &[
                FieldSpec::text("ColumnName", "Column name."),
                FieldSpec::text("ColumnDataType", "Upper-case type name, e.g. INT."),
                FieldSpec::integer("ColumnDataLength", "Length; 4 for INT in the example."),
                FieldSpec::boolean("IsNull", "Nullable."),
            ],
            "Columns.",
        ),
    ],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        DB_NOT_FOUND,
        ErrorSpec::new("InvalidTableName.NotFound", 404, "no such table"),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("DBName", "{DBName}"),
        ("TableName", "orders"),
    ],
    availability: Availability::Planned,
};
