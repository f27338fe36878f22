//! A lexer for texts that arrive in pieces and are not kept.

use crate::lexer::State;
use crate::{Dialect, Encoding, Lexer, Token, TokenKind};

/// How far behind a token the lexer may look to see where it ends.
const LOOK_AHEAD: usize = 8;
/// A token that goes on beyond this is cut short.
const PATIENCE: usize = 1024;
/// The longest that a token's beginning is that says what it is: `/*M!100100/*`.
const LONGEST_OPENING: usize = 12;

/// Splits a text that arrives in pieces into tokens, of which it keeps no more than a kilobyte.
/// What is longer comes out with most of its middle left out.
#[derive(Clone, Debug)]
pub struct PieceLexer {
    dialect: Dialect,
    state: State,
    /// Bytes whose token is not complete.
    rest: Vec<u8>,
    /// A token made the text one that servers refuse, whatever follows.
    is_invalid: bool,
}

impl PieceLexer {
    /// Begins a text.
    #[must_use]
    pub const fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            state: State::NEW,
            rest: Vec::new(),
            is_invalid: false,
        }
    }

    /// Takes the next piece and hands the tokens that are complete to `sink`.
    pub fn push(&mut self, piece: &[u8], sink: impl FnMut(&Token<'_>)) {
        if !self.is_invalid {
            self.rest.extend_from_slice(piece);
            self.advance(false, sink);
        }
    }

    /// The text is complete: hands the last tokens to `sink`.
    pub fn end(&mut self, sink: impl FnMut(&Token<'_>)) {
        self.advance(true, sink);
    }

    fn advance(&mut self, is_end: bool, mut sink: impl FnMut(&Token<'_>)) {
        let mut at = 0;
        loop {
            let rest = &self.rest[at..];
            let mut lexer = Lexer::resume(rest, self.dialect, self.state);
            let Some(token) = lexer.next() else { break };
            let is_clear = is_end
                || token.kind == TokenKind::Space
                || rest.len() >= token.text.len() + LOOK_AHEAD;
            if !is_clear {
                if rest.len() < PATIENCE {
                    break;
                }
                if let Some(short) = shortened(&token, &self.dialect) {
                    self.rest.drain(..at);
                    return short.replace(&mut self.rest);
                }
            }
            self.state = lexer.state();
            self.is_invalid |= token.kind == TokenKind::Invalid;
            at += token.text.len();
            sink(&token);
        }
        self.rest.drain(..at);
    }
}

/// The beginning and the end of a token that is not complete, which together leave the lexer
/// where the whole of it does.
struct Shortened {
    opening: [u8; LONGEST_OPENING],
    opening_len: usize,
    /// Where the end begins.
    end: usize,
}

impl Shortened {
    fn new(opening: &[u8], end: usize) -> Self {
        let mut kept = [0; LONGEST_OPENING];
        kept[..opening.len()].copy_from_slice(opening);
        Self {
            opening: kept,
            opening_len: opening.len(),
            end,
        }
    }

    fn replace(&self, text: &mut Vec<u8>) {
        let opening = self.opening[..self.opening_len].iter().copied();
        text.splice(..self.end, opening);
    }
}

/// How to shorten a token that may go on; `None` where that cannot be.
fn shortened(token: &Token<'_>, dialect: &Dialect) -> Option<Shortened> {
    let text = token.text;
    let quoted = |opening: usize| {
        let quote = text[opening - 1];
        let is_name = quote == b'`' || (quote == b'"' && dialect.ansi_quotes);
        let escape = if is_name || dialect.no_backslash_escapes {
            quote
        } else {
            b'\\'
        };
        if is_name && text.contains(&0) {
            return None;
        }
        let end = inside_quotes(text, opening, quote, escape, dialect.encoding);
        Some(Shortened::new(&text[..opening], end))
    };
    match (token.kind, text) {
        (TokenKind::Comment, [b'#', ..]) => Some(Shortened::new(b"#", text.len())),
        (TokenKind::Comment, [b'-', ..]) => Some(Shortened::new(b"-- ", text.len())),
        (TokenKind::Integer | TokenKind::Hex | TokenKind::Bit, [a, b, ..]) if *b != b'\'' => {
            Some(Shortened::new(&[*a, *b], text.len() - 2))
        }
        (TokenKind::Word, _) => Some(word(text, dialect.encoding)),
        (_, [b'\'' | b'"' | b'`', ..]) => quoted(1),
        (_, [b'n' | b'N', b'\'', ..] | [b'@', b'\'' | b'"' | b'`', ..]) => quoted(2),
        (_, [b'@', b'@', b'`', ..]) => quoted(3),
        (TokenKind::Invalid, [b'/', b'*', ..]) => Some(comment(text)),
        (TokenKind::Invalid, [mark, b'\'', digits @ ..]) => {
            let all = digits.iter().all(u8::is_ascii_hexdigit);
            // Pairs are left out, for an odd number of digits is an error.
            all.then(|| Shortened::new(&[*mark, b'\''], text.len() - digits.len() % 2))
        }
        _ => None,
    }
}

/// A place near the end of a text in quotes, which begins behind `at`, that is neither inside a
/// character nor behind an escape.
fn inside_quotes(text: &[u8], at: usize, quote: u8, escape: u8, encoding: Encoding) -> usize {
    let limit = text.len() - 2;
    let mut at = at;
    loop {
        let next = match encoding {
            Encoding::AsciiCompatible => match memchr::memchr2(quote, escape, &text[at..]) {
                Some(distance) => at + distance + 2,
                None => return limit,
            },
            _ => match encoding.char_len(&text[at..]) {
                1 if text[at] == quote || text[at] == escape => at + 2,
                length => at + length,
            },
        };
        if next > limit {
            // A place before the escape will do, as will any that is not behind one.
            return match encoding {
                Encoding::AsciiCompatible => limit.min(next - 2),
                _ => at,
            };
        }
        at = next;
    }
}

/// A word without its middle.
fn word(text: &[u8], encoding: Encoding) -> Shortened {
    let (mut opening, mut at) = (0, 0);
    while at < text.len() - 4 {
        at += encoding.char_len(&text[at..]);
        if at <= LONGEST_OPENING {
            opening = at;
        }
    }
    Shortened::new(&text[..opening], at)
}

/// A comment without its end; one for another server may have a comment inside.
fn comment(text: &[u8]) -> Shortened {
    let mark = match text {
        [b'/', b'*', b'!', ..] => 3,
        [b'/', b'*', b'M', b'!', ..] => 4,
        // With something behind it that keeps it from becoming an executable one.
        _ => return Shortened::new(b"/* ", text.len() - 1),
    };
    let digits = text[mark..].iter().take(6);
    let digits = digits.take_while(|byte| byte.is_ascii_digit()).count();
    let mut opening = text[..mark + digits].to_vec();
    let mut at = opening.len();
    let mut is_nested = false;
    let limit = text.len() - 1;
    let next = |at: usize| memchr::memchr2(b'*', b'/', text.get(at..limit)?);
    while let Some(distance) = next(at) {
        at += distance;
        match text[at..] {
            [b'/', b'*', ..] if !is_nested => {
                is_nested = true;
                at += 2;
            }
            [b'*', b'/', ..] if is_nested => {
                is_nested = false;
                at += 2;
            }
            _ => at += 1,
        }
    }
    // Digits behind the mark would be taken for its version.
    opening.push(b' ');
    if is_nested {
        opening.pop();
        opening.extend_from_slice(b"/*");
    }
    Shortened::new(&opening, at.max(limit))
}
