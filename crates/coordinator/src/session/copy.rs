//! A node's reply, passed on packet by packet with the session's own status.

use openpeta_mysql_wire::{Capabilities, ErrPacket, Reader, Status};

use super::{Failure, Session, login};
use crate::node;

/// The flags that tell of the session rather than of the reply.
pub(super) const OF_SESSION: u16 = Status::IN_TRANS.0
    | Status::AUTOCOMMIT.0
    | Status::IN_TRANS_READONLY.0
    | Status::MORE_RESULTS_EXISTS.0;

/// How a reply ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Copied {
    /// The error that it ended with.
    pub error: Option<ErrPacket>,
    /// How many warnings there were.
    pub warnings: u16,
    /// Rows that were passed on, or changed.
    pub rows: u64,
}

impl Session {
    /// Passes on the whole reply to a command that was sent to a node. `more` says that others of the
    /// same command follow.
    pub(super) async fn copy_reply(&mut self, node: u16, more: bool) -> Result<Copied, Failure> {
        let copied = self.copy_results(node, more).await?;
        self.nodes.joined(node).replied();
        Ok(copied)
    }

    async fn copy_results(&mut self, node: u16, more: bool) -> Result<Copied, Failure> {
        let mut copied = Copied::default();
        loop {
            let first = self.next_of(node).await?;
            match first.first() {
                Some(0x00) => {
                    copied.rows += affected_rows(&first);
                    let (payload, follows, warnings) =
                        self.with_status(node, first, ok_status_at, more);
                    copied.warnings = warnings;
                    self.client.send([&payload[..]]).await?;
                    if !follows {
                        return Ok(copied);
                    }
                }
                Some(0xFF) => {
                    let first = self.told_instead(first);
                    self.client.send([&first[..]]).await?;
                    if let Ok(error) = ErrPacket::parse(&first)
                        && error.code != 0xFFFF
                    {
                        copied.error = Some(error);
                        return Ok(copied);
                    }
                }
                Some(0xFB) => {
                    self.client.send([&first[..]]).await?;
                    self.copy_file(node).await?;
                }
                _ => {
                    let follows = self.copy_rows(node, first, more, &mut copied).await?;
                    if copied.error.is_some() || !follows {
                        return Ok(copied);
                    }
                }
            }
        }
    }

    async fn copy_rows(
        &mut self,
        node: u16,
        head: Vec<u8>,
        more: bool,
        copied: &mut Copied,
    ) -> Result<bool, Failure> {
        let capabilities = self.client.capabilities();
        let mut reader = Reader::new(&head);
        let columns = reader.lenenc_int().unwrap_or(0);
        let caches = capabilities.contains(Capabilities::MARIADB_CACHE_METADATA);
        let follow = !caches || reader.u8().is_ok_and(|flag| flag != 0);
        self.client.send([&head[..]]).await?;
        let deprecates = capabilities.contains(Capabilities::DEPRECATE_EOF);
        for _ in 0..if follow { columns } else { 0 } {
            let definition = self.next_of(node).await?;
            self.client.send([&definition[..]]).await?;
        }
        if !deprecates {
            let eof = self.next_of(node).await?;
            let (eof, _, _) = self.with_status(node, eof, eof_status_at, more);
            self.client.send([&eof[..]]).await?;
        }
        self.copy_rest(node, more, copied).await
    }

    /// Passes on the rows of a result and what ends them; tells whether another result follows.
    pub(super) async fn copy_rest(
        &mut self,
        node: u16,
        more: bool,
        copied: &mut Copied,
    ) -> Result<bool, Failure> {
        let capabilities = self.client.capabilities();
        let deprecates = capabilities.contains(Capabilities::DEPRECATE_EOF);
        loop {
            let mut batch = vec![self.next_of(node).await?];
            while batch.len() < 64
                && is_row(batch.last())
                && let Some(packet) = self.nodes.joined(node).stream().take_packet()
            {
                batch.push(packet.payload);
            }
            let last = batch.pop().unwrap_or_default();
            copied.rows += batch.len() as u64;
            self.client.send(batch.iter().map(Vec::as_slice)).await?;
            if last.first() == Some(&0xFF) {
                let last = self.told_instead(last);
                self.client.send([&last[..]]).await?;
                copied.error = ErrPacket::parse(&last).ok();
                return Ok(false);
            }
            let is_end = last.first() == Some(&0xFE)
                && match deprecates {
                    true => last.len() < 0xFF_FFFF,
                    false => last.len() < 9,
                };
            if !is_end {
                copied.rows += 1;
                self.client.send([&last[..]]).await?;
                continue;
            }
            let at = if deprecates {
                ok_status_at
            } else {
                eof_status_at
            };
            let (payload, follows, warnings) = self.with_status(node, last, at, more);
            copied.warnings = warnings;
            self.client.send([&payload[..]]).await?;
            return Ok(follows);
        }
    }

    /// An error, as it is to be told.
    fn told_instead(&self, payload: Vec<u8>) -> Vec<u8> {
        let Ok(error) = ErrPacket::parse(&payload) else {
            return payload;
        };
        let code = error.code;
        let told = self.nodes.running().told(error);
        if told.code == code {
            return payload;
        }
        let mut payload = Vec::new();
        told.encode(&mut payload);
        payload
    }

    /// The next payload from a node, as long as the client is there.
    async fn next_of(&mut self, node: u16) -> Result<Vec<u8>, Failure> {
        let connection = self.nodes.joined(node);
        if let Some(packet) = connection.stream().take_packet() {
            return Ok(packet.payload);
        }
        let packet = self
            .client
            .attend(async {
                let packet = connection.next_packet().await;
                packet.map_err(|source| Failure::of_node(node, source))
            })
            .await?;
        Ok(packet.payload)
    }

    /// Brings a node the file that it asked for.
    async fn copy_file(&mut self, node: u16) -> Result<(), Failure> {
        loop {
            let packet = self.client.stream().next_packet().await;
            let packet = packet.map_err(|_| Failure::Client)?;
            let stream = self.nodes.joined(node).stream();
            let sent = login::relay(stream, &packet).await;
            sent.map_err(|source| Failure::of_node(node, source))?;
            if packet.payload.is_empty() {
                self.client.follow(packet.sequence);
                return Ok(());
            }
        }
    }

    /// Puts the session's own status into a payload; tells whether the node's reply goes on, and the
    /// number of warnings.
    fn with_status(
        &mut self,
        node: u16,
        mut payload: Vec<u8>,
        place: fn(&[u8]) -> Option<(usize, usize)>,
        more: bool,
    ) -> (Vec<u8>, bool, u16) {
        let Some((at, warnings_at)) = place(&payload) else {
            return (payload, false, 0);
        };
        let word = |at: usize| u16::from_le_bytes([payload[at], payload[at + 1]]);
        let (found, warnings) = (word(at), word(warnings_at));
        let follows = Status(found).contains(Status::MORE_RESULTS_EXISTS);
        self.nodes
            .joined(node)
            .set_status(Status(found & !Status::MORE_RESULTS_EXISTS.0));
        let own = self.status(more || follows).0 & OF_SESSION;
        let status = found & !OF_SESSION | own;
        payload[at..at + 2].copy_from_slice(&status.to_le_bytes());
        (payload, follows, warnings)
    }
}

fn is_row(payload: Option<&Vec<u8>>) -> bool {
    payload.is_some_and(|payload| !matches!(payload.first(), Some(0xFE | 0xFF)))
}

/// How many rows an OK packet says to have changed.
fn affected_rows(payload: &[u8]) -> u64 {
    let mut reader = Reader::new(payload);
    let read = reader.u8().and_then(|_| reader.lenenc_int());
    read.unwrap_or(0)
}

/// Where status and warnings stand in an OK packet.
fn ok_status_at(payload: &[u8]) -> Option<(usize, usize)> {
    let at = node::ok_status_at(payload)?;
    Some((at, at + 2))
}

/// Where status and warnings stand in an EOF packet.
fn eof_status_at(payload: &[u8]) -> Option<(usize, usize)> {
    (payload.len() >= 5).then_some((3, 1))
}
