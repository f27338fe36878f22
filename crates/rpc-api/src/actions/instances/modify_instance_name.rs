//! ModifyInstanceName.

use openpeta_types::{InstanceId, InstanceName};

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::{check_required, instance_name};
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ModifyInstanceName,
    name: "ModifyInstanceName",
    aliases: &[],
    section: Section::Instances,
    description: "Changes the display name of an instance. The identifier never changes.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[
        "instance status is ACTIVE (from the state rule of 12.4; not repeated in 7.3)",
    ],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("NewInstanceName", "New display name.")
            .required()
            .constraints("<= 256 characters")
            .length(1, 256),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        ErrorSpec::new(
            "InvalidNewInstanceName.Malformed",
            400,
            "longer than 256 characters",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("NewInstanceName", "orders"),
    ],
};

/// A checked ModifyInstanceName.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModifyInstanceNameRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// Its new display name.
    pub new_instance_name: InstanceName,
}

impl ApiRequest for ModifyInstanceNameRequest {
    const ACTION: Action = Action::ModifyInstanceName;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        let name = "NewInstanceName";
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            new_instance_name: instance_name(params, name)?
                .ok_or_else(|| ApiError::missing_parameter(name))?,
        })
    }
}
