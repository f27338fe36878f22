//! ResetAccountPassword.

use openpeta_types::{AccountName, InstanceId, Password};

use crate::actions::common::{
    ACCOUNT_NOT_FOUND, ACCOUNT_STATUS, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND,
    INSTANCE_STATUS, MISSING_PARAMETER, PASSWORD_PATTERN, REQUEST_ID,
};
use crate::checks::{account_name, check_required, new_password};
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::ResetAccountPassword,
    name: "ResetAccountPassword",
    aliases: &[],
    section: Section::Accounts,
    description: "Sets a new password for an account without the old one.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::CarriesSecret,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE"],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("AccountName", "Account.").required(),
        ParameterSpec::text("NewPassword", "New password.")
            .required()
            .secret()
            .constraints(
                "8-32 characters; at least three of the four classes upper-case, \
                lower-case, digit, special; special characters are ! @ # $ % ^ & * ( ) _ + - =",
            )
            .pattern(PASSWORD_PATTERN),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        ACCOUNT_NOT_FOUND,
        ErrorSpec::new(
            "InvalidNewPassword.Malformed",
            400,
            "new password breaks the rules",
        ),
        ACCOUNT_STATUS,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("AccountName", "{AccountName}"),
        ("NewPassword", "Passw0rd!"),
    ],
};

/// A checked ResetAccountPassword.
#[derive(Clone, Debug)]
pub struct ResetAccountPasswordRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The account.
    pub account_name: AccountName,
    /// Its new password.
    pub new_password: Password,
}

impl ApiRequest for ResetAccountPasswordRequest {
    const ACTION: Action = Action::ResetAccountPassword;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            account_name: account_name(params)?,
            new_password: new_password(params, "NewPassword")?,
        })
    }
}
