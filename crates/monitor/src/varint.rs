//! Integers in as few bytes as they need: seven bits a byte, small negative ones as small ones.

use crate::error::Corrupt;

pub(crate) fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Takes values off the front of bytes.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Corrupt> {
        let (first, rest) = self.0.split_first().ok_or(Corrupt)?;
        self.0 = rest;
        Ok(*first)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Corrupt)
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, Corrupt> {
        let value = self.u64()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number that is at most `most`.
    pub(crate) fn count(&mut self, most: usize) -> Result<usize, Corrupt> {
        let count = usize::try_from(self.u64()?).map_err(|_| Corrupt)?;
        (count <= most).then_some(count).ok_or(Corrupt)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Corrupt)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn text(&mut self, most: usize) -> Result<&'a str, Corrupt> {
        let length = self.count(most)?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Corrupt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(values: Vec<i64>) {
            let mut bytes = Vec::new();
            values.iter().for_each(|value| put_i64(&mut bytes, *value));
            let mut reader = Reader(&bytes);
            for value in values {
                prop_assert_eq!(reader.i64(), Ok(value));
            }
            prop_assert!(reader.is_empty());
        }
    }

    #[test]
    fn what_has_no_end_is_no_number() {
        assert_eq!(Reader(&[0x80; 11]).u64(), Err(Corrupt));
        assert_eq!(Reader(&[0x80]).u64(), Err(Corrupt));
        assert_eq!(Reader(&[5]).count(4), Err(Corrupt));
    }
}
