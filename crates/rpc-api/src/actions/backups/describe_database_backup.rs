//! DescribeDatabaseBackup.

use jiff::Timestamp;
use openpeta_types::{
    BackupId, BackupMethod, BackupMode, BackupStatus, BackupType, DbName, InstanceId, NodeSpec,
};

use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::{check_required, db_name};
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

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
                FieldSpec::text(
                    "Note",
                    "Extension: why it is another kind of set than was asked for, if it is.",
                )
                .optional(),
                FieldSpec::time(
                    "VerifiedTime",
                    "Extension: when it was restored for proof last, if it was.",
                )
                .optional(),
                FieldSpec::text(
                    "VerifyFailure",
                    "Extension: what that found to be wrong, if anything.",
                )
                .optional(),
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
};

/// The page sizes on offer; the first is the default.
const PAGE_SIZES: [u32; 3] = [30, 50, 100];

/// A checked DescribeDatabaseBackup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeDatabaseBackupRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// Only sets in this status.
    pub status: Option<BackupStatus>,
    /// Only sets asked for by this.
    pub mode: Option<BackupMode>,
    /// Only this set. As sent: one that there cannot be gives an empty page.
    pub backup_id: Option<String>,
    /// Start of the time window.
    pub start_time: Timestamp,
    /// End of the time window, not before its start.
    pub end_time: Timestamp,
    /// Page, from 1.
    pub page_number: u32,
    /// Records per page: 30, 50 or 100.
    pub page_size: u32,
}

impl ApiRequest for DescribeDatabaseBackupRequest {
    const ACTION: Action = Action::DescribeDatabaseBackup;
    type Response = DescribeDatabaseBackupResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let (start_time, end_time) = (params.time("StartTime")?, params.time("EndTime")?);
        if end_time < start_time {
            return Err(ApiError::end_before_start());
        }
        let ended = |text: &str| {
            BackupStatus::parse(text).filter(|status| *status != BackupStatus::Progress)
        };
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
            status: params.choice("BackupStatus", ended)?,
            mode: params.choice("BackupMode", BackupMode::parse)?,
            backup_id: params.get("BackupId").map(str::to_owned),
            start_time,
            end_time,
            page_number: params.page_number("PageNumber")?,
            page_size: params.page_size("PageSize", &PAGE_SIZES)?,
        })
    }
}

/// The answer to DescribeDatabaseBackup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeDatabaseBackupResponse {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// Bytes of all matching sets.
    pub total_size: u64,
    /// Matching sets over all pages.
    pub total_record_count: u32,
    /// Page shown.
    pub page_number: u32,
    /// Sets on the page, newest first.
    pub backups: Vec<BackupItem>,
}

/// A backup set in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupItem {
    /// Its number.
    pub backup_id: BackupId,
    /// How far it is.
    pub status: BackupStatus,
    /// When it was asked for.
    pub start_time: Timestamp,
    /// When it was whole, or failed.
    pub end_time: Option<Timestamp>,
    /// What it holds.
    pub backup_type: BackupType,
    /// Who asked for it.
    pub mode: BackupMode,
    /// How it was taken.
    pub method: BackupMethod,
    /// Where it can be fetched, by whoever has this link and until it expires.
    pub download_url: Option<String>,
    /// Bytes on disk.
    pub size: u64,
    /// Nodes that the database had.
    pub node_number: u32,
    /// The spec of these nodes.
    pub node_class: NodeSpec,
    /// Why it is another kind of set than was asked for.
    pub note: Option<String>,
    /// When it was restored for proof last.
    pub verified_time: Option<Timestamp>,
    /// What was wrong then.
    pub verify_failure: Option<String>,
}

impl ApiResponse for DescribeDatabaseBackupResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        let bytes = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        writer.text("InstanceId", self.instance_id.as_str());
        writer.text("DBName", self.db_name.as_str());
        writer.integer("BackupTotalSize", bytes(self.total_size));
        writer.integer("TotalRecordCount", self.total_record_count.into());
        writer.integer("PageNumber", self.page_number.into());
        let on_page = u32::try_from(self.backups.len()).unwrap_or(u32::MAX);
        writer.integer("PageRecordCount", on_page.into());
        writer.list("BackupItems", "Backup", &self.backups, |writer, item| {
            writer.integer("BackupId", item.backup_id.number());
            writer.text("BackupStatus", item.status.as_str());
            writer.time("BackupStartTime", item.start_time);
            writer.optional_time("BackupEndTime", item.end_time);
            writer.text("BackupType", item.backup_type.as_str());
            writer.text("BackupMode", item.mode.as_str());
            writer.text("BackupMethod", item.method.as_str());
            if let Some(url) = &item.download_url {
                writer.text("BackupDownloadURL", url);
            }
            writer.integer("BackupSize", bytes(item.size));
            writer.integer("BackupNodeNumber", item.node_number.into());
            writer.text("BackupNodeClass", item.node_class.as_str());
            if let Some(note) = &item.note {
                writer.text("Note", note);
            }
            writer.optional_time("VerifiedTime", item.verified_time);
            if let Some(failure) = &item.verify_failure {
                writer.text("VerifyFailure", failure);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(changes: &[(&str, &str)]) -> Result<DescribeDatabaseBackupRequest, ApiError> {
        let pairs = [
            ("InstanceId", "pd-a"),
            ("DBName", "shop"),
            ("StartTime", "2019-01-01T00:00Z"),
            ("EndTime", "2019-02-01T00:00:00Z"),
        ];
        let kept = pairs
            .iter()
            .filter(|(name, _)| changes.iter().all(|(other, _)| other != name));
        let params = Params::from_pairs(kept.chain(changes).copied()).expect("unique names");
        DescribeDatabaseBackupRequest::from_params(&params)
    }

    #[test]
    fn both_forms_of_times_are_read_and_defaults_are_the_documented_ones() {
        let read = request(&[]).expect("right");
        assert_eq!((read.page_number, read.page_size), (1, 30));
        assert_eq!((read.status, read.mode, read.backup_id), (None, None, None));
        let read = request(&[("BackupId", "12x"), ("BackupStatus", "Failed")]).expect("right");
        assert_eq!(read.backup_id.as_deref(), Some("12x"));
        assert_eq!(read.status, Some(BackupStatus::Failed));
    }

    #[test]
    fn wrong_values_have_their_codes() {
        for (name, value, code) in [
            ("StartTime", "yesterday", "InvalidStartTime.Malformed"),
            ("EndTime", "2019", "InvalidEndTime.Malformed"),
            (
                "EndTime",
                "2018-01-01T00:00Z",
                "InvalidStartTimeAndEndTime.Malformed",
            ),
            (
                "BackupStatus",
                "Progress",
                "InvalidBackupStatus.ValueNotSupported",
            ),
            (
                "BackupMode",
                "manual",
                "InvalidBackupMode.ValueNotSupported",
            ),
            ("PageSize", "31", "InvalidPageSize.ValueNotSupported"),
            ("PageNumber", "0", "InvalidPageNumber.Malformed"),
            ("DBName", "Nope!", "InvalidDBName.NotFound"),
        ] {
            let error = request(&[(name, value)]).expect_err(value);
            assert_eq!(error.code, code);
        }
    }
}
