//! Nodes give parts of groups, or the joined rows over which the block runs at home.

use openpeta_sql_route::TokenKind;

use super::columns::Columns;
use super::outline::Outline;
use super::{Rewriter, Rewritten};
use crate::plan::read::fill::push_text;
use crate::plan::read::tables::same_name;
use crate::plan::read::text::Span;
use crate::quote::identifier;

impl Rewriter<'_, '_, '_> {
    /// The block over rows of nodes, or over parts of groups.
    pub(super) fn outline(&self, parts: bool) -> Option<Rewritten> {
        let block = self.block();
        let text = self.known.text;
        let mut out = Outline {
            rewriter: self,
            columns: Columns::default(),
            pieces: Vec::new(),
            parts,
            bare: Vec::new(),
        };
        push_text(&mut out.pieces, b"SELECT ");
        push_text(&mut out.pieces, text.slice(&block.options));
        for (number, item) in block.items.iter().enumerate() {
            push_text(&mut out.pieces, if number > 0 { b", " } else { b" " });
            if item.is_star {
                out.star(&item.expression)?;
                continue;
            }
            out.expression(&item.expression)?;
            let name = self
                .known
                .item_name(&item.expression, item.alias.as_deref());
            if !name.is_empty() {
                push_text(
                    &mut out.pieces,
                    format!(" AS {}", identifier(&name)).as_bytes(),
                );
            }
        }
        push_text(&mut out.pieces, format!(" FROM {}", self.table).as_bytes());
        let groups = self.groups()?;
        for (number, span) in block.group.iter().enumerate() {
            push_text(
                &mut out.pieces,
                if number > 0 { b", " } else { b" GROUP BY " },
            );
            out.expression(span)?;
        }
        if block.rollup {
            push_text(&mut out.pieces, b" WITH ROLLUP");
        }
        if let Some(having) = &block.having {
            push_text(&mut out.pieces, b" HAVING ");
            out.expression(having)?;
        }
        for (number, span) in block.order.iter().enumerate() {
            push_text(
                &mut out.pieces,
                if number > 0 { b", " } else { b" ORDER BY " },
            );
            out.expression(span)?;
        }
        self.put_limit(&mut out.pieces);
        let Outline {
            mut columns,
            pieces,
            bare,
            ..
        } = out;
        let mut behind = self.from();
        if parts {
            // Any row's value is as good as another's, but there must be one.
            let of_groups = |span: &Span| groups.iter().any(|it| text.is_same(it, span));
            let others = bare.iter().any(|span| !of_groups(span));
            if others && (self.full_group_by || groups.is_empty()) {
                return None;
            }
            for (number, span) in groups.iter().enumerate() {
                self.is_finished(span)?;
                behind.extend_from_slice(if number > 0 { b", " } else { b" GROUP BY " });
                behind.extend_from_slice(b"(");
                behind.extend_from_slice(text.slice(span));
                behind.extend_from_slice(b")");
            }
        }
        if columns.list.is_empty() {
            // Only how many rows there are matters.
            columns.add("n", b"1".to_vec());
        }
        let about = if parts {
            "parts of groups"
        } else {
            "joined rows"
        };
        Some(Rewritten {
            fill: self.fill(columns, b"", behind, about),
            pieces,
            has_parts: parts,
        })
    }

    /// What the block is grouped by, each as an expression over its tables.
    fn groups(&self) -> Option<Vec<Span>> {
        let block = self.block();
        let text = self.known.text;
        let of = |span: &Span| {
            let (span, _) = self.direction(span);
            if span.len() == 1 {
                let token = text.get(span.start)?;
                if token.kind == TokenKind::Integer {
                    let number: usize = std::str::from_utf8(token.text).ok()?.parse().ok()?;
                    let item = block.items.get(number.checked_sub(1)?)?;
                    let has_star = block.items.iter().any(|item| item.is_star);
                    return (!has_star).then(|| item.expression.clone());
                }
                if self.known.resolve(&span, self.scope).is_none()
                    && let Some(name) = text.name(span.start)
                {
                    let item = block
                        .items
                        .iter()
                        .find(|item| item.alias.as_ref().is_some_and(|it| same_name(it, &name)))?;
                    return Some(item.expression.clone());
                }
            }
            Some(span)
        };
        block.group.iter().map(of).collect()
    }
}
