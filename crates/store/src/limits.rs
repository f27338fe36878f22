//! What the operator limits: sessions and statements of accounts, and from when on statements of an
//! instance are slow.

use std::collections::HashMap;
use std::time::Duration;

use openpeta_types::route::AccountLimits;
use openpeta_types::{AccountName, InstanceId};
use rusqlite::params;

use crate::column::P;
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "account_limits";

impl Reader<'_> {
    /// The limits of an instance's accounts that were given any, by name.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn account_limits(
        &self,
        instance_id: &InstanceId,
    ) -> Result<HashMap<String, AccountLimits>, StoreError> {
        let rows = self.all(
            TABLE,
            "SELECT name, max_connections, max_queries_per_second FROM account_limits
             WHERE instance_id = ? ORDER BY name",
            [P(instance_id)],
            |columns| {
                let name: AccountName = columns.get()?;
                let limits = AccountLimits {
                    connections: columns.get()?,
                    queries_per_second: columns.get()?,
                };
                Ok((name.as_str().to_owned(), limits))
            },
        )?;
        Ok(rows.into_iter().collect())
    }

    /// From when on an instance's statements are slow: zero for never, `None` for what is
    /// configured.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn slow_threshold(&self, instance_id: &InstanceId) -> Result<Option<Duration>, StoreError> {
        let millis: Option<Option<u32>> = self.one(
            "instances",
            "SELECT slow_log_ms FROM instances WHERE instance_id = ?",
            [P(instance_id)],
            |columns| columns.get(),
        )?;
        Ok(millis
            .flatten()
            .map(|millis| Duration::from_millis(millis.into())))
    }
}

impl Writer<'_> {
    /// Gives an account limits in place of those it had; they go with the account.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is no such account.
    pub fn put_account_limits(
        &self,
        instance_id: &InstanceId,
        name: &AccountName,
        limits: AccountLimits,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT OR REPLACE INTO account_limits
                 (instance_id, name, max_connections, max_queries_per_second)
             VALUES (?, ?, ?, ?)",
            params![
                P(instance_id),
                P(name),
                P(&limits.connections),
                P(&limits.queries_per_second),
            ],
        )?;
        Ok(())
    }

    /// Sets from when on an instance's statements are slow, in whole milliseconds: zero for never,
    /// `None` for what is configured.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn set_slow_threshold(
        &self,
        instance_id: &InstanceId,
        threshold: Option<Duration>,
    ) -> Result<(), StoreError> {
        let millis = threshold.map(|time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        self.execute(
            "UPDATE instances SET slow_log_ms = ? WHERE instance_id = ?",
            params![P(&millis), P(instance_id)],
        )?;
        Ok(())
    }
}
