//! The lexer: a statement's bytes as tokens.

use crate::scan::{self, is_digit, is_space, is_word};
use crate::token::TokenKind as Kind;
use crate::{Dialect, Token};

/// Splits a text into tokens, white space and comments included: put together again they are the
/// text. The content of executable comments comes as tokens, between their marks.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    dialect: Dialect,
    expected: Expected,
    in_executable: bool,
}

/// What is to be known of the tokens before to read on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    expected: Expected,
    in_executable: bool,
}

impl State {
    /// At the start of a text.
    pub(crate) const NEW: Self = Self {
        expected: Expected::Anything,
        in_executable: false,
    };
}

/// What the next token must be because of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Anything,
    /// The point between two parts of a name, also where a number could begin with it.
    Point,
    /// A part of a name, also where it looks like a number or the begin of a string.
    Name,
}

impl<'a> Lexer<'a> {
    /// Begins at the start of `text`.
    #[must_use]
    pub const fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self {
            text,
            at: 0,
            dialect,
            expected: Expected::Anything,
            in_executable: false,
        }
    }

    /// Begins at the start of what follows tokens that left off in `state`.
    pub(crate) const fn resume(text: &'a [u8], dialect: Dialect, state: State) -> Self {
        Self {
            text,
            at: 0,
            dialect,
            expected: state.expected,
            in_executable: state.in_executable,
        }
    }

    /// Where the tokens so far leave off.
    pub(crate) const fn state(&self) -> State {
        State {
            expected: self.expected,
            in_executable: self.in_executable,
        }
    }

    /// How many bytes have been read.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Whether the next token stands inside an executable comment. A text that ends so is a
    /// syntax error.
    #[must_use]
    pub const fn in_executable_comment(&self) -> bool {
        self.in_executable
    }

    /// The next token that is neither white space nor a comment or its mark.
    pub fn next_significant(&mut self) -> Option<Token<'a>> {
        self.find(|token| token.kind.is_significant())
    }

    /// Kind and length of the token that begins `rest`, whose first byte is `first`.
    fn token(&mut self, first: u8, rest: &[u8]) -> (Kind, usize) {
        let expected = std::mem::replace(&mut self.expected, Expected::Anything);
        let second = rest.get(1).copied().unwrap_or(0);
        match first {
            _ if expected == Expected::Name && is_word(first) => self.word(rest),
            b'.' if expected == Expected::Point || !matches!(second, b'0'..=b'9' | b'.') => {
                self.expected = Expected::Name;
                (Kind::Symbol, 1)
            }
            b'.' if second == b'.' => (Kind::Symbol, 2),
            b'.' => scan::fraction(rest, 1),
            _ if is_space(first) => (Kind::Space, scan::run(rest, is_space)),
            b'\'' => self.string(rest, 0),
            b'"' if !self.dialect.ansi_quotes => self.string(rest, 0),
            b'"' | b'`' => self.quoted_name(rest, 0),
            b'n' | b'N' if second == b'\'' => self.string(rest, 1),
            b'x' | b'X' if second == b'\'' => scan::hex_string(rest),
            b'b' | b'B' if second == b'\'' => scan::bit_string(rest),
            b'0'..=b'9' => match scan::number(rest) {
                Some(number) => number,
                None => self.word(rest),
            },
            _ if is_word(first) => self.word(rest),
            b'#' => (Kind::Comment, scan::line(rest)),
            b'-' if second == b'-' && scan::ends_dashes(rest.get(2)) => {
                (Kind::Comment, scan::line(rest))
            }
            b'/' if second == b'*' => self.comment(rest),
            b'*' if second == b'/' && self.in_executable => {
                self.in_executable = false;
                (Kind::ExecutableEnd, 2)
            }
            b'@' if second == b'@' => self.system_variable(rest),
            b'@' => self.user_variable(second, rest),
            b'?' => (Kind::Placeholder, 1),
            0 => (Kind::Invalid, rest.len()),
            _ => (Kind::Symbol, scan::operator(rest)),
        }
    }

    /// A keyword, or a name without quotes; a point right behind it belongs to the name.
    fn word(&mut self, rest: &[u8]) -> (Kind, usize) {
        let length = scan::word(rest, self.dialect.encoding);
        if rest.get(length) == Some(&b'.') && rest.get(length + 1).is_some_and(|&b| is_word(b)) {
            self.expected = Expected::Point;
        }
        (Kind::Word, length)
    }

    fn string(&self, rest: &[u8], quote_at: usize) -> (Kind, usize) {
        match scan::string(rest, quote_at, &self.dialect) {
            Some(length) => (Kind::String, length),
            None => (Kind::Invalid, rest.len()),
        }
    }

    fn quoted_name(&self, rest: &[u8], quote_at: usize) -> (Kind, usize) {
        match scan::quoted_name(rest, quote_at, self.dialect.encoding) {
            Some(length) => (Kind::QuotedName, length),
            None => (Kind::Invalid, rest.len()),
        }
    }

    fn user_variable(&self, second: u8, rest: &[u8]) -> (Kind, usize) {
        let (kind, length) = match second {
            b'\'' => self.string(rest, 1),
            b'"' if !self.dialect.ansi_quotes => self.string(rest, 1),
            b'"' | b'`' => self.quoted_name(rest, 1),
            _ => (Kind::UserVariable, 1 + scan::run(&rest[1..], is_host_byte)),
        };
        match kind {
            Kind::Invalid => (Kind::Invalid, length),
            _ => (Kind::UserVariable, length),
        }
    }

    fn system_variable(&mut self, rest: &[u8]) -> (Kind, usize) {
        if rest.get(2) == Some(&b'`') {
            return match self.quoted_name(rest, 2) {
                (Kind::Invalid, length) => (Kind::Invalid, length),
                (_, length) => (Kind::SystemVariable, length),
            };
        }
        let length = 2 + scan::run(&rest[2..], is_word);
        if length == 2 {
            return (Kind::Invalid, rest.len());
        }
        if rest.get(length) == Some(&b'.') {
            self.expected = Expected::Point;
        }
        (Kind::SystemVariable, length)
    }

    /// A comment in `/*`, or the begin of one whose content is run.
    fn comment(&mut self, rest: &[u8]) -> (Kind, usize) {
        let (mark, is_mariadb) = match rest.get(2..) {
            Some([b'!', ..]) => (3, false),
            Some([b'M', b'!', ..]) => (4, true),
            _ => return comment_or_invalid(scan::block_comment(rest, 2, false), rest),
        };
        let digits = scan::run(&rest[mark..rest.len().min(mark + 6)], is_digit);
        if digits >= 5 {
            let version = number_of(&rest[mark..mark + digits]);
            // MySQL 5.7 and later are another server; what is meant for them is not for us.
            let is_other = !is_mariadb && (50_700..=99_999).contains(&version);
            if is_other || version > self.dialect.server_version {
                return comment_or_invalid(scan::block_comment(rest, mark, true), rest);
            }
            self.in_executable = true;
            return (Kind::ExecutableStart, mark + digits);
        }
        self.in_executable = true;
        (Kind::ExecutableStart, mark)
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = &self.text[self.at..];
        let (kind, length) = self.token(*rest.first()?, rest);
        self.at += length;
        Some(Token {
            kind,
            text: &rest[..length],
        })
    }
}

fn comment_or_invalid(length: Option<usize>, rest: &[u8]) -> (Kind, usize) {
    match length {
        Some(length) => (Kind::Comment, length),
        None => (Kind::Invalid, rest.len()),
    }
}

/// The number that at most six digits mean.
fn number_of(digits: &[u8]) -> u32 {
    let value = |number, digit: &u8| number * 10 + u32::from(digit - b'0');
    digits.iter().fold(0, value)
}

/// What the name of a variable without quotes consists of.
const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$')
}
