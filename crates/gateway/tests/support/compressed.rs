//! The client's side of a compressed connection.

use std::io::{self, Read, Write};
use std::time::Duration;

use openpeta_mysql_wire::{Codecs, CompressedStream, Compression};

use super::raw::Stream;

/// Everything read and written goes through the compressed protocol.
pub struct Compressed {
    inner: Box<dyn Stream>,
    compression: Compression,
    stream: CompressedStream,
    codecs: Codecs,
    /// Unpacked, not read yet.
    plain: Vec<u8>,
    /// The number of the next packet from the server.
    expected: u8,
}

impl Compressed {
    pub fn new(inner: Box<dyn Stream>, compression: Compression) -> Self {
        Self {
            inner,
            compression,
            stream: CompressedStream::new(compression),
            codecs: Codecs::default(),
            plain: Vec::new(),
            expected: 0,
        }
    }
}

impl Stream for Compressed {
    fn set_patience(&self, patience: Duration) {
        self.inner.set_patience(patience);
    }
}

impl Read for Compressed {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.plain.is_empty() {
            let mut packet = vec![0; 7];
            let count = self.inner.read(&mut packet)?;
            if count == 0 {
                return Ok(0);
            }
            self.inner.read_exact(&mut packet[count..])?;
            assert_eq!(
                packet[3], self.expected,
                "the number of a compressed packet"
            );
            self.expected = self.expected.wrapping_add(1);
            let length = u32::from_le_bytes([packet[0], packet[1], packet[2], 0]);
            packet.resize(7 + length as usize, 0);
            self.inner.read_exact(&mut packet[7..])?;
            self.stream
                .receive(&mut self.codecs, &packet, &mut self.plain)
                .map_err(io::Error::other)?;
        }
        let count = to.len().min(self.plain.len());
        to[..count].copy_from_slice(&self.plain[..count]);
        self.plain.drain(..count);
        Ok(count)
    }
}

impl Write for Compressed {
    /// Takes whole packets.
    fn write(&mut self, packets: &[u8]) -> io::Result<usize> {
        if packets.get(3) == Some(&0) {
            // Numbers begin anew with each command.
            self.stream = CompressedStream::new(self.compression);
            self.expected = 0;
        }
        let mut wire = Vec::new();
        self.stream.send(&mut self.codecs, packets, &mut wire);
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let length = u32::from_le_bytes([rest[0], rest[1], rest[2], 0]);
            rest = &rest[7 + length as usize..];
            self.expected = self.expected.wrapping_add(1);
        }
        self.inner.write_all(&wire)?;
        Ok(packets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
