//! What names in a block mean.

use super::from::{Factor, TableFactor};
use super::query::{Block, Part, Query};
use super::tables::{Table, Tables, same_name};
use super::text::{Span, Text};
use super::words::{Meaning, may_be_keyword, meaning};

/// What is known for all of a statement.
#[derive(Clone, Copy)]
pub(super) struct Known<'p, 'a> {
    pub text: &'p Text<'a>,
    pub tables: &'p Tables,
    pub database: Option<&'p str>,
    pub pipes_concat: bool,
}

/// The common table expressions that can be named at a place; those that may be about themselves
/// without their query.
pub(super) type Ctes<'p> = Vec<(&'p str, Option<&'p Query>)>;

/// What a block reads from.
#[derive(Clone, Copy)]
pub(super) enum Source<'p> {
    /// A table or a view that is known.
    Table(&'p Table),
    /// A common table expression or a derived table.
    Query(&'p Query, bool),
    /// Something else.
    Unknown,
}

/// A block with the names that it knows.
pub(super) struct Scope<'s, 'p> {
    pub block: &'p Block,
    pub ctes: Ctes<'p>,
    pub sources: Vec<Source<'p>>,
    /// The columns of each source, if they are known.
    pub columns: Vec<Option<Vec<String>>>,
    pub outer: Option<&'s Scope<'s, 'p>>,
}

/// A column of a block's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ColumnRef {
    /// How many blocks further out.
    pub depth: usize,
    pub factor: usize,
    pub column: usize,
}

impl<'p> Known<'p, '_> {
    /// The expressions that can be named inside of a query.
    pub fn ctes_of(&self, query: &'p Query, outer: &Ctes<'p>) -> Ctes<'p> {
        let mut ctes = outer.clone();
        for cte in &query.ctes {
            let known = (!query.recursive && !cte.has_columns).then_some(&cte.query);
            ctes.push((&cte.name, known));
        }
        ctes
    }

    /// The expressions that can be named inside of one of a query's own expressions.
    pub fn ctes_before(&self, query: &'p Query, at: usize, outer: &Ctes<'p>) -> Ctes<'p> {
        let mut ctes = outer.clone();
        for (number, cte) in query.ctes.iter().enumerate() {
            if number < at && !query.recursive {
                ctes.push((&cte.name, (!cte.has_columns).then_some(&cte.query)));
            } else if query.recursive {
                ctes.push((&cte.name, None));
            }
        }
        ctes
    }

    pub fn source(&self, factor: &'p TableFactor, ctes: &Ctes<'p>) -> Source<'p> {
        match &factor.what {
            Factor::Derived(query) => Source::Query(query, false),
            Factor::Function => Source::Unknown,
            Factor::Named { schema, name } => {
                let of_cte = ctes.iter().rev().find(|(cte, _)| cte == name);
                if let Some((_, query)) = of_cte.filter(|_| schema.is_none()) {
                    return query.map_or(Source::Unknown, |query| Source::Query(query, true));
                }
                match self.table(schema.as_deref(), name) {
                    Some(table) => Source::Table(table),
                    None => Source::Unknown,
                }
            }
        }
    }

    pub fn table(&self, schema: Option<&str>, name: &str) -> Option<&'p Table> {
        let schema = schema.or(self.database)?;
        self.tables.get(&(schema.to_owned(), name.to_owned()))
    }

    pub fn scope<'s>(
        &self,
        block: &'p Block,
        ctes: Ctes<'p>,
        outer: Option<&'s Scope<'s, 'p>>,
    ) -> Scope<'s, 'p> {
        let factors = &block.from.factors;
        let sources: Vec<_> = factors.iter().map(|it| self.source(it, &ctes)).collect();
        let columns = sources
            .iter()
            .map(|source| match source {
                Source::Table(table) => {
                    let names = table.columns.iter().map(|it| it.name.clone());
                    Some(names.collect())
                }
                Source::Query(query, _) => self.output(query, &ctes, 0),
                Source::Unknown => None,
            })
            .collect();
        Scope {
            block,
            ctes,
            sources,
            columns,
            outer,
        }
    }

    /// The names of a query's columns.
    fn output(&self, query: &'p Query, ctes: &Ctes<'p>, depth: usize) -> Option<Vec<String>> {
        if depth > 8 {
            return None;
        }
        let ctes = self.ctes_of(query, ctes);
        match query.parts.first()? {
            Part::Nested(query) => self.output(query, &ctes, depth + 1),
            Part::Values(_) => None,
            Part::Block(block) => {
                let scope = self.scope(block, ctes, None);
                let mut names = Vec::new();
                for item in &block.items {
                    if item.is_star {
                        for (factor, column) in self.star(&scope, &item.expression)? {
                            names.push(scope.columns[factor].as_ref()?[column].clone());
                        }
                    } else {
                        names.push(self.item_name(&item.expression, item.alias.as_deref()));
                    }
                }
                Some(names)
            }
        }
    }

    /// The name that a selected expression goes by; empty if it is a text of its own.
    pub fn item_name(&self, expression: &Span, alias: Option<&str>) -> String {
        if let Some(alias) = alias {
            return alias.to_owned();
        }
        match self.name_end(expression.start) {
            Some(end) if end == expression.end => {
                let name = self.text.name(end - 1);
                name.unwrap_or_default().into_owned()
            }
            _ => String::new(),
        }
    }

    /// The columns that a star stands for, in order.
    pub fn star(&self, scope: &Scope<'_, 'p>, star: &Span) -> Option<Vec<(usize, usize)>> {
        if scope.block.from.merges_columns {
            return None;
        }
        let qualifier = match star.len() {
            1 => None,
            3 => Some(self.text.name(star.start)?),
            _ => return None,
        };
        let mut found = Vec::new();
        for (number, factor) in scope.block.from.factors.iter().enumerate() {
            let is_meant = qualifier
                .as_ref()
                .is_none_or(|name| factor.goes_by() == Some(&**name));
            if !is_meant {
                continue;
            }
            let columns = scope.columns[number].as_ref()?;
            for column in 0..columns.len() {
                let is_hidden = match scope.sources[number] {
                    Source::Table(table) => table.columns[column].is_invisible,
                    _ => false,
                };
                if !is_hidden {
                    found.push((number, column));
                }
            }
        }
        (!found.is_empty()).then_some(found)
    }

    /// Where the name ends that begins at a token, with what stands before points in it.
    pub fn name_end(&self, at: usize) -> Option<usize> {
        if meaning(self.text, at) != Meaning::Name {
            return None;
        }
        let mut end = at + 1;
        while self.text.is_symbol(end, ".") && self.text.name(end + 1).is_some() {
            end += 2;
        }
        Some(end)
    }

    /// The names in an expression that are no keywords, with what they mean in a scope.
    pub fn names(&self, span: &Span, scope: &Scope<'_, 'p>) -> Vec<(Span, Option<ColumnRef>)> {
        let mut found = Vec::new();
        let mut at = span.start;
        while at < span.end {
            let subqueries = &scope.block.subqueries;
            if let Some(inside) = subqueries.iter().find(|it| it.span.start == at) {
                at = inside.span.end;
                continue;
            }
            if self.text.is_behind_point(at) {
                at += 1;
                continue;
            }
            let Some(end) = self.name_end(at) else {
                at += 1;
                continue;
            };
            let column = self.resolve(&(at..end), scope);
            if column.is_some() || !(end == at + 1 && may_be_keyword(self.text, at)) {
                found.push((at..end, column));
            }
            at = end;
        }
        found
    }

    /// Whether all names in an expression, but for queries inside of it, are known: as columns or, with
    /// `aliases`, as something that the block selects.
    pub fn knows(&self, span: &Span, scope: &Scope<'_, 'p>, aliases: bool) -> bool {
        self.names(span, scope).iter().all(|(name, column)| {
            let is_alias = || {
                let name = self.text.name(name.start).filter(|_| name.len() == 1);
                name.is_some_and(|name| {
                    let mut items = scope.block.items.iter();
                    items.any(|it| it.alias.as_ref().is_some_and(|it| same_name(it, &name)))
                })
            };
            column.is_some() || (aliases && is_alias())
        })
    }

    /// The column that a name stands for, if that is certain.
    pub fn resolve(&self, name: &Span, scope: &Scope<'_, 'p>) -> Option<ColumnRef> {
        let mut scope = Some(scope);
        let mut depth = 0;
        while let Some(this) = scope {
            match self.resolve_in(name, this) {
                Found::One(factor, column) => {
                    return Some(ColumnRef {
                        depth,
                        factor,
                        column,
                    });
                }
                Found::None => {}
                Found::Doubt => return None,
            }
            scope = this.outer;
            depth += 1;
        }
        None
    }

    fn resolve_in(&self, name: &Span, scope: &Scope<'_, 'p>) -> Found {
        let Some(column) = self.text.name(name.end - 1) else {
            return Found::Doubt;
        };
        let (schema, qualifier) = match name.len() {
            1 => (None, None),
            3 => (None, Some(name.start)),
            5 => (Some(name.start), Some(name.start + 2)),
            _ => return Found::Doubt,
        };
        let named = |at: Option<usize>| match at {
            None => Some(None),
            Some(at) => self.text.name(at).map(Some),
        };
        let (Some(schema), Some(qualifier)) = (named(schema), named(qualifier)) else {
            return Found::Doubt;
        };
        let mut found = Found::None;
        for (number, factor) in scope.block.from.factors.iter().enumerate() {
            if qualifier
                .as_ref()
                .is_some_and(|name| factor.goes_by() != Some(&**name))
            {
                continue;
            }
            if let Some(schema) = &schema {
                let its = match (&factor.alias, &factor.what) {
                    (None, Factor::Named { schema, .. }) => schema.as_deref().or(self.database),
                    _ => None,
                };
                if its != Some(&**schema) {
                    continue;
                }
            }
            let Some(columns) = &scope.columns[number] else {
                return Found::Doubt;
            };
            let mut places = columns
                .iter()
                .enumerate()
                .filter(|(_, name)| same_name(name, &column));
            if let Some((place, _)) = places.next() {
                if matches!(found, Found::One(..)) || places.next().is_some() {
                    return Found::Doubt;
                }
                found = Found::One(number, place);
            }
        }
        found
    }
}

enum Found {
    One(usize, usize),
    None,
    Doubt,
}

impl TableFactor {
    /// The name that stands before its columns.
    pub(super) fn goes_by(&self) -> Option<&str> {
        match (&self.alias, &self.what) {
            (Some(alias), _) => Some(alias),
            (None, Factor::Named { name, .. }) => Some(name),
            _ => None,
        }
    }
}
