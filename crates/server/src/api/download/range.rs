//! The header `Range` (RFC 9110, 14), as far as a download needs it: one range of bytes.

use std::ops::Range;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything; also when the header is not understood, for then it does not count.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that are not there.
    Nothing,
}

impl Wanted {
    /// What a header asks for of so many bytes.
    pub(super) fn of(header: Option<&str>, total: u64) -> Self {
        header
            .and_then(|text| Self::parse(text, total))
            .unwrap_or(Self::Whole)
    }

    fn parse(text: &str, total: u64) -> Option<Self> {
        let (first, last) = text.strip_prefix("bytes=")?.trim().split_once('-')?;
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // More digits than a number has mean more than there can be.
            is_number.then(|| text.parse().unwrap_or(u64::MAX))
        };
        let range = match (first, last) {
            ("", last) => total.saturating_sub(number(last)?)..total,
            (first, "") => number(first)?..total,
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return None;
                }
                first..last.saturating_add(1).min(total)
            }
        };
        Some(match range.start < range.end {
            true => Self::Part(range),
            false => Self::Nothing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood_and_anything_else_does_not_count() {
        use Wanted::{Nothing, Part, Whole};
        for (header, wanted) in [
            ("bytes=0-", Part(0..100)),
            ("bytes=40-", Part(40..100)),
            ("bytes=40-49", Part(40..50)),
            ("bytes=40-40", Part(40..41)),
            ("bytes=90-200", Part(90..100)),
            ("bytes=-10", Part(90..100)),
            ("bytes=-200", Part(0..100)),
            ("bytes=0-99999999999999999999999", Part(0..100)),
            ("bytes=100-", Nothing),
            ("bytes=100-200", Nothing),
            ("bytes=-0", Nothing),
            ("bytes=5-4", Whole),
            ("bytes=1-2,4-5", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("lines=1-2", Whole),
            ("", Whole),
        ] {
            assert_eq!(Wanted::of(Some(header), 100), wanted, "{header}");
        }
        assert_eq!(Wanted::of(None, 100), Whole);
    }
}
