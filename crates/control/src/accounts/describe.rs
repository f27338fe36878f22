//! DescribeAccounts (API document 9.3).

use std::collections::BTreeMap;

use openpeta_engine::AccountGrants;
use openpeta_rpc_api::Action;
use openpeta_rpc_api::accounts::{
    AccountItem, DatabasePrivilegeItem, DescribeAccountsRequest, DescribeAccountsResponse,
};
use openpeta_store::{Account, Grant, Instance};
use openpeta_types::DbName;

use crate::{Caller, Control, ControlError};

impl Control {
    /// DescribeAccounts: the accounts of an instance with the privileges that they really have
    /// on the node, however they came by them.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `Forbidden.RAM`.
    pub async fn describe_accounts(
        &self,
        caller: &Caller,
        request: &DescribeAccountsRequest,
    ) -> Result<DescribeAccountsResponse, ControlError> {
        let id = &request.instance_id;
        let instance = self
            .parts
            .store
            .read(|reader| self.instance(reader, caller, Action::DescribeAccounts, id))?;
        let accounts = self.parts.accounts_with_grants(id)?;
        let effective = self.effective_privileges(&instance, &accounts).await;
        let item = |(account, grants): (Account, Vec<Grant>)| AccountItem {
            privileges: match effective.get(account.name.as_str()) {
                Some(effective) => effective_items(effective),
                None => granted_items(&grants),
            },
            account_name: account.name,
            account_status: account.status,
            account_description: account
                .description
                .map(|description| description.as_str().to_owned())
                .unwrap_or_default(),
            account_type: account.account_type,
        };
        Ok(DescribeAccountsResponse {
            instance_id: id.clone(),
            accounts: accounts.into_iter().map(item).collect(),
        })
    }

    /// What the node says of each account. What it cannot be asked for is left out: then the
    /// answer shows what was granted through the API.
    async fn effective_privileges(
        &self,
        instance: &Instance,
        accounts: &[(Account, Vec<Grant>)],
    ) -> BTreeMap<String, AccountGrants> {
        let mut effective = BTreeMap::new();
        let Some(node) = &instance.node_id else {
            return effective;
        };
        let Ok(mut sql) = self.parts.engine.sql(node).await else {
            return effective;
        };
        for (account, _) in accounts {
            if let Ok(Some(grants)) = sql.privileges(&account.name).await {
                effective.insert(account.name.as_str().to_owned(), grants);
            }
        }
        sql.close().await;
        effective
    }
}

/// The privileges as the node has them; databases whose names the API could not have made are
/// left out.
fn effective_items(grants: &AccountGrants) -> Vec<DatabasePrivilegeItem> {
    let item = |(name, grant): (&String, &openpeta_engine::DatabaseGrant)| {
        let db_name = DbName::parse(name).ok()?;
        let detail = grant.privileges.join(",");
        Some(DatabasePrivilegeItem {
            db_name,
            account_privilege: grant.set,
            detail,
        })
    };
    grants.databases.iter().filter_map(item).collect()
}

/// The privileges as the API granted them.
fn granted_items(grants: &[Grant]) -> Vec<DatabasePrivilegeItem> {
    let item = |grant: &Grant| DatabasePrivilegeItem {
        db_name: grant.db_name.clone(),
        account_privilege: grant.privilege,
        detail: grant.privilege.privileges().join(","),
    };
    grants.iter().map(item).collect()
}
