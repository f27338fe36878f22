//! What a server's version and collations are to the lexer.

use openpeta_sql_route::Encoding;

/// The number that executable comments would give a server's version by.
pub(super) fn version_number(version: &[u8]) -> u32 {
    let version = version.strip_prefix(b"5.5.5-").unwrap_or(version);
    let mut parts = version.split(|byte| !byte.is_ascii_digit()).map(|digits| {
        let value = |number: u32, digit: &u8| {
            number
                .saturating_mul(10)
                .saturating_add(u32::from(digit - b'0'))
        };
        digits.iter().fold(0, value).min(99)
    });
    let mut next = || parts.next().unwrap_or(0);
    next() * 10_000 + next() * 100 + next()
}

/// The encoding of a collation's characters, as far as it matters to the lexer.
pub(super) const fn encoding(collation: u16) -> Encoding {
    Encoding::of_collation(collation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_executable_comments_give_them() {
        assert_eq!(version_number(b"5.5.5-10.11.19-MariaDB-log"), 101_119);
        assert_eq!(version_number(b"11.4.2-MariaDB"), 110_402);
        assert_eq!(version_number(b"8.0.36"), 80_036);
        assert_eq!(version_number(b"odd"), 0);
    }
}
