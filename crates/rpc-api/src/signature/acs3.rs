//! ACS3-HMAC-SHA256: HMAC-SHA256 over a canonical request with chosen headers.

use jiff::Timestamp;
use openpeta_types::format_time;
use ring::{digest, hmac};

use super::Credentials;
use crate::API_VERSION;
use crate::encoding::{hex, push_encoded, unhex};

/// The algorithm, as the Authorization header and the signed text begin.
pub(crate) const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// The parts of an Authorization header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authorization<'a> {
    pub(crate) credential: &'a str,
    pub(crate) signed_headers: &'a str,
    pub(crate) signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads `ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,Signature=…`, each part once, in
    /// any order.
    pub(crate) fn parse(header: &'a str) -> Option<Self> {
        let rest = header.strip_prefix(ALGORITHM)?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=')?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return None,
            };
            if value.is_empty() || slot.replace(value).is_some() {
                return None;
            }
        }
        Some(Self {
            credential: credential?,
            signed_headers: signed_headers?,
            signature: signature?,
        })
    }
}

/// Builds the canonical query out of decoded pairs: sorted by name, encoded, joined.
pub(crate) fn canonical_query<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    let mut out = String::with_capacity(256);
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        push_encoded(&mut out, name, "%");
        out.push('=');
        push_encoded(&mut out, value, "%");
    }
    out
}

/// The text that is signed. `header` gives the value of a signed header by its lower-case
/// name; `None` when it gives none for one of them.
pub(crate) fn string_to_sign<'a>(
    method: &str,
    path: &str,
    query: &str,
    signed_headers: &str,
    body_hash: &str,
    header: impl Fn(&str) -> Option<&'a str>,
) -> Option<String> {
    let mut canonical = String::with_capacity(1024);
    for line in [method, path, query] {
        canonical.push_str(line);
        canonical.push('\n');
    }
    for name in signed_headers.split(';') {
        canonical.push_str(name);
        canonical.push(':');
        canonical.push_str(header(name)?.trim());
        canonical.push('\n');
    }
    canonical.push('\n');
    canonical.push_str(signed_headers);
    canonical.push('\n');
    canonical.push_str(body_hash);
    Some(format!("{ALGORITHM}\n{}", sha256_hex(canonical.as_bytes())))
}

/// The SHA-256 of some bytes in lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Whether a signature is right; takes the same time wherever it is wrong.
pub(crate) fn verify(string_to_sign: &str, signature: &str, access_key_secret: &str) -> bool {
    unhex(signature).is_some_and(|signature| {
        hmac::verify(
            &key(access_key_secret),
            string_to_sign.as_bytes(),
            &signature,
        )
        .is_ok()
    })
}

fn key(access_key_secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, access_key_secret.as_bytes())
}

/// A request to be signed with ACS3-HMAC-SHA256.
#[derive(Clone, Copy, Debug)]
pub struct Acs3Request<'a> {
    /// GET or POST.
    pub method: &'a str,
    /// The path: `/`, or `/` and the action.
    pub path: &'a str,
    /// Host header, with the port when the URL has one.
    pub host: &'a str,
    /// The action.
    pub action: &'a str,
    /// Parameters that go into the query, in any order.
    pub query: &'a [(&'a str, &'a str)],
    /// The body; empty, or a form with Content-Type among the headers.
    pub body: &'a [u8],
    /// Further headers to be sent and signed, names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// Who signs.
    pub credentials: Credentials<'a>,
    /// The client's time.
    pub timestamp: Timestamp,
    /// A text never used before with this key.
    pub nonce: &'a str,
}

/// Signs a request. Returns the query without `?` and the headers to be sent with it,
/// Authorization last; Host and the given headers are among them.
#[must_use]
pub fn sign_acs3(request: &Acs3Request<'_>) -> (String, Vec<(String, String)>) {
    let query = canonical_query(request.query.iter().copied());
    let body_hash = sha256_hex(request.body);
    let time = format_time(request.timestamp);
    let mut headers: Vec<(&str, &str)> = vec![
        ("host", request.host),
        ("x-acs-action", request.action),
        ("x-acs-content-sha256", &body_hash),
        ("x-acs-date", &time),
        ("x-acs-signature-nonce", request.nonce),
        ("x-acs-version", API_VERSION),
    ];
    if let Some(token) = request.credentials.security_token {
        headers.push(("x-acs-accesskey-id", request.credentials.access_key_id));
        headers.push(("x-acs-security-token", token));
    }
    headers.extend_from_slice(request.headers);
    headers.sort_unstable();
    let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let find = |name: &str| {
        headers
            .iter()
            .find(|(other, _)| *other == name)
            .map(|pair| pair.1)
    };
    let text = string_to_sign(
        request.method,
        request.path,
        &query,
        &names,
        &body_hash,
        find,
    )
    .expect("the signed headers are the ones just collected");
    let signature = hmac::sign(&key(request.credentials.access_key_secret), text.as_bytes());
    let authorization = format!(
        "{ALGORITHM} Credential={},SignedHeaders={names},Signature={}",
        request.credentials.access_key_id,
        hex(signature.as_ref()),
    );
    let mut headers: Vec<(String, String)> = headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    headers.push(("authorization".to_owned(), authorization));
    (query, headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorization_headers_are_read() {
        let parsed = Authorization::parse(
            "ACS3-HMAC-SHA256 Credential=id, SignedHeaders=host;x-acs-date,Signature=ab",
        );
        let expected = Authorization {
            credential: "id",
            signed_headers: "host;x-acs-date",
            signature: "ab",
        };
        assert_eq!(parsed, Some(expected));
        for bad in [
            "ACS3-HMAC-SHA256",
            "ACS3-HMAC-SHA256 Credential=id,SignedHeaders=host",
            "ACS3-HMAC-SHA256 Credential=,SignedHeaders=host,Signature=ab",
            "ACS3-HMAC-SHA256 Credential=a,Credential=b,SignedHeaders=host,Signature=ab",
            "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=ab,X=y",
            "Basic abc",
        ] {
            assert_eq!(Authorization::parse(bad), None, "{bad}");
        }
    }
}
