//! Which rows of a table can matter to a statement.

use std::collections::BTreeSet;

use super::from::Factor;
use super::scope::{ColumnRef, Known, Scope, Source};
use super::tables::Placement;
use super::text::{Span, quoted};

/// What the table goes by where its rows are looked for.
pub(super) const ROW: &str = "__row";

/// A part of a condition, and what it is about.
struct Part {
    text: Vec<u8>,
    /// The tables beside the one whose rows are looked for.
    others: BTreeSet<(usize, usize)>,
    /// Whether it is about that one.
    is_ours: bool,
}

impl<'p> Known<'p, '_> {
    /// What a row of a block's table must meet to matter there; `None` if all may matter. That is what
    /// the conditions say of the row alone, and that there are rows of the tables that all nodes have
    /// which it can be joined to, also of the blocks around.
    pub(super) fn row_condition(&self, scope: &Scope<'_, 'p>, number: usize) -> Option<Vec<u8>> {
        let from = &scope.block.from;
        let factor = &from.factors[number];
        if from.is_nested {
            return None;
        }
        let mut parts = Vec::new();
        let own: Vec<&Span> = if factor.may_miss {
            factor.on.iter().collect()
        } else {
            from.conditions
                .iter()
                .chain(&scope.block.condition)
                .collect()
        };
        self.parts(scope, 0, own, Some(number), &mut parts);
        if factor.may_miss {
            let all = from
                .conditions
                .iter()
                .chain(&scope.block.condition)
                .collect();
            self.parts(scope, 0, all, None, &mut parts);
        }
        let (mut outer, mut depth) = (scope.outer, 1);
        while let Some(scope) = outer {
            let from = &scope.block.from;
            if from.is_nested {
                break;
            }
            let all = from
                .conditions
                .iter()
                .chain(&scope.block.condition)
                .collect();
            self.parts(scope, depth, all, None, &mut parts);
            (outer, depth) = (scope.outer, depth + 1);
        }
        self.together(scope, parts)
    }

    /// Reads the parts of conditions that are about the table and tables that all nodes have, or the
    /// latter alone where there is no `number`.
    fn parts(
        &self,
        scope: &Scope<'_, 'p>,
        depth: usize,
        spans: Vec<&Span>,
        number: Option<usize>,
        parts: &mut Vec<Part>,
    ) {
        for span in spans {
            for span in self.text.conjuncts(span, self.pipes_concat) {
                if !self.is_evaluable(&span, scope) {
                    continue;
                }
                let names = self.names(&span, scope);
                let mut part = Part {
                    text: Vec::new(),
                    others: BTreeSet::new(),
                    is_ours: false,
                };
                let mut rendered = Vec::new();
                let mut fits = !names.is_empty();
                for (name, column) in names {
                    let Some(column) = column else {
                        fits = false;
                        break;
                    };
                    let is_ours = column.depth == 0 && Some(column.factor) == number;
                    if !is_ours && !self.is_everywhere(scope, column) {
                        fits = false;
                        break;
                    }
                    part.is_ours |= is_ours;
                    let table = if is_ours {
                        ROW.to_owned()
                    } else {
                        let place = (depth + column.depth, column.factor);
                        part.others.insert(place);
                        alias(place)
                    };
                    let last = self.text.name(name.end - 1).unwrap_or_default();
                    rendered.push((name, format!("`{table}`.{}", quoted(&last))));
                }
                if fits {
                    part.text = self.rendered(&span, rendered);
                    parts.push(part);
                }
            }
        }
    }

    /// Whether a column is one of a table that all nodes have, and whose row cannot be missing.
    fn is_everywhere(&self, scope: &Scope<'_, 'p>, column: ColumnRef) -> bool {
        let mut scope = scope;
        for _ in 0..column.depth {
            let Some(outer) = scope.outer else {
                return false;
            };
            scope = outer;
        }
        let from = &scope.block.from;
        let is_broadcast = matches!(
            scope.sources[column.factor],
            Source::Table(table) if table.placement == Placement::Broadcast
        );
        // A node that has rows of the one must have the other.
        let mut nodes = self.tables.values().map(|table| &table.nodes);
        let first = nodes.next();
        let is_broadcast = is_broadcast && nodes.all(|nodes| Some(nodes) == first);
        is_broadcast && !from.factors[column.factor].may_miss && !from.is_nested
    }

    /// A condition with other names for its columns.
    fn rendered(&self, span: &Span, names: Vec<(Span, String)>) -> Vec<u8> {
        let text = self.text;
        // Which side an equality has what on does not matter.
        if let [(one, a), (other, b)] = &names[..]
            && one.start == span.start
            && text.is_symbol(one.end, "=")
            && other.start == one.end + 1
            && other.end == span.end
        {
            let (first, second) = if a < b { (a, b) } else { (b, a) };
            return format!("{first} = {second}").into_bytes();
        }
        let mut out = b"(".to_vec();
        let mut at = span.start;
        while at < span.end {
            if at > span.start {
                let between = text.bytes_of(&(at - 1..at)).end..text.bytes_of(&(at..at + 1)).start;
                out.extend_from_slice(&text.bytes[between]);
            }
            at = match names.iter().find(|(name, _)| name.start == at) {
                Some((name, rendered)) => {
                    out.extend_from_slice(rendered.as_bytes());
                    name.end
                }
                None => {
                    out.extend_from_slice(text.slice(&(at..at + 1)));
                    at + 1
                }
            };
        }
        // A comment to the end of the line ends there.
        out.extend_from_slice(b"\n)");
        out
    }

    /// Puts together what parts say of a row.
    fn together(&self, scope: &Scope<'_, 'p>, parts: Vec<Part>) -> Option<Vec<u8>> {
        let (own, mut joined): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .partition(|part| part.is_ours && part.others.is_empty());
        // Tables that nothing leads to from the row say nothing of it.
        let mut reached = BTreeSet::new();
        loop {
            let before = reached.len();
            for part in &joined {
                if part.is_ours || part.others.iter().any(|it| reached.contains(it)) {
                    reached.extend(&part.others);
                }
            }
            if reached.len() == before {
                break;
            }
        }
        joined.retain(|part| part.others.iter().all(|it| reached.contains(it)));
        let texts = |parts: Vec<Part>| {
            let texts: BTreeSet<_> = parts.into_iter().map(|part| part.text).collect();
            texts.into_iter().collect::<Vec<_>>()
        };
        let mut all = texts(own);
        if !reached.is_empty() {
            let tables: Option<Vec<_>> = reached
                .iter()
                .map(|&place| {
                    Some(format!(
                        "{} AS `{}`",
                        self.place(scope, place)?,
                        alias(place)
                    ))
                })
                .collect();
            let condition = texts(joined).join(&b" AND "[..]);
            let exists = format!("EXISTS (SELECT 1 FROM {} WHERE ", tables?.join(", "));
            all.push([exists.as_bytes(), &condition, b")"].concat());
        }
        (!all.is_empty()).then(|| all.join(&b" AND "[..]))
    }

    /// The full name of a table in a block or one around it.
    fn place(&self, scope: &Scope<'_, 'p>, (depth, factor): (usize, usize)) -> Option<String> {
        let mut scope = scope;
        for _ in 0..depth {
            scope = scope.outer?;
        }
        let Factor::Named { schema, name } = &scope.block.from.factors[factor].what else {
            return None;
        };
        let schema = schema.as_deref().or(self.database)?;
        Some(format!("{}.{}", quoted(schema), quoted(name)))
    }
}

/// What a table beside the one whose rows are looked for goes by.
fn alias((depth, factor): (usize, usize)) -> String {
    format!("__other_{depth}_{factor}")
}
