//! Integers and strings as the protocol writes them.

use crate::WireError;

/// Reads a payload from front to back; every step checks the bounds.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the next `len` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] if there are fewer.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// Takes the next `N` bytes as an array.
    ///
    /// # Errors
    /// [`WireError::Truncated`] if there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// [`WireError::Truncated`] at the end.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Takes a little-endian 16-bit integer.
    ///
    /// # Errors
    /// [`WireError::Truncated`] if there are fewer bytes.
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Takes a little-endian 32-bit integer.
    ///
    /// # Errors
    /// [`WireError::Truncated`] if there are fewer bytes.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Takes a length-encoded integer.
    ///
    /// # Errors
    /// [`WireError::Truncated`] if bytes are missing, [`WireError::Malformed`] if the first byte
    /// (0xFB, 0xFF) begins none.
    pub fn lenenc_int(&mut self) -> Result<u64, WireError> {
        match self.u8()? {
            0xFC => self.u16().map(u64::from),
            0xFD => self
                .array()
                .map(|[a, b, c]| u64::from(u32::from_le_bytes([a, b, c, 0]))),
            0xFE => self.array().map(u64::from_le_bytes),
            0xFB | 0xFF => Err(WireError::Malformed("length-encoded integer")),
            byte => Ok(u64::from(byte)),
        }
    }

    /// Takes a string that follows its length-encoded length.
    ///
    /// # Errors
    /// As [`lenenc_int`](Self::lenenc_int); [`WireError::Truncated`] if the string is cut short.
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.lenenc_int()?;
        self.bytes(usize::try_from(len).map_err(|_| WireError::Truncated)?)
    }

    /// Takes a string up to its NUL, which is read but not returned.
    ///
    /// # Errors
    /// [`WireError::Truncated`] if there is no NUL.
    pub fn nul_bytes(&mut self) -> Result<&'a [u8], WireError> {
        let len = self
            .rest
            .iter()
            .position(|&byte| byte == 0)
            .ok_or(WireError::Truncated)?;
        let text = self.bytes(len)?;
        self.rest = &self.rest[1..];
        Ok(text)
    }

    /// Takes a string up to its NUL, or all that is left: some clients leave out the last NUL.
    pub fn nul_or_rest(&mut self) -> &'a [u8] {
        self.nul_bytes().unwrap_or_else(|_| self.rest())
    }

    /// Takes all that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}

/// Appends a length-encoded integer.
pub fn put_lenenc_int(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    match value {
        0..=0xFA => out.push(bytes[0]),
        0xFB..=0xFFFF => {
            out.push(0xFC);
            out.extend_from_slice(&bytes[..2]);
        }
        0x1_0000..=0xFF_FFFF => {
            out.push(0xFD);
            out.extend_from_slice(&bytes[..3]);
        }
        _ => {
            out.push(0xFE);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Appends a string after its length-encoded length.
pub fn put_lenenc_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_lenenc_int(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a string and a NUL. The string must not hold a NUL itself.
pub fn put_nul_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    debug_assert!(!bytes.contains(&0));
    out.extend_from_slice(bytes);
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lenenc_integers_at_their_borders() {
        for (value, encoded) in [
            (0, vec![0]),
            (250, vec![250]),
            (251, vec![0xFC, 251, 0]),
            (0xFFFF, vec![0xFC, 0xFF, 0xFF]),
            (0x1_0000, vec![0xFD, 0, 0, 1]),
            (0x100_0000, vec![0xFE, 0, 0, 0, 1, 0, 0, 0, 0]),
            (u64::MAX, vec![0xFE, 255, 255, 255, 255, 255, 255, 255, 255]),
        ] {
            let mut out = Vec::new();
            put_lenenc_int(&mut out, value);
            assert_eq!(out, encoded);
            assert_eq!(Reader::new(&out).lenenc_int(), Ok(value));
        }
    }

    #[test]
    fn a_claimed_length_beyond_the_end_is_truncation() {
        let mut reader = Reader::new(&[0xFE, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
        assert_eq!(reader.lenenc_bytes(), Err(WireError::Truncated));
        assert_eq!(
            Reader::new(&[0xFB]).lenenc_int(),
            Err(WireError::Malformed("length-encoded integer"))
        );
    }

    #[test]
    fn strings_with_and_without_a_nul() {
        let mut reader = Reader::new(b"ab\0cd");
        assert_eq!(reader.nul_bytes(), Ok(&b"ab"[..]));
        assert_eq!(reader.nul_bytes(), Err(WireError::Truncated));
        assert_eq!(reader.nul_or_rest(), b"cd");
        assert!(reader.is_empty());
    }
}
