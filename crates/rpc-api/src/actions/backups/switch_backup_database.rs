//! SwitchBackupDatabase.

use openpeta_types::{DbName, InstanceId};

use crate::actions::common::{
    DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::{check_required, db_name};
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::SwitchBackupDatabase,
    name: "SwitchBackupDatabase",
    aliases: &[],
    section: Section::Backups,
    description: "Swaps a database with its restored copy in another instance. Afterwards the \
        source instance serves the restored content at its own endpoints, with its own accounts, \
        and the new instance serves what the source served until then. Called once more it \
        swaps back. The caller needs the permission on both instances.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[
        "instance status is ACTIVE",
        "so is the status of the new instance, and of the database in both",
        "neither instance is locked, and no task is under way on either",
        "RestoreDatabase made the new instance from the database of the source instance",
        "neither instance has another database",
    ],
    parameters: &[
        ParameterSpec::text("SourceInstanceId", "Instance that holds the original.").required(),
        ParameterSpec::text("NewInstanceId", "Instance that holds the restored copy.").required(),
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::boolean(
            "ReleaseReplaced",
            "Extension: whether the new instance, with what the source instance served until \
             then, is released by itself some days later, as the service is configured. Needs \
             the permission to delete it.",
        )
        .default("false"),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        DB_NOT_FOUND,
        DB_STATUS,
        ErrorSpec::new(
            "OperationDenied.DBInstanceId",
            403,
            "both instances are the same",
        ),
        ErrorSpec::new(
            "OperationDenied.NotFoundBackup",
            403,
            "the database of the new instance was not restored from the source instance",
        ),
        ErrorSpec::new(
            "OperationDenied.DBInstanceType",
            403,
            "one of the instances has another database",
        ),
        ErrorSpec::new(
            "OperationDenied.BackupJobExists",
            403,
            "a backup of one of the databases is under way",
        ),
        ErrorSpec::new(
            "InvalidReleaseReplaced.ValueNotSupported",
            400,
            "neither true nor false",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("SourceInstanceId", "{InstanceId}"),
        ("NewInstanceId", "{NewInstanceId}"),
        ("DBName", "{DBName}"),
    ],
};

/// A checked SwitchBackupDatabase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchBackupDatabaseRequest {
    /// The instance whose endpoints get the restored content.
    pub source_instance_id: InstanceId,
    /// The instance that RestoreDatabase made.
    pub new_instance_id: InstanceId,
    /// The database, in both.
    pub db_name: DbName,
    /// Whether the new instance goes by itself once its days are over.
    pub releases_replaced: bool,
}

impl ApiRequest for SwitchBackupDatabaseRequest {
    const ACTION: Action = Action::SwitchBackupDatabase;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            source_instance_id: params.named_instance("SourceInstanceId")?,
            new_instance_id: params.named_instance("NewInstanceId")?,
            db_name: db_name(params, "DBName")?,
            releases_replaced: params.boolean("ReleaseReplaced")?.unwrap_or_default(),
        })
    }
}
