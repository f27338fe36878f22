//! Which rows of a table can matter to a statement.

use std::collections::{BTreeMap, BTreeSet};

use super::from::Factor;
use super::scope::{ColumnRef, Known, Scope, Source};
use super::tables::Placement;
use super::text::Span;
use crate::quote::identifier;

/// What the table goes by where its rows are looked for.
pub(super) const ROW: &str = "__row";

/// A table of a block, by how far around that block is and its place there.
type Place = (usize, usize);

/// A part of a condition, and what it is about.
struct Part {
    span: Span,
    /// The columns in it: where each stands, of which table beside the one whose rows are looked for, if not of
    /// that one, and its name.
    columns: Vec<(Span, Option<Place>, String)>,
    /// The tables beside the one whose rows are looked for.
    others: BTreeSet<Place>,
    /// Whether it is about that one.
    is_ours: bool,
}

impl<'p> Known<'p, '_> {
    /// What a row of a block's table must meet to matter there, each of several conditions; `None` if all may
    /// matter. That is what the conditions say of the row alone, and that there are rows of the tables that
    /// all nodes have which it can be joined to, also of the blocks around.
    pub(super) fn row_conditions(
        &self,
        scope: &Scope<'_, 'p>,
        number: usize,
    ) -> Option<BTreeSet<Vec<u8>>> {
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
                    span: span.clone(),
                    columns: Vec::new(),
                    others: BTreeSet::new(),
                    is_ours: false,
                };
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
                    let place = (!is_ours).then_some((depth + column.depth, column.factor));
                    part.others.extend(place);
                    let last = self.text.name(name.end - 1).unwrap_or_default();
                    part.columns.push((name, place, identifier(&last)));
                }
                if fits {
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
    fn rendered(&self, part: &Part, aliases: &BTreeMap<Place, String>) -> Vec<u8> {
        let (text, span) = (self.text, &part.span);
        let name = |(name, place, column): &(Span, Option<Place>, String)| {
            let table = place.as_ref().map_or(ROW, |place| &aliases[place]);
            (name.clone(), format!("`{table}`.{column}"))
        };
        let names: Vec<_> = part.columns.iter().map(name).collect();
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
    fn together(&self, scope: &Scope<'_, 'p>, parts: Vec<Part>) -> Option<BTreeSet<Vec<u8>>> {
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
        // By their order, not by how far around they are: what is the same in a block and in one inside of it
        // is said in the same words.
        let numbered = reached.iter().enumerate();
        let aliases: BTreeMap<_, _> = numbered
            .map(|(number, &place)| (place, format!("__other_{number}")))
            .collect();
        let texts = |parts: Vec<Part>| -> BTreeSet<_> {
            parts
                .iter()
                .map(|part| self.rendered(part, &aliases))
                .collect()
        };
        let mut all = texts(own);
        if !reached.is_empty() {
            let tables: Option<Vec<_>> = aliases
                .iter()
                .map(|(&place, alias)| Some(format!("{} AS `{alias}`", self.place(scope, place)?)))
                .collect();
            let conditions: Vec<_> = texts(joined).into_iter().collect();
            let exists = format!("EXISTS (SELECT 1 FROM {} WHERE ", tables?.join(", "));
            all.insert([exists.as_bytes(), &conditions.join(&b" AND "[..]), b")"].concat());
        }
        (!all.is_empty()).then_some(all)
    }

    /// The full name of a table in a block or one around it.
    fn place(&self, scope: &Scope<'_, 'p>, (depth, factor): Place) -> Option<String> {
        let mut scope = scope;
        for _ in 0..depth {
            scope = scope.outer?;
        }
        let Factor::Named { schema, name } = &scope.block.from.factors[factor].what else {
            return None;
        };
        let schema = schema.as_deref().or(self.database)?;
        Some(format!("{}.{}", identifier(schema), identifier(name)))
    }
}
