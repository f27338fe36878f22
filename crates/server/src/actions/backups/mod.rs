//! Backups of databases.

pub(super) mod create_database_backup;
pub(super) mod describe_backup_policy;
pub(super) mod describe_database_backup;
pub(super) mod modify_backup_policy;
pub(super) mod restore_database;
pub(super) mod switch_backup_database;
