//! The structure of a query: blocks, what they read from, and the queries inside of them.
//!
//! Expressions are left as tokens. What is not understood makes the whole unreadable, so that
//! nothing is concluded from a part of it.

mod item;

use item::{item, subqueries};

use super::from::{Factor, Joins};
use super::text::{Span, Text};

/// A query: blocks put together by `UNION` and the like, with an order and a limit of its own.
#[derive(Clone, Debug)]
pub struct Query {
    /// Its common table expressions.
    pub ctes: Vec<Cte>,
    /// They may be about themselves.
    pub recursive: bool,
    /// `WITH` and the expressions.
    pub with: Span,
    /// What is put together, and behind the first each, how.
    pub parts: Vec<Part>,
    /// The limit of the whole, if it is more than one part.
    pub limit: Option<Span>,
    /// All of it.
    pub span: Span,
}

/// A common table expression.
#[derive(Clone, Debug)]
pub struct Cte {
    /// Its name.
    pub name: String,
    /// Its query.
    pub query: Query,
    /// Whether it names its columns.
    pub has_columns: bool,
}

/// One of the queries that a set operation puts together.
#[derive(Clone, Debug)]
pub enum Part {
    /// A `SELECT`.
    Block(Box<Block>),
    /// A query in parentheses.
    Nested(Box<Query>),
    /// `VALUES (…), (…)`.
    Values(Vec<Query>),
}

/// A `SELECT` with its clauses.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// All of it, up to where a set operation, a parenthesis or the end stands.
    pub span: Span,
    /// Where it ends but for its order, its limit and what follows these.
    pub end: usize,
    /// `DISTINCT`, `SQL_NO_CACHE` …
    pub options: Span,
    /// What it selects.
    pub items: Vec<Item>,
    /// What it reads from.
    pub from: Joins,
    /// The condition of `WHERE`.
    pub condition: Option<Span>,
    /// What it is grouped by.
    pub group: Vec<Span>,
    /// `WITH ROLLUP`.
    pub rollup: bool,
    /// The condition of `HAVING`.
    pub having: Option<Span>,
    /// `WINDOW` and what follows up to the next clause.
    pub windows: Option<Span>,
    /// What it is ordered by, each with its direction.
    pub order: Vec<Span>,
    /// What follows `LIMIT`, or the whole of `OFFSET … FETCH …`.
    pub limit: Option<Span>,
    /// `FOR UPDATE`, `LOCK IN SHARE MODE`, with what follows.
    pub lock: Option<Span>,
    /// `INTO`, with what follows, and `PROCEDURE`.
    pub into: Option<Span>,
    /// Queries in its expressions.
    pub subqueries: Vec<Subquery>,
}

/// A query in an expression.
#[derive(Clone, Debug)]
pub struct Subquery {
    /// With its parentheses.
    pub span: Span,
    /// What is in them.
    pub query: Query,
}

/// Something that is selected.
#[derive(Clone, Debug)]
pub struct Item {
    /// The expression.
    pub expression: Span,
    /// Its name, if it was given one.
    pub alias: Option<String>,
    /// `*`, `t.*` or `s.t.*`.
    pub is_star: bool,
}

const CLAUSES: [&str; 15] = [
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "WINDOW",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "PROCEDURE",
    "INTO",
    "FOR",
    "LOCK",
    "UNION",
    "EXCEPT",
];

impl Block {
    /// Whether equal rows are left out.
    #[must_use]
    pub fn is_distinct(&self, text: &Text<'_>) -> bool {
        self.options
            .clone()
            .any(|at| text.is_any(at, &["DISTINCT", "DISTINCTROW"]))
    }

    /// Every clause with expressions.
    pub fn expressions(&self) -> impl Iterator<Item = &Span> {
        let items = self.items.iter().map(|item| &item.expression);
        items
            .chain(&self.condition)
            .chain(&self.group)
            .chain(&self.having)
            .chain(&self.windows)
            .chain(&self.order)
            .chain(&self.limit)
            .chain(&self.from.conditions)
            .chain(
                self.from
                    .factors
                    .iter()
                    .filter_map(|factor| factor.on.as_ref()),
            )
    }
}

impl Query {
    /// Reads a query that takes all of the span; `None` if it is not understood.
    #[must_use]
    pub fn read(text: &Text<'_>, span: Span) -> Option<Self> {
        let mut reader = Reader {
            text,
            at: span.start,
            end: span.end,
        };
        let query = reader.query()?;
        (reader.at == span.end).then_some(query)
    }

    /// Calls `visit` with every block, the outermost first.
    pub fn each_block<'q>(&'q self, visit: &mut impl FnMut(&'q Block)) {
        for cte in &self.ctes {
            cte.query.each_block(visit);
        }
        for part in &self.parts {
            match part {
                Part::Nested(query) => query.each_block(visit),
                Part::Values(queries) => {
                    for query in queries {
                        query.each_block(visit);
                    }
                }
                Part::Block(block) => {
                    visit(block);
                    for factor in &block.from.factors {
                        if let Factor::Derived(query) = &factor.what {
                            query.each_block(visit);
                        }
                    }
                    for subquery in &block.subqueries {
                        subquery.query.each_block(visit);
                    }
                }
            }
        }
    }
}

pub(super) struct Reader<'t, 'a> {
    pub(super) text: &'t Text<'a>,
    pub(super) at: usize,
    pub(super) end: usize,
}

impl Reader<'_, '_> {
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.at < self.end && self.text.is_word(self.at, word)
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        self.at < self.end && self.text.is_symbol(self.at, symbol)
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let is_it = self.is_word(word);
        self.at += usize::from(is_it);
        is_it
    }

    pub(super) fn take_symbol(&mut self, symbol: &str) -> bool {
        let is_it = self.is_symbol(symbol);
        self.at += usize::from(is_it);
        is_it
    }

    pub(super) fn take_name(&mut self) -> Option<String> {
        if self.at >= self.end {
            return None;
        }
        let name = self.text.name(self.at)?;
        self.at += 1;
        Some(name.into_owned())
    }

    /// What stands in the parentheses that begin here.
    pub(super) fn take_parentheses(&mut self) -> Option<Span> {
        if !self.is_symbol("(") {
            return None;
        }
        let close = self.text.closing(self.at, self.end)?;
        let inner = self.at + 1..close;
        self.at = close + 1;
        Some(inner)
    }

    pub(super) fn query(&mut self) -> Option<Query> {
        let start = self.at;
        let mut ctes = Vec::new();
        let mut recursive = false;
        if self.take_word("WITH") {
            recursive = self.take_word("RECURSIVE");
            loop {
                ctes.push(self.cte()?);
                if !self.take_symbol(",") {
                    break;
                }
            }
        }
        let with = start..self.at;
        let mut parts = vec![self.part()?];
        while self.take_word("UNION") || self.take_word("EXCEPT") || self.take_word("INTERSECT") {
            let _ = self.take_word("ALL") || self.take_word("DISTINCT");
            parts.push(self.part()?);
        }
        // Behind several blocks, order and limit of the last are those of the whole.
        let several = parts.len() > 1;
        let limit = match parts.last_mut() {
            Some(Part::Block(last)) if several => {
                last.span.end = last.end;
                last.order.clear();
                last.limit.take()
            }
            _ => {
                if self.is_word("ORDER") {
                    self.order()?;
                }
                self.limit()?
            }
        };
        Some(Query {
            ctes,
            recursive,
            with,
            parts,
            limit,
            span: start..self.at,
        })
    }

    fn cte(&mut self) -> Option<Cte> {
        let name = self.take_name()?;
        let has_columns = self.take_parentheses().is_some();
        if !self.take_word("AS") {
            return None;
        }
        let inner = self.take_parentheses()?;
        let query = Query::read(self.text, inner)?;
        // CYCLE is not understood.
        (!self.is_word("CYCLE")).then_some(Cte {
            name,
            query,
            has_columns,
        })
    }

    fn part(&mut self) -> Option<Part> {
        if self.is_symbol("(") {
            let inner = self.take_parentheses()?;
            return Some(Part::Nested(Box::new(Query::read(self.text, inner)?)));
        }
        if self.is_word("VALUES") {
            let start = self.at;
            self.at += 1;
            loop {
                self.take_parentheses()?;
                if !self.take_symbol(",") {
                    break;
                }
            }
            let span = start..self.at;
            let queries = subqueries(self.text, &span)?;
            let queries = queries.into_iter().map(|it| it.query).collect();
            return Some(Part::Values(queries));
        }
        Some(Part::Block(Box::new(self.block()?)))
    }

    fn block(&mut self) -> Option<Block> {
        let start = self.at;
        if !self.take_word("SELECT") {
            return None;
        }
        let options = self.at;
        while self.at < self.end && self.text.is_any(self.at, &OPTIONS) {
            self.at += 1;
        }
        let mut block = Block {
            options: options..self.at,
            ..Block::default()
        };
        for span in self.list()? {
            block.items.push(item(self.text, span)?);
        }
        if self.is_word("INTO") {
            block.into = Some(self.rest_of_clause()?);
        }
        if self.take_word("FROM") {
            block.from = self.joins()?;
        }
        if self.take_word("WHERE") {
            block.condition = Some(self.expression()?);
        }
        if self.take_word("GROUP") {
            if !self.take_word("BY") {
                return None;
            }
            block.group = self.list()?;
            let last = block.group.last_mut()?;
            if last.len() > 2
                && self.text.is_word(last.end - 1, "ROLLUP")
                && self.text.is_word(last.end - 2, "WITH")
            {
                last.end -= 2;
                block.rollup = true;
            }
        }
        if self.take_word("HAVING") {
            block.having = Some(self.expression()?);
        }
        if self.is_word("WINDOW") {
            block.windows = Some(self.rest_of_clause()?);
        }
        block.end = self.at;
        if self.is_word("ORDER") {
            block.order = self.order()?;
        }
        block.limit = self.limit()?;
        while self
            .text
            .is_any(self.at, &["PROCEDURE", "INTO", "FOR", "LOCK"])
            && self.at < self.end
        {
            let is_lock = self.text.is_any(self.at, &["FOR", "LOCK"]);
            let span = self.rest_of_clause()?;
            if is_lock {
                block.lock = Some(span);
            } else {
                block.into = Some(span);
            }
        }
        block.span = start..self.at;
        for expression in block.expressions().cloned().collect::<Vec<_>>() {
            block.subqueries.extend(subqueries(self.text, &expression)?);
        }
        Some(block)
    }

    fn order(&mut self) -> Option<Vec<Span>> {
        self.at += 1;
        if !self.take_word("BY") {
            return None;
        }
        self.list()
    }

    fn limit(&mut self) -> Option<Option<Span>> {
        if self.take_word("LIMIT") {
            // `OFFSET` belongs to it.
            let start = self.at;
            while self.at < self.end
                && !self.is_symbol(")")
                && (self.is_word("OFFSET") || !self.text.is_any(self.at, &CLAUSES))
                && !self.is_word("INTERSECT")
            {
                self.at += 1;
            }
            return Some(Some(start..self.at));
        }
        if self.is_word("OFFSET") || self.is_word("FETCH") {
            let start = self.at;
            while self.is_word("OFFSET") || self.is_word("FETCH") {
                self.rest_of_clause()?;
            }
            return Some(Some(start..self.at));
        }
        Some(None)
    }

    /// Expressions between commas, up to the next clause.
    fn list(&mut self) -> Option<Vec<Span>> {
        let span = self.expression()?;
        let parts = self.text.between_commas(&span);
        parts.iter().all(|part| !part.is_empty()).then_some(parts)
    }

    /// Up to the next clause; not empty.
    pub(super) fn expression(&mut self) -> Option<Span> {
        let start = self.at;
        self.skip_to_clause()?;
        (self.at > start).then_some(start..self.at)
    }

    /// A word that begins a clause and what follows, up to the next one.
    fn rest_of_clause(&mut self) -> Option<Span> {
        let start = self.at;
        self.at += 1;
        self.skip_to_clause()?;
        Some(start..self.at)
    }

    fn skip_to_clause(&mut self) -> Option<()> {
        while self.at < self.end {
            if self.is_symbol("(") {
                self.take_parentheses()?;
            } else if self.is_symbol(")") || self.is_symbol(";") {
                return None;
            } else if self.text.is_any(self.at, &CLAUSES) || self.is_word("INTERSECT") {
                return Some(());
            } else {
                self.at += 1;
            }
        }
        Some(())
    }
}

const OPTIONS: [&str; 11] = [
    "ALL",
    "DISTINCT",
    "DISTINCTROW",
    "HIGH_PRIORITY",
    "STRAIGHT_JOIN",
    "SQL_SMALL_RESULT",
    "SQL_BIG_RESULT",
    "SQL_BUFFER_RESULT",
    "SQL_CACHE",
    "SQL_NO_CACHE",
    "SQL_CALC_FOUND_ROWS",
];
