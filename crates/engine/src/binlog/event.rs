//! Events of a binary log: their frame, their checksum, and of a few kinds what is in them.
//!
//! Pure: bytes in, facts out. The layout is that of MariaDB 10.6 to 11, binary log version 4.

use openpeta_sql_route::{Dialect, Encoding};
use openpeta_types::Gtid;

/// What a log file begins with.
pub(super) const MAGIC: [u8; 4] = *b"\xfebin";

/// Bytes of the frame before an event's content.
pub(super) const HEADER: usize = 19;

/// An event larger than this is none: a server takes packets of 1 GiB at most.
const MAX_EVENT: u32 = (1 << 30) + (1 << 20);

/// Bytes of the checksum at an event's end.
const CHECKSUM: usize = 4;

/// In the header's flags of a log's first event: the server is still writing to the log, or
/// crashed while it did. Left out of the checksum.
const IN_USE: u8 = 1;

/// Where the flags are in a header.
const FLAGS_AT: usize = 17;

/// What the reader of an event finds wrong with it, as the rest of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// The kinds that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A statement.
    Query,
    /// The first event of a file: how it is written.
    FormatDescription,
    /// A commit of transactional tables.
    Xid,
    /// The end of the first part of an XA transaction.
    XaPrepare,
    /// The begin of a transaction, or of a statement that stands alone.
    Gtid,
    /// Which table the following rows are of.
    TableMap,
    /// Rows of a table.
    Rows(Change),
    /// The text of the statement that the following rows are of.
    Annotation,
    /// Which transactions are before the file.
    GtidList,
    /// Goes with what follows: rows, the statement's text, values of variables.
    Part,
    /// Of the file, not of the data: where it goes on, which transactions are before it, ….
    Bookkeeping,
    /// What cannot be read here: compressed statements, encrypted logs, what is not known.
    Other(u8),
}

impl Kind {
    const fn of(code: u8) -> Self {
        match code {
            2 => Self::Query,
            15 => Self::FormatDescription,
            16 => Self::Xid,
            38 => Self::XaPrepare,
            162 => Self::Gtid,
            19 => Self::TableMap,
            23 => Self::Rows(Change::Insert),
            24 => Self::Rows(Change::Update),
            25 => Self::Rows(Change::Delete),
            160 => Self::Annotation,
            163 => Self::GtidList,
            // Intvar, rand, user variable; rows as these servers do not write them: of other
            // versions, compressed.
            5 | 13 | 14 | 20..=22 | 30..=32 | 166..=171 => Self::Part,
            // Stop, rotate, heartbeat, checkpoint.
            3 | 4 | 27 | 161 => Self::Bookkeeping,
            other => Self::Other(other),
        }
    }
}

/// What is done to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Insert,
    Update,
    Delete,
}

/// The frame of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// When the statement began, in seconds since 1970, by the session's clock.
    pub(super) timestamp: u32,
    pub(super) kind: Kind,
    pub(super) server_id: u32,
    /// Bytes of the whole event.
    pub(super) length: u32,
}

impl Header {
    /// Reads a frame.
    pub(super) fn parse(bytes: &[u8; HEADER]) -> Result<Self, Malformed> {
        let header = Self {
            timestamp: u32_at(bytes, 0),
            kind: Kind::of(bytes[4]),
            server_id: u32_at(bytes, 5),
            length: u32_at(bytes, 9),
        };
        if (header.length as usize) < HEADER || header.length > MAX_EVENT {
            return Err(Malformed("has an event of an impossible length"));
        }
        Ok(header)
    }
}

/// How the events of a file end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checksums {
    /// With nothing.
    None,
    /// With a CRC-32.
    Crc32,
}

impl Checksums {
    /// What a file's first event says of the others. It has a checksum itself in either case.
    pub(super) fn declared(event: &[u8]) -> Result<Self, Malformed> {
        let at = event.len().checked_sub(CHECKSUM + 1);
        match at.and_then(|at| event.get(at)) {
            Some(0) => Ok(Self::None),
            Some(1) => Ok(Self::Crc32),
            _ => Err(Malformed("has checksums of an unknown kind")),
        }
    }

    /// The content of a whole event, if its checksum is right.
    pub(super) fn content(self, event: &[u8]) -> Result<&[u8], Malformed> {
        let Self::Crc32 = self else {
            return event.get(HEADER..).ok_or(SHORT);
        };
        let (covered, sum) = event.split_last_chunk::<CHECKSUM>().ok_or(SHORT)?;
        if crc32fast::hash(covered) == u32::from_le_bytes(*sum) {
            covered.get(HEADER..).ok_or(SHORT)
        } else {
            Err(Malformed("has an event with a wrong checksum"))
        }
    }
}

/// Takes the mark of a log that is being written off its first event.
pub(super) fn close(event: &mut [u8]) {
    if let Some(flags) = event.get_mut(FLAGS_AT) {
        *flags &= !IN_USE;
    }
}

/// The begin of a group of events that take effect together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GtidEvent {
    pub(super) sequence: u64,
    pub(super) domain: u32,
    /// The group has one statement, and no end.
    pub(super) is_standalone: bool,
    /// What it does to an XA transaction.
    pub(super) xa: Option<Xa>,
}

/// What a group does to an XA transaction, with that one's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Xa {
    /// Does all but commit it.
    Prepare(Vec<u8>),
    /// Commits it or rolls it back.
    Complete(Vec<u8>),
}

impl GtidEvent {
    pub(super) fn parse(content: &[u8]) -> Result<Self, Malformed> {
        const STANDALONE: u8 = 1;
        const HAS_COMMIT_ID: u8 = 2;
        const PREPARES_XA: u8 = 64;
        const COMPLETES_XA: u8 = 128;
        let (sequence, rest) = content.split_first_chunk::<8>().ok_or(SHORT)?;
        let (domain, rest) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
        let (flags, rest) = rest.split_first().ok_or(SHORT)?;
        let commit_id = if flags & HAS_COMMIT_ID == 0 { 0 } else { 8 };
        let xid = || xid(rest.get(commit_id..).ok_or(SHORT)?);
        let xa = if flags & PREPARES_XA != 0 {
            Some(Xa::Prepare(xid()?))
        } else if flags & COMPLETES_XA != 0 {
            Some(Xa::Complete(xid()?))
        } else {
            None
        };
        Ok(Self {
            sequence: u64::from_le_bytes(*sequence),
            domain: u32::from_le_bytes(*domain),
            is_standalone: flags & STANDALONE != 0,
            xa,
        })
    }

    /// The group's name, by the frame of the event too.
    pub(super) const fn gtid(&self, header: &Header) -> Gtid {
        Gtid {
            domain: self.domain,
            server: header.server_id,
            sequence: self.sequence,
        }
    }
}

/// The last number of a domain among the transactions before a file.
pub(super) fn last_before(content: &[u8], domain: u32) -> Result<Option<u64>, Malformed> {
    const ENTRY: usize = 16;
    let list = content.get(4..).ok_or(SHORT)?;
    let entries = list.chunks_exact(ENTRY).filter_map(|entry| {
        let (its, rest) = entry.split_first_chunk::<4>()?;
        let number = rest.last_chunk::<8>()?;
        (u32::from_le_bytes(*its) == domain).then(|| u64::from_le_bytes(*number))
    });
    Ok(entries.max())
}

/// The id of an XA transaction as it lies in an event.
fn xid(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    // Four bytes of format, the lengths of the two parts that follow.
    let &[_, _, _, _, global, branch, ..] = bytes else {
        return Err(SHORT);
    };
    let length = 6 + usize::from(global) + usize::from(branch);
    Ok(bytes.get(..length).ok_or(SHORT)?.to_vec())
}

/// The database of the table that rows are of.
pub(super) fn table_database(content: &[u8]) -> Result<&[u8], Malformed> {
    // Six bytes of table id, two of flags, the length of the name.
    let (&length, rest) = content
        .get(8..)
        .and_then(<[u8]>::split_first)
        .ok_or(SHORT)?;
    rest.get(..usize::from(length)).ok_or(SHORT)
}

/// A statement and what its meaning depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueryEvent<'a> {
    /// The session's database; empty without one.
    pub(super) database: &'a [u8],
    pub(super) statement: &'a [u8],
    pub(super) ansi_quotes: bool,
    pub(super) no_backslash_escapes: bool,
    pub(super) encoding: Encoding,
}

impl<'a> QueryEvent<'a> {
    pub(super) fn parse(content: &'a [u8]) -> Result<Self, Malformed> {
        // Thread, duration, length of the database's name, error, length of the variables.
        let (fixed, rest) = content.split_first_chunk::<13>().ok_or(SHORT)?;
        let database_length = usize::from(fixed[8]);
        let variables_length = usize::from(u16::from_le_bytes([fixed[11], fixed[12]]));
        let (variables, rest) = rest.split_at_checked(variables_length).ok_or(SHORT)?;
        let (database, rest) = rest.split_at_checked(database_length).ok_or(SHORT)?;
        let (_nul, statement) = rest.split_first().ok_or(SHORT)?;
        let variables = Variables::read(variables);
        Ok(Self {
            database,
            statement,
            ansi_quotes: variables.sql_mode & ANSI_QUOTES != 0,
            no_backslash_escapes: variables.sql_mode & NO_BACKSLASH_ESCAPES != 0,
            encoding: Encoding::of_collation(variables.client_collation),
        })
    }

    /// How the server that wrote the event read the statement.
    pub(super) const fn dialect(&self, server_version: u32) -> Dialect {
        Dialect {
            server_version,
            ansi_quotes: self.ansi_quotes,
            no_backslash_escapes: self.no_backslash_escapes,
            encoding: self.encoding,
        }
    }
}

const ANSI_QUOTES: u64 = 4;
const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;

/// Those of a statement's session variables that tell how it is read.
#[derive(Default)]
struct Variables {
    sql_mode: u64,
    client_collation: u16,
}

impl Variables {
    /// Reads them up to the first one of unknown length: the server writes those that matter
    /// here before it.
    fn read(mut bytes: &[u8]) -> Self {
        let mut found = Self::default();
        while let Some((&code, rest)) = bytes.split_first() {
            let length = match code {
                // Flags.
                0 => 4,
                1 => {
                    if let Some(mode) = rest.first_chunk() {
                        found.sql_mode = u64::from_le_bytes(*mode);
                    }
                    8
                }
                // The steps of AUTO_INCREMENT.
                3 => 4,
                4 => {
                    if let Some(collation) = rest.first_chunk() {
                        found.client_collation = u16::from_le_bytes(*collation);
                    }
                    6
                }
                // A catalog's name.
                6 => 1 + rest.first().map_or(0, |&length| usize::from(length)),
                _ => break,
            };
            let Some(next) = rest.get(length..) else {
                break;
            };
            bytes = next;
        }
        found
    }
}

pub(super) const SHORT: Malformed = Malformed("has an event that is too short");

fn u32_at(bytes: &[u8; HEADER], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
