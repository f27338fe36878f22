//! `openpeta admin backup …`: as typed, as sent, as shown.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};
use jiff::Timestamp;
use openpeta_control::admin::protocol::AdminCommand;
use openpeta_engine::{BackupKeys, EngineError, decrypt_backup};
use openpeta_types::{BackupId, DbName, InstanceId};
use serde_json::{Value, json};

use crate::admin::show::{FIELDS, Form};
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum Backup {
    #[command(flatten)]
    OfService(BackupCommand),
    /// Decrypt a set or a file of an archived log; needs no service, only the key
    Decrypt(Decrypt),
}

#[derive(Debug, Subcommand)]
pub(super) enum BackupCommand {
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
        /// Delete the sets that go on from it as well
        #[arg(long)]
        with_dependents: bool,
    },
    /// List archives of binary logs: for which time each is whole, and what it takes
    Logs,
    /// List transactions that the archived log has of a database: names, rows, statements
    LogSearch {
        /// The instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: InstanceId,
        /// The database
        #[arg(long, value_parser = DbName::parse)]
        db_name: DbName,
        /// Only those of this time or later, as 2026-01-31T08:00:00Z
        #[arg(long, value_name = "TIME")]
        from: Timestamp,
        /// Only those before this time [default: now]
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        /// Only those that concern this table
        #[arg(long)]
        table: Option<String>,
        /// Most rows, the oldest ones [default: 100]
        #[arg(long)]
        limit: Option<u32>,
    },
    /// Restore a set into a node of its own, compare it, and throw the node away
    Verify {
        /// The set
        #[arg(value_parser = BackupId::parse)]
        backup_id: BackupId,
    },
}

impl BackupCommand {
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
                        "method",
                        "base_id",
                        "bytes",
                        "started_at",
                        "verified_at",
                        "verify_failure",
                        "key_id",
                        "stored_in",
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
            Self::Delete {
                backup_id,
                with_dependents,
            } => (
                C::BackupDelete {
                    backup_id,
                    with_dependents,
                },
                FIELDS,
            ),
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
            Self::LogSearch {
                instance_id,
                db_name,
                from,
                until,
                table,
                limit,
            } => (
                C::BackupLogSearch {
                    instance_id,
                    db_name,
                    from,
                    until,
                    table,
                    limit,
                },
                Form::Rows {
                    columns: &[
                        "gtid",
                        "time",
                        "changes",
                        "statement",
                        "statements",
                        "bytes",
                    ],
                },
            ),
            Self::Verify { backup_id } => (C::BackupVerify { backup_id }, FIELDS),
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct Decrypt {
    /// The file of keys, as [backup] encryption_key_file names it
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The directory of a set, or a file that ends in .enc
    source: PathBuf,
    /// Where to; must not exist
    target: PathBuf,
}

impl Decrypt {
    /// Decrypts; what is told of it.
    pub(super) fn run(self) -> Result<Value, Failure> {
        let keys = BackupKeys::read(&self.key_file)
            .map_err(|what| Failure::local("InvalidKeyFile", what))?;
        let bytes = decrypt_backup(&keys, &self.source, &self.target).map_err(|error| {
            let code = match error {
                EngineError::NoKey { .. } => "KeyNotFound",
                EngineError::NotEncrypted { .. } => "NotEncrypted",
                EngineError::DamagedSet { .. } => "DamagedBackup",
                _ => "CannotDecrypt",
            };
            Failure::local(code, error.to_string())
        })?;
        Ok(json!({ "target": self.target.display().to_string(), "bytes": bytes }))
    }
}
