//! `openpeta admin ram-user …` and `openpeta admin policy …`

use openpeta_rpc_api::ApiError;
use openpeta_store::{AccessKey, AccessKeyStatus, PolicyAttachment, RamUser};
use openpeta_types::{AccountId, format_time};
use serde_json::{Value, json};

use super::access_keys::check_owner;
use super::{AdminChange, duplicate, in_use, not_found};
use crate::ram::policy::Policy;
use crate::{Control, ControlError};

impl Control {
    pub(super) fn ram_user_create(
        &self,
        change: &AdminChange,
        account_id: AccountId,
        user_name: String,
    ) -> Result<Value, ControlError> {
        check_name("user_name", &user_name)?;
        let user = RamUser {
            account_id,
            user_name,
            created_at: change.now,
        };
        self.parts.store.write(|writer| {
            check_owner(writer, account_id, None)?;
            writer
                .insert_ram_user(&user)
                .map_err(duplicate("user_name"))?;
            change.record(writer, Some(account_id), None)
        })?;
        Ok(row(&user))
    }

    pub(super) fn ram_user_delete(
        &self,
        change: &AdminChange,
        account_id: AccountId,
        user_name: &str,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            check_owner(writer, account_id, None)?;
            let user = writer
                .ram_user(account_id, user_name)?
                .ok_or_else(|| not_found("user_name"))?;
            let works = |key: &&AccessKey| {
                let lasts = key
                    .sts
                    .as_ref()
                    .is_none_or(|sts| sts.expires_at > change.now);
                key.ram_user.as_deref() == Some(user_name)
                    && key.status == AccessKeyStatus::Active
                    && lasts
            };
            if let Some(key) = writer.access_keys(account_id)?.iter().find(works) {
                let detail = format!(
                    "Its key {} is enabled; disable it first.",
                    key.access_key_id
                );
                return Err(in_use("user_name", &detail));
            }
            writer.delete_ram_user(account_id, user_name)?;
            change.record(writer, Some(account_id), None)?;
            Ok(row(&user))
        })
    }

    pub(super) fn ram_user_list(&self, account_id: AccountId) -> Result<Value, ControlError> {
        self.parts.store.read(|reader| {
            check_owner(reader, account_id, None)?;
            Ok(reader.ram_users(account_id)?.iter().map(row).collect())
        })
    }

    pub(super) fn policy_attach(
        &self,
        change: &AdminChange,
        account_id: AccountId,
        user_name: String,
        policy_name: String,
        document: String,
    ) -> Result<Value, ControlError> {
        check_name("policy_name", &policy_name)?;
        Policy::parse(&document)?;
        let policy = PolicyAttachment {
            account_id,
            user_name,
            policy_name,
            document,
        };
        self.parts.store.write(|writer| {
            check_owner(writer, account_id, Some(&policy.user_name))?;
            writer.attach_policy(&policy)?;
            change.record(writer, Some(account_id), None)
        })?;
        Ok(policy_row(&policy))
    }

    pub(super) fn policy_detach(
        &self,
        change: &AdminChange,
        account_id: AccountId,
        user_name: &str,
        policy_name: &str,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            check_owner(writer, account_id, Some(user_name))?;
            let attached = writer.policies(account_id, user_name)?;
            let policy = attached
                .iter()
                .find(|policy| policy.policy_name == policy_name);
            let policy = policy.ok_or_else(|| not_found("policy_name"))?;
            writer.detach_policy(account_id, user_name, policy_name)?;
            change.record(writer, Some(account_id), None)?;
            Ok(policy_row(policy))
        })
    }

    pub(super) fn policy_list(
        &self,
        account_id: AccountId,
        user_name: &str,
    ) -> Result<Value, ControlError> {
        self.parts.store.read(|reader| {
            check_owner(reader, account_id, Some(user_name))?;
            Ok(reader
                .policies(account_id, user_name)?
                .iter()
                .map(policy_row)
                .collect())
        })
    }
}

/// Names of users and policies: 1 to 64 letters, digits and `.`, `-`, `_`, `@`.
fn check_name(parameter: &str, name: &str) -> Result<(), ControlError> {
    let valid = |c: char| c.is_ascii_alphanumeric() || ".-_@".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(valid) {
        Ok(())
    } else {
        Err(ApiError::malformed(parameter).into())
    }
}

fn row(user: &RamUser) -> Value {
    json!({
        "account_id": user.account_id.to_string(),
        "user_name": user.user_name,
        "created_at": format_time(user.created_at),
    })
}

fn policy_row(policy: &PolicyAttachment) -> Value {
    json!({
        "account_id": policy.account_id.to_string(),
        "user_name": policy.user_name,
        "policy_name": policy.policy_name,
        "document": policy.document,
    })
}
