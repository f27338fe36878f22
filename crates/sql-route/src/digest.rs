//! The text of a statement without its values, by which statements of one kind are recognised.

use crate::{Token, TokenKind};

/// Normalised texts are cut to this many bytes. Statements that differ only behind them are taken
/// for the same.
pub const DIGEST_TEXT: usize = 1024;

/// Takes the tokens of a statement and makes its normalised text: values are `?`, lists of values
/// after `IN` and `VALUES` are `...`, rows alike follow one another once, white space is one
/// space or none, comments are left out. It keeps its buffer from statement to statement.
#[derive(Clone, Debug, Default)]
pub struct DigestReader {
    text: Vec<u8>,
    last: Last,
    /// What has been read and is written when it is known what follows.
    comma: bool,
    sign: Option<u8>,
    /// Parentheses that are open.
    depth: u32,
    /// Depth of the content of a list whose values are left out; 0 if there is none.
    list: u32,
    /// Outside of the rows of `VALUES`, one more than their depth there; 0 if there are none.
    rows: u32,
    /// Where the row that is read begins, and the row before it begins and ends.
    row: usize,
    previous_row: Option<(usize, usize)>,
}

/// What was written last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Start,
    /// `IN`, `VALUES`, `VALUE`: a list may follow.
    ListWord,
    Word,
    String,
    Value,
    /// `...`
    Values,
    Open,
    Close,
    Comma,
    Dot,
    Operator,
}

impl DigestReader {
    /// Begins a statement.
    pub fn begin(&mut self) {
        self.text.clear();
        *self = Self {
            text: std::mem::take(&mut self.text),
            ..Self::default()
        };
    }

    /// Whether what follows makes no difference anymore.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.text.len() >= DIGEST_TEXT
    }

    /// The normalised text so far.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text[..self.text.len().min(DIGEST_TEXT)]
    }

    /// A number for the normalised text, the same for texts that differ in the case of letters
    /// alone.
    #[must_use]
    pub fn hash(&self) -> u64 {
        hash(self.text())
    }

    /// Takes the next token.
    #[inline]
    pub fn push(&mut self, token: &Token<'_>) {
        if self.is_full() {
            return;
        }
        match token.kind {
            TokenKind::Space
            | TokenKind::Comment
            | TokenKind::ExecutableStart
            | TokenKind::ExecutableEnd => {}
            TokenKind::Word => self.word(token),
            TokenKind::QuotedName | TokenKind::UserVariable | TokenKind::SystemVariable => {
                self.write(token.text, Last::Word);
            }
            TokenKind::String => self.value(Last::String),
            TokenKind::Hex
            | TokenKind::Bit
            | TokenKind::Integer
            | TokenKind::Decimal
            | TokenKind::Float
            | TokenKind::Placeholder => self.value(Last::Value),
            TokenKind::Symbol => self.symbol(token.text),
            // What cannot be read may hold anything.
            TokenKind::Invalid => self.write(b"?", Last::Value),
        }
    }

    fn word(&mut self, token: &Token<'_>) {
        let is = |word: &str| token.text.eq_ignore_ascii_case(word.as_bytes());
        let last = match token.text.len() {
            _ if self.last == Last::Dot => Last::Word,
            2 if is("IN") => Last::ListWord,
            4 if self.in_list() && (is("NULL") || is("TRUE")) => return self.value(Last::Value),
            5 if self.in_list() && is("FALSE") => return self.value(Last::Value),
            7 if self.in_list() && is("DEFAULT") => return self.value(Last::Value),
            5 | 6 if is("VALUE") || is("VALUES") => {
                self.rows = self.depth + 1;
                self.previous_row = None;
                self.write(token.text, Last::ListWord);
                return;
            }
            _ => Last::Word,
        };
        if self.depth + 1 == self.rows {
            self.rows = 0;
        }
        self.write(token.text, last);
    }

    /// Whether values here are those of a list.
    fn in_list(&self) -> bool {
        self.list > 0 && self.depth == self.list
    }

    fn value(&mut self, kind: Last) {
        self.sign = None;
        if self.in_list() {
            let follows = self.last == Last::Values && (self.comma || kind == Last::String);
            if follows {
                self.comma = false;
            } else {
                self.write(b"...", Last::Values);
            }
        } else if kind != Last::String || self.last != Last::String {
            self.write(b"?", kind);
        }
    }

    fn symbol(&mut self, symbol: &[u8]) {
        match symbol {
            b"(" => {
                let is_row = self.depth + 1 == self.rows
                    && (self.last == Last::ListWord || self.last == Last::Comma || self.comma);
                let is_list = self.last == Last::ListWord || is_row;
                self.write(symbol, Last::Open);
                self.depth += 1;
                if is_list {
                    self.list = self.depth;
                }
                if is_row {
                    self.row = self.text.len() - 1;
                }
            }
            b")" => {
                let was_list = self.in_list();
                self.write(symbol, Last::Close);
                self.depth = self.depth.saturating_sub(1);
                if was_list {
                    self.list = 0;
                }
                if self.depth + 1 == self.rows {
                    self.row_ends();
                }
            }
            b"," if self.last == Last::Values => self.comma = true,
            b"," => self.write(symbol, Last::Comma),
            b"." => self.write(symbol, Last::Dot),
            b"-" | b"+"
                if self.sign.is_none()
                    && (self.comma
                        || matches!(
                            self.last,
                            Last::Start | Last::Open | Last::Comma | Last::Operator
                        )) =>
            {
                self.sign = Some(symbol[0]);
            }
            _ => self.write(symbol, Last::Operator),
        }
    }

    /// A row that is as the one before is left out.
    fn row_ends(&mut self) {
        let row = (self.row, self.text.len());
        match self.previous_row {
            Some((start, end)) if self.text[start..end] == self.text[row.0..row.1] => {
                self.text.truncate(end);
            }
            _ => self.previous_row = Some(row),
        }
    }

    #[inline]
    fn write(&mut self, text: &[u8], what: Last) {
        if std::mem::take(&mut self.comma) {
            self.text.push(b',');
            self.last = Last::Comma;
        }
        if let Some(sign) = self.sign.take() {
            self.write(&[sign], Last::Operator);
        }
        let joins = matches!(self.last, Last::Start | Last::Open | Last::Dot)
            || matches!(what, Last::Close | Last::Comma | Last::Dot);
        if !joins {
            self.text.push(b' ');
        }
        // A word may be as long as a packet.
        self.text
            .extend_from_slice(&text[..text.len().min(DIGEST_TEXT)]);
        self.last = what;
    }
}

/// Eight bytes at a time, letters in one case.
fn hash(text: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    const SMALL: u64 = 0x2020_2020_2020_2020;
    let mut hash = text.len() as u64;
    let mut add = |bytes: [u8; 8]| {
        hash = (hash ^ (u64::from_le_bytes(bytes) | SMALL)).wrapping_mul(FACTOR);
        hash ^= hash >> 29;
    };
    let (chunks, rest) = text.as_chunks();
    chunks.iter().for_each(|chunk| add(*chunk));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    add(last);
    hash.wrapping_mul(FACTOR) ^ (hash >> 32)
}
