//! Database accounts, and the calling account.

pub(crate) mod create_account;
pub(crate) mod delete_account;
pub(crate) mod describe_accounts;
pub(crate) mod describe_user_info;
pub(crate) mod grant_account_privilege;
mod grants;
pub(crate) mod modify_account_description;
pub(crate) mod modify_account_password;
pub(crate) mod reset_account_password;
pub(crate) mod revoke_account_privilege;

pub use create_account::CreateAccountRequest;
pub use delete_account::DeleteAccountRequest;
pub use describe_accounts::{
    AccountItem, DatabasePrivilegeItem, DescribeAccountsRequest, DescribeAccountsResponse,
};
pub use describe_user_info::{DescribeUserInfoRequest, DescribeUserInfoResponse};
pub use grant_account_privilege::GrantAccountPrivilegeRequest;
pub use grants::{AccountGrants, GrantSource};
pub use modify_account_description::ModifyAccountDescriptionRequest;
pub use modify_account_password::ModifyAccountPasswordRequest;
pub use reset_account_password::ResetAccountPasswordRequest;
pub use revoke_account_privilege::RevokeAccountPrivilegeRequest;
