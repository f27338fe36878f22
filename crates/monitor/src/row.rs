//! Rows as bytes: in logs and in memory until they are sealed.

use crate::error::Corrupt;
use crate::varint::{Reader, put_i64, put_u64};

/// The values of a row, by column; columns beyond its end have none.
pub type Values = Vec<Option<i64>>;

/// A source has no more columns.
pub(crate) const MOST_COLUMNS: usize = 1024;

/// Number of columns, a bit for each that has a value, the values.
pub(crate) fn put_values(out: &mut Vec<u8>, values: &[Option<i64>]) {
    put_u64(out, values.len() as u64);
    for eight in values.chunks(8) {
        let mut bits = 0;
        for (index, value) in eight.iter().enumerate() {
            bits |= u8::from(value.is_some()) << index;
        }
        out.push(bits);
    }
    for value in values.iter().flatten() {
        put_i64(out, *value);
    }
}

/// Reads a row's values into `values`.
pub(crate) fn values(reader: &mut Reader<'_>, values: &mut Values) -> Result<(), Corrupt> {
    values.clear();
    let columns = reader.count(MOST_COLUMNS)?;
    let present = reader.bytes(columns.div_ceil(8))?;
    for column in 0..columns {
        let is_there = present[column / 8] >> (column % 8) & 1 == 1;
        values.push(is_there.then(|| reader.i64()).transpose()?);
    }
    Ok(())
}

/// Rows of one source that are not sealed yet, as bytes; a row takes as many as its values need.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    bytes: Vec<u8>,
    count: usize,
    last: i64,
}

impl Rows {
    pub(crate) fn push(&mut self, at: i64, encoded: &[u8]) {
        put_i64(&mut self.bytes, at.wrapping_sub(self.last));
        self.bytes.extend_from_slice(encoded);
        self.last = at;
        self.count += 1;
    }

    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// Shows each row, in the order in which they were added.
    pub(crate) fn each(&self, mut visit: impl FnMut(i64, &[Option<i64>])) {
        let mut reader = Reader(&self.bytes);
        let (mut at, mut row) = (0_i64, Values::new());
        while !reader.is_empty() {
            // Written by ourselves into this memory.
            let Ok(step) = reader.i64() else { return };
            at = at.wrapping_add(step);
            if values(&mut reader, &mut row).is_err() {
                return;
            }
            visit(at, &row);
        }
    }
}
