//! A call as it arrives, and the checks that come before its action's own.
//!
//! The checks are split so that the server can do between them what needs state, and their
//! order is the API's: [`decode`] (method, encoding, Action and Version, Format, presence of
//! the common parameters), [`SignedCall::check_time`], look-up of
//! [`SignedCall::access_key_id`], [`SignedCall::verify`], then the nonce, the permission, the
//! action's parameters, and the state of the objects.

mod decode;
mod form;

use jiff::{SignedDuration, Timestamp};
use openpeta_types::{AccountId, parse_time};

pub use decode::{action_of_path, decode};

use crate::signature::{acs3, string_to_sign_v1, v1};
use crate::{Action, ActionSpec, ApiError, Format, Params};

/// How far a client's clock may be off, either way.
const TIME_WINDOW: SignedDuration = SignedDuration::from_mins(15);

/// An HTTP request, the body read, nothing decoded.
#[derive(Clone, Copy)]
pub struct RawRequest<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path, as sent.
    pub path: &'a str,
    /// The query without `?`, as sent.
    pub query: &'a str,
    /// Gives the value of a header by its lower-case name; the first one when it occurs
    /// several times.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// A call that was refused before it could be told who makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The form in which the client wants its answers.
    pub format: Format,
    /// Why it was refused.
    pub error: ApiError,
}

/// A decoded call with a signature yet to be verified.
#[derive(Debug)]
pub struct SignedCall {
    action: Action,
    action_name: &'static str,
    format: Format,
    params: Params,
    access_key_id: String,
    security_token: Option<String>,
    nonce: String,
    timestamp: Option<Timestamp>,
    scheme: Scheme,
}

/// How a call is signed.
#[derive(Debug)]
enum Scheme {
    V1 { method: String },
    Acs3(Acs3Signature),
}

/// What is needed to verify an ACS3 signature.
#[derive(Debug)]
struct Acs3Signature {
    signature: String,
    /// `None` when the signed headers lack one that must be signed or was not sent, or the
    /// body is not the one that was signed.
    string_to_sign: Option<String>,
}

impl SignedCall {
    /// The action.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// What the table says about the action.
    #[must_use]
    pub fn spec(&self) -> &'static ActionSpec {
        self.action.spec()
    }

    /// The action as the client spelled it, for the root of an XML answer.
    #[must_use]
    pub const fn action_name(&self) -> &'static str {
        self.action_name
    }

    /// The form in which the client wants its answers.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// All parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The instance whose grant the call needs, as the client named it. Two spellings that
    /// disagree name none; reading the request refuses them.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        let parameter = self.spec().instance_parameter()?;
        self.params.aliased(parameter).ok().flatten()
    }

    /// The access key that the call claims to be signed with.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The token of temporary credentials.
    #[must_use]
    pub fn security_token(&self) -> Option<&str> {
        self.security_token.as_deref()
    }

    /// The text that this access key must not have used before. To be remembered only after
    /// [`verify`](Self::verify), for 15 minutes after [`timestamp`](Self::timestamp).
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The client's time; none when it is absent or unreadable, which
    /// [`check_time`](Self::check_time) refuses.
    #[must_use]
    pub const fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// Checks that the call was signed at most 15 minutes before or after `now`.
    ///
    /// # Errors
    /// `IllegalTimestamp` when it was not, or the time is absent or unreadable.
    pub fn check_time(&self, now: Timestamp) -> Result<(), ApiError> {
        match self.timestamp {
            Some(time) if now.duration_since(time).abs() <= TIME_WINDOW => Ok(()),
            _ => Err(ApiError::illegal_timestamp()),
        }
    }

    /// Checks the signature; takes the same time wherever it is wrong.
    ///
    /// # Errors
    /// `IncompleteSignature`. The message holds the signed text, which SDKs compare with their
    /// own, unless a password is part of it: errors end up in logs.
    pub fn verify(&self, access_key_secret: &str) -> Result<(), ApiError> {
        match &self.scheme {
            Scheme::V1 { method } => {
                let text = string_to_sign_v1(method, &self.params);
                let signature = self.params.get("Signature").unwrap_or_default();
                if v1::verify(&text, signature, access_key_secret) {
                    return Ok(());
                }
                let shown = (!self.carries_secret()).then_some(text.as_str());
                Err(ApiError::incomplete_signature(shown))
            }
            Scheme::Acs3(Acs3Signature {
                signature,
                string_to_sign,
            }) => {
                let text = string_to_sign.as_deref();
                match text {
                    Some(text) if acs3::verify(text, signature, access_key_secret) => Ok(()),
                    // The text holds nothing but a hash.
                    _ => Err(ApiError::incomplete_signature(text)),
                }
            }
        }
    }

    /// Checks OwnerId and OwnerAccount, which can only name the caller's own account.
    ///
    /// # Errors
    /// `InvalidOwner` when both are given, `InvalidOwnerId` or `InvalidOwnerAccount` when one
    /// names somebody else.
    pub fn check_owner(&self, account_id: AccountId, account_name: &str) -> Result<(), ApiError> {
        match (self.params.get("OwnerId"), self.params.get("OwnerAccount")) {
            (Some(_), Some(_)) => Err(ApiError::invalid_owner()),
            (Some(id), None) if AccountId::parse(id) != Ok(account_id) => {
                Err(ApiError::invalid_owner_id())
            }
            (None, Some(name)) if name != account_name => Err(ApiError::invalid_owner_account()),
            _ => Ok(()),
        }
    }

    /// Whether a parameter holds a password. Told by its name as well, since a client may send
    /// one to an action that has none.
    fn carries_secret(&self) -> bool {
        let spec = self.spec();
        self.params.iter().any(|(name, _)| {
            name.to_ascii_lowercase().contains("password")
                || spec
                    .parameter(name)
                    .is_some_and(|parameter| parameter.secret)
        })
    }
}

/// Reads a client's time.
fn client_time(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(parse_time)
}
