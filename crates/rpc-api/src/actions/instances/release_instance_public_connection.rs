//! ReleaseInstancePublicConnection.

use openpeta_types::InstanceId;

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER,
    REQUEST_ID,
};
use crate::checks::check_required;
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ReleaseInstancePublicConnection,
    name: "ReleaseInstancePublicConnection",
    aliases: &[],
    section: Section::Instances,
    description: "Removes the public endpoint of an instance. Sessions that came through it are \
        closed.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE"],
    parameters: &[
        ParameterSpec::text(
            "DBInstanceId",
            "Instance identifier (these newer actions use the name DBInstanceId).",
        )
        .required()
        .aliases(&["InstanceId"]),
        ParameterSpec::text(
            "CurrentConnectionString",
            "Host name of the endpoint to remove, or its address; with `:port` behind it where \
                several endpoints share one.",
        )
        .required(),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        ErrorSpec::new(
            "InvalidCurrentConnectionString.NotFound",
            400,
            "no such endpoint",
        ),
        ErrorSpec::new(
            "OperationDenied.DBInstanceNetType",
            403,
            "not a public endpoint",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("DBInstanceId", "{InstanceId}"),
        ("CurrentConnectionString", "{PublicConnectionString}"),
    ],
};

/// A checked ReleaseInstancePublicConnection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseInstancePublicConnectionRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The endpoint, as the client names it.
    pub current_connection_string: String,
}

impl ApiRequest for ReleaseInstancePublicConnectionRequest {
    const ACTION: Action = Action::ReleaseInstancePublicConnection;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let name = "DBInstanceId";
        let instance = params.any_of(name, &["InstanceId"])?;
        let instance = instance.ok_or_else(|| ApiError::missing_parameter(name))?;
        Ok(Self {
            instance_id: InstanceId::parse(instance).map_err(|_| ApiError::instance_not_found())?,
            current_connection_string: params.required("CurrentConnectionString")?.to_owned(),
        })
    }
}
