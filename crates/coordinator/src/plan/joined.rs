//! `UPDATE` and `DELETE` that join tables. All nodes have the same rows of broadcast tables, so each node finds by itself which of its
//! rows of a table that is distributed by a column are joined to them; and which rows of broadcast tables alone are to be deleted.
//! (Of an `UPDATE` of these that is not so: where a row is joined to several others, the order in which a node finds them decides.)

use std::ops::Range;
use std::sync::Arc;

use super::Facts;
use super::modify::{Clauses, ConditionPlace, Target, of_name, refuse_key, refuse_subqueries};
use super::text::{Tokens, between_commas, table_name};
use crate::Refusal;
use crate::catalogue::{Catalogue, Table};
use crate::topology::Topology;
use openpeta_sql_route::Token;

/// Words between the tables of a join.
const JOINS: [&str; 7] = [
    "JOIN",
    "INNER",
    "CROSS",
    "LEFT",
    "RIGHT",
    "OUTER",
    "STRAIGHT_JOIN",
];

/// Words behind a table that are no other name for it.
const NO_ALIASES: [&str; 7] = [
    "NATURAL",
    "USE",
    "FORCE",
    "IGNORE",
    "USING",
    "PARTITION",
    "FOR",
];

/// A table of a join and the name that it goes by.
type Joined = (Arc<Table>, String);

/// Reads an `UPDATE` or a `DELETE` over several tables that each node carries out by itself; `None` if it is something else.
///
/// # Errors
/// When it is one, and has what could not run on each node.
pub fn target(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Option<Target>, Refusal> {
    let references = References::read(tokens, catalogue, facts);
    let Some(references) = references.filter(|_| facts.locks_what_it_reads()) else {
        return Ok(None);
    };
    let tables = &references.tables;
    // Databases may have different numbers of nodes.
    let nodes = topology.nodes_of(&tables[0].0.schema);
    let is_there = |(table, _): &Joined| topology.nodes_of(&table.schema) == nodes;
    if !tables.iter().all(is_there) || nodes.len() < 2 {
        return Ok(None);
    }
    let hashed: Vec<&Joined> = tables.iter().filter(|it| it.0.key().is_some()).collect();
    let (table, goes_by) = match hashed[..] {
        [] if tokens.verb() == "DELETE" => (&tables[0].0, None),
        [(table, name)] if tables.len() > 1 => (table, Some(name.clone())),
        _ => return Ok(None),
    };
    let rest = &tokens.list[references.end..];
    let clauses = Clauses::of(rest);
    if clauses.limited || clauses.returning || tokens.has_word("ORDER") {
        return Ok(None);
    }
    if let Some(name) = &goes_by {
        let is_its_own = match clauses.set {
            Some((from, to)) => {
                refuse_key(&rest[from..to], table, facts)?;
                let assigned = |tokens: &&[_]| assigns(tokens, table, name, tables, facts);
                tokens.verb() == "UPDATE" && between_commas(&rest[from..to]).iter().all(assigned)
            }
            None => references.deletes(tokens, name, facts),
        };
        if !is_its_own {
            return Ok(None);
        }
    }
    refuse_subqueries(tokens)?;
    let end_of = |at: usize| tokens.range(&tokens.list[references.end + at]).end;
    let place = match clauses.condition {
        Some((from, to)) if from < to => {
            ConditionPlace::Is(tokens.range(&rest[from]).start..end_of(to - 1))
        }
        _ => ConditionPlace::Would(tokens.list.last().map_or(0, |last| tokens.range(last).end)),
    };
    let others = tables.iter().filter(|it| !Arc::ptr_eq(&it.0, table));
    Ok(Some(Target {
        others: others
            .map(|(table, _)| (table.schema.clone(), table.name.clone()))
            .collect(),
        table: Arc::clone(table),
        goes_by,
        nodes,
        partitions: None,
        limited: false,
        returning: false,
        place,
        parameter: None,
    }))
}

/// Whether an assignment is one to a column of that table, and of no other.
fn assigns(
    assignment: &[Token<'_>],
    table: &Table,
    goes_by: &str,
    tables: &[Joined],
    facts: &Facts,
) -> bool {
    let is_of = |token: &Token<'_>, name: &str| {
        token
            .name(&facts.dialect)
            .is_some_and(|it| it == name.as_bytes())
    };
    match assignment {
        [owner, point, column, equals, ..] if point.is_symbol(".") => {
            is_of(owner, goes_by)
                && equals.is_symbol("=")
                && column
                    .name(&facts.dialect)
                    .is_some_and(|name| table.column(&name).is_some())
        }
        [column, equals, ..] if equals.is_symbol("=") => {
            let Some(name) = column.name(&facts.dialect) else {
                return false;
            };
            let having = tables.iter().filter(|it| it.0.column(&name).is_some());
            table.column(&name).is_some() && having.count() == 1
        }
        _ => false,
    }
}

/// What a statement over several tables joins.
struct References {
    tables: Vec<Joined>,
    /// Where the tables stand that rows are deleted from.
    targets: Range<usize>,
    /// The token behind the tables.
    end: usize,
}

impl References {
    /// Whether rows are deleted from the table of that name alone.
    fn deletes(&self, tokens: &Tokens<'_>, name: &str, facts: &Facts) -> bool {
        let targets = &tokens.list[self.targets.clone()];
        let is_it = |token: &Token<'_>| {
            token
                .name(&facts.dialect)
                .is_some_and(|it| it == name.as_bytes())
        };
        match targets {
            [only] => is_it(only),
            [only, point, star] => is_it(only) && point.is_symbol(".") && star.is_symbol("*"),
            _ => false,
        }
    }

    /// `None` if it is about one table, of others than distributed ones, or cannot be told.
    fn read(tokens: &Tokens<'_>, catalogue: &Catalogue, facts: &Facts) -> Option<Self> {
        let is_update = tokens.verb() == "UPDATE";
        if !is_update && tokens.verb() != "DELETE" {
            return None;
        }
        let mut at = 1;
        while matches!(
            tokens.word(at).as_str(),
            "LOW_PRIORITY" | "QUICK" | "IGNORE"
        ) {
            at += 1;
        }
        let mut targets = at..at;
        if !is_update {
            let is_from = tokens.word(at) == "FROM";
            let between = if is_from { "USING" } else { "FROM" };
            let start = at + usize::from(is_from);
            at = start
                + tokens.list.get(start..)?.iter().position(|token| {
                    token.is_word(between) || token.is_word("WHERE") || token.is_symbol("(")
                })?;
            if !tokens.list[at].is_word(between) {
                return None;
            }
            targets = start..at;
            at += 1;
        }
        let end_word = if is_update { "SET" } else { "WHERE" };
        let mut tables = Vec::new();
        loop {
            let (schema, name, taken) = table_name(tokens.list.get(at..)?, facts.dialect)?;
            let table = of_name(schema.as_deref(), &name, catalogue, facts)?;
            let mut goes_by = name;
            at += taken;
            at += usize::from(tokens.word(at) == "AS");
            if let Some(token) = tokens.list.get(at) {
                let is_word = |words: &[&str]| words.iter().any(|word| token.is_word(word));
                let goes_on = is_word(&JOINS) || is_word(&[end_word, "ON"]) || token.is_symbol(",");
                if !goes_on {
                    if is_word(&NO_ALIASES) {
                        return None;
                    }
                    let alias = token.name(&facts.dialect)?;
                    goes_by = String::from_utf8_lossy(&alias).into_owned();
                    at += 1;
                }
            }
            tables.push((table, goes_by));
            at = behind_condition(tokens, at, end_word);
            match tokens.list.get(at) {
                None if is_update => return None,
                Some(token) if token.is_symbol(",") => at += 1,
                Some(token) if !token.is_word(end_word) => {
                    let from = at;
                    while JOINS.iter().any(|word| tokens.word(at) == *word) {
                        at += 1;
                    }
                    if at == from {
                        return None;
                    }
                }
                _ => {
                    return Some(Self {
                        tables,
                        targets,
                        end: at,
                    });
                }
            }
        }
    }
}

/// Behind the condition of a join, if there is one.
fn behind_condition(tokens: &Tokens<'_>, mut at: usize, end_word: &str) -> usize {
    if tokens.word(at) != "ON" {
        return at;
    }
    let mut depth = 0_usize;
    while let Some(token) = tokens.list.get(at) {
        depth += usize::from(token.is_symbol("("));
        depth = depth.saturating_sub(usize::from(token.is_symbol(")")));
        // `LEFT(…)` and `RIGHT(…)` are functions.
        let is_call = tokens
            .list
            .get(at + 1)
            .is_some_and(|next| next.is_symbol("("));
        let joins = !is_call && JOINS.iter().any(|word| token.is_word(word));
        if depth == 0 && (joins || token.is_symbol(",") || token.is_word(end_word)) {
            break;
        }
        at += 1;
    }
    at
}
