//! Tables that are gathered under their own names, for a statement that runs as it stands.

use std::collections::{BTreeMap, BTreeSet};

use super::fill::{Fill, FillColumn};
use super::from::Factor;
use super::matter::ROW;
use super::query::{Block, Part, Query};
use super::scope::{Ctes, Known, Scope, Source};
use super::tables::{Index, Placement, Table};
use super::text::Text;
use crate::quote::identifier;

/// Before a statement with a definition as home has shown it: with times of UTC, and such as some modes refuse.
pub(crate) const AS_SHOWN: &str =
    "SET STATEMENT time_zone='+00:00',sql_mode='ALLOW_INVALID_DATES' FOR ";

/// A table by its database and its name.
pub(super) type Key = (String, String);

/// What a query wants of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// The conditions of each place where it is read; `None` if some place wants all rows.
    conditions: Option<Vec<BTreeSet<Vec<u8>>>>,
    seen: bool,
    /// All columns.
    all: bool,
    /// No place where it is read tells how often there is a row.
    once: bool,
    /// How its rows are locked.
    lock: Option<Vec<u8>>,
}

impl Wanted {
    /// Whatever names ask for, locked.
    pub fn locked(clause: &str) -> Self {
        Self {
            lock: Some(clause.as_bytes().to_vec()),
            ..Self::default()
        }
    }
}

/// What a query's rows are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// All of them matter.
    Rows,
    /// Whether there are any.
    Existence,
    /// Whether a value is among them.
    Membership,
}

impl Use {
    /// Whether a block says the same if a row that is there several times is there once.
    fn is_same_for_equal_rows(self, block: &Block, text: &Text<'_>) -> bool {
        let is_plain = block.group.is_empty()
            && block.having.is_none()
            && block.windows.is_none()
            && block.limit.is_none()
            && block.lock.is_none()
            && block.into.is_none()
            && (0..text.len()).all(|at| !text.is_symbol(at, ":="));
        let counts = || {
            let mut all = block.items.iter().flat_map(|item| item.expression.clone());
            all.any(|at| text.is_symbol(at, "("))
        };
        is_plain
            && match self {
                Self::Rows => false,
                Self::Existence => true,
                Self::Membership => !counts(),
            }
    }
}

/// Types whose values are the same if they are equal.
const EXACT: [&str; 12] = [
    "tinyint",
    "smallint",
    "mediumint",
    "int",
    "bigint",
    "decimal",
    "year",
    "date",
    "datetime",
    "timestamp",
    "time",
    "bit",
];

/// What the rest of a query, without what is rewritten, wants of distributed tables.
pub(super) struct Wants<'k, 'p, 'a> {
    pub known: &'k Known<'p, 'a>,
    /// Blocks that are rewritten, by where they begin.
    pub rewritten: BTreeSet<usize>,
    pub of: BTreeMap<Key, Wanted>,
}

impl<'p> Wants<'_, 'p, '_> {
    pub fn query(&mut self, query: &'p Query, ctes: &Ctes<'p>) {
        self.inside(query, ctes, None, Use::Rows);
    }

    /// A query in the scope of another one, if it can be told what is in it.
    fn inside(
        &mut self,
        query: &'p Query,
        ctes: &Ctes<'p>,
        outer: Option<&Scope<'_, 'p>>,
        of: Use,
    ) {
        for (number, cte) in query.ctes.iter().enumerate() {
            let before = self.known.ctes_before(query, number, ctes);
            self.inside(&cte.query, &before, None, Use::Rows);
        }
        let ctes = self.known.ctes_of(query, ctes);
        let of = if query.parts.len() == 1 {
            of
        } else {
            Use::Rows
        };
        for part in &query.parts {
            match part {
                Part::Nested(query) => self.inside(query, &ctes, outer, of),
                Part::Values(queries) => {
                    for query in queries {
                        self.inside(query, &ctes, outer, Use::Rows);
                    }
                }
                Part::Block(block) => self.block(block, &ctes, outer, of),
            }
        }
    }

    fn block(&mut self, block: &'p Block, ctes: &Ctes<'p>, outer: Option<&Scope<'_, 'p>>, of: Use) {
        if self.rewritten.contains(&block.span.start) {
            return;
        }
        let scope = self.known.scope(block, ctes.clone(), outer);
        for (number, source) in scope.sources.iter().enumerate() {
            match source {
                Source::Query(query, false) => self.inside(query, ctes, None, Use::Rows),
                Source::Table(table) if table.is_hashed() => self.table(&scope, number, of),
                _ => {}
            }
        }
        let text = self.known.text;
        for subquery in &block.subqueries {
            let before = subquery.span.start.checked_sub(1);
            let is_behind = |word| before.is_some_and(|at| text.is_word(at, word));
            let of = match (is_behind("EXISTS"), is_behind("IN")) {
                (true, _) => Use::Existence,
                (_, true) => Use::Membership,
                _ => Use::Rows,
            };
            self.inside(&subquery.query, ctes, Some(&scope), of);
        }
    }

    fn table(&mut self, scope: &Scope<'_, 'p>, number: usize, of: Use) {
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
        let condition = self.known.row_conditions(scope, number);
        let key = (schema.to_owned(), name.clone());
        let wanted = self.of.entry(key).or_insert_with(|| Wanted {
            conditions: Some(Vec::new()),
            once: true,
            ..Wanted::default()
        });
        wanted.seen = true;
        wanted.once &= of.is_same_for_equal_rows(block, text);
        match (condition, &mut wanted.conditions) {
            (Some(condition), Some(conditions)) => {
                if !conditions.contains(&condition) {
                    conditions.push(condition);
                }
            }
            _ => wanted.conditions = None,
        }
        let goes_by = factor.goes_by();
        let has_star = block.items.iter().any(|item| {
            item.is_star
                && (item.expression.len() == 1
                    || item.expression.len() > 3
                    || text.name(item.expression.start).as_deref() == goes_by)
        });
        wanted.all |= block.from.merges_columns || (has_star && of != Use::Existence);
        if let Some(lock) = &block.lock {
            wanted.lock = Some(text.slice(lock).to_vec());
        }
    }
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
    // A statement may name an index itself.
    let is_hinted = |index: &&Index| names.is_some_and(|names| names.contains(&index.name));
    for index in table.indexes.iter().filter(is_hinted) {
        needed.extend(&index.columns);
    }
    if needed.is_empty()
        && let Placement::Hash { column, .. } = table.placement
    {
        // Only how many rows there are matters.
        needed.insert(column);
    }
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
    let name = format!("{}.{}", identifier(&key.0), identifier(&key.1));
    let create = format!(
        "{AS_SHOWN}CREATE TEMPORARY TABLE {name} ({}) {} {}",
        lines.join(", "),
        super::ENGINE,
        table.options
    );
    let mut behind = format!(" FROM {name} AS `{ROW}`").into_bytes();
    let owned = table.owned.as_ref();
    if let Some(owned) = owned {
        behind.extend_from_slice(b" WHERE ");
        behind.extend_from_slice(owned.condition(ROW).as_bytes());
    }
    if let Some(conditions) = wanted.conditions.as_ref().filter(|it| !it.is_empty()) {
        behind.extend_from_slice(match owned {
            Some(_) => b" AND (",
            None => b" WHERE ",
        });
        behind.extend(any_of(conditions));
        if owned.is_some() {
            behind.push(b')');
        }
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
            expression: format!("`{ROW}`.{}", identifier(&table.columns[at].name)).into_bytes(),
        })
        .collect();
    let is_exact = |at: &usize| EXACT.contains(&table.columns[*at].kind.as_str());
    let once = wanted.once
        && wanted.lock.is_none()
        && needed.iter().all(is_exact)
        && !indexes.iter().any(|index| index.is_unique);
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
        before: match once {
            true => b"SELECT DISTINCT ".to_vec(),
            false => b"SELECT ".to_vec(),
        },
        behind,
        nodes: table.nodes.clone(),
        types: Vec::new(),
        hides: true,
        owned: owned.map(|owned| owned.lists.clone()).unwrap_or_default(),
    }
}

/// A row must meet all conditions of one of these sets. Those that are in each stand alone: a server can go by
/// them to find rows, which it cannot by what stands on a side of `OR`.
fn any_of(sets: &[BTreeSet<Vec<u8>>]) -> Vec<u8> {
    let in_all = |condition: &&Vec<u8>| sets.iter().all(|set| set.contains(*condition));
    let common: BTreeSet<_> = sets.iter().flatten().filter(in_all).collect();
    let together = |of: Vec<&Vec<u8>>| {
        let each = of.into_iter().map(|it| [b"(", &it[..], b")"].concat());
        each.collect::<Vec<_>>().join(&b" AND "[..])
    };
    let rest = |set: &BTreeSet<Vec<u8>>| {
        let rest = set.iter().filter(|it| !common.contains(it)).collect();
        together(rest)
    };
    let rests: BTreeSet<_> = sets.iter().map(rest).collect();
    let mut all = together(common.iter().copied().collect());
    if !rests.contains(&b""[..]) {
        let rests: Vec<_> = rests
            .iter()
            .map(|it| [b"(", &it[..], b")"].concat())
            .collect();
        let rests = rests.join(&b" OR "[..]);
        all = match common.is_empty() {
            true => rests,
            false => [&all[..], b" AND (", &rests, b")"].concat(),
        };
    }
    all
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
