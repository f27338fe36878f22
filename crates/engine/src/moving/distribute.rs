//! A database that lies on the first of several nodes alone, and that nobody uses yet, is distributed
//! over all of them, as its tables say.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use openpeta_sql_route::{Folding, Partitions};
use openpeta_types::{DbName, NodeId};

use super::{PartitionMove, STATEMENT_BYTES};
use crate::backup::{Column, Progress, Schema, Session, Table, bytes, checksum, names, select};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::quote;
use crate::sql::TableDistribution;

/// The longest name that a coordinator takes for a distributed table or its column.
const LONGEST_NAME: usize = 50;

/// Where a database is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a> {
    pub(crate) database: &'a DbName,
    /// All nodes, the one that has everything first.
    pub(crate) nodes: &'a [NodeId],
    /// The number of the node of each partition.
    pub(crate) partitions: &'a [u16],
}

impl Places<'_> {
    fn count(&self) -> Result<Partitions> {
        let count = u16::try_from(self.partitions.len()).ok();
        let count = count.and_then(NonZeroU16::new);
        count
            .map(Partitions::new)
            .ok_or_else(|| EngineError::NotMoved {
                what: "the database has no partitions".to_owned(),
            })
    }

    /// The partitions of a node.
    fn of(&self, number: usize) -> Vec<u16> {
        let numbered = (0..).zip(self.partitions);
        let of_node = numbered.filter(|(_, node)| usize::from(**node) == number);
        of_node.map(|(partition, _)| partition).collect()
    }
}

impl Engine {
    /// Has tables say how they are distributed; why one cannot be.
    pub(crate) async fn declare_distributions(
        &self,
        places: Places<'_>,
        distributions: &BTreeMap<String, TableDistribution>,
        triggered: &[String],
    ) -> Result<()> {
        let action = "distribute a table";
        let mut session = self.session(&places.nodes[0], places.database).await?;
        // The server does not know the option.
        let mode = b"SET SESSION sql_mode='IGNORE_BAD_TABLE_OPTIONS'";
        session.run(action, mode).await?;
        for (table, distribution) in distributions {
            let value = match distribution {
                TableDistribution::Hash(column) => format!("HASH({column})"),
                TableDistribution::Broadcast => "BROADCAST".to_owned(),
            };
            // An option takes no literal in hexadecimal.
            let value = value.replace('\\', "\\\\").replace('\'', "''");
            let alter = format!(
                "ALTER TABLE {} `distribute_by`='{value}'",
                quote::identifier(table)
            );
            session.run(action, alter.as_bytes()).await?;
        }
        let schema = Schema::read(&mut session, places.database).await?;
        let found = self
            .distributions(places.database, &places.nodes[0])
            .await?;
        for (name, distribution) in &found {
            let Some(table) = schema.tables.get(name) else {
                continue;
            };
            let obstacle = match triggered.contains(name) {
                true => Some("it has triggers".to_owned()),
                false => {
                    obstacle(&mut session, places.database, (name, table), distribution).await?
                }
            };
            if let Some(obstacle) = obstacle {
                return Err(EngineError::NotImported {
                    what: format!("table {name} cannot be distributed: {obstacle}"),
                });
            }
        }
        session.close().await;
        Ok(())
    }

    /// Has on all nodes but the first what they shall have. What they had of the database is gone.
    pub(crate) async fn copy_to_nodes(
        &self,
        places: Places<'_>,
        progress: Progress<'_>,
    ) -> Result<()> {
        let (home, database) = (&places.nodes[0], places.database);
        let mut source = self.session(home, database).await?;
        let schema = Schema::read(&mut source, database).await?;
        let distributions = self.distributions(database, home).await?;
        let of_table = |(name, _): &(String, TableDistribution)| schema.tables.get(name);
        let bytes: u64 = distributions
            .iter()
            .filter_map(of_table)
            .map(|it| it.bytes)
            .sum();
        let total = bytes * (places.nodes.len() as u64 - 1);
        let mut done = 0;
        for (number, node) in places.nodes.iter().enumerate().skip(1) {
            self.drop_database(node, database).await?;
            self.define_partitions(database, home, node).await?;
            let hashed = self
                .moving_tables(&PartitionMove {
                    database: database.clone(),
                    from: home.clone(),
                    to: node.clone(),
                    count: places.count()?,
                    partitions: places.of(number),
                    broadcast: false,
                })
                .await?;
            let mut target = self.session(node, database).await?;
            let mode =
                b"SET SESSION foreign_key_checks=0, unique_checks=0, check_constraint_checks=0, \
                autocommit=0, sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'";
            target.run("copy rows", mode).await?;
            for (name, _) in &distributions {
                let Some(table) = schema.tables.get(name) else {
                    continue;
                };
                progress(done, total, name);
                let moving = hashed.iter().find(|it| it.name == *name);
                let from = moving.map_or_else(|| table.from.clone(), |it| it.moving("1=1"));
                copy((&mut source, &mut target), (name, &table.columns), &from).await?;
                done += table.bytes;
            }
            target.close().await;
        }
        source.close().await;
        Ok(())
    }

    /// Removes from the first node the rows that others have.
    pub(crate) async fn keep_own_rows(&self, places: Places<'_>) -> Result<()> {
        let kept = places.of(0);
        let kept = (places.count()?, kept.as_slice());
        let (home, database) = (&places.nodes[0], places.database);
        let at_once = |_: Duration| Ok(Duration::ZERO);
        self.clean_partitions(home, database, kept, &at_once)
            .await?;
        Ok(())
    }

    /// Rows and checksum of each table over all nodes, as one that is whole has them. Those of a
    /// broadcast table are the same everywhere, or it is told which one differs.
    pub(crate) async fn sums_over_nodes(
        &self,
        places: Places<'_>,
    ) -> Result<BTreeMap<String, (u64, String)>> {
        let distributions = self
            .distributions(places.database, &places.nodes[0])
            .await?;
        let distributions: BTreeMap<_, _> = distributions.into_iter().collect();
        let mut sums = BTreeMap::new();
        for (number, node) in places.nodes.iter().enumerate() {
            let mut session = self.session(node, places.database).await?;
            let schema = Schema::read(&mut session, places.database).await?;
            for (name, table) in &schema.tables {
                let found = checksum(&mut session, table).await?;
                let Some(known) = sums.get_mut(name) else {
                    sums.insert(name.clone(), found);
                    continue;
                };
                match distributions.get(name) {
                    Some(TableDistribution::Hash(_)) => known.add(found),
                    _ if *known == found => {}
                    _ => {
                        return Err(EngineError::NotImported {
                            what: format!("table {name} is another one on node {number}"),
                        });
                    }
                }
            }
            session.close().await;
        }
        let told = sums.into_iter();
        Ok(told
            .map(|(name, sum)| (name, (sum.rows, sum.sum.to_string())))
            .collect())
    }
}

/// Copies rows from one node to another one.
async fn copy(
    (source, target): (&mut Session, &mut Session),
    (name, columns): (&str, &[Column]),
    from: &str,
) -> Result<()> {
    let action = "copy rows";
    let insert = format!(
        "INSERT INTO {} ({}) VALUES ",
        quote::identifier(name),
        names(columns)
    );
    let mut statement = Vec::new();
    let mut rows = source.stream(action, select(columns, from)).await?;
    while let Some(row) = rows.next().await? {
        let separator = if statement.is_empty() { &*insert } else { "," };
        statement.extend_from_slice(separator.as_bytes());
        for (index, column) in columns.iter().enumerate() {
            statement.push(if index == 0 { b'(' } else { b',' });
            column.write(bytes(&row, index), &mut statement);
        }
        statement.push(b')');
        if statement.len() >= STATEMENT_BYTES {
            target.run(action, &statement).await?;
            target.run(action, b"COMMIT").await?;
            statement.clear();
        }
    }
    if !statement.is_empty() {
        target.run(action, &statement).await?;
    }
    target.run(action, b"COMMIT").await
}

/// What keeps a table from being distributed. A coordinator refuses the same when it is asked to make one.
async fn obstacle(
    session: &mut Session,
    database: &DbName,
    (name, table): (&str, &Table),
    distribution: &TableDistribution,
) -> Result<Option<String>> {
    let action = "look at a table";
    let told = |what: &str| Ok(Some(what.to_owned()));
    if table.engine != "InnoDB" {
        return told("it is not of InnoDB");
    }
    if table.has_history {
        return told("it is system-versioned");
    }
    if table.create.contains("\n PARTITION BY ") {
        return told("it has partitions of its own");
    }
    if !is_plain(name) {
        return told("its name is more than 50 letters, digits, _, $ and -");
    }
    let schema = quote::string(database.as_str());
    let is_it = format!(
        "TABLE_SCHEMA = {schema} AND TABLE_NAME = {}",
        quote::string(name)
    );
    let query = format!(
        "SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE CONSTRAINT_SCHEMA = {schema} AND {name} IN (TABLE_NAME, REFERENCED_TABLE_NAME)",
        name = quote::string(name)
    );
    let keys: Vec<String> = session.rows(action, &query).await?;
    if let Some(key) = keys.first() {
        return Ok(Some(format!("foreign key {key} leads from it or to it")));
    }
    let TableDistribution::Hash(column) = distribution else {
        return Ok(None);
    };
    let query = format!(
        "SELECT c.IS_NULLABLE, c.IS_GENERATED, LOWER(c.DATA_TYPE), COALESCE(c.COLLATION_NAME, ''), COALESCE(l.ID, 0) \
         FROM information_schema.COLUMNS c LEFT JOIN information_schema.COLLATIONS l \
         ON l.COLLATION_NAME = c.COLLATION_NAME WHERE c.{} AND c.COLUMN_NAME = {}",
        is_it.replace("AND TABLE_NAME", "AND c.TABLE_NAME"),
        quote::string(column)
    );
    let found: Vec<(String, String, String, String, u16)> = session.rows(action, &query).await?;
    let Some((nullable, generated, data_type, collation, id)) = found.into_iter().next() else {
        return Ok(Some(format!("it has no column {column}")));
    };
    if nullable == "YES" {
        return Ok(Some(format!("column {column} is not NOT NULL")));
    }
    if generated != "NEVER" {
        return Ok(Some(format!("column {column} is generated")));
    }
    let is_key = match data_type.as_str() {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => true,
        "char" | "varchar" => collation.starts_with("utf8") && Folding::of_collation(id).is_some(),
        _ => false,
    };
    if !is_key || !is_plain(column) {
        return Ok(Some(format!(
            "column {column}, {data_type} {collation}, cannot be what rows are distributed by"
        )));
    }
    let query = format!(
        "SELECT INDEX_NAME FROM information_schema.STATISTICS WHERE {is_it} AND NON_UNIQUE = 0 \
         GROUP BY INDEX_NAME HAVING SUM(COLUMN_NAME = {}) = 0",
        quote::string(column)
    );
    let keys: Vec<String> = session.rows(action, &query).await?;
    Ok(keys
        .first()
        .map(|key| format!("unique key {key} lacks column {column}")))
}

fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-');
    name.len() <= LONGEST_NAME && name.bytes().all(is_plain)
}
