//! The client's side of a session.

use std::future::Future;

use openpeta_mysql_wire::{Capabilities, ErrPacket, Packet, put_packet};

use super::Failure;
use crate::node::{NodeError, PacketStream};

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

    /// The next command, whole.
    pub(super) async fn command(&mut self) -> Result<Packet, NodeError> {
        let packet = self.stream.next_packet().await?;
        self.sequence = packet.sequence.wrapping_add(1);
        Ok(packet)
    }

    /// Sends payloads as the next packets of the reply.
    pub(super) async fn send<'p>(
        &mut self,
        payloads: impl IntoIterator<Item = &'p [u8]>,
    ) -> Result<(), Failure> {
        let mut out = Vec::new();
        for payload in payloads {
            self.sequence = put_packet(&mut out, self.sequence, payload);
        }
        self.stream.write(&out).await.map_err(|_| Failure::Client)
    }

    /// Sends an error.
    pub(super) async fn error(&mut self, error: &ErrPacket) -> Result<(), Failure> {
        let mut payload = Vec::new();
        error.encode(&mut payload);
        self.send([&payload[..]]).await
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
