//! CreateDatabaseBackup.

use openpeta_types::{BackupId, DbName, InstanceId};

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
    description: "Starts a manual backup of a database: a full logical one. Clients go on \
        working with the database meanwhile.",
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
};

/// A checked CreateDatabaseBackup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateDatabaseBackupRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
}

impl ApiRequest for CreateDatabaseBackupRequest {
    const ACTION: Action = Action::CreateDatabaseBackup;
    type Response = CreateDatabaseBackupResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
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
