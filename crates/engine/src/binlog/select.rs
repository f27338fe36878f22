//! Which groups of events of a binary log are applied to bring one database from one moment to
//! another.
//!
//! Pure: it is shown one event after the other and says what becomes of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use openpeta_types::Gtid;

use super::event::{GtidEvent, Header, Kind, Malformed, QueryEvent, Xa, table_database};
use super::statement::{
    Bracket, Definer, EventChange, EventChangeKind, Meaning, definer, is_xa_rollback, meaning,
};

/// A place in a node's binary log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogPosition {
    /// The number in the file's name.
    pub(super) file: u64,
    /// Bytes from the file's start.
    pub(super) offset: u64,
}

/// Where to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// At a second.
    Second(UntilSecond),
    /// At a transaction.
    Transaction {
        /// Its name.
        gtid: Gtid,
        /// After it, not before.
        is_included: bool,
    },
    /// Where the log was at some moment, between two groups.
    Position(LogPosition),
}

/// Where to stop: before the first group that was committed at that second or later.
///
/// A session may set its own time, so events alone cannot be trusted. What was on disk when the
/// log was looked at is before that moment; what was not, is after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UntilSecond {
    /// Seconds since 1970.
    pub(super) second: u32,
    /// What begins before it is wanted whatever it says of its time.
    pub(super) surely_before: Option<LogPosition>,
    /// What begins there or later is not.
    pub(super) surely_after: Option<LogPosition>,
}

impl UntilSecond {
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
    /// How far it is from the transaction at which to stop.
    reached: Reached,
    group: Option<Group>,
    prepared: Prepared,
    /// First parts of XA transactions that are not wanted, whatever they change.
    without_end: HashSet<Gtid>,
    selected: Selected,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    NotYet,
    Within,
    Past,
}

/// XA transactions.
#[derive(Default)]
struct Prepared {
    /// Those that are prepared, by id: their first part, and whether it is wanted.
    open: HashMap<Vec<u8>, (Gtid, bool)>,
    /// First parts whose id stood for another one later.
    given_up: Vec<Gtid>,
    /// Those that have ended in the file that is read, in their order.
    ended: Vec<Vec<u8>>,
    /// The last of those that have ended in each file before.
    ended_before: HashSet<Vec<u8>>,
}

/// How many ends of XA transactions a node may have written at once: more than it has sessions. An end is
/// in the log before it is carried out, so where a node was killed between the two, the
/// transaction is still prepared and ends once more in a later file.
const ENDS_AT_ONCE: usize = 10_000;

struct Group {
    gtid: GtidEvent,
    server_id: u32,
    /// It ends an XA transaction whose changes were not seen.
    has_unknown_changes: bool,
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
            reached: Reached::NotYet,
            group: None,
            prepared: Prepared::default(),
            without_end: HashSet::new(),
            selected: Selected::default(),
        }
    }

    /// Selects without the first parts of XA transactions that an earlier reading found to have no end.
    pub(super) fn without(mut self, without_end: HashSet<Gtid>) -> Self {
        self.without_end = without_end;
        self
    }

    /// The first parts of XA transactions whose ends were not among what was seen. A node writes the first
    /// part into its log before it is prepared; killed between the two, it has the log alone, and nobody
    /// ends what is not there. Applied, it would keep others from its rows.
    pub(super) fn without_ends(self) -> HashSet<Gtid> {
        let open = self.prepared.open.into_values().map(|(gtid, _)| gtid);
        open.chain(self.prepared.given_up).collect()
    }

    /// What was selected.
    ///
    /// # Errors
    /// The transaction at which to stop, if it did not come.
    pub(super) fn finish(self) -> Result<Selected, Gtid> {
        match self.until {
            Until::Transaction { gtid, .. } if self.reached != Reached::Past => Err(gtid),
            _ => Ok(self.selected),
        }
    }

    /// A file ended. A group that is not whole was never committed.
    pub(super) fn file_ended(&mut self) {
        self.group = None;
        self.prepared.file_ended();
        if self.reached == Reached::Within {
            self.reached = Reached::NotYet;
        }
    }

    /// Takes the event at `at`.
    pub(super) fn event(
        &mut self,
        at: LogPosition,
        header: &Header,
        content: &[u8],
    ) -> Result<Verdict, Malformed> {
        match header.kind {
            Kind::FormatDescription | Kind::GtidList | Kind::Bookkeeping => {
                return Ok(Verdict::Pass);
            }
            Kind::Gtid => return self.begin(at, header, GtidEvent::parse(content)?),
            Kind::Other(_) => return Err(Malformed("has an event of a kind that is not known")),
            Kind::Query
            | Kind::Xid
            | Kind::XaPrepare
            | Kind::TableMap
            | Kind::Rows(_)
            | Kind::Annotation
            | Kind::Part => {}
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
                if group.has_unknown_changes && !is_xa_rollback(&query, version) {
                    return Err(Malformed(
                        "has the commit of an XA transaction that was prepared before the backup set",
                    ));
                }
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
        if self.is_past(at, header, &gtid) {
            return Ok(Verdict::Stop);
        }
        let is_wanted = match &gtid.xa {
            Some(Xa::Complete(id)) => self.prepared.is_end_wanted(id),
            _ => Some(false),
        };
        self.group = Some(Group {
            gtid,
            server_id: header.server_id,
            is_wanted: is_wanted.unwrap_or(false),
            has_unknown_changes: is_wanted.is_none(),
            events: Vec::new(),
            definer: None,
        });
        Ok(Verdict::Begin)
    }

    /// Whether what begins here is too late.
    fn is_past(&mut self, at: LogPosition, header: &Header, begun: &GtidEvent) -> bool {
        let (gtid, is_included) = match self.until {
            Until::Second(until) => return until.is_past(at, header.timestamp),
            Until::Position(end) => return at >= end,
            Until::Transaction { gtid, is_included } => (gtid, is_included),
        };
        if self.reached == Reached::NotYet && begun.gtid(header) == gtid {
            self.reached = if is_included {
                Reached::Within
            } else {
                Reached::Past
            };
        }
        self.reached == Reached::Past
    }

    fn end(&mut self) -> Verdict {
        let Some(group) = self.group.take() else {
            return Verdict::Drop;
        };
        if self.reached == Reached::Within {
            self.reached = Reached::Past;
        }
        let GtidEvent {
            sequence,
            domain,
            xa,
            ..
        } = group.gtid;
        let gtid = Gtid {
            domain,
            server: group.server_id,
            sequence,
        };
        if self.without_end.contains(&gtid) {
            return Verdict::Drop;
        }
        match xa {
            Some(Xa::Prepare(id)) => self.prepared.add(id, gtid, group.is_wanted),
            Some(Xa::Complete(id)) => self.prepared.end(id),
            None => {}
        }
        if !group.is_wanted {
            return Verdict::Drop;
        }
        self.selected.gtids.insert(domain, gtid.to_string());
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
    /// Whether the end of an XA transaction is wanted; `None` when its changes are neither in the set nor in
    /// what is applied.
    fn is_end_wanted(&self, id: &[u8]) -> Option<bool> {
        match self.open.get(id) {
            Some((_, is_wanted)) => Some(*is_wanted),
            None => self.ended_before.contains(id).then_some(false),
        }
    }

    fn end(&mut self, id: Vec<u8>) {
        self.open.remove(&id);
        self.ended.push(id);
    }

    fn file_ended(&mut self) {
        let last = self.ended.len().saturating_sub(ENDS_AT_ONCE);
        self.ended_before.extend(self.ended.drain(..).skip(last));
    }

    fn add(&mut self, id: Vec<u8>, gtid: Gtid, is_wanted: bool) {
        let before = self.open.insert(id, (gtid, is_wanted));
        self.given_up.extend(before.map(|(gtid, _)| gtid));
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

    const NEVER: Until = Until::Second(UntilSecond {
        second: u32::MAX,
        surely_before: None,
        surely_after: None,
    });

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
        let selected = selector.finish().expect("it has no end");
        assert_eq!(selected.groups, 2);
        assert_eq!(selected.gtids, BTreeMap::from([(0, "0-7-4".to_owned())]));
    }

    #[test]
    fn a_session_that_sets_its_own_time_moves_no_end() {
        let until = Until::Second(UntilSecond {
            second: 100,
            surely_before: Some(at(2, 500)),
            surely_after: Some(at(3, 500)),
        });
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
    fn a_transaction_is_the_last_one_or_the_first_that_is_left_out() {
        use Verdict::{Drop, Keep, Stop};
        let verdicts = |gtid: &str, is_included| {
            let gtid = Gtid::parse(gtid).expect("well formed");
            let mut selector =
                Selector::new("shop", 101_119, Until::Transaction { gtid, is_included });
            let found: Vec<_> = [(1, "shop"), (2, "other"), (3, "shop"), (4, "shop")]
                .into_iter()
                .map(|(offset, database)| transaction(&mut selector, at(1, offset), 5, database))
                .collect();
            (found, selector.finish().map(|selected| selected.groups))
        };
        assert_eq!(
            verdicts("0-7-3", true),
            (vec![Keep, Drop, Keep, Stop], Ok(2))
        );
        assert_eq!(
            verdicts("0-7-3", false),
            (vec![Keep, Drop, Stop, Stop], Ok(1))
        );
        // Of another database it is as good a place.
        assert_eq!(
            verdicts("0-7-2", true),
            (vec![Keep, Drop, Stop, Stop], Ok(1))
        );
        assert_eq!(verdicts("0-7-1", false), (vec![Stop; 4], Ok(0)));
        for missing in ["0-7-5", "0-8-3", "1-7-3"] {
            let gtid = Gtid::parse(missing).expect("well formed");
            for is_included in [false, true] {
                let (found, end) = verdicts(missing, is_included);
                assert_eq!((found, end), (vec![Keep, Drop, Keep, Keep], Err(gtid)));
            }
        }
    }

    #[test]
    fn a_transaction_that_was_cut_off_did_not_come() {
        let last = Gtid::parse("0-7-9").expect("well formed");
        let until = Until::Transaction {
            gtid: last,
            is_included: true,
        };
        let mut selector = Selector::new("shop", 101_119, until);
        let begin = gtid(9, 0, &[]);
        let begun = selector.event(at(1, 9), &header(Kind::Gtid, 5), &begin);
        assert_eq!(begun, Ok(Verdict::Begin));
        selector.file_ended();
        assert_eq!(selector.finish(), Err(last));
    }

    /// Shows a group of an XA transaction with that id: its first part, or its end by a statement.
    fn xa_group(
        selector: &mut Selector<'_>,
        sequence: u64,
        id: u8,
        part: Result<&str, &str>,
    ) -> Result<Verdict, Malformed> {
        let (flags, database, last, statement) = match part {
            Ok(database) => (64, database, Kind::XaPrepare, ""),
            Err(statement) => (128, "", Kind::Query, statement),
        };
        let place = at(1, sequence);
        let begin = gtid(sequence, flags, &[1, 0, 0, 0, 1, 0, id]);
        selector.event(place, &header(Kind::Gtid, 1), &begin)?;
        if !database.is_empty() {
            let map = table_map(database);
            selector.event(place, &header(Kind::TableMap, 1), &map)?;
        }
        selector.event(place, &header(last, 1), &query("", statement))
    }

    const COMMIT: Result<&str, &str> = Err("XA COMMIT X'01',X'',1");
    const ROLLBACK: Result<&str, &str> = Err("XA ROLLBACK X'01',X'',1");

    #[test]
    fn xa_transactions_end_as_they_were_prepared() {
        let mut selector = Selector::new("shop", 101_119, NEVER);
        let mut sequence = 0;
        let mut group = |id, part| {
            sequence += 1;
            xa_group(&mut selector, sequence, id, part)
        };
        assert_eq!(group(1, Ok("shop")), Ok(Verdict::Keep));
        assert_eq!(group(2, Ok("other")), Ok(Verdict::Drop));
        assert_eq!(group(1, COMMIT), Ok(Verdict::Keep));
        assert_eq!(group(2, COMMIT), Ok(Verdict::Drop));
        // Nobody knows what was in it, which does not matter when it is undone.
        assert_eq!(group(3, ROLLBACK), Ok(Verdict::Drop));
        assert!(group(3, COMMIT).is_err());
    }

    #[test]
    fn xa_transactions_that_end_again_after_a_crash_have_ended() {
        let mut selector = Selector::new("shop", 101_119, NEVER);
        assert_eq!(xa_group(&mut selector, 1, 1, Ok("shop")), Ok(Verdict::Keep));
        assert_eq!(xa_group(&mut selector, 2, 2, Ok("shop")), Ok(Verdict::Keep));
        assert_eq!(xa_group(&mut selector, 3, 1, COMMIT), Ok(Verdict::Keep));
        // Of the other's end only the begin was written.
        let begin = gtid(4, 128, &[1, 0, 0, 0, 1, 0, 2]);
        let begun = selector.event(at(1, 4), &header(Kind::Gtid, 1), &begin);
        assert_eq!(begun, Ok(Verdict::Begin));
        selector.file_ended();
        assert_eq!(xa_group(&mut selector, 5, 1, COMMIT), Ok(Verdict::Drop));
        assert_eq!(xa_group(&mut selector, 6, 2, COMMIT), Ok(Verdict::Keep));
        // The same id may stand for another one later.
        assert_eq!(xa_group(&mut selector, 7, 1, Ok("shop")), Ok(Verdict::Keep));
        assert_eq!(xa_group(&mut selector, 8, 1, COMMIT), Ok(Verdict::Keep));
    }

    #[test]
    fn xa_transactions_without_an_end_are_not_wanted() {
        let selector = || Selector::new("shop", 101_119, NEVER);
        let show = |selector: &mut Selector<'_>| {
            let parts = [
                (1, Ok("shop")),
                (2, Ok("shop")),
                (1, Ok("shop")),
                (1, COMMIT),
            ];
            let groups = (1..).zip(parts);
            let verdicts =
                groups.map(|(sequence, (id, part))| xa_group(selector, sequence, id, part));
            verdicts
                .collect::<Result<Vec<_>, _>>()
                .expect("well formed")
        };
        let mut first = selector();
        show(&mut first);
        let without_ends = first.without_ends();
        let sequences: BTreeSet<u64> = without_ends.iter().map(|gtid| gtid.sequence).collect();
        assert_eq!(sequences, [1, 2].into());
        let mut second = selector().without(without_ends);
        use Verdict::{Drop, Keep};
        assert_eq!(show(&mut second), [Drop, Drop, Keep, Keep]);
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
