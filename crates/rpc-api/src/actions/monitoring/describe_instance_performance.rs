//! DescribeInstancePerformance.

use openpeta_types::InstanceId;

use super::performance::{MonitorKey, PerformanceResponse, keys};
use super::window::Window;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::check_required;
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::{Action, ApiError, ApiRequest, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeInstancePerformance,
    name: "DescribeInstancePerformance",
    aliases: &[],
    section: Section::Monitoring,
    description: "Returns metric history of an instance.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["(EndTime - StartTime) / Interval must not exceed 400"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("Interval", "Sampling step.")
            .required()
            .constraints("in minutes"),
        ParameterSpec::text("KeyList", "Metric keys, comma-separated.")
            .required()
            .constraints("as DescribeMonitorItems lists them"),
        ParameterSpec::time("StartTime", "Start of the time window.").required(),
        ParameterSpec::time("EndTime", "End of the time window.").required(),
        ParameterSpec::text(
            "MonitorGroup",
            "Metric group; keys of any group without it.",
        )
        .constraints("gas or gcs"),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::list(
            "MonitorDatas",
            "MonitorData",
            &[
                FieldSpec::text(
                    "DBInstanceId",
                    "Instance identifier. In the table only; absent from the example and from \
                        every SDK.",
                )
                .optional(),
                FieldSpec::text("Key", "Metric key, as requested."),
                FieldSpec::text("Unit", "Value kind; the example shows \"integer\"."),
                FieldSpec::list(
                    "PerformanceValues",
                    "PerformanceValue",
                    &[
                        FieldSpec::text("Value", "Sample value, as text."),
                        FieldSpec::text("Date", "Sample time in milliseconds."),
                    ],
                    "Samples, oldest first. Empty: this release keeps no history yet.",
                ),
            ],
            "One entry per requested key, in request order.",
        ),
    ],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
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
        ErrorSpec::new(
            "InvalidKeyList.ValueNotSupported",
            400,
            "unknown metric key",
        ),
        ErrorSpec::new(
            "InvalidMonitorGroup.ValueNotSupported",
            400,
            "unknown metric group",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("Interval", "5"),
        ("KeyList", "sqps,scon"),
        ("StartTime", "2019-01-17T08:00:00Z"),
        ("EndTime", "2019-01-17T09:00:00Z"),
    ],
};

/// A checked DescribeInstancePerformance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeInstancePerformanceRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// When.
    pub window: Window,
    /// Which metrics, each once.
    pub keys: Vec<MonitorKey>,
}

impl ApiRequest for DescribeInstancePerformanceRequest {
    const ACTION: Action = Action::DescribeInstancePerformance;
    type Response = PerformanceResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            window: Window::from_params(params)?,
            keys: keys(params)?,
        })
    }
}
