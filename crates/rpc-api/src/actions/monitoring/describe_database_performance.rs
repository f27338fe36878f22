//! DescribeDatabasePerformance.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeDatabasePerformance,
    name: "DescribeDatabasePerformance",
    aliases: &[],
    section: Section::Monitoring,
    description: "Returns metric history of one database.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["(EndTime - StartTime) / Interval must not exceed 400"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
        ParameterSpec::text("Interval", "Sampling step.")
            .required()
            .constraints("in minutes"),
        ParameterSpec::text("KeyList", "Metric keys, comma-separated.").required(),
        ParameterSpec::time("StartTime", "Start of the time window.").required(),
        ParameterSpec::time("EndTime", "End of the time window.").required(),
        ParameterSpec::text("MonitorGroup", "Metric group."),
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
                    "Samples, oldest first; may be empty.",
                ),
            ],
            "One entry per requested key, in request order.",
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
        ErrorSpec::new(
            "InvalidKeyList.ValueNotSupported",
            400,
            "unknown metric key",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("DBName", "{DBName}"),
        ("Interval", "5"),
        ("KeyList", "sqps"),
        ("StartTime", "2019-01-17T08:00:00Z"),
        ("EndTime", "2019-01-17T09:00:00Z"),
    ],
    availability: Availability::Planned,
};
