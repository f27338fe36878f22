//! `SHOW TABLE STATUS` and `SHOW INDEX`.

use std::sync::Arc;

use openpeta_sql_route::TokenKind;

use super::{FiguresPlan, Form, Kind, literal};
use crate::catalogue::{Catalogue, Table};
use crate::plan::Facts;
use crate::plan::text::{Tokens, table_name};

/// What a statement shows, if it is one of these and shows a distributed table.
#[must_use]
pub fn show(tokens: &Tokens<'_>, catalogue: &Catalogue, facts: &Facts) -> Option<FiguresPlan> {
    if tokens.verb() != "SHOW" || tokens.has_executable || tokens.is_broken {
        return None;
    }
    match tokens.word(1).as_str() {
        "TABLE" if tokens.word(2) == "STATUS" => status(tokens, catalogue, facts),
        "INDEX" | "INDEXES" | "KEYS" => index(tokens, catalogue, facts),
        _ => None,
    }
}

fn database(tokens: &Tokens<'_>, at: usize, facts: &Facts) -> Option<String> {
    let name = tokens.list.get(at)?.name(&facts.dialect)?;
    String::from_utf8(name.into_owned()).ok()
}

/// The text from a token on.
fn rest(tokens: &Tokens<'_>, at: usize) -> Option<Vec<u8>> {
    let (first, last) = (tokens.list.get(at)?, tokens.list.last()?);
    let range = tokens.range(first).start..tokens.range(last).end;
    Some(tokens.text[range].to_vec())
}

/// The condition behind `WHERE`, if that is all that follows.
fn condition(tokens: &Tokens<'_>, at: usize) -> Option<Option<Vec<u8>>> {
    if at == tokens.list.len() {
        return Some(None);
    }
    (tokens.word(at) == "WHERE").then(|| rest(tokens, at + 1).map(Some))?
}

fn status(tokens: &Tokens<'_>, catalogue: &Catalogue, facts: &Facts) -> Option<FiguresPlan> {
    let mut at = 3;
    let mut schema = facts.database.clone();
    if matches!(tokens.word(at).as_str(), "FROM" | "IN") {
        schema = Some(database(tokens, at + 1, facts)?);
        at += 2;
    }
    let schema = schema?;
    let mut tables: Vec<Arc<Table>> = catalogue
        .tables()
        .filter(|table| table.schema == schema)
        .cloned()
        .collect();
    let mut narrowed = format!(" AND s.TABLE_SCHEMA = {}", literal(&schema)).into_bytes();
    let mut own = None;
    if tokens.word(at) == "LIKE" {
        let [pattern] = tokens.list.get(at + 1..)? else {
            return None;
        };
        if pattern.kind != TokenKind::String {
            return None;
        }
        narrowed.extend_from_slice(b" AND s.TABLE_NAME COLLATE utf8mb3_bin LIKE ");
        narrowed.extend_from_slice(pattern.text);
        let text = pattern.string(&facts.dialect)?;
        tables.retain(|table| is_like(table.name.as_bytes(), &text));
    } else {
        own = condition(tokens, at)?;
    }
    (!tables.is_empty()).then_some(FiguresPlan {
        form: Form::Show {
            kind: Kind::Tables,
            narrowed,
            condition: own,
        },
        tables,
    })
}

fn index(tokens: &Tokens<'_>, catalogue: &Catalogue, facts: &Facts) -> Option<FiguresPlan> {
    let is_from = |at: usize| matches!(tokens.word(at).as_str(), "FROM" | "IN");
    if !is_from(2) {
        return None;
    }
    let (schema, name, length) = table_name(tokens.list.get(3..)?, facts.dialect)?;
    let mut at = 3 + length;
    let mut schema = schema.or_else(|| facts.database.clone());
    if is_from(at) {
        schema = Some(database(tokens, at + 1, facts)?);
        at += 2;
    }
    let schema = schema?;
    let table = catalogue.table(&schema, &name)?;
    table.key()?;
    let narrowed = format!(
        " AND s.TABLE_SCHEMA = {} AND s.TABLE_NAME = {}",
        literal(&schema),
        literal(&name)
    );
    Some(FiguresPlan {
        form: Form::Show {
            kind: Kind::Statistics,
            narrowed: narrowed.into_bytes(),
            condition: condition(tokens, at)?,
        },
        tables: vec![Arc::clone(table)],
    })
}

/// Whether a name is like a pattern; in doubt it is.
fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'\\', ..] => true,
        [b'%', rest @ ..] => (0..=name.len()).any(|at| is_like(&name[at..], rest)),
        [b'_', rest @ ..] => !name.is_empty() && is_like(&name[1..], rest),
        [byte, rest @ ..] => name
            .split_first()
            .is_some_and(|(first, name)| first == byte && is_like(name, rest)),
    }
}

/// The name in `information_schema` of a column that is shown.
fn column_of(kind: Kind, shown: &str) -> String {
    let column = match (kind, shown) {
        (Kind::Tables, "Name") | (Kind::Statistics, "Table") => "TABLE_NAME",
        (Kind::Tables, "Rows") => "TABLE_ROWS",
        (Kind::Tables, "Collation") => "TABLE_COLLATION",
        (Kind::Tables, "Comment") => "TABLE_COMMENT",
        (Kind::Statistics, "Key_name") => "INDEX_NAME",
        (Kind::Statistics, "Null") => "NULLABLE",
        _ => return shown.to_ascii_uppercase(),
    };
    column.to_owned()
}

/// The query that shows what the statement would.
pub(super) fn statement(
    kind: Kind,
    columns: &[String],
    shown: &[String],
    source: &[u8],
    condition: Option<&[u8]>,
) -> Option<Vec<u8>> {
    let items = shown.iter().map(|shown| {
        let column = column_of(kind, shown);
        let is_known = columns.contains(&column);
        is_known.then(|| format!("t.`{column}` AS `{shown}`"))
    });
    let items = items.collect::<Option<Vec<_>>>()?.join(", ");
    if items.is_empty() {
        return None;
    }
    let mut statement = format!("SELECT * FROM (SELECT {items} FROM ").into_bytes();
    statement.extend_from_slice(source);
    statement.extend_from_slice(b" t) shown");
    if let Some(condition) = condition {
        statement.extend_from_slice(b" WHERE ");
        statement.extend_from_slice(condition);
    }
    if kind == Kind::Tables {
        statement.extend_from_slice(b" ORDER BY BINARY `Name`");
    }
    Some(statement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_like_patterns() {
        for (name, pattern, is_it) in [
            ("orders", "orders", true),
            ("orders", "Orders", false),
            ("orders", "ord%", true),
            ("orders", "%r_", true),
            ("orders", "order", false),
            ("orders", "o\\_", true),
            ("", "%", true),
        ] {
            assert_eq!(
                is_like(name.as_bytes(), pattern.as_bytes()),
                is_it,
                "{name} {pattern}"
            );
        }
    }
}
