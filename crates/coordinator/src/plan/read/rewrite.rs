//! Blocks that nodes evaluate over their own rows, and what is left to do at home.
//!
//! Three ways, the first that fits: each node gives finished rows, in order and cut off; each node
//! gives the parts of groups; each node gives the rows that the block's conditions leave, and the rest
//! of the block runs at home over those.

mod columns;
mod finished;
mod outline;
mod parts;

use columns::Columns;

use super::fill::{Fill, Piece};
use super::local::Core;
use super::query::Block;
use super::scope::{Known, Scope, Source};
use super::text::Span;
use super::words::has_aggregate;
use crate::quote::identifier;

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
                let name = format!(" AS {}", identifier(&it.name));
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
}

/// A query's tail without the limit that was put there for nodes.
fn without_limit(behind: &[u8]) -> Vec<u8> {
    let at = behind
        .windows(7)
        .rposition(|window| window == b" LIMIT ")
        .filter(|&at| behind[at + 7..].iter().all(u8::is_ascii_digit));
    behind[..at.unwrap_or(behind.len())].to_vec()
}
