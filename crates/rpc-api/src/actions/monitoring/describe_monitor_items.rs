//! DescribeMonitorItems.

use openpeta_types::InstanceId;

use super::items::{FLAT_ITEMS, MONITOR_GROUPS, MonitorGroup, MonitorItem};
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
            "Metrics; none for the resource levels, whose actions take no keys.",
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
};

/// Kind of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemLevel {
    /// Those of DescribeInstancePerformance and DescribeDatabasePerformance, which are the same.
    Performance,
    /// Those of DescribeInstanceResourceUsage and DescribeDatabaseResourceUsage, which have none
    /// to choose from.
    Resource,
}

impl ItemLevel {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "INSTANCE_PERFORMANCE" | "DATABASE_PERFORMANCE" => Some(Self::Performance),
            "INSTANCE_RESOURCE" | "DATABASE_RESOURCE" => Some(Self::Resource),
            _ => None,
        }
    }
}

/// A checked DescribeMonitorItems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeMonitorItemsRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// Kind of metrics.
    pub item_level: ItemLevel,
    /// Whether they are wanted in groups.
    pub grouped: bool,
}

impl ApiRequest for DescribeMonitorItemsRequest {
    const ACTION: Action = Action::DescribeMonitorItems;
    type Response = DescribeMonitorItemsResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let item_level = params.choice("ItemLevel", ItemLevel::parse)?;
        let grouped = params.choice("MonitorVersion", |text| match text {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        })?;
        Ok(Self {
            instance_id: params.instance_id()?,
            item_level: item_level.ok_or_else(|| ApiError::missing_parameter("ItemLevel"))?,
            grouped: grouped.unwrap_or(true),
        })
    }
}

/// The answer to DescribeMonitorItems.
#[derive(Clone, Copy, Debug)]
pub struct DescribeMonitorItemsResponse {
    /// The metrics.
    pub items: MonitorItems,
}

/// Metrics in one of the two forms.
#[derive(Clone, Copy, Debug)]
pub enum MonitorItems {
    /// In groups.
    Grouped(&'static [MonitorGroup]),
    /// One after the other.
    Flat(&'static [MonitorItem]),
}

impl MonitorItems {
    /// The metrics of a level.
    #[must_use]
    pub fn of(level: ItemLevel, grouped: bool) -> Self {
        match (level, grouped) {
            (ItemLevel::Performance, true) => Self::Grouped(&MONITOR_GROUPS),
            (ItemLevel::Performance, false) => Self::Flat(FLAT_ITEMS),
            (ItemLevel::Resource, true) => Self::Grouped(&[]),
            (ItemLevel::Resource, false) => Self::Flat(&[]),
        }
    }
}

impl ApiResponse for DescribeMonitorItemsResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        let (list, item) = ("MonitorItems", "MonitorItem");
        match self.items {
            MonitorItems::Flat(items) => writer.list(list, item, items, write_item),
            MonitorItems::Grouped(groups) => writer.list(list, item, groups, |writer, group| {
                writer.text("GroupName", group.name);
                writer.text("Desc", group.description);
                writer.list("GroupValue", "MonitorItemModel", group.items, write_item);
            }),
        }
    }
}

fn write_item<W: FieldWriter>(writer: &mut W, item: &MonitorItem) {
    writer.text("DisplayName", item.display_name);
    writer.text("Key", item.key);
    writer.text("Unit", item.unit);
}
