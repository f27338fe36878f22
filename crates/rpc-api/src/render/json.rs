//! JSON.

use std::fmt::{self, Display, Write};
use std::net::IpAddr;

use jiff::Timestamp;

use super::FieldWriter;
use super::number::{push_address, push_hundredths, push_integer, push_time};

/// Writes one JSON object, field by field.
#[derive(Debug)]
pub struct JsonWriter {
    out: String,
    /// Whether the next field follows another one.
    follows: bool,
}

impl JsonWriter {
    /// Writes a whole document with the fields that `fields` writes.
    pub(super) fn document(capacity: usize, fields: impl FnOnce(&mut Self)) -> String {
        let mut writer = Self {
            out: String::with_capacity(capacity),
            follows: false,
        };
        writer.braced(fields);
        writer.out
    }

    fn braced(&mut self, fields: impl FnOnce(&mut Self)) {
        self.out.push('{');
        self.follows = false;
        fields(self);
        self.out.push('}');
        self.follows = true;
    }

    /// Field names are ours and need no escaping. Inlined, since copying a text of known
    /// length is a few instructions.
    #[inline(always)]
    fn name(&mut self, name: &'static str) {
        self.out.push_str(if self.follows { ",\"" } else { "\"" });
        self.out.push_str(name);
        self.out.push_str("\":");
        self.follows = true;
    }
}

impl FieldWriter for JsonWriter {
    #[inline(always)]
    fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        self.out.push('"');
        push_escaped(&mut self.out, value);
        self.out.push('"');
    }

    fn display(&mut self, name: &'static str, value: &impl Display) {
        self.name(name);
        self.out.push('"');
        // Writing to a string cannot fail.
        let _ = write!(Escaped(&mut self.out), "{value}");
        self.out.push('"');
    }

    fn address(&mut self, name: &'static str, value: IpAddr) {
        self.name(name);
        self.out.push('"');
        push_address(&mut self.out, value);
        self.out.push('"');
    }

    fn time(&mut self, name: &'static str, value: Timestamp) {
        self.name(name);
        self.out.push('"');
        push_time(&mut self.out, value);
        self.out.push('"');
    }

    fn integer(&mut self, name: &'static str, value: i64) {
        self.name(name);
        push_integer(&mut self.out, value);
    }

    fn hundredths(&mut self, name: &'static str, value: i64) {
        self.name(name);
        push_hundredths(&mut self.out, value);
    }

    fn boolean(&mut self, name: &'static str, value: bool) {
        self.name(name);
        self.out.push_str(if value { "true" } else { "false" });
    }

    fn object(&mut self, name: &'static str, fields: impl FnOnce(&mut Self)) {
        self.name(name);
        self.braced(fields);
    }

    fn list<T>(
        &mut self,
        name: &'static str,
        item: &'static str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        self.name(name);
        self.out.push_str("{\"");
        self.out.push_str(item);
        self.out.push_str("\":[");
        let mut first = true;
        for value in items {
            if !first {
                self.out.push(',');
            }
            first = false;
            self.braced(|writer| each(writer, value));
        }
        self.out.push_str("]}");
        self.follows = true;
    }

    fn texts<T: Display>(
        &mut self,
        name: &'static str,
        item: &'static str,
        items: impl IntoIterator<Item = T>,
    ) {
        self.name(name);
        self.out.push_str("{\"");
        self.out.push_str(item);
        self.out.push_str("\":[");
        for (index, value) in items.into_iter().enumerate() {
            self.out.push_str(if index == 0 { "\"" } else { ",\"" });
            // Writing to a string cannot fail.
            let _ = write!(Escaped(&mut self.out), "{value}");
            self.out.push('"');
        }
        self.out.push_str("]}");
    }
}

/// Escapes what `Display` writes.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_escaped(self.0, text);
        Ok(())
    }
}

/// Appends a text with JSON's escapes.
fn push_escaped(out: &mut String, text: &str) {
    let special = |b: u8| b < 0x20 || b == b'"' || b == b'\\';
    // Looking at every byte without an early exit compiles to vector instructions; nearly all
    // texts need no escape.
    if !text.bytes().fold(false, |found, b| found | special(b)) {
        out.push_str(text);
        return;
    }
    let mut rest = text;
    while let Some(index) = rest.bytes().position(special) {
        out.push_str(&rest[..index]);
        match rest.as_bytes()[index] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => {
                let _ = write!(out, "\\u{control:04x}");
            }
        }
        rest = &rest[index + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_list_keeps_its_item_name() {
        let text = JsonWriter::document(64, |writer| {
            writer.list("Tasks", "Task", [(); 0], |_, ()| {});
            writer.integer("N", -1);
        });
        assert_eq!(text, r#"{"Tasks":{"Task":[]},"N":-1}"#);
    }

    #[test]
    fn commas_survive_nesting() {
        let text = JsonWriter::document(64, |writer| {
            writer.boolean("A", true);
            writer.list("L", "I", [1, 2], |writer, number| {
                writer.list("M", "J", [number], |writer, inner| {
                    writer.integer("X", inner)
                });
                writer.integer("Y", number);
            });
            writer.object("O", |writer| writer.integer("X", 3));
            writer.object("P", |_| {});
            writer.texts("T", "I", ["a", "\""]);
            writer.texts("U", "I", [(); 0].map(|()| ""));
            writer.hundredths("H", 7);
            writer.text("Z", "");
        });
        let expected = concat!(
            r#"{"A":true,"L":{"I":[{"M":{"J":[{"X":1}]},"Y":1},"#,
            r#"{"M":{"J":[{"X":2}]},"Y":2}]},"O":{"X":3},"P":{},"T":{"I":["a","\""]},"#,
            r#""U":{"I":[]},"H":0.07,"Z":""}"#
        );
        assert_eq!(text, expected);
    }

    proptest! {
        #[test]
        fn every_text_survives(value in any::<String>()) {
            let text = JsonWriter::document(64, |writer| {
                writer.text("T", &value);
                writer.display("D", &value);
            });
            let read: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
            prop_assert_eq!(read["T"].as_str(), Some(value.as_str()));
            prop_assert_eq!(read["D"].as_str(), Some(value.as_str()));
        }
    }
}
