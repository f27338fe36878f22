//! `openpeta admin access-key …` and `openpeta admin sts issue`

use jiff::SignedDuration;
use openpeta_rpc_api::ApiError;
use openpeta_store::{AccessKey, AccessKeyStatus, Reader, SessionToken};
use openpeta_types::{AccessKeyId, AccountId, Secret, format_time};
use serde_json::{Value, json};

use super::{AdminChange, not_found};
use crate::bootstrap::new_access_key;
use crate::{Control, ControlError, random};

/// Life times of temporary credentials, in seconds.
const STS_SECONDS: std::ops::RangeInclusive<u32> = 900..=43_200;

impl Control {
    pub(super) fn access_key_create(
        &self,
        change: &AdminChange,
        account_id: AccountId,
        user_name: Option<String>,
    ) -> Result<Value, ControlError> {
        let key = new_access_key(account_id, user_name, change.now)?;
        self.parts.store.write(|writer| {
            check_owner(writer, account_id, key.ram_user.as_deref())?;
            writer.insert_access_key(&key)?;
            change.record(writer, Some(account_id), None)
        })?;
        Ok(json!({
            "account_id": account_id.to_string(),
            "access_key_id": key.access_key_id.as_str(),
            "access_key_secret": key.secret.expose(),
        }))
    }

    pub(super) fn access_key_disable(
        &self,
        change: &AdminChange,
        id: &AccessKeyId,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let key = writer
                .access_key(id)?
                .ok_or_else(|| not_found("access_key_id"))?;
            writer.set_access_key_status(id, AccessKeyStatus::Disabled)?;
            change.record(writer, Some(key.account_id), None)?;
            Ok(row(&AccessKey {
                status: AccessKeyStatus::Disabled,
                ..key
            }))
        })
    }

    pub(super) fn access_key_list(&self, account_id: AccountId) -> Result<Value, ControlError> {
        self.parts.store.read(|reader| {
            check_owner(reader, account_id, None)?;
            Ok(reader.access_keys(account_id)?.iter().map(row).collect())
        })
    }

    /// Temporary credentials carry the rights of their tenant or RAM user.
    pub(super) fn sts_issue(
        &self,
        change: &AdminChange,
        account_id: AccountId,
        user_name: Option<String>,
        duration_seconds: u32,
    ) -> Result<Value, ControlError> {
        if !STS_SECONDS.contains(&duration_seconds) {
            let detail = "It must be 900 to 43200.";
            return Err(ApiError::invalid_parameter("duration_seconds")
                .with_detail(detail)
                .into());
        }
        let expires_at = change.now + SignedDuration::from_secs(duration_seconds.into());
        let token = Secret::new(random::alphanumeric::<64>()?);
        let id = format!("STS.{}", random::alphanumeric::<24>()?);
        let key = AccessKey {
            access_key_id: AccessKeyId::parse(&id).map_err(ControlError::internal)?,
            sts: Some(SessionToken {
                token: token.clone(),
                expires_at,
            }),
            ..new_access_key(account_id, user_name, change.now)?
        };
        self.parts.store.write(|writer| {
            check_owner(writer, account_id, key.ram_user.as_deref())?;
            writer.insert_access_key(&key)?;
            change.record(writer, Some(account_id), None)
        })?;
        Ok(json!({
            "access_key_id": id,
            "access_key_secret": key.secret.expose(),
            "security_token": token.expose(),
            "expiration": format_time(expires_at),
        }))
    }
}

/// Whether tenant and RAM user exist.
pub(super) fn check_owner(
    reader: &Reader<'_>,
    account_id: AccountId,
    user_name: Option<&str>,
) -> Result<(), ControlError> {
    reader
        .tenant(account_id)?
        .ok_or_else(|| not_found("account_id"))?;
    if let Some(user_name) = user_name {
        reader
            .ram_user(account_id, user_name)?
            .ok_or_else(|| not_found("user_name"))?;
    }
    Ok(())
}

fn row(key: &AccessKey) -> Value {
    json!({
        "access_key_id": key.access_key_id.as_str(),
        "account_id": key.account_id.to_string(),
        "user_name": key.ram_user,
        "status": key.status.as_str(),
        "expires_at": key.sts.as_ref().map(|sts| format_time(sts.expires_at)),
        "created_at": format_time(key.created_at),
    })
}
