//! From an HTTP request to a call whose signature can be verified.

use super::form::{peek, read_pairs};
use super::{Acs3Signature, Failure, RawRequest, Scheme, SignedCall, client_time};
use crate::params::ParamsBuilder;
use crate::signature::acs3::{self, Authorization};
use crate::signature::v1;
use crate::{API_VERSION, Action, ApiError, Format, Params};

/// The Content-Type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

/// Bytes of a nonce, which the server has to remember.
const MAX_NONCE_BYTES: usize = 256;

/// Headers that an ACS3 signature must cover, since the call is what they say.
const REQUIRED_SIGNED_HEADERS: [&str; 6] = [
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
];

/// Decodes a request and makes the checks that need no state, in the API's order: method,
/// encoding, Action and Version, Format, presence of the common parameters.
///
/// # Errors
/// [`Failure`] with the first check that failed, and the form in which to answer: the one
/// that the client asked for, whatever else is wrong with the request.
pub fn decode(raw: &RawRequest<'_>) -> Result<SignedCall, Failure> {
    let authorization = (raw.header)("authorization");
    let authorization = authorization.filter(|value| value.starts_with(acs3::ALGORITHM));
    let form = form_body(raw);
    let asked = match authorization {
        // Such requests have no Format parameter, and their senders read JSON.
        Some(_) => Some(Format::Json),
        None => asked_format(raw.query, form.as_ref().unwrap_or(&"")),
    };
    let call = signed_call(raw, authorization, form, asked);
    call.map_err(|error| Failure {
        format: asked.unwrap_or_default(),
        error,
    })
}

/// The form of the answer that a version 1 request asks for; none when it is unknown.
fn asked_format(query: &str, form: &str) -> Option<Format> {
    match peek(query, "Format").or_else(|| peek(form, "Format")) {
        Some(text) if !text.is_empty() => Format::parse(&text),
        _ => Some(Format::default()),
    }
}

/// The body of a POST, which must be a form if there is one.
fn form_body<'a>(raw: &RawRequest<'a>) -> Result<&'a str, ApiError> {
    if raw.method != "POST" || raw.body.is_empty() {
        return Ok("");
    }
    let content_type = (raw.header)("content-type").unwrap_or(FORM);
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(FORM) {
        return Err(ApiError::invalid_parameter("Content-Type"));
    }
    std::str::from_utf8(raw.body).map_err(|_| ApiError::invalid_parameter("Body"))
}

fn signed_call(
    raw: &RawRequest<'_>,
    authorization: Option<&str>,
    form: Result<&str, ApiError>,
    asked: Option<Format>,
) -> Result<SignedCall, ApiError> {
    if !matches!(raw.method, "GET" | "POST") {
        return Err(ApiError::unsupported_http_method());
    }
    let mut builder = ParamsBuilder::default();
    read_pairs(raw.query, &mut builder)?;
    // ACS3 signs the query apart from the body.
    let query = authorization.map(|_| acs3::canonical_query(builder.iter()));
    read_pairs(form?, &mut builder)?;
    let params = builder.finish()?;
    match authorization.zip(query) {
        Some((authorization, query)) => acs3_call(raw, authorization, &query, params),
        None => v1_call(raw, asked, params),
    }
}

/// Checks the common parameters of version 1.
fn v1_call(
    raw: &RawRequest<'_>,
    asked: Option<Format>,
    params: Params,
) -> Result<SignedCall, ApiError> {
    let (action, action_name) = find_action(params.required("Action")?)?;
    check_path(raw.path, action)?;
    check_version(params.required("Version")?)?;
    let format = asked.ok_or_else(|| ApiError::value_not_supported("Format"))?;
    let access_key_id = params.required("AccessKeyId")?.to_owned();
    params.required("Signature")?;
    let method = params.required("SignatureMethod")?;
    let version = params.required("SignatureVersion")?;
    let nonce = nonce(params.required("SignatureNonce")?, "SignatureNonce")?;
    for (name, value, supported) in [
        ("SignatureMethod", method, v1::METHOD),
        ("SignatureVersion", version, v1::VERSION),
        (
            "SignatureType",
            params.raw("SignatureType").unwrap_or_default(),
            "",
        ),
    ] {
        if value != supported {
            return Err(ApiError::value_not_supported(name));
        }
    }
    Ok(SignedCall {
        action,
        action_name,
        format,
        access_key_id,
        security_token: params.get("SecurityToken").map(str::to_owned),
        nonce,
        timestamp: client_time(params.get("Timestamp")),
        scheme: Scheme::V1 {
            method: raw.method.to_owned(),
        },
        params,
    })
}

/// Checks the headers of ACS3, which stand for the common parameters.
fn acs3_call(
    raw: &RawRequest<'_>,
    authorization: &str,
    query: &str,
    params: Params,
) -> Result<SignedCall, ApiError> {
    let header = |name: &str| (raw.header)(name).filter(|value| !value.is_empty());
    let required = |name: &str| header(name).ok_or_else(|| ApiError::missing_parameter(name));
    let (action, action_name) = find_action(required("x-acs-action")?)?;
    check_path(raw.path, action)?;
    check_version(required("x-acs-version")?)?;
    let authorization =
        Authorization::parse(authorization).ok_or_else(|| ApiError::incomplete_signature(None))?;
    let nonce = nonce(required("x-acs-signature-nonce")?, "x-acs-signature-nonce")?;
    let body_hash = required("x-acs-content-sha256")?;
    let security_token = header("x-acs-security-token").map(str::to_owned);
    let signs = |name: &str| {
        authorization
            .signed_headers
            .split(';')
            .any(|other| other == name)
    };
    let covered = REQUIRED_SIGNED_HEADERS.iter().all(|name| signs(name))
        && (security_token.is_none() || signs("x-acs-security-token"));
    let intact = acs3::sha256_hex(raw.body) == body_hash;
    let string_to_sign = (covered && intact)
        .then(|| {
            let signed = authorization.signed_headers;
            acs3::string_to_sign(raw.method, raw.path, query, signed, body_hash, raw.header)
        })
        .flatten();
    Ok(SignedCall {
        action,
        action_name,
        format: Format::Json,
        params,
        access_key_id: authorization.credential.to_owned(),
        security_token,
        nonce,
        timestamp: client_time(header("x-acs-date")),
        scheme: Scheme::Acs3(Acs3Signature {
            signature: authorization.signature.to_owned(),
            string_to_sign,
        }),
    })
}

fn find_action(name: &str) -> Result<(Action, &'static str), ApiError> {
    Action::find_spelling(name).ok_or_else(ApiError::invalid_action)
}

/// A path other than `/` names an action. It is only an alias: what is carried out is what was
/// signed, and the two must not differ.
fn check_path(path: &str, action: Action) -> Result<(), ApiError> {
    if path == "/" || action_of_path(path) == Some(action) {
        Ok(())
    } else {
        Err(ApiError::invalid_parameter("Action").with_detail("The path names another action."))
    }
}

/// The action that a path names: `/CreateInstance` is an alias of `/` for calls of that action.
#[must_use]
pub fn action_of_path(path: &str) -> Option<Action> {
    path.strip_prefix('/').and_then(Action::find)
}

fn check_version(version: &str) -> Result<(), ApiError> {
    if version == API_VERSION {
        Ok(())
    } else {
        Err(ApiError::invalid_parameter("Action or Version"))
    }
}

fn nonce(text: &str, name: &str) -> Result<String, ApiError> {
    if text.len() <= MAX_NONCE_BYTES {
        Ok(text.to_owned())
    } else {
        Err(ApiError::invalid_parameter(name))
    }
}
