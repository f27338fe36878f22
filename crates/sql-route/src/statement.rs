//! What statements are: their classes, and where one ends and the next begins.

use std::borrow::Cow;

use crate::{Dialect, Lexer, Token, TokenKind};

/// What a statement does, as far as monitoring tells statements apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatementClass {
    /// `SELECT`, `VALUES`, `TABLE`, with `WITH` or parentheses before it or not.
    Read,
    /// `INSERT`, `REPLACE`, `UPDATE`, `DELETE`, `LOAD DATA`, `LOAD XML`.
    Write,
    /// `SET`, whatever is set; but `SET STATEMENT … FOR` is what follows.
    Set,
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`.
    Commit,
    /// `ROLLBACK`, but not to a savepoint.
    Rollback,
    /// `SAVEPOINT`, `ROLLBACK TO`, `RELEASE SAVEPOINT`, `XA`.
    OtherTransaction,
    /// Everything else: definitions, `SHOW`, `EXPLAIN`, `CALL`, `USE`, `DO`, compound statements,
    /// what is no statement at all.
    Other,
}

/// How a server answers a statement that succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// With one result.
    One,
    /// With any number of result sets, then an OK: `CALL`, compound statements.
    ManyThenOk,
}

/// How a statement, when it succeeds, changes the session's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseChange {
    /// `USE`: to this one.
    Use(Vec<u8>),
    /// `DROP DATABASE`: to none, if it was this one.
    Drop(Vec<u8>),
}

/// One statement of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it does.
    pub class: StatementClass,
    /// How it is answered.
    pub results: Results,
    /// What it does to the session's database.
    pub database: Option<Box<DatabaseChange>>,
}

impl Statement {
    const fn new(class: StatementClass) -> Self {
        Self {
            class,
            results: Results::One,
            database: None,
        }
    }

    /// A statement of which nothing is known.
    pub const OTHER: Self = Self::new(StatementClass::Other);

    /// What a text that is one statement is. It looks at no more than the statement's head.
    #[must_use]
    pub fn of(text: &[u8], dialect: Dialect) -> Self {
        let mut reader = StatementReader::new(dialect);
        for token in Lexer::new(text, dialect) {
            if let Some(statement) = reader.push(&token) {
                return statement;
            }
            if reader.is_decided() {
                break;
            }
        }
        reader.end().unwrap_or(Self::OTHER)
    }
}

/// Takes the tokens of a text and gives its statements. A server ends a statement where its
/// grammar does; this reader knows of the grammar that stored programs and compound statements
/// have semicolons inside.
#[derive(Clone, Debug)]
pub struct StatementReader {
    dialect: Dialect,
    stage: Stage,
    statement: Statement,
    /// Parentheses that are open.
    parentheses: u32,
    /// Something stood in the text since the last semicolon, if only a comment.
    seen: bool,
    any: bool,
    block: Block,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The first word.
    First,
    /// What follows the common table expressions of `WITH`.
    With,
    /// What follows `SET`.
    Set,
    /// `FOR`, behind which the statement of a `SET STATEMENT` begins.
    SetStatement,
    Begin,
    Start,
    Rollback,
    Load,
    Create,
    Alter,
    Drop,
    /// The database's name, perhaps behind `IF EXISTS`.
    DropName,
    UseName,
    /// The first word was none that begins a statement: a colon makes it a label.
    Label,
    /// A stored program or a compound statement, up to the semicolon behind its last `END`.
    Program,
    /// Its semicolon.
    End,
}

/// Where in a stored program or a compound statement the reader is.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    depth: u32,
    /// A statement may begin here.
    at_start: bool,
    /// The last word was `END`; the word behind it says what ends.
    after_end: bool,
}

impl StatementReader {
    /// Begins a text.
    #[must_use]
    pub const fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            stage: Stage::First,
            statement: Statement::OTHER,
            parentheses: 0,
            seen: false,
            any: false,
            block: Block {
                depth: 0,
                at_start: false,
                after_end: false,
            },
        }
    }

    /// Whether all is known of the statement that is being read, but where it ends.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.stage == Stage::End
    }

    /// Takes the next token of the text; a semicolon gives the statement that it ends.
    #[inline]
    pub fn push(&mut self, token: &Token<'_>) -> Option<Statement> {
        match token.kind {
            TokenKind::Space => return None,
            TokenKind::Symbol if token.text == b";" && self.ends_here() => {
                return Some(self.take());
            }
            _ => self.seen = true,
        }
        if self.stage != Stage::End && token.kind.is_significant() {
            self.look(token);
        }
        None
    }

    /// The text ends; gives its last statement, unless a semicolon has ended it and nothing but
    /// white space follows. A text of white space has one statement, which servers refuse.
    pub fn end(&mut self) -> Option<Statement> {
        (self.seen || !self.any).then(|| self.take())
    }

    /// Whether a semicolon ends the statement.
    fn ends_here(&self) -> bool {
        self.stage != Stage::Program || self.block.depth == 0
    }

    fn take(&mut self) -> Statement {
        let dialect = self.dialect;
        let next = Self {
            any: true,
            ..Self::new(dialect)
        };
        std::mem::replace(self, next).statement
    }

    fn look(&mut self, token: &Token<'_>) {
        if token.kind == TokenKind::Symbol {
            match token.text {
                b"(" => self.parentheses += 1,
                b")" => self.parentheses = self.parentheses.saturating_sub(1),
                _ => {}
            }
        }
        let mut folded = [0; LONGEST];
        let word = fold(token, &mut folded);
        match self.stage {
            Stage::First => self.first(token, word),
            Stage::With => self.with(word),
            Stage::Set if word == b"STATEMENT" => self.stage = Stage::SetStatement,
            Stage::Set => self.stage = Stage::End,
            Stage::SetStatement => {
                if word == b"FOR" && self.parentheses == 0 {
                    self.consider(StatementClass::Other, Stage::First);
                }
            }
            Stage::Begin if word == b"NOT" => self.compound(1),
            Stage::Start if word == b"TRANSACTION" => self.decide(StatementClass::Begin),
            Stage::Load if matches!(word, b"DATA" | b"XML") => self.decide(StatementClass::Write),
            Stage::Begin | Stage::Start | Stage::Load => self.stage = Stage::End,
            Stage::Rollback => match word {
                b"WORK" => {}
                b"TO" => self.decide(StatementClass::OtherTransaction),
                _ => self.stage = Stage::End,
            },
            Stage::Create => self.create(word),
            Stage::Alter => match word {
                b"EVENT" => self.program(),
                b"TABLE" | b"DATABASE" | b"SCHEMA" | b"USER" | b"VIEW" => self.stage = Stage::End,
                _ => {}
            },
            Stage::Drop => {
                self.stage = match word {
                    b"DATABASE" | b"SCHEMA" => Stage::DropName,
                    _ => Stage::End,
                }
            }
            Stage::DropName if matches!(word, b"IF" | b"EXISTS") => {}
            Stage::DropName => self.changes_database(token, DatabaseChange::Drop),
            Stage::UseName => self.changes_database(token, DatabaseChange::Use),
            Stage::Label if token.is_symbol(":") => self.compound(0),
            Stage::Label => self.stage = Stage::End,
            Stage::Program => self.inside_program(token, word),
            Stage::End => {}
        }
    }

    fn first(&mut self, token: &Token<'_>, word: &[u8]) {
        use StatementClass as Class;
        match word {
            b"SELECT" | b"VALUES" | b"TABLE" => self.decide(Class::Read),
            b"INSERT" | b"UPDATE" | b"DELETE" | b"REPLACE" => self.decide(Class::Write),
            b"SET" => self.consider(Class::Set, Stage::Set),
            b"BEGIN" => self.consider(Class::Begin, Stage::Begin),
            b"COMMIT" => self.decide(Class::Commit),
            b"START" => self.stage = Stage::Start,
            b"ROLLBACK" => self.consider(Class::Rollback, Stage::Rollback),
            b"SAVEPOINT" | b"RELEASE" | b"XA" => self.decide(Class::OtherTransaction),
            b"WITH" => self.consider(Class::Read, Stage::With),
            b"LOAD" => self.stage = Stage::Load,
            b"USE" => self.stage = Stage::UseName,
            b"CREATE" => self.stage = Stage::Create,
            b"ALTER" => self.stage = Stage::Alter,
            b"DROP" => self.stage = Stage::Drop,
            b"CALL" => {
                self.statement.results = Results::ManyThenOk;
                self.stage = Stage::End;
            }
            b"IF" | b"CASE" | b"LOOP" | b"WHILE" | b"REPEAT" | b"FOR" => self.compound(1),
            b"" if token.is_symbol("(") => {}
            b"" if !matches!(token.kind, TokenKind::Word | TokenKind::QuotedName) => {
                self.stage = Stage::End;
            }
            _ => self.stage = Stage::Label,
        }
    }

    fn with(&mut self, word: &[u8]) {
        if self.parentheses == 0 {
            match word {
                b"SELECT" | b"VALUES" | b"TABLE" => self.stage = Stage::End,
                b"INSERT" | b"UPDATE" | b"DELETE" | b"REPLACE" => {
                    self.decide(StatementClass::Write);
                }
                _ => {}
            }
        }
    }

    fn create(&mut self, word: &[u8]) {
        match word {
            b"PROCEDURE" | b"FUNCTION" | b"TRIGGER" | b"EVENT" | b"PACKAGE" => self.program(),
            b"TABLE" | b"INDEX" | b"VIEW" | b"DATABASE" | b"SCHEMA" | b"USER" | b"ROLE"
            | b"SEQUENCE" | b"SERVER" => self.stage = Stage::End,
            _ if self.parentheses > 0 => self.stage = Stage::End,
            _ => {}
        }
    }

    fn inside_program(&mut self, token: &Token<'_>, word: &[u8]) {
        let Block {
            at_start,
            after_end,
            ..
        } = self.block;
        self.block.after_end = word == b"END";
        // Behind the head of a program comes its first statement.
        let head_ends = self.block.depth == 0
            && (token.is_symbol(")") || matches!(word, b"DETERMINISTIC" | b"DATA" | b"ROW"));
        self.block.at_start = head_ends
            || matches!(token.text, b":" | b";")
            || matches!(
                word,
                b"BEGIN" | b"THEN" | b"ELSE" | b"DO" | b"LOOP" | b"REPEAT"
            );
        match word {
            _ if after_end => {}
            b"BEGIN" | b"CASE" => self.block.depth += 1,
            b"IF" | b"LOOP" | b"WHILE" | b"REPEAT" | b"FOR" if at_start => self.block.depth += 1,
            b"END" => self.block.depth = self.block.depth.saturating_sub(1),
            _ => {}
        }
    }

    fn changes_database(
        &mut self,
        token: &Token<'_>,
        change: impl FnOnce(Vec<u8>) -> DatabaseChange,
    ) {
        let name = token.name(&self.dialect).map(Cow::into_owned);
        self.statement.database = name.map(change).map(Box::new);
        self.stage = Stage::End;
    }

    fn decide(&mut self, class: StatementClass) {
        self.consider(class, Stage::End);
    }

    fn consider(&mut self, class: StatementClass, stage: Stage) {
        self.statement.class = class;
        self.stage = stage;
    }

    /// A statement of several, with so many blocks open.
    fn compound(&mut self, depth: u32) {
        self.statement = Statement {
            results: Results::ManyThenOk,
            ..Statement::OTHER
        };
        self.block.depth = depth;
        self.block.at_start = true;
        self.stage = Stage::Program;
    }

    /// The definition of a stored program, which has one result.
    fn program(&mut self) {
        self.stage = Stage::Program;
    }
}

/// The longest word that is looked for.
const LONGEST: usize = 13;

/// A word in upper case; empty for anything else, and for words that nobody looks for.
#[inline]
fn fold<'f>(token: &Token<'_>, folded: &'f mut [u8; LONGEST]) -> &'f [u8] {
    let length = token.text.len();
    if token.kind != TokenKind::Word {
        return &[];
    } else if length > LONGEST {
        return b"?";
    }
    for (to, from) in folded.iter_mut().zip(token.text) {
        *to = from.to_ascii_uppercase();
    }
    &folded[..length]
}
