//! The tokens of a statement, with where they stand.

use std::ops::Range;

use crate::{Dialect, Lexer, Token, TokenKind};

/// The significant tokens of a text; `None` if the server may read another text than this (in
/// executable comments) or none at all.
pub(super) fn tokens(text: &[u8], dialect: Dialect) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    for token in Lexer::new(text, dialect) {
        match token.kind {
            TokenKind::ExecutableStart | TokenKind::Invalid => return None,
            kind if kind.is_significant() => tokens.push(token),
            _ => {}
        }
    }
    Some(tokens)
}

/// Where a token stands in the text that it is a part of.
pub(super) fn range_of(text: &[u8], token: &Token<'_>) -> Range<usize> {
    let start = token.text.as_ptr().addr() - text.as_ptr().addr();
    start..start + token.text.len()
}

/// The index of the token that closes the parenthesis which `tokens` begin with.
pub(super) fn closing(tokens: &[Token<'_>]) -> Option<usize> {
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
pub(super) fn between_commas<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
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
