//! What the copy will hold, read from the server that is copied and not from the copy: the
//! definitions, rows and checksums of exactly the moment to which `mariadb-backup` brings it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use openpeta_types::{DbName, NodeId};
use tokio::sync::mpsc;

use super::relay::{Held, Stage};
use super::still::{Stillness, reach};
use crate::backup::checksum::Checksum;
use crate::backup::dump::{BATCH_TABLES, BATCH_TIME};
use crate::backup::manifest::{SequenceEntry, TableEntry};
use crate::backup::moment::{Moment, changed, check_unchanged, release};
use crate::backup::schema::{Schema, Table};
use crate::backup::session::{LOCK_WAIT_SECONDS, Session};
use crate::backup::{Progress, entries, verify};
use crate::error::{EngineError, Result};
use crate::quote;

/// How long we wait for the lock that keeps writers away for the moment, in seconds. Whoever used
/// a sequence in a transaction that is open keeps it.
const LOCK_SECONDS: u32 = 1;

/// MariaDB's code for a lock that was not got in time.
const TIMEOUT: u16 = 1205;

/// How the rows of a table come to be those of the copy's moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// By a snapshot.
    Snapshot,
    /// Nobody writes to them since definitions cannot be changed.
    Frozen,
    /// Crash-safe tables of Aria are written to until commits stop. We lock them.
    Locked,
    /// There are none in the copy.
    Nowhere,
}

impl Kind {
    fn of(engine: &str) -> Option<Self> {
        match engine.to_ascii_lowercase().as_str() {
            "innodb" => Some(Self::Snapshot),
            "aria" => Some(Self::Locked),
            "myisam" | "mrg_myisam" | "csv" | "archive" => Some(Self::Frozen),
            "memory" => Some(Self::Nowhere),
            _ => None,
        }
    }
}

/// What was found.
pub(super) struct Truth {
    pub(super) schema: Schema,
    pub(super) moment: Moment,
    pub(super) tables: BTreeMap<String, TableEntry>,
    pub(super) sequences: BTreeMap<String, SequenceEntry>,
}

/// Finds it, while `mariadb-backup` goes through its stages. The other connections are for locks.
pub(super) async fn find(
    session: &mut Session,
    locking: &mut [Session; 2],
    (node, database): (&NodeId, &DbName),
    (held, still): (&mut mpsc::Receiver<Held>, Option<&dyn Stillness>),
    is_held: &AtomicBool,
    progress: Progress<'_>,
) -> Result<Truth> {
    // From here to the end of the backup's stages nobody changes a definition.
    let first = next(held, Stage::BlockCommit).await?;
    is_held.store(true, Ordering::Relaxed);
    let schema = Schema::read(session, database).await?;
    for (name, create) in &schema.sequences {
        let engine = create.rsplit("ENGINE=").next().unwrap_or_default();
        let engine = engine.split_ascii_whitespace().next().unwrap_or_default();
        if kind(name, engine)? == Kind::Nowhere {
            return Err(unsupported(name, engine));
        }
    }
    let of_aria = schema
        .tables
        .iter()
        .filter(|(name, table)| kind(name, &table.engine).is_ok_and(|kind| kind == Kind::Locked));
    let of_aria = names(of_aria.map(|(name, _)| name));
    let statement = format!("FLUSH TABLES {} WITH READ LOCK", of_aria.join(", "));
    let is_locked = of_aria.is_empty() || lock(&mut locking[0], &statement).await?;
    // A sequence is no part of a transaction either. Closing it would use up the numbers that
    // the server has ready; this one waits behind whoever uses it, and may be in vain.
    let of_sequences = names(schema.sequences.keys());
    if !of_sequences.is_empty() {
        let statement = format!("LOCK TABLES {} READ", of_sequences.join(" READ, "));
        lock(&mut locking[1], &statement).await?;
    }
    let mut tables = not_in_snapshot(session, &schema, |_| true).await?;
    let before = sequences(session, &schema).await?;
    let (last, moment) = reach(session, node, first, held, still).await?;
    let after = sequences(session, &schema).await?;
    // What stayed as it was around the moment was so in it.
    let unlocked = match is_locked {
        true => BTreeMap::new(),
        false => {
            limit_waits(session, LOCK_SECONDS).await?;
            let read = not_in_snapshot(session, &schema, |kind| kind == Kind::Locked).await;
            let read = read.map_err(|error| in_use(error, of_aria.first()))?;
            limit_waits(session, LOCK_WAIT_SECONDS).await?;
            read
        }
    };
    release(session).await?;
    for locking in locking {
        locking.run("unlock tables", b"UNLOCK TABLES").await?;
    }
    go(last)?;
    is_held.store(false, Ordering::Relaxed);
    same("sequence", &before, &after)?;
    same("table", &unlocked, &tables)?;
    let of_snapshot = schema
        .tables
        .iter()
        .filter(|(name, _)| !tables.contains_key(*name))
        .collect();
    let read = in_snapshot(session, database, &schema, of_snapshot, progress).await?;
    tables.extend(read);
    Ok(Truth {
        schema,
        moment,
        tables,
        sequences: after,
    })
}

/// Makes sure that all of the first are among the second ones as they are.
fn same<T: PartialEq>(
    kind: &str,
    some: &BTreeMap<String, T>,
    all: &BTreeMap<String, T>,
) -> Result<()> {
    match some
        .iter()
        .find(|(name, entry)| all.get(*name) != Some(entry))
    {
        None => Ok(()),
        Some((name, _)) => Err(EngineError::SchemaChanged {
            object: format!("{kind} {name}"),
        }),
    }
}

/// Waits until a statement is held.
pub(super) async fn next(held: &mut mpsc::Receiver<Held>, stage: Stage) -> Result<Held> {
    let unexpected = |what: &str| EngineError::BackupToolFailed {
        program: "mariadb-backup".to_owned(),
        output: format!("{what} BACKUP STAGE {stage:?}"),
    };
    match held.recv().await {
        Some(found) if found.stage == stage => Ok(found),
        Some(_) => Err(unexpected("it passed over")),
        None => Err(unexpected("it ended before")),
    }
}

/// Lets a statement go. Nobody waits for it when the program has ended, which is told elsewhere.
pub(super) fn go(held: Held) -> Result<()> {
    let ended = |()| EngineError::BackupToolFailed {
        program: "mariadb-backup".to_owned(),
        output: format!("it did not wait for BACKUP STAGE {:?}", held.stage),
    };
    held.go.send(()).map_err(ended)
}

fn kind(table: &str, engine: &str) -> Result<Kind> {
    Kind::of(engine).ok_or_else(|| unsupported(table, engine))
}

fn unsupported(table: &str, engine: &str) -> EngineError {
    EngineError::UnsupportedEngine {
        table: table.to_owned(),
        engine: engine.to_owned(),
    }
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    names.map(|name| quote::identifier(name)).collect()
}

async fn limit_waits(session: &mut Session, seconds: u32) -> Result<()> {
    let statement = format!("SET SESSION lock_wait_timeout={seconds}");
    session.run("limit a wait", statement.as_bytes()).await
}

/// Locks tables against writers; whether that could be done.
async fn lock(locking: &mut Session, statement: &str) -> Result<bool> {
    limit_waits(locking, LOCK_SECONDS).await?;
    match locking.run("lock tables", statement.as_bytes()).await {
        Err(error) if error.server_code() == Some(TIMEOUT) => Ok(false),
        locked => locked.map(|()| true),
    }
}

/// Whoever is in the way of a table makes it another one than it was.
fn in_use(error: EngineError, table: Option<&String>) -> EngineError {
    match (error.server_code(), table) {
        (Some(TIMEOUT), Some(table)) => EngineError::SchemaChanged {
            object: format!("table {table}"),
        },
        _ => error,
    }
}

/// Reads the tables of some kinds whose rows no snapshot has.
async fn not_in_snapshot(
    session: &mut Session,
    schema: &Schema,
    is_wanted: impl Fn(Kind) -> bool,
) -> Result<BTreeMap<String, TableEntry>> {
    let mut found = BTreeMap::new();
    for (name, table) in &schema.tables {
        let kind = kind(name, &table.engine)?;
        if kind == Kind::Snapshot || !is_wanted(kind) {
            continue;
        }
        let checksum = match kind {
            Kind::Nowhere => Checksum::default(),
            _ => verify::checksum(session, table).await?,
        };
        found.insert(name.clone(), entries::table(table, Cow::Borrowed, checksum));
    }
    Ok(found)
}

async fn sequences(
    session: &mut Session,
    schema: &Schema,
) -> Result<BTreeMap<String, SequenceEntry>> {
    let mut found = BTreeMap::new();
    for (name, create) in &schema.sequences {
        let entry = entries::sequence(session, name, create).await?;
        found.insert(name.clone(), entry);
    }
    Ok(found)
}

/// Reads the tables whose rows the snapshot has, in batches: the definitions of those that were
/// read can be changed again.
async fn in_snapshot(
    session: &mut Session,
    database: &DbName,
    schema: &Schema,
    wanted: Vec<(&String, &Table)>,
    progress: Progress<'_>,
) -> Result<BTreeMap<String, TableEntry>> {
    let mut found = BTreeMap::new();
    let total = wanted.iter().map(|(_, table)| table.bytes).sum();
    let (mut batch, mut begun, mut read) = (Vec::new(), Instant::now(), 0);
    for (name, table) in wanted {
        progress(read, total, name);
        let checksum = verify::checksum(session, table).await;
        let checksum = checksum.map_err(|error| changed(error, name))?;
        found.insert(name.clone(), entries::table(table, Cow::Borrowed, checksum));
        read += table.bytes;
        batch.push(name.as_str());
        if batch.len() == BATCH_TABLES || begun.elapsed() >= BATCH_TIME {
            check_unchanged(session, database, schema, &batch).await?;
            batch.clear();
            begun = Instant::now();
        }
    }
    check_unchanged(session, database, schema, &batch).await?;
    Ok(found)
}
