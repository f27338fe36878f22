//! What can go wrong with a node.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openpeta_types::{Gtid, NodeId};
use thiserror::Error;

/// A failure of the engine.
///
/// The texts are for the operator: they name paths and quote MariaDB's log. Nothing in them is
/// meant for API clients, and none holds a secret.
#[derive(Debug, Error)]
pub enum EngineError {
    /// A file operation failed.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program that nodes need is not installed.
    #[error("{path} is missing; scripts/install-packages.sh installs what nodes need")]
    BinaryMissing {
        /// The program as configured.
        path: PathBuf,
    },
    /// The server program is no MariaDB, or one that is too old.
    #[error("{path} is {version:?}; a MariaDB server of at least {minimum} is needed")]
    UnsupportedServer {
        /// The program.
        path: PathBuf,
        /// What it says of itself.
        version: String,
        /// The oldest release that works.
        minimum: &'static str,
    },
    /// The configured node user does not exist.
    #[error("the node user {name:?} does not exist on this system")]
    UnknownUser {
        /// Its name.
        name: String,
    },
    /// Running as root without a node user: MariaDB refuses to run as root.
    #[error("running as root needs a node user, for example \"mysql\"")]
    NodeUserNeeded,
    /// Only root can run nodes as someone else.
    #[error("only root can run nodes as {name:?}; leave the node user unset")]
    CannotSwitchUser {
        /// The configured user.
        name: String,
    },
    /// A path that cannot stand in a MariaDB option file.
    #[error("{path:?} cannot be used: control characters, quotes and non-UTF-8 are not allowed")]
    InvalidPath {
        /// The path.
        path: PathBuf,
    },
    /// The data directory's path leaves too little room for a socket's name.
    #[error(
        "{path} has {length} bytes, a unix socket's path may have {limit}: use a shorter data directory"
    )]
    SocketPathTooLong {
        /// A node's socket path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The most that the kernel takes.
        limit: usize,
    },
    /// Nodes lie where the node user cannot go.
    #[error("the node user cannot reach {path}: some directory above it denies passage")]
    Unreachable {
        /// The directory.
        path: PathBuf,
    },
    /// `mariadb-install-db` failed.
    #[error("the node template could not be made: {output}")]
    TemplateFailed {
        /// The end of what it printed.
        output: String,
    },
    /// There is no such node on disk.
    #[error("node {node} does not exist")]
    NoSuchNode {
        /// The node.
        node: NodeId,
    },
    /// The node's process is not running.
    #[error("node {node} is not running")]
    NotRunning {
        /// The node.
        node: NodeId,
    },
    /// The server ended before it accepted connections.
    #[error("node {node} ended while starting; its log ends with: {log_tail}")]
    EarlyExit {
        /// The node.
        node: NodeId,
        /// The end of what this start wrote to the error log.
        log_tail: String,
    },
    /// The server does not accept connections yet. It goes on starting: a crash recovery may
    /// take long, and waiting again picks it up.
    #[error(
        "node {node} does not accept connections after {waited:?}; its log ends with: {log_tail}"
    )]
    StartTimeout {
        /// The node.
        node: NodeId,
        /// How long was waited.
        waited: Duration,
        /// The end of the error log.
        log_tail: String,
    },
    /// The process did not end even after SIGKILL.
    #[error("process {pid} of node {node} did not end after SIGKILL")]
    StopFailed {
        /// The node.
        node: NodeId,
        /// Its process.
        pid: u32,
    },
    /// The administration connection could not be made.
    #[error("cannot connect to {socket}: {source}")]
    Connect {
        /// The node's socket.
        socket: PathBuf,
        /// Why not.
        source: mysql_async::Error,
    },
    /// A statement failed.
    #[error("cannot {action}: {source}")]
    Sql {
        /// What was tried, as a verb.
        action: &'static str,
        /// Why not.
        source: mysql_async::Error,
    },
    /// A statement took longer than the configured time; the connection is given up.
    #[error("cannot {action}: no answer within {waited:?}")]
    SqlTimeout {
        /// What was tried, as a verb.
        action: &'static str,
        /// How long was waited.
        waited: Duration,
    },
    /// The connection was given up after an earlier timeout.
    #[error("cannot {action}: the connection was given up after a timeout")]
    SqlClosed {
        /// What was tried, as a verb.
        action: &'static str,
    },
    /// A transaction is prepared on a node, which may be committed on another.
    #[error("a transaction over nodes is not carried out on node {node}")]
    InDoubt {
        /// The node.
        node: NodeId,
    },
    /// Transactions over nodes were not held at the moment of a backup.
    #[error("no moment is found at which no transaction over nodes is under way: {why}")]
    NotStill {
        /// What was in the way.
        why: String,
    },
    /// An object was made, changed or dropped while a backup was being taken.
    #[error("{object} was changed while the backup was being taken")]
    SchemaChanged {
        /// The object, in words.
        object: String,
    },
    /// A column has a type whose values nobody here knows how to keep.
    #[error("column {column} of table {table} has the type {data_type}, which backups do not know")]
    UnknownColumnType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// The server answered with bytes that are no text.
    #[error("cannot {action}: the answer is not UTF-8")]
    NotText {
        /// What was tried, as a verb.
        action: &'static str,
    },
    /// A server does not tell words or defaults of a table's columns.
    #[error("the server does not tell the words or defaults of table {table}")]
    Untold {
        /// Its name.
        table: String,
    },
    /// A file of a backup set is not what was written.
    #[error("the backup set is damaged: {path} {what}")]
    DamagedSet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as the rest of a sentence.
        what: String,
    },
    /// One of MariaDB's programs for copies of data files failed, or is not the server's own.
    #[error("{program} failed: {output}")]
    BackupToolFailed {
        /// The program.
        program: String,
        /// What is wrong, or the end of what it printed.
        output: String,
    },
    /// A table of an engine whose files are not copied.
    #[error("table {table} has the engine {engine}, whose files cannot be copied")]
    UnsupportedEngine {
        /// The table.
        table: String,
        /// Its engine.
        engine: String,
    },
    /// Data files would not fit on the disk.
    #[error("the files take {needed} bytes of disk space, {free} are free in {path}")]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What they take.
        needed: u64,
        /// What there is.
        free: u64,
    },
    /// A file of a backup was encrypted with a key that is not there.
    #[error("{path} is encrypted with the key {key_id}, which is not in the file of keys")]
    NoKey {
        /// The file.
        path: PathBuf,
        /// Which key, as its id.
        key_id: String,
    },
    /// A file that is to be decrypted is not encrypted.
    #[error("{path} is not encrypted by OpenPeta")]
    NotEncrypted {
        /// The file.
        path: PathBuf,
    },
    /// The server did not take a statement of a backup set.
    #[error("{what} was not loaded: {source}")]
    NotLoaded {
        /// What the statement is about.
        what: String,
        /// Why not.
        source: Box<EngineError>,
    },
    /// A dump cannot be imported.
    #[error("{what}")]
    NotImported {
        /// Why not, for whoever imports it: where in it, and what is wrong.
        what: String,
    },
    /// A database is not as empty as it has to be.
    #[error("the database has {object}")]
    NotEmpty {
        /// Something that is in it, in words.
        object: String,
    },
    /// What was loaded is not what the backup set says.
    #[error("what was restored differs from the backup set in {what}")]
    RestoreDiffers {
        /// In which object.
        what: String,
    },
    /// A copy of a binary log is not what the server wrote.
    #[error("the archived binary log is damaged: {path} {what} before byte {offset}")]
    DamagedLog {
        /// The file.
        path: PathBuf,
        /// How far it could be read.
        offset: u64,
        /// What is wrong with it, as the rest of a sentence.
        what: &'static str,
    },
    /// The archive of a binary log does not go on from a position.
    #[error("the archived binary log does not go on from {file}:{position}")]
    LogGap {
        /// The file in which the position is.
        file: String,
        /// Bytes from its start.
        position: u64,
    },
    /// A transaction at which to stop is not in the archive of a binary log.
    #[error("the archived binary log does not have the transaction {gtid}")]
    NoSuchTransaction {
        /// Its name.
        gtid: Gtid,
    },
    /// The server did not take what the binary log says.
    #[error("the binary log was not applied: {what}")]
    NotReplayed {
        /// Why not.
        what: String,
    },
    /// Partitions cannot be moved.
    #[error("partitions cannot be moved: {what}")]
    NotMoved {
        /// Why not.
        what: String,
    },
    /// The account belongs to the server or to OpenPeta itself.
    #[error("{name:?} is an internal account")]
    InternalAccount {
        /// Its name.
        name: String,
    },
}

/// Shorthand of this crate.
pub(crate) type Result<T> = std::result::Result<T, EngineError>;

/// Says what was being done when a file operation failed.
pub(crate) trait AtPath<T> {
    /// Names the action, as a verb, and the path.
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> AtPath<T> for std::result::Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| EngineError::Io {
            action,
            path: path.to_owned(),
            source: error.into(),
        })
    }
}

impl EngineError {
    /// The MariaDB error number, when a server refused something.
    #[must_use]
    pub fn server_code(&self) -> Option<u16> {
        match self {
            Self::Sql { source, .. } | Self::Connect { source, .. } => match source {
                mysql_async::Error::Server(error) => Some(error.code),
                _ => None,
            },
            _ => None,
        }
    }

    /// What MariaDB says of a statement that it refused.
    #[must_use]
    pub fn server_message(&self) -> Option<&str> {
        match self {
            Self::Sql {
                source: mysql_async::Error::Server(error),
                ..
            } => Some(&error.message),
            _ => None,
        }
    }
}
