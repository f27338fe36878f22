//! The checksum of a table's content: the same whatever the order of rows, and one that a
//! server can compute by a query.

use ring::digest::{SHA256, digest};

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

impl Checksum {
    /// Adds that of other rows.
    pub(crate) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum += other.sum;
    }
}

/// Computes the checksums of rows, one after the other.
#[derive(Debug, Default)]
pub(crate) struct RowHasher {
    /// The text of the row. It is digested at once: a call for each part costs more than a copy.
    text: Vec<u8>,
}

impl RowHasher {
    /// Adds the next column of the row.
    pub(crate) fn push(&mut self, value: Option<&[u8]>) {
        let Some(value) = value else {
            return self.text.push(b'N');
        };
        self.text.push(b'V');
        push_decimal(value.len(), &mut self.text);
        self.text.push(b':');
        self.text.extend_from_slice(value);
    }

    /// Ends the row, and adds it to a checksum.
    pub(crate) fn add_to(&mut self, checksum: &mut Checksum) {
        let digest = digest(&SHA256, &self.text);
        self.text.clear();
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_ref()[..8]);
        checksum.rows += 1;
        // 2^64 rows would be needed to go beyond the end.
        checksum.sum += u128::from(u64::from_be_bytes(first));
    }
}

/// Writes a number without asking for memory.
fn push_decimal(number: usize, out: &mut Vec<u8>) {
    if number >= 10 {
        push_decimal(number / 10, out);
    }
    out.push(b"0123456789"[number % 10]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[&[Option<&[u8]>]]) -> Checksum {
        let (mut checksum, mut hasher) = (Checksum::default(), RowHasher::default());
        for row in rows {
            row.iter().for_each(|value| hasher.push(*value));
            hasher.add_to(&mut checksum);
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

    #[test]
    fn lengths_are_decimal() {
        for number in [0, 9, 10, 109, 1_234_567_890, usize::MAX] {
            let mut out = Vec::new();
            push_decimal(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
