//! Accounts of the store on the node that serves them.

use openpeta_store::{Account, Grant, Instance, Node};
use openpeta_types::{AccountStatus, AccountType, DbName, InstanceId, NodeId, PrivilegeSet};

use crate::ControlError;
use crate::instance_nodes::is_on;
use crate::parts::Parts;

impl Parts {
    /// Makes one account exist on the nodes of an instance with the privileges that the API granted
    /// it. May be repeated.
    ///
    /// # Errors
    /// [`ControlError`] when a node cannot be told.
    pub(crate) async fn apply_account(
        &self,
        instance: &Instance,
        account: &Account,
        grants: &[Grant],
    ) -> Result<(), ControlError> {
        let nodes = self.store.read(|reader| reader.serving_nodes(instance))?;
        if nodes.is_empty() {
            return Err(ControlError::internal("the instance has no node"));
        }
        for node in nodes {
            self.apply_account_on(&node, instance, account, grants)
                .await?;
        }
        Ok(())
    }

    /// As [`apply_account`](Self::apply_account), on one node: with privileges on the databases that
    /// are there.
    pub(crate) async fn apply_account_on(
        &self,
        Node {
            node_id: node,
            number,
            ..
        }: &Node,
        instance: &Instance,
        account: &Account,
        grants: &[Grant],
    ) -> Result<(), ControlError> {
        let databases = self
            .store
            .read(|reader| reader.databases(&instance.instance_id))?;
        let is_there = |name: &DbName| {
            *number == 0
                || databases
                    .iter()
                    .any(|database| database.db_name == *name && is_on(database, *number))
        };
        let granted: Vec<(DbName, PrivilegeSet)> = grants
            .iter()
            .filter(|grant| is_there(&grant.db_name))
            .map(|grant| (grant.db_name.clone(), grant.privilege))
            .collect();
        let mut sql = self
            .engine
            .sql(node)
            .await
            .map_err(ControlError::unavailable)?;
        let password = &account.login.backend_password;
        let applied = sql
            .ensure_account(&account.name, password, account.account_type, &granted)
            .await;
        sql.close().await;
        applied.map_err(ControlError::unavailable)
    }

    /// Makes accounts that the nodes of an instance lack, drops those that the store does not know, and sets
    /// right how the others log in. Privileges of accounts that are there are left alone: users
    /// may change them by SQL. Those of Super accounts follow the databases there are, which they
    /// may make by SQL.
    ///
    /// # Errors
    /// [`ControlError`] when store or nodes fail.
    pub(crate) async fn restore_accounts(&self, instance: &Instance) -> Result<(), ControlError> {
        let nodes = self.store.read(|reader| reader.serving_nodes(instance))?;
        for node in nodes {
            self.restore_accounts_on(&node, instance).await?;
        }
        Ok(())
    }

    /// As [`restore_accounts`](Self::restore_accounts), on one node.
    ///
    /// # Errors
    /// [`ControlError`] when store or node fail.
    pub(crate) async fn restore_accounts_on(
        &self,
        node: &Node,
        instance: &Instance,
    ) -> Result<(), ControlError> {
        self.restore_on_node(node, instance).await?;
        // Instances may have swapped their nodes meanwhile: then what this has brought there is
        // not the other one's.
        if let Some(successor) = self.successor(&node.node_id, &instance.instance_id)? {
            self.restore_on_node(node, &successor).await?;
        }
        Ok(())
    }

    /// The instance that a node serves, unless it is this one.
    fn successor(
        &self,
        node: &NodeId,
        instance: &InstanceId,
    ) -> Result<Option<Instance>, ControlError> {
        self.store.read(|reader| {
            let served = reader.node(node)?.and_then(|node| node.instance_id);
            match served.filter(|id| id != instance) {
                Some(id) => Ok(reader.instance(&id)?),
                None => Ok(None),
            }
        })
    }

    async fn restore_on_node(&self, node: &Node, instance: &Instance) -> Result<(), ControlError> {
        let mut sql = self
            .engine
            .sql(&node.node_id)
            .await
            .map_err(ControlError::unavailable)?;
        // In this order: an account's row is there before the account is.
        let mut present = sql.accounts().await.map_err(ControlError::unavailable)?;
        let mut wanted = self.accounts_with_grants(&instance.instance_id)?;
        let mut dropped = Vec::new();
        for name in &present {
            let row = wanted.iter().find(|(account, _)| account.name == *name);
            let restored = match row {
                Some((account, _)) => {
                    let password = &account.login.backend_password;
                    match account.account_type {
                        AccountType::Normal => sql.ensure_login(name, password).await,
                        AccountType::Super => {
                            sql.ensure_account(name, password, AccountType::Super, &[])
                                .await
                        }
                    }
                }
                None => {
                    tracing::warn!(instance = %instance.instance_id, account = %name, "dropping an account that the store does not know");
                    dropped.push(name.clone());
                    sql.drop_account(name).await
                }
            };
            restored.map_err(ControlError::unavailable)?;
        }
        sql.close().await;
        if !dropped.is_empty() {
            // A new account of the same name may have been made meanwhile.
            present.retain(|name| !dropped.contains(name));
            wanted = self.accounts_with_grants(&instance.instance_id)?;
        }
        for (account, grants) in &wanted {
            let is_due = account.status == AccountStatus::Active
                || (account.status == AccountStatus::Create && dropped.contains(&account.name));
            if is_due && !present.contains(&account.name) {
                self.apply_account_on(node, instance, account, grants)
                    .await?;
            }
        }
        Ok(())
    }

    /// The accounts of an instance with what the API granted them.
    pub(crate) fn accounts_with_grants(
        &self,
        instance: &InstanceId,
    ) -> Result<Vec<(Account, Vec<Grant>)>, ControlError> {
        self.store.read(|reader| {
            let with_grants = |account: Account| {
                let grants = reader.grants(instance, &account.name)?;
                Ok((account, grants))
            };
            reader
                .accounts(instance)?
                .into_iter()
                .map(with_grants)
                .collect()
        })
    }
}
