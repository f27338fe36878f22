//! Strings as a collation compares them.

use std::borrow::Cow;
use std::sync::LazyLock;

/// How a collation makes strings alike before it compares them.
///
/// Only collations whose rules are known here to the last character can be those of a
/// distribution column: a row in the wrong partition would not be found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folding {
    /// Byte by byte.
    Binary {
        /// Whether spaces at the end do not count.
        pads: bool,
    },
    /// Character by character of UTF-8, without regard to case and accents: `utf8mb4_general_ci`
    /// and its likes.
    GeneralCi {
        /// Whether spaces at the end do not count.
        pads: bool,
    },
}

/// What `general_ci` has instead of characters that do not fit into two bytes, all of which it
/// takes for equal.
const REPLACEMENT: u16 = 0xfffd;

impl Folding {
    /// Of the collation with that number; `None` for those that are not known here.
    ///
    /// `binary`, `utf8mb4_bin`, `utf8mb3_bin`, `latin1_bin`, `ascii_bin`, `utf8mb4_general_ci`, `utf8mb3_general_ci`, and those of them that
    /// do not pad.
    #[must_use]
    pub const fn of_collation(collation: u16) -> Option<Self> {
        // Collations without padding have the numbers of the others and 1024.
        let pads = collation < 1024;
        match collation & 1023 {
            63 => Some(Self::Binary { pads: false }),
            46 | 47 | 65 | 83 => Some(Self::Binary { pads }),
            33 | 45 => Some(Self::GeneralCi { pads }),
            _ => None,
        }
    }

    /// What is equal for strings that the collation takes for equal: the string itself, or what
    /// `WEIGHT_STRING` gives of it, without what pads. Bytes that are no UTF-8 cannot be in a column of that character set; the
    /// rest of the string is left out from them on.
    #[must_use]
    pub fn fold(self, text: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Binary { pads } => Cow::Borrowed(without_padding(text, pads)),
            Self::GeneralCi { pads } => Cow::Owned(general_ci(without_padding(text, pads))),
        }
    }
}

fn without_padding(text: &[u8], pads: bool) -> &[u8] {
    let end = text.iter().rposition(|&byte| !pads || byte != b' ');
    &text[..end.map_or(0, |last| last + 1)]
}

fn general_ci(text: &[u8]) -> Vec<u8> {
    let valid = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let weights = valid.chars().map(|character| {
        let code = u16::try_from(u32::from(character)).unwrap_or(REPLACEMENT);
        match WEIGHTS.binary_search_by_key(&code, |&(code, _)| code) {
            Ok(at) => WEIGHTS[at].1,
            Err(_) => code,
        }
    });
    weights.flat_map(u16::to_be_bytes).collect()
}

/// Characters that are taken for another one, and which, in their order.
static WEIGHTS: LazyLock<Vec<(u16, u16)>> = LazyLock::new(|| {
    let lines = include_str!("general_ci.txt").lines();
    let number = |text: &str| u16::from_str_radix(text, 16).expect("a number of the table");
    lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(' ').expect("two numbers"))
        .map(|(code, weight)| (number(code), number(weight)))
        .collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(WEIGHTS.is_sorted_by(|one, other| one.0 < other.0));
        assert_eq!(WEIGHTS.len(), 1108);
    }

    #[test]
    fn weights_are_those_that_the_server_tells() {
        let folded = |text: &str| {
            Folding::GeneralCi { pads: true }
                .fold(text.as_bytes())
                .into_owned()
        };
        assert_eq!(folded("a  "), [0, 0x41]);
        assert_eq!(folded("ß"), [0, 0x53]);
        assert_eq!(folded("😁"), [0xff, 0xfd]);
        assert_eq!(folded("   "), []);
        assert_eq!(
            Folding::GeneralCi { pads: false }.fold(b"a "),
            [0, 0x41, 0, 0x20].as_slice()
        );
    }

    #[test]
    fn collations_are_known_by_their_numbers() {
        for (collation, folding) in [
            (45, Some(Folding::GeneralCi { pads: true })),
            (1069, Some(Folding::GeneralCi { pads: false })),
            (1070, Some(Folding::Binary { pads: false })),
            (46, Some(Folding::Binary { pads: true })),
            (63, Some(Folding::Binary { pads: false })),
            (224, None),
            (8, None),
        ] {
            assert_eq!(Folding::of_collation(collation), folding, "{collation}");
        }
    }
}
