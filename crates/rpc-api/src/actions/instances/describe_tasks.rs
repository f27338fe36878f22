//! DescribeTasks.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeTasks,
    name: "DescribeTasks",
    aliases: &[],
    section: Section::Instances,
    description: "Pages through the tasks of an instance that ran in a time window.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["the instance belongs to the caller"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text(
            "TaskAction",
            "Filter by the API that started the task, e.g. CreateInstance.",
        ),
        ParameterSpec::text("TaskStatus", "Comma-separated status filter.")
            .aliases(&["Status"])
            .default("0,1,3")
            .allowed(&["0", "1", "2", "3", "4", "5"]),
        ParameterSpec::time("StartTime", "Window start.").required(),
        ParameterSpec::time("EndTime", "Window end, after StartTime.").required(),
        ParameterSpec::integer("PageNumbers", "Page, from 1.")
            .required()
            .default("1")
            .constraints("> 0, <= 2147483647"),
        ParameterSpec::integer("MaxRecordsPerPage", "Records per page.")
            .required()
            .allowed(&["30", "50", "100", "200", "500", "1000"]),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::time("StartTime", "Start of the time window, as requested."),
        FieldSpec::time("EndTime", "Expiry."),
        FieldSpec::integer("PageNumbers", "Page shown."),
        FieldSpec::integer("MaxRecordsPerPage", "Records per page."),
        FieldSpec::integer("TotalRecords", "Matching tasks over all pages."),
        FieldSpec::list(
            "Tasks",
            "Task",
            &[
                FieldSpec::text("TaskId", "Decimal digits."),
                FieldSpec::text("BeginTime", "When the task began."),
                FieldSpec::text("FinishTime", "When the task ended; absent while it runs.")
                    .optional(),
                FieldSpec::text("ExpectedFinishTime", "Estimated end.").optional(),
                FieldSpec::text("Status", "0..5 as text."),
                FieldSpec::text("TaskAction", "Action that started the task."),
                FieldSpec::text("Progress", "Percentage as text.").optional(),
                FieldSpec::text("DBName", "Database name.").optional(),
                FieldSpec::text(
                    "ProgressInfo",
                    "The step that is running, or the cause of a failure.",
                )
                .optional(),
            ],
            "Tasks on the page.",
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
        ErrorSpec::new(
            "InvalidTaskStatus.ValueNotSupported",
            400,
            "a status outside 0..5",
        ),
        ErrorSpec::new(
            "InvalidMaxRecordsPerPage.ValueNotSupported",
            400,
            "not an allowed size",
        ),
        ErrorSpec::new(
            "InvalidPageNumbers.Malformed",
            400,
            "not a positive 32-bit integer",
        ),
        FORBIDDEN_RAM,
    ],
    availability: Availability::Available,
};
