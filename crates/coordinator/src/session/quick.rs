//! Statements about one partition whose like was planned before. They are most of what many programs send, so
//! nothing is made of them: where they run is found out where they lie, and they and their replies are
//! passed on as they came. Whatever is not as usual is left to the long way, which does the same.

use std::sync::Arc;

use openpeta_mysql_wire::command::{COM_QUERY, COM_STMT_EXECUTE};
use openpeta_mysql_wire::{HEADER_LEN, Status};

use super::copy::{Copied, OF_SESSION};
use super::{Failure, LONG, Session};
use crate::catalogue::Table;
use crate::node::{NodeError, Whole, WholeReply, whole};
use crate::plan::known::{Act, Spot};
use crate::service::{DatabaseHeat, Inside, Instance, Turnstiles, View};
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

/// The tables that were used lately.
#[derive(Debug, Default)]
struct Tables(Vec<TableAtHand>);

#[derive(Debug)]
struct TableAtHand {
    table: Arc<Table>,
    turnstiles: Turnstiles,
    heat: Arc<DatabaseHeat>,
}

/// Where a statement goes, and with what right.
#[derive(Debug)]
struct Way {
    node: u16,
    partition: u16,
    act: Act,
    /// Which of the tables at hand it is about.
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
            turnstiles: instance
                .locks()
                .turnstiles(&(table.schema.clone(), table.name.clone())),
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

    /// Where the command that has come goes, if all that it takes is at hand.
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
                let spot = self.known.spot(rest, catalogue, topology, &self.facts)?;
                (spot, None)
            }
            COM_STMT_EXECUTE => {
                let command = &packet[HEADER_LEN..];
                let (id, spot) = self.prepared.spot(command, view, &self.facts)?;
                (spot, Some(self.nodes.known_as(spot.node, id)?))
            }
            _ => return None,
        };
        let table = self.at_hand.tables.place(&spot, &self.instance);
        let (node, partition, act) = (spot.node, spot.partition, spot.act);
        if act.writes() && self.instance.is_write_locked() {
            return None;
        }
        let inside = match self.nodes.transaction() {
            Some(transaction) => {
                let (schema, name) = (&spot.table.schema, &spot.table.name);
                let has = |held: &super::Held| match act.writes() {
                    true => held.lets_write(schema, name),
                    false => held.lets_read(schema, name),
                };
                let has_all = self.passage.is_some() && self.used.iter().any(has);
                let may = !(transaction.of_statement || act.writes() && transaction.read_only);
                if !has_all || !may {
                    return None;
                }
                None
            }
            None => {
                let status = self.nodes.home().status();
                if !status.contains(Status::AUTOCOMMIT) || status.contains(Status::IN_TRANS) {
                    return None;
                }
                // What was said of transactions concerns it.
                let may = !self.nodes.variables().read_only
                    && self.next_transaction.is_none()
                    && self.next_read_only.is_none();
                if act.writes() && !may {
                    return None;
                }
                let turnstiles = &self.at_hand.tables.0[table].turnstiles;
                let inside = match act.writes() {
                    true => turnstiles.write.enter()?,
                    false => turnstiles.read.enter()?,
                };
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
            act,
            table,
            prepared,
            _inside: inside,
        })
    }

    async fn go(&mut self, way: &Way) -> Result<Copied, Failure> {
        let sent = self.send_on(way).await;
        // Also where it could not be sent, it is answered.
        self.client.take();
        sent?;
        if way.act.writes() {
            self.nodes.wrote(way.node);
        }
        let is_alone = way.act.writes() && self.nodes.transaction().is_none();
        let copied = self.answered(way).await;
        copied.map_err(|failure| failure.behind_write(is_alone))
    }

    /// Passes the reply on.
    async fn answered(&mut self, way: &Way) -> Result<Copied, Failure> {
        let node = way.node;
        loop {
            let (capabilities, sequence) = (self.client.capabilities(), self.client.sequence());
            let stream = self.nodes.joined(node).stream();
            match whole(stream.buffered(), capabilities, sequence) {
                Whole::Reply(reply) if reply.warnings == 0 => {
                    self.reply_with(way, &reply).await?;
                    return Ok(Copied {
                        rows: reply.rows,
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
            self.count_use(way, copied.rows);
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
    async fn reply_with(&mut self, way: &Way, reply: &WholeReply) -> Result<(), Failure> {
        self.nodes.joined(way.node).set_status(reply.status);
        let own = self.status(false).0 & OF_SESSION;
        let connection = self.nodes.joined(way.node);
        let stream = connection.stream();
        let bytes = &mut stream.buffered_mut()[..reply.len];
        reply.set_status(bytes, Status(reply.status.0 & !OF_SESSION | own));
        let sent = self.client.stream().write(bytes).await;
        sent.map_err(|_| Failure::Client)?;
        stream.consume(reply.len);
        connection.replied();
        // Nothing had to be told.
        self.diagnostics = (way.node != Topology::HOME).then(Vec::new);
        self.count_use(way, reply.rows);
        Ok(())
    }

    fn count_use(&self, way: &Way, rows: u64) {
        if let Some(found) = self.at_hand.tables.0.get(way.table) {
            match way.act {
                Act::Read | Act::Lock => found.heat.read(way.partition, rows),
                Act::Write => found.heat.wrote(way.partition, rows),
            }
        }
    }
}
