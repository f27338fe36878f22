//! Packets: a 3-byte length, a sequence id, a payload. A payload of 16 MiB or more is spread over
//! several; one that fills its packets exactly is ended by an empty packet.

use crate::WireError;

/// Bytes in front of every payload.
pub const HEADER_LEN: usize = 4;

/// The longest payload of one packet; a packet of this length is continued by the next.
pub const MAX_PAYLOAD: usize = 0xFF_FFFF;

/// Appends a payload as one packet, or as many as it needs, from sequence id `sequence` on.
/// Returns the sequence id after the last.
pub fn put_packet(out: &mut Vec<u8>, sequence: u8, payload: &[u8]) -> u8 {
    let mut sequence = sequence;
    let mut rest = payload;
    loop {
        let (part, after) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        let [a, b, c, _] = (part.len() as u32).to_le_bytes();
        out.extend_from_slice(&[a, b, c, sequence]);
        out.extend_from_slice(part);
        sequence = sequence.wrapping_add(1);
        if part.len() < MAX_PAYLOAD {
            return sequence;
        }
        rest = after;
    }
}

/// The payload length and the sequence id that a header tells.
pub(crate) fn parse_header(header: [u8; HEADER_LEN]) -> (usize, u8) {
    let [a, b, c, sequence] = header;
    (u32::from_le_bytes([a, b, c, 0]) as usize, sequence)
}

/// A whole packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its sequence id; of a payload spread over several packets, that of the last.
    pub sequence: u8,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Puts whole packets together from bytes that arrive in pieces, up to a limit. For the parts of
/// a conversation with small packets; what is merely relayed is never put together.
#[derive(Clone, Debug)]
pub struct PacketBuffer {
    bytes: Vec<u8>,
    limit: usize,
}

impl PacketBuffer {
    /// Accepts payloads of up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
        }
    }

    /// Adds bytes that arrived.
    pub fn push(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
    }

    /// Takes the next packet, if it is complete.
    ///
    /// # Errors
    /// [`WireError::TooLarge`] as soon as the announced length is above the limit, and
    /// [`WireError::OutOfOrder`] if the parts of a long payload are not numbered in order.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, WireError> {
        let mut parts = 0_usize;
        let mut len = 0;
        let mut at = 0;
        let mut sequence = 0;
        loop {
            let Some(header) = self.bytes[at..].first_chunk() else {
                return Ok(None);
            };
            let (part, got) = parse_header(*header);
            len += part;
            if len > self.limit {
                return Err(WireError::TooLarge {
                    len,
                    limit: self.limit,
                });
            }
            if parts > 0 && got != sequence {
                return Err(WireError::OutOfOrder {
                    expected: sequence,
                    got,
                });
            }
            parts += 1;
            sequence = got.wrapping_add(1);
            at += HEADER_LEN + part;
            if self.bytes.len() < at {
                return Ok(None);
            }
            if part < MAX_PAYLOAD {
                break;
            }
        }
        Ok(Some(Packet {
            sequence: sequence.wrapping_sub(1),
            payload: self.take(parts, at),
        }))
    }

    fn take(&mut self, parts: usize, end: usize) -> Vec<u8> {
        let mut payload = Vec::with_capacity(end - parts * HEADER_LEN);
        let mut at = 0;
        for _ in 0..parts {
            let part = (end - at - HEADER_LEN).min(MAX_PAYLOAD);
            payload.extend_from_slice(&self.bytes[at + HEADER_LEN..at + HEADER_LEN + part]);
            at += HEADER_LEN + part;
        }
        self.bytes.drain(..end);
        payload
    }

    /// Bytes that belong to no packet taken so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Drops the first `len` of those bytes, or all of them if they are fewer.
    pub fn advance(&mut self, len: usize) {
        self.bytes.drain(..len.min(self.bytes.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(len: usize) -> (usize, Packet) {
        let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let mut wire = Vec::new();
        put_packet(&mut wire, 254, &payload);
        let mut buffer = PacketBuffer::new(len);
        buffer.push(&wire[..wire.len() - 1]);
        assert_eq!(buffer.next_packet(), Ok(None));
        buffer.push(&wire[wire.len() - 1..]);
        let packet = buffer.next_packet().unwrap().unwrap();
        assert_eq!(packet.payload, payload);
        assert_eq!(buffer.bytes(), b"");
        (wire.len() - len, packet)
    }

    #[test]
    fn long_payloads_are_split_and_joined() {
        assert_eq!(round_trip(1).0, HEADER_LEN);
        assert_eq!(round_trip(MAX_PAYLOAD - 1).0, HEADER_LEN);
        let (overhead, packet) = round_trip(MAX_PAYLOAD);
        assert_eq!((overhead, packet.sequence), (2 * HEADER_LEN, 255));
        let (overhead, packet) = round_trip(2 * MAX_PAYLOAD + 3);
        assert_eq!((overhead, packet.sequence), (3 * HEADER_LEN, 0));
    }

    #[test]
    fn a_length_above_the_limit_is_refused_before_its_bytes_come() {
        let mut buffer = PacketBuffer::new(10);
        buffer.push(&[11, 0, 0, 0]);
        assert_eq!(
            buffer.next_packet(),
            Err(WireError::TooLarge { len: 11, limit: 10 })
        );
    }

    #[test]
    fn parts_out_of_order_are_refused() {
        let mut wire = Vec::new();
        put_packet(&mut wire, 0, &vec![7; MAX_PAYLOAD]);
        let last = wire.len() - 1;
        wire[last] = 5;
        let mut buffer = PacketBuffer::new(2 * MAX_PAYLOAD);
        buffer.push(&wire);
        assert_eq!(
            buffer.next_packet(),
            Err(WireError::OutOfOrder {
                expected: 1,
                got: 5
            })
        );
    }
}
