//! `openpeta admin control-plane …`, `openpeta admin recovery …` and `openpeta admin instance
//! recover`: as typed, as sent or done, as shown.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use openpeta_control::admin::protocol::{AdminCommand, ReplayedLog};
use openpeta_control::{ArchiveError, ArchiveManifest};
use openpeta_types::{BackupId, DbName, InstanceId, format_time};
use serde_json::{Value, json};

use crate::admin::arguments::{AdminArguments, Subject};
use crate::admin::show::{FIELDS, Form};
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum ControlPlane {
    /// Write store, key, certificates and configuration of the running service into one file
    Backup {
        /// A file that does not exist yet [default: a name of its time in
        /// DIR/control-plane-backups]
        file: Option<PathBuf>,
    },
    /// Check such a file from its begin to its end, and tell what it is of
    Check {
        /// The file
        file: PathBuf,
    },
    /// Make the data directory (--data-dir) out of such a file; it must be empty, or not exist
    Restore {
        /// The file; with --from-bucket the name of one there [default: the newest]
        #[arg(required_unless_present = "from_bucket")]
        file: Option<PathBuf>,
        /// Fetch it from the bucket of the configuration
        #[arg(long, requires = "config")]
        from_bucket: bool,
        /// The configuration file: it names the bucket, and the file with the key
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Recovery {
    /// Tell of each database whether its data is there, and what it can be brought back from
    Status,
    /// Say that all is well: from then on what the restored control plane does not know is removed
    Finish {
        /// Also when the data of instances is still lost
        #[arg(long)]
        force: bool,
    },
}

/// How an instance is brought back.
#[derive(Args, Debug)]
pub(super) struct Recover {
    /// The instance
    #[arg(long, value_parser = InstanceId::parse)]
    instance_id: InstanceId,
    /// A set in place of the newest one of its database; may be given for each database
    #[arg(long = "backup-id", value_name = "ID", value_parser = BackupId::parse)]
    backup_ids: Vec<BackupId>,
    /// Apply the archived binary log up to this second, as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "to_end_of_log")]
    to_time: Option<Timestamp>,
    /// Apply all of the archived binary log
    #[arg(long)]
    to_end_of_log: bool,
    /// Give a database up of which there is no set; may be given several times
    #[arg(long, value_name = "DATABASE", value_parser = DbName::parse)]
    without: Vec<DbName>,
}

impl Recover {
    /// The command as it is sent, and the form in which its reply is shown.
    pub(super) fn into_command(self) -> (AdminCommand, Form) {
        let log = match (self.to_time, self.to_end_of_log) {
            (Some(time), _) => ReplayedLog::Before(time),
            (None, true) => ReplayedLog::Everything,
            (None, false) => ReplayedLog::Nothing,
        };
        let command = AdminCommand::InstanceRecover {
            instance_id: self.instance_id,
            backup_ids: self.backup_ids,
            log,
            without: self.without,
        };
        (command, FIELDS)
    }
}

impl Recovery {
    /// The command as it is sent, and the form in which its reply is shown.
    pub(super) fn into_command(self) -> (AdminCommand, Form) {
        match self {
            Self::Status => (
                AdminCommand::RecoveryStatus,
                Form::Fields {
                    columns: &[
                        "instance_id",
                        "db_name",
                        "status",
                        "data",
                        "newest_set",
                        "of",
                        "log_goes_on",
                    ],
                },
            ),
            Self::Finish { force } => (AdminCommand::RecoveryFinish { force }, FIELDS),
        }
    }
}

/// What is done without the service.
pub(super) enum Local {
    Check(PathBuf),
    Restore(PathBuf),
    /// By its configuration, perhaps a name.
    RestoreFromBucket(PathBuf, Option<PathBuf>),
}

impl AdminArguments {
    /// What is to be done without the service, if it is.
    pub(super) fn local(&self) -> Option<Local> {
        match &self.subject {
            Subject::ControlPlane(ControlPlane::Check { file }) => Some(Local::Check(file.clone())),
            Subject::ControlPlane(ControlPlane::Restore {
                file,
                from_bucket,
                config,
            }) => match (file, config) {
                (file, Some(config)) if *from_bucket => {
                    Some(Local::RestoreFromBucket(config.clone(), file.clone()))
                }
                (file, _) => file.clone().map(Local::Restore),
            },
            _ => None,
        }
    }
}

/// The command of what the service does.
///
/// # Errors
/// When the file's name makes no sense here.
pub(super) fn backup_command(file: Option<PathBuf>) -> Result<AdminCommand, Failure> {
    // The service runs in another directory.
    let file = file.map(std::path::absolute).transpose();
    let file = file.map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(AdminCommand::ControlPlaneBackup { file })
}

impl Local {
    /// Does it, and tells what came of it.
    pub(super) fn run(self, data_dir: &Path) -> Result<Value, Failure> {
        match self {
            Self::Check(file) => {
                let manifest = openpeta_control::check(&file).map_err(failure)?;
                Ok(told(&manifest))
            }
            Self::Restore(file) => restore(&file, data_dir),
            Self::RestoreFromBucket(config, name) => {
                let storage = |text: String| Failure::local("StorageFailed", text);
                let config = openpeta_server::Config::read(&config)
                    .map_err(|error| Failure::Usage(error.to_string()))?;
                let data_dir = std::path::absolute(data_dir);
                let data_dir = data_dir.map_err(|error| storage(error.to_string()))?;
                // Where the data directory is to be, secrets may lie.
                let beside = data_dir.parent().unwrap_or(Path::new("/"));
                let made = std::fs::create_dir_all(beside);
                made.map_err(|error| storage(error.to_string()))?;
                let name = name.as_ref().map(|name| name.to_string_lossy());
                let backup = config.control().backup;
                let fetched = openpeta_control::fetch_backup(&backup, name.as_deref(), beside);
                let file = fetched.map_err(storage)?;
                let restored = restore(&file, &data_dir);
                let _ = std::fs::remove_file(&file);
                restored
            }
        }
    }
}

fn restore(file: &Path, data_dir: &Path) -> Result<Value, Failure> {
    let restored = openpeta_control::restore(file, data_dir).map_err(failure)?;
    let mut reply = told(&restored.manifest);
    reply["restored_into"] = json!(restored.data_dir);
    reply["next"] = json!(next(&restored.data_dir, &restored.manifest));
    Ok(reply)
}

fn told(manifest: &ArchiveManifest) -> Value {
    json!({
        "taken_at": format_time(manifest.taken_at),
        "version": manifest.version,
        "data_dir": manifest.data_dir,
        "instances": manifest.instances.len(),
        "files": manifest.members.len(),
    })
}

fn next(data_dir: &Path, manifest: &ArchiveManifest) -> String {
    let configuration = data_dir.join("openpeta.toml");
    let has_one = manifest.members.iter().any(|it| it.name == "openpeta.toml");
    let dir = data_dir.display();
    let config = match has_one {
        true => format!(" --config {}", configuration.display()),
        false => String::new(),
    };
    format!("put the backup sets into {dir}/backups, then: openpeta serve --data-dir {dir}{config}")
}

fn failure(error: ArchiveError) -> Failure {
    let code = match &error {
        ArchiveError::Io { .. } => "FileFailed",
        ArchiveError::Damaged { .. } => "DamagedBackup",
        ArchiveError::Newer { .. } => "NewerVersion",
        ArchiveError::InTheWay { .. } => "InTheWay",
        ArchiveError::Store(_) => "StoreFailed",
    };
    Failure::local(code, error.to_string())
}
