//! Quoting for SQL text, so that no name or value can end its own quotes.

use std::fmt::Write;

/// An identifier between backticks; a backtick inside is doubled.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A string literal as hexadecimal digits with the utf8mb4 introducer.
///
/// Unlike a quoted literal it means the same under every `sql_mode` and character set.
#[must_use]
pub fn string(value: &str) -> String {
    if value.is_empty() {
        return "''".to_owned();
    }
    let mut literal = String::with_capacity(value.len() * 2 + 12);
    literal.push_str("_utf8mb4 X'");
    for byte in value.bytes() {
        // Writing to a String cannot fail.
        let _ = write!(literal, "{byte:02X}");
    }
    literal.push('\'');
    literal
}

/// An account for GRANT and its kin: `` `name`@`host` ``.
#[must_use]
pub fn account(name: &str, host: &str) -> String {
    format!("{}@{}", identifier(name), identifier(host))
}

/// A database name as a grant pattern that matches this database alone: `_`, `%` and the
/// escape character itself are escaped.
#[must_use]
pub fn grant_pattern(database: &str) -> String {
    let mut pattern = String::with_capacity(database.len() + 4);
    for character in database.chars() {
        if matches!(character, '_' | '%' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// The database that a grant pattern made by [`grant_pattern`] means, or `None` when the
/// pattern has wildcards and may match several.
#[must_use]
pub fn pattern_database(pattern: &str) -> Option<String> {
    let mut name = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => name.push(characters.next().unwrap_or('\\')),
            '_' | '%' => return None,
            other => name.push(other),
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_cannot_be_left() {
        assert_eq!(identifier("adb"), "`adb`");
        assert_eq!(
            identifier("a`; DROP DATABASE x; --"),
            "`a``; DROP DATABASE x; --`"
        );
    }

    #[test]
    fn strings_are_plain_digits() {
        assert_eq!(string(""), "''");
        assert_eq!(string("a'\\"), "_utf8mb4 X'61275C'");
        let hostile = string("x' OR 1=1 -- \u{1F600}\0\n");
        assert_eq!(hostile.matches('\'').count(), 2);
    }

    #[test]
    fn patterns_match_one_database() {
        assert_eq!(grant_pattern("a_b%c\\d"), "a\\_b\\%c\\\\d");
        for name in ["adb", "a_b", "__", "a%", "back\\slash"] {
            assert_eq!(
                pattern_database(&grant_pattern(name)).as_deref(),
                Some(name)
            );
        }
        assert_eq!(pattern_database("%"), None);
        assert_eq!(pattern_database("mysq_"), None);
    }
}
