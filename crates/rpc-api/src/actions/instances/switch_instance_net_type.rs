//! SwitchInstanceNetType.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::SwitchInstanceNetType,
    name: "SwitchInstanceNetType",
    aliases: &[],
    section: Section::Instances,
    description: "Moves an instance between the classic network and a VPC; its address changes.",
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
        ParameterSpec::text("VpcId", "Required for VPC."),
        ParameterSpec::text("VSwitchId", "Required for VPC."),
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
        ErrorSpec::new("OperationDenied.Switch", 403, "cannot be switched"),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("TargetNetworkType", "VPC"),
        ("VpcId", "{VpcId}"),
        ("VSwitchId", "{VSwitchId}"),
    ],
    availability: Availability::Planned,
};
