//! Rows of nodes as home takes them.

use openpeta_mysql_wire::{Reader, WireError};

const NULL: u8 = 0xFB;

/// Puts a row of the text protocol as a line of `LOAD DATA`. `timestamps` tells which columns are
/// seconds since 1970, that become times of UTC.
///
/// # Errors
/// When the row is cut short.
pub fn put_line(out: &mut Vec<u8>, row: &[u8], timestamps: &[bool]) -> Result<(), WireError> {
    let mut rest = row;
    for (number, is_timestamp) in timestamps.iter().enumerate() {
        if number > 0 {
            out.push(b'\t');
        }
        if let [NULL, after @ ..] = rest {
            out.extend_from_slice(b"\\N");
            rest = after;
            continue;
        }
        let mut reader = Reader::new(rest);
        let value = reader.lenenc_bytes()?;
        rest = reader.rest();
        if *is_timestamp {
            put_time(out, value)?;
        } else {
            put_escaped(out, value);
        }
    }
    out.push(b'\n');
    Ok(())
}

/// Puts a row as one of those behind `VALUES`.
///
/// # Errors
/// When the row is cut short.
pub fn put_values(
    out: &mut Vec<u8>,
    row: &[u8],
    timestamps: &[bool],
    numbers: &[bool],
) -> Result<(), WireError> {
    let mut rest = row;
    out.push(b'(');
    for (number, is_timestamp) in timestamps.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        if let [NULL, after @ ..] = rest {
            out.extend_from_slice(b"NULL");
            rest = after;
            continue;
        }
        let mut reader = Reader::new(rest);
        let value = reader.lenenc_bytes()?;
        rest = reader.rest();
        if *is_timestamp {
            out.push(b'\'');
            put_time(out, value)?;
            out.push(b'\'');
        } else if numbers[number] {
            out.extend_from_slice(value);
        } else if value.is_empty() {
            out.extend_from_slice(b"''");
        } else {
            // A string everywhere, where `0x…` is a number to columns of numbers.
            out.extend_from_slice(b"X'");
            for byte in value {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                out.push(DIGITS[usize::from(byte >> 4)]);
                out.push(DIGITS[usize::from(byte & 15)]);
            }
            out.push(b'\'');
        }
    }
    out.push(b')');
    Ok(())
}

fn put_escaped(out: &mut Vec<u8>, value: &[u8]) {
    let mut start = 0;
    for (at, byte) in value.iter().enumerate() {
        let escape = match byte {
            b'\\' => b'\\',
            b'\t' => b't',
            b'\n' => b'n',
            0 => b'0',
            _ => continue,
        };
        out.extend_from_slice(&value[start..at]);
        out.extend_from_slice(&[b'\\', escape]);
        start = at + 1;
    }
    out.extend_from_slice(&value[start..]);
}

/// Puts seconds since 1970, perhaps with a fraction, as a time of UTC; none for the time that is none.
fn put_time(out: &mut Vec<u8>, value: &[u8]) -> Result<(), WireError> {
    const WRONG: WireError = WireError::Malformed("timestamp");
    let text = std::str::from_utf8(value).map_err(|_| WRONG)?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().map_err(|_| WRONG)?;
    if seconds == 0 && fraction.bytes().all(|byte| byte == b'0') {
        out.extend_from_slice(b"0000-00-00 00:00:00");
        return Ok(());
    }
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let time = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    out.extend_from_slice(time.as_bytes());
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
    Ok(())
}

/// The date of a day since 1970, in the Gregorian calendar.
fn date_of(days: i64) -> (i64, i64, i64) {
    // Counted from March on, the leap day comes last.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use openpeta_mysql_wire::put_lenenc_bytes;

    use super::*;

    fn row(values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut row = Vec::new();
        for value in values {
            match value {
                Some(value) => put_lenenc_bytes(&mut row, value),
                None => row.push(NULL),
            }
        }
        row
    }

    #[test]
    fn lines_have_what_would_end_them_escaped() {
        let row = row(&[
            Some(b"a\tb\\\n\0"),
            None,
            Some(b""),
            Some(b"951782400.500000"),
            Some(b"0"),
        ]);
        let mut out = Vec::new();
        put_line(&mut out, &row, &[false, false, false, true, true]).unwrap();
        assert_eq!(
            out,
            b"a\\tb\\\\\\n\\0\t\\N\t\t2000-02-29 00:00:00.500000\t0000-00-00 00:00:00\n"
        );
        assert!(put_line(&mut out, &[5, 1], &[false]).is_err());
    }

    #[test]
    fn values_need_no_quotes() {
        let row = row(&[
            Some(b"a'\\"),
            None,
            Some(b""),
            Some(b"2147483647"),
            Some(b"-1.5"),
        ]);
        let mut out = Vec::new();
        let timestamps = [false, false, false, true, false];
        let numbers = [false, false, false, false, true];
        put_values(&mut out, &row, &timestamps, &numbers).unwrap();
        assert_eq!(out, b"(X'61275C',NULL,'','2038-01-19 03:14:07',-1.5)");
    }
}
