//! Which groups of events of a binary log are applied to bring one database from one moment to
//! another.
//!
//! Pure: it is shown one event after the other and says what becomes of it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::event::{GtidEvent, Header, Kind, Malformed, QueryEvent, Xa, table_database};
use super::statement::{Bracket, Definer, EventChange, EventChangeKind, Meaning, definer, meaning};

/// A place in a node's binary log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogPosition {
    /// The number in the file's name.
    pub(super) file: u64,
    /// Bytes from the file's start.
    pub(super) offset: u64,
}

/// Where to stop: before the first group that was committed at that second or later.
///
/// A session may set its own time, so events alone cannot be trusted. What was on disk when the
/// log was looked at is before that moment; what was not, is after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Until {
    /// Seconds since 1970.
    pub(super) second: u32,
    /// What begins before it is wanted whatever it says of its time.
    pub(super) surely_before: Option<LogPosition>,
    /// What begins there or later is not.
    pub(super) surely_after: Option<LogPosition>,
}

impl Until {
    fn is_past(&self, at: LogPosition, timestamp: u32) -> bool {
        if self.surely_after.is_some_and(|after| at >= after) {
            return true;
        }
        let is_early = self.surely_before.is_some_and(|before| at < before);
        !is_early && timestamp >= self.second
    }
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It belongs to the file alone.
    Pass,
    /// It begins a group of which it is not known yet whether it is wanted.
    Begin,
    /// It belongs to the group.
    Part,
    /// It ends the group, which is wanted.
    Keep,
    /// It ends the group, which is not.
    Drop,
    /// This and all that follows is too late.
    Stop,
}

/// What was selected so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selected {
    /// Groups that are wanted.
    pub(super) groups: u64,
    /// The last GTID of each domain among them.
    pub(super) gtids: BTreeMap<u32, String>,
    /// Events that are made or changed, by name in lower case, and whether they then run; those
    /// of which nothing says so are as they were under the name given.
    pub(super) events: BTreeMap<String, EventState>,
    /// Accounts that objects are to run as.
    pub(super) definers: BTreeSet<Definer>,
}

/// Whether an event runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EventState {
    /// It does, or does not.
    Known(bool),
    /// As the event of that name did at first.
    As(String),
}

/// Selects groups.
pub(super) struct Selector<'a> {
    database: &'a str,
    server_version: u32,
    until: Until,
    group: Option<Group>,
    /// Ids of XA transactions that are prepared, and whether they are wanted.
    prepared: Prepared,
    selected: Selected,
}

#[derive(Default)]
struct Prepared {
    wanted: HashSet<Vec<u8>>,
    foreign: HashSet<Vec<u8>>,
}

struct Group {
    gtid: GtidEvent,
    server_id: u32,
    is_wanted: bool,
    events: Vec<EventChange>,
    definer: Option<Definer>,
}

impl<'a> Selector<'a> {
    pub(super) fn new(database: &'a str, server_version: u32, until: Until) -> Self {
        Self {
            database,
            server_version,
            until,
            group: None,
            prepared: Prepared::default(),
            selected: Selected::default(),
        }
    }

    /// What was selected.
    pub(super) fn finish(self) -> Selected {
        self.selected
    }

    /// A file ended. A group that is not whole was never committed.
    pub(super) fn file_ended(&mut self) {
        self.group = None;
    }

    /// Takes the event at `at`.
    pub(super) fn event(
        &mut self,
        at: LogPosition,
        header: &Header,
        content: &[u8],
    ) -> Result<Verdict, Malformed> {
        match header.kind {
            Kind::FormatDescription | Kind::Bookkeeping => return Ok(Verdict::Pass),
            Kind::Gtid => return self.begin(at, header, GtidEvent::parse(content)?),
            Kind::Other(_) => return Err(Malformed("has an event of a kind that is not known")),
            Kind::Query | Kind::Xid | Kind::XaPrepare | Kind::TableMap | Kind::Part => {}
        }
        let database = self.database;
        let Some(group) = &mut self.group else {
            return Err(Malformed("has an event outside of a transaction"));
        };
        let is_end = match header.kind {
            Kind::TableMap => {
                group.is_wanted |= table_database(content)? == database.as_bytes();
                false
            }
            Kind::Query => {
                let query = QueryEvent::parse(content)?;
                let version = self.server_version;
                let is_end = group.statement(meaning(&query, database, version));
                group.definer = definer(&query, version);
                is_end || group.gtid.is_standalone
            }
            Kind::Xid | Kind::XaPrepare => true,
            _ => false,
        };
        Ok(if is_end { self.end() } else { Verdict::Part })
    }

    fn begin(
        &mut self,
        at: LogPosition,
        header: &Header,
        gtid: GtidEvent,
    ) -> Result<Verdict, Malformed> {
        if self.group.is_some() {
            return Err(Malformed("has a transaction within a transaction"));
        }
        if self.until.is_past(at, header.timestamp) {
            return Ok(Verdict::Stop);
        }
        let is_wanted = match &gtid.xa {
            Some(Xa::Complete(id)) => self.prepared.complete(id)?,
            _ => false,
        };
        self.group = Some(Group {
            gtid,
            server_id: header.server_id,
            is_wanted,
            events: Vec::new(),
            definer: None,
        });
        Ok(Verdict::Begin)
    }

    fn end(&mut self) -> Verdict {
        let Some(group) = self.group.take() else {
            return Verdict::Drop;
        };
        let GtidEvent {
            sequence,
            domain,
            xa,
            ..
        } = group.gtid;
        if let Some(Xa::Prepare(id)) = xa {
            self.prepared.add(id, group.is_wanted);
        }
        if !group.is_wanted {
            return Verdict::Drop;
        }
        let gtid = format!("{domain}-{}-{sequence}", group.server_id);
        self.selected.gtids.insert(domain, gtid);
        self.selected.groups += 1;
        for change in group.events {
            self.selected.change_event(change);
        }
        self.selected.definers.extend(group.definer);
        Verdict::Keep
    }
}

impl Group {
    /// Takes a statement; whether the group ends with it.
    fn statement(&mut self, meaning: Meaning) -> bool {
        match meaning {
            Meaning::Foreign => false,
            Meaning::Wanted => {
                self.is_wanted = true;
                false
            }
            Meaning::Event(change) => {
                self.is_wanted = true;
                self.events.push(change);
                false
            }
            Meaning::Bracket(bracket) => bracket == Bracket::End,
        }
    }
}

impl Prepared {
    /// Whether the end of an XA transaction is wanted.
    fn complete(&mut self, id: &[u8]) -> Result<bool, Malformed> {
        let is_wanted = self.wanted.remove(id);
        if is_wanted || self.foreign.remove(id) {
            return Ok(is_wanted);
        }
        // Its changes are neither in the set nor in what is applied.
        Err(Malformed(
            "has the end of an XA transaction that was prepared before the backup set",
        ))
    }

    fn add(&mut self, id: Vec<u8>, is_wanted: bool) {
        if is_wanted {
            self.wanted.insert(id);
        } else {
            self.foreign.insert(id);
        }
    }
}

impl Selected {
    fn change_event(&mut self, change: EventChange) {
        let EventChange {
            name,
            kind,
            is_enabled,
            renamed,
        } = change;
        let said = is_enabled.map(EventState::Known);
        match kind {
            EventChangeKind::Drop => {
                self.events.remove(&name);
            }
            EventChangeKind::Create => {
                let state = said.unwrap_or(EventState::Known(true));
                self.events.insert(name, state);
            }
            // Without an effect it is not in the log; with one, it is like the other.
            EventChangeKind::CreateIfMissing => {
                let state = said.unwrap_or(EventState::Known(true));
                self.events.entry(name).or_insert(state);
            }
            EventChangeKind::Alter => {
                let before = self.events.remove(&name);
                let state = said
                    .or(before)
                    .unwrap_or_else(|| EventState::As(name.clone()));
                self.events.insert(renamed.unwrap_or(name), state);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: u64, offset: u64) -> LogPosition {
        LogPosition { file, offset }
    }

    fn header(kind: Kind, timestamp: u32) -> Header {
        Header {
            timestamp,
            kind,
            server_id: 7,
            length: 100,
        }
    }

    /// The content of a group's begin: its flags, and the id of an XA transaction.
    fn gtid(sequence: u64, flags: u8, xid: &[u8]) -> Vec<u8> {
        let mut content = sequence.to_le_bytes().to_vec();
        content.extend([0, 0, 0, 0, flags]);
        content.extend(xid);
        content
    }

    fn table_map(database: &str) -> Vec<u8> {
        let mut content = vec![0; 8];
        content.push(u8::try_from(database.len()).expect("short"));
        content.extend(database.as_bytes());
        content
    }

    fn query(database: &str, statement: &str) -> Vec<u8> {
        let mut content = vec![0; 13];
        content[8] = u8::try_from(database.len()).expect("short");
        content.extend(database.as_bytes());
        content.push(0);
        content.extend(statement.as_bytes());
        content
    }

    const NEVER: Until = Until {
        second: u32::MAX,
        surely_before: None,
        surely_after: None,
    };

    /// What becomes of a transaction with a row of a database.
    fn transaction(
        selector: &mut Selector<'_>,
        place: LogPosition,
        time: u32,
        database: &str,
    ) -> Verdict {
        let begin = gtid(place.offset, 0, &[]);
        let begun = selector.event(place, &header(Kind::Gtid, time), &begin);
        if begun == Ok(Verdict::Stop) {
            return Verdict::Stop;
        }
        assert_eq!(begun, Ok(Verdict::Begin));
        let map = table_map(database);
        let part = selector.event(place, &header(Kind::TableMap, time), &map);
        assert_eq!(part, Ok(Verdict::Part));
        let end = selector.event(place, &header(Kind::Xid, time), &[]);
        end.expect("well formed")
    }

    #[test]
    fn rows_of_the_database_are_wanted() {
        let mut selector = Selector::new("shop", 101_119, NEVER);
        for (offset, database, verdict) in [
            (1, "shop", Verdict::Keep),
            (2, "shop2", Verdict::Drop),
            (3, "sho", Verdict::Drop),
            (4, "shop", Verdict::Keep),
            (5, "", Verdict::Drop),
        ] {
            let found = transaction(&mut selector, at(1, offset), 5, database);
            assert_eq!(found, verdict, "{database}");
        }
        let selected = selector.finish();
        assert_eq!(selected.groups, 2);
        assert_eq!(selected.gtids, BTreeMap::from([(0, "0-7-4".to_owned())]));
    }

    #[test]
    fn a_session_that_sets_its_own_time_moves_no_end() {
        let until = Until {
            second: 100,
            surely_before: Some(at(2, 500)),
            surely_after: Some(at(3, 500)),
        };
        let verdict = |place: LogPosition, time: u32| {
            let mut selector = Selector::new("shop", 101_119, until);
            transaction(&mut selector, place, time, "shop")
        };
        // In the future, but it was on disk before.
        assert_eq!(verdict(at(2, 499), 4_000), Verdict::Keep);
        assert_eq!(verdict(at(1, 9_000), 100), Verdict::Keep);
        // Where nothing else is known, the events are believed.
        assert_eq!(verdict(at(2, 500), 99), Verdict::Keep);
        assert_eq!(verdict(at(2, 500), 100), Verdict::Stop);
        assert_eq!(verdict(at(3, 499), 100), Verdict::Stop);
        // In the past, but it was not there in time.
        assert_eq!(verdict(at(3, 500), 1), Verdict::Stop);
        assert_eq!(verdict(at(4, 4), 1), Verdict::Stop);
    }

    #[test]
    fn xa_transactions_end_as_they_were_prepared() {
        let mut selector = Selector::new("shop", 101_119, NEVER);
        let mut sequence = 0;
        let mut group = |flags: u8, id: u8, database: &str, last: Kind, statement: &str| {
            sequence += 1;
            let place = at(1, sequence);
            let begin = gtid(sequence, flags, &[1, 0, 0, 0, 1, 0, id]);
            selector.event(place, &header(Kind::Gtid, 1), &begin)?;
            let map = table_map(database);
            if !database.is_empty() {
                selector.event(place, &header(Kind::TableMap, 1), &map)?;
            }
            selector.event(place, &header(last, 1), &query("", statement))
        };
        let prepare = 64;
        let complete = 128;
        assert_eq!(
            group(prepare, 1, "shop", Kind::XaPrepare, ""),
            Ok(Verdict::Keep)
        );
        assert_eq!(
            group(prepare, 2, "other", Kind::XaPrepare, ""),
            Ok(Verdict::Drop)
        );
        let commit = "XA COMMIT X'01',X'',1";
        assert_eq!(
            group(complete, 1, "", Kind::Query, commit),
            Ok(Verdict::Keep)
        );
        assert_eq!(
            group(complete, 2, "", Kind::Query, commit),
            Ok(Verdict::Drop)
        );
        // Nobody knows what was in it.
        assert!(group(complete, 3, "", Kind::Query, commit).is_err());
    }

    #[test]
    fn events_keep_their_names_and_states() {
        let mut selected = Selected::default();
        let mut change = |name: &str, kind, is_enabled, renamed: Option<&str>| {
            selected.change_event(EventChange {
                name: name.to_owned(),
                kind,
                is_enabled,
                renamed: renamed.map(str::to_owned),
            });
        };
        change("made", EventChangeKind::Create, None, None);
        change("off", EventChangeKind::Create, Some(false), None);
        change("off", EventChangeKind::CreateIfMissing, None, None);
        change("old", EventChangeKind::Alter, None, Some("new"));
        change("new", EventChangeKind::Alter, None, Some("newer"));
        change("made", EventChangeKind::Alter, None, Some("moved"));
        change("gone", EventChangeKind::Create, None, None);
        change("gone", EventChangeKind::Drop, None, None);
        let expected = [
            ("moved", EventState::Known(true)),
            ("newer", EventState::As("old".to_owned())),
            ("off", EventState::Known(false)),
        ];
        let expected = expected.map(|(name, state)| (name.to_owned(), state));
        assert_eq!(selected.events, BTreeMap::from(expected));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        use Kind::{Bookkeeping, Gtid, Part, Query, TableMap, Xid};
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let mut selector = Selector::new("shop", 101_119, NEVER);
            for _ in 0..4 {
                let kinds = [Gtid, Query, TableMap, Part, Xid, Bookkeeping];
                let kind = kinds[usize::try_from(random() % 6).expect("small")];
                let length = usize::try_from(random() % 64).expect("small");
                let content: Vec<u8> = (0..length)
                    .map(|_| random().to_le_bytes()[3] % 128)
                    .collect();
                let _ = selector.event(at(1, 4), &header(kind, 1), &content);
            }
        }
    }
}
