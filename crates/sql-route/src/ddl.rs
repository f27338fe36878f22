//! What a definition statement is about: which table, and whether it is one statement at all.
//!
//! The rest of the statement is the server's to judge.

use std::borrow::Cow;
use std::ops::Range;

use thiserror::Error;

use crate::{Dialect, Lexer, Token, TokenKind};

/// A statement that defines a table or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ddl<'a> {
    /// What it does.
    pub kind: DdlKind,
    /// The database that it names before the table, if it does.
    pub schema: Option<Cow<'a, str>>,
    /// The table.
    pub table: Cow<'a, str>,
    /// The statement alone, without a semicolon at its end.
    pub statement: &'a str,
    /// What it says of how rows are distributed over nodes, which the server does not know.
    pub distribution: Option<DistributionClause<'a>>,
}

impl<'a> Ddl<'a> {
    /// The statement as a node gets it: without the clause that only the router knows.
    #[must_use]
    pub fn for_node(&self) -> Cow<'a, str> {
        match &self.distribution {
            None => Cow::Borrowed(self.statement),
            Some(DistributionClause { range, .. }) => {
                let (before, after) =
                    (&self.statement[..range.start], &self.statement[range.end..]);
                Cow::Owned(format!("{before} {after}"))
            }
        }
    }
}

/// A clause of `CREATE TABLE` about the distribution of rows, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistributionClause<'a> {
    /// What it says.
    pub distribution: Distribution<'a>,
    /// Its bytes in the statement.
    pub range: Range<usize>,
}

/// How the rows of a table are distributed over the nodes of its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distribution<'a> {
    /// `DISTRIBUTE_KEY(column)` or `DISTRIBUTE BY HASH(column)`: by the value of a column.
    Hash {
        /// The column.
        column: Cow<'a, str>,
    },
    /// `DISTRIBUTE BY BROADCAST`: each node has all of them.
    Broadcast,
    /// `DISTRIBUTE BY SINGLE`: the first node has all of them. Only `ALTER TABLE` says so.
    Single,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DdlKind {
    /// `CREATE TABLE`.
    CreateTable,
    /// `ALTER TABLE`.
    AlterTable,
    /// `CREATE INDEX`, also `UNIQUE`, `FULLTEXT` and `SPATIAL`.
    CreateIndex,
    /// `DROP INDEX`.
    DropIndex,
}

impl DdlKind {
    /// The words that it begins with.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateTable => "CREATE TABLE",
            Self::AlterTable => "ALTER TABLE",
            Self::CreateIndex => "CREATE INDEX",
            Self::DropIndex => "DROP INDEX",
        }
    }
}

/// Why a text is not taken for a definition statement. The texts are for whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DdlError {
    /// Nothing but white space and comments.
    #[error("It holds no statement.")]
    Empty,
    /// The lexer already sees that the server will refuse it.
    #[error("It ends within quotes or a comment, or holds a NUL byte.")]
    Unreadable,
    /// Something stands behind the first statement.
    #[error("It holds more than one statement.")]
    SeveralStatements,
    /// Some other statement.
    #[error("It is not CREATE TABLE, ALTER TABLE, CREATE INDEX or DROP INDEX.")]
    OtherStatement,
    /// `CREATE TEMPORARY TABLE`.
    #[error("A temporary table would end with the statement.")]
    Temporary,
    /// `CREATE OR REPLACE`.
    #[error("OR REPLACE is not supported; drop it first.")]
    OrReplace,
    /// No name where the table's name should be.
    #[error("It names no table where the name should be.")]
    NoTable,
    /// A `DISTRIBUTE` clause that is none of the known ones.
    #[error(
        "Its DISTRIBUTE clause is not DISTRIBUTE_KEY(column), DISTRIBUTE BY HASH(column), \
         DISTRIBUTE BY BROADCAST or, to alter a table, DISTRIBUTE BY SINGLE."
    )]
    Distribution,
    /// More than one `DISTRIBUTE` clause.
    #[error("It has more than one DISTRIBUTE clause.")]
    SeveralDistributions,
}

/// Reads what a definition statement is about.
///
/// # Errors
/// [`DdlError`] when it is no such statement, or not one alone.
pub fn parse_ddl(text: &str, dialect: Dialect) -> Result<Ddl<'_>, DdlError> {
    let statement = single_statement(text, dialect)?;
    let mut head = Head::new(statement, dialect);
    let kind = head.kind()?;
    let (schema, table) = head.table_name()?;
    Ok(Ddl {
        kind,
        schema,
        table,
        statement,
        distribution: head.distribution(statement, kind)?,
    })
}

/// The text up to the semicolon that ends its first statement, if nothing stands behind it.
fn single_statement(text: &str, dialect: Dialect) -> Result<&str, DdlError> {
    let mut lexer = Lexer::new(text.as_bytes(), dialect);
    let mut end = None;
    let mut is_empty = true;
    loop {
        let begin = lexer.position();
        let Some(token) = lexer.next() else { break };
        if token.kind == TokenKind::Invalid {
            return Err(DdlError::Unreadable);
        } else if token.is_symbol(";") {
            if lexer.in_executable_comment() {
                return Err(DdlError::SeveralStatements);
            }
            end.get_or_insert(begin);
        } else if !matches!(token.kind, TokenKind::Space | TokenKind::Comment) {
            if end.is_some() {
                return Err(DdlError::SeveralStatements);
            }
            is_empty &= !token.kind.is_significant();
        }
    }
    if is_empty {
        return Err(DdlError::Empty);
    }
    if lexer.in_executable_comment() {
        return Err(DdlError::Unreadable);
    }
    Ok(text[..end.unwrap_or(text.len())].trim_ascii())
}

/// Reads a statement from its first word on.
struct Head<'a> {
    lexer: Lexer<'a>,
    dialect: Dialect,
    /// The next token.
    next: Option<Token<'a>>,
}

impl<'a> Head<'a> {
    fn new(statement: &'a str, dialect: Dialect) -> Self {
        let mut lexer = Lexer::new(statement.as_bytes(), dialect);
        let next = lexer.next_significant();
        Self {
            lexer,
            dialect,
            next,
        }
    }

    /// Takes the next token.
    fn take(&mut self) -> Option<Token<'a>> {
        std::mem::replace(&mut self.next, self.lexer.next_significant())
    }

    /// Takes the next token if it is that word.
    fn take_word(&mut self, word: &str) -> bool {
        let is_it = self.next.is_some_and(|token| token.is_word(word));
        if is_it {
            self.take();
        }
        is_it
    }

    /// What the statement does; leaves off where the table's name begins.
    fn kind(&mut self) -> Result<DdlKind, DdlError> {
        if self.take_word("CREATE") {
            self.after_create()
        } else if self.take_word("ALTER") {
            while self.take_word("ONLINE") || self.take_word("IGNORE") {}
            if !self.take_word("TABLE") {
                return Err(DdlError::OtherStatement);
            }
            self.skip_if_exists();
            Ok(DdlKind::AlterTable)
        } else if self.take_word("DROP") {
            if !self.take_word("INDEX") {
                return Err(DdlError::OtherStatement);
            }
            self.skip_if_exists();
            self.skip_index_name()?;
            Ok(DdlKind::DropIndex)
        } else {
            Err(DdlError::OtherStatement)
        }
    }

    fn after_create(&mut self) -> Result<DdlKind, DdlError> {
        let replaces = self.take_word("OR") && self.take_word("REPLACE");
        if self.take_word("TEMPORARY") {
            return Err(DdlError::Temporary);
        }
        let kind = if self.take_word("TABLE") {
            DdlKind::CreateTable
        } else {
            let _ =
                self.take_word("UNIQUE") || self.take_word("FULLTEXT") || self.take_word("SPATIAL");
            if !self.take_word("INDEX") {
                return Err(DdlError::OtherStatement);
            }
            DdlKind::CreateIndex
        };
        if replaces {
            return Err(DdlError::OrReplace);
        }
        self.skip_if_exists();
        if kind == DdlKind::CreateIndex {
            self.skip_index_name()?;
        }
        Ok(kind)
    }

    /// `IF EXISTS` and `IF NOT EXISTS`.
    fn skip_if_exists(&mut self) {
        if self.take_word("IF") {
            self.take_word("NOT");
            self.take_word("EXISTS");
        }
    }

    /// An index's name, perhaps its algorithm, and `ON`.
    fn skip_index_name(&mut self) -> Result<(), DdlError> {
        self.take();
        if self.take_word("USING") || self.take_word("TYPE") {
            self.take();
        }
        if self.take_word("ON") {
            Ok(())
        } else {
            Err(DdlError::NoTable)
        }
    }

    /// A table's name, with the database before it if it is there.
    fn table_name(&mut self) -> Result<(Option<Cow<'a, str>>, Cow<'a, str>), DdlError> {
        let first = self.name()?;
        if !self.next.is_some_and(|token| token.is_symbol(".")) {
            return Ok((None, first));
        }
        self.take();
        Ok((Some(first), self.name()?))
    }

    fn name(&mut self) -> Result<Cow<'a, str>, DdlError> {
        let token = self.take().ok_or(DdlError::NoTable)?;
        text_of(&token, &self.dialect).ok_or(DdlError::NoTable)
    }

    /// The clause of the statement itself, outside its parentheses and before the query of
    /// `CREATE TABLE … SELECT`, that says how rows are distributed.
    fn distribution(
        &mut self,
        statement: &str,
        kind: DdlKind,
    ) -> Result<Option<DistributionClause<'a>>, DdlError> {
        let mut found = None;
        let mut depth = 0_usize;
        while let Some(token) = self.take() {
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth = depth.saturating_sub(1);
            } else if depth > 0 {
                continue;
            } else if token.is_word("SELECT") {
                break;
            } else if self.begins_distribution(&token) {
                let (distribution, last) = self.distribution_after(&token, kind)?;
                let start = offset(statement, &token);
                let clause = DistributionClause {
                    distribution,
                    range: start..offset(statement, &last) + last.text.len(),
                };
                if found.replace(clause).is_some() {
                    return Err(DdlError::SeveralDistributions);
                }
            }
        }
        Ok(found)
    }

    /// Whether a clause begins with that token. Both words can be names of columns as well.
    fn begins_distribution(&self, token: &Token<'_>) -> bool {
        self.next.is_some_and(|next| {
            token.is_word("DISTRIBUTE") && next.is_word("BY")
                || token.is_word("DISTRIBUTE_KEY") && next.is_symbol("(")
        })
    }

    /// What a clause says that begins with that word, and its last token.
    fn distribution_after(
        &mut self,
        word: &Token<'a>,
        kind: DdlKind,
    ) -> Result<(Distribution<'a>, Token<'a>), DdlError> {
        if word.is_word("DISTRIBUTE") {
            self.take_word("BY");
            let is_single =
                |token: &Token<'_>| kind == DdlKind::AlterTable && token.is_word("SINGLE");
            if let Some(last) = self.next.filter(is_single) {
                self.take();
                return Ok((Distribution::Single, last));
            }
            if let Some(last) = self.next.filter(|token| token.is_word("BROADCAST")) {
                self.take();
                return Ok((Distribution::Broadcast, last));
            }
            if !self.take_word("HASH") {
                return Err(DdlError::Distribution);
            }
        }
        let [open, column, close] = [(); 3].map(|()| self.take());
        let (Some(open), Some(column), Some(close)) = (open, column, close) else {
            return Err(DdlError::Distribution);
        };
        let name = text_of(&column, &self.dialect);
        match name.filter(|_| open.is_symbol("(") && close.is_symbol(")")) {
            Some(column) => Ok((Distribution::Hash { column }, close)),
            None => Err(DdlError::Distribution),
        }
    }
}

/// The name that a token is, if it is one in UTF-8.
fn text_of<'a>(token: &Token<'a>, dialect: &Dialect) -> Option<Cow<'a, str>> {
    match token.name(dialect)? {
        Cow::Borrowed(name) => std::str::from_utf8(name).map(Cow::Borrowed).ok(),
        Cow::Owned(name) => String::from_utf8(name).map(Cow::Owned).ok(),
    }
}

/// Where in the text one of its tokens stands.
fn offset(text: &str, token: &Token<'_>) -> usize {
    token.text.as_ptr().addr() - text.as_ptr().addr()
}
