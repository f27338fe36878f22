//! What is selected, and queries in expressions.

use openpeta_sql_route::TokenKind as Kind;

use super::super::text::{Span, Text, begins_query};
use super::{Item, Query, Subquery};

/// Words that no name without quotes can be, and that may end an expression.
const ENDS: [&str; 8] = [
    "END",
    "NULL",
    "TRUE",
    "FALSE",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "UNKNOWN",
];

pub(super) fn item(text: &Text<'_>, span: Span) -> Option<Item> {
    let is_star =
        text.is_symbol(span.end - 1, "*") && (span.len() == 1 || text.is_symbol(span.end - 2, "."));
    if is_star {
        return Some(Item {
            expression: span,
            alias: None,
            is_star,
        });
    }
    let last = span.end - 1;
    let named = |name: String, end: usize| Item {
        expression: span.start..end,
        alias: Some(name),
        is_star: false,
    };
    if span.len() > 2 && text.is_word(last - 1, "AS") {
        let name = match text.get(last)?.string(&text.dialect) {
            Some(name) => String::from_utf8(name.into_owned()).ok()?,
            None => text.name(last)?.into_owned(),
        };
        return Some(named(name, last - 1));
    }
    if span.len() > 1 && !text.is_behind_point(last) {
        let before = text.get(last - 1)?;
        // A name right behind what ends an operand.
        let is_operand = matches!(
            before.kind,
            Kind::QuotedName | Kind::Integer | Kind::Decimal | Kind::Float | Kind::Hex | Kind::Bit
        ) || before.is_symbol(")")
            || before.kind == Kind::String
            || (before.kind == Kind::Word
                && (ENDS.iter().any(|word| before.is_word(word))
                    || text.is_behind_point(last - 1)
                    || last - 1 == span.start));
        let token = text.get(last)?;
        let is_name = token.kind == Kind::QuotedName
            || (token.kind == Kind::Word && !ENDS.iter().any(|word| token.is_word(word)));
        if is_operand && is_name && !text.is_any(last - 1, &OPERATORS) {
            return Some(named(text.name(last)?.into_owned(), last));
        }
        if is_operand && token.kind == Kind::String && before.kind != Kind::String {
            // A name in quotes, or `DATE '…'` and `_utf8'…'`.
            return (before.kind != Kind::Word).then(|| {
                let name = token.string(&text.dialect).unwrap_or_default();
                named(String::from_utf8_lossy(&name).into_owned(), last)
            });
        }
        if is_name && before.kind == Kind::Word && !text.is_any(last - 1, &OPERATORS) {
            // `a b c`: not understood.
            return None;
        }
    }
    Some(Item {
        expression: span,
        alias: None,
        is_star: false,
    })
}

/// Words between operands.
const OPERATORS: [&str; 24] = [
    "AND",
    "OR",
    "XOR",
    "NOT",
    "DIV",
    "MOD",
    "LIKE",
    "RLIKE",
    "REGEXP",
    "IN",
    "IS",
    "BETWEEN",
    "BINARY",
    "COLLATE",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "INTERVAL",
    "ESCAPE",
    "EXISTS",
    "SOUNDS",
    "DATE",
    "TIMESTAMP",
];

/// The queries in an expression, outermost ones alone.
pub(super) fn subqueries(text: &Text<'_>, span: &Span) -> Option<Vec<Subquery>> {
    let mut found = Vec::new();
    let mut at = span.start;
    while at < span.end {
        if text.is_symbol(at, "(") && begins_query(text, at + 1) {
            let close = text.closing(at, span.end)?;
            let inner = at + 1..close;
            let query = Query::read(text, inner.clone())?;
            found.push(Subquery {
                span: at..close + 1,
                query,
            });
            at = close;
        }
        at += 1;
    }
    Some(found)
}
