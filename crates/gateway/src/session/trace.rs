//! What a statement leaves in its session, told from its text with all doubts against it: only a
//! session in which nothing was left can go on over another connection without anybody noticing.

use openpeta_sql_route::{Dialect, Lexer, Token, TokenKind};

/// What a statement leaves behind when it is done and its transaction has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    Nothing,
    /// Settings that the same statement would make again.
    Settings,
    /// Something, or perhaps so, that ends with a reset of the session.
    Passing,
    /// Something, or perhaps so, that may outlive a reset.
    Lasting,
}

/// Settings whose statements may be repeated. What they are set to must stand there as it is.
const SETTINGS: &[&str] = &[
    "autocommit",
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "collation_connection",
    "foreign_key_checks",
    "group_concat_max_len",
    "innodb_lock_wait_timeout",
    "lc_time_names",
    "lock_wait_timeout",
    "max_statement_time",
    "sql_auto_is_null",
    "sql_mode",
    "sql_safe_updates",
    "sql_select_limit",
    "time_zone",
    "transaction_isolation",
    "tx_isolation",
    "unique_checks",
    "wait_timeout",
];

/// Words that stand before parentheses without being functions.
const KEYWORDS: &[&str] = &[
    "all",
    "and",
    "any",
    "as",
    "between",
    "by",
    "case",
    "distinct",
    "else",
    "except",
    "exists",
    "from",
    "having",
    "in",
    "intersect",
    "interval",
    "is",
    "join",
    "like",
    "limit",
    "not",
    "on",
    "or",
    "over",
    "regexp",
    "rlike",
    "select",
    "some",
    "then",
    "union",
    "using",
    "values",
    "when",
    "where",
    "xor",
];

/// Functions of the server that look at nothing but their arguments, the tables and the time. All
/// others may be stored ones, or keep something.
const FUNCTIONS: &[&str] = &[
    "abs",
    "avg",
    "bit_and",
    "bit_or",
    "cast",
    "ceil",
    "ceiling",
    "char_length",
    "coalesce",
    "concat",
    "concat_ws",
    "convert",
    "count",
    "curdate",
    "current_date",
    "current_timestamp",
    "current_user",
    "curtime",
    "database",
    "date",
    "date_add",
    "date_format",
    "date_sub",
    "datediff",
    "day",
    "dayofmonth",
    "dayofweek",
    "dayofyear",
    "dense_rank",
    "extract",
    "field",
    "find_in_set",
    "floor",
    "format",
    "from_unixtime",
    "greatest",
    "group_concat",
    "hex",
    "hour",
    "if",
    "ifnull",
    "instr",
    "isnull",
    "json_extract",
    "json_object",
    "json_unquote",
    "json_value",
    "lag",
    "last_day",
    "lcase",
    "lead",
    "least",
    "left",
    "length",
    "locate",
    "lower",
    "lpad",
    "ltrim",
    "max",
    "md5",
    "min",
    "minute",
    "mod",
    "month",
    "now",
    "nullif",
    "pow",
    "power",
    "quarter",
    "rank",
    "replace",
    "reverse",
    "right",
    "round",
    "row_number",
    "rpad",
    "rtrim",
    "schema",
    "second",
    "sha1",
    "sha2",
    "sign",
    "sleep",
    "sqrt",
    "str_to_date",
    "substr",
    "substring",
    "substring_index",
    "sum",
    "time",
    "timediff",
    "timestamp",
    "timestampdiff",
    "trim",
    "truncate",
    "ucase",
    "unhex",
    "unix_timestamp",
    "upper",
    "user",
    "utc_timestamp",
    "version",
    "week",
    "weekday",
    "year",
];

/// Words with which a query leaves something, or knows the connection that it runs on.
const TELLING: &[&str] = &[
    "into",
    "next",
    "previous",
    "procedure",
    "sql_calc_found_rows",
];

/// What the words of a first command ask for that the statement before it has left, on the
/// connection that is gone.
const OF_THE_LAST: [&[u8]; 7] = [
    b"found_rows",
    b"row_count",
    b"last_insert_id",
    b"identity",
    b"warning",
    b"error",
    b"diagnostic",
];

/// Whether these bytes of a client ask, or perhaps ask, what the statement before did.
pub(super) fn asks_of_the_last(data: &[u8]) -> bool {
    OF_THE_LAST.iter().any(|word| {
        let mut windows = data.windows(word.len());
        windows.any(|window| window.eq_ignore_ascii_case(word))
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing was read yet.
    Begin,
    Query,
    Transaction,
    Use,
    Set,
    /// Whatever it does, a reset undoes it.
    Undone,
    Unknown,
    /// Behind the semicolon.
    End,
}

/// What the last token was, as far as it matters to a parenthesis behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Harmless,
    /// A function of the server, if the parenthesis follows at once.
    Function,
    /// Something else that could be a function's name.
    Name,
    Point,
}

/// Reads the tokens of a text that is one statement.
#[derive(Clone, Debug)]
pub(super) struct TraceReader {
    kind: Kind,
    last: Last,
    spaced: bool,
    doubt: bool,
}

impl Default for TraceReader {
    fn default() -> Self {
        Self {
            kind: Kind::Begin,
            last: Last::Harmless,
            spaced: false,
            doubt: false,
        }
    }
}

impl TraceReader {
    pub(super) fn push(&mut self, token: &Token<'_>) {
        if !token.kind.is_significant() {
            self.spaced = true;
            self.doubt |= token.kind == TokenKind::ExecutableStart;
            return;
        }
        if token.is_symbol(";") && self.kind != Kind::Begin {
            self.doubt |= matches!(self.kind, Kind::Set | Kind::End);
            self.kind = match self.kind {
                kind @ (Kind::Undone | Kind::Unknown) => kind,
                _ => Kind::End,
            };
            return;
        }
        match self.kind {
            Kind::Begin => self.kind = first(token),
            Kind::Query => self.query(token),
            Kind::Transaction => {
                let plain = matches!(token.kind, TokenKind::Word | TokenKind::QuotedName);
                // A compound statement begins with `BEGIN NOT ATOMIC`.
                self.doubt |= !plain && !token.is_symbol(",") || token.is_word("not");
            }
            Kind::Use => {
                self.doubt |= !matches!(token.kind, TokenKind::Word | TokenKind::QuotedName);
            }
            Kind::End => self.kind = Kind::Unknown,
            Kind::Set | Kind::Undone | Kind::Unknown => {}
        }
        self.spaced = false;
    }

    /// `text` is what was read, if all of it was; `alone`, whether it is one statement.
    pub(super) fn end(&self, text: Option<&[u8]>, alone: bool, dialect: Dialect) -> Trace {
        if !alone {
            return Trace::Lasting;
        }
        let whole = text.is_some() && !self.doubt;
        match self.kind {
            Kind::Query | Kind::Use if !whole => Trace::Passing,
            Kind::Begin | Kind::Query | Kind::Transaction | Kind::Use | Kind::End if whole => {
                Trace::Nothing
            }
            Kind::Set if whole && text.is_some_and(|text| sets_again(text, dialect)) => {
                Trace::Settings
            }
            Kind::Undone => Trace::Passing,
            _ => Trace::Lasting,
        }
    }

    fn query(&mut self, token: &Token<'_>) {
        let last = std::mem::replace(&mut self.last, Last::Harmless);
        match token.kind {
            TokenKind::Word if last == Last::Point => self.last = Last::Name,
            TokenKind::Word => {
                self.last = if is_one_of(token, KEYWORDS) {
                    Last::Harmless
                } else if is_one_of(token, FUNCTIONS) {
                    Last::Function
                } else {
                    Last::Name
                };
                self.doubt |= self.last == Last::Name && is_one_of(token, TELLING);
            }
            TokenKind::QuotedName => self.last = Last::Name,
            TokenKind::UserVariable | TokenKind::Invalid => self.doubt = true,
            TokenKind::SystemVariable => {
                self.doubt |= token.text.eq_ignore_ascii_case(b"@@pseudo_thread_id");
            }
            TokenKind::Symbol if token.text == b"(" => {
                self.doubt |= match last {
                    Last::Harmless => false,
                    // With a space between it is a name like any other.
                    Last::Function => self.spaced,
                    Last::Name | Last::Point => true,
                };
            }
            TokenKind::Symbol if token.text == b"." => self.last = Last::Point,
            TokenKind::Symbol => self.doubt |= token.text == b":=",
            _ => {}
        }
    }
}

/// What kind of statement begins with this token.
fn first(token: &Token<'_>) -> Kind {
    const KINDS: [(Kind, &[&str]); 5] = [
        (
            Kind::Query,
            &[
                "select", "with", "values", "show", "describe", "desc", "explain",
            ],
        ),
        (
            Kind::Transaction,
            &[
                "begin",
                "start",
                "commit",
                "rollback",
                "savepoint",
                "release",
            ],
        ),
        (Kind::Use, &["use"]),
        (Kind::Set, &["set"]),
        (
            Kind::Undone,
            &[
                "insert",
                "replace",
                "update",
                "delete",
                "load",
                "create",
                "alter",
                "drop",
                "rename",
                "truncate",
                "lock",
                "unlock",
                "prepare",
                "deallocate",
            ],
        ),
    ];
    if token.is_symbol("(") {
        return Kind::Query;
    }
    let found = KINDS.iter().find(|(_, words)| is_one_of(token, words));
    found.map_or(Kind::Unknown, |(kind, _)| *kind)
}

fn is_one_of(token: &Token<'_>, words: &[&str]) -> bool {
    words.iter().any(|word| token.is_word(word))
}

/// Whether a SET can be run again with the same effect: known settings of the session, and values
/// that depend on nothing.
fn sets_again(text: &[u8], dialect: Dialect) -> bool {
    let tokens: Vec<_> = Lexer::new(text, dialect)
        .filter(|token| token.kind.is_significant())
        .collect();
    let Some((_, items)) = tokens.split_first() else {
        return false;
    };
    if let [scope, transaction, ..] = items
        && is_one_of(scope, &["session", "local"])
        && transaction.is_word("transaction")
    {
        return items[2..].iter().all(|token| {
            token.is_symbol(",")
                || is_one_of(
                    token,
                    &[
                        "isolation",
                        "level",
                        "read",
                        "only",
                        "write",
                        "committed",
                        "uncommitted",
                        "repeatable",
                        "serializable",
                    ],
                )
        });
    }
    items.split(|token| token.is_symbol(",")).all(assigns)
}

/// Whether this is one assignment of a SET.
fn assigns(item: &[Token<'_>]) -> bool {
    let is_value = |token: &Token<'_>| {
        matches!(
            token.kind,
            TokenKind::String | TokenKind::Integer | TokenKind::Decimal | TokenKind::Word
        )
    };
    let item = match item {
        [scope, rest @ ..] if is_one_of(scope, &["session", "local"]) => rest,
        [scope, point, rest @ ..]
            if point.is_symbol(".")
                && (scope.text.eq_ignore_ascii_case(b"@@session")
                    || scope.text.eq_ignore_ascii_case(b"@@local")) =>
        {
            rest
        }
        item => item,
    };
    match item {
        [names, charset] if names.is_word("names") => is_value(charset),
        [names, charset, collate, collation] if names.is_word("names") => {
            is_value(charset) && collate.is_word("collate") && is_value(collation)
        }
        [charset, value] if charset.is_word("charset") => is_value(value),
        [character, set, value] if character.is_word("character") => {
            set.is_word("set") && is_value(value)
        }
        [name, equals, value] => {
            let bare = name.text.strip_prefix(b"@@").unwrap_or(name.text);
            let known = matches!(name.kind, TokenKind::Word | TokenKind::SystemVariable)
                && SETTINGS
                    .iter()
                    .any(|setting| bare.eq_ignore_ascii_case(setting.as_bytes()));
            known && (equals.is_symbol("=") || equals.is_symbol(":=")) && is_value(value)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(text: &str) -> Trace {
        let dialect = Dialect::new(101_119);
        let mut reader = TraceReader::default();
        for token in Lexer::new(text.as_bytes(), dialect) {
            reader.push(&token);
        }
        reader.end(Some(text.as_bytes()), true, dialect)
    }

    #[test]
    fn plain_reads_and_transactions_leave_nothing() {
        for text in [
            "SELECT 1",
            "select a, count(*) from t where b in (1, 2) and c = 'x' group by a",
            "SELECT @@max_allowed_packet, @@session.sql_mode",
            "SELECT * FROM (SELECT 1) AS t WHERE EXISTS (SELECT 1)",
            "(SELECT 1) UNION (SELECT 2);",
            "SHOW TABLES",
            "EXPLAIN SELECT 1",
            "BEGIN",
            "START TRANSACTION READ ONLY",
            "COMMIT",
            "ROLLBACK TO SAVEPOINT a",
            "USE `shop`",
            "SELECT `next` FROM t",
            "/* nothing */",
        ] {
            assert_eq!(trace(text), Trace::Nothing, "{text}");
        }
    }

    #[test]
    fn what_may_leave_something_is_taken_to_do_so() {
        for text in [
            "SELECT @a := 1",
            "SELECT 1 INTO @a",
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "SELECT GET_LOCK('a', 1)",
            "SELECT LAST_INSERT_ID(5)",
            "SELECT CONNECTION_ID()",
            "SELECT shop.count(1)",
            "SELECT count (1)",
            "SELECT `f`(1)",
            "SELECT f(1)",
            "SELECT SQL_CALC_FOUND_ROWS 1",
            "SELECT NEXT VALUE FOR s",
            "SELECT /*! GET_LOCK('a', 1) */",
            "INSERT INTO t VALUES (1)",
            "UPDATE t SET a = 1",
            "CREATE TEMPORARY TABLE t (a INT)",
            "LOCK TABLES t READ",
            "PREPARE s FROM 'SELECT 1'",
        ] {
            assert_eq!(trace(text), Trace::Passing, "{text}");
        }
        for text in [
            "CALL p()",
            "DO GET_LOCK('a', 1)",
            "EXECUTE s",
            "BEGIN NOT ATOMIC SET @a = 1; END",
            "SELECT 1; SET @a = 1",
            "XA START 'a'",
            "HANDLER t OPEN",
            "FLUSH TABLES WITH READ LOCK",
        ] {
            assert_eq!(trace(text), Trace::Lasting, "{text}");
        }
    }

    #[test]
    fn settings_that_can_be_made_again() {
        for text in [
            "SET NAMES utf8mb4",
            "set names 'utf8mb4' collate utf8mb4_bin",
            "SET autocommit=0",
            "SET SESSION sql_mode = 'ANSI', @@session.time_zone = '+00:00'",
            "SET @@autocommit := 1",
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "SET CHARACTER SET latin1",
        ] {
            assert_eq!(trace(text), Trace::Settings, "{text}");
        }
        for text in [
            "SET @a = 1",
            "SET GLOBAL sql_mode = ''",
            "SET sql_mode = CONCAT(@@sql_mode, ',ANSI')",
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "SET ROLE r",
            "SET net_write_timeout = 5",
            "SET autocommit = @@global.autocommit",
            "SET PASSWORD = 'x'",
            "SET STATEMENT sql_mode='' FOR SELECT 1",
            "SET autocommit = 0;",
            "SET autocommit = 0, @a = 1",
        ] {
            assert_eq!(trace(text), Trace::Lasting, "{text}");
        }
    }

    #[test]
    fn first_commands_that_ask_of_the_last() {
        assert!(asks_of_the_last(b"\x03SELECT Found_Rows()"));
        assert!(asks_of_the_last(b"\x03show warnings"));
        assert!(!asks_of_the_last(b"\x03SELECT 1"));
    }
}
