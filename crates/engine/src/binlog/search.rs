//! What an archived log says of a database: its transactions, so that one can be named.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use openpeta_types::Gtid;

use super::event::{Change, GtidEvent, Header, Kind, Malformed, QueryEvent, Xa, last_before};
use super::reader::LogReader;
use super::rows::{Table, table_id};
use super::select::LogPosition;
use super::statement::{Meaning, meaning, names};
use crate::error::Result;
use crate::sealed::BackupKeys;

/// Statements of a transaction that are told.
const MAX_STATEMENTS: usize = 3;

/// Characters of a statement that are told.
const MAX_CHARACTERS: usize = 200;

/// A transaction may be committed that long after the statement began whose time it has; a file
/// that was begun later than that after the end of a range is not looked into.
const LONGEST_STATEMENT: SignedDuration = SignedDuration::from_hours(24);

/// A transaction of a log, as far as it concerns a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedTransaction {
    /// Its name.
    pub gtid: Gtid,
    /// When the statement began that committed it.
    pub at: Timestamp,
    /// Bytes that it takes in the log, with what concerns other databases.
    pub bytes: u64,
    /// Rows by table.
    pub tables: BTreeMap<String, ChangedRows>,
    /// How many statements there were, as far as the log has them.
    pub statement_count: u64,
    /// The first ones, and of each its first characters.
    pub statements: Vec<String>,
}

/// Rows of one table that a transaction changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangedRows {
    /// Rows that it made.
    pub inserted: u64,
    /// Rows that it changed.
    pub updated: u64,
    /// Rows that it removed.
    pub deleted: u64,
    /// There were some that cannot be counted.
    pub is_more: bool,
}

/// Which transactions are looked for.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// Those of that time or later.
    pub from: Timestamp,
    /// Those before that time.
    pub until: Timestamp,
    /// Those alone that concern this table.
    pub table: Option<String>,
    /// Most transactions.
    pub limit: usize,
}

/// Whether a log has a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logged {
    /// It does.
    Yes,
    /// It ends before it.
    NotYet,
    /// It goes past it.
    Never,
}

/// Transactions of a database in copies of log files, in order.
pub(super) fn search(
    files: &[(u64, PathBuf)],
    keys: &BackupKeys,
    database: &str,
    server_version: u32,
    query: &LogQuery,
) -> Result<Vec<LoggedTransaction>> {
    let mut found = Vec::new();
    let mut collector = Collector::new(database, server_version, query);
    for (index, (_, path)) in files.iter().enumerate() {
        let (mut log, first) = LogReader::open(path, keys)?;
        if begun_after(
            &first.header,
            query
                .until
                .saturating_add(LONGEST_STATEMENT)
                .unwrap_or(Timestamp::MAX),
        ) {
            break;
        }
        // What a file has is from before the next one was begun.
        if let Some((_, next)) = files.get(index + 1) {
            let (_, next) = LogReader::open(next, keys)?;
            if next.header.timestamp > 0 && !begun_after(&next.header, query.from) {
                continue;
            }
        }
        while let Some(event) = log.event()? {
            let content = log.content(&event)?;
            let taken = collector.event(&event.header, content);
            found.extend(taken.map_err(|what| log.damaged(what))?);
            if found.len() >= query.limit {
                return Ok(found);
            }
        }
        collector.group = None;
    }
    Ok(found)
}

fn begun_after(first: &Header, time: Timestamp) -> bool {
    i64::from(first.timestamp) > time.as_second()
}

/// Whether copies of log files have a transaction after a position.
pub(super) fn find(
    files: &[(u64, PathBuf)],
    keys: &BackupKeys,
    begin: LogPosition,
    gtid: Gtid,
) -> Result<Logged> {
    let mut is_newest = true;
    for (number, path) in files.iter().rev() {
        let (mut log, _) = LogReader::open(path, keys)?;
        let mut event = log.event()?;
        if let Some(list) = event
            .as_ref()
            .filter(|event| event.header.kind == Kind::GtidList)
        {
            let before = last_before(log.content(list)?, gtid.domain);
            let before = before.map_err(|what| log.damaged(what))?;
            if before.is_some_and(|number| number >= gtid.sequence) && *number > begin.file {
                is_newest = false;
                continue;
            }
        }
        while let Some(next) = event {
            if next.header.kind == Kind::Gtid {
                let group = GtidEvent::parse(log.content(&next)?);
                let its = group.map_err(|what| log.damaged(what))?.gtid(&next.header);
                let is_before = LogPosition {
                    file: *number,
                    offset: next.offset,
                } < begin;
                if its == gtid && !is_before {
                    return Ok(Logged::Yes);
                }
                if its.domain == gtid.domain && its.sequence >= gtid.sequence {
                    return Ok(Logged::Never);
                }
            }
            event = log.event()?;
        }
        break;
    }
    Ok(if is_newest {
        Logged::NotYet
    } else {
        Logged::Never
    })
}

/// Takes events, and gives the transactions that are wanted.
struct Collector<'a> {
    database: &'a str,
    server_version: u32,
    query: &'a LogQuery,
    group: Option<Group>,
    /// Ids of XA transactions that were prepared and are wanted.
    prepared: HashSet<Vec<u8>>,
}

struct Group {
    event: GtidEvent,
    is_wanted: bool,
    /// It has to do with the table that is looked for.
    has_table: bool,
    /// Tables of the database by what rows name them by.
    tables: HashMap<u64, Table>,
    found: LoggedTransaction,
}

impl<'a> Collector<'a> {
    fn new(database: &'a str, server_version: u32, query: &'a LogQuery) -> Self {
        Self {
            database,
            server_version,
            query,
            group: None,
            prepared: HashSet::new(),
        }
    }

    fn event(
        &mut self,
        header: &Header,
        content: &[u8],
    ) -> std::result::Result<Option<LoggedTransaction>, Malformed> {
        if header.kind == Kind::Gtid {
            self.group = Some(self.begin(header, GtidEvent::parse(content)?));
            return Ok(None);
        }
        let Some(group) = &mut self.group else {
            return Ok(None);
        };
        group.found.bytes += u64::from(header.length);
        let wanted = self.query.table.as_deref();
        let is_end = match header.kind {
            Kind::TableMap => {
                let table = Table::parse(content)?;
                if table.database == self.database.as_bytes() {
                    group.is_wanted = true;
                    group.has_table |= wanted == Some(table.name.as_str());
                    group.tables.insert(table.id, table);
                }
                false
            }
            Kind::Rows(change) => {
                group.rows(change, content)?;
                false
            }
            Kind::Annotation => {
                group.statement(content);
                false
            }
            Kind::Query => {
                let query = QueryEvent::parse(content)?;
                let version = self.server_version;
                let is_bracket = match meaning(&query, self.database, version) {
                    Meaning::Bracket(bracket) => bracket == super::statement::Bracket::End,
                    Meaning::Foreign => false,
                    Meaning::Wanted | Meaning::Event(_) => {
                        group.is_wanted = true;
                        group.statement(query.statement);
                        group.has_table |=
                            wanted.is_some_and(|table| names(&query, table, version));
                        false
                    }
                };
                is_bracket || group.event.is_standalone
            }
            Kind::Xid | Kind::XaPrepare => true,
            _ => false,
        };
        Ok(if is_end { self.end() } else { None })
    }

    fn begin(&mut self, header: &Header, event: GtidEvent) -> Group {
        let is_wanted = match &event.xa {
            Some(Xa::Complete(id)) => self.prepared.remove(id),
            _ => false,
        };
        Group {
            is_wanted,
            has_table: false,
            tables: HashMap::new(),
            found: LoggedTransaction {
                gtid: event.gtid(header),
                at: Timestamp::from_second(i64::from(header.timestamp)).unwrap_or_default(),
                bytes: u64::from(header.length),
                tables: BTreeMap::new(),
                statement_count: 0,
                statements: Vec::new(),
            },
            event,
        }
    }

    fn end(&mut self) -> Option<LoggedTransaction> {
        let mut group = self.group.take()?;
        if !group.is_wanted {
            return None;
        }
        match group.event.xa.take() {
            Some(Xa::Prepare(id)) => {
                group.statement(b"XA PREPARE");
                self.prepared.insert(id);
            }
            Some(Xa::Complete(_)) => group.statement(b"XA COMMIT or ROLLBACK"),
            None => {}
        }
        let query = self.query;
        let is_in_time = (query.from..query.until).contains(&group.found.at);
        let is_of_table = query.table.is_none() || group.has_table;
        (is_in_time && is_of_table).then_some(group.found)
    }
}

impl Group {
    fn rows(&mut self, change: Change, content: &[u8]) -> std::result::Result<(), Malformed> {
        let Some(table) = self.tables.get(&table_id(content)?) else {
            return Ok(());
        };
        let counts = self.found.tables.entry(table.name.clone()).or_default();
        let Some(rows) = table.count_rows(content, change == Change::Update) else {
            counts.is_more = true;
            return Ok(());
        };
        match change {
            Change::Insert => counts.inserted += rows,
            Change::Update => counts.updated += rows,
            Change::Delete => counts.deleted += rows,
        }
        Ok(())
    }

    fn statement(&mut self, text: &[u8]) {
        self.found.statement_count += 1;
        if self.found.statements.len() < MAX_STATEMENTS {
            let text = String::from_utf8_lossy(text);
            let mut shown: String = text.chars().take(MAX_CHARACTERS).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            self.found.statements.push(shown);
        }
    }
}
