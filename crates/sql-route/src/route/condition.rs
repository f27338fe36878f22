//! Values that the key of a row must have for a condition to be true.

use super::key::{KeyColumn, KeyValue};
use super::tokens::{between_commas, closing};
use crate::{Dialect, Token, TokenKind};

/// The values of the key that rows meeting a condition can have, if the condition names them: rows
/// with any other do not meet it. `None` if they can have any.
///
/// `condition` are the significant tokens of a `WHERE` or `ON` up to its end, and nothing else. It is
/// one of a statement about one table: a column without a table before it is this table's.
/// `qualifiers` are the names that may stand before the column for this table. `parameters` tells how
/// many placeholders stand before it in the statement. `pipes_concat` says that `||` joins strings.
#[must_use]
pub fn pinned_by<'a>(
    condition: &[Token<'a>],
    key: &KeyColumn,
    qualifiers: &[&str],
    parameters: usize,
    dialect: Dialect,
    pipes_concat: bool,
) -> Option<Vec<KeyValue<'a>>> {
    let reader = Reader {
        key,
        qualifiers,
        dialect,
        pipes_concat,
    };
    reader.pinned(condition, parameters)
}

struct Reader<'k> {
    key: &'k KeyColumn,
    qualifiers: &'k [&'k str],
    dialect: Dialect,
    pipes_concat: bool,
}

impl Reader<'_> {
    /// Of the parts that must all be true, the one that names the fewest values.
    fn pinned<'a>(&self, tokens: &[Token<'a>], parameters: usize) -> Option<Vec<KeyValue<'a>>> {
        let parts = self.conjuncts(tokens)?;
        let mut before = parameters;
        let mut found: Option<Vec<KeyValue<'a>>> = None;
        for part in parts {
            let values = self.part(part, before);
            if let Some(values) = values
                && found
                    .as_ref()
                    .is_none_or(|found| values.len() < found.len())
            {
                found = Some(values);
            }
            before += placeholders(part);
        }
        found
    }

    /// The parts of a condition that must all be true; `None` if it is not such a condition.
    fn conjuncts<'t, 'a>(&self, tokens: &'t [Token<'a>]) -> Option<Vec<&'t [Token<'a>]>> {
        let mut parts = Vec::new();
        // Inside parentheses, `CASE … END`, and behind the BETWEEN whose AND is still to come.
        let (mut depth, mut cases, mut betweens) = (0_usize, 0_usize, 0_usize);
        let mut start = 0;
        for (at, token) in tokens.iter().enumerate() {
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth = depth.checked_sub(1)?;
            } else if depth > 0 {
                continue;
            } else if token.is_word("CASE") {
                cases += 1;
            } else if token.is_word("END") {
                cases = cases.checked_sub(1)?;
            } else if cases > 0 {
                continue;
            } else if token.is_word("BETWEEN") {
                betweens += 1;
            } else if token.is_word("AND") && betweens > 0 {
                betweens -= 1;
            } else if token.is_word("AND") || token.is_symbol("&&") {
                parts.push(&tokens[start..at]);
                start = at + 1;
            } else if token.is_word("OR")
                || token.is_word("XOR")
                || (token.is_symbol("||") && !self.pipes_concat)
                || token.is_symbol(":=")
                || token.is_symbol(";")
            {
                return None;
            }
        }
        parts.push(&tokens[start..]);
        (depth == 0 && cases == 0).then_some(parts)
    }

    /// The values that one part names.
    fn part<'a>(&self, part: &[Token<'a>], parameters: usize) -> Option<Vec<KeyValue<'a>>> {
        if let [open, inner @ .., _] = part
            && open.is_symbol("(")
            && closing(part) == Some(part.len() - 1)
        {
            return self.pinned(inner, parameters);
        }
        if let Some(rest) = self.after_key(part) {
            return match rest {
                [equals, value @ ..] if is_equality(equals) => {
                    Some(vec![self.value(value, parameters)?])
                }
                [word, list @ ..] if word.is_word("IN") => self.list(list, parameters),
                _ => None,
            };
        }
        // A literal first.
        let at = part.iter().position(is_equality)?;
        let (value, key) = (&part[..at], &part[at + 1..]);
        let is_key = self.after_key(key).is_some_and(<[_]>::is_empty);
        is_key.then(|| self.value(value, parameters).map(|value| vec![value]))?
    }

    /// What stands behind the key's name, if that is what stands first.
    fn after_key<'t, 'a>(&self, tokens: &'t [Token<'a>]) -> Option<&'t [Token<'a>]> {
        let is = |token: &Token<'_>, name: &str| {
            let found = token.name(&self.dialect);
            found.is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
        };
        match tokens {
            [table, point, column, rest @ ..] if point.is_symbol(".") => {
                let ours = self.qualifiers.iter().any(|name| is(table, name));
                (ours && is(column, &self.key.name)).then_some(rest)
            }
            [column, rest @ ..] => is(column, &self.key.name).then_some(rest),
            [] => None,
        }
    }

    fn value<'a>(&self, tokens: &[Token<'a>], parameters: usize) -> Option<KeyValue<'a>> {
        self.key.value(tokens, parameters, self.dialect)
    }

    /// The values of `IN (…)`, if all of them are literals.
    fn list<'a>(&self, tokens: &[Token<'a>], parameters: usize) -> Option<Vec<KeyValue<'a>>> {
        let [open, inner @ .., _] = tokens else {
            return None;
        };
        if !open.is_symbol("(") || closing(tokens)? != tokens.len() - 1 {
            return None;
        }
        let mut before = parameters;
        between_commas(inner)
            .into_iter()
            .map(|value| {
                let found = self.value(value, before);
                before += placeholders(value);
                found
            })
            .collect()
    }
}

fn is_equality(token: &Token<'_>) -> bool {
    token.is_symbol("=") || token.is_symbol("<=>")
}

fn placeholders(tokens: &[Token<'_>]) -> usize {
    let is_one = |token: &&Token<'_>| token.kind == TokenKind::Placeholder;
    tokens.iter().filter(is_one).count()
}

#[cfg(test)]
mod tests {
    use super::super::key::KeyType;
    use super::super::tokens::tokens;
    use super::*;
    use crate::Folding;

    fn integer_key() -> KeyColumn {
        KeyColumn {
            name: "k".into(),
            position: 0,
            kind: KeyType::Integer {
                min: i64::MIN.into(),
                max: i64::MAX.into(),
            },
        }
    }

    fn show(found: Option<Vec<KeyValue<'_>>>) -> String {
        let Some(values) = found else {
            return "any".into();
        };
        let shown = values.iter().map(|value| match value {
            KeyValue::Integer(number) => number.to_string(),
            KeyValue::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
            KeyValue::Parameter(number) => format!("?{number}"),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    fn pinned(condition: &str, key: &KeyColumn) -> String {
        let dialect = Dialect::new(101_119);
        let tokens = tokens(condition.as_bytes(), dialect).expect("readable");
        show(pinned_by(&tokens, key, &["t", "x"], 3, dialect, false))
    }

    #[test]
    fn equalities_and_lists_name_values() {
        let key = integer_key();
        for (condition, expected) in [
            ("k = 5", "5"),
            ("5 = K", "5"),
            ("t.k <=> -5", "-5"),
            ("`x`.`k` = + 5 AND v LIKE 'a'", "5"),
            ("k = '17'", "17"),
            ("v = 1 AND (w = ? AND (k = ?)) && u", "?4"),
            ("k IN (1, -2, '3', ?)", "1 -2 3 ?3"),
            ("k IN (1, 2, 3) AND k = 2", "2"),
            ("v BETWEEN 1 AND 2 AND k = 3", "3"),
            ("CASE WHEN v AND k = 4 THEN 1 END AND k = 3", "3"),
            ("v = 'OR' AND k = 3 AND w IN (SELECT 1 OR 2)", "3"),
            ("NOT v AND k = 3", "3"),
        ] {
            assert_eq!(pinned(condition, &key), expected, "{condition}");
        }
    }

    #[test]
    fn what_may_mean_something_else_names_none() {
        let key = integer_key();
        for condition in [
            "",
            "k",
            "k = 5 OR v",
            "k = 5 || v",
            "k = 5 XOR v",
            "(k = 5 OR v) AND w",
            "NOT k = 5",
            "k = 5 = 0",
            "k = 5 IS NULL",
            "k = 5 COLLATE latin1_bin",
            "k = 5 + 0",
            "k = v",
            "k = 5.0",
            "k = 5e0",
            "k = 0x05",
            "k = '05'",
            "k = ' 5'",
            "k = '5a'",
            "k = '1234567890123456'",
            "k = 9223372036854775808",
            "k = NULL",
            "k = - '5'",
            "k <> 5",
            "k NOT IN (5)",
            "k IN (5, v)",
            "k IN (SELECT 5)",
            "k IN (5) = 0",
            "k IN ()",
            "u.k = 5",
            "s.t.k = 5",
            "kk = 5",
            "v BETWEEN 1 AND k = 3",
            "CASE WHEN v THEN w AND k = 4 AND z END",
            "CASE WHEN v THEN w AND k = 4",
            "@a := 1 AND k = 5",
            "(k = 5",
            "k = 5)",
            "(k) = 5",
        ] {
            assert_eq!(pinned(condition, &key), "any", "{condition}");
        }
        // As a string, `||` is no OR.
        let dialect = Dialect::new(101_119);
        let tokens = tokens(b"v || w AND k = 5", dialect).expect("readable");
        let found = pinned_by(&tokens, &key, &[], 0, dialect, true);
        assert_eq!(show(found), "5");
    }

    #[test]
    fn strings_are_compared_with_strings_alone() {
        let key = KeyColumn {
            kind: KeyType::Text {
                folding: Folding::Binary { pads: true },
                max_chars: 4,
            },
            ..integer_key()
        };
        for (condition, expected) in [
            ("k = 'a''b'", "'a'b'"),
            ("k IN ('ä', ?)", "'ä' ?3"),
            ("k = 5", "any"),
            ("k = N'a'", "any"),
            ("k = _latin1'a'", "any"),
            ("k = 'a' 'b'", "any"),
            ("k = X'61'", "any"),
            ("k = 'abcde'", "any"),
            ("k = \"a\"", "'a'"),
        ] {
            assert_eq!(pinned(condition, &key), expected, "{condition}");
        }
    }
}
