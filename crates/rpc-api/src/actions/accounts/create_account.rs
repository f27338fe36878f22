//! CreateAccount.

use openpeta_types::{AccountDescription, AccountName, AccountType, InstanceId, Password};

use crate::actions::accounts::AccountGrants;
use crate::actions::common::{
    ACCOUNT_NAME_PATTERN, CLIENT_TOKEN, DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_LOCKED,
    INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, PASSWORD_PATTERN, REQUEST_ID,
    TOKEN_MISMATCH,
};
use crate::checks::{account_description, check_required, new_account_name, new_password};
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ClientToken, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::CreateAccount,
    name: "CreateAccount",
    aliases: &[],
    section: Section::Accounts,
    description: "Creates a database account in an instance, optionally with privileges on some \
        databases.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::CarriesSecret,
    resource: RamResource::Instance,
    preconditions: &[
        "instance status is ACTIVE",
        "instance is not locked",
        "at most 3 accounts per instance",
    ],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("AccountName", "Account name.")
            .required()
            .constraints(
                "2-10 characters; first a lower-case letter; then lower-case letters, \
                digits, underscore; not a reserved keyword; unique in the instance",
            )
            .pattern(ACCOUNT_NAME_PATTERN),
        ParameterSpec::text("AccountPassword", "Password.")
            .required()
            .secret()
            .constraints(
                "8-32 characters; at least three of the four classes upper-case, \
                lower-case, digit, special; special characters are ! @ # $ % ^ & * ( ) _ + - =",
            )
            .pattern(PASSWORD_PATTERN),
        ParameterSpec::text("AccountType", "Kind of account.")
            .default("Normal")
            .allowed(&["Normal", "Super"]),
        ParameterSpec::text(
            "DBInfo",
            "JSON object from privilege set to list of database names.",
        )
        .constraints(
            "keys ReadWrite, ReadOnly, DDLOnly or DMLOnly; values arrays of existing \
            database names",
        ),
        ParameterSpec::text("DBName", "Databases, comma-separated."),
        ParameterSpec::text(
            "AccountPrivilege",
            "Privilege set for the databases in DBName.",
        )
        .default("ReadWrite")
        .allowed(&["ReadWrite", "ReadOnly", "DDLOnly", "DMLOnly"]),
        ParameterSpec::text("AccountDescription", "Remark.")
            .length(2, 256)
            .constraints(
                "2-256 characters; first a Chinese character or a letter; Chinese \
                characters, letters, digits, underscore, hyphen; not starting with http:// or \
                https://",
            ),
        CLIENT_TOKEN,
        ParameterSpec::text(
            "AccountVersion",
            "0: privileges in the request are ignored and ReadWrite is given; 1: privileges are \
                honoured.",
        )
        .default("1")
        .allowed(&["0", "1"]),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        ErrorSpec::new("InvalidAccountName.Malformed", 400, "bad name"),
        ErrorSpec::new("InvalidAccountName.keyword", 400, "reserved keyword"),
        ErrorSpec::new("InvalidAccountName.Duplicate", 400, "name taken"),
        ErrorSpec::new("QuotaExceeded.AccountName", 403, "account quota used up"),
        ErrorSpec::new("InvalidAccountPassword.Malformed", 400, "bad password"),
        ErrorSpec::new(
            "InvalidAccountType.ValueNotSupported",
            400,
            "neither Normal nor Super",
        ),
        ErrorSpec::new(
            "InvalidDBInfo.Malformed",
            400,
            "DBInfo is not such an object or names an unknown database",
        ),
        DB_NOT_FOUND,
        ErrorSpec::new(
            "InvalidAccountPrivilege.ValueNotSupported",
            400,
            "unknown privilege set",
        ),
        ErrorSpec::new("InvalidAccountDescription.Malformed", 400, "bad remark"),
        ErrorSpec::new(
            "InvalidAccountVersion.ValueNotSupported",
            400,
            "neither 0 nor 1",
        ),
        ErrorSpec::new("InvalidClientToken.Malformed", 400, "bad ClientToken"),
        TOKEN_MISMATCH,
        ErrorSpec::new(
            "ServiceUnavailable",
            503,
            "the account could not be made and was undone; the same call may be sent again",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("InstanceId", "{InstanceId}"),
        ("AccountName", "{NewAccountName}"),
        ("AccountPassword", "Passw0rd!"),
        ("DBName", "{DBName}"),
        ("AccountPrivilege", "ReadOnly"),
    ],
};

/// A checked CreateAccount.
#[derive(Clone, Debug)]
pub struct CreateAccountRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The new account.
    pub account_name: AccountName,
    /// Its password.
    pub account_password: Password,
    /// Its kind.
    pub account_type: AccountType,
    /// What it may do; of no matter for a Super account.
    pub grants: AccountGrants,
    /// A remark.
    pub account_description: Option<AccountDescription>,
    /// Idempotency key.
    pub client_token: Option<ClientToken>,
}

impl ApiRequest for CreateAccountRequest {
    const ACTION: Action = Action::CreateAccount;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let account_type = params.choice("AccountType", AccountType::parse)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            account_name: new_account_name(params.required("AccountName")?)?,
            account_password: new_password(params, "AccountPassword")?,
            account_type: account_type.unwrap_or(AccountType::Normal),
            grants: AccountGrants::from_params(params)?,
            account_description: account_description(params)?,
            client_token: params.client_token()?,
        })
    }
}
