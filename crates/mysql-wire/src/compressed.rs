//! The compressed protocol, which a client may ask for at its login: from the packet behind the
//! OK on, all packets of both sides travel as the content of compressed packets, cut anywhere.
//!
//! A compressed packet is a header of 7 bytes (length of the content, sequence id, length of what
//! it unpacks to) and the content. A second length of 0 tells that the content is not packed. The
//! sequence ids count these packets, from 0 at each command, over both directions.

use std::fmt;
use std::io;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use zstd::stream::raw::{InBuffer, Operation, OutBuffer};

use crate::{Capabilities, MAX_PAYLOAD, WireError};

/// Bytes of a compressed packet's header.
const HEADER_LEN: usize = 7;
/// Shorter content goes out as it is, as MariaDB sends it.
const MIN_LENGTH: usize = 50;
/// The largest window of zstd that is unpacked: 2 to the power of this, in bytes.
const MAX_WINDOW_LOG: u32 = 24;
/// What unpacking asks room for at a time.
const STEP: usize = 32 * 1024;

/// How content is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// By zlib ([`Capabilities::COMPRESS`]).
    Zlib,
    /// By zstd ([`Capabilities::ZSTD_COMPRESS`]), at the level that the client asked for.
    Zstd {
        /// 1 to 22.
        level: u8,
    },
}

impl Compression {
    /// What a login asks for; zlib if it asks for both.
    #[must_use]
    pub fn asked_for(capabilities: Capabilities, zstd_level: Option<u8>) -> Option<Self> {
        if capabilities.contains(Capabilities::COMPRESS) {
            Some(Self::Zlib)
        } else if capabilities.contains(Capabilities::ZSTD_COMPRESS) {
            // MySQL's default, for a client that names no level or one that does not exist.
            let level = zstd_level.filter(|level| (1..=22).contains(level));
            Some(Self::Zstd {
                level: level.unwrap_or(3),
            })
        } else {
            None
        }
    }
}

/// The machinery of packing and unpacking. It keeps nothing between two packets, so that one
/// serves any number of [`CompressedStream`]s.
#[derive(Default)]
pub struct Codecs {
    deflate: Option<Compress>,
    inflate: Option<Decompress>,
    zstd: Option<(u8, zstd::bulk::Compressor<'static>)>,
    unzstd: Option<zstd::stream::raw::Decoder<'static>>,
    packed: Vec<u8>,
}

impl fmt::Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codecs").finish_non_exhaustive()
    }
}

/// One connection's compressed packets.
#[derive(Debug)]
pub struct CompressedStream {
    compression: Compression,
    /// The beginning of a packet that is not whole.
    held: Vec<u8>,
    /// The sequence id of the next packet.
    sequence: u8,
}

impl CompressedStream {
    /// The state behind the login's OK.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            held: Vec::new(),
            sequence: 0,
        }
    }

    /// Takes bytes that came, and appends to `plain` what they unpack to.
    ///
    /// # Errors
    /// [`WireError::Malformed`] when content does not unpack to what its header says. What came
    /// before is in `plain`; the stream is of no use any more.
    pub fn receive(
        &mut self,
        codecs: &mut Codecs,
        bytes: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        if self.held.is_empty() {
            // Most often packets come whole, and nothing has to be copied.
            let used = self.unpack_all(codecs, bytes, plain)?;
            self.held.extend_from_slice(&bytes[used..]);
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(bytes);
            let used = self.unpack_all(codecs, &held, plain)?;
            held.drain(..used);
            if !held.is_empty() {
                self.held = held;
            }
        }
        Ok(())
    }

    /// Unpacks the whole packets at the front; returns how many bytes they are.
    fn unpack_all(
        &mut self,
        codecs: &mut Codecs,
        bytes: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<usize, WireError> {
        let mut rest = bytes;
        while let Some((header, content, behind)) = split_packet(rest) {
            self.sequence = header.sequence.wrapping_add(1);
            if header.unpacked == 0 {
                plain.extend_from_slice(content);
            } else {
                codecs.unpack(self.compression, content, header.unpacked, plain)?;
            }
            rest = behind;
        }
        Ok(bytes.len() - rest.len())
    }

    /// Appends to `out` the compressed packets that carry `plain`.
    pub fn send(&mut self, codecs: &mut Codecs, plain: &[u8], out: &mut Vec<u8>) {
        for content in plain.chunks(MAX_PAYLOAD) {
            let packed = match content.len() {
                0..MIN_LENGTH => None,
                _ => codecs.pack(self.compression, content),
            };
            let (packed, unpacked) = match packed {
                Some(packed) => (packed, content.len()),
                None => (content, 0),
            };
            put_u24(out, packed.len());
            out.push(self.sequence);
            put_u24(out, unpacked);
            out.extend_from_slice(packed);
            self.sequence = self.sequence.wrapping_add(1);
        }
    }
}

struct Header {
    sequence: u8,
    unpacked: usize,
}

/// The packet at the front, its content, and what is behind it; `None` if it is not whole.
fn split_packet(bytes: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
    let &[a, b, c, sequence, d, e, f] = header;
    let length = u32::from_le_bytes([a, b, c, 0]) as usize;
    let unpacked = u32::from_le_bytes([d, e, f, 0]) as usize;
    let (content, behind) = rest.split_at_checked(length)?;
    Some((Header { sequence, unpacked }, content, behind))
}

fn put_u24(out: &mut Vec<u8>, value: usize) {
    out.extend_from_slice(&value.to_le_bytes()[..3]);
}

impl Codecs {
    /// The packed content, if that is shorter.
    fn pack(&mut self, compression: Compression, content: &[u8]) -> Option<&[u8]> {
        let room = content.len() - 1;
        self.packed.resize(room, 0);
        let length = match compression {
            Compression::Zlib => {
                let default = || Compress::new(flate2::Compression::default(), true);
                let deflate = self.deflate.get_or_insert_with(default);
                deflate.reset();
                let done = deflate.compress(content, &mut self.packed, FlushCompress::Finish);
                // Anything else means that it did not fit.
                let Ok(Status::StreamEnd) = done else {
                    return None;
                };
                deflate.total_out() as usize
            }
            Compression::Zstd { level } => {
                let fits = self.zstd.as_ref().is_some_and(|(made, _)| *made == level);
                if !fits {
                    let made = zstd::bulk::Compressor::new(i32::from(level)).ok()?;
                    self.zstd = Some((level, made));
                }
                let (_, zstd) = self.zstd.as_mut()?;
                zstd.compress_to_buffer(content, &mut self.packed[..])
                    .ok()?
            }
        };
        self.packed.get(..length)
    }

    fn unpack(
        &mut self,
        compression: Compression,
        content: &[u8],
        length: usize,
        plain: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        let before = plain.len();
        let unpacked = match compression {
            Compression::Zlib => self.inflate(content, length, plain),
            Compression::Zstd { .. } => self.unzstd(content, length, plain),
        };
        match unpacked {
            Ok(()) if plain.len() - before == length => Ok(()),
            _ => {
                // Part of a packet is nothing to go on with.
                plain.truncate(before);
                Err(WireError::Malformed("compressed content"))
            }
        }
    }

    fn inflate(&mut self, content: &[u8], length: usize, plain: &mut Vec<u8>) -> io::Result<()> {
        let inflate = self.inflate.get_or_insert_with(|| Decompress::new(true));
        inflate.reset(true);
        let end = plain.len() + length;
        loop {
            plain.reserve(STEP.min((end + 1).saturating_sub(plain.len())));
            let rest = &content[inflate.total_in() as usize..];
            let before = (rest.len(), plain.len());
            let status = inflate.decompress_vec(rest, plain, FlushDecompress::None)?;
            let left = content.len() - inflate.total_in() as usize;
            match status {
                Status::StreamEnd if left == 0 => return Ok(()),
                _ if plain.len() > end || (left, plain.len()) == before => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                _ => {}
            }
        }
    }

    fn unzstd(&mut self, content: &[u8], length: usize, plain: &mut Vec<u8>) -> io::Result<()> {
        if self.unzstd.is_none() {
            let mut made = zstd::stream::raw::Decoder::new()?;
            made.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
            self.unzstd = Some(made);
        }
        let Some(unzstd) = &mut self.unzstd else {
            return Err(io::ErrorKind::Other.into());
        };
        unzstd.reinit()?;
        let end = plain.len() + length;
        let mut input = InBuffer::around(content);
        let mut chunk = [0; STEP];
        loop {
            let before = input.pos();
            let mut output = OutBuffer::around(&mut chunk[..]);
            let hint = unzstd.run(&mut input, &mut output)?;
            let count = output.pos();
            plain.extend_from_slice(&chunk[..count]);
            let all_read = input.pos() == content.len();
            if hint == 0 && all_read {
                return Ok(());
            }
            if plain.len() > end || (count == 0 && input.pos() == before) {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}
