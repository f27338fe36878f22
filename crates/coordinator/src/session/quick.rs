//! Reads of one partition whose like was planned before. They are most of what many programs send, so
//! nothing is made of them: where they run is found out where they lie, and they and their replies are
//! passed on as they came. Whatever is not as usual is left to the long way, which does the same.

use std::sync::Arc;

use openpeta_mysql_wire::command::{COM_QUERY, COM_STMT_EXECUTE};
use openpeta_mysql_wire::{HEADER_LEN, Status};

use super::copy::{Copied, OF_SESSION};
use super::{Failure, LONG, Session};
use crate::catalogue::Table;
use crate::node::{NodeError, Rows, Whole, whole};
use crate::plan::known::Spot;
use crate::service::{DatabaseHeat, Inside, Instance, Turnstile, View};
use crate::topology::Topology;

/// Longer replies are passed on packet by packet, in bytes.
const SHORT: usize = 16 << 10;
/// Tables that are at hand at once.
const TABLES: usize = 64;

/// What of an instance is at hand.
#[derive(Debug, Default)]
pub(super) struct AtHand {
    view: Option<View>,
    tables: Tables,
}

/// The tables that were read lately.
#[derive(Debug, Default)]
struct Tables(Vec<TableAtHand>);

#[derive(Debug)]
struct TableAtHand {
    table: Arc<Table>,
    turnstile: Arc<Turnstile>,
    heat: Arc<DatabaseHeat>,
}

/// Where a statement reads, and with what right.
#[derive(Debug)]
struct Way {
    node: u16,
    partition: u16,
    /// Which of the tables at hand it reads.
    table: usize,
    /// The node's number of it, if it is prepared.
    prepared: Option<u32>,
    /// Within a transaction that has it, nothing more is needed.
    _inside: Option<(Inside, Inside)>,
}

impl AtHand {
    /// Brings the view up to date.
    fn look(&mut self, instance: &Instance) {
        if !self.view.as_ref().is_some_and(|view| instance.is_now(view)) {
            self.tables.0.clear();
            self.view = instance.view();
        }
    }
}

impl Tables {
    /// The place of a table.
    fn place(&mut self, spot: &Spot<'_>, instance: &Instance) -> usize {
        let mut tables = self.0.iter();
        if let Some(at) = tables.position(|it| Arc::ptr_eq(&it.table, spot.table)) {
            return at;
        }
        if self.0.len() >= TABLES {
            self.0.clear();
        }
        let table = spot.table;
        self.0.push(TableAtHand {
            table: Arc::clone(table),
            turnstile: instance
                .locks()
                .turnstile(&(table.schema.clone(), table.name.clone())),
            heat: instance.heat().of(&table.schema, spot.of),
        });
        self.0.len() - 1
    }
}

impl Session {
    /// Carries out the command that has come, if that is quickly done. Tells whether it was.
    pub(super) async fn quick(&mut self) -> Result<bool, Failure> {
        let Some(way) = self.way() else {
            return Ok(false);
        };
        let done = self.go(&way).await;
        drop(way);
        match done {
            Ok(copied) if copied.error.is_none() => self.nodes.rest(),
            done => drop(self.ended(done).await?),
        }
        Ok(true)
    }

    /// Where the command that has come reads, if all that it takes is at hand.
    fn way(&mut self) -> Option<Way> {
        let packet = self.client.packet()?;
        let (byte, rest) = packet[HEADER_LEN..].split_first()?;
        let is_usual = !self.stale
            && !self.moved
            && self.locked.is_none()
            && self.fixed_timestamp.is_none()
            && packet.len() <= LONG
            && packet[3] == 0;
        if !is_usual {
            return None;
        }
        self.at_hand.look(&self.instance);
        let view = self.at_hand.view.as_ref()?;
        let (spot, prepared) = match *byte {
            COM_QUERY => {
                let (catalogue, topology) = (&view.catalogue, &view.topology);
                let spot = self.known.read(rest, catalogue, topology, &self.facts)?;
                (spot, None)
            }
            COM_STMT_EXECUTE => {
                let command = &packet[HEADER_LEN..];
                let (id, spot) = self.prepared.read(command, view, &self.facts)?;
                (spot, Some(self.nodes.known_as(spot.node, id)?))
            }
            _ => return None,
        };
        let table = self.at_hand.tables.place(&spot, &self.instance);
        let (node, partition) = (spot.node, spot.partition);
        let inside = match self.nodes.transaction() {
            Some(transaction) => {
                let (schema, name) = (&spot.table.schema, &spot.table.name);
                let has = |held: &super::Held| held.lets_read(schema, name);
                let has_all = self.passage.is_some() && self.used.iter().any(has);
                if !has_all || transaction.of_statement {
                    return None;
                }
                None
            }
            None => {
                let status = self.nodes.home().status();
                if !status.contains(Status::AUTOCOMMIT) || status.contains(Status::IN_TRANS) {
                    return None;
                }
                let inside = self.at_hand.tables.0[table].turnstile.enter()?;
                Some((inside, self.instance.passages().step()?))
            }
        };
        // From here on it does not change any more.
        if !self.instance.is_now(view) {
            return None;
        }
        self.nodes.ready(node)?;
        Some(Way {
            node,
            partition,
            table,
            prepared,
            _inside: inside,
        })
    }

    async fn go(&mut self, way: &Way) -> Result<Copied, Failure> {
        let node = way.node;
        let sent = self.send_on(way).await;
        // Also where it could not be sent, it is answered.
        self.client.take();
        sent?;
        loop {
            let (capabilities, sequence) = (self.client.capabilities(), self.client.sequence());
            let stream = self.nodes.joined(node).stream();
            match whole(stream.buffered(), capabilities, sequence) {
                Whole::Rows(rows) if rows.warnings == 0 => {
                    self.reply_with(way, &rows).await?;
                    return Ok(Copied {
                        rows: rows.rows,
                        ..Copied::default()
                    });
                }
                Whole::Part if stream.buffered().len() < SHORT => {}
                _ => break,
            }
            let came = tokio::select! {
                biased;
                came = stream.fill() => came.map_err(|error| Failure::of_node(node, error.into()))?,
                () = self.client.stream().ended() => return Err(Failure::Client),
            };
            if came == 0 {
                return Err(Failure::of_node(node, NodeError::closed()));
            }
        }
        self.diagnostics = None;
        let copied = self.copy_reply(node, false).await?;
        self.note_of(node, &copied).await?;
        if copied.error.is_none() {
            self.count_read(way, copied.rows);
        }
        Ok(copied)
    }

    /// Passes the command on to the node.
    async fn send_on(&mut self, way: &Way) -> Result<(), Failure> {
        let connection = self.nodes.joined(way.node);
        let packet = self.client.packet().unwrap_or_default();
        let sent = match way.prepared {
            None => connection.pass_on(packet).await,
            Some(id) => {
                let command = &packet[HEADER_LEN..];
                match self.prepared.execution(command) {
                    Some((execution, types)) => {
                        connection.pass_on_execution(id, &execution, types).await
                    }
                    None => Err(NodeError::closed()),
                }
            }
        };
        sent.map_err(|source| Failure::of_node(way.node, source))
    }

    /// Passes a whole reply on, with the session's own status.
    async fn reply_with(&mut self, way: &Way, rows: &Rows) -> Result<(), Failure> {
        self.nodes.joined(way.node).set_status(rows.status);
        let own = self.status(false).0 & OF_SESSION;
        let connection = self.nodes.joined(way.node);
        let stream = connection.stream();
        let reply = &mut stream.buffered_mut()[..rows.len];
        rows.set_status(reply, Status(rows.status.0 & !OF_SESSION | own));
        let sent = self.client.stream().write(reply).await;
        sent.map_err(|_| Failure::Client)?;
        stream.consume(rows.len);
        connection.replied();
        // Nothing had to be told.
        self.diagnostics = (way.node != Topology::HOME).then(Vec::new);
        self.count_read(way, rows.rows);
        Ok(())
    }

    fn count_read(&self, way: &Way, rows: u64) {
        if let Some(found) = self.at_hand.tables.0.get(way.table) {
            found.heat.read(way.partition, rows);
        }
    }
}
