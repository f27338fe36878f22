//! Where rows come from, and how they get to home.

use std::sync::Arc;

use openpeta_mysql_wire::{Capabilities, ErrPacket};

use super::columns::{ColumnType, Form};
use super::{Manner, Stop, rows};
use crate::Refusal;
use crate::node::{NodeConnection, NodeError, Reply, Row, Started};
use crate::plan::read::{Fill, Owned};
use crate::session::{Failure, Nodes};
use crate::topology::Topology;

/// Bytes that are sent to home at once.
const PIECE: usize = 256 << 10;
/// Rows of home's own that are kept in memory while home is asked and told by turns.
const HOME_ROWS: u64 = 256 << 20;

/// The session's mode would change values on their way.
const EXACT: &str = "SET STATEMENT sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES',\
                     time_zone='+00:00',check_constraint_checks=0,foreign_key_checks=0 FOR ";

/// Home, and the connections that rows are read from.
pub(super) struct Sources<'n> {
    home: &'n mut NodeConnection,
    others: Vec<(u16, &'n mut NodeConnection)>,
    in_transaction: bool,
}

impl<'n> Sources<'n> {
    /// Connects to the nodes. Outside of a transaction, all of them show the same moment.
    pub async fn open(
        nodes: &'n mut Nodes,
        wanted: &[u16],
        manner: Manner,
    ) -> Result<Self, Failure> {
        let instance = Arc::clone(nodes.instance());
        if !manner.in_transaction {
            nodes.look(wanted);
        }
        let (home, mut others) = nodes.readers(wanted, manner.in_transaction).await?;
        if !manner.in_transaction {
            // No transaction over nodes is carried out in the meantime: it is seen on all or on none.
            let _alone = instance.alone(wanted).await?;
            let statement = "START TRANSACTION WITH CONSISTENT SNAPSHOT";
            told(&mut others, statement).await?;
        }
        Ok(Self {
            home,
            others,
            in_transaction: manner.in_transaction,
        })
    }

    /// Ends what [`Self::open`] began.
    pub async fn close(mut self) -> Result<(), Failure> {
        if !self.in_transaction {
            told(&mut self.others, "COMMIT").await?;
        }
        Ok(())
    }

    /// Brings all rows of a table.
    pub async fn fill(
        &mut self,
        fill: &Fill,
        types: &[ColumnType],
        own: Vec<Vec<u8>>,
        left: &mut u64,
    ) -> Result<(), Stop> {
        let types = &types[..fill.columns.len()];
        let mut fits = true;
        for (node, connection) in &mut self.others {
            if fill.nodes.contains(node) {
                let sent = connection.send(&question(fill, types, *node)).await;
                sent.map_err(|error| Failure::of_node(*node, error))?;
            }
        }
        let mut error = None;
        let mut target = Target::begin(self.home, fill, types).await?;
        for row in own {
            target.put(&row, left).await?;
        }
        for (node, connection) in &mut self.others {
            if fill.nodes.contains(node) {
                let discard = error.is_some() || !fits;
                let taken = read(*node, connection, &mut target, left, types, discard).await;
                let (failed, as_expected) = match taken {
                    Ok(taken) => taken,
                    Err(failure) => {
                        // Home must not wait for rows that do not come.
                        target.end().await?;
                        return Err(failure.into());
                    }
                };
                fits &= as_expected;
                error = error.or(failed);
            }
        }
        let loaded = target.end().await?;
        if error.is_none() && !fits {
            return Err(Stop::Unfit);
        }
        if let Some(error) = error.or(loaded) {
            return Err(Failure::from(error).into());
        }
        if *left == 0 {
            return Err(Failure::from(too_many()).into());
        }
        Ok(())
    }
}

fn too_many() -> Refusal {
    Refusal::new(
        "gather-limit",
        "the rows that the statement needs of other nodes are more than may be gathered",
    )
}

/// Sends a statement to all, and awaits that it is done.
pub(super) async fn told(
    connections: &mut [(u16, &mut NodeConnection)],
    statement: &str,
) -> Result<(), Failure> {
    let command = [b"\x03", statement.as_bytes()].concat();
    for (node, connection) in connections.iter_mut() {
        let sent = connection.send(&command).await;
        sent.map_err(|error| Failure::of_node(*node, error))?;
    }
    let mut failed = None;
    for (node, connection) in connections.iter_mut() {
        let reply = connection.read_reply().await;
        if let Reply::Err(error) = reply.map_err(|error| Failure::of_node(*node, error))? {
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// The command that asks a node for its rows.
fn question(fill: &Fill, types: &[ColumnType], node: u16) -> Vec<u8> {
    let mut command = vec![0x03];
    command.extend_from_slice(&fill.before);
    for (number, (column, kind)) in fill.columns.iter().zip(types).enumerate() {
        if number > 0 {
            command.extend_from_slice(b", ");
        }
        command.extend(kind.travelling(&column.expression));
    }
    match fill.owned.get(&node) {
        Some(owned) => put_owned(&mut command, &fill.behind, owned.as_bytes()),
        None => command.extend_from_slice(&fill.behind),
    }
    command
}

/// Writes a text with the partitions of a node in their places.
fn put_owned(command: &mut Vec<u8>, text: &[u8], owned: &[u8]) {
    let mark = Owned::MARK.as_bytes();
    let mut rest = text;
    while let Some(at) = rest.windows(mark.len()).position(|part| part == mark) {
        command.extend_from_slice(&rest[..at]);
        command.extend_from_slice(owned);
        rest = &rest[at + mark.len()..];
    }
    command.extend_from_slice(rest);
}

/// Whether what a node sends is what the table at home takes.
fn fits(
    sent: &[Vec<u8>],
    types: &[ColumnType],
    connection: &NodeConnection,
) -> Result<bool, NodeError> {
    let capabilities = connection.capabilities();
    for (sent, own) in sent.iter().zip(types) {
        if !own.takes(&ColumnType::read(sent, capabilities)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The rows that home has itself, which must be read before it can be told of others.
pub(super) async fn own_rows(
    home: &mut NodeConnection,
    fill: &Fill,
    types: &[ColumnType],
    limit: u64,
) -> Result<Vec<Vec<u8>>, Stop> {
    if !fill.nodes.contains(&Topology::HOME) {
        return Ok(Vec::new());
    }
    let types = &types[..fill.columns.len()];
    let sent = home.send(&question(fill, types, Topology::HOME)).await;
    sent.map_err(Failure::Home)?;
    let fits = match home.start().await.map_err(Failure::Home)? {
        Started::Done(Reply::Err(error)) => return Err(Failure::from(error).into()),
        Started::Rows(columns) => fits(&columns, types, home).map_err(Failure::Home)?,
        _ => return Err(Failure::Home(NodeError::File).into()),
    };
    let limit = limit.min(HOME_ROWS);
    let (mut rows, mut size) = (Vec::new(), 0_u64);
    loop {
        match home.next_row().await.map_err(Failure::Home)? {
            Row::Row(row) => {
                size += row.len() as u64;
                if size <= limit {
                    rows.push(row);
                }
            }
            Row::End { .. } if size > limit => return Err(Failure::from(too_many()).into()),
            Row::End { .. } if !fits => return Err(Stop::Unfit),
            Row::End { .. } => return Ok(rows),
            Row::Err(error) => return Err(Failure::from(error).into()),
        }
    }
}

/// Moves the rows of one node; tells an error of it.
async fn read(
    node: u16,
    connection: &mut NodeConnection,
    target: &mut Target<'_>,
    left: &mut u64,
    types: &[ColumnType],
    discard: bool,
) -> Result<(Option<ErrPacket>, bool), Failure> {
    let lost = |error| Failure::of_node(node, error);
    let fits = match connection.start().await.map_err(lost)? {
        Started::Done(Reply::Err(error)) => return Ok((Some(error), true)),
        Started::Rows(columns) => fits(&columns, types, connection).map_err(lost)?,
        _ => return Err(lost(NodeError::File)),
    };
    loop {
        match connection.next_row().await.map_err(lost)? {
            Row::Row(_) if discard || !fits || *left == 0 => {}
            Row::Row(row) => target.put(&row, left).await?,
            Row::End { .. } => return Ok((None, fits)),
            Row::Err(error) => return Ok((Some(error), fits)),
        }
    }
}

/// Home, taking rows.
struct Target<'h> {
    home: &'h mut NodeConnection,
    timestamps: Vec<bool>,
    numbers: Vec<bool>,
    /// What stands before the rows, where they do not go as a file.
    insert: Option<Vec<u8>>,
    /// Of the next piece of the file.
    sequence: u8,
    buffer: Vec<u8>,
    error: Option<ErrPacket>,
}

impl<'h> Target<'h> {
    async fn begin(
        home: &'h mut NodeConnection,
        fill: &Fill,
        types: &[ColumnType],
    ) -> Result<Self, Failure> {
        let names = fill
            .columns
            .iter()
            .map(|it| crate::quote::identifier(&it.name));
        let names = names.collect::<Vec<_>>().join(",");
        let by_file = home.capabilities().contains(Capabilities::LOCAL_FILES);
        let mut target = Self {
            timestamps: types.iter().map(ColumnType::is_timestamp).collect(),
            numbers: types
                .iter()
                .map(|it| matches!(it.form(), Form::Integer(_) | Form::Decimal(_)))
                .collect(),
            insert: None,
            sequence: 0,
            buffer: Vec::with_capacity(PIECE + PIECE / 4),
            error: None,
            home,
        };
        if by_file {
            let load = format!(
                "{EXACT}LOAD DATA LOCAL INFILE 'rows' INTO TABLE {} CHARACTER SET binary \
                 FIELDS TERMINATED BY 0x09 ESCAPED BY 0x5C LINES TERMINATED BY 0x0A ({names})",
                fill.table
            );
            let command = [b"\x03", load.as_bytes()].concat();
            target.home.send(&command).await.map_err(Failure::Home)?;
            match target.home.start().await.map_err(Failure::Home)? {
                Started::File { sequence } => {
                    target.sequence = sequence;
                    return Ok(target);
                }
                // Home takes no files.
                Started::Done(Reply::Err(error)) if matches!(error.code, 1148 | 4166) => {}
                Started::Done(Reply::Err(error)) => return Err(error.into()),
                _ => return Err(Failure::Home(NodeError::File)),
            }
        }
        let insert = format!("\x03{EXACT}INSERT INTO {} ({names}) VALUES ", fill.table);
        target.insert = Some(insert.into_bytes());
        Ok(target)
    }

    async fn put(&mut self, row: &[u8], left: &mut u64) -> Result<(), Failure> {
        *left = left.saturating_sub(row.len() as u64);
        let put = match &self.insert {
            None => rows::put_line(&mut self.buffer, row, &self.timestamps),
            Some(insert) => {
                if self.buffer.is_empty() {
                    self.buffer.extend_from_slice(insert);
                } else {
                    self.buffer.push(b',');
                }
                rows::put_values(&mut self.buffer, row, &self.timestamps, &self.numbers)
            }
        };
        put.map_err(|error| Failure::Home(error.into()))?;
        if self.buffer.len() >= PIECE {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.insert.is_some() {
            self.home.send(&self.buffer).await.map_err(Failure::Home)?;
            let reply = self.home.read_reply().await.map_err(Failure::Home)?;
            if let Reply::Err(error) = reply {
                self.error.get_or_insert(error);
            }
        } else {
            let sent = self.home.send_file(self.sequence, &self.buffer).await;
            self.sequence = sent.map_err(Failure::Home)?;
        }
        self.buffer.clear();
        Ok(())
    }

    /// Puts the last rows; tells an error of home.
    async fn end(mut self) -> Result<Option<ErrPacket>, Failure> {
        self.flush().await?;
        if self.insert.is_some() {
            return Ok(self.error);
        }
        let sent = self.home.send_file(self.sequence, &[]).await;
        sent.map_err(Failure::Home)?;
        match self.home.read_reply().await.map_err(Failure::Home)? {
            Reply::Err(error) => Ok(Some(error)),
            _ => Ok(None),
        }
    }
}
