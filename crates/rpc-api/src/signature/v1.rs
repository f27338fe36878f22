//! Version 1: HMAC-SHA1 over the sorted parameters.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::Params;
use crate::encoding::push_encoded;

/// The only SignatureMethod.
pub(crate) const METHOD: &str = "HMAC-SHA1";
/// The only SignatureVersion.
pub(crate) const VERSION: &str = "1.0";

/// The text that is signed: the method, the path `/`, and all parameters but Signature,
/// sorted, encoded, and encoded once more.
#[must_use]
pub fn string_to_sign_v1(method: &str, params: &Params) -> String {
    let mut text = String::with_capacity(512);
    text.push_str(method);
    text.push_str("&%2F&");
    let mut separator = "";
    for (name, value) in params.iter().filter(|(name, _)| *name != "Signature") {
        text.push_str(separator);
        push_encoded(&mut text, name, "%25");
        text.push_str("%3D");
        push_encoded(&mut text, value, "%25");
        separator = "%26";
    }
    text
}

/// Signs parameters; the result is the value of the parameter Signature, not encoded yet.
#[must_use]
pub fn sign_v1(method: &str, params: &Params, access_key_secret: &str) -> String {
    let text = string_to_sign_v1(method, params);
    STANDARD.encode(hmac::sign(&key(access_key_secret), text.as_bytes()))
}

/// Whether a signature is right; takes the same time wherever it is wrong.
pub(crate) fn verify(string_to_sign: &str, signature: &str, access_key_secret: &str) -> bool {
    STANDARD.decode(signature).is_ok_and(|signature| {
        let key = key(access_key_secret);
        hmac::verify(&key, string_to_sign.as_bytes(), &signature).is_ok()
    })
}

fn key(access_key_secret: &str) -> hmac::Key {
    let secret = [access_key_secret.as_bytes(), b"&"].concat();
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret)
}
