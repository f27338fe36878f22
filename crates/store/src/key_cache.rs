//! Access keys and policies in memory, so that checking a signed call costs no SQL.

use std::collections::HashMap;
use std::sync::Arc;

use openpeta_types::{AccessKeyId, AccountId};

use crate::{AccessKey, PolicyAttachment, Reader, StoreError};

/// All access keys by id, all policies by sub-user.
#[derive(Default)]
pub(crate) struct KeyCache {
    keys: HashMap<Box<str>, Arc<AccessKey>>,
    policies: HashMap<AccountId, HashMap<String, Arc<Vec<PolicyAttachment>>>>,
}

/// What a transaction made of keys and policies.
#[derive(Default)]
pub(crate) struct RefreshedKeys {
    keys: Vec<(AccessKeyId, Option<AccessKey>)>,
    policies: Vec<(AccountId, String, Vec<PolicyAttachment>)>,
}

impl KeyCache {
    /// Reads all keys and policies.
    pub(crate) fn load(reader: &Reader<'_>) -> Result<Self, StoreError> {
        let mut cache = Self::default();
        for key in reader.every_access_key()? {
            cache.put(key);
        }
        for policy in reader.every_policy()? {
            let users = cache.policies.entry(policy.account_id).or_default();
            let policies = users.entry(policy.user_name.clone()).or_default();
            Arc::make_mut(policies).push(policy);
        }
        Ok(cache)
    }

    /// Takes over what a transaction changed.
    pub(crate) fn apply(&mut self, refreshed: RefreshedKeys) {
        for (id, key) in refreshed.keys {
            match key {
                Some(key) => self.put(key),
                None => drop(self.keys.remove(id.as_str())),
            }
        }
        for (account_id, user_name, policies) in refreshed.policies {
            let users = self.policies.entry(account_id).or_default();
            users.insert(user_name, Arc::new(policies));
        }
    }

    pub(crate) fn key(&self, id: &str) -> Option<Arc<AccessKey>> {
        self.keys.get(id).cloned()
    }

    pub(crate) fn policies(
        &self,
        account_id: AccountId,
        user_name: &str,
    ) -> Arc<Vec<PolicyAttachment>> {
        let users = self.policies.get(&account_id);
        let policies = users.and_then(|users| users.get(user_name));
        policies.cloned().unwrap_or_default()
    }

    fn put(&mut self, key: AccessKey) {
        self.keys
            .insert(key.access_key_id.as_str().into(), Arc::new(key));
    }
}

impl Reader<'_> {
    /// The keys and policies that this transaction touched, as it leaves them.
    pub(crate) fn refreshed_keys(&self) -> Result<RefreshedKeys, StoreError> {
        let touched = self.touched.borrow();
        let mut refreshed = RefreshedKeys::default();
        for id in &touched.keys {
            refreshed.keys.push((id.clone(), self.access_key(id)?));
        }
        for (account_id, user_name) in &touched.users {
            let policies = self.policies(*account_id, user_name)?;
            refreshed
                .policies
                .push((*account_id, user_name.clone(), policies));
        }
        Ok(refreshed)
    }
}
