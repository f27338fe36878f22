//! ModifyDatabaseNodesNumber.

use crate::Action;
use crate::actions::common::{
    CLIENT_TOKEN, DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND,
    INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID, TOKEN_MISMATCH,
};
use crate::spec::{ActionSpec, Availability, HttpsRule, ParameterSpec, RamResource, Section};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ModifyDatabaseNodesNumber,
    name: "ModifyDatabaseNodesNumber",
    aliases: &[],
    section: Section::Databases,
    description: "Scales a database out or in.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "instance is not locked"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::integer("ActionType", "Direction of the change."),
        ParameterSpec::text("Parameter", "Details of the change."),
        ParameterSpec::boolean("AutoPay", "Pay the order at once."),
        CLIENT_TOKEN,
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        DB_NOT_FOUND,
        TOKEN_MISMATCH,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("DBName", "{DBName}"),
        ("Parameter", "1"),
    ],
    availability: Availability::Planned,
};
