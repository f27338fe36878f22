//! `openpeta admin backup …`: as typed, as sent, as shown.

use clap::{ArgAction, Subcommand};
use openpeta_control::admin::protocol::AdminCommand;
use openpeta_types::{BackupId, InstanceId};

use crate::admin::show::{FIELDS, Form};

#[derive(Debug, Subcommand)]
pub(super) enum Backup {
    /// List backup sets, newest first
    List {
        /// Only those of this instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: Option<InstanceId>,
        /// Most rows
        #[arg(long)]
        limit: Option<u32>,
    },
    /// Keep a set beyond the time of its policy, or no longer
    Protect {
        /// The set
        #[arg(value_parser = BackupId::parse)]
        backup_id: BackupId,
        /// Let it go when its time is over
        #[arg(long = "off", action = ArgAction::SetFalse)]
        is_protected: bool,
    },
    /// Delete a set for good; refused while it is protected or in use
    Delete {
        /// The set
        #[arg(value_parser = BackupId::parse)]
        backup_id: BackupId,
    },
    /// List archives of binary logs: for which time each is whole, and what it takes
    Logs,
    /// Restore a set into a node of its own, compare it, and throw the node away
    Verify {
        /// The set
        #[arg(value_parser = BackupId::parse)]
        backup_id: BackupId,
    },
}

impl Backup {
    /// The command as it is sent, and the form in which its reply is shown.
    pub(super) fn into_command(self) -> (AdminCommand, Form) {
        use AdminCommand as C;
        match self {
            Self::List { instance_id, limit } => (
                C::BackupList { instance_id, limit },
                Form::Rows {
                    columns: &[
                        "backup_id",
                        "instance_id",
                        "db_name",
                        "status",
                        "mode",
                        "bytes",
                        "started_at",
                        "verified_at",
                        "verify_failure",
                    ],
                },
            ),
            Self::Protect {
                backup_id,
                is_protected,
            } => (
                C::BackupProtect {
                    backup_id,
                    is_protected,
                },
                FIELDS,
            ),
            Self::Delete { backup_id } => (C::BackupDelete { backup_id }, FIELDS),
            Self::Logs => (
                C::BackupLogs,
                Form::Rows {
                    columns: &[
                        "instance_id",
                        "node_id",
                        "archived_until",
                        "age_seconds",
                        "bytes",
                        "failure",
                    ],
                },
            ),
            Self::Verify { backup_id } => (C::BackupVerify { backup_id }, FIELDS),
        }
    }
}
