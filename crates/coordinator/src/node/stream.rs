//! Packets over a unix socket.

use std::io;

use openpeta_mysql_wire::{HEADER_LEN, MAX_PAYLOAD, Packet, put_packet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::NodeError;

/// Bytes that are asked for at once.
const READ: usize = 64 << 10;

/// One side of a conversation in packets. What has been read and not been taken stays, so that a read
/// may be given up at any time.
#[derive(Debug)]
pub struct PacketStream {
    socket: UnixStream,
    input: Vec<u8>,
    /// What of `input` was taken.
    at: usize,
}

impl PacketStream {
    /// Over this socket.
    #[must_use]
    pub fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            input: Vec::new(),
            at: 0,
        }
    }

    /// What has come and was not taken.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        &self.input[self.at..]
    }

    /// Takes so many of the bytes that have come.
    pub fn consume(&mut self, len: usize) {
        self.at += len;
        debug_assert!(self.at <= self.input.len());
        if self.at == self.input.len() {
            self.input.clear();
            self.at = 0;
        }
    }

    /// Waits for more bytes; tells how many came, 0 when no more will.
    ///
    /// # Errors
    /// As the socket.
    pub async fn fill(&mut self) -> io::Result<usize> {
        if self.at > 0 && self.at >= self.input.len() / 2 {
            self.input.drain(..self.at);
            self.at = 0;
        }
        self.input.reserve(READ);
        self.socket.read_buf(&mut self.input).await
    }

    /// The next payload, put together if it is spread over packets.
    ///
    /// # Errors
    /// [`NodeError::Lost`] when the other side has ended.
    pub async fn next_packet(&mut self) -> Result<Packet, NodeError> {
        loop {
            if let Some(packet) = self.take_packet() {
                return Ok(packet);
            }
            if self.fill().await? == 0 {
                return Err(NodeError::closed());
            }
        }
    }

    /// The next payload, if it is there.
    pub fn take_packet(&mut self) -> Option<Packet> {
        let input = self.buffered();
        let mut end = 0;
        let mut parts = 0;
        loop {
            let &[a, b, c, sequence] = input.get(end..)?.first_chunk::<HEADER_LEN>()?;
            let len = u32::from_le_bytes([a, b, c, 0]) as usize;
            end += HEADER_LEN + len;
            parts += 1;
            if input.len() < end {
                return None;
            }
            if len < MAX_PAYLOAD {
                let payload = joined(&input[..end], parts);
                self.consume(end);
                return Some(Packet { sequence, payload });
            }
        }
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// As the socket.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), NodeError> {
        Ok(self.socket.write_all(bytes).await?)
    }

    /// Writes a payload; tells the sequence id behind it.
    ///
    /// # Errors
    /// As the socket.
    pub async fn write_packet(&mut self, sequence: u8, payload: &[u8]) -> Result<u8, NodeError> {
        let mut out = Vec::with_capacity(payload.len() + HEADER_LEN);
        let next = put_packet(&mut out, sequence, payload);
        self.write(&out).await?;
        Ok(next)
    }

    /// Waits until the other side has ended, and keeps what it sends in the meantime, up to a limit.
    pub async fn ended(&mut self) {
        loop {
            if self.buffered().len() >= 4 * READ {
                return std::future::pending().await;
            }
            if !matches!(self.fill().await, Ok(1..)) {
                return;
            }
        }
    }
}

/// The payload of packets that are all of the greatest length but the last.
fn joined(packets: &[u8], parts: usize) -> Vec<u8> {
    let mut payload = Vec::with_capacity(packets.len() - parts * HEADER_LEN);
    for packet in packets.chunks(HEADER_LEN + MAX_PAYLOAD) {
        payload.extend_from_slice(&packet[HEADER_LEN..]);
    }
    payload
}
