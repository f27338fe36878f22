//! Times as text, without the detour over a format string.

use jiff::Timestamp;
use jiff::tz::Offset;

/// Appends `yyyy-MM-ddTHH:mm:ssZ`.
pub(super) fn push_time(out: &mut String, time: Timestamp) {
    let civil = Offset::UTC.to_datetime(time);
    let date = civil.date();
    let (hour, minute, second) = (civil.hour(), civil.minute(), civil.second());
    // Years before 0000 are out of the API's range; they cannot come from a clock.
    let year = date.year().unsigned_abs();
    push_pair(out, year / 100);
    push_pair(out, year % 100);
    for (separator, number) in [
        ('-', date.month()),
        ('-', date.day()),
        ('T', hour),
        (':', minute),
        (':', second),
    ] {
        out.push(separator);
        push_pair(out, u16::from(number.unsigned_abs()));
    }
    out.push('Z');
}

/// Appends two decimal digits.
fn push_pair(out: &mut String, number: u16) {
    let digit = |value: u16| char::from(b'0' + (value % 10) as u8);
    out.push(digit(number / 10));
    out.push(digit(number));
}

/// Appends a decimal number.
pub(super) fn push_integer(out: &mut String, number: i64) {
    use std::fmt::Write;
    // Writing to a string cannot fail.
    let _ = write!(out, "{number}");
}

#[cfg(test)]
mod tests {
    use openpeta_types::{POSTPAID_EXPIRY, format_time, parse_time};

    use super::*;

    #[test]
    fn times_look_as_the_shared_formatter_writes_them() {
        let times = [
            "2019-01-17T08:00:09Z",
            "1970-01-01T00:00:00Z",
            "2024-02-29T23:59:59.999Z",
        ]
        .map(|text| parse_time(text).expect("a time"));
        for time in times.into_iter().chain([POSTPAID_EXPIRY]) {
            let mut out = String::new();
            push_time(&mut out, time);
            assert_eq!(out, format_time(time));
        }
    }
}
