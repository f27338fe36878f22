//! Life of a MariaDB node: a pre-initialised template, a data directory made from it, the
//! process that serves it, its administration over SQL, what it uses of disk and memory,
//! backup sets of its databases, and an archive of its binary log.
//!
//! A node is one `mariadbd` with its own data directory, its own configuration file and a unix
//! socket; it never reads `/etc/mysql` and never listens on the network. It runs in a session
//! of its own and outlives the process that started it, which adopts it after a restart.
//!
//! Nothing here knows instances, tenants, tasks or the metadata store: the caller says which
//! nodes, databases and accounts there should be. Every operation may be repeated; an
//! interrupted one is completed or undone by calling it again.
//!
//! No limit is put on a node's memory beyond MariaDB's own settings.

mod background;
mod backup;
mod binlog;
mod config;
mod config_file;
mod copy;
mod definitions;
mod disk;
mod drop_database;
mod engine;
mod error;
mod import;
mod layout;
mod locks;
mod moving;
mod node_dir;
mod process;
pub mod quote;
mod sealed;
mod sql;
mod start;
mod template;
mod user;
mod version;

pub use backup::{
    BackupSource, Base, BaseSet, BinlogPosition, DatabaseInfo, DumpFile, Encryption, EventEntry,
    MANIFEST, Manifest, NodeContent, NodePart, Origin, Physical, Progress, SequenceEntry,
    Snapshots, Spread, Stillness, Stood, TableEntry, TakenSet, decrypt_backup,
};
pub use binlog::{
    ArchivedLog, ChangedRows, Followed, LogAfter, LogCopy, LogPiece, LogQuery, Logged,
    LoggedTransaction, ReplayRange, ReplayUntil, Replayed, open_file, seal_file,
};
pub use config::EngineConfig;
pub use definitions::{Defined, Refusal};
pub use disk::{DiskUsage, NodeDisk};
pub use engine::{Applied, Engine, StopOutcome};
pub use error::EngineError;
pub use import::{
    Expected, ImportNodes, ImportOptions, ImportPlace, ImportSource, Imported, ImportedTable,
    Loaded, SourcePosition, TableSum,
};
pub use moving::{Counting, Gap, Mover, PartitionMove, PartitionSize};
pub use node_dir::{NodeEntry, NodeEntryState};
pub use process::{NodeProcess, ProcessFigures, RunningNode};
pub use sealed::BackupKeys;
pub use sql::{
    ADMIN_ACCOUNT, AccountGrants, DDL_SECONDS, DDL_WAIT_SECONDS, DatabaseGrant, HeldByAccount,
    HeldPrivileges, IndexFacts, IndexName, LockWait, MetadataWait, NodeSql, OpenTransaction,
    TableColumn, TableDetail, TableDistribution, TableFacts, TableIndex, TableSizes, TableState,
    TableSummary, definer_password, native_password_hash,
};
