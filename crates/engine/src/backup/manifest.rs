//! What is told of a backup set beside its data, in `manifest.json`. docs/backup.md describes
//! the form; a change that older readers would misunderstand needs another `format`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The form that this version writes, and the only one that it reads.
pub(crate) const FORMAT: u32 = 1;

/// Everything about a backup set but the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of manifest and dump.
    pub format: u32,
    /// Where the set is from.
    pub source: BackupSource,
    /// The server that the data was read from.
    pub server_version: String,
    /// The moment whose content the set has, by the node's clock.
    pub taken_at: Timestamp,
    /// Where the node's binary log was at that moment.
    pub binlog: BinlogPosition,
    /// The file with the data.
    pub dump: DumpFile,
    /// How the database itself is set up.
    pub database: DatabaseInfo,
    /// Its tables by name.
    pub tables: BTreeMap<String, TableEntry>,
    /// Its sequences by name.
    pub sequences: BTreeMap<String, SequenceEntry>,
    /// SHA-256 of the definition of each view, by name.
    pub views: BTreeMap<String, String>,
    /// SHA-256 of the definition of each stored routine, by kind and name.
    pub routines: BTreeMap<String, String>,
    /// SHA-256 of the definition of each trigger, by name.
    pub triggers: BTreeMap<String, String>,
    /// Its events by name.
    pub events: BTreeMap<String, EventEntry>,
    /// Views that refer to what does not exist: no server takes them, so they are not in the
    /// dump but here.
    pub invalid_views: BTreeMap<String, String>,
}

impl Manifest {
    /// A table that is not read at the moment of the others, so that a binary log does not go on
    /// from it.
    #[must_use]
    pub fn table_without_moment(&self) -> Option<&str> {
        let has_none = |entry: &TableEntry| !entry.engine.eq_ignore_ascii_case("InnoDB");
        let mut tables = self.tables.iter();
        let found = tables.find(|(_, entry)| has_none(entry));
        found.map(|(name, _)| name.as_str())
    }
}

/// Where a backup set is from, in the caller's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSource {
    /// The instance.
    pub instance_id: String,
    /// The database.
    pub db_name: String,
    /// The set's own id.
    pub backup_id: String,
}

/// A position in the binary log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinlogPosition {
    /// The node whose log it is; empty in sets of earlier versions.
    #[serde(default)]
    pub node: String,
    /// The log file's name.
    pub file: String,
    /// Bytes from its start.
    pub position: u64,
    /// The same position as a GTID.
    pub gtid: String,
}

/// The file with the data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpFile {
    /// Its name, beside the manifest.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// The length of the SQL text in it.
    pub sql_bytes: u64,
}

/// How a database is set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseInfo {
    /// Default character set.
    pub character_set: String,
    /// Default collation.
    pub collation: String,
    /// Its comment.
    pub comment: String,
}

/// A table and its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Storage engine.
    pub engine: String,
    /// Rows.
    pub rows: u64,
    /// Checksum of the rows, decimal.
    pub checksum: String,
    /// SHA-256 of the definition without the next AUTO_INCREMENT value.
    pub definition: String,
    /// A query that gives rows and checksum.
    pub check: String,
}

/// A sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceEntry {
    /// SHA-256 of the definition.
    pub definition: String,
    /// The next value.
    pub next_value: String,
    /// How often it has begun anew.
    pub cycle_count: String,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventEntry {
    /// SHA-256 of the definition.
    pub definition: String,
    /// The last time at which it is due, UTC. A server drops an event after that.
    pub last_due: Option<Timestamp>,
}
