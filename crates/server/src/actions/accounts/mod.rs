//! Database accounts.

pub(super) mod create_account;
pub(super) mod delete_account;
pub(super) mod describe_accounts;
pub(super) mod describe_user_info;
pub(super) mod grant_account_privilege;
pub(super) mod modify_account_description;
pub(super) mod modify_account_password;
pub(super) mod reset_account_password;
pub(super) mod revoke_account_privilege;
