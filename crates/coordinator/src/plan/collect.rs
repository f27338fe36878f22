//! Writes whose rows are not written out, or not so that their places can be told: the rows are made at
//! home, in a temporary table, and go to their nodes from there.

use std::sync::Arc;

use openpeta_sql_route::Token;

use super::load::{self, SplitPlan};
use super::modify::{of_name, refuse_key};
use super::read::{self, ReadPlan};
use super::text::{Tokens, between_commas, closing, table_name};
use super::{Facts, portable};
use crate::Refusal;
use crate::catalogue::{Catalogue, Distribution, Named, Table};
use crate::topology::Topology;

/// Such a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectPlan {
    /// The table.
    pub table: Arc<Table>,
    /// `REPLACE`.
    pub replace: bool,
    /// `IGNORE`.
    pub ignore: bool,
    /// `ON DUPLICATE KEY UPDATE`.
    pub updates: bool,
    /// The columns that it names, as they are written; empty for all that are visible.
    pub columns: Vec<Vec<u8>>,
    /// What makes the rows: a query, or `VALUES` and what follows.
    pub source: Vec<u8>,
    /// It is a query.
    pub is_query: bool,
    /// What is gathered for the query.
    pub reads: Option<ReadPlan>,
    /// What follows it.
    pub tail: Vec<u8>,
    /// What the tail needs.
    pub needs: portable::Needs,
    /// What of a `LOAD DATA` stands before and behind the table's name.
    pub load: Option<(Vec<u8>, Vec<u8>)>,
    /// How lines of a client's file come to their nodes by themselves.
    pub split: Option<SplitPlan>,
}

fn unreadable() -> Refusal {
    Refusal::new(
        "insert-form",
        "the rows of this statement cannot be told apart",
    )
}

/// Reads an `INSERT` or `REPLACE` whose rows are made at home; `None` if it is not of a distributed table.
///
/// # Errors
/// When it could not be carried out exactly.
pub fn collect(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Option<CollectPlan>, Refusal> {
    if tokens.has_executable {
        return Err(Refusal::new(
            "executable-comment",
            "executable comments are not supported in statements about distributed tables",
        ));
    }
    let list = &tokens.list;
    let mut at = 1;
    let mut ignore = false;
    while matches!(
        tokens.word(at).as_str(),
        "LOW_PRIORITY" | "DELAYED" | "HIGH_PRIORITY" | "IGNORE" | "INTO"
    ) {
        ignore |= tokens.word(at) == "IGNORE";
        at += 1;
    }
    let rest = list.get(at..).unwrap_or_default();
    let (schema, name, taken) = table_name(rest, facts.dialect).ok_or_else(unreadable)?;
    at += taken;
    let Some(table) = of_name(schema.as_deref(), &name, catalogue, facts) else {
        return Ok(None);
    };
    if catalogue.makes_rows(&table) {
        return Err(super::define::too_late(&table.name));
    }
    let mut columns = Vec::new();
    let opens = |at: usize| list.get(at).is_some_and(|token| token.is_symbol("("));
    let is_list = opens(at)
        && !opens(at + 1)
        && !matches!(tokens.word(at + 1).as_str(), "SELECT" | "WITH" | "VALUES");
    if is_list {
        let end = at + closing(&list[at..]).ok_or_else(unreadable)?;
        if end > at + 1 {
            columns = between_commas(&list[at + 1..end])
                .into_iter()
                .map(|column| {
                    column
                        .last()
                        .map(|name| name.text.to_vec())
                        .ok_or_else(unreadable)
                })
                .collect::<Result<_, _>>()?;
        }
        at = end + 1;
    }
    let tail_at = tail(&list[at..]).map_or(list.len(), |tail| at + tail);
    let (source, is_query) = match tokens.word(at).as_str() {
        "SET" => {
            let mut values: Vec<&[u8]> = Vec::new();
            for assignment in between_commas(&list[at + 1..tail_at]) {
                let equals = assignment
                    .iter()
                    .position(|token| token.is_symbol("=") || token.is_symbol(":="));
                let (column, value) = assignment.split_at(equals.ok_or_else(unreadable)?);
                columns.push(column.last().ok_or_else(unreadable)?.text.to_vec());
                values.push(text_of(tokens, &value[1..]).ok_or_else(unreadable)?);
            }
            (
                [b"VALUES (", &values.join(&b", "[..])[..], b")"].concat(),
                false,
            )
        }
        word => {
            let text = text_of(tokens, &list[at..tail_at]).ok_or_else(unreadable)?;
            (text.to_vec(), !matches!(word, "VALUES" | "VALUE"))
        }
    };
    let tail_tokens = &list[tail_at..];
    if tail_tokens.iter().any(|token| token.is_word("RETURNING")) {
        return Err(Refusal::new(
            "returning",
            "RETURNING is not supported for this write",
        ));
    }
    let updates = !tail_tokens.is_empty();
    if updates {
        if is_query && tail_tokens.iter().any(|token| token.is_symbol("."))
            || tail_tokens.iter().any(|token| token.is_word("SELECT"))
        {
            return Err(Refusal::new(
                "insert-select-update",
                "ON DUPLICATE KEY UPDATE cannot name columns of the query's tables",
            ));
        }
        refuse_key(tail_tokens.get(4..).unwrap_or_default(), &table, facts)?;
    }
    let mut needs = portable::Needs::default();
    if updates {
        let of_tail = Tokens {
            list: tail_tokens.to_vec(),
            ..tokens.clone()
        };
        needs = portable::needs(&of_tail)?;
    }
    Ok(Some(CollectPlan {
        reads: reads(&source, is_query, catalogue, topology, facts)?,
        table,
        replace: tokens.verb() == "REPLACE",
        ignore,
        updates,
        columns,
        source,
        is_query,
        tail: text_of(tokens, tail_tokens).unwrap_or_default().to_vec(),
        needs,
        load: None,
        split: None,
    }))
}

/// Reads a `LOAD DATA` into a distributed table.
///
/// # Errors
/// When its parts cannot be told apart.
pub fn load(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<CollectPlan, Refusal> {
    let list = &tokens.list;
    let into = list
        .windows(2)
        .position(|pair| pair[0].is_word("INTO") && pair[1].is_word("TABLE"))
        .ok_or_else(unreadable)?;
    let at = into + 2;
    let (schema, name, taken) = table_name(&list[at..], facts.dialect).ok_or_else(unreadable)?;
    let table = of_name(schema.as_deref(), &name, catalogue, facts).ok_or_else(unreadable)?;
    if catalogue.makes_rows(&table) {
        return Err(super::define::too_late(&table.name));
    }
    if tokens.has_executable || tokens.has_word("SELECT") {
        return Err(unreadable());
    }
    let word_before = tokens.word(into - 1);
    let replace = word_before == "REPLACE";
    let is_local = list[..into].iter().any(|token| token.is_word("LOCAL"));
    // A file that comes from the client is read to its end, whatever is in it.
    let ignore = word_before == "IGNORE" || is_local && !replace;
    let head_end = tokens.range(&list[into]).start;
    let name_end = tokens.range(&list[at + taken - 1]).end;
    let end = list.last().map_or(0, |last| tokens.range(last).end);
    let mut head = tokens.text[..head_end].to_vec();
    head.extend_from_slice(b" INTO TABLE ");
    let split = match is_local {
        true => load::split(tokens, at + taken, &table, facts, head.clone()),
        false => None,
    };
    Ok(CollectPlan {
        table,
        split,
        replace,
        ignore,
        updates: false,
        columns: Vec::new(),
        source: Vec::new(),
        is_query: true,
        reads: None,
        tail: Vec::new(),
        needs: portable::Needs::default(),
        load: Some((head, tokens.text[name_end..end].to_vec())),
    })
}

/// Where `ON DUPLICATE KEY UPDATE` or `RETURNING` begins.
fn tail(tokens: &[Token<'_>]) -> Option<usize> {
    let mut depth = 0_i32;
    tokens.iter().enumerate().position(|(at, token)| {
        depth += i32::from(token.is_symbol("(")) - i32::from(token.is_symbol(")"));
        let duplicate = || {
            tokens
                .get(at + 1)
                .is_some_and(|next| next.is_word("DUPLICATE"))
        };
        depth == 0 && (token.is_word("ON") && duplicate() || token.is_word("RETURNING"))
    })
}

fn text_of<'a>(tokens: &Tokens<'a>, part: &[Token<'a>]) -> Option<&'a [u8]> {
    let (first, last) = (part.first()?, part.last()?);
    Some(&tokens.text[tokens.range(first).start..tokens.range(last).end])
}

/// What is gathered for what makes the rows.
fn reads(
    source: &[u8],
    is_query: bool,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Option<ReadPlan>, Refusal> {
    let mentioned = catalogue.mentioned(source, facts.database.as_deref(), facts.dialect);
    let at_home = mentioned.iter().all(|(_, _, named)| {
        matches!(named, Named::Table(table) if table.distribution == Distribution::Broadcast)
    });
    if at_home {
        return Ok(None);
    }
    if !is_query {
        return Err(Refusal::new(
            "write-subquery",
            "subqueries are not supported in writes of distributed tables",
        ));
    }
    read::plan(source, catalogue, topology, facts).map(Some)
}
