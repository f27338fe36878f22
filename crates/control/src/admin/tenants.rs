//! `openpeta admin tenant …`

use openpeta_store::{Reader, Tenant};
use openpeta_types::{AccountId, format_time};
use serde_json::{Value, json};

use super::{AdminChange, duplicate, not_found};
use crate::bootstrap::{new_access_key, new_tenant};
use crate::{Control, ControlError, QuotaConfig};

impl Control {
    pub(super) fn tenant_create(
        &self,
        change: &AdminChange,
        name: &str,
    ) -> Result<Value, ControlError> {
        if name.trim().is_empty() || name.chars().count() > 64 {
            return Err(openpeta_rpc_api::ApiError::malformed("name").into());
        }
        let tenant = new_tenant(name, change.now)?;
        let key = new_access_key(tenant.account_id, None, change.now)?;
        self.parts.store.write(|writer| {
            writer.insert_tenant(&tenant).map_err(duplicate("name"))?;
            writer.insert_access_key(&key)?;
            change.record(writer, Some(tenant.account_id), None)
        })?;
        Ok(json!({
            "account_id": tenant.account_id.to_string(),
            "access_key_id": key.access_key_id.as_str(),
            "access_key_secret": key.secret.expose(),
        }))
    }

    pub(super) async fn tenant_update(
        &self,
        change: &AdminChange,
        account_id: AccountId,
        update: impl FnOnce(&mut Tenant),
    ) -> Result<Value, ControlError> {
        let row = self.parts.store.write(|writer| {
            let mut tenant = writer
                .tenant(account_id)?
                .ok_or_else(|| not_found("account_id"))?;
            update(&mut tenant);
            writer.update_tenant(&tenant)?;
            change.record(writer, Some(account_id), None)?;
            row(writer, &self.parts.config.quotas, &tenant)
        })?;
        self.parts.follow_balance(account_id, change.now).await?;
        Ok(row)
    }

    pub(super) fn tenant_list(&self) -> Result<Value, ControlError> {
        self.parts.store.read(|reader| {
            let tenants = reader.tenants()?;
            let quotas = &self.parts.config.quotas;
            let rows = tenants.iter().map(|tenant| row(reader, quotas, tenant));
            rows.collect()
        })
    }
}

/// A tenant with the quotas that count for it, its own or the configured ones.
fn row(reader: &Reader<'_>, quotas: &QuotaConfig, tenant: &Tenant) -> Result<Value, ControlError> {
    Ok(json!({
        "account_id": tenant.account_id.to_string(),
        "name": tenant.name,
        "balance_cents": tenant.balance_cents,
        "real_name_verified": tenant.real_name_verified,
        "finance": tenant.finance,
        "instance_quota": quotas.instances_of(tenant),
        "database_quota": quotas.databases_of(tenant),
        "account_quota": quotas.accounts_of(tenant),
        "instances": reader.instance_count(tenant.account_id)?,
        "created_at": format_time(tenant.created_at),
    }))
}
