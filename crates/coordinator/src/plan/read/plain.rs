//! Tables that are gathered under their own names, for a statement that runs as it stands.

use std::collections::{BTreeMap, BTreeSet};

use super::fill::{Fill, FillColumn};
use super::query::{Block, Part, Query};
use super::scope::{Ctes, Known, Scope, Source};
use super::tables::{Placement, Table};
use super::text::{Span, Text, quoted};

/// A table by its database and its name.
pub(super) type Key = (String, String);

/// What a query wants of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// The conditions of each place where it is read; `None` if some place wants all rows.
    conditions: Option<Vec<Vec<u8>>>,
    seen: bool,
    /// All columns.
    all: bool,
    /// How its rows are locked.
    lock: Option<Vec<u8>>,
}

/// What the rest of a query, without what is rewritten, wants of distributed tables.
pub(super) struct Wants<'k, 'p, 'a> {
    pub known: &'k Known<'p, 'a>,
    /// Blocks that are rewritten, by where they begin.
    pub rewritten: BTreeSet<usize>,
    pub of: BTreeMap<Key, Wanted>,
}

impl<'p> Wants<'_, 'p, '_> {
    pub fn query(&mut self, query: &'p Query, ctes: &Ctes<'p>) {
        for (number, cte) in query.ctes.iter().enumerate() {
            let before = self.known.ctes_before(query, number, ctes);
            self.query(&cte.query, &before);
        }
        let ctes = self.known.ctes_of(query, ctes);
        for part in &query.parts {
            match part {
                Part::Nested(query) => self.query(query, &ctes),
                Part::Values(queries) => {
                    for query in queries {
                        self.query(query, &ctes);
                    }
                }
                Part::Block(block) => self.block(block, &ctes),
            }
        }
    }

    fn block(&mut self, block: &'p Block, ctes: &Ctes<'p>) {
        if self.rewritten.contains(&block.span.start) {
            return;
        }
        let scope = self.known.scope(block, ctes.clone(), None);
        for (number, source) in scope.sources.iter().enumerate() {
            match source {
                Source::Query(query, false) => self.query(query, ctes),
                Source::Table(table) if table.is_hashed() => self.table(&scope, number),
                _ => {}
            }
        }
        for subquery in &block.subqueries {
            self.query(&subquery.query, ctes);
        }
    }

    fn table(&mut self, scope: &Scope<'_, 'p>, number: usize) {
        use super::from::Factor;
        let block = scope.block;
        let factor = &block.from.factors[number];
        let Factor::Named { schema, name } = &factor.what else {
            return;
        };
        let schema = schema
            .as_deref()
            .or(self.known.database)
            .unwrap_or_default();
        let text = self.known.text;
        let condition = self.condition(scope, number);
        let key = (schema.to_owned(), name.clone());
        let wanted = self.of.entry(key).or_insert_with(|| Wanted {
            conditions: Some(Vec::new()),
            ..Wanted::default()
        });
        wanted.seen = true;
        match (condition, &mut wanted.conditions) {
            (Some(condition), Some(conditions)) => {
                if !conditions.contains(&condition) {
                    conditions.push(condition);
                }
            }
            _ => wanted.conditions = None,
        }
        let goes_by = factor.goes_by();
        wanted.all |= block.from.merges_columns
            || block.items.iter().any(|item| {
                item.is_star
                    && (item.expression.len() == 1
                        || item.expression.len() > 3
                        || text.name(item.expression.start).as_deref() == goes_by)
            });
        if let Some(lock) = &block.lock {
            wanted.lock = Some(text.slice(lock).to_vec());
        }
    }

    /// What rows of a table must meet to count at one place; `None` if all may count.
    fn condition(&self, scope: &Scope<'_, 'p>, number: usize) -> Option<Vec<u8>> {
        let block = scope.block;
        let from = &block.from;
        let factor = &from.factors[number];
        if from.is_nested {
            return None;
        }
        let spans: Vec<&Span> = if factor.may_miss {
            factor.on.iter().collect()
        } else {
            from.conditions.iter().chain(&block.condition).collect()
        };
        let mut found: Vec<Vec<u8>> = Vec::new();
        for span in spans {
            for part in self.known.text.conjuncts(span, self.known.pipes_concat) {
                if !self.known.is_pushable(&part, scope) {
                    continue;
                }
                let names = self.known.names(&part, scope);
                let is_ours = names
                    .iter()
                    .all(|(_, column)| column.is_some_and(|column| column.factor == number));
                if is_ours && !names.is_empty() {
                    found.push(unqualified(self.known.text, &part, &names));
                }
            }
        }
        (!found.is_empty()).then(|| found.join(&b" AND "[..]))
    }
}

/// A condition with its columns' names alone.
fn unqualified<C>(text: &Text<'_>, span: &Span, names: &[(Span, C)]) -> Vec<u8> {
    let mut out = b"(".to_vec();
    let mut at = span.start;
    while at < span.end {
        if at > span.start {
            let between = text.bytes_of(&(at - 1..at)).end..text.bytes_of(&(at..at + 1)).start;
            out.extend_from_slice(&text.bytes[between]);
        }
        let next = match names.iter().find(|(name, _)| name.start == at) {
            Some((name, _)) => {
                let last = text.name(name.end - 1).unwrap_or_default();
                out.extend_from_slice(quoted(&last).as_bytes());
                name.end
            }
            None => {
                out.extend_from_slice(text.slice(&(at..at + 1)));
                at + 1
            }
        };
        at = next;
    }
    // A comment to the end of the line ends there.
    out.extend_from_slice(b"\n)");
    out
}

/// The names in a statement, in lower case: a column that has none of them is not needed.
pub(super) fn all_names(text: &Text<'_>) -> BTreeSet<String> {
    (0..text.len())
        .filter_map(|at| text.name(at))
        .map(|name| name.to_lowercase())
        .collect()
}

/// A table that is gathered under its own name.
pub(super) fn fill(
    key: &Key,
    table: &Table,
    names: Option<&BTreeSet<String>>,
    wanted: &Wanted,
) -> Fill {
    let all = wanted.all || names.is_none();
    let is_named = |at: &usize| {
        all || names.is_some_and(|names| names.contains(&table.columns[*at].name.to_lowercase()))
    };
    let mut needed: BTreeSet<usize> = (0..table.columns.len()).filter(is_named).collect();
    // An index that forbids equal rows needs all of its columns.
    loop {
        let before = needed.len();
        for index in table.indexes.iter().filter(|index| index.is_unique) {
            if index.columns.iter().any(|column| needed.contains(column)) {
                needed.extend(&index.columns);
            }
        }
        if needed.len() == before {
            break;
        }
    }
    if needed.is_empty()
        && let Placement::Hash { column, .. } = table.placement
    {
        // Only how many rows there are matters.
        needed.insert(column);
    }
    let indexes: Vec<_> = table
        .indexes
        .iter()
        .filter(|index| index.columns.iter().any(|column| needed.contains(column)))
        .collect();
    let mut lines: Vec<String> = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        let is_first = indexes
            .iter()
            .any(|index| index.columns.first() == Some(&at));
        let definition = if is_first {
            column.definition.clone()
        } else {
            column.definition.replacen(" AUTO_INCREMENT", "", 1)
        };
        lines.push(definition);
    }
    lines.extend(indexes.iter().map(|index| index.definition.clone()));
    let name = format!("{}.{}", quoted(&key.0), quoted(&key.1));
    let create = format!(
        "CREATE TEMPORARY TABLE {name} ({}) {} {}",
        lines.join(", "),
        super::ENGINE,
        table.options
    );
    let mut behind = format!(" FROM {name}").into_bytes();
    if let Some(conditions) = wanted.conditions.as_ref().filter(|it| !it.is_empty()) {
        behind.extend_from_slice(b" WHERE ");
        let any: Vec<_> = conditions
            .iter()
            .map(|it| [b"(", &it[..], b")"].concat())
            .collect();
        behind.extend(any.join(&b" OR "[..]));
    }
    // A limit of the session's own is for the statement alone.
    behind.extend_from_slice(b" LIMIT 18446744073709551615");
    if let Some(lock) = &wanted.lock {
        behind.push(b' ');
        behind.extend_from_slice(lock);
    }
    let columns: Vec<_> = needed
        .iter()
        .map(|&at| FillColumn {
            name: table.columns[at].name.clone(),
            expression: quoted(&table.columns[at].name).into_bytes(),
        })
        .collect();
    let filtered = wanted.conditions.as_ref().is_some_and(|it| !it.is_empty());
    Fill {
        about: format!(
            "{} of {}, {} of {} columns",
            if filtered {
                "rows that can matter"
            } else {
                "all rows"
            },
            key.1,
            columns.len(),
            table.columns.len()
        ),
        table: name,
        create: create.into_bytes(),
        columns,
        before: b"SELECT ".to_vec(),
        behind,
        nodes: table.nodes.clone(),
        types: Vec::new(),
    }
}

impl Wanted {
    /// All of it.
    pub fn everything() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// Whether it is read at all.
    pub fn is_read(&self) -> bool {
        self.seen
    }
}
