//! Database accounts of an instance (API document 9).

use std::collections::BTreeMap;
use std::time::Duration;

use openpeta_engine::AccountGrants as EngineGrants;
use openpeta_rpc_api::accounts::{
    AccountGrants, AccountItem, CreateAccountRequest, DatabasePrivilegeItem, DeleteAccountRequest,
    DescribeAccountsRequest, DescribeAccountsResponse,
};
use openpeta_rpc_api::{Action, ApiError, EmptyResponse};
use openpeta_store::{Account, Grant, Instance, Reader, Writer};
use openpeta_types::{
    AccountId, AccountStatus, AccountType, DbName, InstanceId, PrivilegeSet, TaskId, TaskStatus,
};

use crate::authorize::require_unlocked;
use crate::instances::account_login;
use crate::workflows::create_account::{CreateAccount, CreateAccountParams};
use crate::workflows::delete_account::{DeleteAccount, DeleteAccountParams};
use crate::{Caller, Control, ControlError, MutatingCall, audit, idempotency};

/// How long a call waits for its account to become usable or go. The change is on disk before;
/// waiting spares most clients the polling.
const PATIENCE: Duration = Duration::from_secs(5);

impl Control {
    /// CreateAccount: adds an account to an instance.
    ///
    /// # Errors
    /// Those of the action's table; nothing is created then.
    pub async fn create_account(
        &self,
        call: &MutatingCall,
        request: &CreateAccountRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let Some(task) = self.add_account(call, request)? else {
            return Ok(EmptyResponse);
        };
        match self.wait_for_task(task, PATIENCE).await {
            // It was undone, its ClientToken included: the same call may be sent again.
            Some(task) if matches!(task.status, TaskStatus::Failed | TaskStatus::Cancelled) => {
                let cause = task.cause.unwrap_or_default();
                Err(ControlError::unavailable(cause).after_commit())
            }
            _ => Ok(EmptyResponse),
        }
    }

    /// Writes the account and the task that makes it usable; `None` for a repeated call.
    pub(crate) fn add_account(
        &self,
        call: &MutatingCall,
        request: &CreateAccountRequest,
    ) -> Result<Option<TaskId>, ControlError> {
        let id = &request.instance_id;
        let login = account_login(&request.account_password)?;
        self.parts.store.write(|writer| {
            let token = request.client_token.as_ref();
            if idempotency::answered::<()>(writer, call, token)?.is_some() {
                audit::record(writer, call, Some(id), None)?;
                return Ok::<_, ControlError>(None);
            }
            let instance = self.active_instance(writer, &call.caller, call.action, id)?;
            require_unlocked(&instance)?;
            self.check_new_account(writer, call.caller.account_id, request)?;
            let grants = grants(writer, request)?;
            writer.insert_account(&Account {
                instance_id: id.clone(),
                name: request.account_name.clone(),
                account_type: request.account_type,
                status: AccountStatus::Create,
                description: request.account_description.clone(),
                login,
                created_at: call.caller.now,
            })?;
            for (db_name, privilege) in &grants {
                writer.set_grant(id, &request.account_name, db_name, Some(*privilege))?;
            }
            let params = CreateAccountParams {
                instance_id: id.clone(),
                account_name: request.account_name.clone(),
                client_token: token.map(|token| token.as_str().to_owned()),
            };
            let task = self.enqueue::<CreateAccount>(writer, call, id, None, params)?;
            idempotency::remember(writer, call, token, &())?;
            audit::record(writer, call, Some(id), Some(task))?;
            Ok(Some(task))
        })
    }

    /// DeleteAccount: drops an account; its sessions are closed.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `OperationDenied.DBInstanceStatus`,
    /// `InvalidAccountName.NotFound`, `OperationDenied.AccountStatus`, `Forbidden.RAM`.
    pub async fn delete_account(
        &self,
        call: &MutatingCall,
        request: &DeleteAccountRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let task = self.drop_account(call, request)?;
        self.wait_for_task(task, PATIENCE).await;
        Ok(EmptyResponse)
    }

    /// Writes that the account goes and the task that removes it, and closes its sessions.
    pub(crate) fn drop_account(
        &self,
        call: &MutatingCall,
        request: &DeleteAccountRequest,
    ) -> Result<TaskId, ControlError> {
        let (id, name) = (&request.instance_id, &request.account_name);
        let task = self.parts.store.write(|writer| {
            self.active_instance(writer, &call.caller, call.action, id)?;
            let account = writer
                .account(id, name)?
                .ok_or_else(ApiError::account_not_found)?;
            if account.status != AccountStatus::Active {
                let detail = format!("The account is {}.", account.status);
                return Err(ApiError::account_status().with_detail(&detail).into());
            }
            writer.set_account_status(id, name, AccountStatus::Delete)?;
            let params = DeleteAccountParams {
                instance_id: id.clone(),
                account_name: name.clone(),
            };
            let task = self.enqueue::<DeleteAccount>(writer, call, id, None, params)?;
            audit::record(writer, call, Some(id), Some(task))?;
            Ok::<_, ControlError>(task)
        })?;
        // Nobody logs in with it from here on, whenever the task comes to its turn.
        self.parts.publish(id).map_err(ControlError::after_commit)?;
        Ok(task)
    }

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
    ) -> BTreeMap<String, EngineGrants> {
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

    fn check_new_account(
        &self,
        reader: &Reader<'_>,
        account_id: AccountId,
        request: &CreateAccountRequest,
    ) -> Result<(), ControlError> {
        let existing = reader.accounts(&request.instance_id)?;
        if existing
            .iter()
            .any(|account| account.name == request.account_name)
        {
            return Err(ApiError::account_name_duplicate().into());
        }
        let tenant = reader
            .tenant(account_id)?
            .ok_or_else(|| ControlError::internal("the caller's tenant is gone"))?;
        if existing.len() >= self.parts.config.quotas.accounts_of(&tenant) as usize {
            return Err(ApiError::account_quota_exceeded().into());
        }
        Ok(())
    }
}

/// What a new account is granted, database by database.
///
/// # Errors
/// The error of the parameter that names a database which the instance does not have.
fn grants(
    writer: &Writer<'_>,
    request: &CreateAccountRequest,
) -> Result<BTreeMap<DbName, PrivilegeSet>, ControlError> {
    let existing = database_names(writer, &request.instance_id)?;
    // A Super account has all privileges on all databases, the later ones included.
    if request.account_type == AccountType::Super {
        return Ok(BTreeMap::new());
    }
    match &request.grants {
        AccountGrants::None => Ok(BTreeMap::new()),
        AccountGrants::EveryDatabase(privilege) => Ok(existing
            .into_iter()
            .map(|db_name| (db_name, *privilege))
            .collect()),
        AccountGrants::Databases { databases, source } => {
            if databases.keys().all(|db_name| existing.contains(db_name)) {
                Ok(databases.clone())
            } else {
                Err(source.unknown_database().into())
            }
        }
    }
}

fn database_names(reader: &Reader<'_>, id: &InstanceId) -> Result<Vec<DbName>, ControlError> {
    Ok(reader
        .databases(id)?
        .into_iter()
        .map(|database| database.db_name)
        .collect())
}

/// The privileges as the node has them; databases whose names the API could not have made are
/// left out.
fn effective_items(grants: &EngineGrants) -> Vec<DatabasePrivilegeItem> {
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
