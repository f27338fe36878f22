//! ClientToken: the same call sent twice is done once (API document 12.2).

use openpeta_rpc_api::{ApiError, ClientToken};
use openpeta_store::{IdempotencyRecord, Reader, Writer};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{ControlError, MutatingCall};

/// How long a token is remembered, in hours.
pub(crate) const KEPT_HOURS: i64 = 48;

/// What an earlier call with the same token answered.
///
/// # Errors
/// `IdempotentParameterMismatch` when that call had other parameters.
pub(crate) fn answered<T: DeserializeOwned>(
    reader: &Reader<'_>,
    call: &MutatingCall,
    token: Option<&ClientToken>,
) -> Result<Option<T>, ControlError> {
    let Some(token) = token else { return Ok(None) };
    let action = call.action.spec().name;
    let Some(record) = reader.idempotency(call.caller.account_id, action, token.as_str())? else {
        return Ok(None);
    };
    if record.digest != call.digest {
        return Err(ApiError::idempotent_parameter_mismatch().into());
    }
    let answer = serde_json::from_str(&record.response).map_err(ControlError::internal)?;
    Ok(Some(answer))
}

/// Binds the token to this call, in the transaction of its change.
pub(crate) fn remember<T: Serialize>(
    writer: &Writer<'_>,
    call: &MutatingCall,
    token: Option<&ClientToken>,
    answer: &T,
) -> Result<(), ControlError> {
    let Some(token) = token else { return Ok(()) };
    writer.insert_idempotency(&IdempotencyRecord {
        account_id: call.caller.account_id,
        action: call.action.spec().name.to_owned(),
        token: token.as_str().to_owned(),
        digest: call.digest,
        response: serde_json::to_string(answer).map_err(ControlError::internal)?,
        created_at: call.caller.now,
    })?;
    Ok(())
}
