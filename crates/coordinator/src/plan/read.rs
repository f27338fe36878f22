//! Reads over several nodes: which rows are gathered, and what runs over them.
//!
//! Nothing is evaluated here. MariaDB runs every expression there is, some on the nodes and the rest at
//! home; what is decided is which. A plan has several recipes, of which the last is always exact: the
//! tables are gathered under their own names and the statement runs as it stands. Those before it let
//! the nodes do more, and are given up when the types of their results are not the statement's own.

mod figures;
mod fill;
mod from;
mod inner;
mod local;
mod matter;
mod plain;
mod query;
mod recipe;
mod rewrite;
mod scope;
mod tables;
#[cfg(test)]
mod tests;
mod text;
mod view;
mod words;

use std::collections::BTreeSet;

pub(crate) use plain::AS_SHOWN;

pub use figures::figures;
pub use fill::{Fill, FillColumn, Parts, Piece, Recipe};
pub use tables::{Column, Index, Owned, Placement, Table, Tables};

pub(super) use inner::{locks_tables, reads_only};
pub(super) use words::{is_builtin, is_steady_call};

use super::Facts;
use super::text::Tokens;
use crate::Refusal;
use crate::catalogue::{Catalogue, Distribution, Indirect, Named};
use crate::topology::Topology;
use openpeta_sql_route::KeyType;
use text::Text;

/// The engine of tables that rows are gathered in.
pub(crate) const ENGINE: &str = "ENGINE=InnoDB";

/// What is gathered for a read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadPlan {
    /// Ways to answer the statement, the fastest first. The last one is the statement itself over
    /// tables that have the names of its own.
    pub recipes: Vec<Recipe>,
    /// The nodes that are read from, and home.
    pub nodes: Vec<u16>,
    /// The partitions that can have rows, if its condition tells.
    pub partitions: Option<Vec<u16>>,
    /// Rows are locked: each node must be read in the session's own transaction.
    pub locks: bool,
    /// The statement writes at home.
    pub writes: bool,
    /// The distributed tables that it is about, by database and name.
    pub tables: Vec<(String, String)>,
}

impl ReadPlan {
    /// The recipe that leaves the statement as it is, for a statement that was prepared.
    #[must_use]
    pub fn plain(&self) -> &Recipe {
        self.recipes.last().expect("there is always one")
    }

    /// Has a statement about one table read from some of its nodes, since no others have rows that meet
    /// its condition.
    pub(super) fn only_on(&mut self, nodes: &[u16], partitions: Vec<u16>) {
        // An aggregate of no rows at all is a row, which some node has to give.
        if nodes.is_empty() {
            return;
        }
        let fills = self.recipes.iter_mut().flat_map(|recipe| &mut recipe.fills);
        for fill in fills {
            fill.nodes.retain(|node| nodes.contains(node));
        }
        // The statement runs at home, whoever has the rows.
        self.nodes
            .retain(|node| *node == Topology::HOME || nodes.contains(node));
        self.partitions = Some(partitions);
    }

    /// What it does, for people: on which nodes, and what.
    #[must_use]
    pub fn explain(&self) -> Vec<(Vec<u16>, String)> {
        let Some(recipe) = self.recipes.first() else {
            return Vec::new();
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
        let gathers = recipe.fills.iter().map(|fill| {
            let columns = fill.columns.iter().map(|column| &column.expression[..]);
            let columns = columns.collect::<Vec<_>>().join(&b", "[..]);
            let query = [&fill.before[..], &columns, &fill.behind].concat();
            let told = format!("{} for {}: {}", fill.about, fill.table, text(&query));
            (fill.nodes.clone(), told)
        });
        let mut lines: Vec<_> = gathers.collect();
        let last = match &recipe.statement {
            None => "the statement itself, over these".to_owned(),
            Some(pieces) => {
                let pieces = pieces.iter().map(|piece| match piece {
                    Piece::Text(bytes) => bytes.clone(),
                    Piece::Whole { of, .. } => of.to_string().into_bytes(),
                });
                text(&pieces.collect::<Vec<_>>().concat())
            }
        };
        lines.push((vec![Topology::HOME], last));
        lines
    }
}

/// Plans a statement that only reads.
///
/// # Errors
/// What it could not be answered exactly with.
pub fn plan(
    statement: &[u8],
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<ReadPlan, Refusal> {
    let inlined = view::inlined(statement, catalogue, facts)?;
    let text = inlined.as_deref().unwrap_or(statement);
    let mentioned = catalogue.mentioned(text, facts.database.as_deref(), facts.dialect);
    let mut tables = Tables::new();
    for (schema, name, named) in mentioned {
        let table = match named {
            Named::Table(table) => table,
            // A view that is left has a name that stands for something else here.
            Named::Indirect(Indirect::Trigger | Indirect::View) => continue,
            Named::Indirect(Indirect::Routine) => {
                return Err(Refusal::new(
                    "routine-over-nodes",
                    format_args!("the routine {schema}.{name} uses distributed tables"),
                ));
            }
        };
        let known = known_table(&table, topology).ok_or_else(|| {
            Refusal::new(
                "table-kind",
                format_args!("rows of a table such as {schema}.{name} cannot be gathered"),
            )
        })?;
        tables.insert((schema, name), known);
    }
    let mut plan = plan_over(text, &tables, facts)?;
    plan.tables = tables.into_keys().collect();
    if let (Some(inlined), Some(last)) = (inlined, plan.recipes.last_mut()) {
        last.statement = Some(vec![Piece::Text(inlined)]);
    }
    Ok(plan)
}

/// What the catalogue says of a table.
fn known_table(table: &crate::catalogue::Table, topology: &Topology) -> Option<Table> {
    let mut known = Table::from_definition(&table.definition)?;
    known.nodes = topology.nodes_of(&table.schema);
    known.placement = match &table.distribution {
        Distribution::Broadcast => Placement::Broadcast,
        Distribution::Hash(key) => {
            let kind = match key.kind {
                KeyType::Integer { .. } => "integer".to_owned(),
                KeyType::Text { folding, .. } => format!("text {folding:?}").replace(':', ""),
            };
            let partitions = topology.partitions(&table.schema)?;
            let list = |owned: Vec<u16>| {
                let owned: Vec<_> = owned.iter().map(u16::to_string).collect();
                match owned.is_empty() {
                    true => "NULL".to_owned(),
                    false => owned.join(","),
                }
            };
            known.owned = topology.owned(&table.schema).map(|owned| Owned {
                column: key.name.clone(),
                kind: key.kind,
                partitions,
                lists: owned
                    .into_iter()
                    .map(|(node, owned)| (node, list(owned)))
                    .collect(),
            });
            let nodes = (0..partitions.count()).map(|it| topology.node_of(&table.schema, it));
            let nodes: Vec<_> = nodes.flatten().map(|node| node.to_string()).collect();
            Placement::Hash {
                column: known.column(&key.name)?,
                domain: format!("{kind}:{}", nodes.join(",")),
            }
        }
    };
    Some(known)
}

/// Plans a statement over tables that are known.
///
/// # Errors
/// As [`plan`].
pub fn plan_over(statement: &[u8], tables: &Tables, facts: &Facts) -> Result<ReadPlan, Refusal> {
    let hashed: Vec<_> = tables
        .iter()
        .filter(|(_, table)| table.is_hashed())
        .collect();
    let nodes: BTreeSet<u16> = hashed
        .iter()
        .flat_map(|(_, table)| table.nodes.clone())
        .collect();
    let nodes: Vec<_> = nodes.into_iter().collect();
    let text = Text::read(statement, facts.dialect).filter(|text| text.has_clear_names(facts.utf8));
    let Some(text) = text else {
        // What the server will make of it is not certain, but for the names that stand in it.
        let tokens = Tokens::of(statement, facts.dialect);
        let lock = recipe::lock_in(|at, word| tokens.word(at) == word, tokens.list.len());
        let wanted = match lock {
            Some(clause) => plain::Wanted::locked(clause),
            None => plain::Wanted::everything(),
        };
        let fill = |(key, table): &(&plain::Key, &Table)| plain::fill(key, table, None, &wanted);
        let fills = hashed.iter().map(fill).collect();
        let recipe = Recipe {
            fills,
            statement: None,
        };
        return Ok(ReadPlan {
            recipes: vec![recipe],
            nodes,
            locks: lock.is_some(),
            ..ReadPlan::default()
        });
    };
    check(&text, tables)?;
    Ok(recipe::recipes(&text, tables, facts, nodes))
}

/// Refuses what the rows alone do not answer.
fn check(text: &Text<'_>, tables: &Tables) -> Result<(), Refusal> {
    let has = |word: &str| (0..text.len()).any(|at| text.is_word(at, word));
    let has_call = |word: &str| {
        (0..text.len()).any(|at| text.is_word(at, word) && text.is_symbol(at + 1, "("))
    };
    if has_call("MATCH") && has("AGAINST") && tables.values().any(|table| table.has_fulltext) {
        return Err(Refusal::new(
            "fulltext",
            "the relevance of a full-text search depends on all rows; gathered rows have no such index",
        ));
    }
    for word in ["FOUND_ROWS", "ROW_COUNT"] {
        if has_call(word) {
            return Err(Refusal::new(
                "session-function",
                format_args!(
                    "{word}() beside a distributed table; ask for it in a statement of its own"
                ),
            ));
        }
    }
    Ok(())
}
