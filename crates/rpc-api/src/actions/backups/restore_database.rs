//! RestoreDatabase.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID, TOKEN_MISMATCH,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::RestoreDatabase,
    name: "RestoreDatabase",
    aliases: &[],
    section: Section::Backups,
    description: "Restores a database into a new instance, from a backup set or to a point in \
        time.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[
        "source instance is ACTIVE",
        "source instance has no migration running",
        "source instance is not locked",
        "the backup set is Success",
    ],
    parameters: &[
        ParameterSpec::text("SrcInstanceId", "Source instance.").required(),
        ParameterSpec::text("SrcDBName", "Source database.").required(),
        ParameterSpec::text("InstanceName", "Display name of the new instance."),
        ParameterSpec::time("RestoreTime", "Point in time, in the past."),
        ParameterSpec::text("BackupId", "Backup set."),
        ParameterSpec::text(
            "RestoreType",
            "0 by backup set (BackupId needed), 1 by time (RestoreTime needed).",
        )
        .default("0")
        .allowed(&["0", "1"]),
        ParameterSpec::text("ClientToken", "Idempotency key."),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("NewInstanceId", "The new instance."),
        FieldSpec::text("DBName", "Database name.").optional(),
        FieldSpec::text("OrderId", "Order identifier."),
    ],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        DB_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        ErrorSpec::new("InvalidBackupId.NotFound", 404, "no such backup set"),
        ErrorSpec::new(
            "OperationDenied.BackupStatus",
            403,
            "backup set not Success",
        ),
        ErrorSpec::new(
            "OperationDenied.NotFoundBackup",
            403,
            "no backup covers RestoreTime",
        ),
        ErrorSpec::new("InvalidRestoreTime.Malformed", 400, "bad or future time"),
        TOKEN_MISMATCH,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("SrcInstanceId", "{InstanceId}"),
        ("SrcDBName", "{DBName}"),
        ("BackupId", "{BackupId}"),
    ],
    availability: Availability::Planned,
};
