//! What in a statement has another meaning on a node than at home, where the session is.

use openpeta_sql_route::TokenKind;

use super::text::Tokens;
use crate::Refusal;

/// What must be carried to a node before a statement runs there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// User variables, as they are written.
    pub variables: Vec<Vec<u8>>,
    /// `LAST_INSERT_ID()`.
    pub last_insert_id: bool,
    /// It may give another result each time it is asked for.
    pub random: bool,
    /// Times in it are those of UTC.
    pub utc: bool,
    /// Rows that constraints keep out are skipped.
    pub skips: bool,
}

/// Functions whose results belong to a connection or a server.
const OF_CONNECTION: [&str; 20] = [
    "CONNECTION_ID",
    "FOUND_ROWS",
    "ROW_COUNT",
    "GET_LOCK",
    "RELEASE_LOCK",
    "RELEASE_ALL_LOCKS",
    "IS_FREE_LOCK",
    "IS_USED_LOCK",
    "NEXTVAL",
    "LASTVAL",
    "SETVAL",
    "LOAD_FILE",
    "MASTER_POS_WAIT",
    "MASTER_GTID_WAIT",
    "BINLOG_GTID_POS",
    "UUID_SHORT",
    "BENCHMARK",
    "SYS_GUID",
    "SQL_CALC_FOUND_ROWS",
    "PROCEDURE",
];
const RANDOM: [&str; 6] = [
    "RAND",
    "UUID",
    "SYSDATE",
    "RANDOM_BYTES",
    "SLEEP",
    "ENCRYPT",
];

/// What a statement needs where it runs.
///
/// # Errors
/// When something in it could not mean the same there.
pub fn needs(tokens: &Tokens<'_>) -> Result<Needs, Refusal> {
    let mut needs = Needs::default();
    for (at, token) in tokens.list.iter().enumerate() {
        match token.kind {
            TokenKind::UserVariable => {
                if tokens
                    .list
                    .get(at + 1)
                    .is_some_and(|next| next.is_symbol(":="))
                {
                    return Err(Refusal::new(
                        "variable-assignment",
                        "user variables cannot be set by a statement that runs on several nodes",
                    ));
                }
                if !needs.variables.contains(&token.text.to_vec()) {
                    needs.variables.push(token.text.to_vec());
                }
            }
            TokenKind::SystemVariable => {
                return Err(Refusal::new(
                    "system-variable",
                    "system variables cannot be used in a statement that runs on other nodes",
                ));
            }
            TokenKind::Word => {
                if token.is_word("LAST_INSERT_ID") {
                    let empty = tokens
                        .list
                        .get(at + 2)
                        .is_some_and(|next| next.is_symbol(")"));
                    if !empty {
                        return Err(Refusal::new(
                            "last-insert-id",
                            "LAST_INSERT_ID(expr) is not supported for distributed tables",
                        ));
                    }
                    needs.last_insert_id = true;
                }
                let is = |words: &[&str]| words.iter().any(|word| token.is_word(word));
                let calls = tokens
                    .list
                    .get(at + 1)
                    .is_some_and(|next| next.is_symbol("("));
                if is(&OF_CONNECTION) && (calls || token.is_word("SQL_CALC_FOUND_ROWS")) {
                    return Err(Refusal::new(
                        "connection-function",
                        format!(
                            "{} belongs to one connection and cannot be used in a statement over nodes",
                            String::from_utf8_lossy(token.text).to_ascii_uppercase()
                        ),
                    ));
                }
                if token.is_word("NEXT") && tokens.word(at + 1) == "VALUE" {
                    return Err(Refusal::new(
                        "connection-function",
                        "sequences belong to one node and cannot be used in a statement over nodes",
                    ));
                }
                needs.random |= is(&RANDOM) && calls;
            }
            _ => {}
        }
    }
    Ok(needs)
}
