//! Statements that begin, end or divide transactions.

use super::text::Tokens;
use openpeta_sql_route::{Dialect, TokenKind};

/// What a statement does to the session's transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// `BEGIN`, `START TRANSACTION`.
    Begin {
        /// `READ ONLY` or `READ WRITE`, if it says so.
        read_only: Option<bool>,
        /// `WITH CONSISTENT SNAPSHOT`.
        snapshot: bool,
    },
    /// `COMMIT`.
    Commit(After),
    /// `ROLLBACK`.
    Rollback(After),
    /// `SAVEPOINT`, by its name.
    Savepoint(String),
    /// `ROLLBACK TO SAVEPOINT`.
    RollbackTo(String),
    /// `RELEASE SAVEPOINT`.
    Release(String),
    /// `SET TRANSACTION`: for the next one alone.
    SetNext {
        /// `READ ONLY` or `READ WRITE`, if it says so.
        read_only: Option<bool>,
        /// The isolation level, if it names one.
        isolation: Option<&'static str>,
    },
    /// `SET … autocommit …`: to what, if that is a literal.
    Autocommit(Option<bool>),
    /// `XA`.
    Xa,
}

/// What follows the end of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct After {
    /// `AND CHAIN`: another one.
    pub chain: bool,
    /// `RELEASE`: the end of the session.
    pub release: bool,
}

/// A session, or what it runs, is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Home's number of the session.
    pub session: u32,
    /// `QUERY`: only what it runs.
    pub statement_alone: bool,
}

/// What a `KILL` is about, if it names the number of a session.
#[must_use]
pub fn kill(tokens: &Tokens<'_>) -> Option<Kill> {
    let mut at = 1;
    if matches!(tokens.word(at).as_str(), "HARD" | "SOFT") {
        at += 1;
    }
    let what = tokens.word(at);
    if matches!(what.as_str(), "CONNECTION" | "QUERY") {
        at += 1;
    }
    let token = tokens.list.get(at)?;
    if token.kind != TokenKind::Integer || tokens.list.len() != at + 1 {
        return None;
    }
    let session = std::str::from_utf8(token.text).ok()?.parse().ok()?;
    Some(Kill {
        session,
        statement_alone: what == "QUERY",
    })
}

/// Verbs of statements before which a transaction is committed.
const COMMITTING: [&str; 22] = [
    "ALTER",
    "ANALYZE",
    "BACKUP",
    "CACHE",
    "CHANGE",
    "CHECK",
    "CREATE",
    "DROP",
    "FLUSH",
    "GRANT",
    "INSTALL",
    "LOCK",
    "OPTIMIZE",
    "PURGE",
    "RENAME",
    "REPAIR",
    "RESET",
    "REVOKE",
    "START",
    "STOP",
    "TRUNCATE",
    "UNINSTALL",
];

/// What a statement does to the transaction, if that is what it is for.
#[must_use]
pub fn control(tokens: &Tokens<'_>, dialect: Dialect) -> Option<Control> {
    let word = |at| tokens.word(at);
    let name = |at: usize| {
        let name = tokens.list.get(at)?.name(&dialect)?;
        Some(String::from_utf8_lossy(&name).into_owned())
    };
    match tokens.verb().as_str() {
        "BEGIN" if word(1) != "NOT" => Some(Control::Begin {
            read_only: None,
            snapshot: false,
        }),
        "START" if word(1) == "TRANSACTION" => Some(Control::Begin {
            read_only: access(tokens),
            snapshot: tokens.has_word("SNAPSHOT"),
        }),
        "COMMIT" => Some(Control::Commit(after(tokens))),
        "ROLLBACK" => {
            let to = if word(1) == "WORK" { 2 } else { 1 };
            if word(to) != "TO" {
                return Some(Control::Rollback(after(tokens)));
            }
            let at = if word(to + 1) == "SAVEPOINT" {
                to + 2
            } else {
                to + 1
            };
            name(at).map(Control::RollbackTo)
        }
        "SAVEPOINT" => name(1).map(Control::Savepoint),
        "RELEASE" if word(1) == "SAVEPOINT" => name(2).map(Control::Release),
        "XA" => Some(Control::Xa),
        "SET" if word(1) == "TRANSACTION" => Some(Control::SetNext {
            read_only: access(tokens),
            isolation: isolation(tokens),
        }),
        "SET" if sets_autocommit(tokens) => Some(Control::Autocommit(autocommit(tokens))),
        _ => None,
    }
}

fn access(tokens: &Tokens<'_>) -> Option<bool> {
    let at = tokens.list.iter().position(|token| token.is_word("READ"))?;
    let mut found = None;
    for at in at..tokens.list.len() {
        if tokens.word(at) == "READ" {
            match tokens.word(at + 1).as_str() {
                "ONLY" => found = Some(true),
                "WRITE" => found = Some(false),
                _ => {}
            }
        }
    }
    found
}

fn isolation(tokens: &Tokens<'_>) -> Option<&'static str> {
    let mut list = tokens.list.iter();
    let at = list.position(|token| token.is_word("ISOLATION"))?;
    match (tokens.word(at + 2).as_str(), tokens.word(at + 3).as_str()) {
        ("REPEATABLE", "READ") => Some("REPEATABLE READ"),
        ("READ", "COMMITTED") => Some("READ COMMITTED"),
        ("READ", "UNCOMMITTED") => Some("READ UNCOMMITTED"),
        ("SERIALIZABLE", _) => Some("SERIALIZABLE"),
        _ => None,
    }
}

fn after(tokens: &Tokens<'_>) -> After {
    let no_before = |word: &str| {
        let at = tokens.list.iter().position(|token| token.is_word(word))?;
        Some(at > 0 && tokens.word(at - 1) == "NO")
    };
    After {
        chain: no_before("CHAIN") == Some(false),
        release: no_before("RELEASE") == Some(false),
    }
}

fn is_autocommit(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"@@").unwrap_or(text);
    let text = text.strip_prefix(b"`").unwrap_or(text);
    let text = text.strip_suffix(b"`").unwrap_or(text);
    text.eq_ignore_ascii_case(b"autocommit")
}

fn sets_autocommit(tokens: &Tokens<'_>) -> bool {
    tokens.list.windows(2).any(|pair| {
        is_autocommit(pair[0].text) && (pair[1].is_symbol("=") || pair[1].is_symbol(":="))
    })
}

fn autocommit(tokens: &Tokens<'_>) -> Option<bool> {
    let at = tokens
        .list
        .iter()
        .position(|token| is_autocommit(token.text))?;
    let value = tokens.list.get(at + 2)?;
    let is_last = tokens
        .list
        .get(at + 3)
        .is_none_or(|token| token.is_symbol(","));
    if !is_last {
        return None;
    }
    match value.text.to_ascii_uppercase().as_slice() {
        b"0" | b"OFF" | b"FALSE" | b"'OFF'" | b"'0'" => Some(false),
        b"1" | b"ON" | b"TRUE" | b"'ON'" | b"'1'" => Some(true),
        _ => None,
    }
}

/// Whether the server commits the session's transaction before it runs a statement.
#[must_use]
pub fn commits_before(tokens: &Tokens<'_>) -> bool {
    let verb = tokens.verb();
    match verb.as_str() {
        "CREATE" | "DROP" | "ALTER" => {
            let is_temporary = tokens
                .list
                .iter()
                .take(4)
                .any(|token| token.is_word("TEMPORARY"));
            !is_temporary
        }
        // The others of these words begin statements that only show something.
        "SET" => tokens.word(1) == "PASSWORD",
        "LOAD" => tokens.word(1) == "INDEX",
        "START" => tokens.word(1) != "TRANSACTION",
        "CHECK" | "ANALYZE" | "REPAIR" | "OPTIMIZE" => {
            matches!(
                tokens.word(1).as_str(),
                "TABLE" | "TABLES" | "LOCAL" | "NO_WRITE_TO_BINLOG" | "VIEW"
            )
        }
        "UNLOCK" => false,
        verb => COMMITTING.contains(&verb),
    }
}

/// Functions that write nothing, whatever they are given.
const PURE: [&str; 34] = [
    "COUNT",
    "SUM",
    "MIN",
    "MAX",
    "AVG",
    "CONCAT",
    "CONCAT_WS",
    "COALESCE",
    "IFNULL",
    "IF",
    "NULLIF",
    "LENGTH",
    "CHAR_LENGTH",
    "UPPER",
    "LOWER",
    "SUBSTRING",
    "SUBSTR",
    "TRIM",
    "REPLACE",
    "ROUND",
    "FLOOR",
    "ABS",
    "MOD",
    "NOW",
    "DATE",
    "YEAR",
    "MONTH",
    "CAST",
    "IN",
    "VALUES",
    "AND",
    "OR",
    "ON",
    "USING",
];

/// Whether a statement certainly writes nothing.
#[must_use]
pub fn only_reads(tokens: &Tokens<'_>) -> bool {
    match tokens.verb().as_str() {
        "SHOW" | "USE" | "DESC" | "DESCRIBE" | "EXPLAIN" | "HELP" => true,
        "SET" => !tokens.list.iter().any(|token| token.is_symbol("(")),
        "SELECT" => !tokens.list.windows(2).any(|pair| {
            let is_call = pair[1].is_symbol("(")
                && matches!(pair[0].kind, TokenKind::Word | TokenKind::QuotedName);
            is_call && !PURE.iter().any(|word| pair[0].is_word(word))
        }),
        _ => false,
    }
}

/// Whether a statement begins a transaction where `autocommit` is off.
#[must_use]
pub fn uses_tables(tokens: &Tokens<'_>) -> bool {
    match tokens.verb().as_str() {
        "SELECT" | "WITH" | "VALUES" | "(" | "" => {
            tokens.has_word("FROM") || tokens.list.iter().any(|token| token.is_symbol("("))
        }
        "TABLE" | "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "CALL" | "DO" | "EXECUTE"
        | "HANDLER" | "CHECKSUM" => true,
        "LOAD" => tokens.word(1) != "INDEX",
        "SET" => tokens.has_word("SELECT"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Control> {
        let dialect = Dialect::new(101_119);
        control(&Tokens::of(text.as_bytes(), dialect), dialect)
    }

    #[test]
    fn statements_about_transactions() {
        let begin = |read_only, snapshot| {
            Some(Control::Begin {
                read_only,
                snapshot,
            })
        };
        assert_eq!(of("begin"), begin(None, false));
        assert_eq!(of("/* x */ BEGIN WORK"), begin(None, false));
        assert_eq!(of("BEGIN NOT ATOMIC SELECT 1; END"), None);
        assert_eq!(
            of("START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT"),
            begin(Some(true), true)
        );
        assert_eq!(of("START SLAVE"), None);
        let after = |chain, release| After { chain, release };
        assert_eq!(
            of("COMMIT WORK AND CHAIN"),
            Some(Control::Commit(after(true, false)))
        );
        assert_eq!(
            of("COMMIT AND NO CHAIN NO RELEASE"),
            Some(Control::Commit(after(false, false)))
        );
        assert_eq!(
            of("ROLLBACK RELEASE"),
            Some(Control::Rollback(after(false, true)))
        );
        assert_eq!(
            of("ROLLBACK WORK TO SAVEPOINT `a b`"),
            Some(Control::RollbackTo("a b".into()))
        );
        assert_eq!(of("rollback to x"), Some(Control::RollbackTo("x".into())));
        assert_eq!(
            of("RELEASE SAVEPOINT x"),
            Some(Control::Release("x".into()))
        );
        assert_eq!(
            of("SET autocommit=0"),
            Some(Control::Autocommit(Some(false)))
        );
        assert_eq!(
            of("SET @@session.autocommit = ON, x = 1"),
            Some(Control::Autocommit(Some(true)))
        );
        assert_eq!(
            of("SET SESSION AUTOCOMMIT := @a + 1"),
            Some(Control::Autocommit(None))
        );
        assert_eq!(
            of("SET TRANSACTION READ ONLY"),
            Some(Control::SetNext {
                read_only: Some(true),
                isolation: None,
            })
        );
        assert_eq!(
            of("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"),
            Some(Control::SetNext {
                read_only: None,
                isolation: Some("READ COMMITTED"),
            })
        );
        assert_eq!(
            of("SET TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE"),
            Some(Control::SetNext {
                read_only: Some(true),
                isolation: Some("SERIALIZABLE"),
            })
        );
        assert_eq!(of("SET x = 1"), None);
    }

    #[test]
    fn what_is_killed() {
        let of = |text: &str| {
            let found = kill(&Tokens::of(text.as_bytes(), Dialect::new(101_119)))?;
            Some((found.session, found.statement_alone))
        };
        assert_eq!(of("KILL 7"), Some((7, false)));
        assert_eq!(of("kill hard connection 7"), Some((7, false)));
        assert_eq!(of("/* x */ KILL SOFT QUERY 12"), Some((12, true)));
        for text in [
            "KILL QUERY ID 7",
            "KILL USER alice",
            "KILL 7 + 1",
            "KILL @a",
            "KILL",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn statements_that_commit_first() {
        let commits =
            |text: &str| commits_before(&Tokens::of(text.as_bytes(), Dialect::new(101_119)));
        for text in [
            "CREATE TABLE t (a INT)",
            "drop view v",
            "TRUNCATE t",
            "GRANT ALL ON *.* TO x",
            "ANALYZE TABLE t",
            "LOCK TABLES t READ",
        ] {
            assert!(commits(text), "{text}");
        }
        for text in [
            "CREATE OR REPLACE TEMPORARY TABLE t (a INT)",
            "DROP TEMPORARY TABLE t",
            "ANALYZE SELECT 1",
            "SELECT 1",
            "SET a = 1",
            "START TRANSACTION",
        ] {
            assert!(!commits(text), "{text}");
        }
    }
}
