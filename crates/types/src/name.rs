//! Names that users choose, and the error for a name that breaks its rule.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that breaks the rule of its type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{parameter} {reason}")]
pub struct NameError {
    /// The API parameter that carries such a value.
    pub parameter: &'static str,
    /// What is wrong with it; never holds the value itself, which may be a secret.
    pub reason: &'static str,
    /// The name is well formed but reserved.
    pub reserved: bool,
}

impl NameError {
    /// A malformed value of `parameter`.
    #[must_use]
    pub const fn new(parameter: &'static str, reason: &'static str) -> Self {
        Self {
            parameter,
            reason,
            reserved: false,
        }
    }

    /// A well-formed value that is a reserved keyword.
    #[must_use]
    pub const fn reserved(parameter: &'static str) -> Self {
        Self {
            parameter,
            reason: "is a reserved keyword",
            reserved: true,
        }
    }
}

/// A database of an instance: a lower-case letter, then up to 63 lower-case letters,
/// digits and underscores; no reserved keyword.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DbName(Box<str>);

/// Reserved for databases (appendix of the API document), compared without case.
const RESERVED: [&str; 24] = [
    "admin",
    "aurora",
    "replicator",
    "xtrabak",
    "root",
    "mysql",
    "test",
    "eagleye",
    "information_schema",
    "guest",
    "add",
    "analyze",
    "asc",
    "between",
    "blob",
    "call",
    "change",
    "check",
    "condition",
    "continue",
    "cross",
    // Schemas of the engine that the document's list lacks.
    "performance_schema",
    "sys",
    "openpeta",
];

impl DbName {
    /// Checks a database name.
    ///
    /// # Errors
    /// [`NameError`], with `reserved` set when only the keyword list stands against it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let mut bytes = text.bytes();
        let valid = text.len() <= 64
            && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if RESERVED.iter().any(|word| word.eq_ignore_ascii_case(text)) {
            return Err(NameError::reserved("DBName"));
        }
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(NameError::new("DBName", "is malformed"))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DbName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DbName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<DbName> for String {
    fn from(name: DbName) -> String {
        name.0.into()
    }
}

/// A table of a database: 1 to 64 characters out of the Basic Multilingual Plane, no NUL, no white
/// space at its end. Case matters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName(Box<str>);

impl TableName {
    /// Checks a table's name by MariaDB's rules for names in quotes.
    ///
    /// # Errors
    /// [`NameError`] when no table can have that name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let is_allowed = |character| matches!(character, '\u{1}'..='\u{ffff}');
        let valid = (1..=64).contains(&text.chars().count())
            && text.chars().all(is_allowed)
            && !text.ends_with(|character: char| character.is_ascii_whitespace());
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(NameError::new("TableName", "is malformed"))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TableName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> String {
        name.0.into()
    }
}

/// Declares a text that users choose freely: its documentation, the longest length in
/// characters and the parameter named in errors.
macro_rules! free_text {
    ($(#[$doc:meta])* $name:ident, $longest:literal, $parameter:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks such a text.
            ///
            /// # Errors
            /// [`NameError`] when it is empty, too long, or has control characters.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let length = text.chars().count();
                if !(1..=$longest).contains(&length) || text.chars().any(char::is_control) {
                    return Err(NameError::new($parameter, "is malformed"));
                }
                Ok(Self(text.into()))
            }

            /// It as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.into()
            }
        }
    };
}

free_text!(
    /// The display name of an instance: at most 256 characters of any kind but controls.
    InstanceName, 256, "InstanceName"
);
free_text!(
    /// The part of a company that an instance belongs to: at most 64 characters of any kind
    /// but controls.
    BusinessUnit, 64, "BusinessUnit"
);

/// The first label of a public endpoint's name: 1 to 63 letters, digits and hyphens, no hyphen
/// at either end. Kept in lower case, since host names are compared without case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConnectionPrefix(Box<str>);

impl ConnectionPrefix {
    /// Checks a label.
    ///
    /// # Errors
    /// [`NameError`] when the text is no label of a host name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let valid = (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if valid {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(NameError::new(
                "ConnectionStringPrefix",
                "is no label of a host name",
            ))
        }
    }

    /// The label as text, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ConnectionPrefix {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<ConnectionPrefix> for String {
    fn from(prefix: ConnectionPrefix) -> String {
        prefix.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_names_follow_the_rule() {
        for good in ["a", "adb", "testdb_01", "wang_100", &"a".repeat(64)] {
            assert!(DbName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "1a",
            "_a",
            "Abc",
            "a-b",
            "a b",
            "a`b",
            "数据",
            &"a".repeat(65),
        ] {
            let error = DbName::parse(bad).expect_err(bad);
            assert!(!error.reserved, "{bad}");
        }
    }

    #[test]
    fn reserved_database_names_are_told_apart_and_compared_without_case() {
        for word in [
            "mysql",
            "MySQL",
            "test",
            "cross",
            "INFORMATION_SCHEMA",
            "sys",
        ] {
            assert!(DbName::parse(word).expect_err(word).reserved, "{word}");
        }
    }

    #[test]
    fn table_names_are_what_mariadb_takes_in_quotes() {
        for good in [
            "t",
            "My Table",
            "a`b",
            "a.b",
            "表",
            " a",
            "1",
            &"é".repeat(64),
        ] {
            assert!(TableName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a ", "a\0b", "😀", &"a".repeat(65)] {
            assert!(TableName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn instance_names_count_characters_not_bytes() {
        assert!(InstanceName::parse(&"库".repeat(256)).is_ok());
        assert!(InstanceName::parse(&"库".repeat(257)).is_err());
        assert!(InstanceName::parse("a\nb").is_err());
    }

    #[test]
    fn prefixes_are_labels_of_host_names_without_case() {
        for good in ["a", "Shop-1", "9to5", &"a".repeat(63)] {
            let prefix = ConnectionPrefix::parse(good).expect(good);
            assert_eq!(prefix.as_str(), good.to_ascii_lowercase());
        }
        for bad in ["", "-a", "a-", "a.b", "a_b", "a b", "店", &"a".repeat(64)] {
            assert!(ConnectionPrefix::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn business_units_are_short_texts() {
        assert!(BusinessUnit::parse(&"部".repeat(64)).is_ok());
        for bad in ["", "a\nb", &"a".repeat(65)] {
            assert!(BusinessUnit::parse(bad).is_err(), "{bad}");
        }
    }
}
