//! Runs the statements of a dump: definitions of tables and rows at once; views and programs are
//! kept for later, with the settings that they were to be made under.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use openpeta_sql_route::{DdlError, Dialect, Distribution, Lexer, TokenKind, Untold, parse_ddl};
use serde::{Deserialize, Serialize};

use super::collations;
use super::follow::SourcePosition;
use super::judge::{self, Verdict};
use super::set_over_nodes::{self, Parts};
use super::source::{self, ImportSource};
use super::splitter::{Piece, Quoting, Splitter};
use crate::backup::{MAX_PACKET, Manifest, Progress, REMARK, Session};
use crate::error::{EngineError, Result};
use crate::sealed::BackupKeys;
use crate::sql::TableDistribution;

/// What of an import can be chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportOptions {
    /// Which database of the dump; `None` for the only one.
    pub source_database: Option<String>,
    /// Collations of MySQL 8 that the server does not know become the nearest that it has.
    pub maps_collations: bool,
    /// The account that stands in for definers that do not exist.
    pub definer: Option<String>,
    /// Definers that do not exist stay.
    pub keeps_definers: bool,
    /// The database is over several nodes: what the dump says of the distribution of tables counts.
    #[serde(default)]
    pub over_nodes: bool,
}

/// What was loaded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Loaded {
    /// Rows that the dump has of each table.
    pub rows: BTreeMap<String, u64>,
    /// Bytes that were read, compressed as they lie.
    pub bytes: u64,
    /// The database of the dump, if it tells.
    pub(crate) database: Option<String>,
    /// Statements that were run.
    pub statements: u64,
    /// What whoever imports should know of: what was left out, changed, or not understood.
    pub notes: Vec<String>,
    /// How tables are to be distributed.
    #[serde(default)]
    pub(crate) distributions: BTreeMap<String, TableDistribution>,
    /// What is made when all rows are there.
    pub(crate) programs: Vec<Program>,
    /// Where the log of the server was, of which the dump is, if the dump tells.
    #[serde(default)]
    pub position: Option<SourcePosition>,
    /// What it has to be, if that was read beside the text.
    #[serde(default)]
    pub manifest: Option<Manifest>,
}

/// A view or program of the dump, or its removal, and what its text means depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Program {
    /// What it is, in words.
    pub(crate) what: String,
    /// Where it stands in the dump.
    pub(crate) place: String,
    pub(crate) makes: bool,
    pub(crate) is_event: bool,
    /// The statement, in base64: it may be in any character set.
    text: String,
    pub(crate) sql_mode: String,
    pub(crate) charset: String,
    pub(crate) collation: String,
    pub(crate) time_zone: String,
}

impl Program {
    pub(crate) fn text(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(&self.text).unwrap_or_default()
    }

    pub(crate) fn set_text(&mut self, text: &[u8]) {
        self.text = BASE64_STANDARD.encode(text);
    }
}

/// The most that views and programs may have together.
const MOST_PROGRAM_BYTES: usize = 64 << 20;

/// Notes of one kind that are told one by one.
const EXAMPLES: usize = 3;

/// MariaDB's codes that say nothing about the statement: it may go better another time.
pub(super) const PASSING: [u16; 10] = [
    1021, // disk full
    1053, // shutdown
    1152, 1159, 1160, 1161, // connection
    1205, // lock wait timeout
    1213, // deadlock
    1317, // interrupted
    1927, // killed
];

/// MariaDB's "unknown collation".
const UNKNOWN_COLLATION: u16 = 1273;

/// Loads a dump through a session that reaches the database for it alone.
pub(super) async fn load(
    session: &mut Session,
    (source, parts): (ImportSource, Option<Parts>),
    keys: &BackupKeys,
    options: &ImportOptions,
    (version, known_collations): (u32, BTreeSet<String>),
    progress: Progress<'_>,
) -> Result<Loaded> {
    let read = Arc::new(AtomicU64::new(0));
    let mut load = Load {
        session,
        options,
        dialect: Dialect::new(version),
        quoting: Quoting::default(),
        known_collations,
        current: source.database.clone(),
        only: source.database.or_else(|| options.source_database.clone()),
        loaded: Loaded::default(),
        kept: 0,
        others: 0,
        left_out: BTreeMap::new(),
        mapped: BTreeSet::new(),
        doubtful: BTreeSet::new(),
        file: String::new(),
        at: String::new(),
        charset: String::new(),
        has_loose_programs: false,
        begun: None,
        parts,
    };
    load.read_settings().await?;
    let has_manifest = source.manifest.is_some();
    for file in source.files {
        load.file = file.name.clone();
        load.at = file.name.clone();
        load.has_loose_programs = file.has_loose_programs();
        let mut chunks = source::read(file, keys, &read);
        let mut splitter = Splitter::new();
        let mut frame = Frame::default();
        loop {
            let next = chunks.recv().await;
            let is_over = next.is_none();
            match next {
                Some(Ok(chunk)) => splitter.push(&chunk),
                Some(Err(error)) => return Err(load.unreadable(&error)),
                None => splitter.end(),
            }
            load.pieces(&mut splitter, &mut frame).await?;
            let done = read.load(Ordering::Relaxed);
            progress(done, source.bytes, &load.at);
            if splitter.waiting() > MAX_PACKET {
                return Err(load.refused(0, b"", "a statement is longer than a gigabyte"));
            }
            if is_over {
                break;
            }
        }
        if let Some((text, line)) = load.begun.take() {
            return Err(load.refused(line, &text, "this program has no end"));
        }
        if let Some((text, line)) = splitter.rest() {
            return Err(load.refused(
                line,
                text,
                "the file ends within this statement: it is cut off",
            ));
        }
        if frame.begins && !frame.ends {
            let what = "the file ends without its last line (\"Dump completed\"): it is cut off";
            return Err(load.refused(0, b"", what));
        }
        load.loaded.position = frame.position.or(load.loaded.position);
        match frame.manifest.filter(|_| !has_manifest) {
            None => {}
            Some(Ok(manifest)) => load.loaded.manifest = Some(manifest),
            Some(Err(error)) => {
                let what = format!("the manifest in the file cannot be read ({error})");
                return Err(load.refused(0, b"", &what));
            }
        }
    }
    load.session.run("end a transaction", b"COMMIT").await?;
    load.loaded.bytes = read.load(Ordering::Relaxed);
    load.loaded.database = load.only.clone();
    if let Some(parts) = load.parts.take() {
        load.loaded.manifest = Some(parts.together()?);
    }
    if has_manifest || load.loaded.manifest.is_some() {
        // Who writes manifests writes definitions as they are.
        load.doubtful.clear();
    }
    load.finish()
}

/// What the remarks around a dump say of it.
#[derive(Default)]
struct Frame {
    begins: bool,
    ends: bool,
    position: Option<SourcePosition>,
    /// What the tables are to hold, if the text has a manifest.
    manifest: Option<serde_json::Result<Manifest>>,
}

impl Frame {
    fn see(&mut self, remark: &[u8]) {
        const BEGINS: [&[u8]; 3] = [b"MariaDB dump ", b"MySQL dump ", set_over_nodes::BEGINS];
        const ENDS: [&[u8]; 2] = [b"Dump completed", b"End of the dump"];
        self.begins |= BEGINS.iter().any(|word| remark.starts_with(word));
        self.ends |= ENDS.iter().any(|word| remark.starts_with(word));
        if let Some(position) = SourcePosition::of_remark(remark) {
            self.position = Some(position);
        }
        if let Some(text) = remark.strip_prefix(REMARK.as_bytes()) {
            self.manifest = Some(serde_json::from_slice(text));
        }
    }
}

/// A load under way.
struct Load<'a> {
    session: &'a mut Session,
    options: &'a ImportOptions,
    dialect: Dialect,
    quoting: Quoting,
    known_collations: BTreeSet<String>,
    /// The database that what follows is of, if the dump has said it.
    current: Option<String>,
    /// The one that is wanted, once that is known.
    only: Option<String>,
    loaded: Loaded,
    /// Bytes of programs.
    kept: usize,
    /// Statements of other databases.
    others: u64,
    /// What was left out, how often, with examples.
    left_out: BTreeMap<String, (u64, Vec<String>)>,
    mapped: BTreeSet<(String, String)>,
    /// Tables whose definition may not be what it was where the dump is from.
    doubtful: BTreeSet<String>,
    file: String,
    /// What is at work, for whoever watches.
    at: String,
    /// In which character set the session sends.
    charset: String,
    /// Programs of this file have semicolons inside.
    has_loose_programs: bool,
    /// The beginning of such a program.
    begun: Option<(Vec<u8>, u64)>,
    /// Of a set of several nodes, which of them is read.
    parts: Option<Parts>,
}

impl Load<'_> {
    async fn pieces(&mut self, splitter: &mut Splitter, frame: &mut Frame) -> Result<()> {
        splitter.quoting = self.quoting;
        while let Some(piece) = splitter.next() {
            match piece {
                Piece::Remark(remark) => {
                    frame.see(&remark);
                    if let Some(parts) = &mut self.parts {
                        parts.see(&remark);
                    }
                }
                Piece::Statement { text, line } => match self.whole(text, line) {
                    Some((text, line)) => self.taken(&text, line).await?,
                    None => splitter.go_on(),
                },
            }
            splitter.quoting = self.quoting;
        }
        Ok(())
    }

    /// A statement that is whole: mydumper writes programs without a delimiter of their own.
    fn whole(&mut self, text: Vec<u8>, line: u64) -> Option<(Vec<u8>, u64)> {
        if !self.has_loose_programs {
            return Some((text, line));
        }
        let (text, line) = match self.begun.take() {
            None => (text, line),
            Some((begun, line)) => ([&begun[..], b";", &text].concat(), line),
        };
        if judge::is_whole(&text, self.dialect) {
            return Some((text, line));
        }
        self.begun = Some((text, line));
        None
    }

    /// Does what a statement says, if it is not another node's.
    async fn taken(&mut self, text: &[u8], line: u64) -> Result<()> {
        let taken = match &mut self.parts {
            None => Some(text.into()),
            Some(parts) => parts.taken(text),
        };
        match taken {
            Some(text) => self.statement(&text, line).await,
            None => Ok(()),
        }
    }

    async fn statement(&mut self, text: &[u8], line: u64) -> Result<()> {
        for comment in judge::comments_for_mysql(text, self.dialect) {
            self.leave_out("comments for MySQL that MariaDB does not run", &comment);
        }
        let verdict = judge::judge(text, self.dialect, self.current.as_deref());
        let is_wanted = self.current.is_none() || self.only.is_none() || self.current == self.only;
        match verdict {
            Verdict::Nothing | Verdict::Ignored => Ok(()),
            Verdict::Use(database) => self.change_database(database, line, text),
            Verdict::Set => {
                let text = self.with_collations(text);
                self.run(&text, line).await?;
                self.read_settings().await?;
                self.check_charset(line, &text)
            }
            Verdict::Refused(what) if is_wanted => {
                Err(self.refused(line, text, &format!("the statement {what}")))
            }
            _ if !is_wanted => {
                self.others += 1;
                Ok(())
            }
            Verdict::Run => {
                let text = self.with_collations(text);
                self.doubt(&text);
                let text = self.without_distribution(text, line)?;
                self.run(&text, line).await
            }
            Verdict::Rows { table, rows } => {
                self.run(text, line).await?;
                if !self.at.ends_with(&table) {
                    self.at = format!("table {table}");
                }
                *self.loaded.rows.entry(table).or_default() += rows;
                Ok(())
            }
            Verdict::Later(later) => self.keep(later, line).await,
            Verdict::LeftOut(what) => {
                self.leave_out(what, &beginning(text));
                Ok(())
            }
            Verdict::Refused(_) => Ok(()),
        }
    }

    fn change_database(&mut self, database: String, line: u64, text: &[u8]) -> Result<()> {
        let is_other = self.only.as_ref().is_some_and(|only| *only != database);
        if is_other && self.options.source_database.is_none() {
            let only = self.only.as_deref().unwrap_or_default();
            let what = format!(
                "the dump has several databases ({only}, {database}): name one (--source-db)"
            );
            return Err(self.refused(line, text, &what));
        }
        if self.only.is_none() {
            self.only = Some(database.clone());
        }
        self.current = Some(database);
        Ok(())
    }

    /// Keeps a program for later.
    async fn keep(&mut self, later: judge::Later, line: u64) -> Result<()> {
        let text = self.with_collations(&later.text);
        self.kept += text.len();
        if self.kept > MOST_PROGRAM_BYTES {
            return Err(self.refused(line, &text, "views and programs have more than 64 MiB"));
        }
        let query =
            "SELECT @@sql_mode, @@character_set_client, @@collation_connection, @@time_zone";
        let settings = self.session.texts("read settings", query).await?;
        let mut settings = settings.into_iter().map(Option::unwrap_or_default);
        let mut next = || settings.next().unwrap_or_default();
        let mut program = Program {
            what: later.what,
            place: self.place(line),
            makes: later.makes,
            is_event: later.is_event,
            text: String::new(),
            sql_mode: next(),
            charset: next(),
            collation: next(),
            time_zone: next(),
        };
        program.set_text(&text);
        self.loaded.programs.push(program);
        Ok(())
    }

    /// Finds out how the server reads what follows.
    async fn read_settings(&mut self) -> Result<()> {
        let query = "SELECT @@sql_mode, @@character_set_client";
        let settings = self.session.texts("read settings", query).await?;
        let mut settings = settings.into_iter().map(Option::unwrap_or_default);
        let mode = settings.next().unwrap_or_default();
        let has = |word: &str| mode.split(',').any(|found| found == word);
        self.quoting = Quoting {
            ansi_quotes: has("ANSI_QUOTES"),
            no_backslash_escapes: has("NO_BACKSLASH_ESCAPES"),
        };
        self.dialect.ansi_quotes = self.quoting.ansi_quotes;
        self.dialect.no_backslash_escapes = self.quoting.no_backslash_escapes;
        self.charset = settings.next().unwrap_or_default();
        Ok(())
    }

    /// Refuses character sets in which a byte of a character can look like a quote.
    fn check_charset(&self, line: u64, text: &[u8]) -> Result<()> {
        const AMBIGUOUS: [&str; 5] = ["gbk", "big5", "sjis", "cp932", "gb18030"];
        match AMBIGUOUS.iter().any(|name| self.charset == *name) {
            true => {
                let what = format!(
                    "dumps in the character set {} are not taken: write it in utf8mb4",
                    self.charset
                );
                Err(self.refused(line, text, &what))
            }
            false => Ok(()),
        }
    }

    fn with_collations(&mut self, text: &[u8]) -> Vec<u8> {
        if !self.options.maps_collations {
            return text.to_vec();
        }
        let (text, pairs) = collations::mapped(text, self.dialect, &self.known_collations);
        self.mapped.extend(pairs);
        text
    }

    /// Notes a table, if the program that wrote the dump may not have been told all of its definition.
    fn doubt(&mut self, text: &[u8]) {
        let text = openpeta_sql_route::with_bytes_as_numbers(text);
        if Untold::of(&text, false).is_some() {
            let mut words = Lexer::new(text.as_bytes(), self.dialect);
            let name = words.find_map(|token| match token.kind {
                TokenKind::QuotedName => token.name(&self.dialect),
                _ => None,
            });
            let name = name.unwrap_or_default();
            let name = String::from_utf8_lossy(&name).into_owned();
            self.doubtful.insert(name);
        }
    }

    /// The definition of a table as a node gets it: what it says of its distribution is kept for later.
    fn without_distribution(&mut self, text: Vec<u8>, line: u64) -> Result<Vec<u8>> {
        const WORD: &[u8] = b"DISTRIBUTE";
        let has_word = |part: &[u8]| part.eq_ignore_ascii_case(WORD);
        let Some(statement) = std::str::from_utf8(&text)
            .ok()
            .filter(|_| text.windows(WORD.len()).any(has_word))
        else {
            return Ok(text);
        };
        let ddl = match parse_ddl(statement, self.dialect) {
            Err(error @ (DdlError::Distribution | DdlError::SeveralDistributions)) => {
                return Err(self.refused(line, &text, &error.to_string()));
            }
            Err(_) => return Ok(text),
            Ok(ddl) => ddl,
        };
        let distribution = match ddl.distribution.as_ref().map(|clause| &clause.distribution) {
            // Dumps alter no table's distribution.
            None | Some(Distribution::Single) => return Ok(text),
            Some(Distribution::Hash { column }) => TableDistribution::Hash(column.to_string()),
            Some(Distribution::Broadcast) => TableDistribution::Broadcast,
        };
        let (table, statement) = (ddl.table.to_string(), ddl.for_node().into_owned());
        match self.options.over_nodes {
            true => {
                self.loaded.distributions.insert(table, distribution);
            }
            false => self.leave_out(
                "how tables are distributed (the database has one node)",
                &table,
            ),
        }
        Ok(statement.into_bytes())
    }

    async fn run(&mut self, text: &[u8], line: u64) -> Result<()> {
        let done = self.session.run("import a dump", text).await;
        self.loaded.statements += 1;
        let Err(error) = done else { return Ok(()) };
        let Some(code) = error.server_code().filter(|code| !PASSING.contains(code)) else {
            return Err(error);
        };
        let mut what = error.server_message().unwrap_or_default().to_owned();
        if code == UNKNOWN_COLLATION && collations::has_one(text) {
            what.push_str("; --map-collations puts the nearest one in its place");
        }
        Err(self.refused(line, text, &format!("error {code}: {what}")))
    }

    fn leave_out(&mut self, what: &str, example: &str) {
        let (count, examples) = self.left_out.entry(what.to_owned()).or_default();
        *count += 1;
        let example = beginning(example.as_bytes());
        if examples.len() < EXAMPLES && !examples.contains(&example) {
            examples.push(example);
        }
    }

    fn place(&self, line: u64) -> String {
        match line {
            0 => self.file.clone(),
            line => format!("{}, line {line}", self.file),
        }
    }

    fn refused(&self, line: u64, text: &[u8], what: &str) -> EngineError {
        let quoted = match text.is_empty() {
            true => String::new(),
            false => format!(", at \"{}\"", beginning(text)),
        };
        EngineError::NotImported {
            what: format!("{}{quoted}: {what}", self.place(line)),
        }
    }

    /// A file that cannot be read to its end.
    fn unreadable(&self, error: &io::Error) -> EngineError {
        use io::ErrorKind as Kind;
        let what = match error.kind() {
            Kind::UnexpectedEof => format!("the file is cut off ({error})"),
            _ => format!("it cannot be read: {error}"),
        };
        self.refused(0, b"", &what)
    }

    fn finish(mut self) -> Result<Loaded> {
        if self.others > 0 {
            let note = format!(
                "{} statements of other databases were left out",
                self.others
            );
            self.loaded.notes.push(note);
        }
        for (from, to) in &self.mapped {
            let note = format!("collation {from} became {to}");
            self.loaded.notes.push(note);
        }
        if !self.doubtful.is_empty() {
            let tables: Vec<_> = self.doubtful.iter().take(EXAMPLES).cloned().collect();
            let note = format!(
                "a ? in words or defaults of columns may have been a character beyond U+FFFF, which dump programs \
                 are not told by a server, in {} tables: {}",
                self.doubtful.len(),
                tables.join(" | ")
            );
            self.loaded.notes.push(note);
        }
        for (what, (count, examples)) in &self.left_out {
            let examples = examples.join(" | ");
            let note = format!("left out: {what}, {count} times: {examples}");
            self.loaded.notes.push(note);
        }
        if self.options.source_database.is_some()
            && self.only != self.current
            && self.others > 0
            && self.loaded.statements == 0
        {
            return Err(self.refused(0, b"", "the dump does not have that database"));
        }
        Ok(self.loaded)
    }
}

/// The beginning of a statement, on one line.
pub(crate) fn beginning(text: &[u8]) -> String {
    const LENGTH: usize = 80;
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * LENGTH)]);
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ").replace(char::is_control, " ");
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_statement_is_one_line() {
        assert_eq!(
            beginning(b"INSERT\n  INTO t\x00 VALUES"),
            "INSERT INTO t  VALUES"
        );
        let long = "é".repeat(200);
        assert_eq!(beginning(long.as_bytes()), format!("{}…", "é".repeat(80)));
    }
}
