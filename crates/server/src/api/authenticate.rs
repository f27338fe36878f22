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

#[cfg(test)]
mod tests {
    use openpeta_store::SessionToken;
    use openpeta_types::{AccessKeyId, AccountId, Secret};

    use super::*;

    #[test]
    fn temporary_keys_work_with_their_token_until_they_expire() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let mut key = AccessKey {
            access_key_id: AccessKeyId::parse("STS.x").expect("valid"),
            account_id: AccountId::parse("1234567890123456").expect("valid"),
            ram_user: None,
            secret: Secret::new("secret"),
            status: AccessKeyStatus::Active,
            sts: Some(SessionToken {
                token: Secret::new("token"),
                expires_at: at(100),
            }),
            created_at: at(0),
        };
        let malformed = Err(ApiError::security_token_malformed());
        assert_eq!(check_token(&key, Some("token"), at(99)), Ok(()));
        let expired = Err(ApiError::security_token_expired());
        assert_eq!(check_token(&key, Some("token"), at(100)), expired);
        assert_eq!(check_token(&key, Some("other"), at(99)), malformed);
        assert_eq!(check_token(&key, None, at(99)), malformed);
        key.sts = None;
        assert_eq!(check_token(&key, None, at(99)), Ok(()));
        assert_eq!(check_token(&key, Some("token"), at(99)), malformed);
    }
}
