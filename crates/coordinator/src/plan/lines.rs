//! The lines of a file for `LOAD DATA`, as the server tells them apart: only so far that each line's node
//! is known. The server reads the line itself.

mod places;
#[cfg(test)]
mod tests;
mod value;

use std::ops::Range;

pub use places::Places;
pub use value::{key_value, number};

/// A line that is longer is nobody's, in bytes.
const LONGEST: usize = 64 << 20;

/// How a file's lines are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// What ends a field.
    pub field_end: u8,
    /// What ends a line: one byte, or two.
    pub line_end: (u8, Option<u8>),
    /// What stands around fields that may have any byte in them.
    pub quote: Option<u8>,
    /// What takes the meaning from the byte behind it.
    pub escape: Option<u8>,
    /// How many fields a line has.
    pub fields: usize,
    /// Which of them is the distribution column's.
    pub key: usize,
    /// Which is the `AUTO_INCREMENT` column's.
    pub auto: Option<usize>,
    /// How many lines at the beginning are none of the rows.
    pub skip: u64,
}

/// What stands in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'f> {
    /// Its bytes, without quotes around them.
    pub bytes: &'f [u8],
    /// They mean themselves.
    pub plain: bool,
    /// There are quotes around it.
    pub quoted: bool,
}

/// What comes next of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'f> {
    /// A line, with what ends it.
    Line {
        /// All of it.
        bytes: &'f [u8],
        /// The distribution column's value.
        key: Field<'f>,
        /// The `AUTO_INCREMENT` column's.
        auto: Option<Field<'f>>,
    },
    /// More bytes must come first.
    Wait,
    /// A line that has more or fewer fields than it should, or whose parts are not known for certain.
    Odd,
    /// There are no more.
    End,
}

/// The lines of a file that comes piece by piece.
#[derive(Debug)]
pub struct Lines {
    form: Form,
    /// What matters outside of quotes, and inside.
    outside: [bool; 256],
    inside: [bool; 256],
    input: Vec<u8>,
    /// Where the line begins that is looked at, and the one behind it.
    start: usize,
    end: usize,
    /// The first byte that was not looked at.
    at: usize,
    state: State,
    field: usize,
    field_start: usize,
    is_plain: bool,
    key: Option<Found>,
    auto: Option<Found>,
    skip: u64,
    has_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A field begins.
    Begin,
    Outside,
    Inside,
}

#[derive(Clone, Debug)]
struct Found {
    range: Range<usize>,
    plain: bool,
    quoted: bool,
}

/// What stands at a place.
enum Ending {
    Not,
    Line(usize),
    /// That is told by a byte that has not come.
    Unknown,
}

impl Lines {
    /// Of a file that is written so.
    #[must_use]
    pub fn new(form: Form) -> Self {
        let among = |bytes: &[Option<u8>]| {
            let mut table = [false; 256];
            for byte in bytes.iter().flatten() {
                table[usize::from(*byte)] = true;
            }
            table
        };
        Self {
            outside: among(&[form.escape, Some(form.field_end), Some(form.line_end.0)]),
            inside: among(&[form.escape, form.quote]),
            skip: form.skip,
            form,
            input: Vec::new(),
            start: 0,
            end: 0,
            at: 0,
            state: State::Begin,
            field: 0,
            field_start: 0,
            is_plain: true,
            key: None,
            auto: None,
            has_ended: false,
        }
    }

    /// These bytes come behind the others.
    pub fn push(&mut self, bytes: &[u8]) {
        let done = self.end;
        if done > 0 && done >= self.input.len() / 2 {
            self.input.drain(..done);
            let back = |range: &mut Option<Found>| {
                if let Some(found) = range {
                    found.range = found.range.start.saturating_sub(done)
                        ..found.range.end.saturating_sub(done);
                }
            };
            back(&mut self.key);
            back(&mut self.auto);
            self.at -= done;
            self.field_start = self.field_start.saturating_sub(done);
            (self.start, self.end) = (0, 0);
        }
        self.input.extend_from_slice(bytes);
    }

    /// No more will come.
    pub fn finish(&mut self) {
        self.has_ended = true;
    }

    /// What was not taken: from the beginning of the line that was told of last.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.input[self.start..]
    }

    /// What comes next. The line before counts as taken now.
    pub fn next_line(&mut self) -> Next<'_> {
        if self.start < self.end {
            self.begin(self.end);
        }
        while self.skip > 0 {
            match self.find_end() {
                Some(end) => {
                    self.begin(end);
                    self.skip -= 1;
                }
                None if self.has_ended => return Next::End,
                None => return Next::Wait,
            }
        }
        if self.input.len() - self.start > LONGEST {
            return Next::Odd;
        }
        match self.look() {
            Looked::Line(end) => self.line(end),
            Looked::Wait => Next::Wait,
            Looked::Odd => Next::Odd,
            Looked::End => Next::End,
        }
    }

    fn begin(&mut self, at: usize) {
        (self.start, self.end, self.at) = (at, at, at);
        self.state = State::Begin;
        self.field = 0;
        self.is_plain = true;
        (self.key, self.auto) = (None, None);
    }

    fn line(&mut self, end: usize) -> Next<'_> {
        if self.field != self.form.fields {
            return Next::Odd;
        }
        self.end = end;
        let field = |found: &Found| Field {
            bytes: &self.input[found.range.clone()],
            plain: found.plain,
            quoted: found.quoted,
        };
        let Some(key) = self.key.as_ref().map(field) else {
            return Next::Odd;
        };
        Next::Line {
            bytes: &self.input[self.start..end],
            key,
            auto: self.auto.as_ref().map(field),
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.input.get(at).copied()
    }

    /// Whether a line ends at a place, and where the next begins.
    fn ending(&self, at: usize) -> Ending {
        if self.byte(at) != Some(self.form.line_end.0) {
            return Ending::Not;
        }
        match (self.form.line_end.1, self.byte(at + 1)) {
            (None, _) => Ending::Line(at + 1),
            (Some(second), Some(found)) if second == found => Ending::Line(at + 2),
            (Some(_), None) if !self.has_ended => Ending::Unknown,
            _ => Ending::Not,
        }
    }

    /// The end of a line whose fields do not matter.
    fn find_end(&mut self) -> Option<usize> {
        loop {
            let byte = self.byte(self.at)?;
            if Some(byte) == self.form.escape {
                self.byte(self.at + 1)?;
                self.at += 2;
                continue;
            }
            match self.ending(self.at) {
                Ending::Line(end) => return Some(end),
                Ending::Unknown => return None,
                Ending::Not => self.at += 1,
            }
        }
    }

    /// Ends a field, whose bytes end there.
    fn end_field(&mut self, end: usize, quoted: bool) {
        let found = Found {
            range: self.field_start..end,
            plain: self.is_plain,
            quoted,
        };
        if self.form.auto == Some(self.field) {
            self.auto = Some(found.clone());
        }
        if self.form.key == self.field {
            self.key = Some(found);
        }
        self.field += 1;
        self.is_plain = true;
        self.state = State::Begin;
    }

    fn look(&mut self) -> Looked {
        loop {
            if self.field >= self.form.fields {
                return Looked::Odd;
            }
            let Some(byte) = self.byte(self.at) else {
                return self.at_end();
            };
            if self.state == State::Begin {
                let is_quote = Some(byte) == self.form.quote;
                self.state = if is_quote {
                    State::Inside
                } else {
                    State::Outside
                };
                self.at += usize::from(is_quote);
                self.field_start = self.at;
                continue;
            }
            let inside = self.state == State::Inside;
            let matters = if inside { &self.inside } else { &self.outside };
            let rest = &self.input[self.at..];
            let ahead = rest.iter().position(|byte| matters[usize::from(*byte)]);
            self.at += ahead.unwrap_or(rest.len());
            let Some(byte) = self.byte(self.at) else {
                return self.at_end();
            };
            if Some(byte) == self.form.escape {
                self.is_plain = false;
                match self.byte(self.at + 1) {
                    Some(_) => self.at += 2,
                    None if self.has_ended => return Looked::Odd,
                    None => return Looked::Wait,
                }
                continue;
            }
            let looked = match inside {
                true => self.at_quote(),
                false => self.at_ending(byte),
            };
            if let Some(looked) = looked {
                return looked;
            }
        }
    }

    /// At what may end a field without quotes.
    fn at_ending(&mut self, byte: u8) -> Option<Looked> {
        match self.ending(self.at) {
            Ending::Line(end) => {
                self.end_field(self.at, false);
                return Some(Looked::Line(end));
            }
            Ending::Unknown => return Some(Looked::Wait),
            Ending::Not => {}
        }
        if byte == self.form.field_end {
            self.end_field(self.at, false);
        }
        self.at += 1;
        None
    }

    /// At a quote within a field that began with one.
    fn at_quote(&mut self) -> Option<Looked> {
        let behind = self.at + 1;
        let Some(next) = self.byte(behind) else {
            if !self.has_ended {
                return Some(Looked::Wait);
            }
            self.end_field(self.at, true);
            return Some(Looked::Line(behind));
        };
        if Some(next) == self.form.quote {
            self.is_plain = false;
            self.at += 2;
            return None;
        }
        match self.ending(behind) {
            Ending::Line(end) => {
                self.end_field(self.at, true);
                return Some(Looked::Line(end));
            }
            Ending::Unknown => return Some(Looked::Wait),
            Ending::Not => {}
        }
        if next != self.form.field_end {
            return Some(Looked::Odd);
        }
        self.end_field(self.at, true);
        self.at = behind + 1;
        None
    }

    /// All that has come was looked at.
    fn at_end(&mut self) -> Looked {
        if !self.has_ended {
            return Looked::Wait;
        }
        if self.start == self.input.len() {
            return Looked::End;
        }
        match self.state {
            State::Inside => return Looked::Odd,
            State::Begin => self.field_start = self.at,
            State::Outside => {}
        }
        self.end_field(self.at, false);
        Looked::Line(self.at)
    }
}

enum Looked {
    /// A line is whole, and the next begins there.
    Line(usize),
    Wait,
    Odd,
    End,
}
