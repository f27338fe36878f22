//! `CHECKSUM TABLE`: a table's checksum is the sum of those of its rows, and so of those that nodes have of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::text::{Tokens, table_name};
use super::{Facts, Plan};
use crate::Refusal;
use crate::catalogue::{Catalogue, Table};
use crate::plan::define::quoted;
use crate::topology::Topology;

/// A statement with tables that have their rows on several nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChecksumPlan {
    /// The tables that it names, in order.
    pub tables: Vec<Named>,
    /// The word at its end.
    pub option: &'static str,
}

/// A table that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name, as it can stand in any statement.
    pub name: String,
    /// Its name as the server shows it.
    pub shown: String,
    /// What it is, if its rows are on several nodes.
    pub hashed: Option<Arc<Table>>,
}

impl ChecksumPlan {
    /// The nodes that have rows of the tables, and what each is asked.
    #[must_use]
    pub fn questions(&self, topology: &Topology) -> Vec<(u16, Vec<u8>)> {
        let hashed = || {
            self.tables
                .iter()
                .filter_map(|it| Some((it, it.hashed.as_ref()?)))
        };
        let nodes = hashed().flat_map(|(_, table)| topology.nodes_of(&table.schema));
        let nodes: BTreeSet<u16> = nodes.collect();
        let question = |node: u16| {
            let is_there = |table: &Table| topology.nodes_of(&table.schema).contains(&node);
            let names = hashed().filter(|(_, table)| is_there(table));
            let names: Vec<_> = names.map(|(named, _)| &*named.name).collect();
            (node, self.of(&names))
        };
        nodes.into_iter().map(question).collect()
    }

    /// What home is asked of the tables that are whole there.
    #[must_use]
    pub fn at_home(&self) -> Option<Vec<u8>> {
        let whole = self.tables.iter().filter(|it| it.hashed.is_none());
        let names: Vec<_> = whole.map(|it| &*it.name).collect();
        (!names.is_empty()).then(|| self.of(&names))
    }

    fn of(&self, names: &[&str]) -> Vec<u8> {
        format!("CHECKSUM TABLE {} {}", names.join(", "), self.option).into_bytes()
    }
}

/// Decides on a statement that names distributed tables, or seems to.
///
/// # Errors
/// What it could not be answered exactly with.
pub fn checksum(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Plan, Refusal> {
    let unknown = || Refusal::new("statement", "CHECKSUM of a form that is not understood");
    if tokens.has_executable || !matches!(tokens.word(1).as_str(), "TABLE" | "TABLES") {
        return Err(unknown());
    }
    let mut tables = Vec::new();
    let mut at = 2;
    let option = loop {
        let rest = tokens.list.get(at..).unwrap_or_default();
        let (schema, name, length) = table_name(rest, facts.dialect).ok_or_else(unknown)?;
        at += length;
        let schema = schema.or_else(|| facts.database.clone());
        let table = schema
            .as_deref()
            .and_then(|schema| catalogue.table(schema, &name));
        tables.push(Named {
            hashed: table.filter(|table| table.key().is_some()).cloned(),
            shown: format!("{}.{name}", schema.as_deref().unwrap_or_default()),
            name: match schema {
                Some(schema) => quoted(&(schema, name)),
                None => crate::quote::identifier(&name),
            },
        });
        match (tokens.list.len() - at, tokens.word(at).as_str()) {
            (0, _) => break "",
            (1, "EXTENDED") => break "EXTENDED",
            // InnoDB keeps none.
            (1, "QUICK") => return Ok(Plan::Home),
            _ if tokens.list[at].is_symbol(",") => at += 1,
            _ => return Err(unknown()),
        }
    };
    let is_twice =
        |(at, named): (usize, &Named)| tables[..at].iter().any(|it| it.name == named.name);
    let has_parts = tables.iter().any(|named| named.hashed.is_some());
    if !has_parts || tables.iter().enumerate().any(is_twice) {
        // That is an error of its own.
        return Ok(Plan::Home);
    }
    let hashed = || tables.iter().filter_map(|named| named.hashed.as_ref());
    if hashed().any(|table| topology.owned(&table.schema).is_some()) {
        return Err(Refusal::new(
            "moving",
            "nodes have rows of partitions that are elsewhere; try again when the database is active",
        ));
    }
    Ok(Plan::Checksum(Box::new(ChecksumPlan { tables, option })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole_at_home_is_asked_there() {
        let named = |name: &str| Named {
            name: name.to_owned(),
            shown: String::new(),
            hashed: None,
        };
        let plan = ChecksumPlan {
            tables: vec![named("`a`.`b`"), named("`c`")],
            option: "EXTENDED",
        };
        let asked = plan.at_home().expect("two");
        assert_eq!(asked, b"CHECKSUM TABLE `a`.`b`, `c` EXTENDED");
    }
}
