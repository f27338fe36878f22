//! AllocateInstancePublicConnection.

use openpeta_types::{ConnectionPrefix, InstanceId};

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID,
};
use crate::params::decimal;
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::AllocateInstancePublicConnection,
    name: "AllocateInstancePublicConnection",
    aliases: &[],
    section: Section::Instances,
    description: "Gives an instance a public endpoint.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "no public endpoint yet"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text(
            "ConnectionStringPrefix",
            "First label of the new host name.",
        )
        .default("the InstanceId plus a suffix")
        .constraints(
            "1-63 letters, digits and hyphens, no hyphen at the ends; case does not matter",
        ),
        ParameterSpec::text("Port", "Port.")
            .default("3306")
            .constraints("3200..3999; left out, 3306 or the next one that is free")
            .range(3200, 3999),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        ErrorSpec::new(
            "InvalidPort.Malformed",
            400,
            "not an integer in 3200..3999, or taken",
        ),
        ErrorSpec::new(
            "InvalidConnectionStringPrefix.Malformed",
            400,
            "not a DNS label",
        ),
        ErrorSpec::new(
            "InvalidConnectionStringPrefix.Duplicate",
            400,
            "prefix taken, or it is an instance's id",
        ),
        ErrorSpec::new(
            "PublicConnectionExists",
            403,
            "a public endpoint exists already",
        ),
        ErrorSpec::new("NetTypeExists", 403, "same meaning, older code"),
        ErrorSpec::new("OperationDenied", 403, "no port is left"),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("ConnectionStringPrefix", "{ConnectionStringPrefix}"),
        ("Port", "{PublicPort}"),
    ],
};

/// A checked AllocateInstancePublicConnection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocateInstancePublicConnectionRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The first label of the endpoint's name.
    pub prefix: Option<ConnectionPrefix>,
    /// The port, 3200 to 3999.
    pub port: Option<u16>,
}

impl ApiRequest for AllocateInstancePublicConnectionRequest {
    const ACTION: Action = Action::AllocateInstancePublicConnection;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        let prefix = "ConnectionStringPrefix";
        Ok(Self {
            instance_id: params.instance_id()?,
            prefix: params
                .get(prefix)
                .map(|text| ConnectionPrefix::parse(text).map_err(|_| ApiError::malformed(prefix)))
                .transpose()?,
            port: params.get("Port").map(public_port).transpose()?,
        })
    }
}

fn public_port(text: &str) -> Result<u16, ApiError> {
    decimal(text)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| (3_200..=3_999).contains(port))
        .ok_or_else(ApiError::port_malformed)
}
