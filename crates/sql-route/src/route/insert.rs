//! `INSERT` and `REPLACE` of rows that are written out, and how they are split.

use std::borrow::Cow;
use std::ops::Range;

use thiserror::Error;

use super::key::{KeyColumn, KeyValue};
use super::tokens::{between_commas, closing, range_of, tokens};
use crate::{Dialect, Token, TokenKind};

/// A statement that puts rows into a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insert<'a> {
    /// The database that it names before the table, if it does.
    pub schema: Option<Cow<'a, [u8]>>,
    /// The table.
    pub table: Cow<'a, [u8]>,
    /// The rows, in their order.
    pub rows: Vec<InsertRow<'a>>,
    text: &'a [u8],
    /// Where the first row begins and the last one ends.
    body: Range<usize>,
}

/// A row of an [`Insert`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsertRow<'a> {
    /// Its parentheses and what is between them.
    pub range: Range<usize>,
    /// What it has for the key; `None` if that is not a literal.
    pub key: Option<KeyValue<'a>>,
    /// How many placeholders it has.
    pub parameters: usize,
}

/// Why a statement cannot be split by its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InsertError {
    /// It has no rows that are written out.
    #[error("it is no INSERT or REPLACE with VALUES")]
    NoValues,
    /// The columns that it names do not include the key.
    #[error("it gives no value for the distribution column")]
    NoKey,
    /// It holds more than this can read; the server may refuse it as well.
    #[error("its rows cannot be told apart")]
    Unreadable,
}

/// Words that may stand between the verb and the table.
const MODIFIERS: [&str; 5] = ["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"];

/// Reads a statement's rows, and what each has for the key.
///
/// # Errors
/// [`InsertError`] when it is not a statement of this kind, or not understood.
pub fn parse_insert<'a>(
    text: &'a [u8],
    key: &KeyColumn,
    dialect: Dialect,
) -> Result<Insert<'a>, InsertError> {
    let tokens = tokens(text, dialect).ok_or(InsertError::Unreadable)?;
    let [verb, rest @ ..] = &tokens[..] else {
        return Err(InsertError::NoValues);
    };
    if !verb.is_word("INSERT") && !verb.is_word("REPLACE") {
        return Err(InsertError::NoValues);
    }
    let is_modifier = |token: &Token<'_>| MODIFIERS.iter().any(|word| token.is_word(word));
    let modifiers = rest.iter().take_while(|token| is_modifier(token)).count();
    let (schema, table, rest) = table_name(&rest[modifiers..], dialect)?;
    let (position, rest) = key_position(rest, key, dialect)?;
    let [word, rest @ ..] = rest else {
        return Err(InsertError::NoValues);
    };
    if !word.is_word("VALUES") && !word.is_word("VALUE") {
        return Err(InsertError::NoValues);
    }
    let (rows, tail) = rows(text, rest, key, position, dialect)?;
    let body = match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => first.range.start..last.range.end,
        _ => return Err(InsertError::NoValues),
    };
    // A parameter behind the rows would have another number in each part, and another statement may
    // stand there.
    let is_odd = |token: &Token<'_>| token.kind == TokenKind::Placeholder || token.is_symbol(";");
    if tail.iter().any(is_odd) {
        return Err(InsertError::Unreadable);
    }
    Ok(Insert {
        schema,
        table,
        rows,
        text,
        body,
    })
}

impl Insert<'_> {
    /// The statement with these of its rows alone, in their order.
    #[must_use]
    pub fn with_rows(&self, rows: impl IntoIterator<Item = usize>) -> Vec<u8> {
        let mut part = self.text[..self.body.start].to_vec();
        for (count, row) in rows.into_iter().enumerate() {
            if count > 0 {
                part.push(b',');
            }
            part.extend_from_slice(&self.text[self.rows[row].range.clone()]);
        }
        part.extend_from_slice(&self.text[self.body.end..]);
        part
    }
}

type Name<'a> = Cow<'a, [u8]>;

fn table_name<'t, 'a>(
    tokens: &'t [Token<'a>],
    dialect: Dialect,
) -> Result<(Option<Name<'a>>, Name<'a>, &'t [Token<'a>]), InsertError> {
    let name = |token: &Token<'a>| token.name(&dialect).ok_or(InsertError::Unreadable);
    match tokens {
        [schema, point, table, rest @ ..] if point.is_symbol(".") => {
            Ok((Some(name(schema)?), name(table)?, rest))
        }
        [table, rest @ ..] => Ok((None, name(table)?, rest)),
        [] => Err(InsertError::NoValues),
    }
}

/// Which value of a row is the key's, and what stands behind the list of columns.
fn key_position<'t, 'a>(
    tokens: &'t [Token<'a>],
    key: &KeyColumn,
    dialect: Dialect,
) -> Result<(usize, &'t [Token<'a>]), InsertError> {
    if !tokens.first().is_some_and(|token| token.is_symbol("(")) {
        return Ok((key.position, tokens));
    }
    let end = closing(tokens).ok_or(InsertError::Unreadable)?;
    let rest = &tokens[end + 1..];
    if end == 1 {
        // All columns have their defaults.
        return Err(InsertError::NoKey);
    }
    let is_key = |column: &&[Token<'_>]| {
        // It may be named with its table.
        let name = column.last().and_then(|token| token.name(&dialect));
        name.is_some_and(|name| name.eq_ignore_ascii_case(key.name.as_bytes()))
    };
    let columns = between_commas(&tokens[1..end]);
    let position = columns.iter().position(is_key);
    Ok((position.ok_or(InsertError::NoKey)?, rest))
}

/// The rows, and what stands behind them.
fn rows<'t, 'a>(
    text: &'a [u8],
    mut tokens: &'t [Token<'a>],
    key: &KeyColumn,
    position: usize,
    dialect: Dialect,
) -> Result<(Vec<InsertRow<'a>>, &'t [Token<'a>]), InsertError> {
    let mut rows = Vec::new();
    let mut parameters = 0;
    loop {
        let open = tokens.first().filter(|token| token.is_symbol("("));
        let open = open.ok_or(InsertError::Unreadable)?;
        let end = closing(tokens).ok_or(InsertError::Unreadable)?;
        let values = between_commas(&tokens[1..end]);
        let count = |tokens: &[Token<'_>]| {
            let is_one = |token: &&Token<'_>| token.kind == TokenKind::Placeholder;
            tokens.iter().filter(is_one).count()
        };
        let before: usize = values.iter().take(position).map(|value| count(value)).sum();
        let value = values.get(position).copied().unwrap_or_default();
        let own = count(&tokens[1..end]);
        rows.push(InsertRow {
            range: range_of(text, open).start..range_of(text, &tokens[end]).end,
            key: key.value(value, parameters + before, dialect),
            parameters: own,
        });
        parameters += own;
        match &tokens[end + 1..] {
            [comma, rest @ ..] if comma.is_symbol(",") => tokens = rest,
            rest => return Ok((rows, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::key::KeyType;
    use super::*;

    fn key() -> KeyColumn {
        KeyColumn {
            name: "k".into(),
            position: 1,
            kind: KeyType::Integer {
                min: -128,
                max: 127,
            },
        }
    }

    fn parse(text: &str) -> Result<Insert<'_>, InsertError> {
        parse_insert(text.as_bytes(), &key(), Dialect::new(101_119))
    }

    fn keys(text: &str) -> Vec<Option<KeyValue<'_>>> {
        let insert = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        insert.rows.into_iter().map(|row| row.key).collect()
    }

    #[test]
    fn rows_and_their_keys() {
        let five = || Some(KeyValue::Integer(5));
        assert_eq!(
            keys("INSERT INTO t VALUES (1, 5), (f(2, 3), -7, '),(')"),
            [five(), Some(KeyValue::Integer(-7))]
        );
        assert_eq!(
            keys("REPLACE LOW_PRIORITY t (a, t.K, c) VALUE (1, '5', 2)"),
            [five()]
        );
        assert_eq!(
            keys("insert ignore `s`.`t`(`k`) values(5)on duplicate key update a=1"),
            [five()]
        );
        assert_eq!(
            keys("INSERT t (a, k) VALUES (?, ?), (?, 5), (?, ?) RETURNING a"),
            [
                Some(KeyValue::Parameter(1)),
                five(),
                Some(KeyValue::Parameter(4)),
            ]
        );
        // What is stored would be another value, or is not known.
        assert_eq!(
            keys("INSERT t VALUES (1, 128), (1, 5.4), (1, NULL), (1, DEFAULT), (1, 2 + 3), (1)"),
            [None, None, None, None, None, None]
        );
        let insert = parse("INSERT s.t VALUES (1, 2)").expect("read");
        assert_eq!(
            (insert.schema.as_deref(), &*insert.table),
            (Some(&b"s"[..]), &b"t"[..])
        );
    }

    #[test]
    fn what_cannot_be_split() {
        for (text, error) in [
            ("", InsertError::NoValues),
            ("SELECT 1", InsertError::NoValues),
            ("INSERT INTO t SELECT 1, 2", InsertError::NoValues),
            ("INSERT INTO t SET k = 5", InsertError::NoValues),
            ("INSERT INTO t (a) VALUES (1)", InsertError::NoKey),
            ("INSERT INTO t () VALUES ()", InsertError::NoKey),
            ("INSERT INTO t VALUES", InsertError::Unreadable),
            ("INSERT INTO t VALUES (1, 5", InsertError::Unreadable),
            ("INSERT INTO t VALUES (1, 5),", InsertError::Unreadable),
            (
                "INSERT INTO t VALUES (1, 5); DROP TABLE t",
                InsertError::Unreadable,
            ),
            (
                "INSERT INTO t VALUES (1, 5) /*!50000 , (2, 6) */",
                InsertError::Unreadable,
            ),
            (
                "INSERT INTO t VALUES (1, ?) ON DUPLICATE KEY UPDATE a = ?",
                InsertError::Unreadable,
            ),
            ("INSERT INTO t VALUES (1, 'a", InsertError::Unreadable),
        ] {
            assert_eq!(parse(text).map(|_| ()), Err(error), "{text}");
        }
    }

    #[test]
    fn parts_have_all_but_the_other_rows() {
        let text =
            "INSERT INTO t (k) /* c */ VALUES\n (1), (2) ,\t(3) ON DUPLICATE KEY UPDATE k = k";
        let insert = parse(text).expect("read");
        let part =
            |rows: &[usize]| String::from_utf8(insert.with_rows(rows.to_vec())).expect("ASCII");
        let expected = "INSERT INTO t (k) /* c */ VALUES\n (1),(3) ON DUPLICATE KEY UPDATE k = k";
        assert_eq!(part(&[0, 2]), expected);
        assert_eq!(
            part(&[1]),
            "INSERT INTO t (k) /* c */ VALUES\n (2) ON DUPLICATE KEY UPDATE k = k"
        );
    }

    proptest! {
        /// However rows are written, each is found, and parts are statements with the rows of before.
        #[test]
        fn rows_are_found_again(
            rows in proptest::collection::vec(
                ("[ \n]{0,2}", "(1|'a,b'|'\\)'|f\\(1,\\(2\\)\\)|NULL|\"x\\('\")", -128..=127_i64),
                1..20,
            ),
            chosen in any::<u32>(),
        ) {
            let written: Vec<_> = rows.iter().map(|(space, value, key)| format!("{space}({value},{space}{key})")).collect();
            let text = format!("INSERT INTO t VALUES {} RETURNING k", written.join(","));
            let insert = parse(&text).expect("read");
            let found: Vec<_> = insert.rows.iter().map(|row| row.key.clone()).collect();
            let expected: Vec<_> = rows.iter().map(|(_, _, key)| Some(KeyValue::Integer((*key).into()))).collect();
            prop_assert_eq!(&found, &expected);
            let chosen: Vec<_> = (0..rows.len()).filter(|row| chosen >> (row % 32) & 1 == 1).collect();
            if !chosen.is_empty() {
                let part = String::from_utf8(insert.with_rows(chosen.clone())).expect("UTF-8");
                let of_part = parse(&part).expect("read again");
                let again: Vec<_> = of_part.rows.iter().map(|row| row.key.clone()).collect();
                let wanted: Vec<_> = chosen.iter().map(|row| expected[*row].clone()).collect();
                prop_assert_eq!(again, wanted);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_insert(&text, &key(), Dialect::new(101_119));
            let text = [b"INSERT INTO t VALUES ".as_slice(), &text].concat();
            if let Ok(insert) = parse_insert(&text, &key(), Dialect::new(101_119)) {
                prop_assert!(!insert.with_rows(0..insert.rows.len()).is_empty());
            }
        }
    }
}
