//! DescribeMonitorItems.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeMonitorItems,
    name: "DescribeMonitorItems",
    aliases: &[],
    section: Section::Monitoring,
    description: "Lists the metrics that can be queried, flat (old version) or in groups (new \
        version).",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("ItemLevel", "Kind of metrics.")
            .required()
            .allowed(&[
                "INSTANCE_PERFORMANCE",
                "DATABASE_PERFORMANCE",
                "INSTANCE_RESOURCE",
                "DATABASE_RESOURCE",
            ]),
        ParameterSpec::text("MonitorVersion", "1 new grouped answer, 0 old flat answer.")
            .default("1")
            .allowed(&["0", "1"]),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::list(
            "MonitorItems",
            "MonitorItem",
            &[
                FieldSpec::text("DisplayName", "Old version.").optional(),
                FieldSpec::text("Key", "Old version.").optional(),
                FieldSpec::text("Unit", "Old version.").optional(),
                FieldSpec::text("GroupName", "New version.").optional(),
                FieldSpec::text("Desc", "New version.").optional(),
                FieldSpec::list(
                    "GroupValue",
                    "MonitorItemModel",
                    &[
                        FieldSpec::text("DisplayName", "Name to display."),
                        FieldSpec::text("Key", "Key of the metric."),
                        FieldSpec::text("Unit", "Unit of the metric."),
                    ],
                    "New version.",
                )
                .optional(),
            ],
            "Metrics.",
        ),
    ],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        ErrorSpec::new("InvalidItemLevel.ValueNotSupported", 400, "unknown level"),
        ErrorSpec::new(
            "InvalidMonitorVersion.ValueNotSupported",
            400,
            "neither 0 nor 1",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("ItemLevel", "INSTANCE_PERFORMANCE"),
    ],
    availability: Availability::Planned,
};
