//! SwitchInstanceNetType.

use openpeta_types::{InstanceId, NetworkType};

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID,
};
use crate::actions::instances::NetworkPlacement;
use crate::checks::check_required;
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::SwitchInstanceNetType,
    name: "SwitchInstanceNetType",
    aliases: &[],
    section: Section::Instances,
    description: "Moves an instance between the classic network and a VPC. It gets a new \
        endpoint; the old one still works for a while, by default for a day.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[
        "instance status is ACTIVE",
        "fewer than 20 switches in the last 24 hours",
    ],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("TargetNetworkType", "Network to move to.")
            .required()
            .allowed(&["VPC", "Classic"]),
        ParameterSpec::text(
            "VpcId",
            "Required for VPC; must be in the instance's region.",
        ),
        ParameterSpec::text(
            "VSwitchId",
            "Required for VPC; must be in VpcId and in the instance's zone.",
        ),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        ErrorSpec::new(
            "InvalidTargetNetworkType.ValueNotSupported",
            400,
            "neither VPC nor Classic",
        ),
        ErrorSpec::new("NetTypeExists", 400, "already of that network type"),
        ErrorSpec::new(
            "QuotaExceeded.SwitchTime",
            400,
            "20 switches in 24 hours reached",
        ),
        ErrorSpec::new("InvalidVPCId.NotFound", 400, "unknown VPC"),
        ErrorSpec::new("InvalidVSwitchId.NotFound", 400, "unknown VSwitch"),
        ErrorSpec::new("IncorrectVpcId.Mismatch", 400, "VPC in another region"),
        ErrorSpec::new("InvalidVSwitchId.Mismatch", 400, "VSwitch in another zone"),
        ErrorSpec::new(
            "OperationDenied.Switch",
            403,
            "no address of the VSwitch, or no port, is left",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("TargetNetworkType", "VPC"),
        ("VpcId", "{VpcId}"),
        ("VSwitchId", "{VSwitchId}"),
    ],
};

/// A checked SwitchInstanceNetType.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchInstanceNetTypeRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// Where it goes.
    pub target: NetworkPlacement,
}

impl ApiRequest for SwitchInstanceNetTypeRequest {
    const ACTION: Action = Action::SwitchInstanceNetType;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        let name = "TargetNetworkType";
        check_required(Self::ACTION, params)?;
        let network_type = params
            .choice(name, NetworkType::parse)?
            .ok_or_else(|| ApiError::missing_parameter(name))?;
        Ok(Self {
            instance_id: params.instance_id()?,
            target: NetworkPlacement::from_params(network_type, params)?,
        })
    }
}
