//! DeleteAccount.

use openpeta_types::{AccountName, InstanceId};

use crate::actions::common::{
    ACCOUNT_NOT_FOUND, ACCOUNT_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND,
    INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::{account_name, check_required};
use crate::spec::{ActionSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DeleteAccount,
    name: "DeleteAccount",
    aliases: &[],
    section: Section::Accounts,
    description: "Drops a database account.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::Documented,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("AccountName", "Account to drop.")
            .required()
            .constraints(
                "up to 16 characters: a letter, then lower-case letters, digits and \
                underscores",
            ),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        ACCOUNT_NOT_FOUND,
        ACCOUNT_STATUS,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("AccountName", "{AccountName}"),
    ],
};

/// A checked DeleteAccount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteAccountRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The account.
    pub account_name: AccountName,
}

impl ApiRequest for DeleteAccountRequest {
    const ACTION: Action = Action::DeleteAccount;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            account_name: account_name(params)?,
        })
    }
}
