//! `DELETE` that joins broadcast tables. All nodes have the same rows of them, so each finds the same ones to delete.
//! (Of an `UPDATE` that is not so: where a row is joined to several others, the order in which a node finds them decides.)

use super::Facts;
use super::modify::{ConditionPlace, Target, of_name, refuse_subqueries};
use super::text::{Tokens, table_name};
use crate::Refusal;
use crate::catalogue::{Catalogue, Distribution};
use crate::topology::Topology;

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

/// Reads a `DELETE` over several tables that are all broadcast; `None` if it is something else.
///
/// # Errors
/// When it is one, and has what could not run on each node.
pub fn broadcasts(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Option<Target>, Refusal> {
    let Some(names) = (tokens.verb() == "DELETE")
        .then(|| referenced(tokens, facts))
        .flatten()
    else {
        return Ok(None);
    };
    let mut tables = Vec::with_capacity(names.len());
    for (schema, name) in names {
        match of_name(schema.as_deref(), &name, catalogue, facts) {
            Some(table) if table.distribution == Distribution::Broadcast => tables.push(table),
            _ => return Ok(None),
        }
    }
    let Some(table) = tables.pop() else {
        return Ok(None);
    };
    // Databases may have different numbers of nodes.
    let nodes = topology.nodes_of(&table.schema);
    let has_other = |other: &std::sync::Arc<_>| {
        let other: &crate::catalogue::Table = other;
        topology.nodes_of(&other.schema) != nodes
    };
    if tables.iter().any(has_other) {
        return Ok(None);
    }
    refuse_subqueries(tokens)?;
    Ok(Some(Target {
        table,
        nodes,
        partitions: None,
        limited: false,
        returning: false,
        // There are no partitions that it could be narrowed to.
        place: ConditionPlace::Would(tokens.text.len()),
        parameter: None,
    }))
}

/// The tables that a `DELETE` over several is about; `None` if it is about one, or cannot be told.
fn referenced(tokens: &Tokens<'_>, facts: &Facts) -> Option<Vec<(Option<String>, String)>> {
    let mut at = 1;
    while matches!(
        tokens.word(at).as_str(),
        "LOW_PRIORITY" | "QUICK" | "IGNORE"
    ) {
        at += 1;
    }
    let between = if tokens.word(at) == "FROM" {
        "USING"
    } else {
        "FROM"
    };
    at += 1 + tokens.list.get(at + 1..)?.iter().position(|token| {
        // Names may be words that mean something else.
        token.is_word(between) || token.is_word("WHERE") || token.is_symbol("(")
    })?;
    if !tokens.list[at].is_word(between) {
        return None;
    }
    at += 1;
    let mut names = Vec::new();
    loop {
        let (schema, name, taken) = table_name(tokens.list.get(at..)?, facts.dialect)?;
        names.push((schema, name));
        at += taken;
        let is_as = tokens.word(at) == "AS";
        at += usize::from(is_as);
        if let Some(token) = tokens.list.get(at) {
            let is_word = |words: &[&str]| words.iter().any(|word| token.is_word(word));
            let goes_on = is_word(&JOINS) || is_word(&["WHERE", "ON"]) || token.is_symbol(",");
            if !goes_on {
                token.name(&facts.dialect)?;
                at += 1;
            }
        }
        // A condition ends where another table follows.
        let mut depth = 0_usize;
        if tokens.word(at) == "ON" {
            while let Some(token) = tokens.list.get(at) {
                depth += usize::from(token.is_symbol("("));
                depth = depth.saturating_sub(usize::from(token.is_symbol(")")));
                let ends = JOINS.iter().any(|word| token.is_word(word))
                    // `LEFT(…)` and `RIGHT(…)` are functions.
                    && !tokens.list.get(at + 1).is_some_and(|next| next.is_symbol("("));
                if depth == 0 && (ends || token.is_symbol(",") || token.is_word("WHERE")) {
                    break;
                }
                at += 1;
            }
        }
        match tokens.list.get(at) {
            None => return Some(names),
            Some(token) if token.is_word("WHERE") => {
                let ordered = ["ORDER", "LIMIT", "RETURNING"];
                return (!ordered.iter().any(|word| tokens.has_word(word))).then_some(names);
            }
            Some(token) if token.is_symbol(",") => at += 1,
            Some(_) => {
                let from = at;
                while JOINS.iter().any(|word| tokens.word(at) == *word) {
                    at += 1;
                }
                if at == from {
                    return None;
                }
            }
        }
    }
}
