//! A block: sealed rows of one source, column by column.
//!
//! ```text
//! magic, header length, body length, checksum of these lengths and the header: 4 bytes each
//! header: log, source, rows, first and last time; columns, for each its number, length, checksum
//! body:   the times, then the columns
//! ```
//! The first of the columns is that of the times. A query reads those that it wants and checks
//! no others.

use std::ops::Range;

use crate::column;
use crate::error::Corrupt;
use crate::row::{MOST_COLUMNS, Rows};
use crate::varint::{Reader, put_i64, put_u64};

pub(crate) const MAGIC: [u8; 4] = *b"OPMB";
/// Magic, lengths and checksum.
pub(crate) const PREFIX: usize = 16;
/// What mostly holds a block's header, its times and its first columns.
pub(crate) const HEAD: usize = 1024;
/// No name of a source is longer.
pub(crate) const LONGEST_SOURCE: usize = 512;
/// No block has more rows.
pub(crate) const MOST_ROWS: usize = 1 << 16;
/// What a block may take, so that a wrong length does not take all memory.
const MOST_BYTES: usize = 1 << 26;

/// Presence of a column's values: in every row, or as bits.
const EVERYWHERE: u8 = 0;
const SOMEWHERE: u8 = 1;

/// Seals rows, of which there is at least one, into a block.
pub(crate) fn encode(log: u64, source: &str, rows: &Rows) -> Vec<u8> {
    let mut times = Vec::with_capacity(rows.len());
    let mut columns: Vec<Gathered> = Vec::new();
    rows.each(|at, values| {
        if columns.len() < values.len() {
            columns.resize_with(values.len(), Gathered::default);
        }
        for (column, value) in columns.iter_mut().zip(values) {
            if let Some(value) = value {
                column.rows.push(times.len());
                column.values.push(*value);
            }
        }
        times.push(at);
    });
    let mut directory = Vec::new();
    let mut body = Vec::new();
    let mut add = |id: usize, column: &[u8]| {
        put_u64(&mut directory, id as u64);
        put_u64(&mut directory, column.len() as u64);
        directory.extend_from_slice(&crc32fast::hash(column).to_le_bytes());
        body.extend_from_slice(column);
    };
    let mut bytes = Vec::new();
    column::encode(&mut bytes, &times);
    add(MOST_COLUMNS, &bytes);
    let mut count = 1;
    for (id, column) in columns.iter().enumerate() {
        if !column.values.is_empty() {
            bytes.clear();
            column.encode(&mut bytes, times.len());
            add(id, &bytes);
            count += 1;
        }
    }
    let mut header = Vec::new();
    put_u64(&mut header, log);
    put_u64(&mut header, source.len() as u64);
    header.extend_from_slice(source.as_bytes());
    put_u64(&mut header, times.len() as u64);
    put_i64(&mut header, times.iter().copied().min().unwrap_or(0));
    put_i64(&mut header, times.iter().copied().max().unwrap_or(0));
    put_u64(&mut header, count);
    header.extend_from_slice(&directory);

    let mut block = MAGIC.to_vec();
    block.extend_from_slice(&(header.len() as u32).to_le_bytes());
    block.extend_from_slice(&(body.len() as u32).to_le_bytes());
    let checksum = checksum(&block[4..12], &header);
    block.extend_from_slice(&checksum.to_le_bytes());
    block.extend_from_slice(&header);
    block.extend_from_slice(&body);
    block
}

fn checksum(lengths: &[u8], header: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(lengths);
    hasher.update(header);
    hasher.finalize()
}

/// The values of a column and the rows that they are in.
#[derive(Default)]
struct Gathered {
    rows: Vec<usize>,
    values: Vec<i64>,
}

impl Gathered {
    fn encode(&self, out: &mut Vec<u8>, rows: usize) {
        if self.rows.len() == rows {
            out.push(EVERYWHERE);
        } else {
            out.push(SOMEWHERE);
            let mut bits = vec![0_u8; rows.div_ceil(8)];
            for row in &self.rows {
                bits[row / 8] |= 1 << (row % 8);
            }
            out.extend_from_slice(&bits);
        }
        column::encode(out, &self.values);
    }
}

/// The lengths at a block's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) header: usize,
    pub(crate) body: usize,
    checksum: u32,
}

impl Prefix {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader(bytes);
        if reader.bytes(4)? != MAGIC {
            return Err(Corrupt);
        }
        let mut number = || {
            let bytes = reader.bytes(4)?.try_into().map_err(|_| Corrupt)?;
            Ok(u32::from_le_bytes(bytes))
        };
        let (header, body) = (number()? as usize, number()? as usize);
        let checksum = number()?;
        if header > MOST_BYTES || body > MOST_BYTES {
            return Err(Corrupt);
        }
        Ok(Self {
            header,
            body,
            checksum,
        })
    }

    /// Bytes of the whole block.
    pub(crate) const fn block(&self) -> usize {
        PREFIX + self.header + self.body
    }
}

/// A block's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    /// The log that its rows were in.
    pub(crate) log: u64,
    pub(crate) source: &'a str,
    pub(crate) rows: usize,
    pub(crate) first: i64,
    pub(crate) last: i64,
    columns: Vec<Column>,
}

/// Where a column lies in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    id: usize,
    bytes: Range<usize>,
    checksum: u32,
}

impl<'a> Header<'a> {
    /// Reads the header of a block that begins with `bytes`.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let prefix = Prefix::read(bytes)?;
        let header = bytes.get(PREFIX..PREFIX + prefix.header).ok_or(Corrupt)?;
        if checksum(&bytes[4..12], header) != prefix.checksum {
            return Err(Corrupt);
        }
        let mut reader = Reader(header);
        let log = reader.u64()?;
        let source = reader.text(LONGEST_SOURCE)?;
        let rows = reader.count(MOST_ROWS)?;
        let (first, last) = (reader.i64()?, reader.i64()?);
        let count = reader.count(MOST_COLUMNS + 1)?;
        let mut begin = 0;
        let mut columns = Vec::new();
        for _ in 0..count {
            let id = reader.count(MOST_COLUMNS)?;
            let end = begin + reader.count(MOST_BYTES)?;
            let checksum = reader.bytes(4)?.try_into().map_err(|_| Corrupt)?;
            columns.push(Column {
                id,
                bytes: begin..end,
                checksum: u32::from_le_bytes(checksum),
            });
            begin = end;
        }
        (begin == prefix.body && rows > 0)
            .then_some(Self {
                log,
                source,
                rows,
                first,
                last,
                columns,
            })
            .ok_or(Corrupt)
    }
}

/// What a query needs of a block.
#[derive(Debug)]
pub(crate) struct Plan {
    rows: usize,
    times: Column,
    /// The columns that are wanted; none of those that no row has.
    columns: Vec<Option<Column>>,
}

impl Plan {
    /// Looks for these columns in the header of a block that begins with `bytes`.
    pub(crate) fn of(bytes: &[u8], wanted: &[usize]) -> Result<Self, Corrupt> {
        let header = Header::read(bytes)?;
        let body = PREFIX + Prefix::read(bytes)?.header;
        let column = |id: usize| {
            let column = header.columns.iter().find(|column| column.id == id)?;
            Some(Column {
                bytes: body + column.bytes.start..body + column.bytes.end,
                ..*column
            })
        };
        Ok(Self {
            rows: header.rows,
            times: column(MOST_COLUMNS).ok_or(Corrupt)?,
            columns: wanted.iter().map(|id| column(*id)).collect(),
        })
    }

    /// The bytes of the block that are needed.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let columns = self.columns.iter().flatten();
        let all = std::iter::once(&self.times).chain(columns);
        all.map(|column| column.bytes.clone())
    }
}

/// Columns read out of a block.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    times: Vec<i64>,
    values: Vec<i64>,
}

impl Decoded {
    /// Reads the times and shows the values of each column of the plan, with the rows that they
    /// are in, out of what `get` has of the block.
    pub(crate) fn read<'b>(
        &mut self,
        plan: &Plan,
        get: impl Fn(&Range<usize>) -> Option<&'b [u8]>,
        mut visit: impl FnMut(usize, &[i64], Present<'_>, &[i64]),
    ) -> Result<(), Corrupt> {
        let whole = |column: &Column| {
            let bytes = get(&column.bytes).ok_or(Corrupt)?;
            let is_whole = crc32fast::hash(bytes) == column.checksum;
            is_whole.then_some(bytes).ok_or(Corrupt)
        };
        let times = whole(&plan.times)?;
        column::decode(&mut Reader(times), plan.rows, &mut self.times)?;
        // All that is wanted must be whole before any of it is used.
        let columns = plan.columns.iter();
        let columns: Vec<_> = columns
            .map(|column| column.as_ref().map(whole).transpose())
            .collect::<Result<_, _>>()?;
        for (place, bytes) in columns.into_iter().enumerate() {
            let Some(bytes) = bytes else { continue };
            let mut reader = Reader(bytes);
            let (present, count) = match reader.u8()? {
                EVERYWHERE => (Present(None), plan.rows),
                SOMEWHERE => {
                    let bits = reader.bytes(plan.rows.div_ceil(8))?;
                    let count = bits.iter().map(|byte| byte.count_ones() as usize).sum();
                    (Present(Some(bits)), count)
                }
                _ => return Err(Corrupt),
            };
            if count > plan.rows {
                return Err(Corrupt);
            }
            column::decode(&mut reader, count, &mut self.values)?;
            visit(place, &self.times, present, &self.values);
        }
        Ok(())
    }
}

/// Which rows have a value.
#[derive(Clone, Copy)]
pub(crate) struct Present<'a>(Option<&'a [u8]>);

impl Present<'_> {
    /// Shows the time of each value of these rows together with it.
    #[inline]
    pub(crate) fn each(
        self,
        times: &[i64],
        values: &[i64],
        rows: Range<usize>,
        mut visit: impl FnMut(i64, i64),
    ) {
        match self.0 {
            None => {
                let shown = times.get(rows.clone()).zip(values.get(rows));
                let (times, values) = shown.unwrap_or_default();
                for (at, value) in times.iter().zip(values) {
                    visit(*at, *value);
                }
            }
            Some(bits) => {
                let is_there = |row: &usize| bits[row / 8] >> (row % 8) & 1 == 1;
                let before = (0..rows.start).filter(is_there).count();
                let rows = rows.filter(is_there);
                for (row, value) in rows.zip(values.iter().skip(before)) {
                    visit(times[row], *value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Values, put_values};
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    fn rows(of: &[(i64, Values)]) -> Rows {
        let mut rows = Rows::default();
        for (at, values) in of {
            let mut encoded = Vec::new();
            put_values(&mut encoded, values);
            rows.push(*at, &encoded);
        }
        rows
    }

    fn back(block: &[u8], columns: usize) -> Result<Vec<Vec<(i64, i64)>>, Corrupt> {
        let wanted: Vec<_> = (0..columns).collect();
        let mut found = vec![Vec::new(); columns];
        let plan = Plan::of(block, &wanted)?;
        let get = |range: &Range<usize>| block.get(range.clone());
        Decoded::default().read(&plan, get, |column, times, present, values| {
            present.each(times, values, 0..times.len(), |at, value| {
                found[column].push((at, value));
            });
        })?;
        Ok(found)
    }

    fn some_rows() -> impl Strategy<Value = Vec<(i64, Values)>> {
        let row = (any::<i32>(), vec(option::of(-1000_i64..100_000), 0..9));
        vec(row.prop_map(|(at, values)| (i64::from(at), values)), 1..200)
    }

    proptest! {
        #[test]
        fn rows_come_back(of in some_rows()) {
            let block = encode(7, "pd-1/shop", &rows(&of));
            let header = Header::read(&block).expect("ours");
            prop_assert_eq!((header.log, header.source, header.rows), (7, "pd-1/shop", of.len()));
            prop_assert_eq!(Some(header.first), of.iter().map(|row| row.0).min());
            prop_assert_eq!(Some(header.last), of.iter().map(|row| row.0).max());
            let found = back(&block, 9).expect("ours");
            for (column, found) in found.iter().enumerate() {
                let value = |row: &(i64, Values)| Some((row.0, (*row.1.get(column)?)?));
                prop_assert_eq!(found, &of.iter().filter_map(value).collect::<Vec<_>>());
            }
        }

        #[test]
        fn a_changed_byte_is_noticed(of in some_rows(), place: prop::sample::Index, bit in 0_u32..8) {
            let block = encode(7, "pd-1", &rows(&of));
            let mut changed = block.clone();
            changed[place.index(block.len())] ^= 1_u8 << bit;
            prop_assert!(back(&changed, 9).is_err());
        }

        #[test]
        fn what_is_not_a_block_does_no_harm(mut bytes: Vec<u8>, of in some_rows(), cut: prop::sample::Index) {
            prop_assert!(back(&bytes, 9).is_err());
            let block = encode(7, "pd-1", &rows(&of));
            prop_assert!(back(&block[..cut.index(block.len())], 9).is_err());
            // With a right checksum, since a fuzzer would never guess one.
            bytes.truncate(200);
            let lengths = [(bytes.len() as u32).to_le_bytes(), 9_u32.to_le_bytes()].concat();
            let sum = checksum(&lengths, &bytes).to_le_bytes();
            let whole = [&MAGIC[..], &lengths, &sum, &bytes, &[1; 9]].concat();
            let _ = back(&whole, 9);
        }
    }
}
