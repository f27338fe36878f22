//! CreateDatabaseBackup.

use openpeta_types::{BackupId, BackupMethod, BackupType, DbName, InstanceId};

use crate::actions::common::{
    DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND,
    INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::{check_required, db_name};
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::CreateDatabaseBackup,
    name: "CreateDatabaseBackup",
    aliases: &[],
    section: Section::Backups,
    description: "Starts a manual backup of a database: a full one. Clients go on working with \
        the database meanwhile.",
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
        ParameterSpec::text(
            "BackupMethod",
            "Extension: Logical for SQL text, Physical for data files. Without it, as the service is configured.",
        )
        .allowed(&["Logical", "Physical"]),
        ParameterSpec::text(
            "BackupType",
            "Extension: FullBackup, or IncrementalBackup for what was written since the newest set of data files.",
        )
        .default("FullBackup")
        .allowed(&["FullBackup", "IncrementalBackup"]),
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
        ErrorSpec::new(
            "InvalidBackupMethod.ValueNotSupported",
            400,
            "neither Logical nor Physical",
        ),
        ErrorSpec::new(
            "InvalidBackupType.ValueNotSupported",
            400,
            "neither FullBackup nor IncrementalBackup",
        ),
        ErrorSpec::new(
            "OperationDenied.BackupMethod",
            403,
            "an incremental backup is asked for as SQL text, or data files of a database that is spread over nodes",
        ),
        ErrorSpec::new(
            "OperationDenied.NotFoundBackup",
            403,
            "there is no set of data files that an incremental backup could go on from",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[("InstanceId", "{InstanceId}"), ("DBName", "{DBName}")],
};

/// A checked CreateDatabaseBackup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateDatabaseBackupRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// How the set is to be taken; as configured when absent.
    pub method: Option<BackupMethod>,
    /// Everything, or what was written since another set.
    pub backup_type: BackupType,
}

impl ApiRequest for CreateDatabaseBackupRequest {
    const ACTION: Action = Action::CreateDatabaseBackup;
    type Response = CreateDatabaseBackupResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
            method: params.choice("BackupMethod", |text| {
                BackupMethod::parse(text).filter(|method| *method != BackupMethod::Snapshot)
            })?,
            backup_type: params
                .choice("BackupType", BackupType::parse)?
                .unwrap_or(BackupType::Full),
        })
    }
}

/// The answer to CreateDatabaseBackup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateDatabaseBackupResponse {
    /// The set that is being taken.
    pub backup_id: BackupId,
}

impl ApiResponse for CreateDatabaseBackupResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.display("BackupId", &self.backup_id);
    }
}
