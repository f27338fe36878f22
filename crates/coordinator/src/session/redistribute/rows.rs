//! The rows of a table go from where they are to where another distribution wants them, and are compared.

use std::collections::BTreeMap;

use openpeta_sql_route::{KeyType, KeyValue};
use tokio::sync::watch;

use super::value::{Value, names, select, sum};
use crate::Refusal;
use crate::catalogue::Table;
use crate::node::{NodeConnection, Row, Started, text_row};
use crate::plan::define::{Name, quoted};
use crate::service::{Instance, connect, run, texts};
use crate::session::Failure;
use crate::topology::Topology;

/// How long a statement for a node becomes.
const BATCH: usize = 1 << 20;
/// What makes a connection take rows as they are.
const AS_THEY_ARE: &str = "SET SESSION time_zone = '+00:00', foreign_key_checks = 0, check_constraint_checks = 0, \
     net_write_timeout = 3600, max_statement_time = 0, \
     sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,IGNORE_BAD_TABLE_OPTIONS'";

/// Where rows come from, and where they go.
#[derive(Debug)]
pub(super) struct Rows<'i> {
    pub(super) instance: &'i Instance,
    pub(super) topology: &'i Topology,
    /// The table as it is to be; its columns are those that it has.
    pub(super) table: &'i Table,
    /// It will be whole at home.
    pub(super) becomes_single: bool,
    pub(super) from: Name,
    /// The nodes that have a part of the rows each.
    pub(super) sources: Vec<u16>,
    pub(super) to: Name,
    /// The nodes that shall have some.
    pub(super) targets: Vec<u16>,
}

impl Rows<'_> {
    /// Copies all rows; how many there are.
    pub(super) async fn copy(&self, cancelled: &watch::Receiver<bool>) -> Result<u64, Failure> {
        let values = self.values()?;
        let head = format!(
            "INSERT INTO {} ({}) VALUES ",
            quoted(&self.to),
            names(&values)
        );
        let mut targets = BTreeMap::new();
        for node in &self.targets {
            let connection = ready(self.instance, *node).await?;
            targets.insert(*node, (connection, Vec::new()));
        }
        let mut count = 0;
        let mut place = Place::new(self)?;
        for source in &self.sources {
            let lost = |source_error| Failure::Branch {
                node: *source,
                source: source_error,
            };
            let mut reader = ready(self.instance, *source).await?;
            let question = select(&values, &quoted(&self.from));
            reader.send_query(&question).await.map_err(lost)?;
            match reader.start().await.map_err(lost)? {
                Started::Rows(_) => {}
                Started::Done(reply) => {
                    reply.ok()?;
                    return Err(Refusal::new("table-kind", "the table has no rows to read").into());
                }
                Started::File { .. } => {
                    return Err(Refusal::new("table-kind", "the table is a file").into());
                }
            }
            loop {
                let row = match reader.next_row().await.map_err(lost)? {
                    Row::Row(row) => row,
                    Row::End { .. } => break,
                    Row::Err(error) => return Err(error.into()),
                };
                let row = text_row(&row, values.len()).map_err(|error| lost(error.into()))?;
                let mut text = vec![b'('];
                for (number, (value, column)) in row.iter().zip(&values).enumerate() {
                    if number > 0 {
                        text.push(b',');
                    }
                    column.put(*value, &mut text);
                }
                text.push(b')');
                count += 1;
                for node in place.nodes(&row)? {
                    let Some((connection, statement)) = targets.get_mut(node) else {
                        continue;
                    };
                    if statement.is_empty() {
                        statement.extend_from_slice(head.as_bytes());
                    } else {
                        statement.push(b',');
                    }
                    statement.extend_from_slice(&text);
                    if statement.len() >= BATCH {
                        refuse_cancelled(cancelled)?;
                        put(connection, *node, statement).await?;
                    }
                }
            }
            reader.quit().await;
        }
        for (node, (mut connection, mut statement)) in targets {
            if !statement.is_empty() {
                put(&mut connection, node, &mut statement).await?;
            }
            connection.quit().await;
        }
        Ok(count)
    }

    /// Compares the rows that were copied with those that were there, by number and checksum.
    pub(super) async fn compare(&self, copied: u64) -> Result<(), Failure> {
        let values = self.values()?;
        let before = self.sums(&values, &self.from, &self.sources).await?;
        let before = before
            .iter()
            .fold((0, 0), |all, it| (all.0 + it.0, all.1 + it.1));
        let after = self.sums(&values, &self.to, &self.targets).await?;
        let is_same = match self.table.key() {
            Some(_) if !self.becomes_single => {
                before
                    == after
                        .iter()
                        .fold((0, 0), |all, it| (all.0 + it.0, all.1 + it.1))
            }
            _ => after.iter().all(|it| *it == before),
        };
        if is_same && before.0 == copied {
            return Ok(());
        }
        tracing::error!(table = %quoted(&self.from), ?before, ?after, copied, "rows were not copied as they are");
        Err(Refusal::new(
            "rows-differ",
            "the rows that were copied are not those that were there, so the table stays what it was",
        )
        .into())
    }

    async fn sums(
        &self,
        values: &[Value],
        name: &Name,
        nodes: &[u16],
    ) -> Result<Vec<(u64, u128)>, Failure> {
        let mut sums = Vec::new();
        for node in nodes {
            let mut connection = ready(self.instance, *node).await?;
            let rows = texts(&mut connection, &sum(values, &quoted(name))).await?;
            connection.quit().await;
            let sum = rows.first().and_then(|row| match &row[..] {
                [count, sum] => Some((count.parse().ok()?, sum.parse().ok()?)),
                _ => None,
            });
            sums.push(sum.ok_or_else(|| Failure::from(Refusal::new("rows-differ", "no sum")))?);
        }
        Ok(sums)
    }

    fn values(&self) -> Result<Vec<Value>, Refusal> {
        let stored = self.table.columns.iter().filter(|column| !column.generated);
        stored.map(Value::of).collect()
    }
}

/// A connection that reads and takes rows as they are.
async fn ready(instance: &Instance, node: u16) -> Result<NodeConnection, Failure> {
    let mut connection = connect(instance, node).await?;
    run(&mut connection, node, &[AS_THEY_ARE.to_owned()]).await?;
    Ok(connection)
}

/// Has a node take rows.
async fn put(
    connection: &mut NodeConnection,
    node: u16,
    statement: &mut Vec<u8>,
) -> Result<(), Failure> {
    let reply = connection.query(&*statement).await;
    reply
        .map_err(|source| Failure::Branch { node, source })?
        .ok()?;
    statement.clear();
    Ok(())
}

/// Whoever wanted it does not any more.
pub(super) fn refuse_cancelled(cancelled: &watch::Receiver<bool>) -> Result<(), Failure> {
    match *cancelled.borrow() {
        true => Err(openpeta_mysql_wire::ErrPacket::new(
            1317,
            b"70100",
            "Query execution was interrupted",
        )
        .into()),
        false => Ok(()),
    }
}

/// Finds the nodes of rows.
struct Place<'r> {
    rows: &'r Rows<'r>,
    /// Which of the values is the key.
    key_at: Option<usize>,
    one: [u16; 1],
}

impl<'r> Place<'r> {
    fn new(rows: &'r Rows<'r>) -> Result<Self, Refusal> {
        let key = rows.table.key().filter(|_| !rows.becomes_single);
        let stored = rows.table.columns.iter().filter(|column| !column.generated);
        let key_at = match key {
            Some(key) => {
                let mut stored = stored;
                let at = stored.position(|column| column.name == key.name);
                Some(at.ok_or_else(unplaced)?)
            }
            None => None,
        };
        Ok(Self {
            rows,
            key_at,
            one: [Topology::HOME],
        })
    }

    fn nodes(&mut self, row: &[Option<&[u8]>]) -> Result<&[u16], Refusal> {
        let (Some(key), Some(at)) = (self.rows.table.key(), self.key_at) else {
            return Ok(&self.rows.targets);
        };
        let schema = &self.rows.table.schema;
        let find = || {
            let value = row.get(at).copied().flatten()?;
            let value = match key.kind {
                KeyType::Integer { .. } => {
                    KeyValue::Integer(std::str::from_utf8(value).ok()?.parse().ok()?)
                }
                KeyType::Text { .. } => KeyValue::Text(value.into()),
            };
            let partitions = self.rows.topology.partitions(schema)?;
            self.rows
                .topology
                .node_of(schema, key.partition(&value, partitions)?)
        };
        self.one = [find().ok_or_else(unplaced)?];
        Ok(&self.one)
    }
}

fn unplaced() -> Refusal {
    Refusal::new(
        "insert-key",
        "a row has no value for the distribution column",
    )
}
