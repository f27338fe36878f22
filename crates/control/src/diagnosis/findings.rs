//! What is wrong, out of what was found. Pure.

use std::collections::{BTreeMap, BTreeSet};

use openpeta_engine::{IndexFacts, IndexName, LockWait, MetadataWait, OpenTransaction, TableFacts};
use openpeta_types::Severity;
use serde::Serialize;

/// A transaction that is open for longer is worth a word.
const LONG_TRANSACTION_SECONDS: u64 = 60;
/// Shorter waits for row locks are everyday life.
const LONG_WAIT_SECONDS: u64 = 1;
/// Findings of one kind that are told one by one.
const MOST_OF_A_KIND: usize = 20;
/// Free space of less than this is nothing to speak of.
const LEAST_FREE_BYTES: u64 = 64 << 20;
/// Read requests below which a hit rate says nothing.
const LEAST_READ_REQUESTS: u64 = 1_000_000;
/// Temporary tables below which a share says nothing.
const LEAST_TEMPORARY: u64 = 1_000;

/// What was found out about an instance and one of its nodes. What is `None` could not be.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The node's number, where there are several.
    pub(super) number: Option<u16>,
    pub(super) status: Option<BTreeMap<String, String>>,
    pub(super) transactions: Option<Vec<OpenTransaction>>,
    pub(super) lock_waits: Option<Vec<LockWait>>,
    pub(super) metadata_waits: Option<Vec<MetadataWait>>,
    pub(super) tables: Option<Vec<TableFacts>>,
    pub(super) indexes: Option<Vec<IndexFacts>>,
    /// Indexes that were used, and since when that is watched; `None` if it is not.
    pub(super) used_indexes: Option<(BTreeSet<IndexName>, String)>,
    /// Sessions, and how many there may be.
    pub(super) sessions: Option<(u64, u64)>,
    /// Bytes used, and how many there may be.
    pub(super) disk: Option<(u64, u64)>,
    pub(super) lock: Option<String>,
    /// Why the node cannot be asked.
    pub(super) node_failure: Option<String>,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// A stable name.
    pub(super) kind: &'static str,
    /// What is the case.
    pub(super) what: String,
    /// Why it matters.
    pub(super) why: &'static str,
    /// What to do.
    pub(super) action: String,
}

/// All findings of the nodes of an instance, the worst first.
pub(super) fn findings<'f>(nodes: impl IntoIterator<Item = &'f Facts>) -> Vec<Finding> {
    let mut all = Vec::new();
    for facts in nodes {
        let from = all.len();
        node(facts, &mut all);
        limits(facts, &mut all);
        waits(facts, &mut all);
        let tables = facts.tables.as_deref();
        damages(tables.unwrap_or_default(), &mut all);
        counters(facts, &mut all);
        if let Some(number) = facts.number {
            for finding in &mut all[from..] {
                finding.what = format!("node {number}: {}", finding.what);
            }
        }
        // What tables are is the same on all nodes, and the first one has all of them.
        if facts.number.unwrap_or_default() == 0 {
            definitions(tables.unwrap_or_default(), &mut all);
            if let Some(tables) = tables {
                without_primary_key(tables, facts.indexes.as_deref(), &mut all);
            }
            indexes(facts, &mut all);
        }
    }
    let mut all = bounded(all);
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all
}

/// The first ones of each kind, and how many more there are.
fn bounded(all: Vec<Finding>) -> Vec<Finding> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut kept: Vec<Finding> = Vec::new();
    for finding in all {
        let count = counts.entry(finding.kind).or_default();
        *count += 1;
        if *count <= MOST_OF_A_KIND {
            kept.push(finding);
        }
    }
    for (kind, count) in counts
        .into_iter()
        .filter(|(_, count)| *count > MOST_OF_A_KIND)
    {
        let more = count - MOST_OF_A_KIND;
        if let Some(last) = kept.iter_mut().rev().find(|finding| finding.kind == kind) {
            last.what = format!("{} (and {more} more of this kind)", last.what);
        }
    }
    kept
}

fn node(facts: &Facts, all: &mut Vec<Finding>) {
    if let Some(failure) = &facts.node_failure {
        all.push(Finding {
            severity: Severity::Critical,
            kind: "node-silent",
            what: format!("the node does not answer: {failure}"),
            why: "clients cannot work, or soon cannot; what follows is without the node's word",
            action:
                "see `openpeta admin node list` and the node's error.log; a process that hangs \
                     is killed and restarted with `kill -9 PID`"
                    .to_owned(),
        });
    }
    if let Some(lock) = &facts.lock {
        all.push(Finding {
            severity: Severity::Critical,
            kind: "locked",
            what: format!("the instance is locked: {lock}"),
            why: "every write is refused",
            action: "remove the cause; `openpeta admin instance unlock` lifts the operator's lock"
                .to_owned(),
        });
    }
}

/// Warning from 80 percent on, critical from 95.
fn by_share(used: u64, limit: u64) -> Option<(Severity, u64)> {
    let percent = u128::from(used) * 100 / u128::from(limit.max(1));
    let percent = u64::try_from(percent).unwrap_or(u64::MAX);
    match percent {
        95.. => Some((Severity::Critical, percent)),
        80.. => Some((Severity::Warning, percent)),
        _ => None,
    }
}

fn limits(facts: &Facts, all: &mut Vec<Finding>) {
    if let Some((used, limit)) = facts.disk
        && let Some((severity, percent)) = by_share(used, limit)
    {
        all.push(Finding {
            severity,
            kind: "disk-space",
            what: format!("{percent} % of the disk quota is used: {used} of {limit} bytes"),
            why: "at 100 % the instance is locked for writes, deletions included",
            action: "drop what is not needed, or raise it: `openpeta admin instance disk-quota`"
                .to_owned(),
        });
    }
    if let Some((used, limit)) = facts.sessions
        && let Some((severity, percent)) = by_share(used, limit)
    {
        all.push(Finding {
            severity,
            kind: "connections",
            what: format!("{percent} % of the connections are taken: {used} of {limit}"),
            why: "beyond the limit clients are refused with error 1040",
            action:
                "look for sessions that nobody needs (`openpeta admin instance statistics --of \
                     sessions`), limit accounts, or order a larger node"
                    .to_owned(),
        });
    }
}

/// The node's number, if its numbers of sessions are not those that clients know.
fn other(facts: &Facts) -> Option<u16> {
    facts.number.filter(|number| *number > 0)
}

fn not_here(number: u16) -> String {
    format!("the number is node {number}'s own, and another one's for `KILL` over the gateway")
}

fn waits(facts: &Facts, all: &mut Vec<Finding>) {
    let is_long = |wait: &&LockWait| wait.seconds >= LONG_WAIT_SECONDS;
    for wait in facts.lock_waits.iter().flatten().filter(is_long) {
        let idle = wait.blocker_statement.is_none();
        let what = format!(
            "session {} waits {} s for a row lock on {}{}, which session {} ({}) holds{}, in a \
             transaction open for {} s",
            wait.session,
            wait.seconds,
            wait.table,
            wait.index
                .as_deref()
                .map(|index| format!(" index {index}"))
                .unwrap_or_default(),
            wait.blocker,
            wait.blocker_account,
            if idle { " and does nothing" } else { "" },
            wait.blocker_seconds,
        );
        all.push(Finding {
            severity: Severity::Warning,
            kind: "lock-wait",
            what,
            why: "whoever waits fails with error 1205 after a while; others may queue behind",
            action: match other(facts) {
                Some(number) => format!(
                    "have the client of session {} end its transaction; {}",
                    wait.blocker,
                    not_here(number)
                ),
                None => format!(
                    "have the client of session {0} end its transaction, or `KILL {0}`",
                    wait.blocker
                ),
            },
        });
    }
    for wait in facts.metadata_waits.iter().flatten() {
        let older: Vec<_> = facts
            .transactions
            .iter()
            .flatten()
            .filter(|one| one.session != wait.session && one.seconds >= wait.seconds)
            .map(|one| one.session.to_string())
            .collect();
        let suspects = match older.is_empty() {
            true => "whoever uses the table".to_owned(),
            false => format!("one of the sessions {}", older.join(", ")),
        };
        all.push(Finding {
            severity: Severity::Warning,
            kind: "metadata-lock",
            what: format!(
                "session {} ({}) waits {} s for the definition of a table, held by {suspects}",
                wait.session, wait.account, wait.seconds
            ),
            why: "every new statement on that table queues behind it",
            action: match other(facts) {
                Some(number) => format!(
                    "end the transaction that uses the table, or give the change up; {}",
                    not_here(number)
                ),
                None => format!(
                    "end the transaction that uses the table, or give the change up: `KILL {}`",
                    wait.session
                ),
            },
        });
    }
    for one in facts.transactions.iter().flatten() {
        if one.seconds < LONG_TRANSACTION_SECONDS {
            continue;
        }
        let doing = match &one.statement {
            Some(_) => "runs a statement",
            None => "does nothing at the moment",
        };
        all.push(Finding {
            severity: Severity::Warning,
            kind: "long-transaction",
            what: format!(
                "session {} ({}) has a transaction open for {} s, with {} rows changed and {} \
                 locked; it {doing}",
                one.session, one.account, one.seconds, one.rows_modified, one.rows_locked
            ),
            why: "its locks stay, and old versions of all rows are kept for it, which slows reads \
                  and fills the disk",
            action: match other(facts) {
                Some(number) => format!("have the client commit sooner; {}", not_here(number)),
                None => format!(
                    "have the client commit sooner, or `KILL {}`, which undoes its changes",
                    one.session
                ),
            },
        });
    }
}

/// What may be the case with a table on one node alone.
fn damages(tables: &[TableFacts], all: &mut Vec<Finding>) {
    for table in tables {
        let name = format!("{}.{}", table.database, table.name);
        if table.engine.is_none() {
            all.push(Finding {
                severity: Severity::Critical,
                kind: "unreadable-table",
                what: format!("table {name} cannot be opened"),
                why: "statements on it fail",
                action: format!("CHECK TABLE {name}; restore it from a backup if it is damaged"),
            });
        }
        let size = table.data_bytes + table.index_bytes;
        let free = table.free_bytes;
        if free >= LEAST_FREE_BYTES && free > size / 2 {
            all.push(Finding {
                severity: Severity::Info,
                kind: "fragmentation",
                what: format!("table {name} takes {free} bytes beside the {size} that it uses"),
                why: "the space counts for the disk quota",
                action: format!("OPTIMIZE TABLE {name}, at a quiet time: it is rebuilt"),
            });
        }
    }
}

/// What follows from how tables are defined.
fn definitions(tables: &[TableFacts], all: &mut Vec<Finding>) {
    for table in tables {
        let name = format!("{}.{}", table.database, table.name);
        match table.engine.as_deref() {
            Some("InnoDB") | None => {}
            Some(engine) => all.push(Finding {
                severity: Severity::Warning,
                kind: "not-innodb",
                what: format!("table {name} is in {engine}"),
                why: "it has no transactions and may be damaged by a crash; row locks, and backups \
                      while clients work, are InnoDB's",
                action: format!("ALTER TABLE {name} ENGINE=InnoDB"),
            }),
        }
        if let (Some(next), Some(kind)) = (table.next_number, &table.number_type)
            && let Some(limit) = largest(kind)
            && let Some((severity, percent)) = by_share(next.saturating_sub(1), limit)
        {
            all.push(Finding {
                severity,
                kind: "auto-increment",
                what: format!(
                    "{percent} % of the numbers of {name}'s AUTO_INCREMENT column ({kind}) are \
                     used up: {next} comes next, {limit} is the last"
                ),
                why: "after the last one every insert fails with error 167 or 1062",
                action: format!("give the column of {name} a larger type, BIGINT UNSIGNED at best"),
            });
        }
    }
}

/// The largest number of an integer type.
fn largest(kind: &str) -> Option<u64> {
    let is_unsigned = kind.contains("unsigned");
    let name = kind.split(['(', ' ']).next()?;
    let bits = match name {
        "tinyint" => 8,
        "smallint" => 16,
        "mediumint" => 24,
        "int" => 32,
        "bigint" => 64,
        _ => return None,
    };
    let bits = if is_unsigned { bits } else { bits - 1 };
    Some(u64::MAX >> (64 - bits))
}

fn without_primary_key(
    tables: &[TableFacts],
    indexes: Option<&[IndexFacts]>,
    all: &mut Vec<Finding>,
) {
    let Some(indexes) = indexes else { return };
    let keyed: BTreeSet<_> = indexes
        .iter()
        .filter(|index| index.name == "PRIMARY")
        .map(|index| (&index.database, &index.table))
        .collect();
    for table in tables {
        if keyed.contains(&(&table.database, &table.name)) {
            continue;
        }
        let name = format!("{}.{}", table.database, table.name);
        all.push(Finding {
            severity: Severity::Warning,
            kind: "no-primary-key",
            what: format!("table {name} has no primary key"),
            why: "rows cannot be told apart: replicas and tools that copy rows are slow or refuse",
            action: format!(
                "ALTER TABLE {name} ADD PRIMARY KEY (…), or ADD COLUMN id BIGINT UNSIGNED \
                 AUTO_INCREMENT PRIMARY KEY"
            ),
        });
    }
}

fn indexes(facts: &Facts, all: &mut Vec<Finding>) {
    let indexes = facts.indexes.as_deref().unwrap_or_default();
    let mut redundant = BTreeSet::new();
    for index in indexes {
        let mut others = indexes.iter().filter(|other| {
            other.database == index.database && other.table == index.table && *other != index
        });
        let Some(other) = others.find(|other| covers(other, index)) else {
            continue;
        };
        redundant.insert(index);
        let table = format!("{}.{}", index.database, index.table);
        all.push(Finding {
            severity: Severity::Info,
            kind: "redundant-index",
            what: format!(
                "index {} of {table} tells nothing that index {} does not",
                index.name, other.name
            ),
            why: "each write keeps both up to date, and both take space",
            action: format!("ALTER TABLE {table} DROP INDEX {}", index.name),
        });
    }
    let Some((used, since)) = &facts.used_indexes else {
        return;
    };
    for index in indexes {
        let name = (
            index.database.clone(),
            index.table.clone(),
            index.name.clone(),
        );
        // A unique one is needed for what it forbids.
        if index.is_unique || used.contains(&name) || redundant.contains(index) {
            continue;
        }
        let table = format!("{}.{}", index.database, index.table);
        all.push(Finding {
            severity: Severity::Info,
            kind: "unused-index",
            what: format!("index {} of {table} was not read since {since}", index.name),
            why: "each write keeps it up to date, and it takes space",
            action: format!(
                "if nothing rare needs it: ALTER TABLE {table} ALTER INDEX {} IGNORED, and DROP it \
                 when nobody misses it",
                index.name
            ),
        });
    }
}

/// Whether `other` serves for everything that `index` does. Of two that serve for each other, the
/// one whose name comes later is the one too many.
fn covers(other: &IndexFacts, index: &IndexFacts) -> bool {
    if other.kind != index.kind {
        return false;
    }
    let is_same = other.columns == index.columns;
    if index.is_unique {
        // Only another one of the same columns forbids the same.
        return is_same && other.is_unique && ranks_before(other, index);
    }
    if is_same {
        return other.is_unique || ranks_before(other, index);
    }
    index.kind == "BTREE" && other.columns.starts_with(&index.columns)
}

fn ranks_before(other: &IndexFacts, index: &IndexFacts) -> bool {
    let rank = |index: &IndexFacts| (index.name != "PRIMARY", index.name.clone());
    rank(other) < rank(index)
}

fn counters(facts: &Facts, all: &mut Vec<Finding>) {
    let Some(status) = &facts.status else { return };
    let counter = |name: &str| -> u64 {
        let value = status.get(name).and_then(|value| value.parse().ok());
        value.unwrap_or_default()
    };
    let requests = counter("Innodb_buffer_pool_read_requests");
    let reads = counter("Innodb_buffer_pool_reads");
    if requests >= LEAST_READ_REQUESTS && reads > requests / 20 {
        let hits = 100 - reads * 100 / requests;
        all.push(Finding {
            severity: Severity::Info,
            kind: "buffer-pool",
            what: format!("{hits} % of the pages read were in memory, since the node's start"),
            why: "the others came from disk, which is a thousand times slower",
            action: "order a larger node spec, or look at the statements that read the most"
                .to_owned(),
        });
    }
    let temporary = counter("Created_tmp_tables");
    let on_disk = counter("Created_tmp_disk_tables");
    if temporary >= LEAST_TEMPORARY && on_disk > temporary / 4 {
        let percent = on_disk * 100 / temporary;
        all.push(Finding {
            severity: Severity::Info,
            kind: "temporary-tables",
            what: format!(
                "{percent} % of the temporary tables were on disk ({on_disk} of {temporary}), since \
                 the node's start"
            ),
            why: "statements that need them are slow",
            action: "look for GROUP BY and ORDER BY on TEXT and BLOB columns or without an index \
                     among the top statements"
                .to_owned(),
        });
    }
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
