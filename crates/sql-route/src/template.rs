//! Remembers what texts were, to know texts again that differ in their values alone: programs send
//! the same few statements over and over.

use crate::scan::{is_digit, run};
use crate::{Dialect, Encoding, Token, TokenKind};

/// Texts remembered at once.
const TEMPLATES: usize = 16;
/// Longer texts are not remembered, in bytes.
const LONGEST: usize = 512;
/// Nor are texts with more values.
const MOST_VALUES: usize = 32;

/// Some texts that were read lately, and what is known of each. A text that differs from one of
/// them only in integers and plain strings has the same tokens otherwise, and so the same class
/// and digest.
#[derive(Clone, Debug)]
pub struct Templates<T> {
    templates: Vec<Template<T>>,
    /// The next to be replaced.
    oldest: usize,
    /// The values of the text that is read.
    values: Vec<Value>,
}

#[derive(Clone, Debug)]
struct Template<T> {
    text: Vec<u8>,
    values: Vec<Value>,
    dialect: Dialect,
    known: T,
}

/// A value in a text.
#[derive(Clone, Copy, Debug)]
struct Value {
    start: u16,
    end: u16,
    is_string: bool,
}

impl<T> Default for Templates<T> {
    fn default() -> Self {
        Self {
            templates: Vec::new(),
            oldest: 0,
            values: Vec::new(),
        }
    }
}

impl<T: Clone> Templates<T> {
    /// What is known of a text like this one.
    #[inline]
    pub fn find(&self, text: &[u8], dialect: Dialect) -> Option<T> {
        let mut templates = self.templates.iter();
        let template = templates.find(|template| template.matches(text, dialect).is_some())?;
        Some(template.known.clone())
    }

    /// What is known of a text like this one, and one of the values in the text: that whose number, in
    /// order from 0, `which` tells.
    #[inline]
    pub fn find_value<'a>(
        &self,
        text: &'a [u8],
        dialect: Dialect,
        which: impl Fn(&T) -> usize,
    ) -> Option<(&T, Token<'a>)> {
        self.templates.iter().find_map(|template| {
            let known = &template.known;
            let number = which(known);
            let found = template.value(text, dialect, number)?;
            Some((known, found))
        })
    }

    /// A text begins to be read that is to be remembered.
    pub fn begin(&mut self) {
        self.values.clear();
    }

    /// Takes the next token of it, which ends at `end`; tells whether it is one of the values that
    /// may differ.
    #[inline]
    pub fn push(&mut self, token: &Token<'_>, end: usize) -> bool {
        let is_string = match token.kind {
            TokenKind::Integer => false,
            TokenKind::String if token.text[0] == b'\'' => true,
            _ => return false,
        };
        if end <= LONGEST && self.values.len() <= MOST_VALUES {
            self.values.push(Value {
                start: (end - token.text.len()) as u16,
                end: end as u16,
                is_string,
            });
        }
        true
    }

    /// The text has been read as a whole: remembers what is known of it.
    pub fn remember(&mut self, text: &[u8], dialect: Dialect, known: T) {
        let is_plain = dialect.encoding == Encoding::AsciiCompatible;
        if text.len() > LONGEST || self.values.len() > MOST_VALUES || !is_plain {
            return;
        }
        if self.templates.len() < TEMPLATES {
            self.templates.push(Template {
                text: text.to_vec(),
                values: self.values.clone(),
                dialect,
                known,
            });
            return;
        }
        let template = &mut self.templates[self.oldest];
        self.oldest = (self.oldest + 1) % TEMPLATES;
        template.text.clear();
        template.text.extend_from_slice(text);
        template.values.clone_from(&self.values);
        template.dialect = dialect;
        template.known = known;
    }
}

impl<T> Template<T> {
    /// Whether a text is like this one.
    #[inline]
    fn matches(&self, text: &[u8], dialect: Dialect) -> Option<()> {
        self.walk(text, dialect, |_, _| ())
    }

    /// The value of that number in a text that is like this one.
    #[inline]
    fn value<'a>(&self, text: &'a [u8], dialect: Dialect, number: usize) -> Option<Token<'a>> {
        let mut found = None;
        self.walk(text, dialect, |at, value| {
            if at == number {
                found = Some(value);
            }
        })?;
        let kind = match self.values.get(number)?.is_string {
            true => TokenKind::String,
            false => TokenKind::Integer,
        };
        found.map(|text| Token { kind, text })
    }

    #[inline]
    fn walk<'a>(
        &self,
        text: &'a [u8],
        dialect: Dialect,
        mut see: impl FnMut(usize, &'a [u8]),
    ) -> Option<()> {
        let mut rest = text;
        let mut from = 0;
        for (number, value) in self.values.iter().enumerate() {
            let between = &self.text[from..usize::from(value.start)];
            let after = rest.strip_prefix(between)?;
            let passed = if value.is_string {
                string(after)
            } else {
                run(after, is_digit)
            };
            if passed == 0 {
                return None;
            }
            see(number, &after[..passed]);
            rest = &after[passed..];
            from = usize::from(value.end);
        }
        (rest == &self.text[from..] && self.dialect == dialect).then_some(())
    }
}

/// The length of the string at the front of a text; 0 if it is none, or not a plain one.
#[inline]
fn string(text: &[u8]) -> usize {
    let [b'\'', inner @ ..] = text else {
        return 0;
    };
    match memchr::memchr2(b'\'', b'\\', inner) {
        Some(end) if inner[end] == b'\'' && inner.get(end + 1) != Some(&b'\'') => end + 2,
        _ => 0,
    }
}
