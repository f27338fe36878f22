//! A table whose rows move: how its rows are found, and what is still to be done of them.

use std::collections::{BTreeMap, BTreeSet};

use openpeta_sql_route::{Folding, Partitions};
use openpeta_types::DbName;

use super::value::{Declared, Form};
use crate::backup::{Column, Session, select};
use crate::binlog::Watched;
use crate::error::{EngineError, Result};
use crate::quote;
use crate::sql::TableDistribution;

/// Values of the columns that rows are found by, as literals.
pub(super) type Key = Vec<String>;

/// A column that rows are found by.
#[derive(Clone, Debug)]
struct Lookup {
    /// As it is read and written.
    column: Column,
    form: Form,
    /// Its place in the table.
    place: usize,
}

/// Rows behind a key and up to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) after: Option<Key>,
    pub(super) until: Option<Key>,
    /// It has no more rows than are read at once.
    pub(super) is_small: bool,
}

impl Range {
    /// All rows.
    pub(super) fn whole() -> Self {
        Self {
            after: None,
            until: None,
            is_small: false,
        }
    }
}

/// How far a table is copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Copied {
    #[default]
    Nothing,
    /// Up to this key.
    Until(Key),
    All,
}

/// A table that moves, in part or as a whole.
#[derive(Debug)]
pub(super) struct MovingTable {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    lookups: Vec<Lookup>,
    width: usize,
    /// The rows that move; `None` for all.
    condition: Option<String>,
    pub(super) copied: Copied,
    /// Rows that may be others by now.
    pub(super) dirty: BTreeSet<Key>,
    /// Rows that were brought and not compared since.
    pub(super) unverified: BTreeSet<Key>,
    pub(super) ranges: Vec<Range>,
}

/// What the information schema says of a column.
struct ColumnFacts {
    name: String,
    declared: Declared,
    collation: u16,
    place: usize,
}

/// The columns of the tables of a database, and which are their primary keys.
pub(super) struct Described {
    columns: BTreeMap<String, Vec<ColumnFacts>>,
    keys: BTreeMap<String, Vec<String>>,
}

type Row = (
    String,
    String,
    u64,
    String,
    String,
    Option<String>,
    u64,
    u64,
);

impl Described {
    pub(super) async fn read(session: &mut Session, database: &DbName) -> Result<Self> {
        let schema = quote::string(database.as_str());
        let query = format!(
            "SELECT c.TABLE_NAME, c.COLUMN_NAME, c.ORDINAL_POSITION, LOWER(c.DATA_TYPE), \
                    LOWER(c.COLUMN_TYPE), c.CHARACTER_SET_NAME, COALESCE(l.ID, 0), \
                    COALESCE(c.CHARACTER_OCTET_LENGTH, 0) \
             FROM information_schema.COLUMNS c LEFT JOIN information_schema.COLLATIONS l \
             ON l.COLLATION_NAME = c.COLLATION_NAME \
             WHERE c.TABLE_SCHEMA = {schema} ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION"
        );
        let rows: Vec<Row> = session.rows("list columns", &query).await?;
        let mut columns: BTreeMap<String, Vec<ColumnFacts>> = BTreeMap::new();
        for (table, name, place, data_type, column_type, charset, collation, octets) in rows {
            columns.entry(table).or_default().push(ColumnFacts {
                name,
                declared: Declared {
                    data_type,
                    column_type,
                    charset,
                    octets,
                },
                collation: u16::try_from(collation).unwrap_or_default(),
                place: usize::try_from(place).unwrap_or(1) - 1,
            });
        }
        let query = format!(
            "SELECT TABLE_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA = {schema} AND INDEX_NAME = 'PRIMARY' \
             ORDER BY TABLE_NAME, SEQ_IN_INDEX"
        );
        let rows: Vec<(String, String, Option<u64>)> =
            session.rows("list primary keys", &query).await?;
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, column, part) in rows {
            // A part of a value is none by which a row is found.
            let name = if part.is_some() {
                String::new()
            } else {
                column
            };
            keys.entry(table).or_default().push(name);
        }
        Ok(Self { columns, keys })
    }

    /// SQL that tells the partition of a row.
    pub(super) fn partition(
        &self,
        table: &str,
        column: &str,
        partitions: Partitions,
    ) -> Option<String> {
        let columns = self.columns.get(table)?;
        let found = columns
            .iter()
            .find(|it| it.name.eq_ignore_ascii_case(column))?;
        let name = quote::identifier(&found.name);
        match found.declared.data_type.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => {
                Some(partitions.integer_sql(&name))
            }
            "char" | "varchar" => {
                let folding = Folding::of_collation(found.collation)?;
                Some(partitions.text_sql(&name, folding))
            }
            _ => None,
        }
    }

    /// By which columns rows are found: the primary key, or the one by which they are distributed.
    fn lookups(&self, table: &str, key: Option<&str>, columns: &[Column]) -> Option<Vec<Lookup>> {
        let described = self.columns.get(table)?;
        let of = |name: &String| {
            let found = described
                .iter()
                .find(|it| it.name.eq_ignore_ascii_case(name))?;
            let quoted = quote::identifier(&found.name);
            Some(Lookup {
                column: columns.iter().find(|it| it.name == quoted)?.clone(),
                form: Form::of(&found.declared)?,
                place: found.place,
            })
        };
        let primary = self.keys.get(table);
        let primary = primary.and_then(|names| names.iter().map(of).collect::<Option<Vec<_>>>());
        primary.or_else(|| Some(vec![of(&key?.to_owned())?]))
    }
}

impl MovingTable {
    /// The rows of some partitions, or all.
    pub(super) fn new(
        name: &str,
        columns: Vec<Column>,
        distribution: &TableDistribution,
        described: &Described,
        (count, moving): (Partitions, &[u16]),
    ) -> Result<Self> {
        let refused = |what: &str| EngineError::NotMoved {
            what: format!("the table {name} {what}"),
        };
        let (key, condition) = match distribution {
            TableDistribution::Broadcast => (None, None),
            TableDistribution::Hash(column) => {
                let partition = described
                    .partition(name, column, count)
                    .ok_or_else(|| refused("is distributed by a column that is none"))?;
                (Some(column.as_str()), Some(among(&partition, moving)))
            }
        };
        let lookups = described
            .lookups(name, key, &columns)
            .ok_or_else(|| refused("has no primary key by whose values rows can be found"))?;
        Ok(Self {
            width: described.columns.get(name).map_or(0, Vec::len),
            name: name.to_owned(),
            columns,
            lookups,
            condition,
            copied: Copied::Nothing,
            dirty: BTreeSet::new(),
            unverified: BTreeSet::new(),
            ranges: Vec::new(),
        })
    }

    /// What is watched in the log.
    pub(super) fn watched(&self) -> Watched {
        Watched {
            name: self.name.clone(),
            width: self.width,
            columns: self.lookups.iter().map(|it| it.place).collect(),
        }
    }

    /// The key of a row in the log.
    pub(super) fn key(&self, values: &[&[u8]]) -> Option<Key> {
        let pairs = self.lookups.iter().zip(values);
        pairs
            .map(|(lookup, value)| lookup.form.literal(value))
            .collect()
    }

    /// `FROM` and a condition, with the rows that move alone.
    pub(super) fn moving(&self, condition: &str) -> String {
        let moving = self.condition.as_deref().unwrap_or("1=1");
        format!(
            "{} WHERE ({condition}) AND ({moving})",
            quote::identifier(&self.name)
        )
    }

    /// The same for the rows that do not.
    pub(super) fn staying(&self, condition: &str) -> String {
        let moving = self.condition.as_deref().unwrap_or("1=1");
        format!(
            "{} WHERE ({condition}) AND NOT ({moving})",
            quote::identifier(&self.name)
        )
    }

    /// The condition of a range.
    pub(super) fn in_range(&self, range: &Range) -> String {
        let mut parts = Vec::new();
        if let Some(after) = &range.after {
            parts.push(self.compared(after, ">", ">"));
        }
        if let Some(until) = &range.until {
            parts.push(self.compared(until, "<", "<="));
        }
        match parts.is_empty() {
            true => "1=1".to_owned(),
            false => parts.join(" AND "),
        }
    }

    /// A comparison with a key, column by column; `last` is how the last of them is compared.
    fn compared(&self, key: &[String], before: &str, last: &str) -> String {
        let mut condition = String::new();
        let count = self.lookups.len();
        for (at, (lookup, value)) in self.lookups.iter().zip(key).enumerate().rev() {
            let name = &lookup.column.name;
            condition = match at + 1 == count {
                true => format!("{name} {last} {value}"),
                // The first part alone bounds an index.
                false => format!(
                    "({name} {before}= {value} AND ({name} {before} {value} OR ({condition})))"
                ),
            };
        }
        condition
    }

    /// The condition of some keys.
    pub(super) fn of_keys(&self, keys: &[Key]) -> String {
        if let [only] = &self.lookups[..] {
            let values: Vec<_> = keys.iter().flatten().map(String::as_str).collect();
            return format!("{} IN ({})", only.column.name, values.join(","));
        }
        let of = |key: &Key| {
            let pairs = self.lookups.iter().zip(key);
            let equal: Vec<_> = pairs
                .map(|(lookup, value)| format!("{} = {value}", lookup.column.name))
                .collect();
            format!("({})", equal.join(" AND "))
        };
        keys.iter().map(of).collect::<Vec<_>>().join(" OR ")
    }

    /// Where the first rows of a range end; `None` if there are no more rows than that.
    pub(super) async fn boundary(
        &self,
        session: &mut Session,
        range: &Range,
        rows: u64,
    ) -> Result<Option<Key>> {
        let columns: Vec<_> = self.lookups.iter().map(|it| it.column.clone()).collect();
        let order: Vec<_> = columns.iter().map(|it| it.name.as_str()).collect();
        let from = format!(
            "{} WHERE {} ORDER BY {} LIMIT {},1",
            quote::identifier(&self.name),
            self.in_range(range),
            order.join(","),
            rows - 1
        );
        let mut found = session
            .stream("look for rows", select(&columns, &from))
            .await?;
        let Some(row) = found.next().await? else {
            return Ok(None);
        };
        let mut key = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            let mut literal = Vec::new();
            column.write(crate::backup::bytes(&row, at), &mut literal);
            let literal = String::from_utf8(literal);
            key.push(literal.map_err(|_| EngineError::NotText {
                action: "read a key",
            })?);
        }
        while found.next().await?.is_some() {}
        Ok(Some(key))
    }
}

/// A condition that a value is among some.
fn among(expression: &str, values: &[u16]) -> String {
    let values: Vec<_> = values.iter().map(u16::to_string).collect();
    match values.is_empty() {
        true => "1=0".to_owned(),
        false => format!("{expression} IN ({})", values.join(",")),
    }
}
