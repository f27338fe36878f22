//! Times and numbers as text, without the detour over a format string.

use std::fmt::Write;
use std::net::IpAddr;

use jiff::Timestamp;
use jiff::tz::Offset;

/// Appends `yyyy-MM-ddTHH:mm:ssZ`.
pub(super) fn push_time(out: &mut String, time: Timestamp) {
    let civil = Offset::UTC.to_datetime(time);
    // Years before 0000 are out of the API's range; they cannot come from a clock.
    let year = civil.year().unsigned_abs();
    let mut text = *b"0000-00-00T00:00:00Z";
    for (at, number) in [
        (0, (year / 100) as u8),
        (2, (year % 100) as u8),
        (5, civil.month().unsigned_abs()),
        (8, civil.day().unsigned_abs()),
        (11, civil.hour().unsigned_abs()),
        (14, civil.minute().unsigned_abs()),
        (17, civil.second().unsigned_abs()),
    ] {
        text[at] = b'0' + number / 10;
        text[at + 1] = b'0' + number % 10;
    }
    out.push_str(std::str::from_utf8(&text).expect("digits are ASCII"));
}

/// Appends an IP address; IPv4, the usual kind, digit by digit.
pub(super) fn push_address(out: &mut String, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        // Writing to a string cannot fail.
        let _ = write!(out, "{address}");
        return;
    };
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            out.push('.');
        }
        if octet >= 100 {
            out.push(char::from(b'0' + octet / 100));
        }
        if octet >= 10 {
            out.push(char::from(b'0' + octet / 10 % 10));
        }
        out.push(char::from(b'0' + octet % 10));
    }
}

/// Appends a decimal number.
pub(super) fn push_integer(out: &mut String, number: i64) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{number}");
}

/// Appends a number of hundredths with its point.
pub(super) fn push_hundredths(out: &mut String, hundredths: i64) {
    let sign = if hundredths < 0 { "-" } else { "" };
    let size = hundredths.unsigned_abs();
    // Writing to a string cannot fail.
    let _ = write!(out, "{sign}{}.{:02}", size / 100, size % 100);
}

#[cfg(test)]
mod tests {
    use openpeta_types::{POSTPAID_EXPIRY, format_time, parse_time};

    use super::*;

    #[test]
    fn addresses_look_as_the_standard_library_writes_them() {
        for text in [
            "0.0.0.0",
            "127.8.0.2",
            "255.100.99.10",
            "::1",
            "2001:db8::1",
        ] {
            let mut out = String::new();
            push_address(&mut out, text.parse().expect("an address"));
            assert_eq!(out, text);
        }
    }

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

    #[test]
    fn hundredths_have_two_digits_after_the_point() {
        for (hundredths, text) in [
            (0, "0.00"),
            (5, "0.05"),
            (-5, "-0.05"),
            (1_468_800, "14688.00"),
            (i64::MIN, "-92233720368547758.08"),
        ] {
            let mut out = String::new();
            push_hundredths(&mut out, hundredths);
            assert_eq!(out, text);
        }
    }
}
