//! A block over rows of nodes, or over parts of groups.

use openpeta_sql_route::TokenKind;

use super::super::fill::{FillColumn, Parts, Piece, push_text};
use super::super::scope::{ColumnRef, Source};
use super::super::tables::same_name;
use super::super::text::Span;
use super::super::words::{Meaning, may_be_keyword, meaning};
use super::{Columns, Rewriter};
use crate::quote::identifier;

pub(super) struct Outline<'o, 'r, 'p, 'a> {
    pub(super) rewriter: &'o Rewriter<'r, 'p, 'a>,
    pub(super) columns: Columns,
    pub(super) pieces: Vec<Piece>,
    pub(super) parts: bool,
    /// Columns outside of functions over groups, as they stand.
    pub(super) bare: Vec<Span>,
}

/// Words behind `OVER` and in functions over groups.
const OF_WINDOWS: [&str; 16] = [
    "OVER",
    "PARTITION",
    "BY",
    "ORDER",
    "ROWS",
    "RANGE",
    "UNBOUNDED",
    "PRECEDING",
    "FOLLOWING",
    "CURRENT",
    "ROW",
    "SEPARATOR",
    "WITHIN",
    "GROUP",
    "LIMIT",
    "OFFSET",
];

impl Outline<'_, '_, '_, '_> {
    pub(super) fn star(&mut self, star: &Span) -> Option<()> {
        let rewriter = self.rewriter;
        let found = rewriter.known.star(rewriter.scope, star)?;
        let named = rewriter.star(star)?;
        for (number, ((factor, column), (name, expression))) in
            found.into_iter().zip(named).enumerate()
        {
            if self.parts {
                return None;
            }
            let column = ColumnRef {
                depth: 0,
                factor,
                column,
            };
            let column = self.columns.column(column, expression);
            let comma = if number > 0 { ", " } else { "" };
            let text = format!("{comma}{} AS {}", identifier(&column), identifier(&name));
            push_text(&mut self.pieces, text.as_bytes());
        }
        Some(())
    }

    /// An expression over the table at home.
    pub(super) fn expression(&mut self, span: &Span) -> Option<()> {
        let known = self.rewriter.known;
        let text = known.text;
        let mut at = span.start;
        while at < span.end {
            if at > span.start {
                let between = text.bytes_of(&(at - 1..at)).end..text.bytes_of(&(at..at + 1)).start;
                push_text(&mut self.pieces, &text.bytes[between]);
            }
            let token = text.get(at)?;
            match meaning(text, at) {
                Meaning::Name if !text.is_behind_point(at) => at = self.name(at, span)?,
                Meaning::Aggregate { splits } if self.parts => {
                    at = self.whole(at, splits, span)?;
                }
                _ => {
                    let is_placeholder = token.kind == TokenKind::Placeholder;
                    if is_placeholder || text.is_any(at, &["MATCH", "DEFAULT", "VALUES", "SELECT"])
                    {
                        return None;
                    }
                    push_text(&mut self.pieces, token.text);
                    at += 1;
                }
            }
        }
        Some(())
    }

    fn name(&mut self, at: usize, _of: &Span) -> Option<usize> {
        let rewriter = self.rewriter;
        let known = rewriter.known;
        let text = known.text;
        let end = known.name_end(at)?;
        let span = at..end;
        if let Some(column) = known.resolve(&span, rewriter.scope) {
            if column.depth > 0 {
                return None;
            }
            let is_other = end == at + 1 && rewriter.names_an_alias(&span);
            // Something selected has the name of a column, and is none.
            if is_other {
                return None;
            }
            let source = rewriter.scope.sources[column.factor];
            if matches!(source, Source::Unknown) {
                return None;
            }
            self.bare.push(span.clone());
            let name = self.columns.column(column, text.slice(&span).to_vec());
            push_text(&mut self.pieces, identifier(&name).as_bytes());
            return Some(end);
        }
        if end != at + 1 {
            return None;
        }
        let name = text.name(at)?;
        let is_alias = rewriter
            .block()
            .items
            .iter()
            .any(|item| item.alias.as_ref().is_some_and(|it| same_name(it, &name)));
        if is_alias || may_be_keyword(text, at) || text.is_any(at, &OF_WINDOWS) {
            push_text(&mut self.pieces, text.get(at)?.text);
            return Some(end);
        }
        None
    }

    /// A function over a group, out of parts.
    fn whole(&mut self, at: usize, splits: bool, of: &Span) -> Option<usize> {
        let rewriter = self.rewriter;
        let known = rewriter.known;
        let text = known.text;
        let close = text.closing(at + 1, of.end)?;
        if !splits || text.is_word(close + 1, "OVER") {
            return None;
        }
        let mut argument = at + 2..close;
        let distinct = text.is_word(argument.start, "DISTINCT");
        argument.start += usize::from(distinct);
        let is_count = text.is_word(at, "COUNT");
        let is_star = argument.len() == 1 && text.is_symbol(argument.start, "*");
        let extreme = text.is_any(at, &["MIN", "MAX"]);
        if distinct && !extreme {
            // Each value is on one node.
            let arguments = text.between_commas(&argument);
            let mut columns = arguments.iter();
            if !columns.any(|it| known.is_key(it, rewriter.scope, rewriter.core)) {
                return None;
            }
        }
        let counts_rows = is_count && is_star;
        if !(counts_rows || known.is_pushable(&argument, rewriter.scope)) {
            return None;
        }
        let call = text.slice(&(at..close + 1)).to_vec();
        let inner = text.slice(&(at + 2..close));
        let as_function = |name: &str| [name.as_bytes(), b"(", inner, b")"].concat();
        let fill = rewriter.fill;
        let parts = if is_count {
            Parts::Count(self.columns.add("p", call))
        } else if text.is_word(at, "SUM") {
            Parts::Sum(self.columns.add("p", call))
        } else if text.is_word(at, "MIN") {
            Parts::Min(self.columns.add("p", call))
        } else if text.is_word(at, "MAX") {
            Parts::Max(self.columns.add("p", call))
        } else {
            let sum = self.columns.add("p", as_function("SUM"));
            let count = self.columns.add("p", as_function("COUNT"));
            let typed = format!("__t{}", self.columns.types.len() + 1);
            self.columns.types.push(FillColumn {
                name: typed.clone(),
                expression: call,
            });
            Parts::Average { sum, count, typed }
        };
        self.pieces.push(Piece::Whole { fill, of: parts });
        Some(close + 1)
    }
}
