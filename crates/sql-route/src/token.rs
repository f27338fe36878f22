//! Tokens, and what quoted ones mean.

use std::borrow::Cow;

use crate::{Dialect, Encoding};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// White space.
    Space,
    /// A comment whose content the server skips: `# …`, `-- …`, `/* … */`, and `/*!99999 … */` for
    /// another server.
    Comment,
    /// The begin of a comment whose content the server runs: `/*!`, `/*!50101`, `/*M!100100`.
    ExecutableStart,
    /// The end of such a comment: `*/`.
    ExecutableEnd,
    /// A keyword or a name without quotes.
    Word,
    /// A name in backticks, or in double quotes under `ANSI_QUOTES`.
    QuotedName,
    /// A string, with the `N` before it if there is one.
    String,
    /// `0x1F` or `X'1F'`.
    Hex,
    /// `0b01` or `B'01'`.
    Bit,
    /// Digits.
    Integer,
    /// Digits with a point.
    Decimal,
    /// A number with an exponent.
    Float,
    /// `@name`, its name in quotes or not; also the host of an account as in `bob@localhost`.
    UserVariable,
    /// `@@name`; what follows a point is a token of its own.
    SystemVariable,
    /// `?`.
    Placeholder,
    /// An operator or a sign: `<=>`, `(`, `;`, …
    Symbol,
    /// Something after which the server reports a syntax error, whatever follows: quotes or a
    /// comment without an end, a NUL byte. Reaches to the end of the text.
    Invalid,
}

impl TokenKind {
    /// Whether the server sees something here: neither white space nor comment, nor the marks
    /// around the content of an executable comment.
    #[must_use]
    pub const fn is_significant(self) -> bool {
        !matches!(
            self,
            Self::Space | Self::Comment | Self::ExecutableStart | Self::ExecutableEnd
        )
    }
}

/// A piece of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind,
    /// Its bytes as they stand in the text; never empty.
    pub text: &'a [u8],
}

impl<'a> Token<'a> {
    /// Whether it is that word without quotes, in any case.
    #[must_use]
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    /// Whether it is that operator or sign.
    #[must_use]
    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol.as_bytes()
    }

    /// The name that it is, without quotes; `None` for anything but words and quoted names.
    /// Whether a word is a keyword instead depends on where it stands.
    #[must_use]
    pub fn name(&self, dialect: &Dialect) -> Option<Cow<'a, [u8]>> {
        match (self.kind, self.text) {
            (TokenKind::Word, text) => Some(Cow::Borrowed(text)),
            (TokenKind::QuotedName, [quote, inner @ .., _]) => {
                Some(unquoted(inner, *quote, false, dialect.encoding))
            }
            _ => None,
        }
    }

    /// The content of a string, without quotes and escapes; `None` for anything else.
    #[must_use]
    pub fn string(&self, dialect: &Dialect) -> Option<Cow<'a, [u8]>> {
        if self.kind != TokenKind::String {
            return None;
        }
        let text = match self.text {
            [b'n' | b'N', text @ ..] | text => text,
        };
        let [quote, inner @ .., _] = text else {
            return None;
        };
        let escapes = !dialect.no_backslash_escapes;
        Some(unquoted(inner, *quote, escapes, dialect.encoding))
    }
}

/// What stands between quotes, each doubled quote made one and, with `escapes`, backslashes
/// resolved.
fn unquoted(inner: &[u8], quote: u8, escapes: bool, encoding: Encoding) -> Cow<'_, [u8]> {
    let escape = if escapes { b'\\' } else { quote };
    if memchr::memchr2(quote, escape, inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut value = Vec::with_capacity(inner.len());
    let mut at = 0;
    while at < inner.len() {
        let length = encoding.char_len(&inner[at..]);
        match inner[at] {
            byte if length == 1 && byte == quote => {
                value.push(byte);
                at += 2;
            }
            b'\\' if length == 1 && escapes => {
                match inner.get(at + 1) {
                    // LIKE needs to see these escaped.
                    Some(&byte @ (b'%' | b'_')) => value.extend([b'\\', byte]),
                    Some(&byte) => value.push(meaning(byte)),
                    None => {}
                }
                at += 2;
            }
            _ => {
                value.extend_from_slice(&inner[at..at + length]);
                at += length;
            }
        }
    }
    Cow::Owned(value)
}

/// What a character means behind a backslash.
const fn meaning(byte: u8) -> u8 {
    match byte {
        b'0' => 0,
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'r' => b'\r',
        b'Z' => 26,
        other => other,
    }
}
