//! DescribeAccounts.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{ActionSpec, Availability, FieldSpec, HttpsRule, RamResource, Section};

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
    availability: Availability::Available,
};
