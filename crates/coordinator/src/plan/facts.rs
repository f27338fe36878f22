//! What a plan depends on besides the statement and the catalogue.

use openpeta_sql_route::{Dialect, KeyValue};

/// What is known of a session when one of its statements is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The database that names without one are in.
    pub database: Option<String>,
    /// How the server reads the session's statements.
    pub dialect: Dialect,
    /// `sql_mode` has `PIPES_AS_CONCAT`.
    pub pipes_concat: bool,
    /// The session's `sql_mode`.
    pub sql_mode: String,
    /// A transaction is open.
    pub in_transaction: bool,
    /// It is one that may not write; where none is open, those of statements are.
    pub read_only: bool,
    /// `autocommit` is on.
    pub autocommit: bool,
    /// The session's isolation level: `REPEATABLE-READ`.
    pub isolation: String,
    /// The level of the transaction that is open or begins next, if `SET TRANSACTION` named one.
    pub isolation_of_transaction: Option<&'static str>,
    /// Statements come in UTF-8, as the values of distribution columns are.
    pub utf8: bool,
}

impl Facts {
    /// Of a session that has changed nothing, on a server of this version.
    #[must_use]
    pub fn new(server_version: u32) -> Self {
        Self {
            database: None,
            dialect: Dialect::new(server_version),
            pipes_concat: false,
            sql_mode: String::new(),
            in_transaction: false,
            read_only: false,
            autocommit: true,
            isolation: "REPEATABLE-READ".to_owned(),
            isolation_of_transaction: None,
            utf8: true,
        }
    }

    /// Whether the server stores and compares just this value when it stands in a statement.
    #[must_use]
    pub fn is_exact(&self, value: &KeyValue<'_>) -> bool {
        match value {
            KeyValue::Text(text) => self.utf8 || text.is_ascii(),
            KeyValue::Integer(_) => true,
            KeyValue::Parameter(_) => false,
        }
    }

    /// Whether a write locks the rows that it reads, so that none of them is another one on another node.
    #[must_use]
    pub fn locks_what_it_reads(&self) -> bool {
        let isolation = self.isolation_of_transaction.unwrap_or(&self.isolation);
        matches!(isolation, "REPEATABLE-READ" | "SERIALIZABLE")
    }

    /// Whether the mode has a word.
    #[must_use]
    pub fn has_mode(&self, word: &str) -> bool {
        self.sql_mode.split(',').any(|it| it == word)
    }
}

/// The isolation level that a `SET TRANSACTION` names, as the server's variable has it.
#[must_use]
pub fn isolation_in(set_transaction: &str) -> Option<&'static str> {
    let said = set_transaction.to_ascii_uppercase();
    let level = said.split_once("ISOLATION")?.1;
    let levels = [
        ("REPEATABLE", "REPEATABLE-READ"),
        ("SERIALIZABLE", "SERIALIZABLE"),
        ("UNCOMMITTED", "READ-UNCOMMITTED"),
        ("COMMITTED", "READ-COMMITTED"),
    ];
    let found = levels.iter().find(|(word, _)| level.contains(word))?;
    Some(found.1)
}
