//! Percent-encoding as the signatures define it, and the lenient decoding of what clients
//! send.

/// Whether a byte stands for itself: `A-Z a-z 0-9 - _ . ~`.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

/// Appends a text with every byte escaped that is not unreserved; a blank becomes `%20`.
/// `percent` is what stands for the percent sign: `%`, or `%25` to encode twice in one pass.
pub(crate) fn push_encoded(out: &mut String, text: &str, percent: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if is_unreserved(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(percent);
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// Appends a decoded name or value: `+` is a blank, `%XX` a byte.
///
/// A plus sign means a blank in the query as well as in a form: the SDKs for Java, Go and
/// Python send blanks so, and all of them send a plus sign as `%2B`.
///
/// Returns `false`, with nothing appended, when an escape is cut short or not hexadecimal, or
/// the bytes are not UTF-8.
pub(crate) fn push_decoded(out: &mut String, encoded: &str) -> bool {
    if !encoded.bytes().any(|byte| byte == b'%' || byte == b'+') {
        out.push_str(encoded);
        return true;
    }
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let [high, low, tail @ ..] = tail else {
                    return false;
                };
                let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) else {
                    return false;
                };
                bytes.push(high << 4 | low);
                rest = tail;
            }
            byte => bytes.push(*byte),
        }
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => {
            out.push_str(text);
            true
        }
        Err(_) => false,
    }
}

/// The value of a hexadecimal digit in either case.
const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(HEX[usize::from(digit)]))
        .collect()
}

/// The bytes that hexadecimal digits stand for; `None` for anything else.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(hex_digit(*high)? << 4 | hex_digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(encoded: &str) -> Option<String> {
        let mut out = String::new();
        push_decoded(&mut out, encoded).then_some(out)
    }

    #[test]
    fn plus_and_percent_20_are_blanks() {
        assert_eq!(decoded("a+b%20c%2Bd").as_deref(), Some("a b c+d"));
        assert_eq!(decoded("%e4%B8%ad").as_deref(), Some("中"));
    }

    #[test]
    fn broken_escapes_are_refused() {
        for bad in ["%", "%4", "%zz", "a%", "%E4%B8", "%ff", "%+1", "%%41"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn encoding_reads_back(text in any::<String>()) {
            let mut encoded = String::new();
            push_encoded(&mut encoded, &text, "%");
            prop_assert_eq!(decoded(&encoded), Some(text));
        }

        #[test]
        fn encoding_twice_at_once_is_encoding_twice(text in any::<String>()) {
            let (mut once, mut twice, mut fast) = (String::new(), String::new(), String::new());
            push_encoded(&mut once, &text, "%");
            push_encoded(&mut twice, &once, "%");
            push_encoded(&mut fast, &text, "%25");
            prop_assert_eq!(fast, twice);
        }

        #[test]
        fn hex_reads_back(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        }
    }
}
