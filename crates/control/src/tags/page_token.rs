//! Tokens that say where the next page of a list begins.
//!
//! A token is a place in the tenant's list and a proof that the service made it for the same
//! question of the same caller. So it tells nothing, cannot be made up, and is of no use for
//! another caller's list.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openpeta_rpc_api::ApiError;
use openpeta_rpc_api::tags::ListTagResourcesRequest;
use openpeta_store::Store;
use ring::hmac;

use crate::Caller;

/// Bytes of a place.
const PLACE: usize = 8;
/// Bytes of the proof that a token carries.
const PROOF: usize = 16;

/// Makes and opens tokens.
pub(super) struct PageTokens(hmac::Key);

/// Who asks for what; a token is good for one of these.
pub(super) struct Question(String);

impl Question {
    pub(super) fn of(caller: &Caller, request: &ListTagResourcesRequest) -> Self {
        // Debug forms are unambiguous: they quote and escape texts.
        Self(format!(
            "{} {:?} {:?} {:?} {:?}",
            caller.account_id,
            caller.ram_user,
            request.region_id,
            request.resource_ids,
            request.tags,
        ))
    }
}

impl PageTokens {
    pub(super) fn new(store: &Store) -> Self {
        let secret = store.derive_secret("page tokens");
        Self(hmac::Key::new(
            hmac::HMAC_SHA256,
            secret.expose().as_bytes(),
        ))
    }

    /// A token for the place.
    pub(super) fn seal(&self, question: &Question, place: i64) -> String {
        let place = place.to_be_bytes();
        let mut token = [0; PLACE + PROOF];
        token[..PLACE].copy_from_slice(&place);
        token[PLACE..].copy_from_slice(&self.proof(question, place));
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The place of a token.
    ///
    /// # Errors
    /// `InvalidNextToken.Malformed` when it was not made here for this question.
    pub(super) fn open(&self, question: &Question, token: &str) -> Result<i64, ApiError> {
        let refused = || ApiError::malformed("NextToken");
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| refused())?;
        let (place, proof) = bytes.split_first_chunk::<PLACE>().ok_or_else(refused)?;
        // A proof that is told apart in variable time helps to make up tokens for one's own
        // list, where all places are allowed.
        if proof != self.proof(question, *place) {
            return Err(refused());
        }
        Ok(i64::from_be_bytes(*place))
    }

    fn proof(&self, question: &Question, place: [u8; PLACE]) -> [u8; PROOF] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&place);
        context.update(question.0.as_bytes());
        let tag = context.sign();
        *tag.as_ref()
            .first_chunk()
            .expect("a SHA-256 tag is longer than that")
    }
}
