//! How the values of each type of column are read so that nothing of them is lost, and how they are written
//! so that a server makes the same of them again. The plain text that a server gives would not do: of a
//! `FLOAT` it has six digits, of an `ENUM` not always its number.

use crate::Refusal;
use crate::catalogue::Column;

/// A column as it is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// Its name, quoted.
    pub(super) name: String,
    /// The expression that gives its value.
    read: String,
    literal: Literal,
}

/// How a value is written into a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Literal {
    Number,
    Text,
    Bytes,
    /// Bytes behind the name of the character set that they are in.
    Encoded(String),
}

impl Value {
    /// How a column is read and written.
    ///
    /// # Errors
    /// When its type is not known here.
    pub(super) fn of(column: &Column) -> Result<Self, Refusal> {
        let name = crate::quote::identifier(&column.name);
        let plain = name.clone();
        let (read, literal) = match column.data_type.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "year" => {
                // A value that is padded with zeros is the same number without.
                match column.column_type.contains("zerofill") {
                    true => (format!("{name}+0"), Literal::Number),
                    false => (plain, Literal::Number),
                }
            }
            "float" | "double" => (format!("CAST({name} AS DOUBLE)"), Literal::Text),
            "bit" | "enum" | "set" => (format!("CAST({name} AS UNSIGNED)"), Literal::Number),
            "date" | "time" | "datetime" | "timestamp" => (plain, Literal::Text),
            "uuid" | "inet4" | "inet6" => (format!("CAST({name} AS CHAR)"), Literal::Text),
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
                let collation = column.collation.as_deref().unwrap_or_default();
                match collation.split('_').next().unwrap_or_default() {
                    "utf8mb4" | "utf8mb3" | "utf8" => (plain, Literal::Text),
                    charset => (
                        format!("CAST({name} AS BINARY)"),
                        Literal::Encoded(charset.to_owned()),
                    ),
                }
            }
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob"
            | "geometry" | "point" | "linestring" | "polygon" | "multipoint"
            | "multilinestring" | "multipolygon" | "geometrycollection" => (plain, Literal::Bytes),
            other => {
                return Err(Refusal::new(
                    "table-kind",
                    format!("rows with a column of type {other} cannot be copied"),
                ));
            }
        };
        Ok(Self {
            name,
            read,
            literal,
        })
    }

    /// Appends a value as a literal.
    pub(super) fn put(&self, value: Option<&[u8]>, out: &mut Vec<u8>) {
        let Some(value) = value else {
            out.extend_from_slice(b"NULL");
            return;
        };
        match &self.literal {
            Literal::Number => out.extend_from_slice(value),
            Literal::Text => {
                out.push(b'\'');
                for &byte in value {
                    if matches!(byte, b'\'' | b'\\') {
                        out.push(byte);
                    }
                    out.push(byte);
                }
                out.push(b'\'');
            }
            Literal::Bytes => put_hex(value, out),
            Literal::Encoded(charset) => {
                out.push(b'_');
                out.extend_from_slice(charset.as_bytes());
                out.push(b' ');
                put_hex(value, out);
            }
        }
    }
}

fn put_hex(value: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(b"X'");
    for byte in value {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out.push(b'\'');
}

/// The question for all rows of a table.
pub(super) fn select(values: &[Value], from: &str) -> String {
    let list: Vec<_> = values.iter().map(|value| value.read.as_str()).collect();
    format!("SELECT {} FROM {from}", list.join(","))
}

/// The names with commas between.
pub(super) fn names(values: &[Value]) -> String {
    let list: Vec<_> = values.iter().map(|value| value.name.as_str()).collect();
    list.join(",")
}

/// The question by which a server itself counts rows and sums them up, in whatever order they are: of each
/// row 64 bits of a hash of all its values.
pub(super) fn sum(values: &[Value], from: &str) -> String {
    let mut row = String::new();
    for Value { read, .. } in values {
        let comma = if row.is_empty() { "" } else { "," };
        let value = format!("CAST({read} AS BINARY)");
        row.push_str(&format!(
            "{comma}IF({read} IS NULL,'N',CONCAT('V',LENGTH({value}),':',{value}))"
        ));
    }
    format!(
        "SELECT COUNT(*),COALESCE(SUM(CAST(CONV(LEFT(SHA2(CONCAT({row}),256),16),16,10) AS \
         UNSIGNED)),0) FROM {from}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(data_type: &str, collation: Option<&str>) -> Column {
        Column {
            name: "a`b".into(),
            column_type: data_type.into(),
            data_type: data_type.into(),
            nullable: true,
            collation: collation.map(Into::into),
            collation_id: None,
            max_chars: None,
            generated: false,
            invisible: false,
            default: None,
            extra: String::new(),
        }
    }

    #[test]
    fn values_become_literals() {
        for (data_type, collation, value, literal) in [
            ("int", None, &b"-7"[..], "-7"),
            ("varchar", Some("utf8mb4_bin"), b"it's \\", "'it''s \\\\'"),
            (
                "varchar",
                Some("latin1_swedish_ci"),
                b"\xfc",
                "_latin1 X'FC'",
            ),
            ("varbinary", None, b"\0\xff", "X'00FF'"),
            ("double", None, b"1e308", "'1e308'"),
        ] {
            let value_of = Value::of(&column(data_type, collation)).expect("known");
            let mut out = Vec::new();
            value_of.put(Some(value), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), literal);
            assert_eq!(value_of.name, "`a``b`");
        }
        assert!(Value::of(&column("xmltype", None)).is_err());
    }
}
