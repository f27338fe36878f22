//! Backup sets, backup policies, restores.

pub(crate) mod create_database_backup;
pub(crate) mod describe_backup_policy;
pub(crate) mod describe_database_backup;
pub(crate) mod modify_backup_policy;
pub(crate) mod restore_database;
pub(crate) mod switch_backup_database;

pub use create_database_backup::{CreateDatabaseBackupRequest, CreateDatabaseBackupResponse};
pub use describe_backup_policy::{DescribeBackupPolicyRequest, DescribeBackupPolicyResponse};
pub use describe_database_backup::{
    BackupItem, DescribeDatabaseBackupRequest, DescribeDatabaseBackupResponse,
};
pub use modify_backup_policy::ModifyBackupPolicyRequest;
pub use restore_database::{RestoreDatabaseRequest, RestoreDatabaseResponse, RestorePoint};
pub use switch_backup_database::SwitchBackupDatabaseRequest;
