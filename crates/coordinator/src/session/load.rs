//! `LOAD DATA` of a client's file: each line goes to its node as it comes, and the nodes read them at the same time.
//! From the first line on whose node is not known for certain, the rest of the file becomes rows at home.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use openpeta_mysql_wire::{ErrPacket, Packet};
use openpeta_sql_route::KeyColumn;

use super::client::Client;
use super::collect::LIMIT;
use super::copy::Copied;
use super::show::Diagnostic;
use super::write::{Carried, SAVEPOINT, Sum, as_they_are};
use super::{Failure, Session, is_rolled_back};
use crate::Refusal;
use crate::node::{NodeConnection, NodeError, Reply, Started};
use crate::plan::collect::CollectPlan;
use crate::plan::lines::{self, Field, Lines, Next, Places};
use crate::plan::load::{self, SplitPlan};
use crate::topology::Topology;

/// Bytes of a node's lines that are sent together.
const PIECE: usize = 64 << 10;
/// Bytes that a node may be behind before the others wait for it as well.
const BEHIND: usize = 1 << 20;
/// Seconds that a node waits for its next line: all that come may be for others.
const PATIENCE: u32 = 1_209_600;

/// What of a file was brought to the nodes, and what was not.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// Rows, those that the nodes did not take among them.
    pub records: u64,
    /// Rows that were changed.
    pub affected: u64,
    pub warnings: u16,
    pub diagnostics: Vec<Diagnostic>,
    /// Rows by their partitions.
    pub written: BTreeMap<u16, u64>,
    /// What is left of the file; `None` when all was brought.
    pub rest: Option<Vec<u8>>,
}

/// A node's part of a file.
struct Feed {
    node: u16,
    /// Of its next packet.
    sequence: u8,
    piece: Vec<u8>,
    places: Places,
}

/// What is known of the file and of the table.
struct File<'p> {
    lines: Lines,
    key: &'p KeyColumn,
    schema: &'p str,
    topology: &'p Topology,
    is_utf8: bool,
    /// Zeros are ids.
    zero_counts: bool,
    /// How long the client may say nothing.
    silence: Duration,
    greatest_id: Option<u64>,
    written: BTreeMap<u16, u64>,
    records: usize,
    /// The client has sent all of it.
    is_whole: bool,
    /// Nodes have begun to read it.
    is_read: bool,
}

type Connections<'c> = Vec<(u16, &'c mut NodeConnection)>;

impl Session {
    /// Loads a file by its lines.
    pub(super) async fn load(
        &mut self,
        plan: CollectPlan,
        split: SplitPlan,
        more: bool,
    ) -> Result<Copied, Failure> {
        let question = "SELECT CONCAT(@@character_set_database, ' ', @@net_read_timeout)";
        let told = self.value_at_home(question).await?.unwrap_or_default();
        let (of_database, timeout) = told.split_once(' ').unwrap_or_default();
        let charset = split.charset.as_deref().unwrap_or(of_database).to_owned();
        let (Some(key), true) = (plan.table.key(), load::is_bytewise(&charset)) else {
            return self.collect_rows(plan, None, more).await;
        };
        let own = self.nodes.transaction().is_none();
        let mut carried = self.carried(&plan.needs, true).await?;
        carried.prefix = match carried.prefix.strip_prefix("SET STATEMENT ") {
            Some(others) => format!("SET STATEMENT net_read_timeout={PATIENCE},{others}"),
            None => format!("SET STATEMENT net_read_timeout={PATIENCE} FOR "),
        };
        if own {
            let before = self.next_transaction.take();
            self.nodes.begin(before, false, true);
        }
        let instance = std::sync::Arc::clone(&self.instance);
        let topology = instance.topology();
        let nodes = topology.nodes_of(&plan.table.schema);
        let mut file = File {
            lines: Lines::new(split.form.clone()),
            key,
            schema: &plan.table.schema,
            topology: &topology,
            is_utf8: load::is_utf8(&charset),
            zero_counts: self.facts.has_mode("NO_AUTO_VALUE_ON_ZERO"),
            silence: Duration::from_secs(timeout.parse().unwrap_or(30)),
            greatest_id: None,
            written: BTreeMap::new(),
            records: 0,
            is_whole: false,
            is_read: false,
        };
        let statement = split.statement(&plan.table, &charset);
        let begun = self
            .split(&mut file, &nodes, &carried, &statement, own)
            .await;
        if let Some(greatest) = file.greatest_id {
            let name = (plan.table.schema.clone(), plan.table.name.clone());
            instance.ids().saw(&name, greatest).await;
        }
        let plan = CollectPlan {
            // Lines that are passed over have been.
            load: plan.load.clone().map(|(head, _)| (head, split.tail)),
            ..plan.clone()
        };
        let is_read = file.is_read;
        let done = match begun {
            Ok(begun) => self.collect_rows(plan, Some(begun), more).await,
            Err(failure) => Err(failure),
        };
        if let Err(Failure::Statement(error)) = &done
            && is_read
            && !own
            && !is_rolled_back(error.code)
        {
            self.nodes.drain().await?;
            self.undo_statement(&nodes).await?;
        }
        done
    }

    /// Has the nodes load the file up to its end, or to the first line that is not theirs for certain.
    async fn split(
        &mut self,
        file: &mut File<'_>,
        nodes: &[u16],
        carried: &Carried,
        statement: &[u8],
        own: bool,
    ) -> Result<Begun, Failure> {
        let mut feeds = self.begin_files(nodes, carried, statement, own).await?;
        file.is_read = true;
        self.request_file(statement).await?;
        let rest = match self.feed(file, &mut feeds).await {
            Ok(rest) => rest,
            Err(failure) => {
                if failure.packet().is_some() {
                    self.give_up(file, &mut feeds).await?;
                }
                return Err(failure);
            }
        };
        let mut replies = Vec::new();
        for feed in &feeds {
            let connection = self.nodes.joined(feed.node);
            let reply = async {
                let reply = connection.read_reply().await;
                reply.map_err(|source| Failure::of_node(feed.node, source))
            };
            replies.push(self.client.attend(reply).await?);
        }
        let is_told = |reply: &Reply| !matches!(reply, Reply::Ok(ok) if ok.head.warnings == 0);
        let places: Vec<Vec<usize>> = match replies.iter().any(is_told) {
            true => feeds.iter().map(|feed| feed.places.all()).collect(),
            false => vec![Vec::new(); feeds.len()],
        };
        let places: Vec<&[usize]> = places.iter().map(Vec::as_slice).collect();
        let statements: Vec<_> = feeds.iter().map(|feed| (feed.node, Vec::new())).collect();
        let (replies, diagnostics) = self
            .judge(&statements, as_they_are(replies), false, Some(&places))
            .await?;
        let mut sum = Sum::default();
        for reply in &replies {
            sum.add(reply);
        }
        Ok(Begun {
            records: file.records as u64,
            affected: sum.affected,
            warnings: sum.warnings,
            diagnostics,
            written: std::mem::take(&mut file.written),
            rest,
        })
    }

    /// Sends the statement to all nodes; each asks for a file then.
    async fn begin_files(
        &mut self,
        nodes: &[u16],
        carried: &Carried,
        statement: &[u8],
        own: bool,
    ) -> Result<Vec<Feed>, Failure> {
        let savepoint = (!own).then(|| format!("SAVEPOINT {SAVEPOINT}"));
        let ahead: Vec<&String> = carried.before.iter().chain(&savepoint).collect();
        let statement = [carried.prefix.as_bytes(), statement].concat();
        let all = &mut self.nodes;
        let work = async {
            for node in nodes {
                all.node(*node).await?;
                all.wrote(*node);
            }
            for node in nodes {
                let connection = all.joined(*node);
                let failed = |source| Failure::of_node(*node, source);
                for before in &ahead {
                    connection.send_query(before).await.map_err(failed)?;
                }
                connection.send_query(&statement).await.map_err(failed)?;
            }
            let mut feeds = Vec::new();
            let mut failure = None;
            for node in nodes {
                let connection = all.joined(*node);
                match begun(connection, ahead.len()).await {
                    Ok(sequence) => feeds.push(Feed {
                        node: *node,
                        sequence,
                        piece: Vec::new(),
                        places: Places::default(),
                    }),
                    Err(Begin::Failed(error)) => {
                        failure.get_or_insert(error.into());
                    }
                    Err(Begin::Lost(source)) => {
                        failure = Some(Failure::of_node(*node, source));
                    }
                }
            }
            Ok((feeds, failure))
        };
        let (mut feeds, failure) = self.client.attend(work).await?;
        let Some(failure) = failure else {
            return Ok(feeds);
        };
        // No file is one too.
        self.end_early(&mut feeds).await;
        Err(failure)
    }

    /// Brings the lines of the client's file to their nodes; tells what is not brought there.
    async fn feed(
        &mut self,
        file: &mut File<'_>,
        feeds: &mut [Feed],
    ) -> Result<Option<Vec<u8>>, Failure> {
        let nodes: Vec<u16> = feeds.iter().map(|feed| feed.node).collect();
        let mut connections = self.nodes.several(&nodes).await?;
        let client = &mut self.client;
        let rest = loop {
            match file.bring(feeds, &mut connections) {
                Brought::All => break None,
                Brought::UpTo(bytes) => break Some(bytes),
                Brought::WhatCame => {}
            }
            let is_behind = |(_, connection): &mut (u16, &mut NodeConnection)| {
                connection.stream().unwritten() > BEHIND
            };
            if connections.iter_mut().any(is_behind) {
                client.attend(flush(&mut connections)).await?;
            }
            let packet = file.receive(client, &mut connections).await?;
            match packet.payload.is_empty() {
                true => file.lines.finish(),
                false => file.lines.push(&packet.payload),
            }
        };
        for (feed, (_, connection)) in feeds.iter_mut().zip(&mut connections) {
            feed.end(connection);
        }
        client.attend(flush(&mut connections)).await?;
        let Some(mut bytes) = rest else {
            return Ok(None);
        };
        while !file.is_whole {
            let packet = file.receive(client, &mut connections).await?;
            if bytes.len() <= LIMIT {
                bytes.extend_from_slice(&packet.payload);
            }
        }
        if bytes.len() > LIMIT {
            let size = "the statement has more rows than one can have";
            return Err(Refusal::new("insert-size", size).into());
        }
        Ok(Some(bytes))
    }

    /// Lets go of a file in the midst of it: the nodes get nothing more, and the client is listened to until
    /// it has sent all.
    async fn give_up(&mut self, file: &mut File<'_>, feeds: &mut [Feed]) -> Result<(), Failure> {
        self.end_early(feeds).await;
        while !file.is_whole {
            file.receive(&mut self.client, &mut Vec::new()).await?;
        }
        Ok(())
    }

    /// Ends the files of nodes that wait for more. One that is lost is noticed when its reply is read.
    async fn end_early(&mut self, feeds: &mut [Feed]) {
        for feed in feeds {
            if let Some(connection) = self.nodes.existing(feed.node) {
                feed.piece.clear();
                feed.end(connection);
                let _ = connection.stream().flush().await;
            }
        }
    }
}

/// Why a node does not ask for a file.
enum Begin {
    Failed(ErrPacket),
    Lost(NodeError),
}

/// Reads what a node says until it asks for a file, behind so many other replies; tells the sequence id that
/// the file begins with.
async fn begun(connection: &mut NodeConnection, ahead: usize) -> Result<u8, Begin> {
    let mut failure = None;
    for _ in 0..ahead {
        if let Reply::Err(error) = connection.read_reply().await.map_err(Begin::Lost)? {
            failure.get_or_insert(error);
        }
    }
    match (connection.start().await.map_err(Begin::Lost)?, failure) {
        (Started::File { sequence }, None) => Ok(sequence),
        (Started::Done(Reply::Err(error)), None) => Err(Begin::Failed(error)),
        (Started::Done(_), Some(error)) => Err(Begin::Failed(error)),
        (_, _) => Err(Begin::Lost(NodeError::File)),
    }
}

impl File<'_> {
    /// Waits for the client's next piece, an empty one at the end, while nodes take what they are to have.
    async fn receive(
        &mut self,
        client: &mut Client,
        connections: &mut Connections<'_>,
    ) -> Result<Packet, Failure> {
        let packet = match client.stream().take_packet() {
            Some(packet) => packet,
            None => {
                let silence = tokio::time::sleep(self.silence);
                let writing = flush(connections);
                tokio::pin!(silence, writing);
                let mut is_written = false;
                loop {
                    tokio::select! {
                        biased;
                        packet = client.stream().next_packet() => {
                            break packet.map_err(|_| Failure::Client)?;
                        }
                        written = &mut writing, if !is_written => {
                            written?;
                            is_written = true;
                        }
                        () = &mut silence => return Err(Failure::Client),
                    }
                }
            }
        };
        if packet.payload.is_empty() {
            client.follow(packet.sequence);
            self.is_whole = true;
        }
        Ok(packet)
    }

    /// Brings the lines that have come to their nodes.
    fn bring(&mut self, feeds: &mut [Feed], connections: &mut Connections<'_>) -> Brought {
        let partitions = self.topology.partitions(self.schema);
        loop {
            let (bytes, key, auto) = match self.lines.next_line() {
                Next::Line { bytes, key, auto } => (bytes, key, auto),
                Next::Wait => return Brought::WhatCame,
                Next::End => return Brought::All,
                Next::Odd => break,
            };
            let id = match auto.map(|auto| own_id(auto, self.zero_counts)) {
                Some(None) => break,
                Some(id) => id,
                None => None,
            };
            let place = || {
                let value = lines::key_value(self.key.kind, key, self.is_utf8)?;
                let partition = self.key.partition(&value, partitions?)?;
                Some((partition, self.topology.node_of(self.schema, partition)?))
            };
            let Some((partition, node)) = place() else {
                break;
            };
            let Some(at) = feeds.iter().position(|feed| feed.node == node) else {
                break;
            };
            let feed = &mut feeds[at];
            feed.piece.extend_from_slice(bytes);
            feed.places.push(self.records);
            self.records += 1;
            self.greatest_id = self.greatest_id.max(id);
            *self.written.entry(partition).or_default() += 1;
            if feed.piece.len() >= PIECE {
                feed.send(connections[at].1);
            }
        }
        Brought::UpTo(self.lines.rest().to_vec())
    }
}

/// How far a file is.
enum Brought {
    All,
    WhatCame,
    /// The rest of what came was not brought anywhere.
    UpTo(Vec<u8>),
}

impl Feed {
    fn send(&mut self, connection: &mut NodeConnection) {
        self.sequence = connection.stream().put_packet(self.sequence, &self.piece);
        self.piece.clear();
    }

    /// Sends what is left, and that nothing follows.
    fn end(&mut self, connection: &mut NodeConnection) {
        if !self.piece.is_empty() {
            self.send(connection);
        }
        connection.stream().put_packet(self.sequence, &[]);
    }
}

/// The id that a row has itself; `None` if it may have to get one.
fn own_id(field: Field<'_>, zero_counts: bool) -> Option<u64> {
    let number = u64::try_from(lines::number(field)?).ok()?;
    (number > 0 || zero_counts).then_some(number)
}

/// Writes what was put aside for nodes, to all at the same time.
async fn flush(connections: &mut Connections<'_>) -> Result<(), Failure> {
    type Flush<'f> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'f>>;
    let mut all: Vec<Flush<'_>> = Vec::new();
    for (node, connection) in connections.iter_mut() {
        if connection.stream().unwritten() > 0 {
            all.push(Box::pin(async {
                let written = connection.stream().flush().await;
                written.map_err(|error| Failure::of_node(*node, error.into()))
            }));
        }
    }
    poll_fn(|context| {
        let mut failed = None;
        all.retain_mut(|one| match one.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(written) => {
                if let Err(failure) = written {
                    failed.get_or_insert(failure);
                }
                false
            }
        });
        match failed {
            Some(failure) => Poll::Ready(Err(failure)),
            None if all.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    })
    .await
}
