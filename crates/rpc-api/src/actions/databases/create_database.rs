//! CreateDatabase.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID, TOKEN_MISMATCH,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::CreateDatabase,
    name: "CreateDatabase",
    aliases: &[],
    section: Section::Databases,
    description: "Adds a database to an instance.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "instance is not locked"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::text("NodeSpec", "Node class.").required(),
        ParameterSpec::integer("NodeNumber", "Number of nodes.").required(),
        ParameterSpec::text("Token", "Idempotency key.").aliases(&["ClientToken"]),
    ],
    response: &[REQUEST_ID, FieldSpec::text("OrderId", "Order identifier.")],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        ErrorSpec::new("InvalidDBName.Malformed", 400, "bad name"),
        ErrorSpec::new("InvalidParameter.Keyword", 400, "reserved keyword"),
        ErrorSpec::new("InvalidDBName.Duplicate", 400, "name taken"),
        ErrorSpec::new("QuotaExceeded.DBName", 400, "database quota used up"),
        TOKEN_MISMATCH,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("DBName", "{NewDBName}"),
        ("NodeSpec", "petadata.s2.xlarge"),
        ("NodeNumber", "1"),
    ],
    availability: Availability::Planned,
};
