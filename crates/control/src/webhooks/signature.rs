//! How a receiver knows that a notification is ours, and new. Pure.

use std::fmt::Write as _;

use openpeta_types::Secret;
use ring::hmac;

/// The header's value: the time in Unix seconds, and HMAC-SHA256 of time, full stop and body under the
/// webhook's secret, in hex.
pub(super) fn signature(secret: &Secret, unix_seconds: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let tag = hmac::sign(&key, format!("{unix_seconds}.{body}").as_bytes());
    let mut text = format!("t={unix_seconds},v1=");
    for byte in tag.as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out with `printf '1800000000.{"a":1}' | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn the_signature_is_what_openssl_says() {
        let signed = signature(&Secret::new("secret"), 1_800_000_000, r#"{"a":1}"#);
        assert_eq!(
            signed,
            "t=1800000000,v1=440dfbb83aabca24d9e5027629cfd81cb45254690f8d410bb28f1cc17c990dbc"
        );
    }
}
