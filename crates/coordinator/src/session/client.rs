//! The client's side of a session.

use std::future::Future;

use openpeta_mysql_wire::{Capabilities, ErrPacket, Packet, Status};

use super::Failure;
use crate::node::{NodeError, OkReply, PacketStream, ResultSet};

/// A client: commands come from it, replies go to it.
#[derive(Debug)]
pub struct Client {
    stream: PacketStream,
    capabilities: Capabilities,
    /// Of the next packet of a reply.
    sequence: u8,
}

impl Client {
    pub(super) fn new(stream: PacketStream, capabilities: Capabilities) -> Self {
        Self {
            stream,
            capabilities,
            sequence: 0,
        }
    }

    /// What it has agreed upon with home.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    pub(super) fn stream(&mut self) -> &mut PacketStream {
        &mut self.stream
    }

    /// The next command, head and all, if it is there and is of one packet; it is not taken.
    pub(super) fn packet(&self) -> Option<&[u8]> {
        self.stream.packet()
    }

    /// Takes the command that [`Self::packet`] has shown.
    pub(super) fn take(&mut self) {
        if let Some(packet) = self.stream.packet() {
            let (len, sequence) = (packet.len(), packet[3]);
            self.sequence = sequence.wrapping_add(1);
            self.stream.consume(len);
        }
    }

    /// The number of the next packet of the reply.
    pub(super) fn sequence(&self) -> u8 {
        self.sequence
    }

    /// The next command, whole.
    pub(super) async fn command(&mut self) -> Result<Packet, NodeError> {
        let packet = self.stream.next_packet().await?;
        self.sequence = packet.sequence.wrapping_add(1);
        Ok(packet)
    }

    /// The reply goes on behind a packet of the client's own.
    pub(super) fn follow(&mut self, sequence: u8) {
        self.sequence = sequence.wrapping_add(1);
    }

    /// Sends payloads as the next packets of the reply. They may be kept until something is waited for.
    pub(super) async fn send<'p>(
        &mut self,
        payloads: impl IntoIterator<Item = &'p [u8]>,
    ) -> Result<(), Failure> {
        for payload in payloads {
            self.sequence = self.stream.put_packet(self.sequence, payload);
        }
        self.stream.written().await.map_err(|_| Failure::Client)
    }

    /// Sends what was kept to go out together.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        self.stream.flush().await.map_err(|_| Failure::Client)
    }

    /// Sends an OK.
    pub(super) async fn ok(&mut self, ok: &OkReply) -> Result<(), Failure> {
        self.send([&ok.payload()[..]]).await
    }

    /// Sends an error.
    pub(super) async fn error(&mut self, error: &ErrPacket) -> Result<(), Failure> {
        let mut payload = Vec::new();
        error.encode(&mut payload);
        self.send([&payload[..]]).await
    }

    /// Sends rows that a connection with the same capabilities answered.
    pub(super) async fn rows(&mut self, set: &ResultSet, status: Status) -> Result<(), Failure> {
        let mut head = Vec::new();
        openpeta_mysql_wire::put_lenenc_int(&mut head, set.columns.len() as u64);
        if self
            .capabilities
            .contains(Capabilities::MARIADB_CACHE_METADATA)
        {
            head.push(1);
        }
        let [low, high] = status.0.to_le_bytes();
        let [few, many] = set.warnings.to_le_bytes();
        let eof = [0xFE, few, many, low, high];
        let ok = [0xFE, 0, 0, low, high, few, many];
        let deprecates = self.capabilities.contains(Capabilities::DEPRECATE_EOF);
        let mut payloads = vec![&head[..]];
        payloads.extend(set.columns.iter().map(Vec::as_slice));
        if !deprecates {
            payloads.push(&eof);
        }
        payloads.extend(set.rows.iter().map(Vec::as_slice));
        payloads.push(if deprecates { &ok } else { &eof });
        self.send(payloads).await
    }

    /// Does something that takes time, unless the client ends in the meantime.
    pub(super) async fn attend<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            () = self.stream.ended() => Err(Failure::Client),
        }
    }
}
