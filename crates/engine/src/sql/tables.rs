//! The tables of a database: what they look like, and whether they are still the same.

use std::collections::HashMap;

use openpeta_types::{DbName, TableName};
use ring::digest;
use serde::{Deserialize, Serialize};

use super::NodeSql;
use crate::error::Result;
use crate::quote;

/// MariaDB's "no such table".
const NO_SUCH_TABLE: u16 = 1146;

/// Tables, as opposed to views and sequences.
const IS_TABLE: &str = "TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')";

/// A table in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSummary {
    /// Its name.
    pub name: String,
    /// The columns of its primary key, in order.
    pub primary_key: Vec<String>,
}

/// A table with all that is shown of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDetail {
    /// Its columns, in order.
    pub columns: Vec<TableColumn>,
    /// Its indexes, the primary key included.
    pub indexes: Vec<TableIndex>,
    /// The storage engine.
    pub engine: String,
    /// Rows as the storage engine's statistics have them: an estimate in InnoDB.
    pub rows: u64,
    /// Bytes of the rows, by the same statistics.
    pub data_bytes: u64,
    /// Bytes of the indexes that are kept apart from the rows, by the same statistics.
    pub index_bytes: u64,
}

impl TableDetail {
    /// The columns of the primary key, in order.
    #[must_use]
    pub fn primary_key(&self) -> &[String] {
        let primary = self.indexes.iter().find(|index| index.name == PRIMARY);
        primary.map_or(&[], |index| &index.columns)
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// Its type's name in upper case, without length.
    pub data_type: String,
    /// The most characters of a text, the most bytes of a binary value, the digits of a DECIMAL,
    /// the bits of a BIT; of every other type the bytes that a value takes, 0 where that varies.
    pub length: u64,
    /// Whether it may be NULL.
    pub nullable: bool,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableIndex {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<String>,
    /// Whether no two rows may agree in it.
    pub unique: bool,
}

/// The name of the index that is the primary key.
const PRIMARY: &str = "PRIMARY";

/// What a table is at some moment, to tell later whether a definition statement was carried out.
/// Opaque; equal as long as nothing defined the table anew, whatever is written to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableState(Option<String>);

impl TableState {
    /// Whether there is such a table.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.0.is_some()
    }
}

/// A column of the information schema: name, type, characters, digits, digits of seconds, NULL.
type ColumnRow = (String, String, Option<u64>, Option<u64>, Option<u64>, bool);

impl NodeSql {
    /// The tables of a database, by name, without views and sequences. A database that does not
    /// exist has none.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn tables(&mut self, database: &DbName) -> Result<Vec<TableSummary>> {
        let schema = quote::string(database.as_str());
        let query = format!(
            "SELECT TABLE_NAME FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = {schema} AND {IS_TABLE}"
        );
        let names: Vec<String> = self.rows("list tables", &query).await?;
        let query = format!(
            "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA = {schema} AND INDEX_NAME = '{PRIMARY}' ORDER BY SEQ_IN_INDEX"
        );
        let keys: Vec<(String, String)> = self.rows("list primary keys", &query).await?;
        let mut key_of: HashMap<String, Vec<String>> = HashMap::new();
        for (table, column) in keys {
            key_of.entry(table).or_default().push(column);
        }
        let mut tables: Vec<TableSummary> = names
            .into_iter()
            .map(|name| TableSummary {
                primary_key: key_of.remove(&name).unwrap_or_default(),
                name,
            })
            .collect();
        tables.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(tables)
    }

    /// Whether there is such a table; a view or a sequence is none.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn has_table(&mut self, database: &DbName, table: &TableName) -> Result<bool> {
        let query = format!(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE {} AND {IS_TABLE}",
            is_of(database, table)
        );
        let names: Vec<String> = self.rows("look up a table", &query).await?;
        Ok(!names.is_empty())
    }

    /// A table with its columns, indexes and size; `None` when there is no such table.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn table(
        &mut self,
        database: &DbName,
        table: &TableName,
    ) -> Result<Option<TableDetail>> {
        let is_of = is_of(database, table);
        let query = format!(
            "SELECT COALESCE(ENGINE, ''), COALESCE(TABLE_ROWS, 0), COALESCE(DATA_LENGTH, 0), \
                    COALESCE(INDEX_LENGTH, 0) \
             FROM information_schema.TABLES WHERE {is_of} AND {IS_TABLE}"
        );
        let found: Vec<(String, u64, u64, u64)> = self.rows("look up a table", &query).await?;
        let Some((engine, rows, data_bytes, index_bytes)) = found.into_iter().next() else {
            return Ok(None);
        };
        let query = format!(
            "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, \
                    DATETIME_PRECISION, IS_NULLABLE = 'YES' \
             FROM information_schema.COLUMNS WHERE {is_of} ORDER BY ORDINAL_POSITION"
        );
        let columns: Vec<ColumnRow> = self.rows("list columns", &query).await?;
        let query = format!(
            "SELECT INDEX_NAME, COLUMN_NAME, NON_UNIQUE = 0 \
             FROM information_schema.STATISTICS WHERE {is_of} \
             ORDER BY INDEX_NAME <> '{PRIMARY}', INDEX_NAME, SEQ_IN_INDEX"
        );
        let parts: Vec<(String, String, bool)> = self.rows("list indexes", &query).await?;
        Ok(Some(TableDetail {
            columns: columns.into_iter().map(column).collect(),
            indexes: indexes(parts),
            engine,
            rows,
            data_bytes,
            index_bytes,
        }))
    }

    /// What a table is now.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn table_state(
        &mut self,
        database: &DbName,
        table: &TableName,
    ) -> Result<TableState> {
        let (schema, name) = (database.as_str(), table.as_str());
        let quoted = format!("{}.{}", quote::identifier(schema), quote::identifier(name));
        let statement = format!("SHOW CREATE TABLE {quoted}");
        let shown: Vec<mysql_async::Row> = match self.rows("look at a table", &statement).await {
            Err(error) if error.server_code() == Some(NO_SUCH_TABLE) => {
                return Ok(TableState(None));
            }
            shown => shown?,
        };
        // A view's has more columns.
        let definition: Vec<u8> = shown.first().and_then(|row| row.get(1)).unwrap_or_default();
        let definition = openpeta_sql_route::with_bytes_as_numbers(&definition);
        // What makes a table anew without another definition gives it other files: InnoDB
        // numbers them, other engines have a time.
        let query = format!(
            "SELECT CONCAT(NAME, ' ', TABLE_ID) FROM information_schema.INNODB_SYS_TABLES \
             WHERE BINARY SUBSTRING_INDEX(NAME, '#P#', 1) = \
                   CONCAT({schema}, '/', BINARY CONVERT({name} USING filename)) \
             UNION ALL \
             SELECT COALESCE(CREATE_TIME, '') FROM information_schema.TABLES \
             WHERE {is_of} AND ENGINE <> 'InnoDB'",
            schema = quote::string(schema),
            name = quote::string(name),
            is_of = is_of(database, table),
        );
        let mut files: Vec<String> = self.rows("look at a table", &query).await?;
        files.sort_unstable();
        let text = format!("{}\n{}", without_counter(&definition), files.join("\n"));
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        Ok(TableState(Some(digits.collect())))
    }
}

/// The condition that finds a table in the information schema. Names of tables differ by case; the
/// schema compares without, unless told so, but looks a name up at once only when it is not.
fn is_of(database: &DbName, table: &TableName) -> String {
    let name = quote::string(table.as_str());
    format!(
        "TABLE_SCHEMA = {} AND TABLE_NAME = {name} AND BINARY TABLE_NAME = BINARY {name}",
        quote::string(database.as_str()),
    )
}

fn column((name, data_type, characters, digits, fraction, nullable): ColumnRow) -> TableColumn {
    let data_type = data_type.to_ascii_uppercase();
    let seconds = fraction.unwrap_or(0).div_ceil(2);
    let length = match (data_type.as_str(), characters) {
        (_, Some(characters)) => characters,
        ("DECIMAL" | "BIT", _) => digits.unwrap_or(0),
        ("TINYINT" | "YEAR", _) => 1,
        ("SMALLINT", _) => 2,
        ("MEDIUMINT" | "DATE", _) => 3,
        ("INT" | "FLOAT" | "INET4", _) => 4,
        ("BIGINT" | "DOUBLE", _) => 8,
        ("TIME", _) => 3 + seconds,
        ("TIMESTAMP", _) => 4 + seconds,
        ("DATETIME", _) => 5 + seconds,
        ("UUID" | "INET6", _) => 16,
        _ => 0,
    };
    TableColumn {
        name,
        data_type,
        length,
        nullable,
    }
}

/// Index parts, sorted by index, as indexes.
fn indexes(parts: Vec<(String, String, bool)>) -> Vec<TableIndex> {
    let mut indexes: Vec<TableIndex> = Vec::new();
    for (name, column, unique) in parts {
        match indexes.last_mut() {
            Some(index) if index.name == name => index.columns.push(column),
            _ => indexes.push(TableIndex {
                name,
                columns: vec![column],
                unique,
            }),
        }
    }
    indexes
}

/// A definition as the server shows it, without the next AUTO_INCREMENT value: every insert
/// changes that.
fn without_counter(definition: &str) -> String {
    const OPTION: &str = " AUTO_INCREMENT=";
    let options = definition.rfind("\n) ENGINE=").unwrap_or(definition.len());
    let (columns, options) = definition.split_at(options);
    let Some((before, after)) = options.split_once(OPTION) else {
        return definition.to_owned();
    };
    let rest = after.trim_start_matches(|character: char| character.is_ascii_digit());
    format!("{columns}{before}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_follow_the_type() {
        let length = |data_type: &str, characters, digits, fraction| {
            let row = (
                "c".to_owned(),
                data_type.to_owned(),
                characters,
                digits,
                fraction,
                true,
            );
            let column = column(row);
            assert_eq!(column.data_type, data_type.to_uppercase());
            column.length
        };
        assert_eq!(length("int", None, Some(10), None), 4);
        assert_eq!(length("tinyint", None, Some(3), None), 1);
        assert_eq!(length("bigint", None, Some(20), None), 8);
        assert_eq!(length("varchar", Some(200), None, None), 200);
        assert_eq!(length("text", Some(65_535), None, None), 65_535);
        assert_eq!(length("decimal", None, Some(10), None), 10);
        assert_eq!(length("bit", None, Some(7), None), 7);
        assert_eq!(length("double", None, Some(22), None), 8);
        assert_eq!(length("datetime", None, None, Some(0)), 5);
        assert_eq!(length("datetime", None, None, Some(6)), 8);
        assert_eq!(length("point", None, None, None), 0);
    }

    #[test]
    fn parts_become_indexes() {
        let part = |name: &str, column: &str| (name.to_owned(), column.to_owned(), name != "i");
        let found = indexes(vec![
            part("PRIMARY", "a"),
            part("PRIMARY", "b"),
            part("i", "b"),
        ]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].columns, ["a", "b"]);
        assert!(found[0].unique && !found[1].unique);
    }

    #[test]
    fn the_counter_is_left_out_of_a_definition() {
        let shown = |counter: &str| {
            format!(
                "CREATE TABLE `t` (\n  `a` int COMMENT ' AUTO_INCREMENT=1'\n) ENGINE=InnoDB{counter} \
                 DEFAULT CHARSET=utf8mb4 COMMENT='x'"
            )
        };
        assert_eq!(without_counter(&shown(" AUTO_INCREMENT=42")), shown(""));
        assert_eq!(without_counter(&shown("")), shown(""));
    }
}
