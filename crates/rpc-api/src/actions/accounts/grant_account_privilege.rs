//! GrantAccountPrivilege.

use std::collections::BTreeSet;

use openpeta_types::{AccountName, DbName, InstanceId, PrivilegeSet};

use crate::actions::accounts::grants::grantable;
use crate::actions::common::{
    ACCOUNT_NOT_FOUND, ACCOUNT_STATUS, DB_INSTANCE_ID, DB_NOT_FOUND, DB_STATUS, FORBIDDEN_RAM,
    INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS, MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::{account_name, check_required, db_names};
use crate::spec::{ActionSpec, ErrorSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, EmptyResponse, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::GrantAccountPrivilege,
    name: "GrantAccountPrivilege",
    aliases: &[],
    section: Section::Accounts,
    description: "Gives an account a privilege set on databases.",
    mutating: true,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &["instance status is ACTIVE", "instance is not locked"],
    parameters: &[
        DB_INSTANCE_ID,
        ParameterSpec::text("AccountName", "Account.").required(),
        ParameterSpec::text("DBName", "Databases, comma-separated.").required(),
        ParameterSpec::text("AccountPrivilege", "Privilege set.")
            .required()
            .allowed(&["ReadWrite", "ReadOnly", "DDLOnly", "DMLOnly"]),
    ],
    response: &[REQUEST_ID],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        ACCOUNT_NOT_FOUND,
        ACCOUNT_STATUS,
        ErrorSpec::new(
            "OperationDenied.AccountType",
            403,
            "the account is of type Super, which has all privileges on all databases",
        ),
        DB_NOT_FOUND,
        DB_STATUS,
        ErrorSpec::new(
            "InvalidAccountPrivilege.ValueNotSupported",
            400,
            "unknown privilege set",
        ),
        ErrorSpec::new(
            "ServiceUnavailable",
            503,
            "the node could not be told and all was undone; the same call may be sent again",
        ),
        FORBIDDEN_RAM,
    ],
    example: &[
        ("DBInstanceId", "{InstanceId}"),
        ("AccountName", "{AccountName}"),
        ("DBName", "{DBName}"),
        ("AccountPrivilege", "ReadWrite"),
    ],
};

/// A checked GrantAccountPrivilege.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantAccountPrivilegeRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The account.
    pub account_name: AccountName,
    /// The databases.
    pub db_names: BTreeSet<DbName>,
    /// What the account may do on each of them from now on.
    pub account_privilege: PrivilegeSet,
}

impl ApiRequest for GrantAccountPrivilegeRequest {
    const ACTION: Action = Action::GrantAccountPrivilege;
    type Response = EmptyResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.db_instance_id()?,
            account_name: account_name(params)?,
            db_names: db_names(params.required("DBName")?)?,
            account_privilege: params
                .choice("AccountPrivilege", grantable)?
                .ok_or_else(|| ApiError::missing_parameter("AccountPrivilege"))?,
        })
    }
}
