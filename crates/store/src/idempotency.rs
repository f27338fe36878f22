//! Idempotency records: which call a ClientToken stands for.
//!
//! The record is written in the transaction of the change, so that it exists exactly when the
//! change happened.

use jiff::Timestamp;
use openpeta_types::AccountId;
use rusqlite::params;

use crate::column::P;
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "idempotency";

/// What a ClientToken stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// Whose token.
    pub account_id: AccountId,
    /// The API action; the same token is another one in another action.
    pub action: String,
    /// The token.
    pub token: String,
    /// Digest of the parameters, to tell a retry from another call.
    pub digest: [u8; 32],
    /// What the call answered, in a form of the caller's choice; no secrets.
    pub response: String,
    /// When the call was made.
    pub created_at: Timestamp,
}

impl Reader<'_> {
    /// What the token stands for, if the call was made and its record not yet swept.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn idempotency(
        &self,
        account_id: AccountId,
        action: &str,
        token: &str,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        self.one(
            TABLE,
            "SELECT account_id, action, token, digest, response, created_at FROM idempotency
             WHERE account_id = ? AND action = ? AND token = ?",
            params![P(&account_id), action, token],
            |columns| {
                Ok(IdempotencyRecord {
                    account_id: columns.get()?,
                    action: columns.get()?,
                    token: columns.get()?,
                    digest: <[u8; 32]>::try_from(columns.get::<Vec<u8>>()?)
                        .map_err(|_| StoreError::bad_row(TABLE, 3))?,
                    response: columns.get()?,
                    created_at: columns.get()?,
                })
            },
        )
    }
}

impl Writer<'_> {
    /// Adds a record.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the token is in use: look first, in the same transaction.
    pub fn insert_idempotency(&self, record: &IdempotencyRecord) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO idempotency (account_id, action, token, digest, response, created_at)
             VALUES (?, ?, ?, ?, ?, ?)",
            params![
                P(&record.account_id),
                P(&record.action),
                P(&record.token),
                record.digest,
                P(&record.response),
                P(&record.created_at),
            ],
        )?;
        Ok(())
    }

    /// Forgets a token whose call came to nothing; one that is not known is no error.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn delete_idempotency(
        &self,
        account_id: AccountId,
        action: &str,
        token: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM idempotency WHERE account_id = ? AND action = ? AND token = ?",
            params![P(&account_id), action, token],
        )?;
        Ok(())
    }

    /// Removes the records made before `before`, at least 24 hours ago by the rule of the API;
    /// returns how many.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn sweep_idempotency(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.execute("DELETE FROM idempotency WHERE created_at < ?", [P(&before)])
    }
}
