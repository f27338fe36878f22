//! CreateDatabaseBackup.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND,
    INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::CreateDatabaseBackup,
    name: "CreateDatabaseBackup",
    aliases: &[],
    section: Section::Backups,
    description: "Starts a manual backup of a database.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[
        "instance status is ACTIVE",
        "instance is not locked",
        "no backup running",
    ],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
    ],
    response: &[REQUEST_ID, FieldSpec::text("BackupId", "Text here.")],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        DB_NOT_FOUND,
        DB_STATUS,
        ErrorSpec::new(
            "OperationDenied.BackupJobExists",
            403,
            "a backup is running",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[("InstanceId", "{InstanceId}"), ("DBName", "{DBName}")],
    availability: Availability::Planned,
};
