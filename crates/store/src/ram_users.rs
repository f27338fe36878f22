//! RAM users: sub-users of a tenant, restricted by policies.

use jiff::Timestamp;
use openpeta_types::{AccessKeyId, AccountId};
use rusqlite::params;

use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "ram_users";

/// A sub-user of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RamUser {
    /// The tenant.
    pub account_id: AccountId,
    /// Name, unique within the tenant.
    pub user_name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

fn read(columns: &mut Columns<'_, '_>) -> Result<RamUser, StoreError> {
    Ok(RamUser {
        account_id: columns.get()?,
        user_name: columns.get()?,
        created_at: columns.get()?,
    })
}

impl Reader<'_> {
    /// The sub-user of that name.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn ram_user(
        &self,
        account_id: AccountId,
        user_name: &str,
    ) -> Result<Option<RamUser>, StoreError> {
        self.one(
            TABLE,
            "SELECT account_id, user_name, created_at FROM ram_users
             WHERE account_id = ? AND user_name = ?",
            params![P(&account_id), user_name],
            read,
        )
    }

    /// All sub-users of a tenant, by name.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn ram_users(&self, account_id: AccountId) -> Result<Vec<RamUser>, StoreError> {
        self.all(
            TABLE,
            "SELECT account_id, user_name, created_at FROM ram_users
             WHERE account_id = ? ORDER BY user_name",
            [P(&account_id)],
            read,
        )
    }
}

impl Writer<'_> {
    /// Adds a sub-user.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the name is taken or there is no such tenant.
    pub fn insert_ram_user(&self, user: &RamUser) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO ram_users (account_id, user_name, created_at) VALUES (?, ?, ?)",
            params![P(&user.account_id), P(&user.user_name), P(&user.created_at)],
        )?;
        Ok(())
    }

    /// Removes a sub-user with its keys and policies.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete_ram_user(
        &self,
        account_id: AccountId,
        user_name: &str,
    ) -> Result<(), StoreError> {
        let keys: Vec<AccessKeyId> = self.all(
            "access_keys",
            "SELECT access_key_id FROM access_keys WHERE account_id = ? AND ram_user = ?",
            params![P(&account_id), user_name],
            |columns| columns.get(),
        )?;
        for id in &keys {
            self.touch_key(id);
        }
        self.touch_user(account_id, user_name);
        self.change(
            TABLE,
            "DELETE FROM ram_users WHERE account_id = ? AND user_name = ?",
            params![P(&account_id), user_name],
        )
    }
}
