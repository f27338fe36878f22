//! Statements that ask for the rows and bytes of tables: `SHOW TABLE STATUS`, `SHOW INDEX`, and reads of three
//! tables of `information_schema`. Home answers them, with the figures of all nodes in the place of its own.
//!
//! A reference to such a table becomes a query over it, in which the columns with figures have the values of
//! distributed tables as literals. There is no join in it, so the server merges it with what is around it: it opens
//! the tables that it would have opened, and rows come in the order in which they would have come.

mod fold;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use fold::{Answers, Figures, NextId, fold};
pub use show::show;

use crate::catalogue::Table;
use crate::topology::Topology;

/// A table of `information_schema` that has figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `TABLES`.
    Tables,
    /// `PARTITIONS`, where each distributed table has one row.
    Partitions,
    /// `STATISTICS`, a row for each column of an index.
    Statistics,
}

/// Columns with figures of `TABLES` and, as far as it has them, `PARTITIONS`, with the type of their values.
const OF_TABLES: [(&str, Cast); 8] = [
    ("TABLE_ROWS", Cast::Unsigned),
    ("AVG_ROW_LENGTH", Cast::Unsigned),
    ("DATA_LENGTH", Cast::Unsigned),
    ("INDEX_LENGTH", Cast::Unsigned),
    ("DATA_FREE", Cast::Unsigned),
    ("AUTO_INCREMENT", Cast::Unsigned),
    ("UPDATE_TIME", Cast::Datetime),
    ("CREATE_OPTIONS", Cast::Text),
];

/// The column with figures of `STATISTICS`.
const OF_INDEXES: [(&str, Cast); 1] = [("CARDINALITY", Cast::Signed)];

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cast {
    Unsigned,
    Signed,
    Datetime,
    Text,
}

impl Kind {
    /// By its name, which may be written in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Tables, Self::Partitions, Self::Statistics];
        all.into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tables => "TABLES",
            Self::Partitions => "PARTITIONS",
            Self::Statistics => "STATISTICS",
        }
    }

    fn columns(self) -> &'static [(&'static str, Cast)] {
        match self {
            Self::Tables | Self::Partitions => &OF_TABLES,
            Self::Statistics => &OF_INDEXES,
        }
    }

    /// Whether a column has figures.
    #[must_use]
    pub fn has(self, column: &str) -> bool {
        let mut columns = self.columns().iter();
        columns.any(|(name, _)| name.eq_ignore_ascii_case(column))
    }

    /// Where its figures are to be asked for.
    #[must_use]
    pub fn asked_of(self) -> Self {
        match self {
            Self::Partitions => Self::Tables,
            other => other,
        }
    }

    /// Whether it says something else of a table than home does.
    #[must_use]
    pub fn concerns(self, table: &Table) -> bool {
        // All rows of a broadcast table are at home; how its ids go on is not known there.
        self.asked_of() == Self::Tables || table.key().is_some()
    }

    /// What a node is asked about tables.
    #[must_use]
    pub fn question(self, tables: &[Arc<Table>]) -> String {
        let mut schemas: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for table in tables {
            let names = schemas.entry(&table.schema).or_default();
            names.push(literal(&table.name));
        }
        let select = match self.asked_of() {
            Self::Statistics => {
                "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, CARDINALITY"
            }
            _ => {
                "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS, DATA_LENGTH, INDEX_LENGTH, DATA_FREE, \
                 AUTO_INCREMENT, UPDATE_TIME, CREATE_OPTIONS"
            }
        };
        let from = self.asked_of().name();
        let parts = schemas.into_iter().map(|(schema, names)| {
            format!(
                "{select} FROM information_schema.{from} WHERE TABLE_SCHEMA = {} AND TABLE_NAME IN ({})",
                literal(schema),
                names.join(",")
            )
        });
        parts.collect::<Vec<_>>().join(" UNION ALL ")
    }

    /// What tells a row from others, as an expression.
    fn key(self) -> &'static str {
        match self {
            Self::Tables | Self::Partitions => {
                "CONCAT(s.TABLE_SCHEMA, _utf8mb3'/', s.TABLE_NAME) COLLATE utf8mb3_bin"
            }
            Self::Statistics => {
                "CONCAT(s.TABLE_SCHEMA, _utf8mb3'/', s.TABLE_NAME, _utf8mb3'/', s.SEQ_IN_INDEX, \
                 _utf8mb3'/', s.INDEX_NAME) COLLATE utf8mb3_bin"
            }
        }
    }

    /// The query, in parentheses, that stands in the place of the table, whose columns are these.
    #[must_use]
    pub fn source(self, columns: &[String], figures: Option<&Figures>, narrowed: &[u8]) -> Vec<u8> {
        let figures = figures.filter(|figures| !figures.keys.is_empty());
        let place = figures.map(|figures| {
            let keys: Vec<_> = figures.keys.iter().map(|key| literal(key)).collect();
            format!("FIELD({}, {})", self.key(), keys.join(","))
        });
        let column = |name: &String| {
            let own = format!("s.`{}`", name.replace('`', "``"));
            let mut known = self.columns().iter().enumerate();
            let known = known.find(|(_, (known, _))| name.eq_ignore_ascii_case(known));
            let (Some((number, (_, cast))), Some(figures), Some(place)) = (known, figures, &place)
            else {
                return own;
            };
            let values = figures.values.iter().map(|row| match row.get(number) {
                Some(Some(value)) => literal(value),
                _ => "NULL".to_owned(),
            });
            let value = format!("ELT({place}, {})", values.collect::<Vec<_>>().join(","));
            let value = match cast {
                Cast::Unsigned => format!("CAST({value} AS UNSIGNED)"),
                Cast::Signed => format!("CAST({value} AS SIGNED)"),
                Cast::Datetime => format!("CAST({value} AS DATETIME)"),
                Cast::Text => value,
            };
            let name = name.replace('`', "``");
            format!("IF({place} = 0, {own}, {value}) AS `{name}`")
        };
        let columns: Vec<_> = columns.iter().map(column).collect();
        let query = format!(
            "(SELECT {} FROM information_schema.{} s WHERE s.TABLE_NAME NOT RLIKE \
             _utf8mb3'^openpeta_(new|old)_[0-9a-f]{{16}}$'",
            columns.join(", "),
            self.name()
        );
        [query.as_bytes(), narrowed, b")"].concat()
    }
}

/// A text as a literal that means the same in all of a session's modes.
fn literal(text: &str) -> String {
    use std::fmt::Write;
    let mut literal = String::with_capacity(2 * text.len() + 12);
    literal.push_str("_utf8mb3 X'");
    for byte in text.bytes() {
        let _ = write!(literal, "{byte:02X}");
    }
    literal.push('\'');
    literal
}

/// A statement that asks for figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiguresPlan {
    /// What home runs.
    pub form: Form,
    /// The distributed tables that it may tell of.
    pub tables: Vec<Arc<Table>>,
}

/// What home runs in the place of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// The statement, with queries in the place of tables.
    Read {
        /// It, piece by piece.
        pieces: Vec<Piece>,
        /// It puts what it finds into variables or a file.
        into: bool,
    },
    /// A query that shows what a statement `SHOW …` would.
    Show {
        /// Where from.
        kind: Kind,
        /// Which rows of it, as conditions that begin with `AND`.
        narrowed: Vec<u8>,
        /// The condition of its own, on what is shown.
        condition: Option<Vec<u8>>,
    },
}

/// A piece of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(Vec<u8>),
    /// A query in the place of a table.
    Source {
        /// Of which.
        kind: Kind,
        /// Which rows of it, as conditions that begin with `AND`.
        narrowed: Vec<u8>,
    },
}

impl FiguresPlan {
    /// The nodes that have figures of their own.
    #[must_use]
    pub fn nodes(&self, topology: &Topology) -> Vec<u16> {
        let parted = self.tables.iter().filter(|table| table.key().is_some());
        let nodes = parted.flat_map(|table| topology.nodes_of(&table.schema));
        let nodes: BTreeSet<u16> = nodes.chain([Topology::HOME]).collect();
        nodes.into_iter().collect()
    }

    /// The tables that it has queries in the place of.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<_> = match &self.form {
            Form::Show { kind, .. } => vec![*kind],
            Form::Read { pieces, .. } => {
                let kind = |piece: &Piece| match piece {
                    Piece::Source { kind, .. } => Some(*kind),
                    Piece::Text(_) => None,
                };
                pieces.iter().filter_map(kind).collect()
            }
        };
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The statement that home runs. `columns` has those of each kind, `figures` by where they were asked for,
    /// `shown` the names of the columns of a `SHOW`. `None` if home shows something that is not known.
    #[must_use]
    pub fn statement(
        &self,
        columns: &BTreeMap<Kind, Vec<String>>,
        figures: &BTreeMap<Kind, Figures>,
        shown: &[String],
    ) -> Option<Vec<u8>> {
        let source = |kind: Kind, narrowed: &[u8]| {
            let columns = columns.get(&kind)?;
            Some(kind.source(columns, figures.get(&kind.asked_of()), narrowed))
        };
        match &self.form {
            Form::Read { pieces, .. } => {
                let mut statement = Vec::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => statement.extend_from_slice(text),
                        Piece::Source { kind, narrowed } => {
                            statement.extend(source(*kind, narrowed)?);
                        }
                    }
                }
                Some(statement)
            }
            Form::Show {
                kind,
                narrowed,
                condition,
            } => {
                let columns = columns.get(kind)?;
                show::statement(
                    *kind,
                    columns,
                    shown,
                    &source(*kind, narrowed)?,
                    condition.as_deref(),
                )
            }
        }
    }
}

/// Whether a text may ask for figures, whatever it means.
#[must_use]
pub fn may_be_asked(text: &[u8]) -> bool {
    let first = text.trim_ascii_start().first();
    if !matches!(
        first,
        Some(b'S' | b's' | b'W' | b'w' | b'(' | b'/' | b'-' | b'#')
    ) {
        return false;
    }
    let has = |word: &[u8]| {
        let mut parts = text.windows(word.len());
        parts.any(|part| part.eq_ignore_ascii_case(word))
    };
    has(b"TABLES") || has(b"STATISTICS") || has(b"PARTITIONS") || has(b"STATUS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_in_the_place_of_homes_own() {
        let columns = ["TABLE_NAME", "TABLE_ROWS", "UPDATE_TIME"].map(str::to_owned);
        let figures = Figures {
            keys: vec!["a/b".into()],
            values: vec![vec![
                Some("7".into()),
                None,
                None,
                None,
                None,
                None,
                None,
                None,
            ]],
        };
        let source = Kind::Tables.source(&columns, Some(&figures), b" AND 1");
        let place = "FIELD(CONCAT(s.TABLE_SCHEMA, _utf8mb3'/', s.TABLE_NAME) COLLATE utf8mb3_bin, \
                     _utf8mb3 X'612F62')";
        assert_eq!(
            String::from_utf8(source).expect("text"),
            format!(
                "(SELECT s.`TABLE_NAME`, IF({place} = 0, s.`TABLE_ROWS`, CAST(ELT({place}, \
                 _utf8mb3 X'37') AS UNSIGNED)) AS `TABLE_ROWS`, IF({place} = 0, s.`UPDATE_TIME`, \
                 CAST(ELT({place}, NULL) AS DATETIME)) AS `UPDATE_TIME` FROM \
                 information_schema.TABLES s WHERE s.TABLE_NAME NOT RLIKE \
                 _utf8mb3'^openpeta_(new|old)_[0-9a-f]{{16}}$' AND 1)"
            )
        );
        let own = Kind::Tables.source(&columns[..1], None, b"");
        assert!(own.starts_with(b"(SELECT s.`TABLE_NAME` FROM information_schema.TABLES s "));
    }

    #[test]
    fn most_texts_do_not_ask_for_them() {
        for asks in [
            "select * from information_schema.tables",
            " (SELECT 1 FROM Statistics)",
            "show table status",
            "/* x */ SHOW TABLE STATUS",
        ] {
            assert!(may_be_asked(asks.as_bytes()), "{asks}");
        }
        for other in [
            "INSERT INTO t VALUES ('information_schema.tables')",
            "SELECT * FROM orders WHERE id = 1",
            "",
        ] {
            assert!(!may_be_asked(other.as_bytes()), "{other}");
        }
    }
}
