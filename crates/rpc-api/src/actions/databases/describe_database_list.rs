//! DescribeDatabaseList.

use jiff::Timestamp;
use openpeta_types::{
    ChargeType, DbName, InstanceId, InstanceName, NetworkType, NodeSpec, ObjectStatus, TagFilter,
    VSwitchId, VpcId,
};

use crate::actions::common::{FORBIDDEN_RAM, PAGE_SIZES, REQUEST_ID};
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::tag_parameters::{
    KEY_OF_FILTER, TAG_KEY_DUPLICATE, TAG_KEY_MALFORMED, TAG_VALUE_MALFORMED,
    TAG_VALUE_WITHOUT_KEY, TOO_MANY_TAG_FILTERS, VALUE_OF_FILTER, tag_filters,
};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeDatabaseList,
    name: "DescribeDatabaseList",
    aliases: &[],
    section: Section::Databases,
    description: "Pages through all databases of the account.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::AnyInstance,
    preconditions: &[],
    parameters: &[
        ParameterSpec::text("InstanceId", "Filter."),
        ParameterSpec::text("InstanceStatus", "Filter."),
        ParameterSpec::text("ChargeType", "Filter."),
        ParameterSpec::integer("PageNumber", "Page, from 1."),
        ParameterSpec::integer("PageSize", "Records per page."),
        KEY_OF_FILTER,
        VALUE_OF_FILTER,
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::integer("PageNumber", "Page shown."),
        FieldSpec::integer("PageSize", "Records per page."),
        FieldSpec::integer("TotalCount", "Matching records over all pages."),
        FieldSpec::list(
            "Databases",
            "Database",
            &[
                FieldSpec::text("InstanceId", "Instance identifier."),
                FieldSpec::text("InstanceName", "Display name."),
                FieldSpec::text("RegionId", "Region."),
                FieldSpec::text("ZoneId", "Zone."),
                FieldSpec::text("InstanceStatus", "Status of the instance."),
                FieldSpec::text("DBName", "Database name."),
                FieldSpec::text("NodeSpec", "Node class."),
                FieldSpec::integer("NodeNumber", "Number of nodes."),
                FieldSpec::text("ChargeType", "Billing mode."),
                FieldSpec::text("CreateTime", "Time of creation."),
                FieldSpec::text("EndTime", "Expiry."),
                FieldSpec::text("NetworkType", "Network type."),
                FieldSpec::text("VPCId", "VPC; empty for Classic instances."),
                FieldSpec::text("VSwitchId", "VSwitch; empty for Classic instances."),
            ],
            "Databases.",
        ),
    ],
    errors: &[
        ErrorSpec::new(
            "InvalidPageNumber.Malformed",
            400,
            "not a positive 32-bit integer",
        ),
        ErrorSpec::new(
            "InvalidPageSize.ValueNotSupported",
            400,
            "not one of 10, 20, 30, 40, 50",
        ),
        ErrorSpec::new(
            "InvalidInstanceStatus.ValueNotSupported",
            400,
            "unknown status",
        ),
        ErrorSpec::new(
            "InvalidChargeType.ValueNotSupported",
            400,
            "unknown billing mode",
        ),
        TAG_VALUE_WITHOUT_KEY,
        TAG_KEY_MALFORMED,
        TAG_VALUE_MALFORMED,
        TAG_KEY_DUPLICATE,
        TOO_MANY_TAG_FILTERS,
        FORBIDDEN_RAM,
    ],
    example: &[("PageNumber", "1"), ("PageSize", "30")],
};

/// A checked DescribeDatabaseList.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeDatabaseListRequest {
    /// Only databases of this instance. As sent: an id that none can have gives an empty page.
    pub instance_id: Option<String>,
    /// Only databases of instances in this status.
    pub instance_status: Option<ObjectStatus>,
    /// Only databases of this billing mode.
    pub charge_type: Option<ChargeType>,
    /// Page, from 1.
    pub page_number: u32,
    /// Records per page, as of DescribeInstances.
    pub page_size: u32,
    /// Only databases of instances with a tag like each of these.
    pub tags: Vec<TagFilter>,
}

impl ApiRequest for DescribeDatabaseListRequest {
    const ACTION: Action = Action::DescribeDatabaseList;
    type Response = DescribeDatabaseListResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            instance_id: params.get("InstanceId").map(str::to_owned),
            instance_status: params.choice("InstanceStatus", ObjectStatus::parse)?,
            charge_type: params.choice("ChargeType", ChargeType::parse)?,
            page_number: params.page_number("PageNumber")?,
            page_size: params.page_size("PageSize", &PAGE_SIZES)?,
            tags: tag_filters(params)?,
        })
    }
}

/// The answer to DescribeDatabaseList.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeDatabaseListResponse {
    /// Page shown.
    pub page_number: u32,
    /// Records per page.
    pub page_size: u32,
    /// Matching databases over all pages.
    pub total_count: u32,
    /// Databases on the page: by instance, the newest first, then by name.
    pub databases: Vec<ListedDatabase>,
}

/// A database in the list of all of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDatabase {
    /// Its instance.
    pub instance_id: InstanceId,
    /// The instance's display name.
    pub instance_name: Option<InstanceName>,
    /// The instance's region.
    pub region_id: String,
    /// The instance's zone.
    pub zone_id: String,
    /// The instance's status.
    pub instance_status: ObjectStatus,
    /// Its name.
    pub db_name: DbName,
    /// Its node spec.
    pub node_spec: NodeSpec,
    /// Its number of nodes.
    pub node_number: u32,
    /// Its billing mode.
    pub charge_type: ChargeType,
    /// When it was ordered.
    pub create_time: Timestamp,
    /// When it expires.
    pub end_time: Timestamp,
    /// The instance's network type.
    pub network_type: NetworkType,
    /// The instance's VPC, for network type VPC.
    pub vpc_id: Option<VpcId>,
    /// The instance's VSwitch, for network type VPC.
    pub vswitch_id: Option<VSwitchId>,
}

impl ApiResponse for DescribeDatabaseListResponse {
    fn size_hint(&self) -> usize {
        512 + 640 * self.databases.len()
    }

    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.integer("PageNumber", self.page_number.into());
        writer.integer("PageSize", self.page_size.into());
        writer.integer("TotalCount", self.total_count.into());
        writer.list(
            "Databases",
            "Database",
            &self.databases,
            |writer, database| {
                database.write(writer);
            },
        );
    }
}

impl ListedDatabase {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        let name = self.instance_name.as_ref().map(InstanceName::as_str);
        let vpc_id = self.vpc_id.as_ref().map(VpcId::as_str);
        let vswitch_id = self.vswitch_id.as_ref().map(VSwitchId::as_str);
        writer.text("InstanceId", self.instance_id.as_str());
        writer.text("InstanceName", name.unwrap_or_default());
        writer.text("RegionId", &self.region_id);
        writer.text("ZoneId", &self.zone_id);
        writer.text("InstanceStatus", self.instance_status.as_str());
        writer.text("DBName", self.db_name.as_str());
        writer.text("NodeSpec", self.node_spec.as_str());
        writer.integer("NodeNumber", self.node_number.into());
        writer.text("ChargeType", self.charge_type.as_str());
        writer.time("CreateTime", self.create_time);
        writer.time("EndTime", self.end_time);
        writer.text("NetworkType", self.network_type.as_str());
        writer.text("VPCId", vpc_id.unwrap_or_default());
        writer.text("VSwitchId", vswitch_id.unwrap_or_default());
    }
}
