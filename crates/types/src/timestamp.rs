//! Times as the API writes them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Expiry shown for PostPaid databases: 2999-09-08T16:00:00Z.
pub const POSTPAID_EXPIRY: Timestamp = Timestamp::constant(32_493_801_600, 0);

/// Writes a time as `yyyy-MM-ddTHH:mm:ssZ`, UTC; fractions are cut off.
#[must_use]
pub fn format_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Reads `yyyy-MM-ddTHH:mm:ssZ`, with or without seconds, with or without a fraction of a
/// second. Anything else, another offset included, gives `None`.
#[must_use]
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let civil = text.strip_suffix('Z')?;
    let bytes = civil.as_bytes();
    let shape = |index: usize, expected: u8| bytes.get(index) == Some(&expected);
    let separators = shape(4, b'-') && shape(7, b'-') && shape(10, b'T') && shape(13, b':');
    let seconds = match bytes.len() {
        16 => true,
        19 => shape(16, b':'),
        21..=29 => shape(16, b':') && shape(19, b'.'),
        _ => false,
    };
    let digits = bytes
        .iter()
        .enumerate()
        .all(|(index, b)| matches!(index, 4 | 7 | 10 | 13 | 16 | 19) || b.is_ascii_digit());
    if !(separators && seconds && digits) {
        return None;
    }
    let civil: DateTime = civil.parse().ok()?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_is_the_documented_one() {
        assert_eq!(format_time(POSTPAID_EXPIRY), "2999-09-08T16:00:00Z");
    }

    #[test]
    fn reads_what_clients_send() {
        for (text, shown) in [
            ("2019-01-17T08:00:00Z", "2019-01-17T08:00:00Z"),
            ("2019-01-17T08:00Z", "2019-01-17T08:00:00Z"),
            ("2019-01-17T08:00:00.123456789Z", "2019-01-17T08:00:00Z"),
        ] {
            assert_eq!(
                parse_time(text).map(format_time).as_deref(),
                Some(shown),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "Z",
            "2019-01-17",
            "2019-01-17 08:00:00Z",
            "2019-01-17T08:00:00+08:00",
            "2019-13-17T08:00:00Z",
            "2019-02-30T08:00:00Z",
            "2019-01-17T25:00:00Z",
            "2019-01-17T08:00:00",
            "-019-01-17T08:00:00Z",
            "2019-01-17T08:00:00.Z",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
