//! Each node gives finished rows, in order and cut off.

use openpeta_sql_route::TokenKind;

use super::columns::Columns;
use super::{Rewriter, Rewritten};
use crate::plan::read::fill::{Piece, push_text};
use crate::plan::read::query::Item;
use crate::plan::read::tables::same_name;
use crate::plan::read::text::Span;
use crate::plan::read::words::{Meaning, meaning};
use crate::quote::identifier;

impl Rewriter<'_, '_, '_> {
    /// Each node gives finished rows.
    pub(super) fn rows(&self) -> Option<Rewritten> {
        let block = self.block();
        let text = self.known.text;
        let distinct = block.is_distinct(text);
        let mut columns = Columns::default();
        let mut pieces = Vec::new();
        push_text(&mut pieces, b"SELECT ");
        push_text(&mut pieces, text.slice(&block.options));
        let mut places: Vec<(&Item, String)> = Vec::new();
        let mut first = true;
        let mut put = |pieces: &mut Vec<Piece>, column: &str, name: &str| {
            let comma = if std::mem::take(&mut first) {
                " "
            } else {
                ", "
            };
            push_text(pieces, format!("{comma}{}", identifier(column)).as_bytes());
            if !name.is_empty() {
                push_text(pieces, format!(" AS {}", identifier(name)).as_bytes());
            }
        };
        for item in &block.items {
            if item.is_star {
                for (name, expression) in self.star(&item.expression)? {
                    let column = columns.add("c", expression);
                    put(&mut pieces, &column, &name);
                }
                continue;
            }
            let is_column = self.known.name_end(item.expression.start) == Some(item.expression.end);
            if !(self.is_whole || is_column) {
                return None;
            }
            self.is_finished(&item.expression)?;
            let column = columns.add("c", text.slice(&item.expression).to_vec());
            let name = self
                .known
                .item_name(&item.expression, item.alias.as_deref());
            put(&mut pieces, &column, &name);
            places.push((item, column));
        }
        let has_star = block.items.iter().any(|item| item.is_star);
        let mut orders = Vec::new();
        let mut node_orders = Vec::new();
        for span in &block.order {
            let (expression, direction) = self.direction(span);
            let found = self.ordered_by(&expression, &places, has_star)?;
            let (column, node) = match found {
                Some((item, column)) => (column.clone(), text.slice(&item.expression).to_vec()),
                None => {
                    self.is_finished(&expression)?;
                    // Nothing that only the selected rows have.
                    let known = self.known.is_pushable(&expression, self.scope);
                    if distinct || !known {
                        return None;
                    }
                    let node = text.slice(&expression).to_vec();
                    (columns.add("o", node.clone()), node)
                }
            };
            orders.push(format!("{}{direction}", identifier(&column)));
            node_orders.push([b"(".as_slice(), &node, b")", direction.as_bytes()].concat());
        }
        push_text(&mut pieces, format!(" FROM {}", self.table).as_bytes());
        if !orders.is_empty() {
            push_text(
                &mut pieces,
                format!(" ORDER BY {}", orders.join(", ")).as_bytes(),
            );
        }
        self.put_limit(&mut pieces);
        let mut behind = self.from();
        if let Some(limit) = self.first_rows() {
            if !node_orders.is_empty() {
                behind.extend_from_slice(b" ORDER BY ");
                behind.extend(node_orders.join(&b", "[..]));
            }
            behind.extend_from_slice(format!(" LIMIT {limit}").as_bytes());
        }
        let about = if distinct { "distinct rows" } else { "rows" };
        Some(Rewritten {
            fill: self.fill(
                columns,
                if distinct { b"DISTINCT " } else { b"" },
                behind,
                about,
            ),
            pieces,
            has_parts: false,
        })
    }

    /// Whether a node can evaluate an expression to its end.
    pub(super) fn is_finished(&self, span: &Span) -> Option<()> {
        let block = self.block();
        let inside = |at: usize| block.subqueries.iter().any(|it| it.span.contains(&at));
        for at in span.clone().filter(|&at| !inside(at)) {
            let is_placeholder = self
                .known
                .text
                .get(at)
                .is_some_and(|token| token.kind == TokenKind::Placeholder);
            let steady = matches!(
                meaning(self.known.text, at),
                Meaning::Steady | Meaning::Name
            );
            if is_placeholder || !steady {
                return None;
            }
        }
        let names = self.known.names(span, self.scope);
        if !names
            .iter()
            .all(|(_, column)| column.is_some_and(|it| it.depth == 0))
        {
            return None;
        }
        for subquery in &block.subqueries {
            if span.contains(&subquery.span.start)
                && !self.known.subquery_is_local(
                    self.scope,
                    self.core,
                    &subquery.span,
                    &subquery.query,
                    0,
                )
            {
                return None;
            }
        }
        Some(())
    }

    /// The columns of a star, with what they are called.
    pub(super) fn star(&self, star: &Span) -> Option<Vec<(String, Vec<u8>)>> {
        let found = self.known.star(self.scope, star)?;
        let expressions = found.into_iter().map(|(factor, column)| {
            let name = self.scope.columns[factor].as_ref()?.get(column)?;
            let table = self.block().from.factors[factor].goes_by()?;
            let expression = format!("{}.{}", identifier(table), identifier(name));
            Some((name.clone(), expression.into_bytes()))
        });
        expressions.collect()
    }

    /// An expression of `ORDER BY` and its direction.
    pub(super) fn direction(&self, span: &Span) -> (Span, &'static str) {
        let last = span.end - 1;
        if self.known.text.is_word(last, "DESC") {
            (span.start..last, " DESC")
        } else if self.known.text.is_word(last, "ASC") {
            (span.start..last, "")
        } else {
            (span.clone(), "")
        }
    }

    /// The selected thing that rows are ordered by; `None` inside if it is something else, and outside
    /// if that is not certain.
    #[expect(clippy::option_option, reason = "two kinds of nothing")]
    fn ordered_by<'i>(
        &self,
        span: &Span,
        places: &'i [(&'i Item, String)],
        has_star: bool,
    ) -> Option<Option<&'i (&'i Item, String)>> {
        let text = self.known.text;
        if span.is_empty() {
            return None;
        }
        if span.len() == 1
            && let Some(token) = text.get(span.start)
            && token.kind == TokenKind::Integer
        {
            let number: usize = std::str::from_utf8(token.text).ok()?.parse().ok()?;
            let place = places.get(number.checked_sub(1)?);
            return (!has_star && place.is_some()).then_some(place);
        }
        if span.len() == 1
            && let Some(name) = text.name(span.start)
        {
            let mut named = places
                .iter()
                .filter(|(item, _)| item.alias.as_ref().is_some_and(|it| same_name(it, &name)));
            if let Some(place) = named.next() {
                return named.next().is_none().then_some(Some(place));
            }
        }
        if self.names_an_alias(span) {
            return None;
        }
        Some(
            places
                .iter()
                .find(|(item, _)| text.is_same(&item.expression, span)),
        )
    }

    /// Whether a name in an expression is that of something selected which is another thing.
    pub(super) fn names_an_alias(&self, span: &Span) -> bool {
        let text = self.known.text;
        span.clone().any(|at| {
            let name = text.name(at).filter(|_| !text.is_behind_point(at));
            name.is_some_and(|name| {
                self.block().items.iter().any(|item| {
                    item.alias.as_ref().is_some_and(|it| same_name(it, &name))
                        && !text.is_same(&item.expression, &(at..at + 1))
                })
            })
        })
    }

    pub(super) fn put_limit(&self, pieces: &mut Vec<Piece>) {
        if let Some(limit) = &self.block().limit {
            let text = self.known.text;
            let is_standard = text.is_any(limit.start, &["OFFSET", "FETCH"]);
            push_text(pieces, if is_standard { b" " } else { b" LIMIT " });
            push_text(pieces, text.slice(limit));
        }
    }

    /// How many of a node's first rows can be among the result's.
    fn first_rows(&self) -> Option<u64> {
        let block = self.block();
        let text = self.known.text;
        let counts_all = block
            .options
            .clone()
            .any(|at| text.is_word(at, "SQL_CALC_FOUND_ROWS"));
        let limit = block.limit.as_ref().filter(|_| !counts_all)?;
        let number = |at: usize| {
            let token = text.get(at).filter(|it| it.kind == TokenKind::Integer)?;
            std::str::from_utf8(token.text).ok()?.parse::<u64>().ok()
        };
        match limit.len() {
            1 => number(limit.start),
            3 if text.is_symbol(limit.start + 1, ",")
                || text.is_word(limit.start + 1, "OFFSET") =>
            {
                number(limit.start)?.checked_add(number(limit.start + 2)?)
            }
            _ => None,
        }
    }
}
