//! The texts of commands: which statements they hold.

use std::collections::VecDeque;

use openpeta_sql_route::{
    Dialect, DigestReader, Lexer, PieceLexer, Results, Statement, StatementClass, StatementReader,
    Templates, Token,
};

use crate::counters::Meter;
use crate::digests::DigestPlace;
use crate::session::trace::{Trace, TraceReader};

/// Statements of one text whose classes are remembered; any beyond count as others.
const MOST_STATEMENTS: usize = 64 << 10;

/// What reading texts needs, and remembers.
#[derive(Default)]
pub(super) struct Texts {
    pub(super) digest: DigestReader,
    /// Of texts that are one statement of one result.
    pub(super) known: Templates<Prepared>,
}

impl Texts {
    /// What a text that is there as a whole holds.
    pub(super) fn read(
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

/// What is remembered of a prepared statement.
#[derive(Clone, Copy)]
pub(super) struct Prepared {
    pub(super) class: StatementClass,
    pub(super) digest: DigestPlace,
    pub(super) trace: Trace,
}

impl Prepared {
    pub(super) const UNKNOWN: Self = Self {
        class: StatementClass::Other,
        digest: DigestPlace::REST,
        trace: Trace::Lasting,
    };
}

/// A statement of a text, and its digest.
pub(super) struct Read {
    pub(super) statement: Statement,
    pub(super) digest: DigestPlace,
}

impl Read {
    pub(super) const UNKNOWN: Self = Self {
        statement: Statement::OTHER,
        digest: DigestPlace::REST,
    };
}

/// A text that arrives in pieces.
pub(super) struct Text {
    pub(super) lexer: PieceLexer,
    pub(super) reader: StatementReader,
    pub(super) digest: DigestReader,
    pub(super) found: VecDeque<Read>,
}

impl Text {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            lexer: PieceLexer::new(dialect),
            reader: StatementReader::new(dialect),
            digest: DigestReader::default(),
            found: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, piece: &[u8], meter: &Meter) {
        let (reader, digest, found) = (&mut self.reader, &mut self.digest, &mut self.found);
        self.lexer.push(piece, |token| {
            if let Some(read) = look(token, reader, digest, meter) {
                keep(found, read);
            }
        });
    }

    pub(super) fn end(mut self, several: bool, meter: &Meter) -> (Read, VecDeque<Read>) {
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

/// Takes the next token of a text; gives the statement that it ends.
#[inline]
pub(super) fn look(
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
pub(super) fn read(statement: Statement, digest: &mut DigestReader, meter: &Meter) -> Read {
    let place = meter.digest(digest);
    digest.begin();
    Read {
        statement,
        digest: place,
    }
}

pub(super) fn keep(found: &mut VecDeque<Read>, read: Read) {
    if found.len() < MOST_STATEMENTS {
        found.push_back(read);
    }
}
