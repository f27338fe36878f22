//! Reads copies of log files event by event.

use std::io::{ErrorKind, Read};
use std::path::Path;

use super::archive;
use super::event::{Checksums, HEADER, Header, Kind, MAGIC, Malformed, close};
use crate::error::{AtPath, EngineError, Result};
use crate::sealed::BackupKeys;

/// Memory for an event that is taken before it is known how much of it there is.
const EVENT_IN_MEMORY: usize = 4 << 20;

const EMPTY: Malformed = Malformed("is empty");

/// An event as it lies in a file.
pub(super) struct RawEvent {
    pub(super) offset: u64,
    pub(super) header: Header,
    pub(super) bytes: Vec<u8>,
}

/// Reads a copy of a log file event by event.
pub(super) struct LogReader<'a> {
    path: &'a Path,
    file: Box<dyn Read + Send>,
    offset: u64,
    checksums: Checksums,
}

impl<'a> LogReader<'a> {
    /// Opens a copy; also its first event, which says how the others are written.
    pub(super) fn open(path: &'a Path, keys: &BackupKeys) -> Result<(Self, RawEvent)> {
        const NO_LOG: Malformed = Malformed("does not begin as a binary log");
        let mut log = Self {
            path,
            file: archive::open(path, keys)?,
            offset: 0,
            checksums: Checksums::None,
        };
        let mut magic = [0; MAGIC.len()];
        if !log.fill(&mut magic)? || magic != MAGIC {
            return Err(log.damaged(NO_LOG));
        }
        log.offset = MAGIC.len() as u64;
        let mut first = log.event()?.ok_or_else(|| log.damaged(EMPTY))?;
        if first.header.kind != Kind::FormatDescription {
            return Err(log.damaged(NO_LOG));
        }
        close(&mut first.bytes);
        let declared = Checksums::Crc32
            .content(&first.bytes)
            .and_then(|_| Checksums::declared(&first.bytes));
        log.checksums = declared.map_err(|what| log.damaged(what))?;
        Ok((log, first))
    }

    /// How its events end.
    pub(super) const fn checksums(&self) -> Checksums {
        self.checksums
    }

    /// What is in an event, if its checksum is right.
    pub(super) fn content<'e>(&self, event: &'e RawEvent) -> Result<&'e [u8]> {
        let content = self.checksums.content(&event.bytes);
        content.map_err(|what| self.damaged(what))
    }

    /// The next event; `None` at the end, also where the file ends within one: the server was
    /// about to write it.
    pub(super) fn event(&mut self) -> Result<Option<RawEvent>> {
        let mut frame = [0; HEADER];
        if !self.fill(&mut frame)? {
            return Ok(None);
        }
        let header = Header::parse(&frame).map_err(|what| self.damaged(what))?;
        let length = header.length as usize;
        let mut bytes = Vec::with_capacity(length.min(EVENT_IN_MEMORY));
        bytes.extend_from_slice(&frame);
        let rest = (length - HEADER) as u64;
        let read = (&mut self.file).take(rest).read_to_end(&mut bytes);
        read.at("read", self.path)?;
        if bytes.len() < length {
            return Ok(None);
        }
        let offset = self.offset;
        self.offset += u64::from(header.length);
        Ok(Some(RawEvent {
            offset,
            header,
            bytes,
        }))
    }

    pub(super) fn skip_to(&mut self, offset: u64) -> Result<()> {
        let skipped = offset.saturating_sub(self.offset);
        let passed = std::io::copy(&mut (&mut self.file).take(skipped), &mut std::io::sink());
        if passed.at("read", self.path)? < skipped {
            return Err(self.damaged(Malformed("ends before the position of the backup set")));
        }
        self.offset = offset.max(self.offset);
        Ok(())
    }

    /// Reads so many bytes; whether there were as many.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool> {
        match self.file.read_exact(bytes) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            result => result.at("read", self.path).map(|()| true),
        }
    }

    pub(super) fn damaged(&self, what: Malformed) -> EngineError {
        EngineError::DamagedLog {
            path: self.path.to_owned(),
            offset: self.offset,
            what: what.0,
        }
    }
}
