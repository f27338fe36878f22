//! DescribeInstanceInfoByConnection.

use openpeta_types::InstanceName;

use crate::actions::common::{FORBIDDEN_RAM, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID};
use crate::actions::instances::DescribeInstanceInfoResponse;
use crate::actions::instances::describe_instance_info::{
    EXPIRED_TIME, RELEASE_TIME, write_network_info,
};
use crate::actions::instances::describe_instances::write_databases;
use crate::checks::check_required;
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeInstanceInfoByConnection,
    name: "DescribeInstanceInfoByConnection",
    aliases: &[],
    section: Section::Instances,
    description: "Finds an instance by one of its host names.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[ParameterSpec::text(
        "ConnectionString",
        "Host name or address of an endpoint; with `:port` behind it where several instances \
                share one.",
    )
    .required()],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::text("InstanceName", "Display name; empty when it has none."),
        FieldSpec::text("RegionId", "Region."),
        FieldSpec::text("ZoneId", "Zone."),
        FieldSpec::text("InstanceStatus", "Status of the instance."),
        FieldSpec::list(
            "NetworkInfoItems",
            "NetworkInfoItem",
            &[
                FieldSpec::text("NetworkType", "Network type."),
                FieldSpec::text("ConnectionString", "Host name or address."),
                FieldSpec::text("Port", "Port."),
                FieldSpec::text("VpcId", "Only for VPC endpoints.").optional(),
                FieldSpec::text("VSwitchId", "Only for VPC endpoints.").optional(),
                FieldSpec::text("PrivateIpAddress", "Address in the VSwitch.").optional(),
                EXPIRED_TIME,
            ],
            "Endpoints.",
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
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        ErrorSpec::new(
            "InvalidConnectionString.Malformed",
            400,
            "several instances have an endpoint at that address",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[("ConnectionString", "{ConnectionString}")],
};

/// A checked DescribeInstanceInfoByConnection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeInstanceInfoByConnectionRequest {
    /// The endpoint, as the client names it.
    pub connection_string: String,
}

impl ApiRequest for DescribeInstanceInfoByConnectionRequest {
    const ACTION: Action = Action::DescribeInstanceInfoByConnection;
    type Response = DescribeInstanceInfoByConnectionResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            connection_string: params.required("ConnectionString")?.to_owned(),
        })
    }
}

/// The answer to DescribeInstanceInfoByConnection: what DescribeInstanceInfo tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeInstanceInfoByConnectionResponse(pub DescribeInstanceInfoResponse);

impl ApiResponse for DescribeInstanceInfoByConnectionResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        let Self(info) = self;
        writer.text("InstanceId", info.instance_id.as_str());
        let name = info.instance_name.as_ref().map(InstanceName::as_str);
        writer.text("InstanceName", name.unwrap_or_default());
        writer.text("RegionId", &info.region_id);
        writer.text("ZoneId", &info.zone_id);
        writer.text("InstanceStatus", info.instance_status.as_str());
        write_network_info(writer, &info.network_info_items);
        write_databases(writer, &info.databases);
        writer.optional_time("ReleaseTime", info.release_time);
    }
}
