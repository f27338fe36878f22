//! ModifyBackupPolicy.

use openpeta_types::{BackupPeriod, BackupWindow, DbName, InstanceId, RetentionDays};

use crate::actions::common::{
    DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::{check_required, db_name};
use crate::params::decimal;
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// Days of the week with commas between, or the word for none of them.
const PERIOD_PATTERN: &str = r"^\s*(None|(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\s*(,\s*(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\s*)*)\s*$";

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ModifyBackupPolicy,
    name: "ModifyBackupPolicy",
    aliases: &[],
    section: Section::Backups,
    description: "Changes when and how a database is backed up. Parameters left out keep their \
        values. Backups by policy are taken and kept as it says; logs are not backed up yet.",
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
            .constraints("HH:mmZ-HH:mmZ")
            .pattern("^[0-9]{2}:[0-9]{2}Z- ?[0-9]{2}:[0-9]{2}Z$"),
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
            .constraints("comma-separated; or None, which turns automatic backups off")
            .pattern(PERIOD_PATTERN),
        ParameterSpec::text("BackupRetentionPeriod", "Days to keep backups.")
            .default("7")
            .constraints("integer 7..730")
            .range(7, 730),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        DB_NOT_FOUND,
        DB_STATUS,
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
};

/// A checked ModifyBackupPolicy; what is `None` keeps its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModifyBackupPolicyRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// Whether the binary log is backed up.
    pub is_binlog_enabled: Option<bool>,
    /// At which time of the day.
    pub window: Option<BackupWindow>,
    /// On which days.
    pub period: Option<BackupPeriod>,
    /// For how long sets are kept.
    pub retention: Option<RetentionDays>,
}

impl ApiRequest for ModifyBackupPolicyRequest {
    const ACTION: Action = Action::ModifyBackupPolicy;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let retention = |text: &str| RetentionDays::new(decimal(text)?).ok();
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
            is_binlog_enabled: params.boolean("EnableBinlogBackup")?,
            window: window(params)?,
            period: params.choice("PreferredBackupPeriod", |text| {
                BackupPeriod::parse(text).ok()
            })?,
            retention: params.choice("BackupRetentionPeriod", retention)?,
        })
    }
}

fn window(params: &Params) -> Result<Option<BackupWindow>, ApiError> {
    const NAME: &str = "PreferredBackupTime";
    let text = params.get(NAME);
    text.map(|text| BackupWindow::parse(text).map_err(|_| ApiError::malformed(NAME)))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(changes: &[(&str, &str)]) -> Result<ModifyBackupPolicyRequest, ApiError> {
        let mut pairs = vec![("InstanceId", "pd-a"), ("DBName", "shop")];
        pairs.extend_from_slice(changes);
        let params = Params::from_pairs(pairs).expect("unique names");
        ModifyBackupPolicyRequest::from_params(&params)
    }

    #[test]
    fn what_is_left_out_keeps_its_value() {
        let read = request(&[("BackupRetentionPeriod", "730")]).expect("right");
        assert_eq!(read.retention.map(RetentionDays::days), Some(730));
        assert_eq!(
            (read.is_binlog_enabled, read.window, read.period),
            (None, None, None)
        );
    }

    #[test]
    fn wrong_values_have_their_codes() {
        for (name, value, suffix) in [
            ("PreferredBackupTime", "18:00-19:00", "Malformed"),
            ("PreferredBackupPeriod", "Freitag", "ValueNotSupported"),
            ("BackupRetentionPeriod", "6", "ValueNotSupported"),
            ("BackupRetentionPeriod", "731", "ValueNotSupported"),
            ("BackupRetentionPeriod", "7d", "ValueNotSupported"),
            ("EnableBinlogBackup", "maybe", "ValueNotSupported"),
        ] {
            let error = request(&[(name, value)]).expect_err(value);
            assert_eq!(error.code, format!("Invalid{name}.{suffix}"));
        }
        let params = Params::from_pairs([("InstanceId", "pd-a"), ("DBName", "no such name")]);
        let error = ModifyBackupPolicyRequest::from_params(&params.expect("unique names"));
        assert_eq!(error, Err(ApiError::db_not_found()));
    }
}
