//! DescribeTaskStatus.

use jiff::Timestamp;
use openpeta_types::{InstanceId, TaskId, TaskStatus};

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
    action: Action::DescribeTaskStatus,
    name: "DescribeTaskStatus",
    aliases: &[],
    section: Section::Instances,
    description: "Shows one task by its identifier.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["the task belongs to an instance of the caller"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("TaskId", "Task identifier.").required(),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("TaskId", "Task identifier."),
        FieldSpec::text("Message", "Detail text.").optional(),
        FieldSpec::time("BeginTime", "When the task began."),
        FieldSpec::time("FinishTime", "When the task ended; absent while it runs.").optional(),
        FieldSpec::text("Status", "0..5 as text."),
    ],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        ErrorSpec::new(
            "InvalidTaskId.NotFound",
            400,
            "no such task in that instance",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[("InstanceId", "{InstanceId}"), ("TaskId", "{TaskId}")],
};

/// A checked DescribeTaskStatus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTaskStatusRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The task.
    pub task_id: TaskId,
}

impl ApiRequest for DescribeTaskStatusRequest {
    const ACTION: Action = Action::DescribeTaskStatus;
    type Response = DescribeTaskStatusResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let task_id = params.required("TaskId")?;
        Ok(Self {
            instance_id: params.instance_id()?,
            task_id: TaskId::parse(task_id).map_err(|_| ApiError::task_not_found())?,
        })
    }
}

/// The answer to DescribeTaskStatus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTaskStatusResponse {
    /// The task.
    pub task_id: TaskId,
    /// The step that is running, or the cause of a failure.
    pub message: Option<String>,
    /// When it began.
    pub begin_time: Timestamp,
    /// When it ended; none while it runs.
    pub finish_time: Option<Timestamp>,
    /// Its status.
    pub status: TaskStatus,
}

impl ApiResponse for DescribeTaskStatusResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.display("TaskId", &self.task_id);
        writer.optional_text("Message", self.message.as_deref());
        writer.time("BeginTime", self.begin_time);
        writer.optional_time("FinishTime", self.finish_time);
        writer.text("Status", self.status.as_str());
    }
}
