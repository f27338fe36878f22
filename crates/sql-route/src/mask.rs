//! Statements without the passwords in them, for logs.

use crate::{Dialect, Lexer, TokenKind};

/// What stands in the place of a string.
const MASK: &[u8] = b"'***'";
/// A statement in which a word, or a string, holds one of these is about passwords, as
/// `IDENTIFIED BY`, `SET PASSWORD`, `MASTER_PASSWORD`.
const MARKS: [&[u8]; 2] = [b"IDENTIFIED", b"PASSWORD"];

/// A statement with each string that may be a password made `'***'`: all strings of a statement
/// with a word about passwords outside of strings, and strings that hold such a word, for they may
/// be statements themselves. Comments about passwords go, too. A column of that name is enough:
/// rather is too much masked than too little.
#[must_use]
pub fn mask_passwords(text: &[u8], dialect: Dialect) -> Vec<u8> {
    if !is_about_passwords(text) {
        return text.to_vec();
    }
    let tokens = || Lexer::new(text, dialect);
    let all = tokens().any(|token| {
        let is_text = matches!(
            token.kind,
            TokenKind::String | TokenKind::Invalid | TokenKind::Comment
        );
        !is_text && is_about_passwords(token.text)
    });
    let mut masked = Vec::with_capacity(text.len());
    for token in tokens() {
        match token.kind {
            // `ANSI_QUOTES` may be another than believed.
            TokenKind::String | TokenKind::Invalid | TokenKind::Hex
                if all || is_about_passwords(token.text) =>
            {
                masked.extend_from_slice(MASK);
            }
            TokenKind::Comment if all || is_about_passwords(token.text) => {
                masked.push(b' ');
            }
            TokenKind::QuotedName if all && token.text[0] == b'"' => {
                masked.extend_from_slice(MASK);
            }
            _ => masked.extend_from_slice(token.text),
        }
    }
    masked
}

fn is_about_passwords(text: &[u8]) -> bool {
    MARKS.iter().any(|mark| {
        let mut windows = text.windows(mark.len());
        windows.any(|window| window.eq_ignore_ascii_case(mark))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let masked = mask_passwords(text.as_bytes(), Dialect::new(101_119));
        String::from_utf8(masked).expect("text")
    }

    #[test]
    fn passwords_are_masked_and_all_else_is_not() {
        for (text, expected) in [
            (
                "CREATE USER a IDENTIFIED BY 'secret'",
                "CREATE USER a IDENTIFIED BY '***'",
            ),
            (
                "create user 'a'@'%' identified by \"sec\"\"ret\"",
                "create user '***'@'%' identified by '***'",
            ),
            (
                "SET PASSWORD FOR a = PASSWORD('sec\\'ret')",
                "SET PASSWORD FOR a = PASSWORD('***')",
            ),
            (
                "CHANGE MASTER TO MASTER_PASSWORD='secret'",
                "CHANGE MASTER TO MASTER_PASSWORD='***'",
            ),
            (
                "ALTER USER a IDENTIFIED VIA x USING 'secret",
                "ALTER USER a IDENTIFIED VIA x USING '***'",
            ),
            (
                "EXECUTE IMMEDIATE 'SET PASSWORD = ''secret'''",
                "EXECUTE IMMEDIATE '***'",
            ),
            ("SELECT 'plain', 'my password'", "SELECT 'plain', '***'"),
            (
                "SELECT * FROM u WHERE password = 0x736563",
                "SELECT * FROM u WHERE password = '***'",
            ),
            ("/* password 'secret' */ SELECT 'a'", "  SELECT 'a'"),
            (
                "/*!50000 SET PASSWORD = 'secret' */",
                "/*!50000 SET PASSWORD = '***' */",
            ),
            ("SELECT 'a', \"b\" -- done", "SELECT 'a', \"b\" -- done"),
        ] {
            assert_eq!(masked(text), expected);
        }
    }
}
