//! DeleteInstance.

use openpeta_types::InstanceId;

use crate::actions::common::{
    CLIENT_TOKEN, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, REQUEST_ID, TOKEN_MISMATCH,
};
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ClientToken, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DeleteInstance,
    name: "DeleteInstance",
    aliases: &[],
    section: Section::Instances,
    description: "Releases an instance and destroys the data of all its databases.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "instance is not locked"],
    parameters: &[INSTANCE_ID, CLIENT_TOKEN],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        ErrorSpec::new("InvalidClientToken.Malformed", 400, "bad ClientToken"),
        TOKEN_MISMATCH,
        FORBIDDEN_RAM,
    ],
    example: &[("InstanceId", "{InstanceId}")],
};

/// A checked DeleteInstance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteInstanceRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// Idempotency key.
    pub client_token: Option<ClientToken>,
}

impl ApiRequest for DeleteInstanceRequest {
    const ACTION: Action = Action::DeleteInstance;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            instance_id: params.instance_id()?,
            client_token: params.client_token()?,
        })
    }
}
