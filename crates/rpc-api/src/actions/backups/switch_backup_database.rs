//! SwitchBackupDatabase.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{ActionSpec, Availability, HttpsRule, ParameterSpec, RamResource, Section};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::SwitchBackupDatabase,
    name: "SwitchBackupDatabase",
    aliases: &[],
    section: Section::Backups,
    description: "Swaps a database with its restored copy in another instance.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE"],
    parameters: &[
        ParameterSpec::text("SourceInstanceId", "Instance that holds the original.").required(),
        ParameterSpec::text("NewInstanceId", "Instance that holds the restored copy.").required(),
        ParameterSpec::text("DBName", "Database name.").required(),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        DB_NOT_FOUND,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("SourceInstanceId", "{InstanceId}"),
        ("NewInstanceId", "{NewInstanceId}"),
        ("DBName", "{DBName}"),
    ],
    availability: Availability::Planned,
};
