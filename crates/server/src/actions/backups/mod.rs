//! Backups of databases.

pub(super) mod describe_backup_policy;
pub(super) mod modify_backup_policy;
