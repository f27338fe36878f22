//! Which statements a session runs: read from the client's bytes as they pass, and counted when
//! their replies, which pass as well, are complete.
//!
//! How many statements there were the server tells, by its results; the text only tells what each
//! of them is. So a text that the gateway splits in another way than the server cannot make the
//! number wrong.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use openpeta_mysql_wire::command::*;
use openpeta_mysql_wire::{Capabilities, Greeting, Login, ReplyTracker, Status};
use openpeta_sql_route::{
    DatabaseChange, Dialect, DigestReader, Lexer, PieceLexer, Results, Statement, StatementClass,
    StatementReader, Templates, Token,
};

use super::server::{encoding, version_number};
use super::trace::{Trace, TraceReader};
use crate::counters::Meter;
use crate::digests::{AsItIs, DigestPlace, Outcome};
use crate::sessions::SessionInfo;
use crate::slow_log::LONGEST_TEXT;

/// Statements of one text whose classes are remembered; any beyond count as others.
const MOST_STATEMENTS: usize = 64 << 10;
/// Bytes of a payload that is no text that are kept: a command byte and a database's name.
const HEAD_LIMIT: usize = 1 + 256;
/// Statements of settings that are kept to be repeated, and their bytes.
const MOST_SETTINGS: usize = 16;
const SETTINGS_LIMIT: usize = 2048;
/// The id that stands for the statement prepared last.
const LAST_PREPARED: u32 = u32::MAX;

/// The statements of a session in its command phase.
pub(super) struct Statements {
    meter: Meter,
    dialect: Dialect,
    /// A text may hold several.
    several: bool,
    /// The database that the login asked for, then the one that the session is in.
    database: Vec<u8>,
    /// Whether something may be in the session that another connection to the node would not have,
    /// and whether that outlives a reset.
    left: bool,
    left_for_good: bool,
    /// Statements that made settings, to be run again on such a connection.
    settings: Vec<Vec<u8>>,
    /// The node's number for the session, and the one that the client was greeted with.
    thread_id: u32,
    told_id: u32,
    /// Commands whose replies are due, in their order, and some without a reply between them.
    commands: VecDeque<Command>,
    /// How the payload of the last command is read.
    reading: Reading,
    /// For texts that are there as a whole.
    texts: Texts,
    /// An empty buffer for the next text.
    spare: Vec<u8>,
    /// A statement that took long, until it is logged.
    slow: Option<Box<Slow>>,
    /// By the numbers that the server gave them.
    prepared: HashMap<u64, Prepared, BuildHasherDefault<AsItIs>>,
    last_prepared: u32,
}

/// A statement that took long.
pub(super) struct Slow {
    pub(super) database: Vec<u8>,
    pub(super) outcome: Outcome,
    pub(super) error: Option<u16>,
    pub(super) digest: u64,
    pub(super) text: Vec<u8>,
    pub(super) dialect: Dialect,
}

/// What reading texts needs, and remembers.
#[derive(Default)]
struct Texts {
    digest: DigestReader,
    /// Of texts that are one statement of one result.
    known: Templates<Prepared>,
}

/// What is remembered of a prepared statement.
#[derive(Clone, Copy)]
struct Prepared {
    class: StatementClass,
    digest: DigestPlace,
    trace: Trace,
}

impl Prepared {
    const UNKNOWN: Self = Self {
        class: StatementClass::Other,
        digest: DigestPlace::REST,
        trace: Trace::Lasting,
    };
}

/// A statement of a text, and its digest.
struct Read {
    statement: Statement,
    digest: DigestPlace,
}

impl Read {
    const UNKNOWN: Self = Self {
        statement: Statement::OTHER,
        digest: DigestPlace::REST,
    };
}

struct Command {
    command: u8,
    /// When it, or the statement of it that runs, began.
    since: Duration,
    /// Rows of the reply that belong to statements before.
    rows_sent: u64,
    rows_affected: u64,
    /// The beginning of its text, if slow statements are logged.
    text: Vec<u8>,
    /// What it leaves when it is done: a reset ahead of it may be under way.
    trace: Trace,
    /// The whole text, if it makes settings that can be made again.
    setting: Option<Box<[u8]>>,
    what: What,
}

impl Command {
    /// Keeps the beginning of a text.
    fn keep(&mut self, piece: &[u8]) {
        let room = LONGEST_TEXT.saturating_sub(self.text.len());
        self.text.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// The statement that runs has its reply; what follows belongs to the next.
    #[inline]
    fn done(&mut self, failed: bool, reply: &ReplyTracker, now: Duration) -> Outcome {
        Outcome {
            failed,
            rows_sent: reply.rows() - mem::replace(&mut self.rows_sent, reply.rows()),
            rows_affected: reply
                .affected_rows()
                .wrapping_sub(mem::replace(&mut self.rows_affected, reply.affected_rows())),
            time: now.saturating_sub(mem::replace(&mut self.since, now)),
        }
    }
}

/// What has to be known of a command when its reply comes.
enum What {
    /// Nothing, or its payload is not complete.
    Nothing,
    /// The statements of a COM_QUERY; of the first the reply is due.
    Text {
        read: Read,
        rest: VecDeque<Read>,
    },
    Prepare(Prepared),
    Execute(u32),
    Close(u32),
    Database(Vec<u8>),
    Option(u16),
}

enum Reading {
    /// The payload is of no interest.
    Passing,
    /// It begins, or its first bytes are these.
    Head(Vec<u8>),
    /// A text, more of which has come before.
    Text(Box<Text>),
}

/// A text that arrives in pieces.
struct Text {
    lexer: PieceLexer,
    reader: StatementReader,
    digest: DigestReader,
    found: VecDeque<Read>,
}

impl Statements {
    pub(super) fn new(meter: Meter) -> Self {
        Self {
            meter,
            dialect: Dialect::new(0),
            several: false,
            database: Vec::new(),
            left: false,
            left_for_good: false,
            settings: Vec::new(),
            thread_id: 0,
            told_id: 0,
            commands: VecDeque::new(),
            reading: Reading::Passing,
            texts: Texts::default(),
            spare: Vec::new(),
            slow: None,
            prepared: HashMap::default(),
            last_prepared: 0,
        }
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// How the session's texts are read.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The client is greeted so.
    pub(super) fn greets(&mut self, greeting: &Greeting) {
        self.told_id = greeting.connection_id;
        self.moved(greeting);
    }

    /// The client asks for this login.
    pub(super) fn login(&mut self, login: &Login) {
        self.several = login.capabilities.contains(Capabilities::MULTI_STATEMENTS);
        self.dialect.encoding = encoding(login.charset.into());
        self.database = login.database.clone().unwrap_or_default();
    }

    /// The node has accepted the login.
    pub(super) fn logged_in(&mut self, account: String, client: SocketAddr, encrypted: bool) {
        self.meter.enter(&self.database);
        self.meter.logged_in(SessionInfo {
            thread_id: self.thread_id,
            told_id: self.told_id,
            account,
            client,
            database: String::from_utf8_lossy(self.meter.database()).into_owned(),
            encrypted,
            commands: 0,
        });
    }

    /// The session went over to another account.
    pub(super) fn user_changed(&mut self, account: &str, database: &[u8], charset: Option<u16>) {
        self.meter
            .told(|session| session.account = account.to_owned());
        self.reset();
        self.enter(database);
        if let Some(charset) = charset {
            self.dialect.encoding = encoding(charset);
        }
    }

    /// The session's state was reset, but for its database.
    pub(super) fn reset(&mut self) {
        self.prepared.clear();
        self.settings.clear();
        self.left = self.left_for_good;
    }

    /// The session has a connection to the node that greeted so.
    pub(super) fn moved(&mut self, greeting: &Greeting) {
        self.dialect.server_version = version_number(&greeting.server_version);
        self.thread_id = greeting.connection_id;
        self.meter.moved(self.thread_id);
    }

    /// The session has no connection to the node for now.
    pub(super) fn stranded(&self) {
        self.meter.moved(0);
    }

    /// Whether another session's client was told the node's number for this connection. It would
    /// mean two things then.
    pub(super) fn is_told_to_another(&self, greeting: &Greeting) -> bool {
        self.meter.is_told_to_another(greeting.connection_id)
    }

    /// Something is in the session that another connection to the node would not have.
    pub(super) fn leave(&mut self, trace: Trace) {
        self.left |= trace != Trace::Nothing;
        self.left_for_good |= trace == Trace::Lasting;
    }

    /// Whether another connection to the node, with the same settings made, would serve as well.
    pub(super) fn left_nothing(&self) -> bool {
        !self.left && self.prepared.is_empty() && self.commands.is_empty()
    }

    /// The statements that make the session's settings, in their order.
    pub(super) fn settings(&self) -> &[Vec<u8>] {
        &self.settings
    }

    /// The database that the session is in; empty for none.
    pub(super) fn database(&self) -> &[u8] {
        &self.database
    }

    fn enter(&mut self, database: &[u8]) {
        self.meter.enter(database);
        if self.database != database {
            self.database = database.to_vec();
        }
    }

    /// Keeps a statement that made settings. Of two that are the same the first is forgotten: all
    /// that it set the second has set again.
    #[cold]
    fn keep_setting(&mut self, text: Box<[u8]>) {
        self.settings.retain(|kept| **kept != *text);
        self.settings.push(text.into_vec());
        let bytes: usize = self.settings.iter().map(Vec::len).sum();
        if self.settings.len() > MOST_SETTINGS || bytes > SETTINGS_LIMIT {
            self.settings.clear();
            self.leave(Trace::Passing);
        }
    }

    /// Commands that have begun and are not done.
    pub(super) fn pending(&self) -> usize {
        self.commands.len()
    }

    /// A command begins that has a reply, or else closes a statement.
    #[inline]
    pub(super) fn begin(&mut self, command: u8, now: Duration) {
        self.commands.push_back(Command {
            command,
            since: now,
            rows_sent: 0,
            rows_affected: 0,
            text: mem::take(&mut self.spare),
            trace: Trace::Nothing,
            setting: None,
            what: What::Nothing,
        });
        self.reading = match command {
            COM_QUERY
            | COM_STMT_PREPARE
            | COM_STMT_EXECUTE
            | COM_STMT_BULK_EXECUTE
            | COM_STMT_CLOSE
            | COM_INIT_DB
            | COM_SET_OPTION => Reading::Head(Vec::new()),
            _ => Reading::Passing,
        };
    }

    /// More of the payload of the command that began last, or all of it.
    #[inline]
    pub(super) fn payload(&mut self, piece: &[u8], is_complete: bool, status: Status) {
        let Reading::Head(head) = &self.reading else {
            return self.more_payload(piece, is_complete);
        };
        let Some(command) = self.commands.back_mut() else {
            return;
        };
        match command.command {
            COM_QUERY | COM_STMT_PREPARE => {
                self.dialect.no_backslash_escapes = status.contains(Status::NO_BACKSLASH_ESCAPES);
                self.dialect.ansi_quotes = status.contains(Status::ANSI_QUOTES);
                // The first piece begins with the command byte.
                let text = piece.get(1..).unwrap_or_default();
                if self.meter.slow().is_on() && command.command == COM_QUERY {
                    command.keep(text);
                }
                if is_complete {
                    let several = self.several && command.command == COM_QUERY;
                    self.reading = Reading::Passing;
                    let mut trace = Trace::Lasting;
                    command.what = match self.texts.known.find(text, self.dialect) {
                        Some(known) => {
                            trace = known.trace;
                            of_known(command.command, known)
                        }
                        None => {
                            let meter = &self.meter;
                            let found =
                                self.texts
                                    .read(text, self.dialect, several, meter, &mut trace);
                            of_text(command.command, found, trace)
                        }
                    };
                    if trace != Trace::Nothing && command.command == COM_QUERY {
                        command.trace = trace;
                        command.setting = (trace == Trace::Settings).then(|| text.into());
                    }
                } else {
                    let mut arriving = Box::new(Text::new(self.dialect));
                    arriving.push(text, &self.meter);
                    self.reading = Reading::Text(arriving);
                }
            }
            _ if is_complete && head.is_empty() => {
                command.what = of_head(command.command, piece);
                self.reading = Reading::Passing;
                self.settle();
            }
            _ => self.more_payload(piece, is_complete),
        }
    }

    /// The way for what does not come in one piece.
    fn more_payload(&mut self, piece: &[u8], is_complete: bool) {
        match &mut self.reading {
            Reading::Passing => return,
            Reading::Head(head) => {
                let room = HEAD_LIMIT.saturating_sub(head.len());
                head.extend_from_slice(&piece[..piece.len().min(room)]);
            }
            Reading::Text(text) => {
                text.push(piece, &self.meter);
                if let Some(command) = self.commands.back_mut()
                    && self.meter.slow().is_on()
                    && command.command == COM_QUERY
                {
                    command.keep(piece);
                }
            }
        }
        if !is_complete {
            return;
        }
        let read = mem::replace(&mut self.reading, Reading::Passing);
        let Some(command) = self.commands.back_mut() else {
            return;
        };
        command.what = match read {
            Reading::Passing => What::Nothing,
            Reading::Head(head) => of_head(command.command, &head),
            Reading::Text(text) => {
                let found = text.end(self.several, &self.meter);
                // It is not looked at closely. A write that is alone ends with a reset in any case.
                let (alone, class) = (found.1.is_empty(), found.0.statement.class);
                let trace = match class {
                    StatementClass::Read | StatementClass::Write if alone => Trace::Passing,
                    _ => Trace::Lasting,
                };
                let what = of_text(command.command, found, trace);
                if command.command == COM_QUERY {
                    command.trace = trace;
                }
                what
            }
        };
        self.settle();
    }

    /// A result of the reply that is due is complete, and another follows.
    pub(super) fn result(&mut self, columns: bool, reply: &mut ReplyTracker, now: Duration) {
        if let Some(command) = self.commands.front_mut()
            && let What::Text { read, rest } = &mut command.what
            && !(columns && read.statement.results == Results::ManyThenOk)
        {
            let next = rest.pop_front().unwrap_or(Read::UNKNOWN);
            let done = mem::replace(read, next);
            let outcome = command.done(false, reply, now);
            let statement = done.statement;
            self.meter.statement(statement.class, done.digest, &outcome);
            if self.meter.slow().is_slow(outcome.time) {
                let text = command.text.clone();
                self.took_long(text, done.digest, outcome, None);
            }
            self.change_database(statement.database);
        }
        self.follow_schema(reply);
    }

    /// The reply that was due is complete. Returns the command whose reply is due next.
    #[inline]
    pub(super) fn complete(
        &mut self,
        error: Option<u16>,
        reply: &mut ReplyTracker,
        now: Duration,
    ) -> Option<u8> {
        let failed = error.is_some();
        if let Some(mut command) = self.commands.pop_front() {
            match command.setting.take() {
                Some(text) if !failed => self.keep_setting(text),
                // Of settings that failed some may have been made.
                _ => self.leave(command.trace),
            }
            let outcome = command.done(failed, reply, now);
            match command.what {
                What::Text { read, .. } => {
                    let statement = read.statement;
                    self.meter.statement(statement.class, read.digest, &outcome);
                    if self.meter.slow().is_slow(outcome.time) {
                        let text = mem::take(&mut command.text);
                        self.took_long(text, read.digest, outcome, error);
                    }
                    if !failed {
                        self.change_database(statement.database);
                    }
                }
                What::Execute(id) => {
                    let Prepared {
                        class,
                        digest,
                        trace,
                    } = self.prepared(id);
                    // A setting made this way is not among those that are made again.
                    self.leave(trace);
                    self.meter.statement(class, digest, &outcome);
                    if self.meter.slow().is_slow(outcome.time) {
                        self.took_long(Vec::new(), digest, outcome, error);
                    }
                }
                // The reply came before the whole text: an error.
                What::Nothing if command.command == COM_QUERY => {
                    self.leave(Trace::Lasting);
                    let Prepared { class, digest, .. } = Prepared::UNKNOWN;
                    self.meter.statement(class, digest, &outcome);
                }
                _ if failed => {}
                What::Prepare(prepared) => {
                    self.last_prepared = reply.prepared_id();
                    self.prepared.insert(self.last_prepared.into(), prepared);
                }
                What::Database(name) => self.enter(&name),
                What::Option(option) => self.several = option == 0,
                What::Nothing if command.command == COM_RESET_CONNECTION => self.reset(),
                What::Nothing | What::Close(_) => {}
            }
            command.text.clear();
            self.spare = command.text;
        }
        if !failed {
            self.follow_schema(reply);
        }
        self.settle();
        self.commands.front().map(|next| next.command)
    }

    /// Makes a note for the slow log. Of a prepared statement there is the digest's text alone.
    #[cold]
    fn took_long(
        &mut self,
        text: Vec<u8>,
        digest: DigestPlace,
        outcome: Outcome,
        error: Option<u16>,
    ) {
        let (digest, normalised) = self.meter.digest_text(digest);
        let text = if text.is_empty() {
            normalised.into_bytes()
        } else {
            text
        };
        self.slow = Some(Box::new(Slow {
            database: self.meter.database().to_vec(),
            outcome,
            error,
            digest,
            text,
            dialect: self.dialect,
        }));
    }

    /// The statement that took long, if the last one did.
    #[inline]
    pub(super) fn take_slow(&mut self) -> Option<Box<Slow>> {
        self.slow.take()
    }

    /// Does what the commands without a reply at the front ask for.
    fn settle(&mut self) {
        while let Some(Command {
            what: What::Close(id),
            ..
        }) = self.commands.front()
        {
            self.prepared.remove(&u64::from(*id));
            self.commands.pop_front();
        }
    }

    fn prepared(&self, id: u32) -> Prepared {
        let id = if id == LAST_PREPARED {
            self.last_prepared
        } else {
            id
        };
        let prepared = self.prepared.get(&u64::from(id));
        prepared.copied().unwrap_or(Prepared::UNKNOWN)
    }

    #[inline]
    fn change_database(&mut self, change: Option<Box<DatabaseChange>>) {
        match change.as_deref() {
            None => {}
            Some(DatabaseChange::Use(name)) => self.enter(name),
            Some(DatabaseChange::Drop(name)) if *name == self.database => {
                self.enter(b"");
            }
            Some(DatabaseChange::Drop(_)) => {}
        }
    }

    /// What the server tells of the session's database goes before what the text made believe.
    #[inline]
    fn follow_schema(&mut self, reply: &mut ReplyTracker) {
        if let Some(schema) = reply.take_schema() {
            self.enter(&schema);
        }
    }
}

impl Texts {
    /// What a text that is there as a whole holds.
    fn read(
        &mut self,
        text: &[u8],
        dialect: Dialect,
        several: bool,
        meter: &Meter,
        trace: &mut Trace,
    ) -> (Read, VecDeque<Read>) {
        let mut left = TraceReader::default();
        let mut found = VecDeque::new();
        let is_one = !several || memchr::memchr(b';', text).is_none();
        let mut reader = StatementReader::new(dialect);
        let mut lexer = Lexer::new(text, dialect);
        self.digest.begin();
        self.known.begin();
        let wants_all = meter.wants_digests() || !is_one;
        while let Some(token) = lexer.next() {
            if let Some(read) = look(&token, &mut reader, &mut self.digest, meter) {
                keep(&mut found, read);
            }
            left.push(&token);
            self.known.push(&token, lexer.position());
            let is_known = reader.is_decided() && (!wants_all || self.digest.is_full());
            if is_one && (is_known || !found.is_empty()) {
                break;
            }
        }
        let is_whole = lexer.position() == text.len();
        if let Some(statement) = reader.end() {
            keep(&mut found, read(statement, &mut self.digest, meter));
        }
        let first = found.pop_front().unwrap_or(Read::UNKNOWN);
        if is_one {
            found.clear();
        }
        *trace = left.end(is_whole.then_some(text), found.is_empty(), dialect);
        let statement = &first.statement;
        let is_simple = statement.results == Results::One && statement.database.is_none();
        if is_simple && is_whole && found.is_empty() && memchr::memchr(b';', text).is_none() {
            let known = Prepared {
                class: statement.class,
                digest: first.digest,
                trace: *trace,
            };
            self.known.remember(text, dialect, known);
        }
        (first, found)
    }
}

/// Takes the next token of a text; gives the statement that it ends.
#[inline]
fn look(
    token: &Token<'_>,
    reader: &mut StatementReader,
    digest: &mut DigestReader,
    meter: &Meter,
) -> Option<Read> {
    match reader.push(token) {
        Some(statement) => Some(read(statement, digest, meter)),
        None => {
            if meter.wants_digests() {
                digest.push(token);
            }
            None
        }
    }
}

/// A statement whose tokens have all been read.
#[inline]
fn read(statement: Statement, digest: &mut DigestReader, meter: &Meter) -> Read {
    let place = meter.digest(digest);
    digest.begin();
    Read {
        statement,
        digest: place,
    }
}

fn keep(found: &mut VecDeque<Read>, read: Read) {
    if found.len() < MOST_STATEMENTS {
        found.push_back(read);
    }
}

impl Text {
    fn new(dialect: Dialect) -> Self {
        Self {
            lexer: PieceLexer::new(dialect),
            reader: StatementReader::new(dialect),
            digest: DigestReader::default(),
            found: VecDeque::new(),
        }
    }

    fn push(&mut self, piece: &[u8], meter: &Meter) {
        let (reader, digest, found) = (&mut self.reader, &mut self.digest, &mut self.found);
        self.lexer.push(piece, |token| {
            if let Some(read) = look(token, reader, digest, meter) {
                keep(found, read);
            }
        });
    }

    fn end(mut self, several: bool, meter: &Meter) -> (Read, VecDeque<Read>) {
        let (reader, digest, found) = (&mut self.reader, &mut self.digest, &mut self.found);
        self.lexer.end(|token| {
            if let Some(read) = look(token, reader, digest, meter) {
                keep(found, read);
            }
        });
        if let Some(statement) = reader.end() {
            keep(found, read(statement, digest, meter));
        }
        let first = found.pop_front().unwrap_or(Read::UNKNOWN);
        if !several {
            found.clear();
        }
        (first, self.found)
    }
}

/// What is to be known of a command with a text.
fn of_text(command: u8, (read, rest): (Read, VecDeque<Read>), trace: Trace) -> What {
    if command == COM_STMT_PREPARE {
        return What::Prepare(Prepared {
            class: read.statement.class,
            digest: read.digest,
            trace,
        });
    }
    What::Text { read, rest }
}

/// As [`of_text`], of a text that was known.
#[inline]
fn of_known(command: u8, known: Prepared) -> What {
    if command == COM_STMT_PREPARE {
        return What::Prepare(known);
    }
    let Prepared { class, digest, .. } = known;
    let statement = Statement {
        class,
        ..Statement::OTHER
    };
    let read = Read { statement, digest };
    let rest = VecDeque::new();
    What::Text { read, rest }
}

/// What the payload of a command tells that is no text.
fn of_head(command: u8, payload: &[u8]) -> What {
    let id = || payload.get(1..5)?.first_chunk().copied();
    match command {
        COM_STMT_EXECUTE | COM_STMT_BULK_EXECUTE => {
            What::Execute(id().map_or(0, u32::from_le_bytes))
        }
        COM_STMT_CLOSE => What::Close(id().map_or(0, u32::from_le_bytes)),
        COM_INIT_DB => What::Database(payload[1..].to_vec()),
        COM_SET_OPTION => match payload {
            [_, low, high, ..] => What::Option(u16::from_le_bytes([*low, *high])),
            _ => What::Nothing,
        },
        _ => What::Nothing,
    }
}
