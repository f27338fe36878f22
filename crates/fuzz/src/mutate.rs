//! Damage to bytes, from a seed.

/// Bytes at which parsers turn.
const SPECIAL: &[u8] = b"\0\x01\xfb\xfc\xfd\xfe\xff\x7f\x80'\"`\\;/*!-#%&=+{}[],.:@ \n\r";

/// A source of damaged bytes; its whole state is a number (SplitMix64).
pub struct Mutator(u64);

impl Mutator {
    /// One that begins with this number.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of the given, damaged.
    #[must_use]
    pub fn mutated(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.one_of(corpus);
        for _ in 0..=self.below(6) {
            self.damage(&mut bytes, corpus);
        }
        bytes
    }

    fn damage(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + 1 + self.below(12)).min(bytes.len());
        match self.below(8) {
            0 => bytes.insert(at, SPECIAL[self.below(SPECIAL.len())]),
            1 => bytes.insert(at, self.next() as u8),
            2 if at < bytes.len() => bytes[at] = SPECIAL[self.below(SPECIAL.len())],
            3 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            4 if at < bytes.len() => drop(bytes.drain(at..end)),
            5 if at < bytes.len() => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            6 => bytes.truncate(at),
            _ => {
                let other = self.one_of(corpus);
                let from = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }

    fn one_of(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        match corpus.len() {
            0 => Vec::new(),
            count => corpus[self.below(count)].clone(),
        }
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
