//! Statements as tokens with their places.

use std::ops::Range;

use openpeta_sql_route::{Dialect, Lexer, StatementReader, Token, TokenKind};

/// The significant tokens of a statement.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    /// The text that they are of.
    pub text: &'a [u8],
    /// The tokens, those in executable comments included.
    pub list: Vec<Token<'a>>,
    /// Whether some stand in executable comments.
    pub has_executable: bool,
    /// Whether the server cannot read it to its end either.
    pub is_broken: bool,
}

impl<'a> Tokens<'a> {
    /// Of a text that is one statement.
    #[must_use]
    pub fn of(text: &'a [u8], dialect: Dialect) -> Self {
        let mut tokens = Self {
            text,
            list: Vec::new(),
            has_executable: false,
            is_broken: false,
        };
        for token in Lexer::new(text, dialect) {
            match token.kind {
                TokenKind::ExecutableStart => tokens.has_executable = true,
                TokenKind::Invalid => tokens.is_broken = true,
                kind if kind.is_significant() => tokens.list.push(token),
                _ => {}
            }
        }
        while tokens.list.last().is_some_and(|token| token.is_symbol(";")) {
            tokens.list.pop();
        }
        tokens
    }

    /// Where a token stands.
    #[must_use]
    pub fn range(&self, token: &Token<'a>) -> Range<usize> {
        let start = token.text.as_ptr().addr() - self.text.as_ptr().addr();
        start..start + token.text.len()
    }

    /// Whether it has that word anywhere.
    #[must_use]
    pub fn has_word(&self, word: &str) -> bool {
        self.list.iter().any(|token| token.is_word(word))
    }

    /// The first word, in upper case.
    #[must_use]
    pub fn verb(&self) -> String {
        self.word(0)
    }

    /// The word at a place, in upper case; empty for anything else.
    #[must_use]
    pub fn word(&self, at: usize) -> String {
        match self.list.get(at) {
            Some(token) if token.kind == TokenKind::Word => {
                String::from_utf8_lossy(token.text).to_ascii_uppercase()
            }
            _ => String::new(),
        }
    }
}

/// A statement with what stands in executable comments outside of them, as the server reads it; `None` if
/// there are none, or they end more than the statement.
#[must_use]
pub fn without_marks(text: &[u8], dialect: Dialect) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut lexer = Lexer::new(text, dialect);
    let mut has_some = false;
    for token in &mut lexer {
        match token.kind {
            TokenKind::ExecutableStart | TokenKind::ExecutableEnd => {
                has_some = true;
                plain.push(b' ');
            }
            TokenKind::Invalid => return None,
            _ => plain.extend_from_slice(token.text),
        }
    }
    let is_one = !lexer.in_executable_comment() && split(&plain, dialect).len() == 1;
    (has_some && is_one).then_some(plain)
}

/// A name with the database before it, if it has one, and how many tokens it takes.
#[must_use]
pub fn table_name(
    tokens: &[Token<'_>],
    dialect: Dialect,
) -> Option<(Option<String>, String, usize)> {
    let name = |token: &Token<'_>| {
        let name = token.name(&dialect)?;
        Some(String::from_utf8_lossy(&name).into_owned())
    };
    match tokens {
        [schema, point, table, ..] if point.is_symbol(".") => {
            Some((Some(name(schema)?), name(table)?, 3))
        }
        [table, ..] => Some((None, name(table)?, 1)),
        [] => None,
    }
}

/// The statements of a text, without the semicolons that end them. Nothing but white space behind the
/// last semicolon is no statement.
#[must_use]
pub fn split(text: &[u8], dialect: Dialect) -> Vec<Range<usize>> {
    let mut reader = StatementReader::new(dialect);
    let mut statements = Vec::new();
    let mut lexer = Lexer::new(text, dialect);
    let mut start = 0;
    loop {
        let at = lexer.position();
        let Some(token) = lexer.next() else { break };
        // Inside of an executable comment it would be the server's to say what ends where.
        if reader.push(&token).is_some() && !lexer.in_executable_comment() {
            statements.push(start..at);
            start = lexer.position();
        }
    }
    if reader.end().is_some() && !text[start..].trim_ascii().is_empty() {
        statements.push(start..text.len());
    }
    statements
}

/// The index of the token that closes the parenthesis which `tokens` begin with.
#[must_use]
pub fn closing(tokens: &[Token<'_>]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// What stands between commas outside of parentheses.
#[must_use]
pub fn between_commas<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut depth = 0_usize;
    tokens
        .split(|token| {
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth = depth.saturating_sub(1);
            }
            depth == 0 && token.is_symbol(",")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_executable_comments_is_read_as_the_server_does() {
        let plain = |text: &str| {
            let plain = without_marks(text.as_bytes(), Dialect::new(101_119))?;
            Some(String::from_utf8(plain).expect("text"))
        };
        assert_eq!(
            plain("CREATE TABLE t (a INT) /*! ENGINE = innodb */ /*!999999 x */").as_deref(),
            Some("CREATE TABLE t (a INT)   ENGINE = innodb   /*!999999 x */")
        );
        assert_eq!(plain("SELECT '/*! 1 */' /* 2 */"), None);
        assert_eq!(plain("SELECT /*! 1; SELECT 2 */"), None);
        assert_eq!(plain("SELECT /*! 1"), None);
    }
}
