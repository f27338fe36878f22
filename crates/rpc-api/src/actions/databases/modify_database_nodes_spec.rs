//! ModifyDatabaseNodesSpec.

use crate::Action;
use crate::actions::common::{
    CLIENT_TOKEN, DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND,
    INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID, TOKEN_MISMATCH,
};
use crate::spec::{ActionSpec, Availability, HttpsRule, ParameterSpec, RamResource, Section};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ModifyDatabaseNodesSpec,
    name: "ModifyDatabaseNodesSpec",
    aliases: &[],
    section: Section::Databases,
    description: "Changes the node class of a database.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "instance is not locked"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::text("NewNodeSpec", "New node class.").required(),
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
        ("NewNodeSpec", "petadata.s2.2xlarge"),
    ],
    availability: Availability::Planned,
};
