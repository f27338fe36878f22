//! Who makes a call: time, access key, token, signature, nonce.

use std::sync::Arc;

use jiff::Timestamp;
use openpeta_rpc_api::{ApiError, SignedCall};
use openpeta_store::{AccessKey, AccessKeyStatus, Store};
use subtle::ConstantTimeEq;

/// The key that a call was signed with. The nonce is used up only when all else is right, so
/// that nobody without the secret can use up the nonces of others.
///
/// # Errors
/// `IllegalTimestamp`, `InvalidAccessKeyId.NotFound`, `InvalidSecurityToken.*`,
/// `IncompleteSignature` or `SignatureNonceUsed`, in this order.
pub(super) fn authenticate(
    store: &Store,
    call: &SignedCall,
    now: Timestamp,
) -> Result<Arc<AccessKey>, ApiError> {
    call.check_time(now)?;
    let key = store
        .access_key(call.access_key_id())
        .filter(|key| key.status == AccessKeyStatus::Active)
        .ok_or_else(ApiError::access_key_not_found)?;
    check_token(&key, call.security_token(), now)?;
    call.verify(key.secret.expose())?;
    let timestamp = call.timestamp().ok_or_else(ApiError::illegal_timestamp)?;
    if !store
        .nonces()
        .insert(call.access_key_id(), call.nonce(), timestamp, now)
    {
        return Err(ApiError::signature_nonce_used());
    }
    Ok(key)
}

/// A temporary key works only with its own token, a permanent one only without.
fn check_token(key: &AccessKey, token: Option<&str>, now: Timestamp) -> Result<(), ApiError> {
    match (&key.sts, token) {
        (None, None) => Ok(()),
        (Some(sts), Some(token)) => {
            let same = sts.token.expose().as_bytes().ct_eq(token.as_bytes());
            if !bool::from(same) {
                Err(ApiError::security_token_malformed())
            } else if sts.expires_at <= now {
                Err(ApiError::security_token_expired())
            } else {
                Ok(())
            }
        }
        _ => Err(ApiError::security_token_malformed()),
    }
}
