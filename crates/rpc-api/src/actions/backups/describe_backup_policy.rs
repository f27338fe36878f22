//! DescribeBackupPolicy.

use openpeta_types::{BackupPeriod, BackupWindow, DbName, InstanceId, RetentionDays};

use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::{check_required, db_name};
use crate::spec::{ActionSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

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
};

/// A checked DescribeBackupPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeBackupPolicyRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
}

impl ApiRequest for DescribeBackupPolicyRequest {
    const ACTION: Action = Action::DescribeBackupPolicy;
    type Response = DescribeBackupPolicyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
        })
    }
}

/// The answer to DescribeBackupPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeBackupPolicyResponse {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// Whether the binary log is backed up.
    pub is_binlog_enabled: bool,
    /// For how long sets are kept.
    pub retention: RetentionDays,
    /// At which time of the day.
    pub window: BackupWindow,
    /// On which days.
    pub period: BackupPeriod,
}

impl ApiResponse for DescribeBackupPolicyResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.text("InstanceId", self.instance_id.as_str());
        writer.text("DBName", self.db_name.as_str());
        writer.boolean("EnableBinlogBackup", self.is_binlog_enabled);
        writer.display("BackupRetentionPeriod", &self.retention);
        writer.display("PreferredBackupTime", &self.window);
        writer.display("PreferredBackupPeriod", &self.period);
    }
}
