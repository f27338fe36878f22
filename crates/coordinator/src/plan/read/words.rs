//! Which words mean the same wherever and whenever they are evaluated.

use openpeta_sql_route::TokenKind;

use super::text::{Span, Text};

/// Functions whose value depends on their arguments and the session's settings alone.
const FUNCTIONS: &[&str] = &[
    "ABS",
    "ACOS",
    "ADDDATE",
    "ADDTIME",
    "ASCII",
    "ASIN",
    "ATAN",
    "ATAN2",
    "BIN",
    "BIT_COUNT",
    "BIT_LENGTH",
    "CAST",
    "CEIL",
    "CEILING",
    "CHAR",
    "CHARACTER_LENGTH",
    "CHAR_LENGTH",
    "COALESCE",
    "CONCAT",
    "CONCAT_WS",
    "CONV",
    "CONVERT",
    "COS",
    "COT",
    "CRC32",
    "DATE",
    "DATEDIFF",
    "DATE_ADD",
    "DATE_FORMAT",
    "DATE_SUB",
    "DAY",
    "DAYNAME",
    "DAYOFMONTH",
    "DAYOFWEEK",
    "DAYOFYEAR",
    "DEGREES",
    "ELT",
    "EXP",
    "EXTRACT",
    "FIELD",
    "FIND_IN_SET",
    "FLOOR",
    "FORMAT",
    "FROM_DAYS",
    "GREATEST",
    "HEX",
    "HOUR",
    "IF",
    "IFNULL",
    "INSERT",
    "INSTR",
    "ISNULL",
    "JSON_EXTRACT",
    "JSON_LENGTH",
    "JSON_QUOTE",
    "JSON_UNQUOTE",
    "JSON_VALID",
    "JSON_VALUE",
    "LAST_DAY",
    "LCASE",
    "LEAST",
    "LEFT",
    "LENGTH",
    "LN",
    "LOCATE",
    "LOG",
    "LOG10",
    "LOG2",
    "LOWER",
    "LPAD",
    "LTRIM",
    "MAKEDATE",
    "MAKETIME",
    "MD5",
    "MICROSECOND",
    "MID",
    "MINUTE",
    "MOD",
    "MONTH",
    "MONTHNAME",
    "NULLIF",
    "NVL",
    "NVL2",
    "OCT",
    "OCTET_LENGTH",
    "ORD",
    "PERIOD_ADD",
    "PERIOD_DIFF",
    "PI",
    "POSITION",
    "POW",
    "POWER",
    "QUARTER",
    "QUOTE",
    "RADIANS",
    "REPEAT",
    "REPLACE",
    "REVERSE",
    "RIGHT",
    "ROUND",
    "RPAD",
    "RTRIM",
    "SEC_TO_TIME",
    "SECOND",
    "SHA",
    "SHA1",
    "SHA2",
    "SIGN",
    "SIN",
    "SPACE",
    "SQRT",
    "STRCMP",
    "STR_TO_DATE",
    "SUBDATE",
    "SUBSTR",
    "SUBSTRING",
    "SUBSTRING_INDEX",
    "SUBTIME",
    "TAN",
    "TIME",
    "TIMEDIFF",
    "TIMESTAMP",
    "TIMESTAMPADD",
    "TIMESTAMPDIFF",
    "TIME_FORMAT",
    "TIME_TO_SEC",
    "TO_DAYS",
    "TO_SECONDS",
    "TRIM",
    "TRUNCATE",
    "UCASE",
    "UNHEX",
    "UPPER",
    "WEEK",
    "WEEKDAY",
    "WEEKOFYEAR",
    "WEIGHT_STRING",
    "YEAR",
    "YEARWEEK",
];

/// Words that stand before a parenthesis and are no function, or the types of `CAST`.
const BEFORE_PARENTHESES: &[&str] = &[
    "AND",
    "OR",
    "XOR",
    "NOT",
    "IN",
    "LIKE",
    "RLIKE",
    "REGEXP",
    "DIV",
    "MOD",
    "BETWEEN",
    "IS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "BINARY",
    "INTERVAL",
    "DECIMAL",
    "CHAR",
    "DATETIME",
    "TIME",
    "AS",
    "BY",
    "DISTINCT",
    "EXISTS",
    "ANY",
    "ALL",
    "SOME",
    "ON",
    "WHERE",
    "HAVING",
    "SELECT",
    "FROM",
    "JOIN",
    "USING",
    "KEY",
    "INDEX",
    "LIMIT",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "VARCHAR",
    "ROW",
    "DESC",
    "ASC",
    "SEPARATOR",
];

/// Functions over the rows of a group that can be put together from those of its parts.
pub(super) const AGGREGATES: &[&str] = &["COUNT", "SUM", "MIN", "MAX", "AVG"];

/// Other functions over the rows of a group.
const OTHER_AGGREGATES: &[&str] = &[
    "GROUP_CONCAT",
    "BIT_AND",
    "BIT_OR",
    "BIT_XOR",
    "STD",
    "STDDEV",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "VARIANCE",
    "VAR_POP",
    "VAR_SAMP",
    "JSON_ARRAYAGG",
    "JSON_OBJECTAGG",
    "ST_COLLECT",
];

/// Words that stand for a value which depends on the session or on when they are evaluated.
const UNSTEADY: &[&str] = &[
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
    "CURRENT_USER",
    "CURRENT_ROLE",
    "SYSDATE",
    "MATCH",
    "NEXT",
    "PREVIOUS",
    "ROWNUM",
    "RETURNING",
    "DEFAULT",
];

/// Words in expressions that are operators, literals, types or units.
const KEYWORDS: &[&str] = &[
    "AND",
    "OR",
    "XOR",
    "NOT",
    "IN",
    "LIKE",
    "RLIKE",
    "REGEXP",
    "DIV",
    "MOD",
    "BETWEEN",
    "IS",
    "NULL",
    "TRUE",
    "FALSE",
    "UNKNOWN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "BINARY",
    "INTERVAL",
    "ESCAPE",
    "AS",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "DATETIME",
    "CHAR",
    "DECIMAL",
    "SIGNED",
    "UNSIGNED",
    "INTEGER",
    "DOUBLE",
    "FROM",
    "FOR",
    "BOTH",
    "LEADING",
    "TRAILING",
    "MICROSECOND",
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "WEEK",
    "MONTH",
    "QUARTER",
    "YEAR",
    "DAY_HOUR",
    "DAY_MINUTE",
    "DAY_SECOND",
    "HOUR_MINUTE",
    "HOUR_SECOND",
    "MINUTE_SECOND",
    "YEAR_MONTH",
    "ASC",
    "DESC",
    "DISTINCT",
    "ALL",
];

fn is_in(word: &[u8], words: &[&str]) -> bool {
    words
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

/// Functions that depend on more, and give the same on each node of a session.
const OF_SESSION: &[&str] = &[
    "CURDATE",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "CURTIME",
    "DATABASE",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NOW",
    "RAND",
    "SCHEMA",
    "SLEEP",
    "SYSDATE",
    "UNIX_TIMESTAMP",
    "USER",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
    "UUID",
    "VERSION",
];

/// Whether a word before a parenthesis is the server's own on each node, rather than a stored function of home.
pub(in crate::plan) fn is_builtin(word: &[u8]) -> bool {
    let lists = [
        FUNCTIONS,
        BEFORE_PARENTHESES,
        AGGREGATES,
        OTHER_AGGREGATES,
        OF_SESSION,
    ];
    let mut all = lists.into_iter().flatten();
    all.any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

/// Whether what stands before a parenthesis is part of an expression that says the same everywhere.
pub(in crate::plan) fn is_steady_call(word: &[u8]) -> bool {
    is_in(word, FUNCTIONS) || is_in(word, BEFORE_PARENTHESES)
}

/// What a word in an expression is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Part of an expression that says the same everywhere.
    Steady,
    /// A function over the rows of a group.
    Aggregate {
        /// It can be put together from parts.
        splits: bool,
    },
    /// It depends on more, or is not known.
    Unsteady,
    /// Perhaps a name.
    Name,
}

/// What the word, the name or the variable at a place in an expression is.
pub(super) fn meaning(text: &Text<'_>, at: usize) -> Meaning {
    let Some(token) = text.get(at) else {
        return Meaning::Unsteady;
    };
    match token.kind {
        TokenKind::UserVariable | TokenKind::SystemVariable => Meaning::Unsteady,
        TokenKind::QuotedName if text.is_symbol(at + 1, "(") => Meaning::Unsteady,
        TokenKind::QuotedName => Meaning::Name,
        TokenKind::Word if text.is_behind_point(at) => {
            if text.is_symbol(at + 1, "(") {
                Meaning::Unsteady
            } else {
                Meaning::Name
            }
        }
        TokenKind::Word => word(text, at, token.text),
        TokenKind::Symbol if token.is_symbol(":=") => Meaning::Unsteady,
        _ => Meaning::Steady,
    }
}

fn word(text: &Text<'_>, at: usize, word: &[u8]) -> Meaning {
    if is_in(word, UNSTEADY) || is_in(word, &["OVER"]) {
        return Meaning::Unsteady;
    }
    if text.is_symbol(at + 1, "(") {
        return if is_in(word, AGGREGATES) {
            Meaning::Aggregate { splits: true }
        } else if is_in(word, OTHER_AGGREGATES) {
            Meaning::Aggregate { splits: false }
        } else if is_in(word, FUNCTIONS) || is_in(word, BEFORE_PARENTHESES) {
            Meaning::Steady
        } else {
            Meaning::Unsteady
        };
    }
    // A character set or a collation.
    if word.first() == Some(&b'_')
        && text
            .get(at + 1)
            .is_some_and(|it| it.kind == TokenKind::String)
        || (at > 0 && text.is_any(at - 1, &["COLLATE", "USING"]))
    {
        return Meaning::Steady;
    }
    if is_in(word, KEYWORDS) || is_in(word, &["COLLATE", "SEPARATOR", "USING"]) {
        // Units and types can be names of columns as well.
        let follows = text
            .get(at + 1)
            .is_some_and(|it| it.kind == TokenKind::String);
        let is_soft = !follows && is_in(word, SOFT);
        return if is_soft {
            Meaning::Name
        } else {
            Meaning::Steady
        };
    }
    Meaning::Name
}

/// Keywords that may be names as well.
const SOFT: &[&str] = &[
    "DATE",
    "TIME",
    "TIMESTAMP",
    "DATETIME",
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "WEEK",
    "MONTH",
    "QUARTER",
    "YEAR",
    "MICROSECOND",
    "SIGNED",
    "UNSIGNED",
    "END",
    "UNKNOWN",
];

/// Whether a word is a keyword where no column has that name.
pub(super) fn may_be_keyword(text: &Text<'_>, at: usize) -> bool {
    text.get(at)
        .is_some_and(|token| token.kind == TokenKind::Word && is_in(token.text, KEYWORDS))
}

/// Whether an expression has no function over a group, and means the same everywhere. Names in it are
/// the caller's to judge.
pub(super) fn is_steady(text: &Text<'_>, span: &Span) -> bool {
    span.clone()
        .all(|at| matches!(meaning(text, at), Meaning::Steady | Meaning::Name))
}

/// Whether there is a function over a group in an expression.
pub(super) fn has_aggregate(text: &Text<'_>, span: &Span) -> bool {
    span.clone()
        .any(|at| matches!(meaning(text, at), Meaning::Aggregate { .. }))
}
