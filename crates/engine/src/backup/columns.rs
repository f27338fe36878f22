//! How the values of each type of column are read so that nothing of them is lost, and how
//! they are written so that the server makes the same of them again.
//!
//! The plain text that a server gives for a `FLOAT` has six digits, for a `SET` or `ENUM` not
//! always its number, for text in other character sets what a conversion makes of it. So these
//! are read through an expression.

use std::fmt::Write;

use crate::quote;

/// A column as a backup reads and writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name, quoted.
    pub(crate) name: String,
    /// The expression that gives its value.
    read: String,
    literal: Literal,
}

/// How a value is written into a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Literal {
    /// As the digits that it is.
    Number,
    /// As a quoted string of ASCII.
    Ascii,
    /// As a quoted string.
    Text,
    /// As hexadecimal digits.
    Bytes,
    /// As hexadecimal digits behind the name of the character set that they are in.
    Encoded(String),
}

/// What the information schema says of a column.
#[derive(Clone, Debug)]
pub(crate) struct ColumnInfo {
    pub(crate) name: String,
    /// For example `varchar`.
    pub(crate) data_type: String,
    /// For example `int(11) unsigned zerofill`.
    pub(crate) column_type: String,
    pub(crate) charset: Option<String>,
}

impl Column {
    /// How a column is read and written; `None` for a type that is not known here, of which
    /// nobody can say that it comes back as it was.
    pub(crate) fn new(info: &ColumnInfo) -> Option<Self> {
        let name = quote::identifier(&info.name);
        let plain = name.clone();
        let (read, literal) = match info.data_type.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "year" => {
                // A value that is padded with zeros for display is the same number without.
                match info.column_type.contains("zerofill") {
                    true => (format!("{name}+0"), Literal::Number),
                    false => (plain, Literal::Number),
                }
            }
            "float" | "double" => (format!("CAST({name} AS DOUBLE)"), Literal::Ascii),
            "bit" | "enum" | "set" => (format!("CAST({name} AS UNSIGNED)"), Literal::Number),
            "date" | "time" | "datetime" | "timestamp" => (plain, Literal::Ascii),
            "uuid" | "inet4" | "inet6" => (format!("CAST({name} AS CHAR)"), Literal::Ascii),
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
                match info.charset.as_deref()? {
                    "utf8mb4" | "utf8mb3" | "utf8" => (plain, Literal::Text),
                    charset => (
                        format!("CAST({name} AS BINARY)"),
                        Literal::Encoded(charset.to_owned()),
                    ),
                }
            }
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
                (plain, Literal::Bytes)
            }
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
            | "multipolygon" | "geometrycollection" => (plain, Literal::Bytes),
            _ => return None,
        };
        Some(Self {
            name,
            read,
            literal,
        })
    }

    /// Writes a value as a literal.
    pub(crate) fn write(&self, value: Option<&[u8]>, out: &mut Vec<u8>) {
        let Some(value) = value else {
            out.extend_from_slice(b"NULL");
            return;
        };
        match &self.literal {
            Literal::Number => out.extend_from_slice(value),
            Literal::Ascii | Literal::Text => write_quoted(value, out),
            Literal::Bytes => write_hex(value, out),
            Literal::Encoded(charset) => {
                out.push(b'_');
                out.extend_from_slice(charset.as_bytes());
                out.push(b' ');
                write_hex(value, out);
            }
        }
    }
}

/// The query that reads all rows of a table; `from` is the table with what goes behind it.
pub(crate) fn select(columns: &[Column], from: &str) -> String {
    let list: Vec<_> = columns.iter().map(|column| column.read.as_str()).collect();
    format!("SELECT {} FROM {from}", list.join(","))
}

/// The names of columns with commas between.
pub(crate) fn names(columns: &[Column]) -> String {
    let list: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    list.join(",")
}

/// A query with which the server itself counts the rows and computes their checksum, as
/// [`Checksum`](super::checksum::Checksum) does.
pub(crate) fn check_query(columns: &[Column], from: &str) -> String {
    let mut row = String::new();
    for Column { read, .. } in columns {
        let comma = if row.is_empty() { "" } else { "," };
        let value = format!("CAST({read} AS BINARY)");
        // Writing to a String cannot fail.
        let _ = write!(
            row,
            "{comma}IF({read} IS NULL,'N',CONCAT('V',LENGTH({value}),':',{value}))"
        );
    }
    format!(
        "SELECT COUNT(*),COALESCE(SUM(CAST(CONV(LEFT(SHA2(CONCAT({row}),256),16),16,10) AS \
         UNSIGNED)),0) FROM {from}"
    )
}

/// A text as a literal that reads as such wherever the server wants one.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_quoted(text.as_bytes(), &mut out);
    String::from_utf8(out).expect("characters between quotes are characters")
}

/// A string between quotes, on one line.
fn write_quoted(value: &[u8], out: &mut Vec<u8>) {
    out.reserve(value.len() + 2);
    out.push(b'\'');
    let mut rest = value;
    // What needs no escape is copied as a whole.
    while let Some(at) = rest
        .iter()
        .position(|byte| ESCAPED[usize::from(*byte)] != 0)
    {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', ESCAPED[usize::from(rest[at])]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'\'');
}

/// What stands behind a backslash for each byte; 0 for one that stands for itself.
const ESCAPED: [u8; 256] = {
    let mut escaped = [0; 256];
    escaped[0] = b'0';
    escaped[b'\n' as usize] = b'n';
    escaped[b'\r' as usize] = b'r';
    escaped[b'\'' as usize] = b'\'';
    escaped[b'\\' as usize] = b'\\';
    // Ctrl-Z ends a file for some clients.
    escaped[0x1a] = b'Z';
    escaped
};

fn write_hex(value: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(b"X'");
    out.reserve(value.len() * 2 + 1);
    for byte in value {
        let digits = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
        out.extend_from_slice(&digits);
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(data_type: &str, column_type: &str, charset: Option<&str>) -> Option<Column> {
        Column::new(&ColumnInfo {
            name: "a`b".into(),
            data_type: data_type.into(),
            column_type: column_type.into(),
            charset: charset.map(str::to_owned),
        })
    }

    fn written(column: &Column, value: &[u8]) -> String {
        let mut out = Vec::new();
        column.write(Some(value), &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_plain_text_would_lose_is_read_through_an_expression() {
        let read = |data_type, column_type, charset| {
            column(data_type, column_type, charset).expect("known").read
        };
        assert_eq!(read("int", "int(11)", None), "`a``b`");
        assert_eq!(read("int", "int(5) unsigned zerofill", None), "`a``b`+0");
        assert_eq!(read("float", "float", None), "CAST(`a``b` AS DOUBLE)");
        assert_eq!(read("varchar", "varchar(9)", Some("utf8mb4")), "`a``b`");
        let latin = read("varchar", "varchar(9)", Some("latin1"));
        assert_eq!(latin, "CAST(`a``b` AS BINARY)");
        assert_eq!(column("vector", "vector(3)", None), None);
    }

    #[test]
    fn literals_stay_on_one_line_and_between_their_quotes() {
        let text = column("text", "text", Some("utf8mb4")).expect("known");
        assert_eq!(written(&text, b"a'b\\c\nd\r\0\x1a"), r"'a\'b\\c\nd\r\0\Z'");
        assert_eq!(written(&text, "é;".as_bytes()), "'é;'");
        let blob = column("blob", "blob", None).expect("known");
        assert_eq!(written(&blob, b"\x00\xff"), "X'00FF'");
        assert_eq!(written(&blob, b""), "X''");
        let latin = column("char", "char(3)", Some("latin1")).expect("known");
        assert_eq!(written(&latin, b"\xe9"), "_latin1 X'E9'");
        let mut out = Vec::new();
        latin.write(None, &mut out);
        assert_eq!(out, b"NULL");
    }
}
