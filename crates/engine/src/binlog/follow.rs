//! What of a server's binary log is applied to a copy of one of its databases that has another
//! name here.
//!
//! Pure: it is shown one event after the other and says what is to be done. Rows alone are applied,
//! as events in which the table's database has the copy's name: so nothing else of the server that
//! is followed ever runs here. A definition ends it, as does whatever else cannot be carried over
//! exactly.

use std::collections::HashMap;

use super::event::{
    Checksums, GtidEvent, HEADER, Header, Kind, Malformed, QueryEvent, SHORT, Xa, table_database,
};
use super::rows::table_id;
use super::statement::{Bracket, Meaning, meaning};

/// Bytes of rows that are applied at once.
const CHUNK: usize = 4 << 20;

/// Where the length of an event is in its header.
const LENGTH_AT: usize = 9;

/// In the flags of rows: the statement ends with them.
const STATEMENT_ENDS: u8 = 1;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Todo {
    /// These events are applied, in the transaction that is open.
    Apply(Vec<Vec<u8>>),
    /// The transaction is committed.
    Commit,
    /// It is rolled back.
    Rollback,
}

/// Why the log cannot be followed any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is not what a server writes.
    Malformed(Malformed),
    /// It has something that cannot be carried over, in words.
    Refused(String),
}

impl From<Malformed> for Stop {
    fn from(what: Malformed) -> Self {
        Self::Malformed(what)
    }
}

/// An event of the log.
pub(super) struct Seen<'e> {
    pub(super) header: &'e Header,
    /// The whole event.
    pub(super) bytes: &'e [u8],
    pub(super) content: &'e [u8],
}

/// Follows a log.
pub(super) struct Follower<'a> {
    /// The database there.
    source: &'a str,
    /// The copy.
    copy: &'a str,
    server_version: u32,
    checksums: Checksums,
    /// Where the last whole transaction ends.
    position: u64,
    /// What begins there or later is left alone.
    until: u64,
    is_over: bool,
    group: Option<Group>,
    transactions: u64,
    /// When the last one of them began, in seconds since 1970.
    at: Option<u32>,
}

struct Group {
    gtid: GtidEvent,
    is_wanted: bool,
    timestamp: u32,
    /// Tables of the statement by the number that rows name them by, and whether they are wanted.
    tables: HashMap<u64, bool>,
    /// They as events.
    maps: Vec<Vec<u8>>,
    rows: Vec<Vec<u8>>,
    bytes: usize,
}

impl<'a> Follower<'a> {
    /// From a position on, up to another one.
    pub(super) fn new(
        (source, copy): (&'a str, &'a str),
        server_version: u32,
        checksums: Checksums,
        (from, until): (u64, u64),
    ) -> Self {
        Self {
            source,
            copy,
            server_version,
            checksums,
            position: from,
            until,
            is_over: from >= until,
            group: None,
            transactions: 0,
            at: None,
        }
    }

    /// Where the last whole transaction ends.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Whether all that was wanted has come.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Transactions that changed something of the database.
    pub(super) const fn transactions(&self) -> u64 {
        self.transactions
    }

    /// When the last transaction began, of whatever database.
    pub(super) const fn at(&self) -> Option<u32> {
        self.at
    }

    /// Takes the next event.
    pub(super) fn event(&mut self, seen: &Seen<'_>) -> Result<Option<Todo>, Stop> {
        if self.is_over {
            return Ok(None);
        }
        let header = seen.header;
        let done = match header.kind {
            Kind::FormatDescription | Kind::GtidList | Kind::Bookkeeping => None,
            Kind::Gtid => {
                self.begin(header, GtidEvent::parse(seen.content)?)?;
                None
            }
            Kind::TableMap => {
                self.table(seen)?;
                None
            }
            _ if is_rows(seen.bytes) => self.rows(seen)?,
            // The text of the statement, and values of variables: rows need neither.
            Kind::Annotation | Kind::Part => None,
            Kind::Query => self.query(seen.content)?,
            Kind::Xid => self.end(Todo::Commit),
            Kind::XaPrepare => self.end(Todo::Rollback),
            Kind::Rows(_) | Kind::Other(_) => {
                let what = "it has an event of a kind that is not known here";
                return Err(Stop::Refused(what.to_owned()));
            }
        };
        let end = u64::from(end_of(seen.bytes)?);
        // What the server makes up for whoever reads has no place.
        if self.group.is_none() && end > self.position {
            self.position = end;
            self.is_over = end >= self.until;
        }
        Ok(done)
    }

    fn begin(&mut self, header: &Header, gtid: GtidEvent) -> Result<(), Stop> {
        if self.group.is_some() {
            return Err(Malformed("has a transaction within a transaction").into());
        }
        self.group = Some(Group {
            gtid,
            is_wanted: false,
            timestamp: header.timestamp,
            tables: HashMap::new(),
            maps: Vec::new(),
            rows: Vec::new(),
            bytes: 0,
        });
        Ok(())
    }

    fn group(&mut self) -> Result<&mut Group, Stop> {
        const OUTSIDE: Malformed = Malformed("has an event outside of a transaction");
        self.group.as_mut().ok_or(Stop::Malformed(OUTSIDE))
    }

    fn table(&mut self, seen: &Seen<'_>) -> Result<(), Stop> {
        let id = table_id(seen.content)?;
        let is_wanted = table_database(seen.content)? == self.source.as_bytes();
        let renamed = match is_wanted {
            true => Some(renamed(seen, self.copy.as_bytes(), self.checksums)?),
            false => None,
        };
        let group = self.group()?;
        if is_wanted && matches!(group.gtid.xa, Some(Xa::Prepare(_))) {
            let what = "an XA transaction changed the database, which cannot be followed";
            return Err(Stop::Refused(what.to_owned()));
        }
        group.is_wanted |= is_wanted;
        group.tables.insert(id, is_wanted);
        group.maps.extend(renamed);
        Ok(())
    }

    fn rows(&mut self, seen: &Seen<'_>) -> Result<Option<Todo>, Stop> {
        let checksums = self.checksums;
        let id = table_id(seen.content)?;
        let is_end = seen.content.get(6).ok_or(SHORT)? & STATEMENT_ENDS != 0;
        let group = self.group()?;
        if group.tables.get(&id).copied().unwrap_or_default() {
            group.bytes += seen.bytes.len();
            group.rows.push(seen.bytes.to_vec());
        }
        let todo = match is_end || group.bytes >= CHUNK {
            true => group.chunk(checksums)?,
            false => None,
        };
        if is_end {
            group.tables.clear();
            group.maps.clear();
        }
        Ok(todo)
    }

    fn query(&mut self, content: &[u8]) -> Result<Option<Todo>, Stop> {
        let (source, version) = (self.source, self.server_version);
        let query = QueryEvent::parse(content)?;
        let meaning = meaning(&query, source, version);
        let is_alone = self.group()?.gtid.is_standalone;
        match meaning {
            Meaning::Bracket(Bracket::End) => {
                let is_commit = query.statement.first().map(u8::to_ascii_uppercase) == Some(b'C');
                let is_xa = query.statement.first().map(u8::to_ascii_uppercase) == Some(b'X');
                Ok(self.end(match is_commit || is_xa {
                    true => Todo::Commit,
                    false => Todo::Rollback,
                }))
            }
            Meaning::Bracket(Bracket::Inner) if is_savepoint_undone(query.statement) => {
                let group = self.group()?;
                match group.is_wanted {
                    false => Ok(None),
                    true => Err(Stop::Refused(
                        "a transaction went back to a savepoint, which cannot be followed"
                            .to_owned(),
                    )),
                }
            }
            Meaning::Bracket(Bracket::Inner) => Ok(None),
            Meaning::Wanted | Meaning::Event(_) if !is_harmless(query.statement) => {
                let statement = crate::import::beginning(query.statement);
                Err(Stop::Refused(format!(
                    "it has the statement \"{statement}\", and only changes of rows are followed, logged as rows"
                )))
            }
            Meaning::Foreign | Meaning::Wanted | Meaning::Event(_) => Ok(match is_alone {
                true => self.end(Todo::Commit),
                false => None,
            }),
        }
    }

    fn end(&mut self, todo: Todo) -> Option<Todo> {
        let group = self.group.take()?;
        self.at = Some(group.timestamp);
        if !group.is_wanted {
            return None;
        }
        self.transactions += 1;
        Some(todo)
    }
}

impl Group {
    /// What was gathered, as a statement of its own: rows are the same in several.
    fn chunk(&mut self, checksums: Checksums) -> Result<Option<Todo>, Stop> {
        self.bytes = 0;
        let mut rows = std::mem::take(&mut self.rows);
        let Some(last) = rows.last_mut() else {
            return Ok(None);
        };
        *last.get_mut(HEADER + 6).ok_or(SHORT)? |= STATEMENT_ENDS;
        seal(last, checksums)?;
        let mut events = self.maps.clone();
        events.append(&mut rows);
        Ok(Some(Todo::Apply(events)))
    }
}

/// Whether an event has rows, in whichever form.
fn is_rows(bytes: &[u8]) -> bool {
    matches!(bytes.get(4), Some(20..=25 | 30..=32 | 166..=171))
}

/// Where an event ends in the file that it was read from.
fn end_of(bytes: &[u8]) -> Result<u32, Malformed> {
    let end = bytes.get(13..17).and_then(<[u8]>::first_chunk::<4>);
    end.map(|end| u32::from_le_bytes(*end)).ok_or(SHORT)
}

/// Whether changes are taken back that are in the log already.
fn is_savepoint_undone(statement: &[u8]) -> bool {
    statement
        .get(..8)
        .is_some_and(|word| word.eq_ignore_ascii_case(b"ROLLBACK"))
}

/// Whether a statement changes neither rows nor definitions that anybody else sees.
fn is_harmless(statement: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&statement[..statement.len().min(200)]).to_ascii_uppercase();
    let mut words = text.split_whitespace();
    matches!(
        (words.next(), words.next()),
        (Some("CREATE" | "DROP"), Some("TEMPORARY"))
            | (
                Some("ANALYZE" | "OPTIMIZE" | "REPAIR" | "CHECK" | "FLUSH"),
                _
            )
    )
}

/// The event of a table, as one of another database.
fn renamed(seen: &Seen<'_>, database: &[u8], checksums: Checksums) -> Result<Vec<u8>, Malformed> {
    // Six bytes of table id, two of flags, the name behind its length, and a zero.
    let (fixed, rest) = seen.content.split_at_checked(8).ok_or(SHORT)?;
    let (&length, rest) = rest.split_first().ok_or(SHORT)?;
    let rest = rest.get(usize::from(length) + 1..).ok_or(SHORT)?;
    let name_length = u8::try_from(database.len()).map_err(|_| Malformed("is of a long name"))?;
    let mut event = seen.bytes.get(..HEADER).ok_or(SHORT)?.to_vec();
    event.extend_from_slice(fixed);
    event.push(name_length);
    event.extend_from_slice(database);
    event.push(0);
    event.extend_from_slice(rest);
    if checksums == Checksums::Crc32 {
        event.extend_from_slice(&[0; 4]);
    }
    seal(&mut event, checksums)?;
    Ok(event)
}

/// Sets the length and the checksum of an event that was changed.
fn seal(event: &mut [u8], checksums: Checksums) -> Result<(), Malformed> {
    let length =
        u32::try_from(event.len()).map_err(|_| Malformed("has an event that is too long"))?;
    let place = event.get_mut(LENGTH_AT..LENGTH_AT + 4).ok_or(SHORT)?;
    place.copy_from_slice(&length.to_le_bytes());
    if checksums == Checksums::Crc32 {
        let (covered, sum) = event.split_last_chunk_mut::<4>().ok_or(SHORT)?;
        *sum = crc32fast::hash(covered).to_le_bytes();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log that is being made.
    struct Log {
        checksums: Checksums,
        end: u32,
    }

    impl Log {
        fn event(&mut self, code: u8, content: &[u8]) -> Vec<u8> {
            let mut event = vec![7, 0, 0, 0, code, 1, 0, 0, 0];
            let sum = match self.checksums {
                Checksums::Crc32 => 4,
                Checksums::None => 0,
            };
            let length = u32::try_from(HEADER + content.len() + sum).expect("short");
            self.end += length;
            event.extend(length.to_le_bytes());
            event.extend(self.end.to_le_bytes());
            event.extend([0, 0]);
            event.extend(content);
            event.extend(vec![0; sum]);
            seal(&mut event, self.checksums).expect("whole");
            event
        }

        fn gtid(&mut self, flags: u8) -> Vec<u8> {
            let mut content = vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, flags];
            content.extend([0; 20]);
            self.event(162, &content)
        }

        fn table(&mut self, id: u8, database: &str) -> Vec<u8> {
            let mut content = vec![id, 0, 0, 0, 0, 0, 1, 0];
            content.push(u8::try_from(database.len()).expect("short"));
            content.extend(database.as_bytes());
            content.extend(b"\0\x01t\0\x01\x03\0\x01");
            self.event(19, &content)
        }

        fn rows(&mut self, id: u8, flags: u8) -> Vec<u8> {
            self.event(23, &[id, 0, 0, 0, 0, 0, flags, 0, 1, 1, 0, 5, 0, 0, 0])
        }

        fn query(&mut self, database: &str, statement: &str) -> Vec<u8> {
            let mut content = vec![0; 13];
            content[8] = u8::try_from(database.len()).expect("short");
            content.extend(database.as_bytes());
            content.push(0);
            content.extend(statement.as_bytes());
            self.event(2, &content)
        }
    }

    fn show(follower: &mut Follower<'_>, bytes: &[u8]) -> Result<Option<Todo>, Stop> {
        let header = bytes.first_chunk::<HEADER>().expect("whole");
        let header = Header::parse(header).expect("right");
        let content = follower.checksums.content(bytes).expect("right");
        let seen = Seen {
            header: &header,
            bytes,
            content,
        };
        follower.event(&seen)
    }

    fn follower(checksums: Checksums, until: u64) -> Follower<'static> {
        Follower::new(("shop", "a_longer_name"), 101_100, checksums, (4, until))
    }

    #[test]
    fn rows_of_the_database_are_applied_under_its_other_name() {
        for checksums in [Checksums::None, Checksums::Crc32] {
            let mut log = Log { checksums, end: 4 };
            let mut follower = follower(checksums, u64::MAX);
            let mut none = |event: Vec<u8>| assert_eq!(show(&mut follower, &event), Ok(None));
            none(log.gtid(0));
            none(log.table(1, "shop"));
            none(log.table(2, "other"));
            none(log.rows(1, 0));
            let row = log.rows(2, STATEMENT_ENDS);
            // The last rows of the statement are not ours, and yet it ends.
            let Ok(Some(Todo::Apply(events))) = show(&mut follower, &row) else {
                panic!("nothing to apply");
            };
            assert_eq!(events.len(), 2);
            let map = checksums
                .content(&events[0])
                .expect("its checksum is right");
            assert_eq!(table_database(map), Ok(b"a_longer_name".as_slice()));
            assert!(map.ends_with(b"\0\x01t\0\x01\x03\0\x01"));
            let rows = checksums
                .content(&events[1])
                .expect("its checksum is right");
            assert_eq!((rows[0], rows[6]), (1, STATEMENT_ENDS));
            assert_eq!(follower.position(), 4, "it is not committed");
            let end = log.event(16, &[0; 8]);
            assert_eq!(show(&mut follower, &end), Ok(Some(Todo::Commit)));
            assert_eq!(follower.position(), u64::from(log.end));
            assert_eq!((follower.transactions(), follower.at()), (1, Some(7)));
        }
    }

    #[test]
    fn what_is_of_others_only_moves_the_position() {
        let mut log = Log {
            checksums: Checksums::None,
            end: 4,
        };
        let mut follower = follower(log.checksums, u64::MAX);
        for event in [
            log.gtid(0),
            log.table(1, "shopping"),
            log.rows(1, STATEMENT_ENDS),
            log.event(16, &[0; 8]),
            log.gtid(1),
            log.query("else", "CREATE TABLE t (a INT)"),
            log.gtid(1),
            log.query("shop", "DROP TEMPORARY TABLE IF EXISTS `x`"),
            log.gtid(1),
            log.query("shop", "GRANT ALL ON *.* TO eve"),
        ] {
            assert_eq!(show(&mut follower, &event), Ok(None));
        }
        assert_eq!(follower.transactions(), 0);
        assert_eq!(follower.position(), u64::from(log.end));
    }

    #[test]
    fn what_cannot_be_carried_over_is_refused() {
        let refused = |events: &dyn Fn(&mut Log) -> Vec<Vec<u8>>| {
            let mut log = Log {
                checksums: Checksums::Crc32,
                end: 4,
            };
            let mut follower = follower(log.checksums, u64::MAX);
            let mut last = Ok(None);
            for event in events(&mut log) {
                last = show(&mut follower, &event);
            }
            match last {
                Err(Stop::Refused(what)) => what,
                other => panic!("{other:?}"),
            }
        };
        let what = refused(&|log| vec![log.gtid(1), log.query("shop", "ALTER TABLE t ADD b INT")]);
        assert!(what.contains("ALTER TABLE t"), "{what}");
        let what = refused(&|log| vec![log.gtid(0), log.query("shop", "INSERT INTO t VALUES (1)")]);
        assert!(what.contains("INSERT"), "{what}");
        let what = refused(&|log| {
            let mut begin = log.gtid(64);
            // A format, two lengths, and the parts of the id.
            let at = HEADER + 13;
            begin[at..at + 8].copy_from_slice(&[1, 0, 0, 0, 1, 1, b'a', b'b']);
            seal(&mut begin, Checksums::Crc32).expect("whole");
            vec![begin, log.table(1, "shop")]
        });
        assert!(what.contains("XA"), "{what}");
        let what = refused(&|log| {
            vec![
                log.gtid(0),
                log.table(1, "shop"),
                log.query("shop", "ROLLBACK TO `a`"),
            ]
        });
        assert!(what.contains("savepoint"), "{what}");
    }

    #[test]
    fn it_stops_at_its_end() {
        let mut log = Log {
            checksums: Checksums::None,
            end: 4,
        };
        let first = [
            log.gtid(0),
            log.table(1, "shop"),
            log.rows(1, 1),
            log.event(16, &[0; 8]),
        ];
        let end = u64::from(log.end);
        let mut follower = follower(log.checksums, end);
        for event in first {
            show(&mut follower, &event).expect("right");
        }
        assert!(follower.is_over());
        let next = [log.gtid(0), log.table(1, "shop"), log.rows(1, 1)];
        for event in next {
            assert_eq!(show(&mut follower, &event), Ok(None));
        }
        assert_eq!(follower.position(), end);
    }
}
