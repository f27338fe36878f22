//! DescribeDatabases.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeDatabases,
    name: "DescribeDatabases",
    aliases: &[],
    section: Section::Databases,
    description: "Lists the databases of an instance.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[INSTANCE_ID, ParameterSpec::text("DBName", "Filter.")],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::list(
            "Databases",
            "Database",
            &[
                FieldSpec::text("InstanceId", "Instance identifier."),
                FieldSpec::text("DBName", "Database name."),
                FieldSpec::text("DBStatus", "Status of the database.").allowed(&[
                    "CREATE", "ACTIVE", "MODIFY", "DELETE", "MIGRATE", "APPEND", "INACTIVE",
                ]),
                FieldSpec::text("NodeSpec", "Node class."),
                FieldSpec::integer("NodeNumber", "Number of nodes."),
                FieldSpec::text("ChargeType", "Billing mode.").allowed(&["PrePaid", "PostPaid"]),
                FieldSpec::time("CreateTime", "Time of creation."),
                FieldSpec::time("EndTime", "Expiry, 2999-09-08T16:00:00Z for PostPaid."),
                FieldSpec::text("DBType", "Role of the database.").allowed(&["Primary"]),
                FieldSpec::text(
                    "SourceInstanceId",
                    "Empty text when the database was not restored from elsewhere.",
                ),
            ],
            "Databases.",
        ),
    ],
    errors: &[MISSING_PARAMETER, INSTANCE_NOT_FOUND, FORBIDDEN_RAM],
    availability: Availability::Available,
};
