//! What the engine is told by the configuration.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use openpeta_types::Secret;

use crate::sealed::BackupKeys;

/// Settings of the engine. [`EngineConfig::new`] fills in what fits Debian and Ubuntu.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The server program: a path, or a name to be found on `PATH` and in the `sbin` folders.
    pub mariadbd: PathBuf,
    /// The program that initialises a data directory; found like `mariadbd`.
    pub install_db: PathBuf,
    /// OpenPeta's data directory. Nodes live in `nodes` and the template in `template` below
    /// it, or below `relocation_dir` when the node user cannot get there.
    pub data_dir: PathBuf,
    /// Where nodes and template go when the node user cannot reach `data_dir`.
    pub relocation_dir: PathBuf,
    /// Keeps the template elsewhere, so that several data directories can share one. They must
    /// have the same administration password and redo log size, or they rebuild it in turns.
    pub template_dir: Option<PathBuf>,
    /// The system user that nodes run as; needed when running as root, else left unset.
    pub node_user: Option<String>,
    /// Password of [`ADMIN_ACCOUNT`](crate::ADMIN_ACCOUNT) on every node.
    pub admin_password: Secret,
    /// `innodb_log_file_size` of the template. A node with another size resizes its log at
    /// its first start.
    pub template_redo_log_bytes: u64,
    /// How long a start may take until the node accepts connections, crash recovery included.
    pub start_timeout: Duration,
    /// How long the operating system gets to remove a killed process.
    pub kill_timeout: Duration,
    /// How long one administration statement may take.
    pub sql_timeout: Duration,
    /// Bytes of text that backups are taken at in a second, all together; `None` for as many as can
    /// be had.
    pub backup_bytes_per_second: Option<NonZeroU64>,
    /// Below which backups are not slowed while others want the machine; `None` for no regard to
    /// others.
    pub backup_floor_bytes_per_second: Option<NonZeroU64>,
    /// What backups are encrypted with; without a key they are not.
    pub backup_keys: BackupKeys,
    /// Added to a node's `oom_score_adj`: the control plane should outlive a node.
    pub oom_score_adj: u16,
}

impl EngineConfig {
    /// Settings for a data directory: programs from the usual places, and nodes run as `mysql`
    /// when this process is root, else as this process's user.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>, admin_password: Secret) -> Self {
        let is_root = rustix::process::geteuid().is_root();
        Self {
            mariadbd: "mariadbd".into(),
            install_db: "mariadb-install-db".into(),
            data_dir: data_dir.into(),
            relocation_dir: "/var/lib/openpeta".into(),
            template_dir: None,
            node_user: is_root.then(|| "mysql".to_owned()),
            admin_password,
            template_redo_log_bytes: 16 << 20,
            backup_bytes_per_second: None,
            backup_floor_bytes_per_second: None,
            backup_keys: BackupKeys::default(),
            start_timeout: Duration::from_secs(120),
            kill_timeout: Duration::from_secs(10),
            sql_timeout: Duration::from_secs(30),
            oom_score_adj: 200,
        }
    }
}
