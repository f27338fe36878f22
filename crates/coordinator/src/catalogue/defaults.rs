//! Defaults that a server does not tell so that any session can read them: `SHOW CREATE TABLE` and
//! `information_schema` have a `?` in the place of each character beyond U+FFFF, and backslashes mean something
//! else with `NO_BACKSLASH_ESCAPES`.

use super::load::{LoadError, rows};
use super::{Column, Table};
use crate::node::NodeConnection;

/// The columns of a table whose defaults may be told or read wrongly, with what these are, as literals.
///
/// # Errors
/// When home cannot be asked.
pub(crate) async fn lost_defaults(
    home: &mut NodeConnection,
    table: &Table,
) -> Result<Vec<(String, String)>, LoadError> {
    lost_of(home, (&table.schema, &table.name), &table.columns).await
}

/// The same for a table that is not read to its end yet.
pub(super) async fn lost_of(
    home: &mut NodeConnection,
    (schema, name): (&str, &str),
    columns: &[Column],
) -> Result<Vec<(String, String)>, LoadError> {
    let may_be = |column: &&Column| {
        let default = column.default.as_deref().unwrap_or_default();
        let has_text = column.collation.is_some() || is_binary(column);
        has_text && default.starts_with('\'') && default.contains(['?', '\\'])
    };
    let columns: Vec<_> = columns.iter().filter(may_be).collect();
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    // A default is told of a row, so one is made.
    let copy = format!("{}.`openpeta_defaults`", quoted(schema));
    let told = columns.iter().map(|column| {
        let name = quoted(&column.name);
        match is_binary(column) {
            true => format!("HEX(DEFAULT({name}))"),
            false => format!("HEX(CONVERT(DEFAULT({name}) USING utf8mb4))"),
        }
    });
    let told = told.collect::<Vec<_>>().join(", ");
    for statement in [
        format!(
            "SET STATEMENT sql_mode = 'IGNORE_BAD_TABLE_OPTIONS' FOR \
             CREATE OR REPLACE TEMPORARY TABLE {copy} LIKE {}.{}",
            quoted(schema),
            quoted(name)
        ),
        format!(
            "SET STATEMENT sql_mode = '', check_constraint_checks = 0 FOR \
             INSERT IGNORE INTO {copy} () VALUES ()"
        ),
    ] {
        rows(home, &statement).await?;
    }
    let found = rows(home, &format!("SELECT {told} FROM {copy}")).await?;
    rows(home, &format!("DROP TEMPORARY TABLE {copy}")).await?;
    let values = found.into_iter().next().unwrap_or_default();
    let literal = |(column, digits): (&Column, Option<String>)| {
        let charset = if is_binary(column) { "" } else { "_utf8mb4 " };
        Some((column.name.clone(), format!("{charset}X'{}'", digits?)))
    };
    Ok(columns
        .into_iter()
        .zip(values)
        .filter_map(literal)
        .collect())
}

fn is_binary(column: &Column) -> bool {
    matches!(column.data_type.as_str(), "binary" | "varbinary")
}

/// A definition, as `SHOW CREATE TABLE` has it, with the defaults that it tells wrongly.
pub(crate) fn with_defaults(shown: &str, lost: &[(String, String)]) -> String {
    if lost.is_empty() {
        return shown.to_owned();
    }
    let line = |line: &str| {
        let of_line = |(name, _): &&(String, String)| {
            line.trim_start().starts_with(&format!("{} ", quoted(name)))
        };
        let literal = lost.iter().find(of_line).map(|(_, literal)| literal);
        let changed = literal.and_then(|literal| with_default(line, literal));
        changed.unwrap_or_else(|| line.to_owned())
    };
    let lines: Vec<_> = shown.split('\n').map(line).collect();
    lines.join("\n")
}

/// A column with another default.
fn with_default(line: &str, literal: &str) -> Option<String> {
    const DEFAULT: &str = " DEFAULT '";
    let from = line.find(DEFAULT)? + DEFAULT.len() - 1;
    let mut letters = line[from + 1..].char_indices().peekable();
    let end = loop {
        match letters.next()? {
            (_, '\\') => drop(letters.next()?),
            (at, '\'') => match letters.peek() {
                Some((_, '\'')) => drop(letters.next()),
                _ => break from + 1 + at + 1,
            },
            _ => {}
        }
    };
    Some(format!("{}{literal}{}", &line[..from], &line[end..]))
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_put_in_the_place_of_what_is_told() {
        let literal = "_utf8mb4 X'F09F9880'";
        let lost = [("a`b".to_owned(), literal.to_owned())];
        let shown = "(\n  `a` varchar(9) DEFAULT '?',\n  `a``b` char(9) NOT NULL DEFAULT '?''\\\\' COMMENT 'it''s ?',\n  KEY `a``b` (`a``b`)\n)";
        assert_eq!(
            with_defaults(shown, &lost),
            "(\n  `a` varchar(9) DEFAULT '?',\n  `a``b` char(9) NOT NULL DEFAULT _utf8mb4 X'F09F9880' COMMENT 'it''s ?',\n  KEY `a``b` (`a``b`)\n)"
        );
        assert_eq!(with_defaults(shown, &[]), shown);
        assert_eq!(with_default("`a` char(1) DEFAULT '?", "''"), None);
    }
}
