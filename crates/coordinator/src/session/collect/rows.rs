//! The table at home that rows are collected in.

use crate::catalogue::Table;
use crate::plan::read::AS_SHOWN;

/// The definition of the table that rows are made in: the columns of a table, without what makes
/// values, and without indexes, so that all rows come through in their order.
pub(super) fn rows_definition(table: &Table, rows_table: &str) -> Option<String> {
    let mut lines = Vec::new();
    let mut options = None;
    for line in table.definition.lines().skip(1) {
        if let Some(tail) = line.strip_prefix(')') {
            let charset = tail.find("DEFAULT CHARSET=")?;
            let end = tail[charset..]
                .find(" /*")
                .map_or(tail.len(), |end| charset + end);
            let words = tail[charset..end].split_whitespace();
            let wanted = words.filter(|word| {
                ["DEFAULT", "CHARSET=", "COLLATE="]
                    .iter()
                    .any(|start| word.starts_with(start))
            });
            options = Some(wanted.collect::<Vec<_>>().join(" "));
            break;
        }
        let line = line.trim().trim_end_matches(',');
        if !line.starts_with('`') || line.contains(" GENERATED ALWAYS AS ") {
            continue;
        }
        lines.push(line.replace(" NOT NULL AUTO_INCREMENT", " NULL"));
    }
    Some(format!(
        "{AS_SHOWN}CREATE TEMPORARY TABLE {rows_table} ({}) ENGINE=InnoDB {}",
        lines.join(", "),
        options?
    ))
}
