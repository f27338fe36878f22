//! What is done to tables that are there.

use openpeta_sql_route::{DdlKind, parse_ddl};

use super::{
    Define, Kind, Name, Redistribute, definition, everywhere, foreign_key, full, plain_name,
    quoted, unreadable,
};
use crate::Refusal;
use crate::catalogue::{Catalogue, Definition};
use crate::plan::Facts;
use crate::plan::text::{Tokens, table_name};
use crate::topology::Topology;

/// `ALTER TABLE t DISTRIBUTE …`, and nothing else. Both words may name columns as well, so the clause is
/// one only where it stands behind the table's name.
pub(super) fn redistribute(
    tokens: &Tokens<'_>,
    topology: &Topology,
    facts: &Facts,
) -> Result<Option<Redistribute>, Refusal> {
    let at = tokens.list.iter().position(|token| token.is_word("TABLE"));
    let mut at = at.ok_or_else(unreadable)? + 1;
    if tokens.word(at) == "IF" {
        at += 2;
    }
    let rest = tokens.list.get(at..).unwrap_or_default();
    let Some((schema, name, taken)) = table_name(rest, facts.dialect) else {
        return Ok(None);
    };
    let begins = (tokens.word(at + taken), tokens.word(at + taken + 1));
    let next = tokens.list.get(at + taken + 1);
    let is_clause = begins.0 == "DISTRIBUTE" && begins.1 == "BY"
        || begins.0 == "DISTRIBUTE_KEY" && next.is_some_and(|next| next.is_symbol("("));
    if !is_clause {
        return Ok(None);
    }
    let text = std::str::from_utf8(tokens.text).map_err(|_| unreadable())?;
    let ddl =
        parse_ddl(text, facts.dialect).map_err(|error| Refusal::new("distribute-clause", error))?;
    let clause = ddl.distribution.ok_or_else(unreadable)?;
    let is_alone = at == 2
        && !tokens.has_executable
        && ddl.statement[clause.range.end..].trim_ascii().is_empty();
    if !is_alone {
        return Err(Refusal::new(
            "distribute-clause",
            "nothing else can be altered together with the distribution of a table",
        ));
    }
    let name = full(schema, name, facts)?;
    if topology.partitions(&name.0).is_none() {
        return Err(Refusal::new(
            "database-not-spread",
            format!(
                "the database `{}` lives on one node; its tables cannot be distributed",
                name.0
            ),
        ));
    }
    plain_name(&name.1)?;
    let to = definition(&clause);
    if let Some(Definition::Hash(column)) = &to {
        plain_name(column)?;
    }
    Ok(Some(Redistribute { name, to }))
}

pub(super) fn drop_tables(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let at = tokens
        .list
        .iter()
        .position(|token| token.is_word("TABLE") || token.is_word("TABLES"));
    let mut at = at.ok_or_else(unreadable)? + 1;
    if tokens.word(1) == "TEMPORARY" {
        return Err(Refusal::new(
            "temporary-name",
            "there is no temporary table of that name",
        ));
    }
    if tokens.word(at) == "IF" {
        at += 2;
    }
    let (mut tables, mut others) = (Vec::new(), Vec::new());
    loop {
        let (schema, name, taken) =
            table_name(tokens.list.get(at..).unwrap_or_default(), facts.dialect)
                .ok_or_else(unreadable)?;
        let name = full(schema, name, facts)?;
        let list = if catalogue.table(&name.0, &name.1).is_some() {
            &mut tables
        } else {
            &mut others
        };
        list.push(name);
        at += taken;
        if !tokens
            .list
            .get(at)
            .is_some_and(|token| token.is_symbol(","))
        {
            break;
        }
        at += 1;
    }
    if tables.is_empty() {
        return Ok(None);
    }
    let list: Vec<_> = tables.iter().map(quoted).collect();
    let statement = format!("DROP TABLE IF EXISTS {}", list.join(", "));
    Ok(Some(everywhere(
        Kind::Drop,
        tables,
        others,
        statement.into_bytes(),
    )))
}

pub(super) fn truncate(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let at = if tokens.word(1) == "TABLE" { 2 } else { 1 };
    let name = table_name(tokens.list.get(at..).unwrap_or_default(), facts.dialect);
    let (schema, name, _) = name.ok_or_else(unreadable)?;
    let name = full(schema, name, facts)?;
    if catalogue.table(&name.0, &name.1).is_none() {
        return Ok(None);
    }
    let statement = format!("TRUNCATE TABLE {}", quoted(&name));
    Ok(Some(everywhere(
        Kind::Truncate,
        vec![name],
        Vec::new(),
        statement.into_bytes(),
    )))
}

pub(super) fn rename(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let mut at = 2;
    if tokens.word(at) == "IF" {
        at += 2;
    }
    let (mut tables, mut renamed, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
    let mut has_others = false;
    loop {
        let rest = tokens.list.get(at..).unwrap_or_default();
        let (schema, name, taken) = table_name(rest, facts.dialect).ok_or_else(unreadable)?;
        let from = full(schema, name, facts)?;
        at += taken;
        if tokens.word(at) != "TO" {
            return Err(unreadable());
        }
        let rest = tokens.list.get(at + 1..).unwrap_or_default();
        let (schema, name, taken) = table_name(rest, facts.dialect).ok_or_else(unreadable)?;
        let to = full(schema, name, facts)?;
        at += 1 + taken;
        let is_ours = catalogue.table(&from.0, &from.1).is_some() || renamed.contains(&from);
        if !is_ours {
            has_others = true;
            if !tokens
                .list
                .get(at)
                .is_some_and(|token| token.is_symbol(","))
            {
                break;
            }
            at += 1;
            continue;
        }
        plain_name(&to.1)?;
        if from.0 != to.0 || topology.partitions(&to.0).is_none() {
            return Err(Refusal::new(
                "rename-database",
                "a distributed table cannot be renamed into another database",
            ));
        }
        pairs.push(format!("{} TO {}", quoted(&from), quoted(&to)));
        tables.push(from);
        renamed.push(to);
        if !tokens
            .list
            .get(at)
            .is_some_and(|token| token.is_symbol(","))
        {
            break;
        }
        at += 1;
    }
    if tables.is_empty() {
        return Ok(None);
    } else if has_others {
        return Err(Refusal::new(
            "rename-mixed",
            "distributed and other tables cannot be renamed in one statement",
        ));
    } else if at != tokens.list.len() {
        return Err(unreadable());
    }
    let statement = format!("RENAME TABLE {}", pairs.join(", "));
    let mut define = everywhere(Kind::Rename, tables, Vec::new(), statement.into_bytes());
    if let Define::Everywhere(everywhere) = &mut define {
        everywhere.renamed = renamed;
    }
    Ok(Some(define))
}

pub(super) fn alter(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let text = std::str::from_utf8(tokens.text).map_err(|_| unreadable())?;
    let ddl = parse_ddl(text, facts.dialect).map_err(|_| unreadable())?;
    let name = full(ddl.schema.map(Into::into), ddl.table.into_owned(), facts)?;
    if ddl.distribution.is_some() {
        return Err(Refusal::new(
            "distribute-clause",
            "nothing else can be altered together with the distribution of a table",
        ));
    }
    if catalogue.table(&name.0, &name.1).is_none() {
        // A distributed table stands somewhere else in it.
        return match tokens.has_word("REFERENCES") {
            true => Err(foreign_key()),
            false => Ok(None),
        };
    }
    for (word, code, what) in [
        (
            "REFERENCES",
            "foreign-key",
            "foreign keys of, and to, distributed tables are not supported",
        ),
        (
            "RENAME",
            "alter-rename",
            "use RENAME TABLE or CHANGE COLUMN for a distributed table",
        ),
        (
            "PARTITION",
            "partitions",
            "partitions of distributed tables are not supported",
        ),
        (
            "PARTITIONING",
            "partitions",
            "partitions of distributed tables are not supported",
        ),
        (
            "TABLESPACE",
            "tablespace",
            "tablespaces of distributed tables cannot be exchanged",
        ),
        (
            "VERSIONING",
            "versioning",
            "distributed tables cannot be system-versioned",
        ),
    ] {
        if ddl.kind == DdlKind::AlterTable && tokens.has_word(word) {
            return Err(Refusal::new(code, what));
        }
    }
    let sets_counter = tokens.list.windows(2).any(|pair| {
        pair[0].is_word("AUTO_INCREMENT")
            && !pair[1].is_symbol("=")
            && pair[1].kind != openpeta_sql_route::TokenKind::Integer
    }) || tokens
        .list
        .last()
        .is_some_and(|token| token.is_word("AUTO_INCREMENT"));
    if ddl.kind == DdlKind::AlterTable && sets_counter {
        return Err(Refusal::new(
            "alter-auto-increment",
            "an AUTO_INCREMENT column can only be made with the table",
        ));
    }
    if tokens.has_executable {
        return Err(unreadable());
    }
    let name_at = name_place(tokens, &name, facts).ok_or_else(unreadable)?;
    let end = tokens
        .list
        .last()
        .map_or(text.len(), |last| tokens.range(last).end);
    let around = (
        tokens.text[..name_at.0].to_vec(),
        tokens.text[name_at.1..end].to_vec(),
    );
    let mut define = everywhere(
        Kind::Alter,
        vec![name],
        Vec::new(),
        tokens.text[..end].to_vec(),
    );
    if let Define::Everywhere(everywhere) = &mut define {
        everywhere.around = Some(around);
    }
    Ok(Some(define))
}

/// From where to where the table's name stands.
fn name_place(tokens: &Tokens<'_>, name: &Name, facts: &Facts) -> Option<(usize, usize)> {
    let anchor = match tokens.verb().as_str() {
        "ALTER" => "TABLE",
        _ => "ON",
    };
    let mut at = tokens.list.iter().position(|token| token.is_word(anchor))? + 1;
    if tokens.word(at) == "IF" {
        at += 2;
    }
    let (_, found, taken) = table_name(tokens.list.get(at..)?, facts.dialect)?;
    let end = tokens.range(&tokens.list[at + taken - 1]).end;
    (found == name.1).then_some((tokens.range(&tokens.list[at]).start, end))
}
