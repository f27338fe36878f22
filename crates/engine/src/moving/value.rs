//! Values of key columns as a binary log has them, written as literals.

use std::fmt::Write;

use jiff::Timestamp;

/// What is known of a column.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    /// For example `varchar`.
    pub(super) data_type: String,
    /// For example `int(11) unsigned`.
    pub(super) column_type: String,
    pub(super) charset: Option<String>,
    /// How many bytes fit.
    pub(super) octets: u64,
}

/// How a value lies in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Integer { is_unsigned: bool },
    Text { charset: String },
    Bytes { padded_to: usize },
    Enum,
    Year,
    Date,
    DateTime,
    Timestamp,
}

impl Form {
    /// Of a column; `None` for a type that is no key here.
    pub(super) fn of(declared: &Declared) -> Option<Self> {
        Some(match declared.data_type.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => Self::Integer {
                is_unsigned: declared.column_type.contains("unsigned")
                    || declared.column_type.contains("zerofill"),
            },
            "char" | "varchar" => Self::Text {
                charset: declared.charset.clone()?,
            },
            "binary" => Self::Bytes {
                padded_to: usize::try_from(declared.octets).ok()?,
            },
            "varbinary" => Self::Bytes { padded_to: 0 },
            "enum" => Self::Enum,
            "year" => Self::Year,
            "date" => Self::Date,
            "datetime" => Self::DateTime,
            "timestamp" => Self::Timestamp,
            _ => return None,
        })
    }

    /// A value as a literal that is compared with the column by the column's own rules.
    pub(super) fn literal(&self, value: &[u8]) -> Option<String> {
        Some(match self {
            Self::Integer { is_unsigned } => integer(value, *is_unsigned)?,
            Self::Text { charset } => format!("_{charset} {}", hex(value)),
            Self::Bytes { padded_to } => {
                let mut value = value.to_vec();
                value.resize(value.len().max(*padded_to), 0);
                hex(&value)
            }
            Self::Enum => integer(value, true)?,
            Self::Year => match *value.first()? {
                0 => "0".to_owned(),
                years => (1900 + u32::from(years)).to_string(),
            },
            Self::Date => {
                let number = little(value)?;
                let (day, month, year) = (number & 31, number >> 5 & 15, number >> 9);
                format!("'{year:04}-{month:02}-{day:02}'")
            }
            Self::DateTime => {
                let (whole, fraction) = value.split_at_checked(5)?;
                let number = big(whole) & 0x7f_ffff_ffff;
                let (date, time) = (number >> 17, number & 0x1_ffff);
                let (months, day) = (date >> 5, date & 31);
                format!(
                    "'{:04}-{:02}-{day:02} {:02}:{:02}:{:02}.{:06}'",
                    months / 13,
                    months % 13,
                    time >> 12,
                    time >> 6 & 63,
                    time & 63,
                    micros(fraction)?
                )
            }
            Self::Timestamp => {
                let (whole, fraction) = value.split_at_checked(4)?;
                let (second, micros) = (big(whole), micros(fraction)?);
                if second == 0 && micros == 0 {
                    return Some("'0000-00-00 00:00:00'".to_owned());
                }
                let time = Timestamp::from_second(i64::try_from(second).ok()?).ok()?;
                format!("'{}.{micros:06}'", time.strftime("%Y-%m-%d %H:%M:%S"))
            }
        })
    }
}

fn integer(value: &[u8], is_unsigned: bool) -> Option<String> {
    let number = little(value)?;
    let bits = 8 * u32::try_from(value.len()).ok()?;
    if is_unsigned {
        return Some(number.to_string());
    }
    let shift = 64 - bits;
    Some(((number << shift).cast_signed() >> shift).to_string())
}

/// A number, the lowest byte first.
fn little(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 8 {
        return None;
    }
    let number = value.iter().rev();
    Some(number.fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// A number of a few bytes, the highest first.
fn big(value: &[u8]) -> u64 {
    value
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The microseconds of a fraction: two digits in each byte.
fn micros(fraction: &[u8]) -> Option<u64> {
    let factor = match fraction.len() {
        0 | 3 => 1,
        1 => 10_000,
        2 => 100,
        _ => return None,
    };
    Some(big(fraction) * factor)
}

fn hex(value: &[u8]) -> String {
    let mut out = String::with_capacity(2 * value.len() + 3);
    out.push_str("X'");
    for byte in value {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02X}");
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(data_type: &str, column_type: &str, charset: Option<&str>, octets: u64) -> Form {
        Form::of(&Declared {
            data_type: data_type.to_owned(),
            column_type: column_type.to_owned(),
            charset: charset.map(str::to_owned),
            octets,
        })
        .expect("a key")
    }

    #[test]
    fn values_become_literals() {
        for (form, value, expected) in [
            (
                form("int", "int(11)", None, 0),
                &[0xfe, 0xff, 0xff, 0xff][..],
                "-2",
            ),
            (
                form("int", "int(10) unsigned", None, 0),
                &[0xfe, 0xff, 0xff, 0xff],
                "4294967294",
            ),
            (
                form("mediumint", "mediumint(9)", None, 0),
                &[1, 0, 0x80],
                "-8388607",
            ),
            (
                form("bigint", "bigint(20)", None, 0),
                &[0, 0, 0, 0, 0, 0, 0, 0x80],
                "-9223372036854775808",
            ),
            (
                form("varchar", "varchar(9)", Some("utf8mb4"), 36),
                b"a'",
                "_utf8mb4 X'6127'",
            ),
            (form("binary", "binary(3)", None, 3), b"a", "X'610000'"),
            (form("varbinary", "varbinary(3)", None, 3), b"a", "X'61'"),
            (form("year", "year(4)", None, 0), &[126], "2026"),
            (
                form("date", "date", None, 0),
                &[0x7e, 0xd5, 0x0f],
                "'2026-11-30'",
            ),
        ] {
            assert_eq!(form.literal(value).as_deref(), Some(expected), "{form:?}");
        }
        assert!(
            Form::of(&Declared {
                data_type: "double".to_owned(),
                column_type: "double".to_owned(),
                charset: None,
                octets: 0,
            })
            .is_none()
        );
    }

    #[test]
    fn short_values_are_none() {
        for form in [Form::DateTime, Form::Timestamp, Form::Year, Form::Date] {
            assert_eq!(form.literal(&[]), None, "{form:?}");
        }
    }
}
