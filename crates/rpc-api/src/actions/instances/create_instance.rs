//! CreateInstance.

use jiff::Timestamp;
use openpeta_types::{
    AccountName, ChargeType, DbName, InstanceId, InstanceName, NetworkType, OrderId, Password,
    VSwitchId, VpcId, WhitelistEntry,
};

use crate::actions::common::{
    ACCOUNT_NAME_PATTERN, CLIENT_TOKEN, DB_NAME_PATTERN, FORBIDDEN_RAM, MISSING_PARAMETER,
    PASSWORD_PATTERN, REQUEST_ID, TOKEN_MISMATCH,
};
use crate::checks::{
    DEFAULT_ENTRIES, check_required, choice_of, instance_name, new_account_name, new_db_name,
    new_password, node_number, whitelist_entries,
};
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::{Action, ApiError, ApiRequest, ApiResponse, ClientToken, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::CreateInstance,
    name: "CreateInstance",
    aliases: &[],
    section: Section::Instances,
    description: "Orders a new instance together with its first database and first account. \
        Returns at once with the instance and order identifiers; the instance becomes usable \
        when a background task ends.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::CarriesSecret,
    resource: RamResource::AnyInstance,
    preconditions: &[
        "instance quota of the account not used up",
        "balance sufficient (InsufficientBalance otherwise)",
        "region and zone enabled for the account",
    ],
    parameters: &[
        ParameterSpec::text("RegionId", "Region of the new instance.").required(),
        ParameterSpec::text("ZoneId", "Zone, must belong to RegionId.").required(),
        ParameterSpec::text("DBName", "Name of the first database.")
            .required()
            .constraints(
                "a lower-case letter, then up to 63 lower-case letters, digits and \
                underscores; not a reserved keyword",
            )
            .pattern(DB_NAME_PATTERN),
        ParameterSpec::text("NodeSpec", "Node class, e.g. petadata.s2.xlarge.").required(),
        ParameterSpec::text("NodeNumber", "Number of nodes.")
            .required()
            .constraints("decimal integer, 1 to 128; 1 to 64 for PrePaid")
            .range(1, 128),
        ParameterSpec::text("AccountName", "Name of the first account.")
            .required()
            .constraints(
                "2-10 characters: a lower-case letter, then lower-case letters, digits \
                and underscores; not a reserved keyword",
            )
            .pattern(ACCOUNT_NAME_PATTERN),
        ParameterSpec::text("AccountPassword", "Password of the first account.")
            .required()
            .secret()
            .constraints(
                "8-32 characters; at least three of the four classes upper-case, \
                lower-case, digit, special; special characters are ! @ # $ % ^ & * ( ) _ + - =",
            )
            .pattern(PASSWORD_PATTERN),
        ParameterSpec::text("ChargeType", "Billing mode.")
            .aliases(&["PayType"])
            .default("PostPaid")
            .allowed(&["PrePaid", "PostPaid"]),
        ParameterSpec::text("NetworkType", "Network type.")
            .default("Classic")
            .allowed(&["Classic", "VPC"]),
        ParameterSpec::text(
            "VpcId",
            "VPC; required when NetworkType=VPC, must be in RegionId.",
        )
        .aliases(&["VPCId"]),
        ParameterSpec::text(
            "VSwitchId",
            "VSwitch; required when NetworkType=VPC, must be in ZoneId and in VpcId.",
        ),
        ParameterSpec::text("InstanceName", "Free-form display name.")
            .constraints("<= 256 characters")
            .length(1, 256),
        ParameterSpec::text(
            "SecurityIPList",
            "Initial content of the default whitelist group.",
        )
        .default("127.0.0.1")
        .constraints("same syntax as ModifySecurityIPs"),
        CLIENT_TOKEN,
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "New instance."),
        FieldSpec::text("OrderId", "Order identifier."),
        FieldSpec::text("ConnectionString", "Host name.").optional(),
        FieldSpec::text("Port", "Port.").optional(),
        FieldSpec::text("InstanceName", "Display name.").optional(),
        FieldSpec::text("EndTime", "Expiry.").optional(),
    ],
    errors: &[
        MISSING_PARAMETER,
        ErrorSpec::new(
            "InvalidRegionId.NotFound",
            404,
            "unknown RegionId (or ZoneId not in the region)",
        ),
        ErrorSpec::new("RegionUnauthorized", 403, "region not open to the account"),
        ErrorSpec::new(
            "InvalidDBInstanceClassInRegion.NotAvailable",
            403,
            "NodeSpec not offered in the region",
        ),
        ErrorSpec::new("InvalidNodeSpec.ValueNotSupported", 400, "NodeSpec unknown"),
        ErrorSpec::new(
            "InvalidNodeNumber.Malformed",
            400,
            "NodeNumber not an integer or out of range",
        ),
        ErrorSpec::new(
            "InvalidNodeNumber.ValueNotSupported",
            400,
            "more nodes than are on offer: 64 for PrePaid, 128 for PostPaid, or fewer by the configuration",
        ),
        ErrorSpec::new("InvalidDBName.Malformed", 400, "bad database name"),
        ErrorSpec::new(
            "InvalidParameter.Keyword",
            400,
            "DBName is a reserved keyword",
        ),
        ErrorSpec::new("InvalidAccountName.Malformed", 400, "bad account name"),
        ErrorSpec::new(
            "InvalidAccountName.keyword",
            400,
            "AccountName is a reserved keyword",
        ),
        ErrorSpec::new(
            "InvalidAccountPassword.Malformed",
            400,
            "password breaks the rules",
        ),
        ErrorSpec::new(
            "InvalidChargeType.ValueNotSupported",
            400,
            "bad billing mode",
        ),
        ErrorSpec::new(
            "InvalidNetworkType.ValueNotSupported",
            400,
            "bad network type",
        ),
        ErrorSpec::new("InvalidVPCId.NotFound", 400, "unknown VpcId"),
        ErrorSpec::new(
            "InvalidVSwitchId.NotFound",
            400,
            "unknown VSwitchId in the VPC",
        ),
        ErrorSpec::new("InvalidVSwitchId.Mismatch", 400, "VSwitch in another zone"),
        ErrorSpec::new(
            "InvalidSecurityIPList.Malformed",
            400,
            "bad whitelist entry",
        ),
        ErrorSpec::new(
            "InvalidSecurityIPList.Duplicate",
            400,
            "a whitelist entry occurs twice",
        ),
        ErrorSpec::new(
            "InvalidSecurityIPListLength.Malformed",
            400,
            "more than 1000 entries",
        ),
        ErrorSpec::new("InvalidInstanceName.Malformed", 400, "bad display name"),
        ErrorSpec::new(
            "QuotaExceeded.CreateInstance",
            403,
            "instance quota used up",
        ),
        ErrorSpec::new("InsufficientBalance", 400, "not enough balance"),
        ErrorSpec::new(
            "Forbidden.Authentication",
            403,
            "the tenant's real name is not verified",
        ),
        ErrorSpec::new("IncorrectVpcId.Mismatch", 400, "VPC in another region"),
        ErrorSpec::new("OperationDenied", 403, "no capacity left in the zone"),
        ErrorSpec::new("InvalidClientToken.Malformed", 400, "bad ClientToken"),
        TOKEN_MISMATCH,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("RegionId", "cn-hangzhou"),
        ("ZoneId", "cn-hangzhou-b"),
        ("DBName", "shop"),
        ("NodeSpec", "petadata.s2.xlarge"),
        ("NodeNumber", "1"),
        ("AccountName", "alice"),
        ("AccountPassword", "Passw0rd!"),
    ],
};

/// A checked CreateInstance.
#[derive(Clone, Debug)]
pub struct CreateInstanceRequest {
    /// A region that exists.
    pub region_id: String,
    /// A zone of that region.
    pub zone_id: String,
    /// The first database.
    pub db_name: DbName,
    /// Node spec as sent; whether it is on offer is the configuration's matter.
    pub node_spec: String,
    /// Number of nodes, 1 to 128.
    pub node_number: u32,
    /// The first account.
    pub account_name: AccountName,
    /// Its password.
    pub account_password: Password,
    /// Billing mode of the first database.
    pub charge_type: ChargeType,
    /// Where the endpoint lies.
    pub network: NetworkPlacement,
    /// Display name.
    pub instance_name: Option<InstanceName>,
    /// Entries of the default whitelist group; never empty.
    pub security_ip_list: Vec<WhitelistEntry>,
    /// Idempotency key.
    pub client_token: Option<ClientToken>,
}

/// Where an instance's endpoint lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkPlacement {
    /// At an address of the host.
    Classic,
    /// At an address out of a VSwitch.
    Vpc {
        /// The VPC.
        vpc_id: VpcId,
        /// The VSwitch in it.
        vswitch_id: VSwitchId,
    },
}

impl NetworkPlacement {
    /// The network type that the API shows.
    #[must_use]
    pub const fn network_type(&self) -> NetworkType {
        match self {
            Self::Classic => NetworkType::Classic,
            Self::Vpc { .. } => NetworkType::Vpc,
        }
    }

    /// Reads the placement that goes with a network type; the two ids matter for VPC alone.
    pub(crate) fn from_params(
        network_type: NetworkType,
        params: &Params,
    ) -> Result<Self, ApiError> {
        if network_type == NetworkType::Classic {
            return Ok(Self::Classic);
        }
        let vpc_id = params.any_of("VpcId", &["VPCId"])?;
        let vpc_id = vpc_id.ok_or_else(|| ApiError::missing_parameter("VpcId"))?;
        let vswitch_id = params.required("VSwitchId")?;
        Ok(Self::Vpc {
            vpc_id: VpcId::parse(vpc_id).map_err(|_| ApiError::vpc_not_found())?,
            vswitch_id: VSwitchId::parse(vswitch_id).map_err(|_| ApiError::vswitch_not_found())?,
        })
    }
}

impl ApiRequest for CreateInstanceRequest {
    const ACTION: Action = Action::CreateInstance;
    type Response = CreateInstanceResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let (region_id, zone_id) = (params.required("RegionId")?, params.required("ZoneId")?);
        openpeta_types::zone(region_id, zone_id).ok_or_else(ApiError::region_not_found)?;
        let charge_type = choice_of(
            params.any_of("ChargeType", &["PayType"])?,
            "ChargeType",
            ChargeType::parse,
        )?;
        let network_type = params.choice("NetworkType", NetworkType::parse)?;
        Ok(Self {
            region_id: region_id.to_owned(),
            zone_id: zone_id.to_owned(),
            db_name: new_db_name(params.required("DBName")?)?,
            node_spec: params.required("NodeSpec")?.to_owned(),
            node_number: node_number(params.required("NodeNumber")?)?,
            account_name: new_account_name(params.required("AccountName")?)?,
            account_password: new_password(params, "AccountPassword")?,
            charge_type: charge_type.unwrap_or(ChargeType::PostPaid),
            network: NetworkPlacement::from_params(
                network_type.unwrap_or(NetworkType::Classic),
                params,
            )?,
            instance_name: instance_name(params, "InstanceName")?,
            security_ip_list: match params.get("SecurityIPList") {
                Some(text) => whitelist_entries(text)?,
                None => whitelist_entries(DEFAULT_ENTRIES)?,
            },
            client_token: params.client_token()?,
        })
    }
}

/// The answer to CreateInstance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateInstanceResponse {
    /// The new instance; usable once its task has succeeded.
    pub instance_id: InstanceId,
    /// The order.
    pub order_id: OrderId,
    /// Host name or address of the endpoint, when it is known already.
    pub connection_string: Option<String>,
    /// Port of the endpoint, when it is known already.
    pub port: Option<u16>,
    /// Display name.
    pub instance_name: Option<InstanceName>,
    /// Expiry of the first database.
    pub end_time: Option<Timestamp>,
}

impl ApiResponse for CreateInstanceResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.text("InstanceId", self.instance_id.as_str());
        writer.display("OrderId", &self.order_id);
        writer.optional_text("ConnectionString", self.connection_string.as_deref());
        writer.optional_display("Port", self.port.as_ref());
        writer.optional_text(
            "InstanceName",
            self.instance_name.as_ref().map(InstanceName::as_str),
        );
        writer.optional_time("EndTime", self.end_time);
    }
}
