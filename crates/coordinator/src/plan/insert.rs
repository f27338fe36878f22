//! `INSERT` and `REPLACE` of rows that are written out: which row goes where, and which get ids.

mod parts;
mod reader;

use std::sync::Arc;

use openpeta_sql_route::{Token, TokenKind};

pub use parts::Part;
use reader::Reader;

use super::modify::{of_name, refuse_key, refuse_subqueries};
use super::text::{Tokens, table_name};
use super::{Facts, portable};
use crate::Refusal;
use crate::catalogue::{Catalogue, Table};
use crate::topology::Topology;

/// An `INSERT` or `REPLACE` with rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsertPlan {
    /// The table.
    pub table: Arc<Table>,
    /// `REPLACE`.
    pub replace: bool,
    /// `IGNORE`.
    pub ignore: bool,
    /// `ON DUPLICATE KEY UPDATE`.
    pub updates: bool,
    /// `RETURNING`.
    pub returning: bool,
    /// What must be carried to the nodes.
    pub needs: portable::Needs,
    /// The rows, in their order.
    rows: Vec<PlannedRow>,
    /// The statement up to its rows.
    head: Vec<u8>,
    /// What follows them.
    tail: Vec<u8>,
    /// The greatest value that rows have for the `AUTO_INCREMENT` column themselves.
    pub greatest_id: Option<u64>,
}

/// A row, as it will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PlannedRow {
    before: Vec<u8>,
    /// An id stands between the two.
    id: bool,
    after: Vec<u8>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// On the node of this partition.
    Partition(u16),
    /// On all nodes.
    Everywhere,
    /// On the node of its id.
    OfId,
}

/// Reads an `INSERT` or `REPLACE` with rows. `None` if it has none that are written out.
///
/// # Errors
/// When rows cannot be told apart, or their place is not known from the text.
pub fn insert(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Option<InsertPlan>, Refusal> {
    let replace = tokens.verb() == "REPLACE";
    let mut at = 1;
    let mut ignore = false;
    while matches!(
        tokens.word(at).as_str(),
        "LOW_PRIORITY" | "DELAYED" | "HIGH_PRIORITY" | "IGNORE" | "INTO"
    ) {
        ignore |= tokens.word(at) == "IGNORE";
        at += 1;
    }
    let from = at.min(tokens.list.len());
    let (schema, name, taken) =
        table_name(&tokens.list[from..], facts.dialect).ok_or_else(unreadable)?;
    let Some(table) = of_name(schema.as_deref(), &name, catalogue, facts) else {
        // A distributed table is read for rows of another.
        return Ok(None);
    };
    let name_end = tokens.range(&tokens.list[at + taken - 1]).end;
    at += taken;
    if tokens.has_word("SELECT") && !has_values_first(&tokens.list[at..]) {
        return Ok(None);
    }
    refuse_subqueries(tokens)?;
    let reader = Reader {
        tokens,
        table: &table,
        topology,
        facts,
    };
    let (columns, rows, rest) = if tokens.word(at) == "SET" {
        reader.assignments(at + 1)?
    } else {
        let (columns, behind) = reader.columns(at)?;
        if !matches!(tokens.word(behind).as_str(), "VALUES" | "VALUE") {
            return Ok(None);
        }
        let (rows, rest) = reader.rows(behind + 1)?;
        (columns, rows, rest)
    };
    let tail_tokens = &tokens.list[rest..];
    let tail = tail_tokens.first().map_or(&b""[..], |first| {
        &tokens.text[tokens.range(first).start..end_of(tokens)]
    });
    let updates = tail_tokens.first().is_some_and(|token| token.is_word("ON"));
    if updates {
        let assignments = tail_tokens.get(4..).unwrap_or_default();
        let end = assignments
            .iter()
            .position(|token| token.is_word("RETURNING"));
        refuse_key(
            &assignments[..end.unwrap_or(assignments.len())],
            &table,
            facts,
        )?;
    }
    let mut plan = InsertPlan {
        replace,
        ignore,
        updates,
        returning: tail_tokens.iter().any(|token| token.is_word("RETURNING")),
        needs: portable::needs(tokens)?,
        rows: Vec::new(),
        head: Vec::new(),
        tail: tail.to_vec(),
        greatest_id: None,
        table: Arc::clone(&table),
    };
    reader.plan(&mut plan, &columns, &rows, name_end)?;
    Ok(Some(plan))
}

/// The number of the placeholder that is the distribution column's value, and the table, of an `INSERT` of one row,
/// with nothing behind it, into a table that gives no ids: its node runs that as it is written.
#[must_use]
pub fn key_parameter(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Option<(Arc<Table>, usize)> {
    if tokens.verb() != "INSERT" {
        return None;
    }
    let at = 1 + usize::from(tokens.word(1) == "INTO");
    let (schema, name, taken) = table_name(tokens.list.get(at..)?, facts.dialect)?;
    let table = of_name(schema.as_deref(), &name, catalogue, facts)?;
    if table.auto_increment.is_some() {
        return None;
    }
    let reader = Reader {
        tokens,
        table: &table,
        topology,
        facts,
    };
    let (columns, behind) = reader.columns(at + taken).ok()?;
    if !matches!(tokens.word(behind).as_str(), "VALUES" | "VALUE") {
        return None;
    }
    let (rows, rest) = reader.rows(behind + 1).ok()?;
    let [values] = &rows[..] else { return None };
    if rest != tokens.list.len() || values.len() != columns.places.len() {
        return None;
    }
    let key = table.column(table.key()?.name.as_bytes())?;
    let place = columns.places.iter().position(|place| *place == key)?;
    let [value] = values[place] else { return None };
    if value.kind != TokenKind::Placeholder {
        return None;
    }
    let start = tokens.range(value).start;
    let is_before = |token: &&Token<'_>| {
        token.kind == TokenKind::Placeholder && tokens.range(token).start < start
    };
    let number = tokens.list.iter().filter(is_before).count();
    Some((Arc::clone(&table), number))
}

fn has_values_first(tokens: &[Token<'_>]) -> bool {
    let first = |word: &str| tokens.iter().position(|token| token.is_word(word));
    match (
        first("SELECT"),
        first("VALUES").or(first("VALUE")),
        first("SET"),
    ) {
        (Some(select), Some(values), _) => values < select,
        (Some(select), None, Some(set)) => set < select,
        _ => false,
    }
}

fn end_of(tokens: &Tokens<'_>) -> usize {
    tokens.list.last().map_or(0, |last| tokens.range(last).end)
}

fn unreadable() -> Refusal {
    Refusal::new(
        "insert-form",
        "the rows of this statement cannot be told apart",
    )
}
