//! Which statements a session runs: read from the client's bytes as they pass, and counted when
//! their replies, which pass as well, are complete.
//!
//! How many statements there were the server tells, by its results; the text only tells what each
//! of them is. So a text that the gateway splits in another way than the server cannot make the
//! number wrong.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::time::Duration;

use openpeta_mysql_wire::command::*;
use openpeta_mysql_wire::{Capabilities, Login, ReplyTracker, Status};
use openpeta_sql_route::{
    DatabaseChange, Dialect, Encoding, Lexer, PieceLexer, Results, Statement, StatementClass,
    StatementReader,
};

use crate::counters::Meter;

/// Statements of one text whose classes are remembered; any beyond count as others.
const MOST_STATEMENTS: usize = 64 << 10;
/// Bytes of a payload that is no text that are kept: a command byte and a database's name.
const HEAD_LIMIT: usize = 1 + 256;
/// The id that stands for the statement prepared last.
const LAST_PREPARED: u32 = u32::MAX;

/// The statements of a session in its command phase.
pub(super) struct Statements {
    meter: Meter,
    dialect: Dialect,
    /// A text may hold several.
    several: bool,
    /// The database that the login asked for.
    database: Vec<u8>,
    /// Commands whose replies are due, in their order, and some without a reply between them.
    commands: VecDeque<Command>,
    /// How the payload of the last command is read.
    reading: Reading,
    /// Classes of the prepared statements.
    prepared: HashMap<u32, StatementClass>,
    last_prepared: u32,
}

struct Command {
    command: u8,
    /// When it, or the statement of it that runs, began.
    since: Duration,
    what: What,
}

/// What has to be known of a command when its reply comes.
enum What {
    /// Nothing, or its payload is not complete.
    Nothing,
    /// The statements of a COM_QUERY; of the first the reply is due.
    Text {
        statement: Statement,
        rest: VecDeque<Statement>,
    },
    Prepare(StatementClass),
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
    found: VecDeque<Statement>,
}

impl Statements {
    pub(super) fn new(meter: Meter) -> Self {
        Self {
            meter,
            dialect: Dialect::new(0),
            several: false,
            database: Vec::new(),
            commands: VecDeque::new(),
            reading: Reading::Passing,
            prepared: HashMap::new(),
            last_prepared: 0,
        }
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The node told its version, as greetings do.
    pub(super) fn node_version(&mut self, version: &[u8]) {
        self.dialect.server_version = version_number(version);
    }

    /// The client asks for this login.
    pub(super) fn login(&mut self, login: &Login) {
        self.several = login.capabilities.contains(Capabilities::MULTI_STATEMENTS);
        self.dialect.encoding = encoding(login.charset.into());
        self.database = login.database.clone().unwrap_or_default();
    }

    /// The node has accepted the login.
    pub(super) fn logged_in(&mut self) {
        let database = mem::take(&mut self.database);
        self.meter.enter(&database);
    }

    /// The session went over to another account.
    pub(super) fn user_changed(&mut self, database: &[u8], charset: Option<u16>) {
        self.prepared.clear();
        self.meter.enter(database);
        if let Some(charset) = charset {
            self.dialect.encoding = encoding(charset);
        }
    }

    /// The session's state was reset, but for its database.
    pub(super) fn reset(&mut self) {
        self.prepared.clear();
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
                if is_complete {
                    let several = self.several && command.command == COM_QUERY;
                    command.what = match whole_text(text, self.dialect, several) {
                        (statement, _) if command.command == COM_STMT_PREPARE => {
                            What::Prepare(statement.class)
                        }
                        (statement, rest) => What::Text { statement, rest },
                    };
                    self.reading = Reading::Passing;
                } else {
                    let mut arriving = Box::new(Text::new(self.dialect));
                    arriving.push(text);
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
            Reading::Text(text) => text.push(piece),
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
            Reading::Text(text) => match text.end(self.several) {
                (statement, _) if command.command == COM_STMT_PREPARE => {
                    What::Prepare(statement.class)
                }
                (statement, rest) => What::Text { statement, rest },
            },
        };
        self.settle();
    }

    /// A result of the reply that is due is complete, and another follows.
    pub(super) fn result(&mut self, columns: bool, reply: &mut ReplyTracker, now: Duration) {
        if let Some(command) = self.commands.front_mut()
            && let What::Text { statement, rest } = &mut command.what
            && !(columns && statement.results == Results::ManyThenOk)
        {
            let next = rest.pop_front().unwrap_or(Statement::OTHER);
            let done = mem::replace(statement, next);
            let time = now.saturating_sub(mem::replace(&mut command.since, now));
            self.meter.statement(done.class, false, time);
            self.change_database(done.database);
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
        if let Some(command) = self.commands.pop_front() {
            let time = now.saturating_sub(command.since);
            match command.what {
                What::Text { statement, .. } => {
                    self.meter.statement(statement.class, failed, time);
                    if !failed {
                        self.change_database(statement.database);
                    }
                }
                What::Execute(id) => {
                    let class = self.prepared_class(id);
                    self.meter.statement(class, failed, time);
                }
                // The reply came before the whole text: an error.
                What::Nothing if command.command == COM_QUERY => {
                    self.meter.statement(StatementClass::Other, failed, time);
                }
                _ if failed => {}
                What::Prepare(class) => {
                    self.last_prepared = reply.prepared_id();
                    self.prepared.insert(self.last_prepared, class);
                }
                What::Database(name) => self.meter.enter(&name),
                What::Option(option) => self.several = option == 0,
                What::Nothing if command.command == COM_RESET_CONNECTION => self.reset(),
                What::Nothing | What::Close(_) => {}
            }
        }
        if !failed {
            self.follow_schema(reply);
        }
        self.settle();
        self.commands.front().map(|next| next.command)
    }

    /// Does what the commands without a reply at the front ask for.
    fn settle(&mut self) {
        while let Some(Command {
            what: What::Close(id),
            ..
        }) = self.commands.front()
        {
            self.prepared.remove(id);
            self.commands.pop_front();
        }
    }

    fn prepared_class(&self, id: u32) -> StatementClass {
        let id = if id == LAST_PREPARED {
            self.last_prepared
        } else {
            id
        };
        let class = self.prepared.get(&id);
        class.copied().unwrap_or(StatementClass::Other)
    }

    fn change_database(&mut self, change: Option<DatabaseChange>) {
        match change {
            None => {}
            Some(DatabaseChange::Use(name)) => self.meter.enter(&name),
            Some(DatabaseChange::Drop(name)) if name == self.meter.database() => {
                self.meter.enter(b"");
            }
            Some(DatabaseChange::Drop(_)) => {}
        }
    }

    /// What the server tells of the session's database goes before what the text made believe.
    #[inline]
    fn follow_schema(&mut self, reply: &mut ReplyTracker) {
        if let Some(schema) = reply.take_schema() {
            self.meter.enter(&schema);
        }
    }
}

/// What a text that is there as a whole holds.
#[inline]
fn whole_text(text: &[u8], dialect: Dialect, several: bool) -> (Statement, VecDeque<Statement>) {
    if !several || memchr::memchr(b';', text).is_none() {
        return (Statement::of(text, dialect), VecDeque::new());
    }
    let mut reader = StatementReader::new(dialect);
    let mut found = VecDeque::new();
    for token in Lexer::new(text, dialect) {
        keep(&mut found, reader.push(&token));
    }
    keep(&mut found, reader.end());
    let first = found.pop_front().unwrap_or(Statement::OTHER);
    (first, found)
}

fn keep(found: &mut VecDeque<Statement>, statement: Option<Statement>) {
    if found.len() < MOST_STATEMENTS {
        found.extend(statement);
    }
}

impl Text {
    fn new(dialect: Dialect) -> Self {
        Self {
            lexer: PieceLexer::new(dialect),
            reader: StatementReader::new(dialect),
            found: VecDeque::new(),
        }
    }

    fn push(&mut self, piece: &[u8]) {
        let (reader, found) = (&mut self.reader, &mut self.found);
        self.lexer
            .push(piece, |token| keep(found, reader.push(token)));
    }

    fn end(mut self, several: bool) -> (Statement, VecDeque<Statement>) {
        let (reader, found) = (&mut self.reader, &mut self.found);
        self.lexer.end(|token| keep(found, reader.push(token)));
        keep(found, reader.end());
        let first = found.pop_front().unwrap_or(Statement::OTHER);
        if !several {
            found.clear();
        }
        (first, self.found)
    }
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

/// The number that executable comments would give a server's version by.
fn version_number(version: &[u8]) -> u32 {
    let version = version.strip_prefix(b"5.5.5-").unwrap_or(version);
    let mut parts = version.split(|byte| !byte.is_ascii_digit()).map(|digits| {
        let value = |number: u32, digit: &u8| {
            number
                .saturating_mul(10)
                .saturating_add(u32::from(digit - b'0'))
        };
        digits.iter().fold(0, value).min(99)
    });
    let mut next = || parts.next().unwrap_or(0);
    next() * 10_000 + next() * 100 + next()
}

/// The encoding of a collation's characters, as far as it matters to the lexer.
fn encoding(collation: u16) -> Encoding {
    // Collations without padding have the numbers of the others and 1024.
    match collation & 1023 {
        28 | 87 => Encoding::Gbk,
        1 | 84 => Encoding::Big5,
        13 | 88 | 95 | 96 => Encoding::Sjis,
        _ => Encoding::AsciiCompatible,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_executable_comments_give_them() {
        assert_eq!(version_number(b"5.5.5-10.11.19-MariaDB-log"), 101_119);
        assert_eq!(version_number(b"11.4.2-MariaDB"), 110_402);
        assert_eq!(version_number(b"8.0.36"), 80_036);
        assert_eq!(version_number(b"odd"), 0);
    }
}
