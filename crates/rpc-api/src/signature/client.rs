//! Signed requests, as the CLI and the tests send them.

use std::fmt;

use jiff::Timestamp;
use openpeta_types::format_time;

use super::sign_v1;
use super::v1::{METHOD, VERSION};
use crate::encoding::push_encoded;
use crate::{API_VERSION, ApiError, Format, Params};

/// An access key, and for temporary credentials the token that goes with it.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The public half.
    pub access_key_id: &'a str,
    /// The secret half.
    pub access_key_secret: &'a str,
    /// The token of temporary credentials.
    pub security_token: Option<&'a str>,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.access_key_id)
    }
}

/// A request to be signed with version 1.
#[derive(Clone, Copy)]
pub struct V1Request<'a> {
    /// GET or POST.
    pub method: &'a str,
    /// The action.
    pub action: &'a str,
    /// The action's own parameters, in any order.
    pub parameters: &'a [(&'a str, &'a str)],
    /// The form of the answer.
    pub format: Format,
    /// Who signs.
    pub credentials: Credentials<'a>,
    /// The client's time.
    pub timestamp: Timestamp,
    /// A text never used before with this key.
    pub nonce: &'a str,
}

/// Signs a request. The result is the whole query of a GET, or the body of a POST with
/// Content-Type `application/x-www-form-urlencoded`, where a password stays out of the URL.
///
/// # Errors
/// `InvalidParameter` when the parameters name one twice, or a common one.
pub fn signed_form_v1(request: &V1Request<'_>) -> Result<String, ApiError> {
    let time = format_time(request.timestamp);
    let format = match request.format {
        Format::Json => "JSON",
        Format::Xml => "XML",
    };
    let common = [
        ("Action", request.action),
        ("Version", API_VERSION),
        ("Format", format),
        ("AccessKeyId", request.credentials.access_key_id),
        ("SignatureMethod", METHOD),
        ("SignatureVersion", VERSION),
        ("SignatureNonce", request.nonce),
        ("Timestamp", &time),
    ];
    let token = request
        .credentials
        .security_token
        .map(|token| ("SecurityToken", token));
    let all = common
        .into_iter()
        .chain(token)
        .chain(request.parameters.iter().copied());
    let params = Params::from_pairs(all)?;
    let signature = sign_v1(
        request.method,
        &params,
        request.credentials.access_key_secret,
    );
    let mut form = String::with_capacity(512);
    for (name, value) in params.iter().chain([("Signature", signature.as_str())]) {
        if !form.is_empty() {
            form.push('&');
        }
        push_encoded(&mut form, name, "%");
        form.push('=');
        push_encoded(&mut form, value, "%");
    }
    Ok(form)
}
