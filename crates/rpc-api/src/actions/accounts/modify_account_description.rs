//! ModifyAccountDescription.

use openpeta_types::{AccountDescription, AccountName, InstanceId};

use crate::actions::common::{
    ACCOUNT_NOT_FOUND, ACCOUNT_STATUS, DB_INSTANCE_ID, FORBIDDEN_RAM, INSTANCE_NOT_FOUND,
    INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::{account_description, account_name, check_required};
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ModifyAccountDescription,
    name: "ModifyAccountDescription",
    aliases: &[],
    section: Section::Accounts,
    description: "Changes the remark of an account.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE"],
    parameters: &[
        DB_INSTANCE_ID,
        ParameterSpec::text("AccountName", "Account.").required(),
        ParameterSpec::text("AccountDescription", "New remark.")
            .required()
            .constraints("as in CreateAccount")
            .length(2, 256),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        ACCOUNT_NOT_FOUND,
        ACCOUNT_STATUS,
        ErrorSpec::new("InvalidAccountDescription.Malformed", 400, "bad remark"),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("DBInstanceId", "{InstanceId}"),
        ("AccountName", "{AccountName}"),
        ("AccountDescription", "Orders-team"),
    ],
};

/// A checked ModifyAccountDescription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModifyAccountDescriptionRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The account.
    pub account_name: AccountName,
    /// Its new remark.
    pub account_description: AccountDescription,
}

impl ApiRequest for ModifyAccountDescriptionRequest {
    const ACTION: Action = Action::ModifyAccountDescription;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.db_instance_id()?,
            account_name: account_name(params)?,
            account_description: account_description(params)?
                .ok_or_else(|| ApiError::missing_parameter("AccountDescription"))?,
        })
    }
}
