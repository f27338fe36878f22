//! RAM policies attached to sub-users.

use openpeta_types::AccountId;
use rusqlite::params;

use crate::changes::Topic;
use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "policy_attachments";

/// A policy of a sub-user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyAttachment {
    /// The tenant.
    pub account_id: AccountId,
    /// The sub-user.
    pub user_name: String,
    /// Name of the policy, unique within the sub-user.
    pub policy_name: String,
    /// The policy, a JSON text; the store does not look into it.
    pub document: String,
}

fn read(columns: &mut Columns<'_, '_>) -> Result<PolicyAttachment, StoreError> {
    Ok(PolicyAttachment {
        account_id: columns.get()?,
        user_name: columns.get()?,
        policy_name: columns.get()?,
        document: columns.get()?,
    })
}

impl Reader<'_> {
    /// The policies of a sub-user, by name. Calls are better served by
    /// [`Store::policies`](crate::Store::policies).
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn policies(
        &self,
        account_id: AccountId,
        user_name: &str,
    ) -> Result<Vec<PolicyAttachment>, StoreError> {
        self.all(
            TABLE,
            "SELECT account_id, user_name, policy_name, document FROM policy_attachments
             WHERE account_id = ? AND user_name = ? ORDER BY policy_name",
            params![P(&account_id), user_name],
            read,
        )
    }

    /// All policies, for the cache.
    pub(crate) fn every_policy(&self) -> Result<Vec<PolicyAttachment>, StoreError> {
        self.all(
            TABLE,
            "SELECT account_id, user_name, policy_name, document FROM policy_attachments
             ORDER BY account_id, user_name, policy_name",
            [],
            read,
        )
    }
}

impl Writer<'_> {
    /// Attaches a policy to a sub-user, in place of one of the same name.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is no such sub-user.
    pub fn attach_policy(&self, policy: &PolicyAttachment) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO policy_attachments (account_id, user_name, policy_name, document)
             VALUES (?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET document = excluded.document",
            params![
                P(&policy.account_id),
                P(&policy.user_name),
                P(&policy.policy_name),
                P(&policy.document),
            ],
        )?;
        self.touch_user(policy.account_id, &policy.user_name);
        Ok(())
    }

    /// Takes a policy from a sub-user.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn detach_policy(
        &self,
        account_id: AccountId,
        user_name: &str,
        policy_name: &str,
    ) -> Result<(), StoreError> {
        self.touch_user(account_id, user_name);
        self.change(
            TABLE,
            "DELETE FROM policy_attachments
             WHERE account_id = ? AND user_name = ? AND policy_name = ?",
            params![P(&account_id), user_name, policy_name],
        )
    }

    pub(crate) fn touch_user(&self, account_id: AccountId, user_name: &str) {
        self.touch(Topic::AccessKeys);
        let user = (account_id, user_name.to_owned());
        self.touched.borrow_mut().users.insert(user);
    }
}
