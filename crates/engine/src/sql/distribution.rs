//! How tables of databases over several nodes distribute their rows, as their definitions say it:
//! by the table option `distribute_by`, of which the server knows nothing.

use openpeta_types::DbName;
use serde::{Deserialize, Serialize};

use super::NodeSql;
use crate::error::Result;
use crate::quote;

/// How a table distributes its rows. One that says nothing is whole on the first node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableDistribution {
    /// By the value of a column.
    Hash(String),
    /// All rows are on all nodes.
    Broadcast,
}

impl NodeSql {
    /// The tables of a database that distribute their rows, by name.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn distributions(
        &mut self,
        database: &DbName,
    ) -> Result<Vec<(String, TableDistribution)>> {
        let query = format!(
            "SELECT TABLE_NAME, COALESCE(CREATE_OPTIONS, '') FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = {} AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME",
            quote::string(database.as_str())
        );
        let rows: Vec<(String, String)> = self.rows("list distributed tables", &query).await?;
        let known = |(name, options): (String, String)| Some((name, distribution(&options)?));
        Ok(rows.into_iter().filter_map(known).collect())
    }
}

/// What the options of a table say, as the information schema shows them.
pub(crate) fn distribution(options: &str) -> Option<TableDistribution> {
    let at = options.to_ascii_lowercase().find("`distribute_by`=")?;
    let value = options[at..].split_once('=')?.1.strip_prefix('\'')?;
    let value = string(value);
    if value.eq_ignore_ascii_case("BROADCAST") {
        return Some(TableDistribution::Broadcast);
    }
    let (function, column) = value.split_once('(')?;
    let column = column.strip_suffix(')')?.trim();
    let quoted = column
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'));
    let column = quoted.map_or_else(|| column.to_owned(), |name| name.replace("``", "`"));
    let is_hash = function.trim().eq_ignore_ascii_case("HASH");
    is_hash.then_some(TableDistribution::Hash(column))
}

/// The text of a quoted string, whose first quote is off, up to the last one.
fn string(quoted: &str) -> String {
    let mut text = String::new();
    let mut characters = quoted.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\'' if characters.peek() == Some(&'\'') => {
                characters.next();
                text.push('\'');
            }
            '\'' => break,
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_say_how_rows_are_distributed() {
        let hash = |column: &str| Some(TableDistribution::Hash(column.to_owned()));
        for (options, expected) in [
            ("`distribute_by`='HASH(k)'", hash("k")),
            (
                "row_format=DYNAMIC `distribute_by`='hash(`a``b`)' x=1",
                hash("a`b"),
            ),
            ("`distribute_by`='HASH(`it\'\'s`)'", hash("it's")),
            (
                "`distribute_by`='BROADCAST'",
                Some(TableDistribution::Broadcast),
            ),
            ("", None),
            ("partitioned", None),
            ("`distribute_by`='RANGE(k)'", None),
        ] {
            assert_eq!(distribution(options), expected, "{options}");
        }
    }
}
