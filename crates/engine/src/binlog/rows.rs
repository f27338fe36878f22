//! Which table rows are of, and how many of them an event has.
//!
//! Pure. An event does not say how many rows it has: they are told apart by the lengths of
//! their values, which follow from the types of the columns.

use super::event::{Malformed, SHORT};

/// A table as rows refer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// What rows name it by.
    pub(super) id: u64,
    pub(super) database: Vec<u8>,
    pub(super) name: String,
    /// Type and parameters of each column; `None` when one is of a type not known here.
    columns: Option<Vec<Column>>,
}

/// How the length of a column's value is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    /// It is always that.
    Fixed(usize),
    /// So many bytes before the value tell it.
    Prefixed(usize),
}

impl Table {
    /// Reads the event that stands before rows.
    pub(super) fn parse(content: &[u8]) -> Result<Self, Malformed> {
        let mut bytes = Bytes(content);
        let id = bytes.number(6)?;
        bytes.take(2)?;
        let database = bytes.name()?.to_vec();
        let name = String::from_utf8_lossy(bytes.name()?).into_owned();
        let count = bytes.packed()?;
        let types = bytes.take(count)?;
        let length = bytes.packed()?;
        let mut parameters = Bytes(bytes.take(length)?);
        let columns = types
            .iter()
            .map(|&kind| Column::of(kind, &mut parameters))
            .collect();
        Ok(Self {
            id,
            database,
            name,
            columns,
        })
    }

    /// How many rows an event has; `has_two_images` when it has each before and after a change.
    /// `None` when that cannot be told.
    pub(super) fn count_rows(&self, content: &[u8], has_two_images: bool) -> Option<u64> {
        let columns = self.columns.as_ref()?;
        let mut bytes = Bytes(content.get(8..)?);
        let count = bytes.packed().ok()?;
        if count != columns.len() {
            return None;
        }
        let mut images = vec![present(columns, bytes.take(count.div_ceil(8)).ok()?)];
        if has_two_images {
            images.push(present(columns, bytes.take(count.div_ceil(8)).ok()?));
        }
        let mut rows = 0;
        while !bytes.0.is_empty() {
            let before = bytes.0.len();
            for columns in &images {
                let nulls = bytes.take(columns.len().div_ceil(8)).ok()?;
                for (index, column) in columns.iter().enumerate() {
                    if !is_set(nulls, index) {
                        column.skip(&mut bytes).ok()?;
                    }
                }
            }
            if bytes.0.len() == before {
                return None;
            }
            rows += 1;
        }
        Some(rows)
    }
}

impl Table {
    /// How many columns it has.
    pub(super) fn width(&self) -> Option<usize> {
        self.columns.as_ref().map(Vec::len)
    }

    /// Gives of each image of each row the values of some columns, as they lie in the event: what has
    /// a length is without it. `None` when they cannot be told apart, or one is missing.
    pub(super) fn values(
        &self,
        content: &[u8],
        has_two_images: bool,
        wanted: &[usize],
        take: &mut dyn FnMut(&[&[u8]]),
    ) -> Option<()> {
        let columns = self.columns.as_ref()?;
        let mut bytes = Bytes(content.get(8..)?);
        let count = bytes.packed().ok()?;
        if count != columns.len() {
            return None;
        }
        let mut images = vec![bytes.take(count.div_ceil(8)).ok()?];
        if has_two_images {
            images.push(bytes.take(count.div_ceil(8)).ok()?);
        }
        while !bytes.0.is_empty() {
            let before = bytes.0.len();
            for image in &images {
                let present = (0..count).filter(|column| is_set(image, *column));
                let present: Vec<usize> = present.collect();
                let nulls = bytes.take(present.len().div_ceil(8)).ok()?;
                let mut values: Vec<Option<&[u8]>> = vec![None; wanted.len()];
                for (index, &column) in present.iter().enumerate() {
                    if is_set(nulls, index) {
                        continue;
                    }
                    let value = columns[column].value(&mut bytes).ok()?;
                    for (place, _) in wanted.iter().enumerate().filter(|(_, it)| **it == column) {
                        values[place] = Some(value);
                    }
                }
                let values: Option<Vec<&[u8]>> = values.into_iter().collect();
                take(&values?);
            }
            if bytes.0.len() == before {
                return None;
            }
        }
        Some(())
    }
}

/// The id of the table that rows are of.
pub(super) fn table_id(content: &[u8]) -> Result<u64, Malformed> {
    Bytes(content).number(6)
}

/// The columns that an image has.
fn present(columns: &[Column], bitmap: &[u8]) -> Vec<Column> {
    let indexed = columns.iter().enumerate();
    let present = indexed.filter(|(index, _)| is_set(bitmap, *index));
    present.map(|(_, column)| *column).collect()
}

fn is_set(bitmap: &[u8], index: usize) -> bool {
    let byte = bitmap.get(index / 8).copied().unwrap_or_default();
    byte & (1 << (index % 8)) != 0
}

impl Column {
    /// Reads the parameters of a column of that type.
    fn of(kind: u8, parameters: &mut Bytes<'_>) -> Option<Self> {
        let fractions = |digits: u8| usize::from(digits.div_ceil(2));
        Some(match kind {
            // TINYINT and YEAR, SMALLINT, MEDIUMINT, INT and the old TIMESTAMP, BIGINT and the
            // old DATETIME.
            1 | 13 => Self::Fixed(1),
            2 => Self::Fixed(2),
            9..=11 | 14 => Self::Fixed(3),
            3 | 7 => Self::Fixed(4),
            8 | 12 => Self::Fixed(8),
            // FLOAT and DOUBLE.
            4 | 5 => Self::Fixed(usize::from(parameters.byte()?)),
            // TIMESTAMP, DATETIME, TIME.
            17 => Self::Fixed(4 + fractions(parameters.byte()?)),
            18 => Self::Fixed(5 + fractions(parameters.byte()?)),
            19 => Self::Fixed(3 + fractions(parameters.byte()?)),
            // VARCHAR, also compressed.
            15 | 141 | 253 => {
                let most = parameters.number(2).ok()?;
                Self::Prefixed(if most > 255 { 2 } else { 1 })
            }
            // BIT: odd bits, whole bytes.
            16 => {
                let (bits, bytes) = (parameters.byte()?, parameters.byte()?);
                Self::Fixed(usize::from(bytes) + usize::from(bits > 0))
            }
            246 => Self::Fixed(decimal_length(parameters.byte()?, parameters.byte()?)),
            // BLOB and TEXT, also compressed; GEOMETRY.
            140 | 249..=252 | 255 => Self::Prefixed(usize::from(parameters.byte()?)),
            // CHAR, BINARY, ENUM, SET: the true type, and bits nine and ten of the length.
            254 => {
                let (kind, length) = (parameters.byte()?, usize::from(parameters.byte()?));
                match kind {
                    247 | 248 => Self::Fixed(length),
                    _ => {
                        let high = usize::from((kind & 0x30) ^ 0x30) << 4;
                        Self::Prefixed(if (high | length) > 255 { 2 } else { 1 })
                    }
                }
            }
            _ => return None,
        })
    }

    fn skip(self, bytes: &mut Bytes<'_>) -> Result<(), Malformed> {
        self.value(bytes).map(drop)
    }

    fn value<'a>(self, bytes: &mut Bytes<'a>) -> Result<&'a [u8], Malformed> {
        let length = match self {
            Self::Fixed(length) => length,
            Self::Prefixed(prefix) => usize::try_from(bytes.number(prefix)?).map_err(|_| SHORT)?,
        };
        bytes.take(length)
    }
}

/// Bytes of a DECIMAL: nine digits in four, what is left over in as many as it needs.
fn decimal_length(precision: u8, scale: u8) -> usize {
    const LEFT_OVER: [usize; 9] = [0, 1, 1, 2, 2, 3, 3, 4, 4];
    let part = |digits: u8| usize::from(digits / 9) * 4 + LEFT_OVER[usize::from(digits % 9)];
    part(precision.saturating_sub(scale)) + part(scale)
}

/// What was not read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).ok().map(|bytes| bytes[0])
    }

    /// A number of up to eight bytes, the lowest first.
    fn number(&mut self, length: usize) -> Result<u64, Malformed> {
        let bytes = self.take(length)?;
        let number = bytes.iter().rev().take(8);
        Ok(number.fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// A number that tells its own length.
    fn packed(&mut self) -> Result<usize, Malformed> {
        let length = match self.byte().ok_or(SHORT)? {
            small @ 0..=250 => return Ok(usize::from(small)),
            252 => 2,
            253 => 3,
            254 => 8,
            _ => return Err(SHORT),
        };
        usize::try_from(self.number(length)?).map_err(|_| SHORT)
    }

    /// A name with its length before it and a zero after it.
    fn name(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.byte().ok_or(SHORT)?;
        let name = self.take(usize::from(length))?;
        self.take(1)?;
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table 7, `shop.t`, with columns of those types.
    fn table(types: &[u8], parameters: &[u8]) -> Table {
        let mut content = vec![7, 0, 0, 0, 0, 0, 1, 0, 4];
        content.extend(b"shop\0\x01t\0");
        content.push(u8::try_from(types.len()).expect("few"));
        content.extend(types);
        content.push(u8::try_from(parameters.len()).expect("few"));
        content.extend(parameters);
        content.push(0);
        Table::parse(&content).expect("well formed")
    }

    /// Rows of two columns, all there.
    fn rows(images: u8, rows: &[u8]) -> Vec<u8> {
        let mut content = vec![7, 0, 0, 0, 0, 0, 1, 0, 2];
        content.extend(vec![3; usize::from(images)]);
        content.extend(rows);
        content
    }

    #[test]
    fn rows_are_told_apart_by_their_values() {
        let table = table(&[3, 15], &[200, 0]);
        assert_eq!((table.id, table.name.as_str()), (7, "t"));
        assert_eq!(table.database, b"shop");
        let one = [0, 1, 0, 0, 0, 2, b'a', b'b'];
        let without_text = [2, 1, 0, 0, 0];
        let all = [&one[..], &without_text, &one].concat();
        assert_eq!(table.count_rows(&rows(1, &all), false), Some(3));
        let change = [&one[..], &without_text].concat();
        assert_eq!(table.count_rows(&rows(2, &change), true), Some(1));
        assert_eq!(table.count_rows(&rows(1, &[]), false), Some(0));
        // What is cut off has no number.
        assert_eq!(table.count_rows(&rows(1, &one[..7]), false), None);
        assert_eq!(table.count_rows(&rows(2, &all), true), None);
    }

    #[test]
    fn a_type_that_is_not_known_leaves_the_number_open() {
        let table = table(&[3, 200], &[]);
        assert_eq!(table.name, "t");
        assert_eq!(table.count_rows(&rows(1, &[0, 1, 0, 0, 0, 0]), false), None);
    }

    #[test]
    fn decimals_take_what_their_digits_need() {
        for (precision, scale, length) in
            [(10, 2, 5), (65, 30, 30), (9, 0, 4), (18, 9, 8), (1, 1, 1)]
        {
            assert_eq!(
                decimal_length(precision, scale),
                length,
                "{precision},{scale}"
            );
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        for _ in 0..20_000 {
            let content: Vec<u8> = (0..random() % 80).map(|_| random()).collect();
            let _ = Table::parse(&content);
            let table = table(&[random(), random()], &content);
            let _ = table.count_rows(&rows(1, &content), false);
            let _ = table.count_rows(&content, true);
        }
    }
}
