//! Files of sealed blocks, one after the other.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{Advice, fadvise};
use rustix::io::{ReadWriteFlags, preadv2};

use crate::block::{HEAD, Header, MAGIC, PREFIX, Prefix};
use crate::disk::Disk;
use crate::error::{AtPath, Result};

/// What is read at once while looking for a block.
const PIECE: usize = 1 << 16;
/// What the system is asked to read ahead while headers are read.
const AHEAD: usize = 1 << 22;

/// Where a block lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockPlace {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) length: usize,
    /// The least and the greatest time in it.
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// A file of blocks.
#[derive(Debug)]
pub(crate) struct Segment {
    disk: Disk,
    pub(crate) path: PathBuf,
    file: File,
    /// Bytes that count; what lies behind is of a seal that failed.
    pub(crate) length: u64,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Segment {
    pub(crate) fn name(id: u64) -> String {
        format!("blocks-{id:08}")
    }

    /// The id of the segment that a file is.
    pub(crate) fn id(name: &str) -> Option<u64> {
        name.strip_prefix("blocks-")?.parse().ok()
    }

    pub(crate) fn create(disk: &Disk, path: PathBuf) -> Result<Self> {
        let file = disk.create(&path).at("create", &path)?;
        Ok(Self {
            disk: disk.clone(),
            path,
            file,
            length: 0,
            first: i64::MAX,
            last: i64::MIN,
        })
    }

    /// Opens a segment and shows the source and place of each block whose rows were in a log before
    /// `log`; what follows is cut off. Also tells how many damaged places there are.
    pub(crate) fn open(
        disk: &Disk,
        path: PathBuf,
        (id, is_written): (u64, bool),
        log: u64,
        mut visit: impl FnMut(&str, BlockPlace),
    ) -> Result<(Self, usize)> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .open(&path)
            .at("open", &path)?;
        let total = file.metadata().at("measure", &path)?.len();
        let mut segment = Self {
            disk: disk.clone(),
            path,
            file,
            length: 0,
            first: i64::MAX,
            last: i64::MIN,
        };
        let (mut damaged, mut at, mut unread) = (0, 0, None);
        let mut ahead = 0;
        while at < total {
            if at >= ahead {
                segment.expect(at, 2 * AHEAD);
                ahead = at + AHEAD as u64;
            }
            let begin = segment.read_header(at).at("read", &segment.path)?;
            let Some((prefix, header)) = whole_header(&begin, total - at) else {
                unread.get_or_insert(at);
                let next = segment.find_magic(at + 1).at("read", &segment.path)?;
                at = next.unwrap_or(total);
                continue;
            };
            damaged += usize::from(unread.take().is_some());
            if header.log >= log {
                break;
            }
            let place = BlockPlace {
                segment: id,
                offset: at,
                length: prefix.block(),
                first: header.first,
                last: header.last,
            };
            visit(header.source, place);
            segment.first = segment.first.min(header.first);
            segment.last = segment.last.max(header.last);
            at += place.length as u64;
        }
        // The end of the segment that is being written is the torn one of a seal.
        match unread {
            Some(torn) if is_written => at = torn,
            Some(_) => damaged += 1,
            None => {}
        }
        segment.length = at;
        if at < total {
            segment.cut()?;
        }
        Ok((segment, damaged))
    }

    fn find_magic(&self, mut at: u64) -> io::Result<Option<u64>> {
        loop {
            let piece = self.read(at, PIECE)?;
            if let Some(found) = piece.windows(MAGIC.len()).position(|four| four == MAGIC) {
                return Ok(Some(at + found as u64));
            }
            if piece.len() < PIECE {
                return Ok(None);
            }
            at += (PIECE - MAGIC.len()) as u64;
        }
    }

    /// Reads a header, if a block is there, and somewhat more.
    fn read_header(&self, at: u64) -> io::Result<Vec<u8>> {
        let begin = self.read(at, HEAD)?;
        match Prefix::read(&begin) {
            Ok(prefix) if PREFIX + prefix.header > HEAD => self.read(at, PREFIX + prefix.header),
            _ => Ok(begin),
        }
    }

    /// Reads as much as there is.
    pub(crate) fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self
                .file
                .read_at(&mut bytes[filled..], offset + filled as u64)
            {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Reads that much if the system has it in memory.
    pub(crate) fn read_held(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut into = [IoSliceMut::new(&mut bytes)];
        let read = preadv2(&self.file, &mut into, offset, ReadWriteFlags::NOWAIT);
        (read == Ok(length)).then_some(bytes)
    }

    /// Has the system read that much before it is asked for.
    pub(crate) fn expect(&self, offset: u64, length: usize) {
        let length = NonZeroU64::new(length as u64);
        // Without it reads take longer, no more.
        let _ = fadvise(&self.file, offset, length, Advice::WillNeed);
    }

    /// Writes behind what counts; it does not count yet.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<()> {
        let there = self.file.metadata().at("measure", &self.path)?.len();
        if there > self.length {
            self.cut()?;
        }
        self.disk
            .append(&self.file, bytes)
            .at("write", &self.path)?;
        self.disk.sync(&self.file).at("sync", &self.path)
    }

    fn cut(&self) -> Result<()> {
        self.disk.cut(&self.file, self.length).at("cut", &self.path)
    }
}

/// A block's lengths and header, if they are whole and the block fits into what is left.
fn whole_header(begin: &[u8], left: u64) -> Option<(Prefix, Header<'_>)> {
    let prefix = Prefix::read(begin).ok()?;
    if prefix.block() as u64 > left || begin.len() < PREFIX + prefix.header {
        return None;
    }
    Some((prefix, Header::read(begin).ok()?))
}
