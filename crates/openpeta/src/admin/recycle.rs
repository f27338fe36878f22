//! `openpeta admin recycle …`: as typed, as sent, as shown.

use clap::Subcommand;
use openpeta_control::admin::protocol::AdminCommand;
use openpeta_types::{AccountId, BackupId, DbName, InstanceId, InstanceName};

use crate::admin::show::{FIELDS, Form};

#[derive(Debug, Subcommand)]
pub(super) enum Recycle {
    /// List deleted databases that can be brought back, latest first
    List {
        /// Only those of this tenant
        #[arg(long, value_parser = AccountId::parse)]
        account_id: Option<AccountId>,
    },
    /// Show what is kept of one: its instance, accounts, whitelist
    Show {
        /// Its backup set
        #[arg(value_parser = BackupId::parse)]
        backup_id: BackupId,
    },
    /// Restore one into a new instance of its tenant, compared as every restore is
    Restore {
        /// Its backup set
        #[arg(value_parser = BackupId::parse)]
        backup_id: BackupId,
        /// With the accounts that its instance had, their passwords and grants
        #[arg(long)]
        with_accounts: bool,
        /// The new instance's name [default: that of the former one]
        #[arg(long, value_parser = InstanceName::parse)]
        instance_name: Option<InstanceName>,
        /// In the Classic network, whatever it was in: its VPC may be gone
        #[arg(long)]
        classic: bool,
    },
    /// Remove one for good
    Purge {
        /// Its backup set
        #[arg(value_parser = BackupId::parse)]
        backup_id: BackupId,
    },
    /// Do not wait for the final backup of what is being deleted
    Skip {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
        /// Only of this database
        #[arg(long, value_parser = DbName::parse)]
        db_name: Option<DbName>,
    },
}

impl Recycle {
    /// The command as it is sent, and the form in which its reply is shown.
    pub(super) fn into_command(self) -> (AdminCommand, Form) {
        use AdminCommand as C;
        match self {
            Self::List { account_id } => (
                C::RecycleList { account_id },
                Form::Rows {
                    columns: &[
                        "backup_id",
                        "instance_id",
                        "db_name",
                        "deleted_at",
                        "purge_at",
                        "bytes",
                        "final",
                        "taken_at",
                        "account_id",
                        "key_id",
                        "stored_in",
                    ],
                },
            ),
            Self::Show { backup_id } => (C::RecycleShow { backup_id }, FIELDS),
            Self::Restore {
                backup_id,
                with_accounts,
                instance_name,
                classic,
            } => (
                C::RecycleRestore {
                    backup_id,
                    with_accounts,
                    instance_name,
                    classic,
                },
                FIELDS,
            ),
            Self::Purge { backup_id } => (C::RecyclePurge { backup_id }, FIELDS),
            Self::Skip {
                instance_id,
                db_name,
            } => (
                C::RecycleSkip {
                    instance_id,
                    db_name,
                },
                Form::Rows {
                    columns: &["task_id", "db_name"],
                },
            ),
        }
    }
}
