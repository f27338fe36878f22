//! XML.

use std::fmt::{self, Display, Write};
use std::net::IpAddr;

use jiff::Timestamp;

use super::FieldWriter;
use super::number::{push_address, push_hundredths, push_integer, push_time};

/// Writes the children of one XML element, field by field.
#[derive(Debug)]
pub struct XmlWriter {
    out: String,
}

impl XmlWriter {
    /// Writes a whole document. The parts of the root's name are joined; there is no XML
    /// declaration, as there was none in the API.
    pub(super) fn document(
        capacity: usize,
        root: &[&str],
        fields: impl FnOnce(&mut Self),
    ) -> String {
        let mut writer = Self {
            out: String::with_capacity(capacity),
        };
        writer.tag("<", root);
        fields(&mut writer);
        writer.tag("</", root);
        writer.out
    }

    #[inline(always)]
    fn tag(&mut self, open: &str, name: &[&str]) {
        self.out.push_str(open);
        for part in name {
            self.out.push_str(part);
        }
        self.out.push('>');
    }

    #[inline(always)]
    fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.tag("<", &[name]);
        content(self);
        self.tag("</", &[name]);
    }
}

impl FieldWriter for XmlWriter {
    #[inline(always)]
    fn text(&mut self, name: &'static str, value: &str) {
        self.element(name, |writer| push_escaped(&mut writer.out, value));
    }

    fn display(&mut self, name: &'static str, value: &impl Display) {
        self.element(name, |writer| {
            // Writing to a string cannot fail.
            let _ = write!(Escaped(&mut writer.out), "{value}");
        });
    }

    fn address(&mut self, name: &'static str, value: IpAddr) {
        self.element(name, |writer| push_address(&mut writer.out, value));
    }

    fn time(&mut self, name: &'static str, value: Timestamp) {
        self.element(name, |writer| push_time(&mut writer.out, value));
    }

    fn integer(&mut self, name: &'static str, value: i64) {
        self.element(name, |writer| push_integer(&mut writer.out, value));
    }

    fn hundredths(&mut self, name: &'static str, value: i64) {
        self.element(name, |writer| push_hundredths(&mut writer.out, value));
    }

    fn boolean(&mut self, name: &'static str, value: bool) {
        self.element(name, |writer| {
            writer.out.push_str(if value { "true" } else { "false" })
        });
    }

    fn object(&mut self, name: &'static str, fields: impl FnOnce(&mut Self)) {
        self.element(name, fields);
    }

    fn list<T>(
        &mut self,
        name: &'static str,
        item: &'static str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |writer| {
            for value in items {
                writer.element(item, |writer| each(writer, value));
            }
        });
    }

    fn texts<T: Display>(
        &mut self,
        name: &'static str,
        item: &'static str,
        items: impl IntoIterator<Item = T>,
    ) {
        self.element(name, |writer| {
            for value in items {
                writer.element(item, |writer| {
                    // Writing to a string cannot fail.
                    let _ = write!(Escaped(&mut writer.out), "{value}");
                });
            }
        });
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

/// Appends a text with XML's escapes. Characters that XML 1.0 cannot hold at all become the
/// replacement character.
fn push_escaped(out: &mut String, text: &str) {
    let special = |c: char| matches!(c, '<' | '>' | '&' | '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    // As in JSON: nearly all texts need no escape. The two noncharacters begin with 0xef.
    let suspect = |b: u8| b < 0x20 || b == b'<' || b == b'>' || b == b'&' || b == 0xef;
    if !text.bytes().fold(false, |found, b| found | suspect(b)) {
        out.push_str(text);
        return;
    }
    let mut rest = text;
    while let Some(index) = rest.find(special) {
        out.push_str(&rest[..index]);
        let mut tail = rest[index..].chars();
        out.push_str(match tail.next() {
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            Some('&') => "&amp;",
            // A bare carriage return would be read back as a line feed.
            Some('\r') => "&#13;",
            _ => "\u{fffd}",
        });
        rest = tail.as_str();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::Reader;
    use quick_xml::escape::unescape;
    use quick_xml::events::Event;

    use super::*;

    #[test]
    fn lists_wrap_their_items() {
        let text = XmlWriter::document(64, &["X", "Response"], |writer| {
            writer.list("Tasks", "Task", [(); 0], |_, ()| {});
            writer.list("L", "I", [1, 2], |writer, number| {
                writer.integer("N", number)
            });
            writer.boolean("B", false);
            writer.object("O", |writer| writer.integer("N", 3));
            writer.texts("T", "I", ["a", "<"]);
            writer.hundredths("H", -105);
        });
        let expected = concat!(
            "<XResponse><Tasks></Tasks><L><I><N>1</N></I><I><N>2</N></I></L>",
            "<B>false</B><O><N>3</N></O><T><I>a</I><I>&lt;</I></T><H>-1.05</H></XResponse>"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        let mut out = String::new();
        push_escaped(&mut out, "a\u{1}b\r\n<&>\"'");
        assert_eq!(out, "a\u{fffd}b&#13;\n&lt;&amp;&gt;\"'");
    }

    /// The raw text inside `<R><T>`, entities still escaped.
    fn inner(document: &str) -> String {
        let mut reader = Reader::from_str(document);
        let mut raw = String::new();
        loop {
            match reader.read_event().expect("well-formed XML") {
                Event::Text(text) => raw.push_str(&text),
                Event::GeneralRef(name) => {
                    raw.push('&');
                    raw.push_str(&name);
                    raw.push(';');
                }
                Event::Eof => return raw,
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn every_printable_text_survives(value in "\\PC*") {
            let document = XmlWriter::document(64, &["R"], |writer| writer.text("T", &value));
            let raw = inner(&document);
            let read = unescape(&raw).expect("known entities");
            prop_assert_eq!(read, value);
        }
    }
}
