//! DescribeBackupPolicy.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeBackupPolicy,
    name: "DescribeBackupPolicy",
    aliases: &[],
    section: Section::Backups,
    description: "Shows the backup settings of a database.",
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
        FieldSpec::boolean("EnableBinlogBackup", "Whether the binary log is backed up."),
        FieldSpec::text("BackupRetentionPeriod", "7..730."),
        FieldSpec::text("PreferredBackupTime", "Daily window in UTC."),
        FieldSpec::text(
            "PreferredBackupPeriod",
            "Weekdays, comma-separated, or None.",
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
