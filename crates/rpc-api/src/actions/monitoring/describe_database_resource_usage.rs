//! DescribeDatabaseResourceUsage.

use openpeta_types::{DbName, InstanceId};

use super::resource_usage::ResourceUsageResponse;
use super::window::Window;
use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::{check_required, db_name};
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::{Action, ApiError, ApiRequest, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeDatabaseResourceUsage,
    name: "DescribeDatabaseResourceUsage",
    aliases: &[],
    section: Section::Monitoring,
    description: "Returns disk usage of one database, the latest sample or a history.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["(EndTime - StartTime) / Interval must not exceed 400"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::time("StartTime", "Start of the time window."),
        ParameterSpec::time("EndTime", "After StartTime."),
        ParameterSpec::text("Interval", "Sampling step.").constraints("in minutes"),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::list(
            "MonitorDatas",
            "MonitorData",
            &[
                FieldSpec::integer(
                    "OtherSize",
                    "Free space, in bytes; -1 when no sample exists.",
                ),
                FieldSpec::integer(
                    "DataSize",
                    "Bytes used by data files; -1 when no sample exists.",
                ),
                FieldSpec::integer(
                    "BinlogSize",
                    "Bytes used by logs; -1 when no sample exists.",
                ),
                FieldSpec::integer("TotalSize", "Total bytes; -1 when no sample exists."),
                FieldSpec::time("Date", "Sample time."),
            ],
            "Without a time window one sample, measured now; with one none: this release keeps no \
                history yet.",
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
        ErrorSpec::new("InvalidInterval.Malformed", 400, "not a positive integer"),
        ErrorSpec::new("InvalidParameter", 400, "more than 400 points"),
        FORBIDDEN_RAM,
    ],
    example: &[("InstanceId", "{InstanceId}"), ("DBName", "{DBName}")],
};

/// A checked DescribeDatabaseResourceUsage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeDatabaseResourceUsageRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// When; now without one.
    pub window: Option<Window>,
}

impl ApiRequest for DescribeDatabaseResourceUsageRequest {
    const ACTION: Action = Action::DescribeDatabaseResourceUsage;
    type Response = ResourceUsageResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
            window: Window::optional(params)?,
        })
    }
}
