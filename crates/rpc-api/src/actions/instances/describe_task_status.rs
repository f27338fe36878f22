//! DescribeTaskStatus.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

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
    availability: Availability::Available,
};
