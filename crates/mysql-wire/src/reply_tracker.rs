//! Where a reply ends in the bytes of a server.

use crate::command::ReplyShape;
use crate::packet::{HEADER_LEN, MAX_PAYLOAD, parse_header};
use crate::reply::{EOF, ERR, LOCAL_INFILE, OK, OkPacket, PROGRESS};
use crate::{Capabilities, Reader, Status};

/// Bytes of a payload that are looked at: enough for the status of any OK packet.
const HEAD_LEN: usize = 1 + 9 + 9 + 2;
/// An EOF packet is shorter than this, a row that begins with the same byte is not.
const EOF_LIMIT: usize = 9;
/// An OK packet that ends rows has at least this length, an EOF packet has less.
const OK_MIN: usize = 7;

/// OK packets longer than this are not read for changes of the session's state.
const CHANGES_LIMIT: usize = 64 << 10;

/// What [`ReplyTracker::feed`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyEvent {
    /// A result is complete, and another follows in the same reply.
    Result {
        /// Whether it had columns, not just an OK packet.
        columns: bool,
    },
    /// The reply is complete.
    Complete {
        /// The error's number if the reply was, or ended in, an ERR packet.
        error: Option<u16>,
    },
    /// The server asks the client for a local file. Its content goes to the server, up to an
    /// empty packet; then the reply goes on.
    LocalInfile,
    /// An ERR packet begins; none of its bytes is consumed. Found by
    /// [`feed_to_error`](ReplyTracker::feed_to_error) only.
    ErrorAhead {
        /// Length of the packet with its header, in bytes.
        len: usize,
    },
}

/// Column definitions of what?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Definitions {
    ResultSet { cursor: bool },
    Parameters { columns: u16 },
    PreparedColumns,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    /// The first packet of a result.
    First {
        cursor: bool,
    },
    Definitions {
        left: u64,
        of: Definitions,
    },
    /// The EOF packet behind definitions.
    DefinitionsEnd(Definitions),
    Rows {
        of_query: bool,
        cursor: bool,
    },
    /// The first packet of a reply to COM_STMT_PREPARE.
    Prepared,
    Text,
    Stream,
}

/// What happens at the end of the current packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Stay,
    Enter(Stage),
    AskForFile,
    /// Another result follows; whether the one that ends had columns.
    Next {
        cursor: bool,
        columns: bool,
    },
    Complete(Option<u16>),
}

/// Follows one reply after another, which may arrive in pieces of any size. It looks at the
/// heads of packets only, and keeps no more than those.
#[derive(Clone, Debug)]
pub struct ReplyTracker {
    deprecate_eof: bool,
    cache_metadata: bool,
    session_track: bool,
    stage: Stage,
    then: Then,
    status: Status,
    /// Payload bytes of the current packet still to come.
    left: usize,
    /// The current packet is of the greatest length, so the next continues it.
    full: bool,
    /// The current packet continues the one before.
    continues: bool,
    head: [u8; HEADER_LEN + HEAD_LEN],
    head_len: usize,
    rows: u64,
    affected_rows: u64,
    prepared: u32,
    /// The packet that is read tells of changed session state.
    tells_changes: bool,
    /// Its bytes so far, where it comes in pieces.
    changes: Vec<u8>,
    schema: Option<Vec<u8>>,
}

impl ReplyTracker {
    /// For a session with the agreed `capabilities`, whose login ended with `status`.
    #[must_use]
    pub fn new(capabilities: Capabilities, status: Status) -> Self {
        Self {
            deprecate_eof: capabilities.contains(Capabilities::DEPRECATE_EOF),
            cache_metadata: capabilities.contains(Capabilities::MARIADB_CACHE_METADATA),
            session_track: capabilities.contains(Capabilities::SESSION_TRACK),
            stage: Stage::Idle,
            then: Then::Stay,
            status,
            left: 0,
            full: false,
            continues: false,
            head: [0; HEADER_LEN + HEAD_LEN],
            head_len: 0,
            rows: 0,
            affected_rows: 0,
            prepared: 0,
            tells_changes: false,
            changes: Vec::new(),
            schema: None,
        }
    }

    /// Awaits the reply to `command`. Only between replies; a command without a reply leaves
    /// everything as it is.
    pub fn begin(&mut self, command: u8) {
        debug_assert!(self.is_idle());
        self.rows = 0;
        self.affected_rows = 0;
        self.stage = match ReplyShape::of(command) {
            ReplyShape::None => Stage::Idle,
            ReplyShape::Result => Stage::First { cursor: false },
            ReplyShape::Execute => Stage::First { cursor: true },
            ReplyShape::Rows => Stage::Rows {
                of_query: false,
                cursor: false,
            },
            ReplyShape::Prepare => Stage::Prepared,
            ReplyShape::Text => Stage::Text,
            ReplyShape::Stream => Stage::Stream,
        };
    }

    /// Whether no reply is awaited.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    /// The last status flags that the server sent.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Takes a status from a packet that did not come through this tracker.
    pub fn set_status(&mut self, status: Status) {
        self.status = status;
    }

    /// Rows of the reply that is awaited, or was last, so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows that the OK packets of the same reply say were changed.
    #[must_use]
    pub fn affected_rows(&self) -> u64 {
        self.affected_rows
    }

    /// The id of the statement that was prepared last.
    #[must_use]
    pub fn prepared_id(&self) -> u32 {
        self.prepared
    }

    /// The session's new database, if the server told of one since this was last asked; empty
    /// for none. Servers tell clients with [`Capabilities::SESSION_TRACK`] only.
    pub fn take_schema(&mut self) -> Option<Vec<u8>> {
        self.schema.take()
    }

    /// Consumes bytes of the server up to the next event or to their end; returns how many, and
    /// the event. What no reply is awaited for is taken for one of the simple kind.
    pub fn feed(&mut self, data: &[u8]) -> (usize, Option<ReplyEvent>) {
        self.advance::<false>(data)
    }

    /// As [`feed`](Self::feed), but stops in front of every ERR packet. To be able to, it leaves
    /// the first bytes of a packet if there are too few of them to tell; these are to be handed
    /// in again, in front of what follows them.
    pub fn feed_to_error(&mut self, data: &[u8]) -> (usize, Option<ReplyEvent>) {
        self.advance::<true>(data)
    }

    fn advance<const TO_ERROR: bool>(&mut self, data: &[u8]) -> (usize, Option<ReplyEvent>) {
        let mut at = 0;
        loop {
            if self.left > 0 {
                let passed = self.left.min(data.len() - at);
                if !self.changes.is_empty() {
                    self.changes.extend_from_slice(&data[at..at + passed]);
                }
                at += passed;
                self.left -= passed;
                if self.left > 0 {
                    return (at, None);
                }
                if let Some(event) = self.end_packet() {
                    return (at, Some(event));
                }
            }
            let between = self.head_len == 0 && !self.continues;
            if between {
                at += self.skip_plain(&data[at..]);
            }
            let rest = &data[at..];
            if rest.is_empty() {
                return (at, None);
            }
            if TO_ERROR && between {
                match peek(rest) {
                    None => return (at, None),
                    Some((ERR, code, len)) if code != PROGRESS => {
                        let len = len + HEADER_LEN;
                        return (at, Some(ReplyEvent::ErrorAhead { len }));
                    }
                    Some(_) => {}
                }
            }
            if between && let Some((used, then)) = self.whole_packet(rest) {
                at += used;
                match self.apply(then) {
                    Some(event) => return (at, Some(event)),
                    None => continue,
                }
            }
            let Some(used) = self.begin_packet(rest) else {
                return (data.len(), None);
            };
            at += used;
            if self.left == 0
                && let Some(event) = self.end_packet()
            {
                return (at, Some(event));
            }
        }
    }

    /// Passes over packets that are whole and change nothing: rows and definitions, of which most
    /// of a reply consists. Returns how many bytes these are.
    #[inline]
    fn skip_plain(&mut self, data: &[u8]) -> usize {
        let mut skippable = match self.stage {
            Stage::Rows { .. } => u64::MAX,
            // The last one changes the stage.
            Stage::Definitions { left, .. } => left - 1,
            _ => return 0,
        };
        let mut at = 0;
        let before = skippable;
        while skippable > 0
            && let Some(&[a, b, c, sequence, first]) = data[at..].first_chunk()
        {
            let (len, _) = parse_header([a, b, c, sequence]);
            let end = at + HEADER_LEN + len;
            if first >= EOF || len == 0 || len == MAX_PAYLOAD || end > data.len() {
                break;
            }
            at = end;
            skippable -= 1;
        }
        match &mut self.stage {
            Stage::Definitions { left, .. } => *left = skippable + 1,
            _ => self.rows += before - skippable,
        }
        at
    }

    /// What the packet at the front of `data` means, and its length with the header, if it is
    /// whole.
    #[inline]
    fn whole_packet(&mut self, data: &[u8]) -> Option<(usize, Then)> {
        let (&header, rest) = data.split_first_chunk()?;
        let (len, _) = parse_header(header);
        if len == MAX_PAYLOAD {
            return None;
        }
        let payload = rest.get(..len)?;
        let then = self.interpret(len, &payload[..len.min(HEAD_LEN)]);
        if std::mem::take(&mut self.tells_changes) {
            self.read_changes(payload);
        }
        Some((HEADER_LEN + len, then))
    }

    /// Reads the head of a packet and decides what it means. Returns how many bytes of `data`
    /// that took, or `None` if all of them belong to a head which is still incomplete.
    fn begin_packet(&mut self, data: &[u8]) -> Option<usize> {
        let mut used = self.fill_head(data, HEADER_LEN);
        if self.head_len < HEADER_LEN {
            return None;
        }
        let [a, b, c, sequence, ..] = self.head;
        let (len, _) = parse_header([a, b, c, sequence]);
        let end = HEADER_LEN + self.wanted(len);
        used += self.fill_head(&data[used..], end);
        if self.head_len < end {
            return None;
        }
        self.head_len = 0;
        let head = self.head;
        self.read_head(len, &head[HEADER_LEN..end]);
        Some(used)
    }

    fn fill_head(&mut self, data: &[u8], end: usize) -> usize {
        let missing = end.saturating_sub(self.head_len).min(data.len());
        self.head[self.head_len..self.head_len + missing].copy_from_slice(&data[..missing]);
        self.head_len += missing;
        missing
    }

    fn wanted(&self, len: usize) -> usize {
        if self.continues { 0 } else { len.min(HEAD_LEN) }
    }

    fn read_head(&mut self, len: usize, head: &[u8]) {
        self.left = len - head.len();
        self.full = len == MAX_PAYLOAD;
        if !self.continues {
            self.then = self.interpret(len, head);
            if std::mem::take(&mut self.tells_changes) && len <= CHANGES_LIMIT {
                self.changes.extend_from_slice(head);
            }
        }
    }

    fn end_packet(&mut self) -> Option<ReplyEvent> {
        self.continues = self.full;
        if self.continues {
            return None;
        }
        if !self.changes.is_empty() {
            let changes = std::mem::take(&mut self.changes);
            self.read_changes(&changes);
        }
        let then = std::mem::replace(&mut self.then, Then::Stay);
        self.apply(then)
    }

    #[inline]
    fn apply(&mut self, then: Then) -> Option<ReplyEvent> {
        match then {
            Then::Stay => None,
            Then::Enter(stage) => {
                self.stage = stage;
                None
            }
            Then::AskForFile => Some(ReplyEvent::LocalInfile),
            Then::Next { cursor, columns } => {
                self.stage = Stage::First { cursor };
                Some(ReplyEvent::Result { columns })
            }
            Then::Complete(error) => {
                self.stage = Stage::Idle;
                Some(ReplyEvent::Complete { error })
            }
        }
    }

    /// What a packet of `len` bytes that begins with `head` means for what comes behind it.
    #[inline]
    fn interpret(&mut self, len: usize, head: &[u8]) -> Then {
        let first = head.first().copied();
        if first == Some(ERR) {
            return match Reader::new(&head[1..]).u16() {
                Ok(PROGRESS) => Then::Stay,
                Ok(code) => Then::Complete(Some(code)),
                Err(_) => Then::Complete(Some(0)),
            };
        }
        match self.stage {
            Stage::Idle => self.first(false, head),
            Stage::First { cursor } => self.first(cursor, head),
            Stage::Definitions {
                left: left @ 2..,
                of,
            } => {
                self.stage = Stage::Definitions { left: left - 1, of };
                Then::Stay
            }
            Stage::Definitions { of, .. } => self.after_definitions(of),
            Stage::DefinitionsEnd(of) => {
                self.take_status(head);
                self.after_definitions_end(of)
            }
            Stage::Rows { of_query, cursor } => {
                if first != Some(EOF) || len >= self.rows_end_limit() {
                    self.rows += 1;
                    return Then::Stay;
                }
                self.take_status(head);
                if of_query {
                    self.after_result(cursor, true)
                } else {
                    Then::Complete(None)
                }
            }
            Stage::Prepared => self.prepared(head),
            Stage::Text => Then::Complete(None),
            Stage::Stream if first == Some(EOF) && len < EOF_LIMIT => Then::Complete(None),
            Stage::Stream => Then::Stay,
        }
    }

    fn first(&mut self, cursor: bool, head: &[u8]) -> Then {
        match head.first() {
            Some(&(OK | EOF)) => {
                self.take_status(head);
                self.after_result(cursor, false)
            }
            Some(&LOCAL_INFILE) => Then::AskForFile,
            _ => {
                let mut reader = Reader::new(head);
                let columns = reader.lenenc_int().unwrap_or(0);
                let described = !self.cache_metadata || reader.u8() != Ok(0);
                let of = Definitions::ResultSet { cursor };
                if described && columns > 0 {
                    Then::Enter(Stage::Definitions { left: columns, of })
                } else {
                    self.after_definitions(of)
                }
            }
        }
    }

    fn prepared(&mut self, head: &[u8]) -> Then {
        let mut reader = Reader::new(head);
        let id = reader.u8().and_then(|_| reader.u32());
        if let Ok(id) = id {
            self.prepared = id;
        }
        let counts = id.and_then(|_| Ok((reader.u16()?, reader.u16()?)));
        match counts {
            Ok((columns, 0)) => Self::prepared_columns(columns),
            Ok((columns, parameters)) => Then::Enter(Stage::Definitions {
                left: parameters.into(),
                of: Definitions::Parameters { columns },
            }),
            Err(_) => Then::Complete(None),
        }
    }

    fn prepared_columns(columns: u16) -> Then {
        if columns == 0 {
            return Then::Complete(None);
        }
        Then::Enter(Stage::Definitions {
            left: columns.into(),
            of: Definitions::PreparedColumns,
        })
    }

    fn after_definitions(&self, of: Definitions) -> Then {
        if !self.deprecate_eof {
            return Then::Enter(Stage::DefinitionsEnd(of));
        }
        match of {
            // A cursor needs no care here: its rows simply end at once.
            Definitions::ResultSet { cursor } => Then::Enter(Stage::Rows {
                of_query: true,
                cursor,
            }),
            Definitions::Parameters { columns } => Self::prepared_columns(columns),
            Definitions::PreparedColumns => Then::Complete(None),
        }
    }

    fn after_definitions_end(&self, of: Definitions) -> Then {
        match of {
            Definitions::ResultSet { cursor: true } if self.has(Status::CURSOR_EXISTS) => {
                self.after_result(true, true)
            }
            Definitions::ResultSet { cursor } => Then::Enter(Stage::Rows {
                of_query: true,
                cursor,
            }),
            Definitions::Parameters { columns } => Self::prepared_columns(columns),
            Definitions::PreparedColumns => Then::Complete(None),
        }
    }

    fn after_result(&self, cursor: bool, columns: bool) -> Then {
        if self.has(Status::MORE_RESULTS_EXISTS) {
            Then::Next { cursor, columns }
        } else {
            Then::Complete(None)
        }
    }

    fn rows_end_limit(&self) -> usize {
        if self.deprecate_eof {
            MAX_PAYLOAD
        } else {
            EOF_LIMIT
        }
    }

    fn has(&self, flag: Status) -> bool {
        self.status.contains(flag)
    }

    /// Reads the status of an OK or EOF packet. EOF packets have it behind the warnings, and stand
    /// in some places even where the client asked for OK packets instead.
    fn take_status(&mut self, head: &[u8]) {
        let Some((&first @ (OK | EOF), rest)) = head.split_first() else {
            return;
        };
        let mut reader = Reader::new(rest);
        let status = if first == EOF && head.len() < OK_MIN {
            reader.u16().and_then(|_| reader.u16())
        } else {
            reader
                .lenenc_int()
                .inspect(|affected| self.affected_rows = self.affected_rows.wrapping_add(*affected))
                .and_then(|_| reader.lenenc_int())
                .and_then(|_| reader.u16())
        };
        if let Ok(status) = status {
            self.status = Status(status);
            self.tells_changes = self.session_track
                && self.has(Status::SESSION_STATE_CHANGED)
                && (first == OK || head.len() >= OK_MIN);
        }
    }

    /// Looks for a new database among the changes that an OK packet tells.
    fn read_changes(&mut self, payload: &[u8]) {
        let schema = OkPacket::changed_schema(payload);
        if let Some(schema) = schema {
            self.schema = Some(schema.to_vec());
        }
    }
}

/// First byte, error code (if it is an error) and payload length of a packet, if `data` shows
/// them.
fn peek(data: &[u8]) -> Option<(u8, u16, usize)> {
    let (&header, payload) = data.split_first_chunk()?;
    let (len, _) = parse_header(header);
    match *payload {
        _ if len == 0 => Some((0, 0, 0)),
        [ERR, a, b, ..] => Some((ERR, u16::from_le_bytes([a, b]), len)),
        [ERR, ..] if len < 3 => Some((ERR, 0, len)),
        [ERR, ..] | [] => None,
        [first, ..] => Some((first, 0, len)),
    }
}
