//! Why the service does not start, as the operator reads it.

use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// Why the service did not start, or ended otherwise than asked to.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The configuration file cannot be used.
    #[error("configuration file {}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong in it, with the line.
        reason: String,
    },
    /// A value of the configuration makes no sense.
    #[error("configuration: {0}")]
    Setting(String),
    /// Another process serves the same data directory.
    #[error(
        "{} is in use by another openpeta process{}; stop it first, take over from it with \
         --replace, or choose another --data-dir",
        path.display(),
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    AlreadyServed {
        /// The data directory.
        path: PathBuf,
        /// The other process, if it said.
        pid: Option<u32>,
    },
    /// The data directory, or something in it, cannot be read or written.
    #[error("data directory: {}: {reason}", path.display())]
    DataDir {
        /// What cannot be used.
        path: PathBuf,
        /// The operating system's reason.
        reason: std::io::Error,
    },
    /// A listener's address is taken by another process.
    #[error(
        "{address} is taken by another process; choose another address with --{flag} or in [api]"
    )]
    AddressInUse {
        /// The address.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// A listener's address cannot be bound for another reason.
    #[error("cannot listen on {address} (--{flag}): {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// The operating system's reason.
        reason: std::io::Error,
    },
    /// Certificates cannot be made or read.
    #[error("TLS: {0}")]
    Tls(String),
    /// The metadata store cannot be opened.
    #[error("metadata store: {0}")]
    Store(String),
    /// The database gateway cannot start.
    #[error("gateway: {0}")]
    Gateway(String),
    /// The control plane cannot start.
    #[error("{0}")]
    Control(String),
    /// The process that serves the data directory does not hand over; it goes on serving.
    #[error("the running process does not hand over: {0}")]
    HandOver(String),
    /// The operating system refuses something that every start needs.
    #[error("{what}: {reason}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The operating system's reason.
        reason: std::io::Error,
    },
}

impl ServeError {
    /// The exit code of the process: 2 for what the operator wrote, 3 for what is in use
    /// elsewhere, 4 for the data directory, 1 for the rest.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config { .. } | Self::Setting(_) => 2,
            Self::AlreadyServed { .. } | Self::AddressInUse { .. } | Self::Listen { .. } => 3,
            Self::DataDir { .. } => 4,
            Self::Tls(_)
            | Self::Store(_)
            | Self::Gateway(_)
            | Self::Control(_)
            | Self::HandOver(_)
            | Self::System { .. } => 1,
        }
    }
}
