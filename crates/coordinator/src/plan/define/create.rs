//! Tables that are made.

use openpeta_sql_route::{DdlError, Token, parse_ddl};

use super::{Create, Define, Name, definition, foreign_key, full, plain_name, unreadable};
use crate::Refusal;
use crate::catalogue::{Catalogue, Definition, Named};
use crate::plan::Facts;
use crate::plan::text::{Tokens, table_name};
use crate::topology::Topology;

/// Where the name of the table of a `CREATE TABLE` stands, and whether `IF NOT EXISTS` does.
fn name_of_create(tokens: &Tokens<'_>) -> Option<(usize, bool)> {
    let at = tokens
        .list
        .iter()
        .position(|token| token.is_word("TABLE"))?
        + 1;
    if tokens.word(at) == "IF" && tokens.word(at + 1) == "NOT" && tokens.word(at + 2) == "EXISTS" {
        return Some((at + 3, true));
    }
    Some((at, false))
}

pub(super) fn create(
    tokens: &Tokens<'_>,
    mentioned: &[(String, String, Named)],
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let (at, if_not_exists) = name_of_create(tokens).ok_or_else(unreadable)?;
    let head = tokens.list.get(at..).ok_or_else(unreadable)?;
    let (schema, name, taken) = table_name(head, facts.dialect).ok_or_else(unreadable)?;
    let text = std::str::from_utf8(tokens.text).map_err(|_| unreadable())?;
    let name = full(schema, name, facts)?;
    let clause = match parse_ddl(text, facts.dialect) {
        Ok(ddl) => ddl.distribution.map(|clause| (clause, ddl.statement)),
        Err(error @ (DdlError::Distribution | DdlError::SeveralDistributions)) => {
            return Err(Refusal::new("distribute-clause", error));
        }
        Err(_) => None,
    };
    let like = like(&tokens.list[at + taken..], facts)?;
    let like = like.filter(|(schema, name)| catalogue.table(schema, name).is_some());
    let has_clause = clause.is_some()
        || tokens.list.windows(2).any(|pair| {
            pair[0].is_word("DISTRIBUTE") && pair[1].is_word("BY")
                || pair[0].is_word("DISTRIBUTE_KEY") && pair[1].is_symbol("(")
        });
    if tokens.word(1) == "TEMPORARY" || tokens.word(3) == "TEMPORARY" {
        if has_clause {
            return Err(Refusal::new(
                "distribute-clause",
                "a temporary table cannot be distributed",
            ));
        }
        if catalogue.get(&name.0, &name.1).is_some() {
            return Err(Refusal::new(
                "temporary-name",
                "a temporary table cannot have the name of a distributed one",
            ));
        }
        let is_hashed =
            |named: &Named| matches!(named, Named::Table(table) if table.key().is_some());
        if tokens.has_word("SELECT") && mentioned.iter().any(|(_, _, named)| is_hashed(named)) {
            return Err(Refusal::new(
                "create-select",
                "CREATE TABLE … SELECT from distributed tables is not supported; create the table first",
            ));
        }
        // It is the session's alone, like a distributed table or not.
        return Ok(None);
    }
    if !has_clause && like.is_none() {
        let from_distributed = mentioned.iter().any(|(schema, table, named)| {
            matches!(named, Named::Table(_)) && (schema, table) != (&name.0, &name.1)
        });
        if from_distributed && tokens.has_word("SELECT") {
            return Err(Refusal::new(
                "create-select",
                "CREATE TABLE … SELECT from distributed tables is not supported; create the table first",
            ));
        }
        if from_distributed && tokens.has_word("REFERENCES") {
            return Err(foreign_key());
        }
        if tokens.word(1) == "OR" && catalogue.get(&name.0, &name.1).is_some() {
            return Err(Refusal::new(
                "or-replace",
                "drop the distributed table first",
            ));
        }
        let spread = topology.partitions(&name.0).is_some();
        return Ok(spread.then_some(Define::CreateSingle));
    }
    if tokens.word(1) == "OR" {
        return Err(Refusal::new(
            "or-replace",
            "OR REPLACE is not supported for distributed tables; drop it first",
        ));
    }
    if tokens.has_executable {
        return Err(Refusal::new(
            "executable-comment",
            "executable comments are not supported in statements about distributed tables",
        ));
    }
    if topology.partitions(&name.0).is_none() {
        return Err(Refusal::new(
            "database-not-spread",
            format!(
                "the database `{}` lives on one node; its tables cannot be distributed",
                name.0
            ),
        ));
    }
    if tokens.has_word("SELECT") {
        return Err(Refusal::new(
            "create-select",
            "CREATE TABLE … SELECT of distributed tables is not supported; create the table first",
        ));
    }
    if tokens.has_word("REFERENCES") {
        return Err(foreign_key());
    }
    plain_name(&name.1)?;
    let (definition, rest) = match clause {
        Some((clause, statement)) => {
            let definition = definition(&clause).ok_or_else(unreadable)?;
            if let Definition::Hash(column) = &definition {
                plain_name(column)?;
            }
            let offset = statement.as_ptr().addr() - text.as_ptr().addr();
            let (from, to) = (clause.range.start + offset, clause.range.end + offset);
            let name_end = tokens.range(&tokens.list[at + taken - 1]).end;
            let end = offset + statement.len();
            if from < name_end {
                return Err(unreadable());
            }
            let rest = [&text[name_end..from], " ", &text[to..end]].concat();
            (Some(definition), rest.into_bytes())
        }
        None => {
            if has_clause {
                return Err(unreadable());
            }
            let name_end = tokens.range(&tokens.list[at + taken - 1]).end;
            let end = tokens
                .list
                .last()
                .map_or(text.len(), |last| tokens.range(last).end);
            (None, text.as_bytes()[name_end..end].to_vec())
        }
    };
    Ok(Some(Define::Create(Create {
        name,
        if_not_exists,
        definition,
        like,
        rest,
    })))
}

/// The table behind `LIKE`.
fn like(tokens: &[Token<'_>], facts: &Facts) -> Result<Option<Name>, Refusal> {
    let at = match tokens {
        [word, ..] if word.is_word("LIKE") => 1,
        [open, word, ..] if open.is_symbol("(") && word.is_word("LIKE") => 2,
        _ => return Ok(None),
    };
    let (schema, name, _) = table_name(&tokens[at..], facts.dialect).ok_or_else(unreadable)?;
    full(schema, name, facts).map(Some)
}
