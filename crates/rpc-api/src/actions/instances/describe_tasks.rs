//! DescribeTasks.

use jiff::Timestamp;
use openpeta_types::{DbName, InstanceId, TaskId, TaskStatus};

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::check_required;
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

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
            .allowed(&["0", "1", "2", "3", "4", "5"])
            .list(),
        ParameterSpec::time("StartTime", "Window start.").required(),
        ParameterSpec::time("EndTime", "Window end, after StartTime.").required(),
        ParameterSpec::integer("PageNumbers", "Page, from 1.")
            .default("1")
            .constraints("> 0, <= 2147483647")
            .range(1, i32::MAX as u32),
        ParameterSpec::integer("MaxRecordsPerPage", "Records per page.")
            .default("30")
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
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("StartTime", "2019-01-01T00:00:00Z"),
        ("EndTime", "2999-01-01T00:00:00Z"),
        ("PageNumbers", "1"),
        ("MaxRecordsPerPage", "30"),
    ],
};

/// The page sizes on offer; the first is the default.
const PAGE_SIZES: [u32; 6] = [30, 50, 100, 200, 500, 1000];

/// The statuses shown when none are asked for: everything but success and cancellation.
const DEFAULT_STATUSES: [TaskStatus; 3] =
    [TaskStatus::Pending, TaskStatus::Running, TaskStatus::Failed];

/// A checked DescribeTasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTasksRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// Only tasks that this action started. As sent: an unknown name gives an empty page.
    pub task_action: Option<String>,
    /// Only tasks in one of these statuses; never empty.
    pub statuses: Vec<TaskStatus>,
    /// Start of the time window.
    pub start_time: Timestamp,
    /// End of the time window, not before its start.
    pub end_time: Timestamp,
    /// Page, from 1.
    pub page_number: u32,
    /// Records per page: 30, 50, 100, 200, 500 or 1000.
    pub page_size: u32,
}

impl ApiRequest for DescribeTasksRequest {
    const ACTION: Action = Action::DescribeTasks;
    type Response = DescribeTasksResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let (start_time, end_time) = (params.time("StartTime")?, params.time("EndTime")?);
        if end_time < start_time {
            return Err(ApiError::end_before_start());
        }
        Ok(Self {
            instance_id: params.instance_id()?,
            task_action: params.get("TaskAction").map(str::to_owned),
            statuses: statuses(params.any_of("TaskStatus", &["Status"])?)?,
            start_time,
            end_time,
            page_number: params.page_number("PageNumbers")?,
            page_size: params.page_size("MaxRecordsPerPage", &PAGE_SIZES)?,
        })
    }
}

/// Reads a comma-separated list of statuses; blanks around them are allowed.
fn statuses(text: Option<&str>) -> Result<Vec<TaskStatus>, ApiError> {
    let Some(text) = text else {
        return Ok(DEFAULT_STATUSES.to_vec());
    };
    text.split(',')
        .map(|status| TaskStatus::parse(status.trim()))
        .collect::<Option<_>>()
        .ok_or_else(|| ApiError::value_not_supported("TaskStatus"))
}

/// The answer to DescribeTasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTasksResponse {
    /// The instance.
    pub instance_id: InstanceId,
    /// Start of the time window, as asked for.
    pub start_time: Timestamp,
    /// End of the time window, as asked for.
    pub end_time: Timestamp,
    /// Page shown.
    pub page_number: u32,
    /// Records per page.
    pub page_size: u32,
    /// Matching tasks over all pages.
    pub total_records: u32,
    /// Tasks on the page.
    pub tasks: Vec<TaskItem>,
}

/// A task in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskItem {
    /// Its id.
    pub task_id: TaskId,
    /// When it began.
    pub begin_time: Timestamp,
    /// When it ended; none while it runs.
    pub finish_time: Option<Timestamp>,
    /// When it will end, as far as can be told.
    pub expected_finish_time: Option<Timestamp>,
    /// Its status.
    pub status: TaskStatus,
    /// The action that started it.
    pub task_action: String,
    /// How far it is, 0 to 100.
    pub progress: Option<u8>,
    /// The database that it works on.
    pub db_name: Option<DbName>,
    /// The step that is running, or the cause of a failure.
    pub progress_info: Option<String>,
}

impl ApiResponse for DescribeTasksResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.text("InstanceId", self.instance_id.as_str());
        writer.time("StartTime", self.start_time);
        writer.time("EndTime", self.end_time);
        writer.integer("PageNumbers", self.page_number.into());
        writer.integer("MaxRecordsPerPage", self.page_size.into());
        writer.integer("TotalRecords", self.total_records.into());
        writer.list("Tasks", "Task", &self.tasks, |writer, task| {
            writer.display("TaskId", &task.task_id);
            writer.time("BeginTime", task.begin_time);
            writer.optional_time("FinishTime", task.finish_time);
            writer.optional_time("ExpectedFinishTime", task.expected_finish_time);
            writer.text("Status", task.status.as_str());
            writer.text("TaskAction", &task.task_action);
            writer.optional_display("Progress", task.progress.as_ref());
            writer.optional_text("DBName", task.db_name.as_ref().map(DbName::as_str));
            writer.optional_text("ProgressInfo", task.progress_info.as_deref());
        });
    }
}
