//! Access keys: what API calls are signed with.

use jiff::Timestamp;
use openpeta_types::{AccessKeyId, AccountId, Secret};
use rusqlite::params;

use crate::changes::Topic;
use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer, spelled};

const TABLE: &str = "access_keys";

/// The columns that [`Reader::read_key`] reads, in its order.
macro_rules! columns {
    () => {
        "access_key_id, account_id, ram_user, secret_sealed, status, token_sealed, expires_at, \
         created_at"
    };
}

spelled!(
    /// Whether a key may be used.
    AccessKeyStatus {
        /// It may.
        Active = "Active",
        /// Calls signed with it are refused.
        Disabled = "Disabled",
    }
);

/// What makes a key a temporary one (STS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionToken {
    /// Must come along with every call.
    pub token: Secret,
    /// When key and token stop working.
    pub expires_at: Timestamp,
}

/// An access key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Its public half.
    pub access_key_id: AccessKeyId,
    /// The tenant that it belongs to.
    pub account_id: AccountId,
    /// The sub-user that it belongs to; `None` for the tenant itself.
    pub ram_user: Option<String>,
    /// Its secret half; encrypted in the store.
    pub secret: Secret,
    /// Whether it may be used.
    pub status: AccessKeyStatus,
    /// Set for temporary keys.
    pub sts: Option<SessionToken>,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Reader<'_> {
    fn read_key(&self, columns: &mut Columns<'_, '_>) -> Result<AccessKey, StoreError> {
        let access_key_id: AccessKeyId = columns.get()?;
        let unseal = |column, sealed: Vec<u8>| {
            let row = [access_key_id.as_str(), column];
            let plain = self.shared.sealer.open(TABLE, &row, &sealed)?;
            let text = std::str::from_utf8(&plain).map_err(|_| StoreError::bad_row(TABLE, 3))?;
            Ok::<_, StoreError>(Secret::new(text))
        };
        let account_id = columns.get()?;
        let ram_user = columns.get()?;
        let secret = unseal("secret", columns.get()?)?;
        let status = columns.get()?;
        let token: Option<Vec<u8>> = columns.get()?;
        let expires_at: Option<Timestamp> = columns.get()?;
        let sts = match (token, expires_at) {
            (Some(token), Some(expires_at)) => Some(SessionToken {
                token: unseal("token", token)?,
                expires_at,
            }),
            _ => None,
        };
        let created_at = columns.get()?;
        Ok(AccessKey {
            access_key_id,
            account_id,
            ram_user,
            secret,
            status,
            sts,
            created_at,
        })
    }

    /// The key of that id. Calls are better served by [`Store::access_key`](crate::Store::access_key).
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn access_key(&self, id: &AccessKeyId) -> Result<Option<AccessKey>, StoreError> {
        self.one(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM access_keys WHERE access_key_id = ?"
            ),
            [P(id)],
            |columns| self.read_key(columns),
        )
    }

    /// All keys of a tenant and its sub-users, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn access_keys(&self, account_id: AccountId) -> Result<Vec<AccessKey>, StoreError> {
        self.all(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM access_keys WHERE account_id = ? ORDER BY created_at, access_key_id"
            ),
            [P(&account_id)],
            |columns| self.read_key(columns),
        )
    }

    /// All keys, for the cache.
    pub(crate) fn every_access_key(&self) -> Result<Vec<AccessKey>, StoreError> {
        self.all(
            TABLE,
            concat!("SELECT ", columns!(), " FROM access_keys"),
            [],
            |columns| self.read_key(columns),
        )
    }
}

impl Writer<'_> {
    /// Adds a key.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken, or tenant or sub-user do not exist.
    pub fn insert_access_key(&self, key: &AccessKey) -> Result<(), StoreError> {
        let id = key.access_key_id.as_str();
        let seal = |column, secret: &Secret| {
            self.shared
                .sealer
                .seal(TABLE, &[id, column], secret.expose().as_bytes())
        };
        self.execute(
            concat!(
                "INSERT INTO access_keys (",
                columns!(),
                ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            ),
            params![
                id,
                P(&key.account_id),
                P(&key.ram_user),
                seal("secret", &key.secret),
                P(&key.status),
                key.sts.as_ref().map(|sts| seal("token", &sts.token)),
                P(&key.sts.as_ref().map(|sts| sts.expires_at)),
                P(&key.created_at),
            ],
        )?;
        self.touch_key(&key.access_key_id);
        Ok(())
    }

    /// Enables or disables a key, from the next call on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_access_key_status(
        &self,
        id: &AccessKeyId,
        status: AccessKeyStatus,
    ) -> Result<(), StoreError> {
        self.touch_key(id);
        self.change(
            TABLE,
            "UPDATE access_keys SET status = ?2 WHERE access_key_id = ?1",
            params![P(id), P(&status)],
        )
    }

    /// Removes the temporary keys that expired before a time; returns how many.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn delete_expired_access_keys(&self, before: Timestamp) -> Result<usize, StoreError> {
        let expired: Vec<AccessKeyId> = self.all(
            TABLE,
            "DELETE FROM access_keys WHERE expires_at < ? RETURNING access_key_id",
            [P(&before)],
            |columns| columns.get(),
        )?;
        for id in &expired {
            self.touch_key(id);
        }
        Ok(expired.len())
    }

    pub(crate) fn touch_key(&self, id: &AccessKeyId) {
        self.touch(Topic::AccessKeys);
        self.touched.borrow_mut().keys.insert(id.clone());
    }
}
