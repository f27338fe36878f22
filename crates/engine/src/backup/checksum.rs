//! The checksum of a table's content: the same whatever the order of rows, and one that a
//! server can compute by a query.

use ring::digest::{Context, SHA256};

/// Counts rows and sums up what each is.
///
/// A row is written as one text: for each column `N` when it is NULL, else `V`, the number of
/// bytes in decimal, `:` and the bytes. The first eight bytes of the text's SHA-256 are a number;
/// the checksum is the sum of these numbers over all rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) rows: u64,
    pub(crate) sum: u128,
}

/// The checksum of one row as it is read.
pub(crate) struct RowHash(Context);

impl RowHash {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Adds the next column.
    pub(crate) fn push(&mut self, value: Option<&[u8]>) {
        let Some(value) = value else {
            return self.0.update(b"N");
        };
        self.0.update(b"V");
        self.0.update(value.len().to_string().as_bytes());
        self.0.update(b":");
        self.0.update(value);
    }
}

impl Checksum {
    /// Adds a row.
    pub(crate) fn add(&mut self, row: RowHash) {
        let digest = row.0.finish();
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_ref()[..8]);
        self.rows += 1;
        // 2^64 rows would be needed to go beyond the end.
        self.sum += u128::from(u64::from_be_bytes(first));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[&[Option<&[u8]>]]) -> Checksum {
        let mut checksum = Checksum::default();
        for row in rows {
            let mut hash = RowHash::new();
            row.iter().for_each(|value| hash.push(*value));
            checksum.add(hash);
        }
        checksum
    }

    #[test]
    fn the_order_of_rows_does_not_matter_but_what_they_are_does() {
        let one: &[Option<&[u8]>] = &[Some(b"1"), None];
        let two: &[Option<&[u8]>] = &[Some(b"2"), Some(b"")];
        assert_eq!(of(&[one, two]), of(&[two, one]));
        assert_ne!(of(&[one, one]), of(&[one]));
        assert_ne!(
            of(&[&[Some(b"ab"), Some(b"c")]]),
            of(&[&[Some(b"a"), Some(b"bc")]])
        );
        assert_ne!(of(&[&[None]]), of(&[&[Some(b"")]]));
        assert_ne!(of(&[&[None]]), of(&[&[Some(b"N")]]));
    }
}
