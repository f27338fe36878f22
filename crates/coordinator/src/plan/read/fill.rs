//! What is made at home for a read, and the statement that reads it.

use std::collections::BTreeMap;
use std::fmt;

/// A temporary table at home, and the rows that nodes have for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Its name, with its database, in quotes.
    pub table: String,
    /// What makes it, without rows.
    pub create: Vec<u8>,
    /// Its columns that have values of nodes.
    pub columns: Vec<FillColumn>,
    /// What stands before the columns in the nodes' query.
    pub before: Vec<u8>,
    /// What stands behind them.
    pub behind: Vec<u8>,
    /// The nodes that have rows.
    pub nodes: Vec<u16>,
    /// Columns that are there for their types alone.
    pub types: Vec<String>,
    /// It has the name of the table whose rows it takes.
    pub hides: bool,
    /// For people.
    pub about: String,
    /// What of its own partitions stands in the query of a node in the place of
    /// [`Owned::MARK`](super::Owned::MARK); empty when all rows count.
    pub owned: BTreeMap<u16, String>,
}

/// A column that nodes have values for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillColumn {
    /// Its name.
    pub name: String,
    /// What it is on a node.
    pub expression: Vec<u8>,
}

/// A piece of the statement that is run at home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(Vec<u8>),
    /// The whole out of the parts that nodes have counted.
    Whole {
        /// The number of the fill that has them.
        fill: usize,
        /// Which.
        of: Parts,
    },
}

/// What of a group is put together, by the names of the columns that have the parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parts {
    /// `COUNT`.
    Count(String),
    /// `SUM`.
    Sum(String),
    /// `MIN`.
    Min(String),
    /// `MAX`.
    Max(String),
    /// `AVG`.
    Average {
        /// The sums.
        sum: String,
        /// How many values.
        count: String,
        /// A column of the type that it has.
        typed: String,
    },
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(column) | Self::Sum(column) => write!(f, "SUM(`{column}`)"),
            Self::Min(column) => write!(f, "MIN(`{column}`)"),
            Self::Max(column) => write!(f, "MAX(`{column}`)"),
            Self::Average { sum, count, .. } => write!(f, "SUM(`{sum}`)/SUM(`{count}`)"),
        }
    }
}

/// The tables that are filled in their order, and what is run then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    /// The tables.
    pub fills: Vec<Fill>,
    /// The statement, if it is not the client's own. Its columns are of the same types, and are told to
    /// the client as those of its own statement.
    pub statement: Option<Vec<Piece>>,
}

/// Puts text behind pieces.
pub(super) fn push_text(pieces: &mut Vec<Piece>, text: &[u8]) {
    if let Some(Piece::Text(last)) = pieces.last_mut() {
        last.extend_from_slice(text);
    } else {
        pieces.push(Piece::Text(text.to_vec()));
    }
}
