//! The lines of a file for `LOAD DATA`, as the server tells them apart: only so far that each line's node
//! is known. The server reads the line itself.

use std::ops::Range;

use openpeta_sql_route::{KeyType, KeyValue};

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

/// The value of a distribution column that a field has; `None` if the server might store another one.
/// `is_utf8` says that the file is written in UTF-8.
#[must_use]
pub fn key_value<'f>(kind: KeyType, field: Field<'f>, is_utf8: bool) -> Option<KeyValue<'f>> {
    if !field.plain {
        return None;
    }
    match kind {
        KeyType::Integer { min, max } => {
            let number = number(field)?;
            (min..=max)
                .contains(&number)
                .then_some(KeyValue::Integer(number))
        }
        KeyType::Text { max_chars, .. } => {
            let text = std::str::from_utf8(field.bytes).ok()?;
            // Not all columns have room for characters of four bytes.
            let is_exact = text.is_ascii() || is_utf8 && !text.bytes().any(|byte| byte >= 0xF0);
            // Where fields may have quotes, this word without them is none.
            let is_null = !field.quoted && text.eq_ignore_ascii_case("NULL");
            let fits = text.chars().count() <= max_chars;
            (is_exact && fits && !is_null).then(|| KeyValue::Text(field.bytes.into()))
        }
    }
}

/// The whole number that a field is, if it is written as one.
#[must_use]
pub fn number(field: Field<'_>) -> Option<i128> {
    if !field.plain {
        return None;
    }
    let digits = field.bytes.strip_prefix(b"-").unwrap_or(field.bytes);
    let is_number = (1..=20).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_digit)
        && (digits[0] != b'0' || field.bytes == b"0");
    if !is_number {
        return None;
    }
    std::str::from_utf8(field.bytes).ok()?.parse().ok()
}

/// Which rows of a file a node has, by their places in it: a byte for most of them.
#[derive(Debug, Default)]
pub struct Places {
    /// From each to the next, seven bits a byte, the lowest first.
    steps: Vec<u8>,
    last: Option<usize>,
}

impl Places {
    /// One more, behind the others.
    pub fn push(&mut self, place: usize) {
        let mut step = place - self.last.map_or(0, |last| last + 1);
        self.last = Some(place);
        while step >= 0x80 {
            self.steps.push(step as u8 | 0x80);
            step >>= 7;
        }
        self.steps.push(step as u8);
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<usize> {
        let mut all = Vec::new();
        let (mut next, mut step, mut shift) = (0, 0_usize, 0);
        for byte in &self.steps {
            step |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                all.push(next + step);
                next += step + 1;
                (step, shift) = (0, 0);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tabs() -> Form {
        Form {
            field_end: b'\t',
            line_end: (b'\n', None),
            quote: None,
            escape: Some(b'\\'),
            fields: 2,
            key: 0,
            auto: None,
            skip: 0,
        }
    }

    fn commas() -> Form {
        Form {
            field_end: b',',
            line_end: (b'\r', Some(b'\n')),
            quote: Some(b'"'),
            ..tabs()
        }
    }

    /// The lines of a file that comes in pieces of a size, each with its key; what is left of it when
    /// one is odd.
    fn lines(form: &Form, file: &[u8], size: usize) -> (Vec<(String, String)>, Option<String>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut lines = Lines::new(form.clone());
        let mut found = Vec::new();
        let mut pieces = file.chunks(size);
        let mut left = file.len();
        loop {
            match lines.next_line() {
                Next::Line { bytes, key, .. } => {
                    let key = format!("{}{}", text(key.bytes), if key.plain { "" } else { "!" });
                    found.push((text(bytes), key));
                }
                Next::Wait => match pieces.next() {
                    Some(piece) => {
                        left -= piece.len();
                        lines.push(piece);
                    }
                    None => lines.finish(),
                },
                Next::End => {
                    assert!(lines.rest().is_empty() || form.skip > 0);
                    return (found, None);
                }
                Next::Odd => {
                    let rest = [lines.rest(), &file[file.len() - left..]].concat();
                    return (found, Some(text(&rest)));
                }
            }
        }
    }

    #[track_caller]
    fn are(form: &Form, file: &str, expected: &[(&str, &str)], odd: Option<&str>) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(line, key)| ((*line).to_owned(), (*key).to_owned()))
            .collect();
        for size in 1..=file.len().max(1) {
            let found = lines(form, file.as_bytes(), size);
            assert_eq!(found, (expected.clone(), odd.map(str::to_owned)), "{size}");
        }
    }

    #[test]
    fn lines_end_where_the_server_ends_them() {
        are(
            &tabs(),
            "1\ta\n2\tb\\\nc\\\td\n\\N\t\\\\\n\t\n3\tz",
            &[
                ("1\ta\n", "1"),
                ("2\tb\\\nc\\\td\n", "2"),
                ("\\N\t\\\\\n", "\\N!"),
                ("\t\n", ""),
                ("3\tz", "3"),
            ],
            None,
        );
        are(&tabs(), "", &[], None);
        are(&tabs(), "1\t", &[("1\t", "1")], None);
        are(&tabs(), "1\ta\n\nx", &[("1\ta\n", "1")], Some("\nx"));
        are(&tabs(), "1\ta\tb\n", &[], Some("1\ta\tb\n"));
        are(&tabs(), "1\ta\\", &[], Some("1\ta\\"));
        let form = Form { skip: 2, ..tabs() };
        are(&form, "a\\\n\tb\tc\n\n1\tx\n", &[("1\tx\n", "1")], None);
        are(&form, "a\nb", &[], None);
    }

    #[test]
    fn what_has_quotes_may_have_any_byte() {
        are(
            &commas(),
            "1,\"a,\r\n\"\"b\\\"\"\r\n\"2\",x\"y\r\n\"3\"\"\",\"z\"",
            &[
                ("1,\"a,\r\n\"\"b\\\"\"\r\n", "1"),
                ("\"2\",x\"y\r\n", "2"),
                ("\"3\"\"\",\"z\"", "3\"\"!"),
            ],
            None,
        );
        are(&commas(), "1,\rx\n\r\n", &[("1,\rx\n\r\n", "1")], None);
        are(&commas(), "1,x\r", &[("1,x\r", "1")], None);
        // What is behind a quote that ends no field, and a field that does not end.
        are(&commas(), "1,\"a\"b\r\n", &[], Some("1,\"a\"b\r\n"));
        are(&commas(), "1,\"a\r\n2,b", &[], Some("1,\"a\r\n2,b"));
    }

    #[test]
    fn only_values_that_are_stored_as_they_stand_tell_a_node() {
        let integer = KeyType::Integer {
            min: -128,
            max: 127,
        };
        let field = |text: &'static str| Field {
            bytes: text.as_bytes(),
            plain: true,
            quoted: false,
        };
        let is = |text| key_value(integer, field(text), true);
        assert_eq!(is("0"), Some(KeyValue::Integer(0)));
        assert_eq!(is("-128"), Some(KeyValue::Integer(-128)));
        for text in [
            "", "-", "-0", "01", "+1", " 1", "1 ", "1.0", "128", "1e1", "NULL",
        ] {
            assert_eq!(is(text), None, "{text}");
        }
        let escaped = Field {
            plain: false,
            ..field("1")
        };
        assert_eq!(key_value(integer, escaped, true), None);
        let text = KeyType::Text {
            folding: openpeta_sql_route::Folding::of_collation(46).expect("utf8mb4_bin"),
            max_chars: 4,
        };
        for (value, is_utf8) in [("äöüß", true), ("abcd", false), ("", true)] {
            let expected = Some(KeyValue::Text(value.as_bytes().into()));
            assert_eq!(key_value(text, field(value), is_utf8), expected, "{value}");
        }
        for (value, is_utf8) in [("abcde", true), ("null", true), ("😀", true), ("ä", false)] {
            assert_eq!(key_value(text, field(value), is_utf8), None, "{value}");
        }
        let quoted = Field {
            quoted: true,
            ..field("null")
        };
        assert!(key_value(text, quoted, false).is_some());
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_are_one_file(file in r#"[12,"\\\r\na]{0,40}"#, size in 1_usize..10) {
            for form in [tabs(), commas(), Form { skip: 1, ..commas() }] {
                let whole = lines(&form, file.as_bytes(), 1000);
                prop_assert_eq!(&whole, &lines(&form, file.as_bytes(), size));
                if form.skip == 0 {
                    let mut all: String = whole.0.into_iter().map(|(line, _)| line).collect();
                    all.push_str(whole.1.as_deref().unwrap_or_default());
                    prop_assert_eq!(all, file.clone());
                }
            }
        }

        #[test]
        fn places_are_kept(steps in prop::collection::vec(0_usize..100_000, 0..50)) {
            let mut next = 0;
            let mut expected = Vec::new();
            let mut places = Places::default();
            for step in steps {
                expected.push(next + step);
                places.push(next + step);
                next += step + 1;
            }
            prop_assert_eq!(places.all(), expected);
        }
    }
}
