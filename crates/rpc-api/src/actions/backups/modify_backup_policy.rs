//! ModifyBackupPolicy.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ModifyBackupPolicy,
    name: "ModifyBackupPolicy",
    aliases: &[],
    section: Section::Backups,
    description: "Changes when and how a database is backed up.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::boolean("EnableBinlogBackup", "Back up the binary log."),
        ParameterSpec::text("PreferredBackupTime", "Daily window in UTC.")
            .constraints("HH:mmZ-HH:mmZ"),
        ParameterSpec::text("PreferredBackupPeriod", "Weekdays, comma-separated.")
            .allowed(&[
                "Monday",
                "Tuesday",
                "Wednesday",
                "Thursday",
                "Friday",
                "Saturday",
                "Sunday",
            ])
            .constraints("comma-separated; or None, which turns automatic backups off"),
        ParameterSpec::text("BackupRetentionPeriod", "Days to keep backups.")
            .default("7")
            .constraints("integer 7..730"),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        DB_NOT_FOUND,
        ErrorSpec::new("InvalidPreferredBackupTime.Malformed", 400, "bad window"),
        ErrorSpec::new(
            "InvalidPreferredBackupPeriod.ValueNotSupported",
            400,
            "unknown weekday",
        ),
        ErrorSpec::new(
            "InvalidBackupRetentionPeriod.ValueNotSupported",
            400,
            "outside 7..730",
        ),
        ErrorSpec::new(
            "InvalidEnableBinlogBackup.ValueNotSupported",
            400,
            "not a boolean",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("DBName", "{DBName}"),
        ("PreferredBackupPeriod", "Monday,Thursday"),
        ("PreferredBackupTime", "18:00Z-19:00Z"),
        ("BackupRetentionPeriod", "7"),
    ],
    availability: Availability::Planned,
};
