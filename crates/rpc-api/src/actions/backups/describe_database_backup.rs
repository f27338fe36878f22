//! DescribeDatabaseBackup.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeDatabaseBackup,
    name: "DescribeDatabaseBackup",
    aliases: &[],
    section: Section::Backups,
    description: "Pages through the backup sets of a database taken in a time window. Only sets in \
        state Success can be restored.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::text("BackupStatus", "Filter.").allowed(&["Success", "Failed"]),
        ParameterSpec::text("BackupMode", "Filter.").allowed(&["Automated", "Manual"]),
        ParameterSpec::text("BackupId", "Filter."),
        ParameterSpec::time("StartTime", "Start of the time window.").required(),
        ParameterSpec::time("EndTime", "After StartTime.").required(),
        ParameterSpec::integer("PageSize", "Records per page.")
            .default("30")
            .allowed(&["30", "50", "100"]),
        ParameterSpec::integer("PageNumber", "Page, from 1.")
            .default("1")
            .constraints("> 0, <= 2147483647")
            .range(1, i32::MAX as u32),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::text("DBName", "Database name."),
        FieldSpec::integer("BackupTotalSize", "Bytes of all listed sets."),
        FieldSpec::integer("TotalRecordCount", "Matching backup sets over all pages."),
        FieldSpec::integer("PageNumber", "Page shown."),
        FieldSpec::integer("PageRecordCount", "Records on this page."),
        FieldSpec::list(
            "BackupItems",
            "Backup",
            &[
                FieldSpec::integer("BackupId", "JSON number in the example."),
                FieldSpec::text("BackupStatus", "Status of the backup set.")
                    .allowed(&["Progress", "Success", "Failed"]),
                FieldSpec::time("BackupStartTime", "When the backup began."),
                FieldSpec::time("BackupEndTime", "When the backup ended.").optional(),
                FieldSpec::text("BackupType", "Full or incremental.")
                    .optional()
                    .allowed(&["FullBackup", "IncrementalBackup"]),
                FieldSpec::text("BackupMode", "Automatic or manual.")
                    .allowed(&["Automated", "Manual"]),
                FieldSpec::text("BackupMethod", "How the backup was taken.")
                    .optional()
                    .allowed(&["Logical", "Physical", "Snapshot"]),
                FieldSpec::text("BackupDownloadURL", "Address to fetch the backup set from.")
                    .optional(),
                FieldSpec::integer("BackupSize", "Size in bytes."),
                FieldSpec::integer(
                    "BackupNodeNumber",
                    "Number of nodes at the time of the backup.",
                ),
                FieldSpec::text("BackupNodeClass", "Node class at the time of the backup."),
            ],
            "Backup sets on the page.",
        ),
    ],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        DB_NOT_FOUND,
        ErrorSpec::new(
            "InvalidStartTime.Malformed",
            400,
            "StartTime does not parse",
        ),
        ErrorSpec::new("InvalidEndTime.Malformed", 400, "EndTime does not parse"),
        ErrorSpec::new(
            "InvalidStartTimeAndEndTime.Malformed",
            400,
            "EndTime earlier than StartTime",
        ),
        ErrorSpec::new(
            "InvalidBackupStatus.ValueNotSupported",
            400,
            "unknown status",
        ),
        ErrorSpec::new("InvalidBackupMode.ValueNotSupported", 400, "unknown mode"),
        ErrorSpec::new(
            "InvalidPageSize.ValueNotSupported",
            400,
            "not an allowed size",
        ),
        ErrorSpec::new(
            "InvalidPageNumber.Malformed",
            400,
            "not a positive 32-bit integer",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("DBName", "{DBName}"),
        ("StartTime", "2019-01-01T00:00Z"),
        ("EndTime", "2999-01-01T00:00Z"),
    ],
    availability: Availability::Planned,
};
