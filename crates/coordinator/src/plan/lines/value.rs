//! What a field of a line is worth, as far as that is certain.

use openpeta_sql_route::{KeyType, KeyValue};

use super::Field;

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
