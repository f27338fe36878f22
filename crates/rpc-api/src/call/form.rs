//! Parameters out of a query or a form.

use crate::ApiError;
use crate::encoding::push_decoded;
use crate::params::ParamsBuilder;

/// Parameters that one call can have.
const MAX_PARAMETERS: usize = 256;
/// Bytes of a parameter's name.
const MAX_NAME_BYTES: usize = 128;
/// Bytes of a parameter's value; the longest whitelist needs a third of it.
const MAX_VALUE_BYTES: usize = 64 * 1024;

/// Reads `name=value` pairs, joined with `&`, into the builder.
///
/// # Errors
/// `InvalidParameter` that names the first pair with a broken escape, an empty or too long
/// name, a too long value, or beyond the number allowed.
pub(super) fn read_pairs(encoded: &str, builder: &mut ParamsBuilder) -> Result<(), ApiError> {
    for pair in encoded.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let refuse = || ApiError::invalid_parameter(&shortened(name));
        // Encoding only makes longer, so that this also bounds the work of decoding.
        if name.is_empty()
            || name.len() > 3 * MAX_NAME_BYTES
            || value.len() > 3 * MAX_VALUE_BYTES
            || builder.len() == MAX_PARAMETERS
        {
            return Err(refuse());
        }
        let start = builder.text.len();
        if !push_decoded(&mut builder.text, name) {
            return Err(refuse());
        }
        let end = builder.text.len();
        if !push_decoded(&mut builder.text, value)
            || end - start > MAX_NAME_BYTES
            || builder.text.len() - end > MAX_VALUE_BYTES
        {
            return Err(refuse());
        }
        builder.push(start..end);
    }
    Ok(())
}

/// The value of the first pair of that name, decoded; `None` when there is none or it cannot
/// be decoded.
pub(super) fn peek(encoded: &str, name: &str) -> Option<String> {
    let value = encoded
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let mut out = String::new();
    push_decoded(&mut out, value).then_some(out)
}

/// A name as an error shows it.
fn shortened(name: &str) -> String {
    name.chars().take(MAX_NAME_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(encoded: &str) -> Result<Vec<(String, String)>, ApiError> {
        let mut builder = ParamsBuilder::default();
        read_pairs(encoded, &mut builder)?;
        let params = builder.finish()?;
        Ok(params
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    #[test]
    fn pairs_are_decoded_and_sorted() {
        let owned = |pairs: &[(&str, &str)]| {
            Ok(pairs
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect())
        };
        assert_eq!(
            read("b=2&a=x+y%2B&&c&d="),
            owned(&[("a", "x y+"), ("b", "2"), ("c", ""), ("d", "")])
        );
        assert_eq!(read("a=b=c"), owned(&[("a", "b=c")]));
        assert_eq!(read(""), owned(&[]));
    }

    #[test]
    fn the_parameter_at_fault_is_named() {
        for (encoded, name) in [
            ("a=1&b=%zz", "b"),
            ("a%zz=1", "a%zz"),
            ("a=%ff", "a"),
            ("a=1&b=2&a=3", "a"),
            ("=1", ""),
        ] {
            assert_eq!(
                read(encoded),
                Err(ApiError::invalid_parameter(name)),
                "{encoded}"
            );
        }
    }

    #[test]
    fn limits_hold() {
        let many = |count: usize| {
            (0..count)
                .map(|i| format!("p{i}="))
                .collect::<Vec<_>>()
                .join("&")
        };
        assert!(read(&many(256)).is_ok());
        assert_eq!(read(&many(257)), Err(ApiError::invalid_parameter("p256")));
        assert!(read(&format!("{}=", "n".repeat(128))).is_ok());
        assert!(read(&format!("{}=", "n".repeat(129))).is_err());
        assert!(read(&format!("a={}", "v".repeat(64 * 1024))).is_ok());
        assert_eq!(
            read(&format!("a={}", "v".repeat(64 * 1024 + 1))),
            Err(ApiError::invalid_parameter("a"))
        );
    }

    #[test]
    fn peeking_finds_whole_names_only() {
        assert_eq!(
            peek("XFormat=a&Format=js%6Fn", "Format").as_deref(),
            Some("json")
        );
        assert_eq!(peek("Formats=a", "Format"), None);
        assert_eq!(peek("Format=%z", "Format"), None);
    }
}
