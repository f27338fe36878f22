//! The log of a resolution: rows that are not sealed yet, as they were appended.
//!
//! ```text
//! magic, length of the content, checksum of length and content: 4 bytes each; content
//! ```
//! The first record tells which log of the finer resolution has gone into this one and the sealed
//! ones before it; each further one holds rows, all or none of which are there. Sources have
//! numbers in the order in which records name them; a record tells how many there were before, so that
//! a damaged one leaves its own sources without a name and no other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::block::LONGEST_SOURCE;
use crate::disk::Disk;
use crate::error::{AtPath, Corrupt, Result};
use crate::row::{self, Values};
use crate::varint::{Reader, put_u64};

const MAGIC: [u8; 4] = *b"OPMR";
const PREFIX: usize = 12;
const MOST_SOURCES: usize = 1 << 20;

/// Rows of a record: the source's number, the time, the encoded values.
pub(crate) type LoggedRow = (usize, i64, Vec<u8>);

/// What a record says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// The finer log that has gone into this one with this record, and all before it.
    pub(crate) contributed: u64,
    /// Numbers given to sources before.
    pub(crate) known: usize,
    /// Sources that get the next numbers.
    pub(crate) sources: Vec<Arc<str>>,
    pub(crate) rows: Vec<LoggedRow>,
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; PREFIX];
        put_u64(&mut bytes, self.contributed);
        put_u64(&mut bytes, self.known as u64);
        put_u64(&mut bytes, self.sources.len() as u64);
        for source in &self.sources {
            put_u64(&mut bytes, source.len() as u64);
            bytes.extend_from_slice(source.as_bytes());
        }
        for (source, at, values) in &self.rows {
            put_u64(&mut bytes, *source as u64);
            bytes.extend_from_slice(&at.to_le_bytes());
            bytes.extend_from_slice(values);
        }
        let length = ((bytes.len() - PREFIX) as u32).to_le_bytes();
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&length);
        let checksum = checksum(length, &bytes[PREFIX..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(content: &[u8]) -> std::result::Result<Self, Corrupt> {
        let mut reader = Reader(content);
        let mut record = Self {
            contributed: reader.u64()?,
            known: reader.count(MOST_SOURCES)?,
            ..Self::default()
        };
        for _ in 0..reader.count(MOST_SOURCES)? {
            record.sources.push(reader.text(LONGEST_SOURCE)?.into());
        }
        let mut values = Values::new();
        while !reader.is_empty() {
            let source = reader.count(MOST_SOURCES)?;
            let at = reader.bytes(8)?.try_into().map_err(|_| Corrupt)?;
            let before = reader;
            row::values(&mut reader, &mut values)?;
            let encoded = &before.0[..before.0.len() - reader.0.len()];
            let row = (source, i64::from_le_bytes(at), encoded.to_vec());
            record.rows.push(row);
        }
        Ok(record)
    }
}

fn checksum(length: [u8; 4], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(content);
    hasher.finalize()
}

/// The records in `bytes`, how many damaged places were passed over, and where the last whole
/// record ends.
pub(crate) fn read(bytes: &[u8]) -> (Vec<Record>, usize, usize) {
    let (mut records, mut damaged) = (Vec::new(), 0);
    let (mut at, mut end) = (0, 0);
    while at < bytes.len() {
        match record(&bytes[at..]) {
            Ok((record, length)) => {
                // Between two whole records something was damaged.
                damaged += usize::from(at > end);
                records.push(record);
                at += length;
                end = at;
            }
            Err(Corrupt) => {
                let rest = &bytes[at + 1..];
                let next = rest.windows(MAGIC.len()).position(|four| four == MAGIC);
                at = next.map_or(bytes.len(), |next| at + 1 + next);
            }
        }
    }
    (records, damaged, end)
}

fn record(bytes: &[u8]) -> std::result::Result<(Record, usize), Corrupt> {
    let mut reader = Reader(bytes);
    if reader.bytes(4)? != MAGIC {
        return Err(Corrupt);
    }
    let length: [u8; 4] = reader.bytes(4)?.try_into().map_err(|_| Corrupt)?;
    let sum = reader.bytes(4)?.try_into().map_err(|_| Corrupt)?;
    let content = reader.bytes(u32::from_le_bytes(length) as usize)?;
    if checksum(length, content) != u32::from_le_bytes(sum) {
        return Err(Corrupt);
    }
    Ok((Record::decode(content)?, PREFIX + content.len()))
}

/// A log that is written.
#[derive(Debug)]
pub(crate) struct Log {
    disk: Disk,
    path: PathBuf,
    file: File,
    length: u64,
    /// A record was written in part and could not be cut off.
    is_torn: bool,
}

impl Log {
    pub(crate) fn name(number: u64) -> String {
        format!("log-{number:012}")
    }

    /// The number of the log that a file is.
    pub(crate) fn number(name: &str) -> Option<u64> {
        name.strip_prefix("log-")?.parse().ok()
    }

    /// Begins a log. It exists once this returns, whole or not at all.
    pub(crate) fn create(disk: &Disk, dir: &Path, number: u64, contributed: u64) -> Result<Self> {
        let path = dir.join(Self::name(number));
        let draft = dir.join("draft");
        // One that was left by a crash is written anew.
        if draft.exists() {
            disk.remove(&draft).at("remove", &draft)?;
        }
        let file = disk.create(&draft).at("create", &draft)?;
        let first = Record {
            contributed,
            ..Record::default()
        };
        let bytes = first.encode();
        disk.append(&file, &bytes).at("write", &draft)?;
        disk.sync(&file).at("sync", &draft)?;
        disk.rename(&draft, &path).at("rename", &draft)?;
        Ok(Self {
            disk: disk.clone(),
            path,
            file,
            length: bytes.len() as u64,
            is_torn: false,
        })
    }

    /// Opens a log and reads it; its torn end is cut off. Also tells how many damaged places it has.
    pub(crate) fn open(disk: &Disk, path: PathBuf) -> Result<(Self, Vec<Record>, usize)> {
        let bytes = fs::read(&path).at("read", &path)?;
        let (records, damaged, end) = read(&bytes);
        let file = disk.create(&path).at("open", &path)?;
        if end < bytes.len() {
            disk.cut(&file, end as u64).at("cut", &path)?;
        }
        let log = Self {
            disk: disk.clone(),
            path,
            file,
            length: end as u64,
            is_torn: false,
        };
        Ok((log, records, damaged))
    }

    /// The record is in the log, for any later process to read, when this returns.
    pub(crate) fn append(&mut self, record: &Record) -> Result<()> {
        if self.is_torn {
            self.cut()?;
        }
        let bytes = record.encode();
        if let Err(error) = self.disk.append(&self.file, &bytes) {
            self.is_torn = true;
            // If it cannot be cut now, then before the next one.
            let _ = self.cut();
            return Err(error).at("write", &self.path);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn cut(&mut self) -> Result<()> {
        self.disk
            .cut(&self.file, self.length)
            .at("cut", &self.path)?;
        self.is_torn = false;
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.disk.sync(&self.file).at("sync", &self.path)
    }

    pub(crate) fn remove(&self) -> Result<()> {
        self.disk.remove(&self.path).at("remove", &self.path)
    }

    pub(crate) const fn length(&self) -> u64 {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_record(number: u64) -> Record {
        let mut encoded = Vec::new();
        row::put_values(&mut encoded, &[Some(number as i64), None, Some(-7)]);
        Record {
            contributed: number,
            known: number as usize,
            sources: vec![format!("pd-{number}").into()],
            rows: vec![(number as usize, 1000 + number as i64, encoded)],
        }
    }

    proptest! {
        #[test]
        fn records_before_a_torn_end_are_read(count in 1_u64..9, cut: prop::sample::Index) {
            let records: Vec<_> = (0..count).map(some_record).collect();
            let encoded: Vec<_> = records.iter().map(Record::encode).collect();
            let bytes = encoded.concat();
            let cut = cut.index(bytes.len() + 1);
            let whole = (0..=encoded.len()).rev()
                .find(|n| encoded[..*n].concat().len() <= cut).expect("none at least");
            let (found, damaged, end) = read(&bytes[..cut]);
            prop_assert_eq!(&found, &records[..whole]);
            prop_assert_eq!((damaged, end), (0, encoded[..whole].concat().len()));
        }

        #[test]
        fn a_damaged_record_is_passed_over(place: prop::sample::Index, bit in 0_u32..8) {
            let records: Vec<_> = (0..9).map(some_record).collect();
            let encoded: Vec<_> = records.iter().map(Record::encode).collect();
            let mut bytes = encoded.concat();
            let (first, second) = (encoded[0].len(), encoded[1].len());
            bytes[first + place.index(second)] ^= 1_u8 << bit;
            let (found, damaged, end) = read(&bytes);
            prop_assert_eq!(found.len(), 8);
            prop_assert_eq!(&found[1..], &records[2..]);
            prop_assert_eq!((damaged, end), (1, bytes.len()));
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = Record::decode(&bytes);
            let (_, _, end) = read(&bytes);
            prop_assert!(end <= bytes.len());
        }
    }
}
