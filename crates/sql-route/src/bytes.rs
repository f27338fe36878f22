//! Definitions that a server shows, as text.

use crate::{Dialect, Lexer, TokenKind};

/// A definition that a server has shown, with strings that are not UTF-8, such as defaults of `VARBINARY`,
/// as hexadecimal numbers: so a server takes them for the same bytes, whatever its character sets.
#[must_use]
pub fn with_bytes_as_numbers(shown: &[u8]) -> String {
    let dialect = Dialect::new(101_100);
    let mut text = String::new();
    for token in Lexer::new(shown, dialect) {
        let is_text = std::str::from_utf8(token.text).is_ok();
        match token.string(&dialect) {
            Some(bytes) if token.kind == TokenKind::String && !is_text => {
                let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                text.push_str(&format!("X'{}'", digits.concat()));
            }
            _ => text.push_str(&String::from_utf8_lossy(token.text)),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_become_numbers() {
        let shown = b"`b` varbinary(9) DEFAULT '\\0\xFF\\\\''', `c` char(3) DEFAULT '\xC3\xA9\\0'";
        assert_eq!(
            with_bytes_as_numbers(shown),
            "`b` varbinary(9) DEFAULT X'00FF5C27', `c` char(3) DEFAULT 'é\\0'"
        );
    }
}
