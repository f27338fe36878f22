//! DescribeAccounts.

use openpeta_types::{AccountName, AccountStatus, AccountType, DbName, InstanceId, PrivilegeSet};

use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{ActionSpec, FieldSpec, HttpsRule, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeAccounts,
    name: "DescribeAccounts",
    aliases: &[],
    section: Section::Accounts,
    description: "Lists the accounts of an instance with their privileges.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Documented,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[INSTANCE_ID],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier.").optional(),
        FieldSpec::list(
            "AccountList",
            "Account",
            &[
                FieldSpec::text("AccountName", "Account name."),
                FieldSpec::text("AccountStatus", "Status of the account.")
                    .allowed(&["CREATE", "ACTIVE", "DELETE", "DELETED"]),
                FieldSpec::text("AccountDescription", "Empty text when unset."),
                FieldSpec::text("AccountType", "Kind of account.").allowed(&["Normal", "Super"]),
                FieldSpec::list(
                    "DatabasePrivileges",
                    "DatabasePrivilege",
                    &[
                        FieldSpec::text("DBName", "Absent for an account without privileges.")
                            .optional(),
                        FieldSpec::text(
                            "AccountPrivilege",
                            "Privilege set; empty for an account without privileges.",
                        )
                        .allowed(&[
                            "ReadOnly",
                            "ReadWrite",
                            "DDLOnly",
                            "DMLOnly",
                            "Custom",
                            "",
                        ]),
                        FieldSpec::text(
                            "AccountPrivilegeDetail",
                            "Comma-separated privilege names, no blanks after the commas.",
                        ),
                    ],
                    "Privileges by database.",
                ),
            ],
            "Accounts.",
        ),
    ],
    errors: &[MISSING_PARAMETER, INSTANCE_NOT_FOUND, FORBIDDEN_RAM],
    example: &[("InstanceId", "{InstanceId}")],
};

/// A checked DescribeAccounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeAccountsRequest {
    /// The instance.
    pub instance_id: InstanceId,
}

impl ApiRequest for DescribeAccountsRequest {
    const ACTION: Action = Action::DescribeAccounts;
    type Response = DescribeAccountsResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            instance_id: params.instance_id()?,
        })
    }
}

/// The answer to DescribeAccounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeAccountsResponse {
    /// The instance.
    pub instance_id: InstanceId,
    /// Its accounts.
    pub accounts: Vec<AccountItem>,
}

/// An account in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountItem {
    /// Its name.
    pub account_name: AccountName,
    /// Its status.
    pub account_status: AccountStatus,
    /// Its remark; empty when there is none.
    pub account_description: String,
    /// Its kind.
    pub account_type: AccountType,
    /// What it may do; empty for an account without privileges.
    pub privileges: Vec<DatabasePrivilegeItem>,
}

/// What an account may do in one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabasePrivilegeItem {
    /// The database.
    pub db_name: DbName,
    /// The privilege set, `Custom` when no named one matches.
    pub account_privilege: PrivilegeSet,
    /// The privileges one by one, comma-separated without blanks.
    pub detail: String,
}

impl ApiResponse for DescribeAccountsResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.text("InstanceId", self.instance_id.as_str());
        writer.list(
            "AccountList",
            "Account",
            &self.accounts,
            |writer, account| {
                account.write(writer);
            },
        );
    }
}

impl AccountItem {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.text("AccountName", self.account_name.as_str());
        writer.text("AccountStatus", self.account_status.as_str());
        writer.text("AccountDescription", &self.account_description);
        writer.text("AccountType", self.account_type.as_str());
        let (list, item) = ("DatabasePrivileges", "DatabasePrivilege");
        if self.privileges.is_empty() {
            // An account without privileges shows one entry that names no database.
            writer.list(list, item, [()], |writer, ()| {
                writer.text("AccountPrivilege", "");
                writer.text("AccountPrivilegeDetail", "");
            });
            return;
        }
        writer.list(list, item, &self.privileges, |writer, privilege| {
            writer.text("DBName", privilege.db_name.as_str());
            writer.text("AccountPrivilege", privilege.account_privilege.as_str());
            writer.text("AccountPrivilegeDetail", &privilege.detail);
        });
    }
}
