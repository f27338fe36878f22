//! Which partition of a sharded table a row belongs to, by the value of its distribution column.
//!
//! Values that the server takes for equal go to the same partition: that is all that routing
//! needs. What is computed here SQL can compute too, so that rows can be told apart on a node:
//! `ABS(k MOD p)` of integers, and of strings `CRC32(t) MOD p` where the collation is binary and
//! `CRC32(WEIGHT_STRING(t)) MOD p` where it is not, with `TRIM(TRAILING ' ' FROM k)` for `t` if the
//! collation pads and `k` if it does not.

mod folding;

use std::num::NonZeroU16;

pub use folding::Folding;

/// Partitions that a database gets for each of its nodes when it is made.
pub const PARTITIONS_PER_NODE: u16 = 8;

/// The partitions of a database, numbered from 0. Their number stays when nodes are added:
/// partitions move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partitions(NonZeroU16);

impl Partitions {
    /// So many of them.
    #[must_use]
    pub const fn new(count: NonZeroU16) -> Self {
        Self(count)
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.0.get()
    }

    /// The partition of an integer. `BIGINT` and `BIGINT UNSIGNED` both fit.
    #[must_use]
    pub fn of_integer(self, value: i128) -> u16 {
        let remainder = (value % i128::from(self.count())).unsigned_abs();
        remainder.try_into().expect("less than the count")
    }

    /// SQL that gives the partition of an integer in a column, whose name is quoted.
    #[must_use]
    pub fn integer_sql(self, column: &str) -> String {
        format!("ABS({column} MOD {})", self.count())
    }

    /// SQL that gives the partition of a string in a column, whose name is quoted.
    #[must_use]
    pub fn text_sql(self, column: &str, folding: Folding) -> String {
        let trimmed = |pads| match pads {
            true => format!("TRIM(TRAILING ' ' FROM {column})"),
            false => column.to_owned(),
        };
        let hashed = match folding {
            Folding::Binary { pads } => trimmed(pads),
            Folding::GeneralCi { pads } => format!("WEIGHT_STRING({})", trimmed(pads)),
        };
        format!("CRC32({hashed}) MOD {}", self.count())
    }

    /// The partition of a string in the column's character set.
    #[must_use]
    pub fn of_text(self, text: &[u8], folding: Folding) -> u16 {
        let hash = crc32fast::hash(&folding.fold(text));
        let remainder = hash % u32::from(self.count());
        remainder.try_into().expect("less than the count")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partitions(count: u16) -> Partitions {
        Partitions::new(NonZeroU16::new(count).expect("not 0"))
    }

    #[test]
    fn integers_go_by_the_absolute_value_of_the_remainder() {
        let sixteen = partitions(16);
        let found = [
            0,
            1,
            15,
            16,
            -1,
            -17,
            i128::from(i64::MIN),
            i128::from(u64::MAX),
        ]
        .map(|value| sixteen.of_integer(value));
        assert_eq!(found, [0, 1, 15, 0, 1, 1, 0, 15]);
    }

    #[test]
    fn strings_that_are_equal_go_together() {
        let many = partitions(1024);
        let general = Folding::GeneralCi { pads: true };
        for same in ["straSe", "STRASE", "straße", "strasé  "] {
            assert_eq!(
                many.of_text(same.as_bytes(), general),
                many.of_text(b"strase", general),
                "{same}"
            );
        }
        let binary = Folding::Binary { pads: false };
        assert_ne!(many.of_text(b"a", binary), many.of_text(b"a ", binary));
        assert_ne!(many.of_text(b"a", binary), many.of_text(b"A", binary));
        assert_eq!(
            many.of_text(b"a", Folding::Binary { pads: true }),
            many.of_text(b"a  ", Folding::Binary { pads: true })
        );
    }

    proptest! {
        #[test]
        fn every_value_has_a_partition(
            count in 1..=u16::MAX,
            value in any::<i128>(),
            text in proptest::collection::vec(any::<u8>(), 0..40),
            pads in any::<bool>(),
        ) {
            let partitions = partitions(count);
            prop_assert!(partitions.of_integer(value) < count);
            for folding in [Folding::Binary { pads }, Folding::GeneralCi { pads }] {
                prop_assert!(partitions.of_text(&text, folding) < count);
            }
        }
    }
}
