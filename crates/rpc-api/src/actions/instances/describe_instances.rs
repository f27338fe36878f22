//! DescribeInstances.

use jiff::Timestamp;
use openpeta_types::{
    ChargeType, DbName, InstanceId, InstanceName, NetworkType, ObjectStatus, TagFilter, VSwitchId,
    VpcId,
};
use std::net::IpAddr;

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
    action: Action::DescribeInstances,
    name: "DescribeInstances",
    aliases: &[],
    section: Section::Instances,
    description: "Pages through the instances of the account, optionally filtered.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        ParameterSpec::text("InstanceId", "Filter."),
        ParameterSpec::text("InstanceStatus", "Filter.").allowed(&[
            "CREATE", "ACTIVE", "MODIFY", "DELETE", "MIGRATE", "APPEND", "INACTIVE",
        ]),
        ParameterSpec::text("ChargeType", "Filter.").allowed(&["PrePaid", "PostPaid"]),
        ParameterSpec::integer("PageNumber", "Page, from 1.")
            .default("1")
            .constraints("> 0, <= 2147483647")
            .range(1, i32::MAX as u32),
        ParameterSpec::integer("PageSize", "Records per page.")
            .default("10")
            .allowed(&["10", "20", "30", "40", "50"]),
        KEY_OF_FILTER,
        VALUE_OF_FILTER,
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::integer("PageNumber", "Page shown."),
        FieldSpec::integer("PageSize", "Records per page."),
        FieldSpec::integer("TotalCount", "Matching instances over all pages."),
        FieldSpec::list(
            "Instances",
            "Instance",
            &[
                FieldSpec::text("InstanceId", "Instance identifier."),
                FieldSpec::text("InstanceName", "Display name.").optional(),
                FieldSpec::text("ConnectionString", "Host name of the default endpoint.")
                    .optional(),
                FieldSpec::text("Port", "Port of the default endpoint.").optional(),
                FieldSpec::text("InstanceStatus", "Status of the instance.").allowed(&[
                    "CREATE", "ACTIVE", "MODIFY", "DELETE", "MIGRATE", "APPEND", "INACTIVE",
                ]),
                FieldSpec::text("RegionId", "Region."),
                FieldSpec::text("ZoneId", "Zone."),
                FieldSpec::time("CreateTime", "Time of creation."),
                FieldSpec::time("ExpireTime", "Expiry; 2999-09-08T16:00:00Z for PostPaid."),
                FieldSpec::text("NetworkType", "Network type.").allowed(&["VPC", "Classic"]),
                FieldSpec::text("VpcId", "Only for NetworkType=VPC.").optional(),
                FieldSpec::text("VSwitchId", "Only for NetworkType=VPC.").optional(),
                FieldSpec::text("PrivateIpAddress", "Address in the VSwitch.").optional(),
                FieldSpec::list(
                    "Databases",
                    "Database",
                    &[
                        FieldSpec::text("DBName", "Database name."),
                        FieldSpec::text("ChargeType", "Billing mode of the database.")
                            .allowed(&["PrePaid", "PostPaid"]),
                    ],
                    "Databases of the instance (short form).",
                ),
            ],
            "Instances on the page.",
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
            "not one of the allowed sizes",
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
    example: &[("PageSize", "30")],
};

/// A checked DescribeInstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeInstancesRequest {
    /// Only this instance. As sent: an id that none can have gives an empty page.
    pub instance_id: Option<String>,
    /// Only instances in this status.
    pub instance_status: Option<ObjectStatus>,
    /// Only instances with a database of this billing mode.
    pub charge_type: Option<ChargeType>,
    /// Only instances with a tag like each of these.
    pub tags: Vec<TagFilter>,
    /// Page, from 1.
    pub page_number: u32,
    /// Records per page: 10, 20, 30, 40 or 50.
    pub page_size: u32,
}

impl ApiRequest for DescribeInstancesRequest {
    const ACTION: Action = Action::DescribeInstances;
    type Response = DescribeInstancesResponse;

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

/// The answer to DescribeInstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeInstancesResponse {
    /// Page shown.
    pub page_number: u32,
    /// Records per page.
    pub page_size: u32,
    /// Matching instances over all pages.
    pub total_count: u32,
    /// Instances on the page, newest first.
    pub instances: Vec<InstanceItem>,
}

/// An instance in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceItem {
    /// Its id.
    pub instance_id: InstanceId,
    /// Its display name.
    pub instance_name: Option<InstanceName>,
    /// Host name or address of its default endpoint.
    pub connection_string: Option<String>,
    /// Port of its default endpoint.
    pub port: Option<u16>,
    /// Its status.
    pub instance_status: ObjectStatus,
    /// Its region.
    pub region_id: String,
    /// Its zone.
    pub zone_id: String,
    /// When it was ordered.
    pub create_time: Timestamp,
    /// When it expires.
    pub expire_time: Timestamp,
    /// Its network type.
    pub network_type: NetworkType,
    /// Its VPC, for network type VPC.
    pub vpc_id: Option<VpcId>,
    /// Its VSwitch, for network type VPC.
    pub vswitch_id: Option<VSwitchId>,
    /// Its address in the VSwitch.
    pub private_ip_address: Option<IpAddr>,
    /// Its databases.
    pub databases: Vec<DatabaseSummary>,
}

/// A database in the description of its instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSummary {
    /// Its name.
    pub db_name: DbName,
    /// Its billing mode.
    pub charge_type: ChargeType,
}

impl ApiResponse for DescribeInstancesResponse {
    fn size_hint(&self) -> usize {
        512 + 640 * self.instances.len()
    }

    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.integer("PageNumber", self.page_number.into());
        writer.integer("PageSize", self.page_size.into());
        writer.integer("TotalCount", self.total_count.into());
        writer.list(
            "Instances",
            "Instance",
            &self.instances,
            |writer, instance| {
                instance.write(writer);
            },
        );
    }
}

impl InstanceItem {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.text("InstanceId", self.instance_id.as_str());
        writer.optional_text(
            "InstanceName",
            self.instance_name.as_ref().map(InstanceName::as_str),
        );
        writer.optional_text("ConnectionString", self.connection_string.as_deref());
        writer.optional_display("Port", self.port.as_ref());
        writer.text("InstanceStatus", self.instance_status.as_str());
        writer.text("RegionId", &self.region_id);
        writer.text("ZoneId", &self.zone_id);
        writer.time("CreateTime", self.create_time);
        writer.time("ExpireTime", self.expire_time);
        writer.text("NetworkType", self.network_type.as_str());
        writer.optional_text("VpcId", self.vpc_id.as_ref().map(VpcId::as_str));
        writer.optional_text("VSwitchId", self.vswitch_id.as_ref().map(VSwitchId::as_str));
        writer.optional_address("PrivateIpAddress", self.private_ip_address);
        write_databases(writer, &self.databases);
    }
}

/// Writes the short form of an instance's databases.
pub(super) fn write_databases<W: FieldWriter>(writer: &mut W, databases: &[DatabaseSummary]) {
    writer.list("Databases", "Database", databases, |writer, database| {
        writer.text("DBName", database.db_name.as_str());
        writer.text("ChargeType", database.charge_type.as_str());
    });
}
