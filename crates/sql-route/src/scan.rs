//! How far the token reaches that begins a text. Each function is given the text from the token's
//! first byte on and answers with its length.

use crate::token::TokenKind as Kind;
use crate::{Dialect, Encoding};

/// Bytes of names without quotes; all bytes of characters beyond ASCII are.
const WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let ascii = byte as u8;
        table[byte] =
            byte >= 0x80 || ascii.is_ascii_alphanumeric() || ascii == b'_' || ascii == b'$';
        byte += 1;
    }
    table
};

pub(crate) const fn is_word(byte: u8) -> bool {
    WORD[byte as usize]
}

pub(crate) const fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

pub(crate) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// How many bytes of one kind a text begins with.
pub(crate) fn run(text: &[u8], is_of: impl Fn(u8) -> bool) -> usize {
    let end = text.iter().position(|&byte| !is_of(byte));
    end.unwrap_or(text.len())
}

/// A keyword or a name without quotes.
pub(crate) fn word(text: &[u8], encoding: Encoding) -> usize {
    if encoding == Encoding::AsciiCompatible {
        return run(text, is_word);
    }
    let mut at = 0;
    while at < text.len() && is_word(text[at]) {
        at += encoding.char_len(&text[at..]);
    }
    at
}

/// A string whose quote is at `quote_at`; `None` when it does not end.
pub(crate) fn string(text: &[u8], quote_at: usize, dialect: &Dialect) -> Option<usize> {
    let quote = text[quote_at];
    let escape = if dialect.no_backslash_escapes {
        quote
    } else {
        b'\\'
    };
    let mut at = quote_at + 1;
    loop {
        match dialect.encoding {
            Encoding::AsciiCompatible => at += memchr::memchr2(quote, escape, text.get(at..)?)?,
            // Character by character: the second byte of one may look like a quote.
            encoding => {
                let byte = *text.get(at)?;
                let length = encoding.char_len(&text[at..]);
                if length > 1 || (byte != quote && byte != escape) {
                    at += length;
                    continue;
                }
            }
        }
        if text[at] != quote {
            // The escaped character itself may begin a longer one, as the server has it.
            at += 2;
        } else if text.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return Some(at + 1);
        }
    }
}

/// A name whose quote is at `quote_at`; `None` when it does not end, or has a NUL byte.
pub(crate) fn quoted_name(text: &[u8], quote_at: usize, encoding: Encoding) -> Option<usize> {
    let quote = text[quote_at];
    let mut at = quote_at + 1;
    loop {
        let byte = *text.get(at)?;
        let length = encoding.char_len(&text[at..]);
        if byte == 0 {
            return None;
        } else if length > 1 || byte != quote {
            at += length;
        } else if text.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return Some(at + 1);
        }
    }
}

/// `X'…'`: pairs of hexadecimal digits.
pub(crate) fn hex_string(text: &[u8]) -> (Kind, usize) {
    let digits = run(&text[2..], |byte| byte.is_ascii_hexdigit());
    if text.get(2 + digits) == Some(&b'\'') && digits % 2 == 0 {
        (Kind::Hex, digits + 3)
    } else {
        (Kind::Invalid, text.len())
    }
}

/// `B'…'`.
pub(crate) fn bit_string(text: &[u8]) -> (Kind, usize) {
    let digits = run(&text[2..], is_bit);
    if text.get(2 + digits) == Some(&b'\'') {
        (Kind::Bit, digits + 3)
    } else {
        (Kind::Invalid, text.len())
    }
}

/// What begins with a digit; `None` when it is a name.
pub(crate) fn number(text: &[u8]) -> Option<(Kind, usize)> {
    let at = |place: usize| text.get(place).copied().unwrap_or(0);
    let prefixed = |kind, is_of: fn(u8) -> bool| {
        let end = 2 + run(&text[2..], is_of);
        (end > 2 && !is_word(at(end))).then_some((kind, end))
    };
    match text {
        [b'0', b'x', ..] => return prefixed(Kind::Hex, |byte| byte.is_ascii_hexdigit()),
        [b'0', b'b', ..] => return prefixed(Kind::Bit, is_bit),
        _ => {}
    }
    let end = run(text, is_digit);
    match at(end) {
        b'.' if at(end + 1) != b'.' => Some(fraction(text, end + 1)),
        b'e' | b'E' => {
            let sign = usize::from(matches!(at(end + 1), b'+' | b'-'));
            let digits = end + 1 + sign;
            let length = digits + run(text.get(digits..).unwrap_or_default(), is_digit);
            (length > digits).then_some((Kind::Float, length))
        }
        other => (!is_word(other)).then_some((Kind::Integer, end)),
    }
}

/// A number from behind its point on.
pub(crate) fn fraction(text: &[u8], from: usize) -> (Kind, usize) {
    let digits = |from: usize| from + run(text.get(from..).unwrap_or_default(), is_digit);
    let end = digits(from);
    if !matches!(text.get(end), Some(b'e' | b'E')) {
        return (Kind::Decimal, end);
    }
    let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
    let length = digits(end + 1 + sign);
    if length > end + 1 + sign {
        (Kind::Float, length)
    } else {
        (Kind::Invalid, text.len())
    }
}

/// A comment to the end of the line, which is not part of it.
pub(crate) fn line(text: &[u8]) -> usize {
    memchr::memchr2(b'\n', 0, text).unwrap_or(text.len())
}

/// Whether what follows `--` makes it a comment: white space, a control character, or nothing.
pub(crate) fn ends_dashes(byte: Option<&u8>) -> bool {
    byte.is_none_or(|byte| *byte == b' ' || byte.is_ascii_control())
}

/// A comment that the server skips, its content from `at` on; `None` when it does not end. One
/// for another server may have a comment inside.
pub(crate) fn block_comment(text: &[u8], at: usize, may_nest: bool) -> Option<usize> {
    let mut at = at;
    loop {
        at += memchr::memchr2(b'*', b'/', text.get(at..)?)?;
        match text[at..] {
            [b'*', b'/', ..] => return Some(at + 2),
            [b'/', b'*', ..] if may_nest => at = block_comment(text, at + 2, false)?,
            _ => at += 1,
        }
    }
}

/// An operator or a sign.
pub(crate) fn operator(text: &[u8]) -> usize {
    match text {
        [b'<', b'=', b'>', ..] => 3,
        [b'<', b'=' | b'>' | b'<', ..]
        | [b'>', b'=' | b'>', ..]
        | [b'!', b'=', ..]
        | [b'&', b'&', ..]
        | [b'|', b'|', ..]
        | [b':', b'=', ..]
        // NULL as LOAD DATA and old clients write it.
        | [b'\\', b'N', ..] => 2,
        _ => 1,
    }
}

const fn is_bit(byte: u8) -> bool {
    matches!(byte, b'0' | b'1')
}
