//! DescribeInstanceInfo.

use jiff::Timestamp;
use openpeta_types::{EndpointType, InstanceId, InstanceName, ObjectStatus, VSwitchId, VpcId};
use std::net::IpAddr;

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::actions::instances::describe_instances::{DatabaseSummary, write_databases};
use crate::spec::{ActionSpec, FieldSpec, HttpsRule, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

/// An extension: the vendor's relational service calls it so.
pub(super) const EXPIRED_TIME: FieldSpec = FieldSpec::time(
    "ExpiredTime",
    "When the endpoint closes; only for the old one after SwitchInstanceNetType.",
)
.optional();

/// An extension.
pub(super) const RELEASE_TIME: FieldSpec = FieldSpec::time(
    "ReleaseTime",
    "When the instance goes by itself; only for one that holds what a restore in place replaced.",
)
.optional();

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeInstanceInfo,
    name: "DescribeInstanceInfo",
    aliases: &[],
    section: Section::Instances,
    description: "Shows one instance with its endpoints and databases.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[INSTANCE_ID],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::text("InstanceName", "Display name.").optional(),
        FieldSpec::text("RegionId", "Region."),
        FieldSpec::text("ZoneId", "Zone."),
        FieldSpec::text("InstanceStatus", "Status of the instance."),
        FieldSpec::list(
            "NetworkInfoItems",
            "NetworkInfoItem",
            &[
                FieldSpec::text("NetworkType", "Kind of endpoint.")
                    .allowed(&["PUBLIC", "INTERNAL", "VPC"]),
                FieldSpec::text("ConnectionString", "Host name."),
                FieldSpec::text("Port", "Port, as text."),
                FieldSpec::text("VpcId", "Only for VPC endpoints.").optional(),
                FieldSpec::text("VSwitchId", "Only for VPC endpoints.").optional(),
                FieldSpec::text("PrivateIpAddress", "Only for VPC endpoints.").optional(),
                EXPIRED_TIME,
            ],
            "Endpoints, the default one first; PUBLIC appears after \
                AllocateInstancePublicConnection, one with ExpiredTime after \
                SwitchInstanceNetType.",
        ),
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
        RELEASE_TIME,
    ],
    errors: &[MISSING_PARAMETER, INSTANCE_NOT_FOUND, FORBIDDEN_RAM],
    example: &[("InstanceId", "{InstanceId}")],
};

/// A checked DescribeInstanceInfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeInstanceInfoRequest {
    /// The instance.
    pub instance_id: InstanceId,
}

impl ApiRequest for DescribeInstanceInfoRequest {
    const ACTION: Action = Action::DescribeInstanceInfo;
    type Response = DescribeInstanceInfoResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            instance_id: params.instance_id()?,
        })
    }
}

/// The answer to DescribeInstanceInfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeInstanceInfoResponse {
    /// The instance.
    pub instance_id: InstanceId,
    /// Its display name.
    pub instance_name: Option<InstanceName>,
    /// Its region.
    pub region_id: String,
    /// Its zone.
    pub zone_id: String,
    /// Its status.
    pub instance_status: ObjectStatus,
    /// Its endpoints.
    pub network_info_items: Vec<NetworkInfoItem>,
    /// Its databases.
    pub databases: Vec<DatabaseSummary>,
    /// When it is released, if it holds content that was replaced.
    pub release_time: Option<Timestamp>,
}

/// An endpoint of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkInfoItem {
    /// Its kind.
    pub network_type: EndpointType,
    /// Its host name or address.
    pub connection_string: String,
    /// Its port.
    pub port: u16,
    /// Its VPC, for kind VPC.
    pub vpc_id: Option<VpcId>,
    /// Its VSwitch, for kind VPC.
    pub vswitch_id: Option<VSwitchId>,
    /// Its address in the VSwitch, for kind VPC.
    pub private_ip_address: Option<IpAddr>,
    /// When it closes, for the old one after a switch of the network type.
    pub expired_time: Option<Timestamp>,
}

impl ApiResponse for DescribeInstanceInfoResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.text("InstanceId", self.instance_id.as_str());
        writer.optional_text(
            "InstanceName",
            self.instance_name.as_ref().map(InstanceName::as_str),
        );
        writer.text("RegionId", &self.region_id);
        writer.text("ZoneId", &self.zone_id);
        writer.text("InstanceStatus", self.instance_status.as_str());
        write_network_info(writer, &self.network_info_items);
        write_databases(writer, &self.databases);
        writer.optional_time("ReleaseTime", self.release_time);
    }
}

/// Writes the endpoints of an instance.
pub(super) fn write_network_info<W: FieldWriter>(writer: &mut W, items: &[NetworkInfoItem]) {
    writer.list(
        "NetworkInfoItems",
        "NetworkInfoItem",
        items,
        |writer, item| {
            writer.text("NetworkType", item.network_type.as_str());
            writer.text("ConnectionString", &item.connection_string);
            writer.display("Port", &item.port);
            writer.optional_text("VpcId", item.vpc_id.as_ref().map(VpcId::as_str));
            writer.optional_text("VSwitchId", item.vswitch_id.as_ref().map(VSwitchId::as_str));
            writer.optional_address("PrivateIpAddress", item.private_ip_address);
            writer.optional_time("ExpiredTime", item.expired_time);
        },
    );
}
