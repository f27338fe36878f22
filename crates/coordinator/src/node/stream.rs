//! Packets over a link.

use std::io;

use super::NodeError;
use super::link::{Link, READ};
use openpeta_mysql_wire::{HEADER_LEN, MAX_PAYLOAD, Packet, put_packet};

/// Bytes that are kept to be written together.
const TOGETHER: usize = 16 << 10;

/// One side of a conversation in packets. What has been read and not been taken stays, so that a read
/// may be given up at any time; likewise what was put aside to be written and is not out yet.
#[derive(Debug)]
pub struct PacketStream {
    link: Link,
    input: Vec<u8>,
    /// What of `input` was taken.
    at: usize,
    /// What is to be written before anything is waited for.
    output: Vec<u8>,
    /// What of `output` is out.
    out: usize,
}

impl PacketStream {
    /// Over this link.
    #[must_use]
    pub fn new(link: Link) -> Self {
        Self {
            link,
            input: Vec::new(),
            at: 0,
            output: Vec::new(),
            out: 0,
        }
    }

    /// What has come and was not taken.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        &self.input[self.at..]
    }

    /// As [`Self::buffered`], to be changed where it lies.
    pub fn buffered_mut(&mut self) -> &mut [u8] {
        &mut self.input[self.at..]
    }

    /// The next packet with its head, if it is there and is a payload of its own; it is not taken.
    #[must_use]
    pub fn packet(&self) -> Option<&[u8]> {
        let input = self.buffered();
        let &[a, b, c, _] = input.first_chunk::<HEADER_LEN>()?;
        let len = u32::from_le_bytes([a, b, c, 0]) as usize;
        input.get(..HEADER_LEN + len).filter(|_| len < MAX_PAYLOAD)
    }

    /// Waits until the next payload is there, put together or not, and has not been taken.
    ///
    /// # Errors
    /// [`NodeError::Lost`] when the other side has ended.
    pub async fn arrived(&mut self) -> Result<(), NodeError> {
        while self.payload_end().is_none() {
            if self.fill().await? == 0 {
                return Err(NodeError::closed());
            }
        }
        Ok(())
    }

    /// Takes so many of the bytes that have come.
    pub fn consume(&mut self, len: usize) {
        self.at += len;
        debug_assert!(self.at <= self.input.len());
        if self.at == self.input.len() {
            self.input.clear();
            self.input.shrink_to(2 * READ);
            self.at = 0;
        }
    }

    /// Waits for more bytes, when all that was put aside is written; tells how many came, 0 when no
    /// more will.
    ///
    /// # Errors
    /// As the socket.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.flush().await?;
        if self.at > 0 && self.at >= self.input.len() / 2 {
            self.input.drain(..self.at);
            self.at = 0;
        }
        self.link.read(&mut self.input).await
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
        let (end, parts, sequence) = self.payload_end()?;
        let payload = joined(&self.buffered()[..end], parts);
        self.consume(end);
        Some(Packet { sequence, payload })
    }

    /// Where the next payload ends, if it is there, how many packets it is spread over, and the number of the
    /// last.
    fn payload_end(&self) -> Option<(usize, usize, u8)> {
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
                return Some((end, parts, sequence));
            }
        }
    }

    /// Writes bytes as they are, behind those that were put aside.
    ///
    /// # Errors
    /// As the socket.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), NodeError> {
        if self.output.is_empty() {
            let mut bytes = bytes;
            while !bytes.is_empty() {
                let count = self.link.write(bytes).await?;
                if count == 0 {
                    return Err(io::Error::from(io::ErrorKind::WriteZero).into());
                }
                bytes = &bytes[count..];
            }
            return Ok(());
        }
        self.output.extend_from_slice(bytes);
        Ok(self.flush().await?)
    }

    /// Puts bytes aside, to be written together with others before anything is waited for; writes
    /// them when there are many.
    ///
    /// # Errors
    /// As the socket.
    pub async fn put(&mut self, bytes: &[u8]) -> Result<(), NodeError> {
        if self.output.is_empty() && bytes.len() >= TOGETHER {
            return self.write(bytes).await;
        }
        self.output.extend_from_slice(bytes);
        self.written().await
    }

    /// Puts a payload aside; tells the sequence id behind it.
    pub fn put_packet(&mut self, sequence: u8, payload: &[u8]) -> u8 {
        put_packet(&mut self.output, sequence, payload)
    }

    /// Puts the first packet of a conversation aside, whose payload is these together.
    pub fn put_parts(&mut self, parts: &[&[u8]]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        debug_assert!(len < MAX_PAYLOAD);
        self.output.reserve(HEADER_LEN + len);
        self.output
            .extend_from_slice(&(len as u32).to_le_bytes()[..3]);
        self.output.push(0);
        for part in parts {
            self.output.extend_from_slice(part);
        }
    }

    /// Writes what was put aside, if that is much.
    ///
    /// # Errors
    /// As the socket.
    pub async fn written(&mut self) -> Result<(), NodeError> {
        if self.output.len() >= TOGETHER {
            self.flush().await?;
        }
        Ok(())
    }

    /// How many bytes were put aside and are not written.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        self.output.len() - self.out
    }

    /// Writes what was put aside.
    ///
    /// # Errors
    /// As the socket.
    pub async fn flush(&mut self) -> io::Result<()> {
        while self.out < self.output.len() {
            let count = self.link.write(&self.output[self.out..]).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.out += count;
        }
        self.out = 0;
        self.output.clear();
        self.output.shrink_to(2 * TOGETHER);
        Ok(())
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
