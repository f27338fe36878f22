//! What is made of each statement of a dump. Pure.
//!
//! A dump is foreign input. It is run with an account that reaches one database and nothing
//! else, which is what keeps the rest of the server safe; what is judged here is which statements
//! a dump may consist of at all, so that whoever imports learns what it holds, and which of them
//! wait until all rows are there.

use openpeta_sql_route::{Dialect, Lexer, StatementReader, Token, TokenKind};

/// What becomes of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is nothing in it for this server.
    Nothing,
    /// It is run.
    Run,
    /// It is run, and may change how what follows is read.
    Set,
    /// It is run, and adds rows.
    Rows {
        /// To which table.
        table: String,
        /// How many it has.
        rows: u64,
    },
    /// It waits until all rows are there: a view or a program.
    Later(Later),
    /// What follows is of this database.
    Use(String),
    /// It is left out, for it has nothing to do with what is in a database.
    LeftOut(&'static str),
    /// Neither in this database nor told of: locks.
    Ignored,
    /// No dump has such a statement.
    Refused(String),
}

/// A statement that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Later {
    /// What it makes or drops, in words.
    pub(super) what: String,
    /// Whether it makes something that runs as somebody.
    pub(super) makes: bool,
    /// What it makes is an event.
    pub(super) is_event: bool,
    /// The text that is to be run: without a database's name where none may stand.
    pub(super) text: Vec<u8>,
}

/// What programs and views are called where they are made and dropped.
const LATER: [&str; 6] = [
    "VIEW",
    "TRIGGER",
    "PROCEDURE",
    "FUNCTION",
    "EVENT",
    "PACKAGE",
];

/// Judges a statement; `database` is the one that the dump is of, if that is known.
pub(super) fn judge(text: &[u8], dialect: Dialect, database: Option<&str>) -> Verdict {
    let mut words = Words::new(text, dialect);
    let Some(first) = words.next() else {
        return Verdict::Nothing;
    };
    if first.is_symbol("\\") {
        return refused("is a command of the client");
    }
    let verdict = match keyword(&first).as_str() {
        "SET" => set(&mut words),
        "INSERT" | "REPLACE" => rows(&mut words),
        "CREATE" => create(&mut words, text),
        "DROP" => drop_something(&mut words, text),
        "ALTER" => alter(&mut words, text, database),
        "USE" => match words.name() {
            Some(name) => Verdict::Use(name),
            None => refused("names no database"),
        },
        "START" | "BEGIN" | "COMMIT" | "ROLLBACK" => Verdict::Run,
        "LOCK" | "UNLOCK" => Verdict::Ignored,
        "DO" | "SELECT" if words.next().is_some_and(|word| word.is_word("SETVAL")) => Verdict::Run,
        "CHANGE" => Verdict::LeftOut("the position in the source's binary log"),
        "ANALYZE" | "OPTIMIZE" => Verdict::LeftOut("statistics"),
        "LOAD" => refused("reads a file"),
        "GRANT" | "REVOKE" => refused("is about accounts, which an import does not bring along"),
        "SOURCE" | "SYSTEM" | "PAGER" | "TEE" | "CONNECT" => refused("is a command of the client"),
        _ => refused("is none that a dump has"),
    };
    match verdict {
        // A program has semicolons inside; the server takes one of them at a time.
        Verdict::Later(_) | Verdict::Refused(_) => verdict,
        verdict => match has_more(text, dialect) {
            true => refused("is more than one statement"),
            false => verdict,
        },
    }
}

/// Whether a semicolon behind a text would end its statement.
pub(super) fn is_whole(text: &[u8], dialect: Dialect) -> bool {
    let mut reader = StatementReader::new(dialect);
    for token in Lexer::new(text, dialect) {
        reader.push(&token);
    }
    let end = Lexer::new(b";", dialect).next();
    end.is_some_and(|token| reader.push(&token).is_some())
}

/// Comments for versions of MySQL that are other servers, which this one does not run.
pub(super) fn comments_for_mysql(text: &[u8], dialect: Dialect) -> Vec<String> {
    if memchr::memmem::find(text, b"/*!").is_none() {
        return Vec::new();
    }
    let skipped =
        |token: &Token<'_>| token.kind == TokenKind::Comment && token.text.starts_with(b"/*!");
    let tokens = Lexer::new(text, dialect).filter(skipped);
    tokens
        .map(|token| String::from_utf8_lossy(token.text).into_owned())
        .collect()
}

fn refused(what: &str) -> Verdict {
    Verdict::Refused(what.to_owned())
}

/// The significant tokens of a statement.
struct Words<'a> {
    lexer: Lexer<'a>,
    dialect: Dialect,
    peeked: Option<Option<Token<'a>>>,
    /// Where the last token that was taken ends.
    end: usize,
}

impl<'a> Words<'a> {
    const fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self {
            lexer: Lexer::new(text, dialect),
            dialect,
            peeked: None,
            end: 0,
        }
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let token = match self.peeked.take() {
            Some(token) => token,
            None => self.lexer.next_significant(),
        };
        self.end = self.lexer.position();
        token
    }

    fn peek(&mut self) -> Option<Token<'a>> {
        if self.peeked.is_none() {
            self.end = self.lexer.position();
            self.peeked = Some(self.lexer.next_significant());
        }
        self.peeked.flatten()
    }

    /// Passes over a word if it is the next one.
    fn skip(&mut self, word: &str) -> bool {
        let is_next = self.peek().is_some_and(|token| token.is_word(word));
        if is_next {
            self.next();
        }
        is_next
    }

    /// Passes over `IF EXISTS` or `IF NOT EXISTS`.
    fn skip_if(&mut self) {
        if self.skip("IF") {
            self.skip("NOT");
            self.skip("EXISTS");
        }
    }

    /// The name that comes next, the last part of it where it has several.
    fn name(&mut self) -> Option<String> {
        let dialect = self.dialect;
        let mut name = self.next()?.name(&dialect)?.into_owned();
        while self.peek().is_some_and(|token| token.is_symbol(".")) {
            self.next();
            name = self.next()?.name(&dialect)?.into_owned();
        }
        Some(String::from_utf8_lossy(&name).into_owned())
    }
}

fn keyword(token: &Token<'_>) -> String {
    match token.kind {
        TokenKind::Word => String::from_utf8_lossy(token.text).to_ascii_uppercase(),
        _ => String::new(),
    }
}

/// Whether something follows a semicolon.
fn has_more(text: &[u8], dialect: Dialect) -> bool {
    if memchr::memchr(b';', text).is_none() {
        return false;
    }
    let mut lexer = Lexer::new(text, dialect);
    let mut is_over = false;
    while let Some(token) = lexer.next_significant() {
        if is_over {
            return true;
        }
        is_over = token.is_symbol(";");
    }
    false
}

fn set(words: &mut Words<'_>) -> Verdict {
    let mut is_first = true;
    let mut left_out = 0;
    let mut assignments = 0;
    loop {
        assignments += 1;
        match assignment(words, is_first) {
            Assigned::Session => {}
            Assigned::Position => left_out += 1,
            Assigned::Refused(what) => return refused(what),
        }
        is_first = false;
        // To the next one: a comma outside of parentheses.
        let mut depth = 0_u32;
        loop {
            let Some(token) = words.next() else {
                return match left_out {
                    0 => Verdict::Set,
                    _ if left_out == assignments => {
                        Verdict::LeftOut("the position in the source's binary log")
                    }
                    _ => refused("sets the position in the binary log and something else"),
                };
            };
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth = depth.saturating_sub(1);
            } else if token.is_symbol(",") && depth == 0 {
                break;
            }
        }
    }
}

enum Assigned {
    Session,
    /// Something of the binary log.
    Position,
    Refused(&'static str),
}

/// The variable that an assignment begins with.
fn assignment(words: &mut Words<'_>, is_first: bool) -> Assigned {
    const GLOBAL: &str = "changes a setting of the whole server";
    let Some(token) = words.next() else {
        return Assigned::Refused("sets nothing");
    };
    if token.kind == TokenKind::UserVariable {
        return Assigned::Session;
    }
    let scope = match token.kind {
        TokenKind::SystemVariable => {
            let name = String::from_utf8_lossy(&token.text[2..]).to_ascii_uppercase();
            let is_dotted = words.peek().is_some_and(|next| next.is_symbol("."));
            if !is_dotted {
                return variable(&name, false);
            }
            words.next();
            name
        }
        _ => keyword(&token),
    };
    let is_scope = token.kind == TokenKind::SystemVariable;
    match scope.as_str() {
        "GLOBAL" | "PERSIST" | "PERSIST_ONLY" => {
            let name = words
                .next()
                .map(|token| keyword(&token))
                .unwrap_or_default();
            match variable(&name, true) {
                Assigned::Session => Assigned::Refused(GLOBAL),
                other => other,
            }
        }
        "SESSION" | "LOCAL" => {
            let name = words
                .next()
                .map(|token| keyword(&token))
                .unwrap_or_default();
            variable(&name, false)
        }
        _ if is_scope => Assigned::Refused("sets what is not known here"),
        "PASSWORD" | "ROLE" | "DEFAULT" if is_first => {
            Assigned::Refused("is about accounts, which an import does not bring along")
        }
        "STATEMENT" if is_first => Assigned::Refused("is none that a dump has"),
        "" => Assigned::Refused("sets what is not known here"),
        name => variable(name, false),
    }
}

/// What a variable is about.
fn variable(name: &str, is_global: bool) -> Assigned {
    match name {
        "GTID_PURGED" | "GTID_SLAVE_POS" if is_global => Assigned::Position,
        "SQL_LOG_BIN" | "GTID_NEXT" => Assigned::Position,
        _ => Assigned::Session,
    }
}

fn rows(words: &mut Words<'_>) -> Verdict {
    for option in ["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"] {
        words.skip(option);
    }
    let Some(table) = words.name() else {
        return refused("names no table");
    };
    let (mut depth, mut rows, mut in_values) = (0_u32, 0, false);
    while let Some(token) = words.next() {
        if token.is_symbol("(") {
            depth += 1;
            rows += u64::from(depth == 1 && in_values);
        } else if token.is_symbol(")") {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && token.kind == TokenKind::Word {
            match keyword(&token).as_str() {
                "VALUES" | "VALUE" if !in_values => in_values = true,
                // What follows says what to do with rows that are there already.
                "ON" if in_values => break,
                "SELECT" | "SET" | "TABLE" | "WITH" if !in_values => {
                    return refused("adds rows otherwise than by VALUES");
                }
                _ => {}
            }
        }
    }
    match in_values {
        true => Verdict::Rows { table, rows },
        false => refused("adds rows otherwise than by VALUES"),
    }
}

fn create(words: &mut Words<'_>, text: &[u8]) -> Verdict {
    while let Some(token) = words.next() {
        let word = keyword(&token);
        match word.as_str() {
            "TABLE" | "SEQUENCE" | "INDEX" => return Verdict::Run,
            "TEMPORARY" => return refused("makes a temporary table"),
            "DATABASE" | "SCHEMA" => {
                return Verdict::LeftOut(
                    "CREATE DATABASE: the database is the one it is imported into",
                );
            }
            "USER" | "ROLE" => {
                return refused("is about accounts, which an import does not bring along");
            }
            "SERVER" | "TABLESPACE" | "LOGFILE" | "UNDO" => {
                return refused("makes something of the whole server");
            }
            word if LATER.contains(&word) => {
                words.skip("BODY");
                words.skip_if();
                let Some(name) = words.name() else {
                    return refused("has no name for what it makes");
                };
                return Verdict::Later(Later {
                    what: format!("{} {name}", word.to_ascii_lowercase()),
                    makes: true,
                    is_event: word == "EVENT",
                    text: text.to_vec(),
                });
            }
            // A long head is none.
            _ if words.end > 4096 => break,
            _ => {}
        }
    }
    refused("makes what is not known here")
}

fn drop_something(words: &mut Words<'_>, text: &[u8]) -> Verdict {
    let word = words
        .next()
        .map(|token| keyword(&token))
        .unwrap_or_default();
    match word.as_str() {
        "TABLE" | "TABLES" | "SEQUENCE" | "INDEX" => Verdict::Run,
        "TEMPORARY" => Verdict::Run,
        "DATABASE" | "SCHEMA" => Verdict::LeftOut("DROP DATABASE"),
        word if LATER.contains(&word) => {
            words.skip("BODY");
            words.skip_if();
            let name = words.name().unwrap_or_default();
            Verdict::Later(Later {
                what: format!("{} {name}", word.to_ascii_lowercase()),
                makes: false,
                is_event: false,
                text: text.to_vec(),
            })
        }
        "USER" | "ROLE" => refused("is about accounts, which an import does not bring along"),
        _ => refused("drops what is not known here"),
    }
}

fn alter(words: &mut Words<'_>, text: &[u8], database: Option<&str>) -> Verdict {
    let word = words
        .next()
        .map(|token| keyword(&token))
        .unwrap_or_default();
    match word.as_str() {
        "TABLE" | "SEQUENCE" | "ONLINE" | "IGNORE" => Verdict::Run,
        // Around programs that were made when it had another collation.
        "DATABASE" | "SCHEMA" => {
            let begin = words.end;
            const SETTINGS: [&str; 5] = ["DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "COMMENT"];
            let is_setting = |token: Token<'_>| SETTINGS.iter().any(|word| token.is_word(word));
            let mut text = text.to_vec();
            if !words.peek().is_some_and(is_setting) {
                let name = words.name().unwrap_or_default();
                if database.is_some_and(|database| database != name) {
                    return refused("is about another database");
                }
                // `name` has looked at what follows, which stands behind this place.
                text.splice(begin..words.end, [b' ']);
            }
            Verdict::Later(Later {
                what: "settings of the database".to_owned(),
                makes: false,
                is_event: false,
                text,
            })
        }
        "USER" | "ROLE" => refused("is about accounts, which an import does not bring along"),
        _ => refused("changes what is not known here"),
    }
}
