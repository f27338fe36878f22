//! The tokens of a statement, with where they stand.

use std::borrow::Cow;
use std::ops::Range;

use openpeta_sql_route::{Dialect, Lexer, Token, TokenKind};

/// Tokens by their number.
pub type Span = Range<usize>;

/// The significant tokens of a statement.
#[derive(Clone, Debug)]
pub struct Text<'a> {
    /// The statement.
    pub bytes: &'a [u8],
    /// How it is read.
    pub dialect: Dialect,
    tokens: Vec<Token<'a>>,
    starts: Vec<usize>,
}

impl<'a> Text<'a> {
    /// Reads a statement; `None` if the server reads another text than this (in executable
    /// comments), or none at all. A semicolon at the end is left out.
    #[must_use]
    pub fn read(bytes: &'a [u8], dialect: Dialect) -> Option<Self> {
        let (mut tokens, mut starts) = (Vec::new(), Vec::new());
        let mut lexer = Lexer::new(bytes, dialect);
        loop {
            let start = lexer.position();
            let Some(token) = lexer.next() else { break };
            match token.kind {
                TokenKind::ExecutableStart | TokenKind::Invalid => return None,
                kind if kind.is_significant() => {
                    tokens.push(token);
                    starts.push(start);
                }
                _ => {}
            }
        }
        while tokens.last().is_some_and(|last| last.is_symbol(";")) {
            tokens.pop();
        }
        Some(Self {
            bytes,
            dialect,
            tokens,
            starts,
        })
    }

    /// Whether its names can be told: those beyond ASCII only where it is in UTF-8.
    #[must_use]
    pub fn has_clear_names(&self, utf8: bool) -> bool {
        let is_name =
            |token: &&Token<'_>| matches!(token.kind, TokenKind::Word | TokenKind::QuotedName);
        let is_clear = |token: &Token<'_>| {
            token.text.is_ascii() || (utf8 && std::str::from_utf8(token.text).is_ok())
        };
        self.tokens.iter().filter(is_name).all(is_clear)
    }

    /// How many tokens there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// A token.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&Token<'a>> {
        self.tokens.get(at)
    }

    /// The tokens of a span.
    #[must_use]
    pub fn tokens(&self, span: &Span) -> &[Token<'a>] {
        &self.tokens[span.clone()]
    }

    /// Whether a token is that word without quotes, and no part of a name behind a point.
    #[must_use]
    pub fn is_word(&self, at: usize, word: &str) -> bool {
        self.get(at).is_some_and(|token| token.is_word(word)) && !self.is_behind_point(at)
    }

    /// Whether a token is one of these words.
    #[must_use]
    pub fn is_any(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(at, word))
    }

    /// Whether a token is that sign.
    #[must_use]
    pub fn is_symbol(&self, at: usize, symbol: &str) -> bool {
        self.get(at).is_some_and(|token| token.is_symbol(symbol))
    }

    /// Whether a point stands before a token.
    #[must_use]
    pub fn is_behind_point(&self, at: usize) -> bool {
        at > 0 && self.is_symbol(at - 1, ".")
    }

    /// The name that a token is, if it is one in UTF-8 (or ASCII).
    #[must_use]
    pub fn name(&self, at: usize) -> Option<Cow<'a, str>> {
        match self.get(at)?.name(&self.dialect)? {
            Cow::Borrowed(name) => std::str::from_utf8(name).map(Cow::Borrowed).ok(),
            Cow::Owned(name) => String::from_utf8(name).map(Cow::Owned).ok(),
        }
    }

    /// The token that closes the parenthesis at `open`, if it is before `end`.
    #[must_use]
    pub fn closing(&self, open: usize, end: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in open..end {
            if self.is_symbol(at, "(") {
                depth += 1;
            } else if self.is_symbol(at, ")") {
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
    pub fn between_commas(&self, span: &Span) -> Vec<Span> {
        let mut parts = Vec::new();
        let (mut start, mut depth) = (span.start, 0_usize);
        for at in span.clone() {
            if self.is_symbol(at, "(") {
                depth += 1;
            } else if self.is_symbol(at, ")") {
                depth = depth.saturating_sub(1);
            } else if depth == 0 && self.is_symbol(at, ",") {
                parts.push(start..at);
                start = at + 1;
            }
        }
        parts.push(start..span.end);
        parts
    }

    /// The bytes of a span, with what stands between its tokens.
    #[must_use]
    pub fn slice(&self, span: &Span) -> &'a [u8] {
        &self.bytes[self.bytes_of(span)]
    }

    /// Where the bytes of a span stand.
    #[must_use]
    pub fn bytes_of(&self, span: &Span) -> Range<usize> {
        if span.is_empty() {
            let at = self.starts.get(span.start).copied();
            let at = at.unwrap_or(self.bytes.len());
            return at..at;
        }
        let last = span.end - 1;
        self.starts[span.start]..self.starts[last] + self.tokens[last].text.len()
    }

    /// Whether two spans are the same tokens, words in any case.
    #[must_use]
    pub fn is_same(&self, one: &Span, other: &Span) -> bool {
        one.len() == other.len()
            && self
                .tokens(one)
                .iter()
                .zip(self.tokens(other))
                .all(|(a, b)| {
                    a.kind == b.kind
                        && (a.text == b.text
                            || (a.kind == TokenKind::Word && a.text.eq_ignore_ascii_case(b.text)))
                })
    }

    /// The parts of a condition that must all be true. One part if it is no such condition.
    #[must_use]
    pub fn conjuncts(&self, span: &Span, pipes_concat: bool) -> Vec<Span> {
        let mut parts = Vec::new();
        // Inside parentheses, `CASE … END`, and behind the BETWEEN whose AND is still to come.
        let (mut depth, mut cases, mut betweens) = (0_usize, 0_usize, 0_usize);
        let mut start = span.start;
        for at in span.clone() {
            if self.is_symbol(at, "(") {
                depth += 1;
            } else if self.is_symbol(at, ")") {
                depth = depth.saturating_sub(1);
            } else if depth > 0 {
                continue;
            } else if self.is_word(at, "CASE") {
                cases += 1;
            } else if self.is_word(at, "END") {
                cases = cases.saturating_sub(1);
            } else if cases > 0 {
                continue;
            } else if self.is_word(at, "BETWEEN") {
                betweens += 1;
            } else if self.is_word(at, "AND") && betweens > 0 {
                betweens -= 1;
            } else if self.is_word(at, "AND") || self.is_symbol(at, "&&") {
                parts.push(start..at);
                start = at + 1;
            } else if self.is_any(at, &["OR", "XOR"])
                || (self.is_symbol(at, "||") && !pipes_concat)
                || self.is_symbol(at, ":=")
            {
                return vec![span.clone()];
            }
        }
        parts.push(start..span.end);
        // What stands in parentheses of its own is taken apart as well.
        let mut found = Vec::new();
        for part in parts {
            let inner = part.start + 1..part.end.saturating_sub(1);
            if self.is_symbol(part.start, "(")
                && self.closing(part.start, part.end) == Some(part.end - 1)
                && !begins_query(self, inner.start)
            {
                found.extend(self.conjuncts(&inner, pipes_concat));
            } else {
                found.push(part);
            }
        }
        found
    }
}

/// Whether a query begins at a token, perhaps in parentheses.
pub(super) fn begins_query(text: &Text<'_>, at: usize) -> bool {
    let mut at = at;
    while text.is_symbol(at, "(") {
        at += 1;
    }
    text.is_any(at, &["SELECT", "WITH"])
        || (text.is_word(at, "VALUES") && text.is_symbol(at + 1, "("))
}
