//! Tenants: whom instances belong to.

use jiff::Timestamp;
use openpeta_types::AccountId;
use rusqlite::params;

use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "tenants";

/// A tenant, an Aliyun account in the terms of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub account_id: AccountId,
    /// Name for the operator, unique.
    pub name: String,
    /// What it can spend, in hundredths of the currency.
    pub balance_cents: i64,
    /// Whether it proved who it is; shown by DescribeUserInfo.
    pub real_name_verified: bool,
    /// Whether it belongs to the finance cloud; shown by DescribeUserInfo.
    pub finance: bool,
    /// Instances it may have at once; `None` for the configured default.
    pub instance_quota: Option<u32>,
    /// Databases that each of its instances may have; `None` for the configured default.
    pub database_quota: Option<u32>,
    /// Accounts that each of its instances may have; `None` for the configured default.
    pub account_quota: Option<u32>,
    /// When it was created.
    pub created_at: Timestamp,
}

fn read(columns: &mut Columns<'_, '_>) -> Result<Tenant, StoreError> {
    Ok(Tenant {
        account_id: columns.get()?,
        name: columns.get()?,
        balance_cents: columns.get()?,
        real_name_verified: columns.get()?,
        finance: columns.get()?,
        instance_quota: columns.get()?,
        database_quota: columns.get()?,
        account_quota: columns.get()?,
        created_at: columns.get()?,
    })
}

impl Reader<'_> {
    /// The tenant of that id.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn tenant(&self, account_id: AccountId) -> Result<Option<Tenant>, StoreError> {
        self.one(
            TABLE,
            "SELECT account_id, name, balance_cents, real_name_verified, finance, instance_quota,
                    database_quota, account_quota, created_at
             FROM tenants WHERE account_id = ?",
            [P(&account_id)],
            read,
        )
    }

    /// All tenants, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        self.all(
            TABLE,
            "SELECT account_id, name, balance_cents, real_name_verified, finance, instance_quota,
                    database_quota, account_quota, created_at
             FROM tenants ORDER BY created_at, account_id",
            [],
            read,
        )
    }
}

impl Writer<'_> {
    /// Adds a tenant.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when id or name are taken.
    pub fn insert_tenant(&self, tenant: &Tenant) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO tenants (account_id, name, balance_cents, real_name_verified, finance,
                                  instance_quota, database_quota, account_quota, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                P(&tenant.account_id),
                P(&tenant.name),
                P(&tenant.balance_cents),
                P(&tenant.real_name_verified),
                P(&tenant.finance),
                P(&tenant.instance_quota),
                P(&tenant.database_quota),
                P(&tenant.account_quota),
                P(&tenant.created_at),
            ],
        )?;
        Ok(())
    }

    /// Replaces everything of a tenant but id and creation time.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when the name is taken.
    pub fn update_tenant(&self, tenant: &Tenant) -> Result<(), StoreError> {
        self.change(
            TABLE,
            "UPDATE tenants SET name = ?2, balance_cents = ?3, real_name_verified = ?4,
                                finance = ?5, instance_quota = ?6, database_quota = ?7,
                                account_quota = ?8
             WHERE account_id = ?1",
            params![
                P(&tenant.account_id),
                P(&tenant.name),
                P(&tenant.balance_cents),
                P(&tenant.real_name_verified),
                P(&tenant.finance),
                P(&tenant.instance_quota),
                P(&tenant.database_quota),
                P(&tenant.account_quota),
            ],
        )
    }

    /// Adds to what a tenant can spend, or takes from it; the balance may become negative.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn change_balance(&self, account_id: AccountId, cents: i64) -> Result<(), StoreError> {
        self.change(
            TABLE,
            "UPDATE tenants SET balance_cents = balance_cents + ?2 WHERE account_id = ?1",
            params![P(&account_id), cents],
        )
    }
}
