//! Database accounts.

pub(super) mod create_account;
pub(super) mod delete_account;
pub(super) mod describe_accounts;
