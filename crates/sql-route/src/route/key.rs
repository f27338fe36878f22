//! The column that rows are distributed by, and values that are written out for it.

use std::borrow::Cow;

use crate::{Dialect, Folding, Partitions, Token, TokenKind};

/// The column that the rows of a table are distributed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// Which column of the table it is, from 0.
    pub position: usize,
    /// What it holds.
    pub kind: KeyType,
}

impl KeyType {
    /// SQL that gives the partition of a row, by the column's name in quotes.
    #[must_use]
    pub fn partition_sql(&self, column: &str, partitions: Partitions) -> String {
        match self {
            Self::Integer { .. } => partitions.integer_sql(column),
            Self::Text { folding, .. } => partitions.text_sql(column, *folding),
        }
    }
}

/// What a distribution column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// Whole numbers.
    Integer {
        /// The least that fits.
        min: i128,
        /// The greatest that fits.
        max: i128,
    },
    /// Strings whose literals come in the column's own character set.
    Text {
        /// Which of them are equal.
        folding: Folding,
        /// How many characters fit.
        max_chars: usize,
    },
}

/// A value of a distribution column, as a statement has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValue<'a> {
    /// A whole number.
    Integer(i128),
    /// A string.
    Text(Cow<'a, [u8]>),
    /// The parameter of that number, from 0, of a prepared statement.
    Parameter(usize),
}

/// Digits up to which a string means a whole number whatever the server converts it to.
const EXACT_DIGITS: usize = 15;

impl KeyColumn {
    /// The value that these tokens write out, if they are one literal whose row is known by it: the
    /// same value is stored, and compared, by the server. `parameters` stand before them.
    #[must_use]
    pub fn value<'a>(
        &self,
        tokens: &[Token<'a>],
        parameters: usize,
        dialect: Dialect,
    ) -> Option<KeyValue<'a>> {
        if let [token] = tokens
            && token.kind == TokenKind::Placeholder
        {
            return Some(KeyValue::Parameter(parameters));
        }
        match self.kind {
            KeyType::Integer { .. } => self.integer(integer(tokens, dialect)?),
            KeyType::Text { max_chars, .. } => {
                let [token] = tokens else { return None };
                // `N'…'` has a character set of its own.
                let text = token
                    .string(&dialect)
                    .filter(|_| token.text[0] != b'N' && token.text[0] != b'n')?;
                fits(&text, max_chars).then_some(KeyValue::Text(text))
            }
        }
    }

    /// The value that a whole number is to it, as when it is written out as one.
    #[must_use]
    pub fn integer(&self, number: i128) -> Option<KeyValue<'static>> {
        match self.kind {
            KeyType::Integer { min, max } => (min..=max)
                .contains(&number)
                .then_some(KeyValue::Integer(number)),
            KeyType::Text { .. } => None,
        }
    }

    /// The value that a text is to a column of texts, as when it is written out as a string.
    #[must_use]
    pub fn text<'a>(&self, text: &'a [u8]) -> Option<KeyValue<'a>> {
        match self.kind {
            KeyType::Integer { .. } => None,
            KeyType::Text { max_chars, .. } => {
                fits(text, max_chars).then_some(KeyValue::Text(Cow::Borrowed(text)))
            }
        }
    }

    /// The partition of a value; `None` for a parameter, which must be put in its place before.
    #[must_use]
    pub fn partition(&self, value: &KeyValue<'_>, partitions: Partitions) -> Option<u16> {
        match (self.kind, value) {
            (KeyType::Integer { .. }, KeyValue::Integer(number)) => {
                Some(partitions.of_integer(*number))
            }
            (KeyType::Text { folding, .. }, KeyValue::Text(text)) => {
                Some(partitions.of_text(text, folding))
            }
            _ => None,
        }
    }
}

fn fits(text: &[u8], max_chars: usize) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.chars().count() <= max_chars)
}

/// A literal that is a whole number to the server wherever it stands.
fn integer(tokens: &[Token<'_>], dialect: Dialect) -> Option<i128> {
    let (sign, token) = match tokens {
        [token] => (1, token),
        [sign, token] if sign.is_symbol("-") => (-1, token),
        [sign, token] if sign.is_symbol("+") => (1, token),
        _ => return None,
    };
    match token.kind {
        TokenKind::Integer => {
            let text = std::str::from_utf8(token.text).ok()?;
            Some(sign * text.parse::<i128>().ok()?)
        }
        TokenKind::String if tokens.len() == 1 => {
            let text = token.string(&dialect)?;
            let text = std::str::from_utf8(&text).ok()?;
            let number = text.parse::<i128>().ok()?;
            // Nothing but what is written so: no zeros before it, no sign that says nothing.
            (text.len() <= EXACT_DIGITS && number.to_string() == text).then_some(number)
        }
        _ => None,
    }
}
