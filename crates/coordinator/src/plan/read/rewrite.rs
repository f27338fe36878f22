//! Blocks that nodes evaluate over their own rows, and what is left to do at home.
//!
//! Three ways, the first that fits: each node gives finished rows, in order and cut off; each node
//! gives the parts of groups; each node gives the rows that the block's conditions leave, and the rest
//! of the block runs at home over those.

mod outline;

use std::collections::BTreeMap;

use openpeta_sql_route::TokenKind;

use outline::Outline;

use super::fill::{Fill, FillColumn, Piece, push_text};
use super::local::Core;
use super::query::{Block, Item};
use super::scope::{ColumnRef, Known, Scope, Source};
use super::tables::same_name;
use super::text::{Span, quoted};
use super::words::{Meaning, has_aggregate, meaning};

/// What becomes of a block.
pub(super) struct Rewritten {
    pub fill: Fill,
    pub pieces: Vec<Piece>,
    /// It is put together from parts of groups.
    pub has_parts: bool,
}

/// What blocks are rewritten with.
pub(super) struct Rewriter<'r, 'p, 'a> {
    pub known: &'r Known<'p, 'a>,
    pub scope: &'r Scope<'r, 'p>,
    pub core: &'r Core,
    /// `WITH` and what is behind it, for the nodes.
    pub with: &'r [u8],
    /// The name of the table, with its database, in quotes.
    pub table: String,
    /// Its number.
    pub fill: usize,
    pub nodes: Vec<u16>,
    /// Whether groups may be put together from parts.
    pub parts: bool,
    /// `sql_mode` has `ONLY_FULL_GROUP_BY`.
    pub full_group_by: bool,
    /// The block is the whole statement: its values go to the client, and into no other expression,
    /// where they could be taken for something else than the type of a column holds.
    pub is_whole: bool,
}

/// The columns of the table at home.
#[derive(Default)]
struct Columns {
    list: Vec<FillColumn>,
    of: BTreeMap<ColumnRef, usize>,
    types: Vec<FillColumn>,
}

impl Columns {
    fn add(&mut self, prefix: &str, expression: Vec<u8>) -> String {
        let name = format!("__{prefix}{}", self.list.len() + 1);
        self.list.push(FillColumn {
            name: name.clone(),
            expression,
        });
        name
    }

    fn column(&mut self, column: ColumnRef, expression: Vec<u8>) -> String {
        if let Some(&at) = self.of.get(&column) {
            return self.list[at].name.clone();
        }
        self.of.insert(column, self.list.len());
        self.add("c", expression)
    }
}

impl<'p> Rewriter<'_, 'p, '_> {
    fn block(&self) -> &'p Block {
        self.scope.block
    }

    /// The block as tables and what is left; `None` if it is left as it is.
    pub fn rewrite(&self) -> Option<Rewritten> {
        let block = self.block();
        if block.lock.is_some() || block.into.is_some() || block.windows.is_some() {
            return None;
        }
        self.owned()?;
        let in_conditions = |at: usize| {
            block
                .from
                .conditions
                .iter()
                .chain(&block.condition)
                .chain(block.from.factors.iter().filter_map(|it| it.on.as_ref()))
                .any(|span| span.contains(&at))
        };
        let is_grouped = !block.group.is_empty()
            || block.having.is_some()
            || block
                .items
                .iter()
                .any(|item| self.aggregates(&item.expression))
            || block.order.iter().any(|span| self.aggregates(span));
        if !is_grouped && let Some(rows) = self.rows() {
            return Some(rows);
        }
        // What is left at home has no rows for queries about these.
        if block
            .subqueries
            .iter()
            .any(|it| !in_conditions(it.span.start))
        {
            return None;
        }
        if is_grouped
            && self.parts
            && let Some(parts) = self.outline(true)
        {
            return Some(parts);
        }
        self.outline(false)
    }

    fn aggregates(&self, span: &Span) -> bool {
        has_aggregate(self.known.text, span)
            || span.clone().any(|at| self.known.text.is_word(at, "OVER"))
    }

    /// Each node gives finished rows.
    fn rows(&self) -> Option<Rewritten> {
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
            push_text(pieces, format!("{comma}{}", quoted(column)).as_bytes());
            if !name.is_empty() {
                push_text(pieces, format!(" AS {}", quoted(name)).as_bytes());
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
            orders.push(format!("{}{direction}", quoted(&column)));
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
    fn is_finished(&self, span: &Span) -> Option<()> {
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
    fn star(&self, star: &Span) -> Option<Vec<(String, Vec<u8>)>> {
        let found = self.known.star(self.scope, star)?;
        let expressions = found.into_iter().map(|(factor, column)| {
            let name = self.scope.columns[factor].as_ref()?.get(column)?;
            let table = self.block().from.factors[factor].goes_by()?;
            let expression = format!("{}.{}", quoted(table), quoted(name));
            Some((name.clone(), expression.into_bytes()))
        });
        expressions.collect()
    }

    /// An expression of `ORDER BY` and its direction.
    fn direction(&self, span: &Span) -> (Span, &'static str) {
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
    fn names_an_alias(&self, span: &Span) -> bool {
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

    fn put_limit(&self, pieces: &mut Vec<Piece>) {
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

    /// The conditions that leave out rows which are another node's; `None` if such rows are read where no
    /// condition can be put.
    fn owned(&self) -> Option<Vec<String>> {
        let tables = || self.known.tables.values();
        if tables().all(|table| table.owned.is_none()) {
            return Some(Vec::new());
        }
        let block = self.block();
        let factors = &block.from.factors;
        let is_plain = self.with.is_empty() && block.subqueries.is_empty();
        if !is_plain || factors.iter().any(|factor| factor.may_miss) {
            return None;
        }
        let mut conditions = Vec::new();
        for (factor, source) in factors.iter().zip(&self.scope.sources) {
            match source {
                Source::Table(table) => {
                    if let Some(owned) = &table.owned {
                        conditions.push(owned.condition(factor.goes_by()?));
                    }
                }
                Source::Query(..) | Source::Unknown => return None,
            }
        }
        Some(conditions)
    }

    /// `FROM` and `WHERE` as they stand.
    fn from(&self) -> Vec<u8> {
        let block = self.block();
        let text = self.known.text;
        let mut from = b" FROM ".to_vec();
        from.extend_from_slice(text.slice(&block.from.span));
        let owned = self.owned().unwrap_or_default();
        match &block.condition {
            Some(condition) if owned.is_empty() => {
                from.extend_from_slice(b" WHERE ");
                from.extend_from_slice(text.slice(condition));
            }
            Some(condition) => {
                from.extend_from_slice(b" WHERE (");
                from.extend_from_slice(text.slice(condition));
                from.extend_from_slice(b")");
            }
            None => {}
        }
        for (number, condition) in owned.iter().enumerate() {
            let is_first = number == 0 && block.condition.is_none();
            from.extend_from_slice(if is_first { b" WHERE " } else { b" AND " });
            from.extend_from_slice(condition.as_bytes());
        }
        from
    }

    fn fill(&self, columns: Columns, options: &[u8], behind: Vec<u8>, about: &str) -> Fill {
        let before = [self.with, b" SELECT ", options].concat();
        let mut create = format!("CREATE TEMPORARY TABLE {} ", self.table).into_bytes();
        create.extend_from_slice(super::ENGINE.as_bytes());
        create.extend_from_slice(b" AS ");
        create.extend_from_slice(&before);
        let list: Vec<_> = columns
            .list
            .iter()
            .chain(&columns.types)
            .map(|it| {
                let name = format!(" AS {}", quoted(&it.name));
                [&it.expression[..], name.as_bytes()].concat()
            })
            .collect();
        create.extend(list.join(&b", "[..]));
        // Rows are not wanted, only types: an order or a limit of the rows is of no use.
        create.extend_from_slice(&without_limit(&behind));
        create.extend_from_slice(b" LIMIT 0");
        Fill {
            table: self.table.clone(),
            create,
            columns: columns.list,
            before,
            behind,
            nodes: self.nodes.clone(),
            types: columns.types.into_iter().map(|it| it.name).collect(),
            hides: false,
            about: about.to_owned(),
            owned: self
                .known
                .tables
                .values()
                .find_map(|table| table.owned.as_ref())
                .map(|owned| owned.lists.clone())
                .unwrap_or_default(),
        }
    }

    /// The block over rows of nodes, or over parts of groups.
    fn outline(&self, parts: bool) -> Option<Rewritten> {
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
                push_text(&mut out.pieces, format!(" AS {}", quoted(&name)).as_bytes());
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

/// A query's tail without the limit that was put there for nodes.
fn without_limit(behind: &[u8]) -> Vec<u8> {
    let at = behind
        .windows(7)
        .rposition(|window| window == b" LIMIT ")
        .filter(|&at| behind[at + 7..].iter().all(u8::is_ascii_digit));
    behind[..at.unwrap_or(behind.len())].to_vec()
}
