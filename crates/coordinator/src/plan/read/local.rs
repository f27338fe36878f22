//! Which blocks each node can evaluate over the rows that it has, so that all rows together are what
//! one server would have found.

use std::collections::BTreeSet;

use openpeta_sql_route::TokenKind;

use super::query::{Block, Part, Query};
use super::scope::{ColumnRef, Ctes, Known, Scope, Source};
use super::tables::Placement;
use super::text::Span;
use super::words::{Meaning, has_aggregate, is_steady, meaning};

/// What a node finds over its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Locality {
    /// The same as any other.
    Replicated,
    /// Rows that no other has, each on the node of a key.
    Partitioned {
        /// Which of the query's columns have that key.
        keys: Vec<usize>,
        domain: String,
    },
}

/// What a block reads, before it is grouped.
#[derive(Clone, Debug, Default)]
pub(super) struct Core {
    /// The columns that equal the key of their row's partition; none if each node finds the same.
    pub keys: BTreeSet<ColumnRef>,
    /// The domain of the key.
    pub domain: Option<String>,
}

/// The block around a query, and what it reads if the query shall be about rows of the same key.
type Outer<'o, 's, 'p> = Option<(&'o Scope<'s, 'p>, Option<&'o Core>)>;

const DEEPEST: usize = 12;

impl<'p> Known<'p, '_> {
    /// What a node finds for a query; `None` if it cannot tell by its own rows.
    fn locality(
        &self,
        query: &'p Query,
        ctes: &Ctes<'p>,
        outer: Outer<'_, '_, 'p>,
        depth: usize,
    ) -> Option<Locality> {
        if depth > DEEPEST || query.limit.is_some() {
            return None;
        }
        let ctes = self.ctes_of(query, ctes);
        let mut found = None;
        for part in &query.parts {
            let locality = match part {
                Part::Block(block) => self.block_locality(block, ctes.clone(), outer, depth)?,
                Part::Nested(query) => self.locality(query, &ctes, outer, depth + 1)?,
                Part::Values(_) => return None,
            };
            found = match (found, locality) {
                (None, locality) => Some(locality),
                (Some(Locality::Replicated), Locality::Replicated) => Some(Locality::Replicated),
                // Rows of several parts may be equal, and on several nodes.
                _ => return None,
            };
        }
        found
    }

    fn block_locality(
        &self,
        block: &'p Block,
        ctes: Ctes<'p>,
        outer: Outer<'_, '_, 'p>,
        depth: usize,
    ) -> Option<Locality> {
        let scope = self.scope(block, ctes, outer.map(|(scope, _)| scope));
        let core = self.core(&scope, outer.and_then(|(_, core)| core), depth)?;
        let is_plain = block.limit.is_none() && block.windows.is_none() && !block.rollup;
        if !is_plain || !block.expressions().all(|span| self.is_fit(span, block)) {
            return None;
        }
        let stars = block.items.iter().filter(|item| item.is_star);
        let stars: Vec<_> = stars.map(|item| item.expression.start).collect();
        let unknown =
            |span: &&Span| !stars.contains(&span.start) && !self.knows(span, &scope, true);
        if block.expressions().any(|span| unknown(&span)) {
            return None;
        }
        for subquery in &block.subqueries {
            if !self.subquery_is_local(&scope, &core, &subquery.span, &subquery.query, depth) {
                return None;
            }
        }
        let Some(domain) = core.domain.clone() else {
            return Some(Locality::Replicated);
        };
        let keys = self.key_items(&scope, &core)?;
        let is_grouped = !block.group.is_empty()
            || block.having.is_some()
            || block
                .items
                .iter()
                .any(|item| has_aggregate(self.text, &item.expression));
        // Of a query about the outer row's key, all rows that count are on one node.
        let is_bound = outer.is_some_and(|(_, core)| core.is_some());
        let groups_are_local = is_bound
            || block
                .group
                .iter()
                .any(|span| self.is_key(span, &scope, &core));
        let repeats = block.is_distinct(self.text) && keys.is_empty() && !is_bound;
        if (is_grouped && !groups_are_local) || repeats {
            return None;
        }
        Some(Locality::Partitioned { keys, domain })
    }

    /// The places of the selected columns that have the key.
    fn key_items(&self, scope: &Scope<'_, 'p>, core: &Core) -> Option<Vec<usize>> {
        let mut keys = Vec::new();
        let mut place = 0;
        for item in &scope.block.items {
            if !item.is_star {
                if self.is_key(&item.expression, scope, core) {
                    keys.push(place);
                }
                place += 1;
                continue;
            }
            for (factor, column) in self.star(scope, &item.expression)? {
                let column = own(factor, column);
                if core.keys.contains(&column) {
                    keys.push(place);
                }
                place += 1;
            }
        }
        Some(keys)
    }

    /// Whether an expression is a column that has the key.
    pub(super) fn is_key(&self, span: &Span, scope: &Scope<'_, 'p>, core: &Core) -> bool {
        let is_name = self.name_end(span.start) == Some(span.end);
        let column = self.resolve(span, scope).filter(|_| is_name);
        column.is_some_and(|column| column.depth == 0 && core.keys.contains(&column))
    }

    /// Whether an expression, but for queries inside of it, means the same on each node.
    fn is_fit(&self, span: &Span, block: &Block) -> bool {
        let inside = |at: usize| block.subqueries.iter().any(|it| it.span.contains(&at));
        span.clone().filter(|&at| !inside(at)).all(|at| {
            let is_parameter = self
                .text
                .get(at)
                .is_some_and(|token| token.kind == TokenKind::Placeholder);
            !is_parameter && meaning(self.text, at) != Meaning::Unsteady
        })
    }

    /// What a block reads; `None` if a node cannot tell by its own rows. With `bound`, all of it shall
    /// be about the key of the outer row.
    pub(super) fn core(
        &self,
        scope: &Scope<'_, 'p>,
        bound: Option<&Core>,
        depth: usize,
    ) -> Option<Core> {
        let block = scope.block;
        let from = &block.from;
        let is_clear = block.lock.is_none()
            && block.into.is_none()
            && !(from.is_outer && from.is_nested)
            && !from.merges_columns;
        if !is_clear || depth > DEEPEST {
            return None;
        }
        let keyed = self.keyed_sources(scope, depth)?;
        let conditions = from.conditions.iter().chain(&block.condition);
        let on = from.factors.iter().filter_map(|factor| factor.on.as_ref());
        let is_clear = |span: &Span| self.is_fit(span, block) && self.knows(span, scope, false);
        if !conditions.clone().chain(on).all(is_clear) {
            return None;
        }
        let equalities = self.equalities(conditions, scope);
        let mut core = Core::default();
        if let Some(outer) = bound.filter(|_| !keyed.is_empty()) {
            core.keys.extend(outer.keys.iter().map(|key| ColumnRef {
                depth: key.depth + 1,
                ..*key
            }));
            core.domain.clone_from(&outer.domain);
        }
        tie(&mut core, &keyed, scope, &equalities)?;
        // Inner tables of outer joins have their rows where those are that they are joined to.
        for it in keyed.iter().filter(|it| from.factors[it.factor].may_miss) {
            let on = from.factors[it.factor].on.as_ref()?;
            let equalities = self.equalities(std::iter::once(on), scope);
            let keys = it.columns();
            let is_tied = core.domain.as_ref() == Some(&it.domain)
                && equalities.iter().any(|(one, other)| {
                    (keys.contains(one) && core.keys.contains(other))
                        || (keys.contains(other) && core.keys.contains(one))
                });
            if !is_tied {
                return None;
            }
        }
        // Queries elsewhere are looked at by whoever evaluates them on nodes.
        let on = from.factors.iter().filter_map(|it| it.on.as_ref());
        let conditions: Vec<_> = from
            .conditions
            .iter()
            .chain(&block.condition)
            .chain(on)
            .collect();
        for subquery in &block.subqueries {
            let counts = conditions
                .iter()
                .any(|it| it.contains(&subquery.span.start));
            if counts
                && !self.subquery_is_local(scope, &core, &subquery.span, &subquery.query, depth)
            {
                return None;
            }
        }
        Some(core)
    }

    fn keyed_sources(&self, scope: &Scope<'_, 'p>, depth: usize) -> Option<Vec<Keyed>> {
        let mut keyed = Vec::new();
        for (factor, source) in scope.sources.iter().enumerate() {
            match source {
                Source::Table(table) => match &table.placement {
                    Placement::Hash { column, domain } => keyed.push(Keyed {
                        factor,
                        places: vec![*column],
                        domain: domain.clone(),
                    }),
                    Placement::Broadcast => {}
                    _ => return None,
                },
                Source::Query(query, _) => {
                    match self.locality(query, &scope.ctes, None, depth + 1)? {
                        Locality::Replicated => {}
                        Locality::Partitioned { keys, domain } => keyed.push(Keyed {
                            factor,
                            places: keys,
                            domain,
                        }),
                    }
                }
                Source::Unknown => return None,
            }
        }
        Some(keyed)
    }

    /// Whether a query in a block finds on a node what it finds over all rows.
    pub(super) fn subquery_is_local(
        &self,
        scope: &Scope<'_, 'p>,
        core: &Core,
        span: &Span,
        query: &'p Query,
        depth: usize,
    ) -> bool {
        // About the key of the outer row, or the same everywhere.
        let bound = core.domain.is_some().then_some(core);
        let outer = Some((scope, bound));
        match self.locality(query, &scope.ctes, outer, depth + 1) {
            Some(Locality::Replicated) => return true,
            Some(Locality::Partitioned { .. }) if bound.is_some() => return true,
            _ => {}
        }
        // `key IN (SELECT key …)`
        let outer = Some((scope, None));
        let Some(Locality::Partitioned { keys, domain }) =
            self.locality(query, &scope.ctes, outer, depth + 1)
        else {
            return false;
        };
        let Some(mut end) = span.start.checked_sub(1) else {
            return false;
        };
        if core.domain.as_ref() != Some(&domain) || !self.text.is_word(end, "IN") {
            return false;
        }
        end -= usize::from(end > 0 && self.text.is_word(end - 1, "NOT"));
        let name = self.name_before(end);
        keys == [0] && name.is_some_and(|name| self.is_key(&name, scope, core))
    }

    /// The name that ends before a token, if it is all that stands there.
    fn name_before(&self, end: usize) -> Option<Span> {
        let mut start = end.checked_sub(1)?;
        self.text.name(start)?;
        while start >= 2 && self.text.is_symbol(start - 1, ".") {
            self.text.name(start - 2)?;
            start -= 2;
        }
        // `a + k IN (…)` is about something else.
        let before = start.checked_sub(1)?;
        let is_first = self.text.is_any(
            before,
            &["WHERE", "AND", "ON", "NOT", "SELECT", "HAVING", "OR"],
        ) || self.text.is_symbol(before, "(");
        is_first.then_some(start..end)
    }

    /// The pairs of columns that conditions say are equal, so that they are on the same node if one of
    /// them is a key.
    fn equalities<'c>(
        &self,
        conditions: impl Iterator<Item = &'c Span>,
        scope: &Scope<'_, 'p>,
    ) -> Vec<(ColumnRef, ColumnRef)> {
        let mut found = Vec::new();
        for condition in conditions {
            for part in self.text.conjuncts(condition, self.pipes_concat) {
                let Some(middle) = self.name_end(part.start) else {
                    continue;
                };
                let is_equal =
                    self.text.is_symbol(middle, "=") || self.text.is_symbol(middle, "<=>");
                if !is_equal
                    || middle + 1 >= part.end
                    || self.name_end(middle + 1) != Some(part.end)
                {
                    continue;
                }
                let one = self.resolve(&(part.start..middle), scope);
                let other = self.resolve(&(middle + 1..part.end), scope);
                if let (Some(one), Some(other)) = (one, other)
                    && let Some(kind) = self.kind(one, scope)
                    && self.kind(other, scope).as_ref() == Some(&kind)
                {
                    found.push((one, other));
                }
            }
        }
        found
    }

    /// What a column is compared as: equal values of columns of a kind go to the same partition.
    fn kind(&self, column: ColumnRef, scope: &Scope<'_, 'p>) -> Option<String> {
        let mut scope = scope;
        for _ in 0..column.depth {
            scope = scope.outer?;
        }
        match scope.sources[column.factor] {
            Source::Table(table) => {
                if is_integer(&table.columns[column.column].kind) {
                    return Some("integer".to_owned());
                }
                match &table.placement {
                    Placement::Hash {
                        column: key,
                        domain,
                    } if *key == column.column => Some(kind_of(domain)),
                    _ => None,
                }
            }
            Source::Query(query, _) => {
                match self.locality(query, &scope.ctes, None, DEEPEST / 2)? {
                    Locality::Partitioned { keys, domain } if keys.contains(&column.column) => {
                        Some(kind_of(&domain))
                    }
                    _ => None,
                }
            }
            Source::Unknown => None,
        }
    }

    /// Whether an expression without queries can be evaluated on nodes, over its block's tables.
    pub(super) fn is_pushable(&self, span: &Span, scope: &Scope<'_, 'p>) -> bool {
        self.is_evaluable(span, scope)
            && self
                .names(span, scope)
                .iter()
                .all(|(_, column)| column.is_some_and(|column| column.depth == 0))
    }

    /// Whether an expression has no queries in it and says the same everywhere.
    pub(super) fn is_evaluable(&self, span: &Span, scope: &Scope<'_, 'p>) -> bool {
        let inside = |at: usize| {
            scope
                .block
                .subqueries
                .iter()
                .any(|it| it.span.contains(&at))
        };
        is_steady(self.text, span) && !span.clone().any(inside) && self.is_fit(span, scope.block)
    }
}

/// A source with rows that no other node has.
struct Keyed {
    factor: usize,
    /// Its columns that have the key.
    places: Vec<usize>,
    domain: String,
}

impl Keyed {
    fn columns(&self) -> Vec<ColumnRef> {
        let column = |&column: &usize| own(self.factor, column);
        self.places.iter().map(column).collect()
    }
}

const fn own(factor: usize, column: usize) -> ColumnRef {
    ColumnRef {
        depth: 0,
        factor,
        column,
    }
}

/// Ties the sources that cannot miss to each other by their keys; `None` if they are not.
fn tie(
    core: &mut Core,
    keyed: &[Keyed],
    scope: &Scope<'_, '_>,
    equalities: &[(ColumnRef, ColumnRef)],
) -> Option<()> {
    let may_miss = |it: &&Keyed| scope.block.from.factors[it.factor].may_miss;
    let mut left: Vec<_> = keyed.iter().filter(|it| !may_miss(it)).collect();
    if core.domain.is_none() && !left.is_empty() {
        let first = left.remove(0);
        core.keys.extend(first.columns());
        core.domain = Some(first.domain.clone());
    }
    loop {
        spread(&mut core.keys, equalities);
        let before = left.len();
        left.retain(|it| {
            let keys = it.columns();
            let is_tied = core.domain.as_ref() == Some(&it.domain)
                && keys.iter().any(|key| core.keys.contains(key));
            if is_tied {
                core.keys.extend(keys);
            }
            !is_tied
        });
        if left.is_empty() {
            return Some(());
        } else if left.len() == before {
            return None;
        }
    }
}

/// Adds what equals something that is in the set.
fn spread(keys: &mut BTreeSet<ColumnRef>, equalities: &[(ColumnRef, ColumnRef)]) {
    loop {
        let before = keys.len();
        for (one, other) in equalities {
            if keys.contains(one) {
                keys.insert(*other);
            } else if keys.contains(other) {
                keys.insert(*one);
            }
        }
        if keys.len() == before {
            return;
        }
    }
}

/// The kind of values of a domain, which stands before its colon.
fn kind_of(domain: &str) -> String {
    domain.split(':').next().unwrap_or_default().to_owned()
}

fn is_integer(kind: &str) -> bool {
    matches!(
        kind,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint"
    )
}
