//! What is told of a backup set beside its data, in `manifest.json`. docs/backup.md describes
//! the form; a change that older readers would misunderstand needs another `format`.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};
use crate::sealed::{self, BackupKeys};

/// The form of sets that are not encrypted.
pub(crate) const PLAIN: u32 = 1;

/// The form of those that are: what the data is like is encrypted as well.
pub(super) const SEALED: u32 = 2;

/// The form of sets of data files that are not encrypted.
pub(super) const PLAIN_FILES: u32 = 3;

/// The form of those that are.
pub(super) const SEALED_FILES: u32 = 4;

/// The form of exports in several files: no reader of sets knows how to load them.
pub(super) const PARTS: u32 = 5;

/// The form of sets of databases that are spread over nodes, not encrypted.
pub(super) const PLAIN_SPREAD: u32 = 6;

/// The form of those that are.
pub(super) const SEALED_SPREAD: u32 = 7;

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
    /// The file with the data. Of an export in several files it has no name, and the length of all of them.
    pub dump: DumpFile,
    /// The files, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<DumpFile>,
    /// How that file is encrypted, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// How the data is told as files, if it is no SQL text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical: Option<Physical>,
    /// What the set has of further nodes, if the database is spread over several. All else in here is
    /// told of node 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
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
        let nodes = self.spread.iter().flat_map(|spread| &spread.nodes);
        let further = nodes.flat_map(|node| &node.content.tables);
        let mut tables = self.tables.iter().chain(further);
        let found = tables.find(|(_, entry)| has_none(entry));
        found.map(|(name, _)| name.as_str())
    }

    /// How many nodes the set is of.
    #[must_use]
    pub fn node_number(&self) -> usize {
        1 + self.spread.as_ref().map_or(0, |spread| spread.nodes.len())
    }

    /// Where the binary logs of nodes 1, 2 … were.
    #[must_use]
    pub fn further_binlogs(&self) -> Vec<BinlogPosition> {
        let nodes = self.spread.iter().flat_map(|spread| &spread.nodes);
        nodes.map(|node| node.binlog.clone()).collect()
    }

    /// Where the binary logs of all nodes were, node 0's first.
    #[must_use]
    pub fn binlogs(&self) -> Vec<BinlogPosition> {
        let mut all = vec![self.binlog.clone()];
        all.extend(self.further_binlogs());
        all
    }

    /// What the set has of one node, as if it were a set of that node alone, and which bytes of its
    /// text those are.
    pub(super) fn part(&self, number: usize) -> Option<(Self, Range<u64>)> {
        let Some(spread) = &self.spread else {
            return (number == 0).then(|| (self.clone(), 0..self.dump.sql_bytes));
        };
        let mut part = self.clone();
        part.spread = None;
        let Some(further) = number.checked_sub(1) else {
            return Some((part, 0..spread.bytes));
        };
        let node = spread.nodes.get(further)?;
        let content = node.content.clone();
        part.taken_at = node.taken_at;
        part.binlog = node.binlog.clone();
        part.database = content.database;
        part.tables = content.tables;
        part.sequences = content.sequences;
        part.views = content.views;
        part.routines = content.routines;
        part.triggers = content.triggers;
        part.events = content.events;
        part.invalid_views = content.invalid_views;
        Some((part, node.begin..node.begin + node.bytes))
    }
}

/// What a set has of a database that is spread over nodes besides what is on node 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// How many bytes at the begin of the text are for node 0.
    pub bytes: u64,
    /// The number of the node that each partition is on.
    pub partitions: Vec<u16>,
    /// From which value on `AUTO_INCREMENT` columns of distributed tables go on, by table.
    pub ids: BTreeMap<String, u64>,
    /// Nodes 1, 2 …
    pub nodes: Vec<NodePart>,
}

/// What a set has of one of the further nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePart {
    /// Its number.
    pub number: u16,
    /// Where its text begins in that of the set.
    pub begin: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// The moment, by the node's clock: the same one for all.
    pub taken_at: Timestamp,
    /// Where its binary log was.
    pub binlog: BinlogPosition,
    /// What is there.
    #[serde(flatten)]
    pub content: NodeContent,
}

/// What a database has on a node, as a manifest has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeContent {
    /// How the database itself is set up.
    pub database: DatabaseInfo,
    /// Its tables by name.
    pub tables: BTreeMap<String, TableEntry>,
    /// Its sequences by name.
    pub sequences: BTreeMap<String, SequenceEntry>,
    /// SHA-256 of the definition of each view, by name.
    pub views: BTreeMap<String, String>,
    /// The same of stored routines, by kind and name.
    pub routines: BTreeMap<String, String>,
    /// The same of triggers, by name.
    pub triggers: BTreeMap<String, String>,
    /// Its events by name.
    pub events: BTreeMap<String, EventEntry>,
    /// Views that refer to what does not exist.
    pub invalid_views: BTreeMap<String, String>,
}

impl From<Manifest> for NodeContent {
    fn from(manifest: Manifest) -> Self {
        Self {
            database: manifest.database,
            tables: manifest.tables,
            sequences: manifest.sequences,
            views: manifest.views,
            routines: manifest.routines,
            triggers: manifest.triggers,
            events: manifest.events,
            invalid_views: manifest.invalid_views,
        }
    }
}

/// A set of data files, as `mariadb-backup` copies them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Physical {
    /// Pages that were written since are in it: InnoDB's log sequence number, 0 for all pages.
    pub from_lsn: u64,
    /// What a set that goes on from this one has as `from_lsn`.
    pub to_lsn: u64,
    /// The set that it goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseSet>,
}

/// The set that an incremental one goes on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseSet {
    /// Its id.
    pub backup_id: String,
    /// SHA-256 of its manifest.
    pub manifest_sha256: String,
}

/// How the files of a set are encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// The cipher.
    pub method: String,
    /// Which of the operator's keys it needs.
    pub key_id: String,
}

/// What everybody may read of an encrypted set.
#[derive(Serialize, Deserialize)]
struct Outside {
    format: u32,
    source: BackupSource,
    server_version: String,
    taken_at: Timestamp,
    binlog: BinlogPosition,
    dump: DumpFile,
    encryption: Encryption,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    physical: Option<Physical>,
    /// Where the binary logs of nodes 1, 2 … were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    further_binlogs: Vec<BinlogPosition>,
    /// The whole manifest, encrypted as files are, in base64.
    manifest: String,
}

impl Manifest {
    /// Notes how the files are encrypted, if they are.
    pub(super) fn encrypt(&mut self, keys: &BackupKeys) {
        self.encryption = keys.current().map(|key| Encryption {
            method: sealed::METHOD.to_owned(),
            key_id: key.id.to_string(),
        });
        let is_sealed = self.encryption.is_some();
        self.format = match (&self.physical, &self.spread) {
            (None, None) if !self.files.is_empty() => PARTS,
            (None, None) if is_sealed => SEALED,
            (None, None) => PLAIN,
            (Some(_), _) if is_sealed => SEALED_FILES,
            (Some(_), _) => PLAIN_FILES,
            (None, Some(_)) if is_sealed => SEALED_SPREAD,
            (None, Some(_)) => PLAIN_SPREAD,
        };
    }

    /// The file that it is kept in: what the tables are like and what is in them is for holders
    /// of the key alone.
    pub(super) fn to_file(&self, keys: &BackupKeys) -> io::Result<Vec<u8>> {
        let mut text = to_json(self);
        if let (Some(key), Some(encryption)) = (keys.current(), &self.encryption) {
            let outside = Outside {
                format: self.format,
                source: self.source.clone(),
                server_version: self.server_version.clone(),
                taken_at: self.taken_at,
                binlog: self.binlog.clone(),
                dump: self.dump.clone(),
                encryption: encryption.clone(),
                physical: self.physical.clone(),
                further_binlogs: self.further_binlogs(),
                manifest: BASE64_STANDARD.encode(sealed::seal(&text, key)?),
            };
            text = to_json(&outside);
        }
        Ok(text)
    }

    /// What such a file holds.
    pub(super) fn from_file(text: &[u8], keys: &BackupKeys, path: &Path) -> Result<Self> {
        let damaged = |what: String| EngineError::DamagedSet {
            path: path.to_owned(),
            what,
        };
        let malformed = |error: serde_json::Error| damaged(error.to_string());
        let Form { format } = serde_json::from_slice(text).map_err(malformed)?;
        match format {
            PLAIN | PLAIN_FILES | PARTS | PLAIN_SPREAD => {
                serde_json::from_slice(text).map_err(malformed)
            }
            SEALED | SEALED_FILES | SEALED_SPREAD => {
                let outside: Outside = serde_json::from_slice(text).map_err(malformed)?;
                let sealed = BASE64_STANDARD.decode(&outside.manifest);
                let sealed = sealed.map_err(|error| damaged(error.to_string()))?;
                let text = sealed::open(&sealed, keys, path)?;
                serde_json::from_slice(&text).map_err(malformed)
            }
            format => Err(damaged(format!("is of format {format}"))),
        }
    }

    /// Where in the logs of its nodes the set of such a file was taken, node 0 first. Needs no key.
    pub(super) fn positions_in_file(text: &[u8]) -> serde_json::Result<Vec<BinlogPosition>> {
        #[derive(Deserialize)]
        struct Position {
            binlog: BinlogPosition,
        }
        #[derive(Deserialize)]
        struct Positions {
            binlog: BinlogPosition,
            #[serde(default)]
            further_binlogs: Vec<BinlogPosition>,
            spread: Option<Nodes>,
        }
        #[derive(Deserialize)]
        struct Nodes {
            nodes: Vec<Position>,
        }
        let found: Positions = serde_json::from_slice(text)?;
        let nodes = found.spread.map_or_else(Vec::new, |spread| spread.nodes);
        let mut positions = vec![found.binlog];
        positions.extend(found.further_binlogs);
        positions.extend(nodes.into_iter().map(|node| node.binlog));
        Ok(positions)
    }
}

#[derive(Deserialize)]
struct Form {
    format: u32,
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain data is JSON");
    text.push(b'\n');
    text
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
    /// The length of what is compressed in it: SQL text, or the stream of files.
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
    /// SHA-256 of the definition as a server shows it, without the next AUTO_INCREMENT value.
    pub definition: String,
    /// The same of the definition in the dump, where a server does not show all characters of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact_definition: Option<String>,
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
