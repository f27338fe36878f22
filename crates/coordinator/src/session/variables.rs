//! Variables of the session that branches must have as home has them.

use openpeta_sql_route::{Dialect, Encoding};

use crate::plan::Facts;

/// Session variables that change what a statement does or means.
const NAMES: [&str; 27] = [
    "character_set_client",
    "character_set_results",
    "collation_connection",
    "sql_mode",
    "time_zone",
    "foreign_key_checks",
    "unique_checks",
    "check_constraint_checks",
    "sql_safe_updates",
    "sql_select_limit",
    "sql_big_selects",
    "max_join_size",
    "max_statement_time",
    "lc_time_names",
    "lc_messages",
    "div_precision_increment",
    "default_week_format",
    "default_regex_flags",
    "group_concat_max_len",
    "innodb_lock_wait_timeout",
    "lock_wait_timeout",
    "tx_isolation",
    "explicit_defaults_for_timestamp",
    "sql_auto_is_null",
    "old_mode",
    "max_sort_length",
    "default_storage_engine",
];
/// Those that are numbers, which a quoted text cannot set.
const fn is_number(name: &str) -> bool {
    !matches!(
        name.as_bytes(),
        b"character_set_client"
            | b"character_set_results"
            | b"collation_connection"
            | b"sql_mode"
            | b"time_zone"
            | b"lc_time_names"
            | b"lc_messages"
            | b"default_regex_flags"
            | b"tx_isolation"
            | b"old_mode"
            | b"default_storage_engine"
    )
}

/// The variables of a session, and what else home says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    values: Vec<Option<String>>,
    /// The session's database.
    pub database: Option<String>,
    /// `autocommit`.
    pub autocommit: bool,
    /// `auto_increment_increment` and `auto_increment_offset`.
    pub increment: (u64, u64),
    /// `tx_read_only`.
    pub read_only: bool,
    /// `last_insert_id`.
    pub last_insert_id: u64,
    /// `timestamp`.
    pub timestamp: String,
}

impl Variables {
    /// What home is asked.
    #[must_use]
    pub fn question() -> String {
        let names: Vec<_> = NAMES.iter().map(|name| format!("@@{name}")).collect();
        format!(
            "SELECT DATABASE(), @@autocommit, @@auto_increment_increment, @@auto_increment_offset, \
             @@tx_read_only, @@last_insert_id, @@timestamp, {}",
            names.join(", ")
        )
    }

    /// Reads its answer.
    #[must_use]
    pub fn of_row(row: Vec<Option<Vec<u8>>>) -> Self {
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        let mut row = row.into_iter().map(|value| value.map(text));
        let database = row.next().flatten();
        let mut next = || row.next().flatten().unwrap_or_default();
        let (autocommit, increment, offset) = (next(), next(), next());
        let (read_only, last_insert_id, timestamp) = (next(), next(), next());
        let number = |text: &str| text.parse().unwrap_or(1);
        Self {
            database,
            autocommit: autocommit != "0",
            increment: (number(&increment), number(&offset)),
            read_only: read_only != "0",
            last_insert_id: last_insert_id.parse().unwrap_or(0),
            timestamp,
            values: row.collect(),
        }
    }

    /// The value of one of them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = NAMES.iter().position(|it| *it == name)?;
        self.values.get(at)?.as_deref()
    }

    /// What sets a branch, which has `before`, to these; `None` if nothing is to be done.
    #[must_use]
    pub fn change(&self, before: Option<&Self>) -> Option<String> {
        let mut parts = Vec::new();
        for (at, name) in NAMES.iter().enumerate() {
            let value = self.values.get(at).cloned().flatten();
            if before.is_some_and(|before| before.values.get(at).cloned().flatten() == value) {
                continue;
            }
            parts.push(match value {
                None => format!("{name}=NULL"),
                Some(value) if is_number(name) => format!("{name}={value}"),
                Some(value) => {
                    format!(
                        "{name}='{}'",
                        value.replace('\\', "\\\\").replace('\'', "''")
                    )
                }
            });
        }
        if before.is_none() {
            // A branch must not end while the session is idle.
            parts.push("wait_timeout=31536000".to_owned());
            parts.push("interactive_timeout=31536000".to_owned());
        }
        (!parts.is_empty()).then(|| format!("SET {}", parts.join(", ")))
    }

    /// Whether rows of a statement on a branch can be told from others by mistake.
    #[must_use]
    pub fn limits_selects(&self) -> bool {
        self.get("sql_select_limit")
            .is_some_and(|limit| limit != "18446744073709551615")
    }

    /// Puts what they say into facts.
    pub fn tell(&self, facts: &mut Facts) {
        let mode = self.get("sql_mode").unwrap_or_default();
        facts.sql_mode = mode.to_owned();
        facts.pipes_concat = facts.has_mode("PIPES_AS_CONCAT");
        facts.dialect = Dialect {
            server_version: facts.dialect.server_version,
            ansi_quotes: facts.has_mode("ANSI_QUOTES"),
            no_backslash_escapes: facts.has_mode("NO_BACKSLASH_ESCAPES"),
            encoding: encoding(self.get("character_set_client").unwrap_or_default()),
        };
        facts.database.clone_from(&self.database);
        facts.autocommit = self.autocommit;
        let charset = self.get("character_set_client").unwrap_or_default();
        facts.utf8 = matches!(charset, "utf8mb4" | "utf8mb3" | "utf8");
        facts.isolation = self.get("tx_isolation").unwrap_or_default().to_owned();
    }
}

fn encoding(charset: &str) -> Encoding {
    match charset {
        "gbk" => Encoding::Gbk,
        "big5" => Encoding::Big5,
        "sjis" | "cp932" => Encoding::Sjis,
        _ => Encoding::AsciiCompatible,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(mode: &str) -> Variables {
        let mut row: Vec<Option<Vec<u8>>> = vec![Some(b"shop".to_vec())];
        row.extend([b"1", b"1", b"1", b"0", b"0", b"1"].map(|value| Some(value.to_vec())));
        for name in NAMES {
            row.push(match name {
                "character_set_results" => None,
                "sql_mode" => Some(mode.as_bytes().to_vec()),
                _ if is_number(name) => Some(b"7".to_vec()),
                _ => Some(b"x'y".to_vec()),
            });
        }
        Variables::of_row(row)
    }

    #[test]
    fn only_what_differs_is_set() {
        let (old, new) = (variables("ANSI_QUOTES"), variables("PIPES_AS_CONCAT,X"));
        assert_eq!(new.change(Some(&new)), None);
        assert_eq!(
            new.change(Some(&old)).as_deref(),
            Some("SET sql_mode='PIPES_AS_CONCAT,X'")
        );
        let all = new.change(None).expect("all");
        assert!(all.contains("time_zone='x''y'"), "{all}");
        assert!(all.contains("character_set_results=NULL"), "{all}");
        assert!(all.contains("unique_checks=7"), "{all}");
        let mut facts = Facts::new(101_119);
        new.tell(&mut facts);
        assert!(facts.pipes_concat && facts.autocommit && !facts.dialect.ansi_quotes);
        assert_eq!(facts.database.as_deref(), Some("shop"));
    }
}
