//! Database accounts: names, passwords, descriptions.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::status::spelled;
use crate::{NameError, Secret};

spelled!(
    /// Kind of a database account.
    AccountType {
        /// Has the privileges it was granted, database by database.
        Normal = "Normal",
        /// Has all privileges on all databases of the instance and may grant them.
        Super = "Super",
    }
);

/// The name of a database account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(Box<str>);

impl AccountName {
    /// Checks the name of a new account: 2 to 10 characters, a lower-case letter, then
    /// lower-case letters, digits and underscores; no reserved keyword (API document 9.1).
    ///
    /// # Errors
    /// [`NameError`], with `reserved` set when only the keyword list stands against it.
    pub fn parse_new(text: &str) -> Result<Self, NameError> {
        let mut bytes = text.bytes();
        let valid = bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if RESERVED
            .binary_search(&text.to_ascii_lowercase().as_str())
            .is_ok()
        {
            return Err(NameError::reserved("AccountName"));
        }
        if valid && (2..=10).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::new("AccountName", "is malformed"))
        }
    }

    /// Checks a name used to look an account up: up to 16 characters, any leading letter
    /// (API document 9.2).
    ///
    /// # Errors
    /// [`NameError`] when no account can have that name.
    pub fn parse_lookup(text: &str) -> Result<Self, NameError> {
        let mut bytes = text.bytes();
        let valid = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if valid && text.len() <= 16 {
            Ok(Self(text.into()))
        } else {
            Err(NameError::new("AccountName", "is malformed"))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AccountName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse_lookup(&text)
    }
}

impl From<AccountName> for String {
    fn from(name: AccountName) -> String {
        name.0.into()
    }
}

/// A password that satisfies the rule of CreateAccount. Never stored, never printed.
#[derive(Clone, Debug)]
pub struct Password(Secret);

impl Password {
    /// Checks a password: 8 to 32 characters out of letters, digits and `!@#$%^&*()_+-=`,
    /// at least three of the four classes upper case, lower case, digit, special.
    ///
    /// # Errors
    /// [`NameError`] that says which half of the rule is broken, without the password.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const SPECIAL: &[u8] = b"!@#$%^&*()_+-=";
        let has = |class: fn(&u8) -> bool| usize::from(text.as_bytes().iter().any(class));
        let allowed = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || SPECIAL.contains(&b));
        if !allowed || !(8..=32).contains(&text.len()) {
            return Err(NameError::new(
                "AccountPassword",
                "must be 8 to 32 letters, digits and characters of !@#$%^&*()_+-=",
            ));
        }
        let classes = has(u8::is_ascii_uppercase)
            + has(u8::is_ascii_lowercase)
            + has(u8::is_ascii_digit)
            + has(|b| SPECIAL.contains(b));
        if classes < 3 {
            return Err(NameError::new(
                "AccountPassword",
                "must have three of upper case, lower case, digit, special character",
            ));
        }
        Ok(Self(Secret::new(text)))
    }

    /// The clear password, for deriving verifiers.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// A remark on an account: 2 to 256 characters; first a letter or a Chinese character, then
/// also digits, `_` and `-`; not an URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountDescription(Box<str>);

impl AccountDescription {
    /// Checks a remark (API document 9.1).
    ///
    /// # Errors
    /// [`NameError`] when the rule is broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let letter = |c: char| c.is_ascii_alphabetic() || is_chinese(c);
        let mut characters = text.chars();
        let first = characters.next().is_some_and(letter);
        let rest = characters.all(|c| letter(c) || c.is_ascii_digit() || c == '_' || c == '-');
        // "http://" cannot pass: neither colon nor slash is allowed.
        if first && rest && (2..=256).contains(&text.chars().count()) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::new("AccountDescription", "is malformed"))
        }
    }

    /// The remark as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a character is an ideograph of the CJK blocks.
const fn is_chinese(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

/// Reserved for accounts (appendix of the API document) and names of system accounts;
/// sorted, lower case.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "admin", "all", "alter", "and", "as", "asensitive", "aurora", "before", "bigint", "binary",
    "both", "by", "cascade", "case", "char", "character", "collate", "column", "connection",
    "constraint", "convert", "create", "current_date", "current_time", "current_timestamp",
    "current_user", "cursor", "database", "databases", "day_hour", "day_microsecond",
    "day_minute", "day_second", "dec", "decimal", "declare", "default", "delayed", "delete",
    "desc", "describe", "deterministic", "distinct", "distinctrow", "div", "double", "drop",
    "dual", "each", "eagleye", "else", "elseif", "enclosed", "escaped", "exists", "exit",
    "explain", "false", "fetch", "float", "float4", "float8", "for", "force", "foreign", "from",
    "fulltext", "goto", "grant", "group", "having", "high_priority", "hour_microsecond",
    "hour_minute", "hour_second", "if", "ignore", "in", "index", "infile", "inner", "inout",
    "insensitive", "insert", "int", "int1", "int2", "int3", "int4", "int8", "integer", "interval",
    "into", "is", "iterate", "join", "key", "keys", "kill", "label", "leading", "leave", "left",
    "like", "limit", "linear", "lines", "load", "localtime", "localtimestamp", "lock", "long",
    "longblob", "longtext", "loop", "low_priority", "match", "mediumblob", "mediumint",
    "mediumtext", "middleint", "minute_microsecond", "minute_second", "mod", "modifies", "mysql",
    "natural", "no_write_to_binlog", "not", "null", "numeric", "on", "openpeta", "openpeta_admin",
    "optimize", "option", "optionally", "or", "order", "out", "outer", "outfile", "precision",
    "primary", "procedure", "purge", "raid0", "range", "read", "reads", "real", "references",
    "regexp", "release", "rename", "repeat", "replace", "replicator", "require", "restrict",
    "return", "revoke", "right", "rlike", "root", "schema", "schemas", "second_microsecond",
    "select", "sensitive", "separator", "set", "show", "smallint", "spatial", "specific", "sql",
    "sql_big_result", "sql_calc_found_rows", "sql_small_result", "sqlexception", "sqlstate",
    "sqlwarning", "ssl", "starting", "straight_join", "table", "terminated", "then", "tinyblob",
    "tinyint", "tinytext", "to", "trailing", "trigger", "true", "undo", "union", "unique",
    "unlock", "unsigned", "update", "usage", "use", "using", "utc_date", "utc_time",
    "utc_timestamp", "values", "varbinary", "varchar", "varcharacter", "varying", "when", "where",
    "while", "with", "write", "x509", "xor", "xtrabak", "year_month", "zerofill",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_list_is_sorted() {
        assert!(RESERVED.is_sorted());
    }

    #[test]
    fn new_names_are_stricter_than_looked_up_ones() {
        for good in ["ab", "a1", "wang_100", "abcdefghij"] {
            assert!(AccountName::parse_new(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "1a", "Ab", "a-b", "abcdefghijk", "a%b", "名字"] {
            assert!(AccountName::parse_new(bad).is_err(), "{bad}");
        }
        assert!(AccountName::parse_lookup("Abcdefghijklmnop").is_ok());
        assert!(AccountName::parse_lookup("abcdefghijklmnopq").is_err());
    }

    #[test]
    fn keywords_and_system_accounts_are_reserved() {
        for word in [
            "select",
            "SELECT",
            "root",
            "aurora",
            "openpeta_admin",
            "x509",
        ] {
            assert!(
                AccountName::parse_new(word).expect_err(word).reserved,
                "{word}"
            );
        }
    }

    #[test]
    fn passwords_need_three_classes() {
        for good in [
            "Passw0rd",
            "passw0rd!",
            "PASSW0RD!",
            "Aa!aaaaa",
            &"aA1".repeat(10),
        ] {
            assert!(Password::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "Pw0!",
            "password1",
            "PASSWORD!",
            "Passw0rd ",
            "Passw0rd中",
            "Passw0rd~",
            &"aA1".repeat(11),
        ] {
            assert!(Password::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn descriptions_follow_the_rule() {
        for good in ["ab", "测试账号", "a-1_b"] {
            assert!(AccountDescription::parse(good).is_ok(), "{good}");
        }
        for bad in ["a", "1a", "_a", "http://a", "a b", &"a".repeat(257)] {
            assert!(AccountDescription::parse(bad).is_err(), "{bad}");
        }
    }
}
