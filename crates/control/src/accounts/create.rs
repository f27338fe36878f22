//! CreateAccount (API document 9.1).

use std::collections::BTreeMap;

use openpeta_rpc_api::accounts::{AccountGrants, CreateAccountRequest};
use openpeta_rpc_api::{ApiError, EmptyResponse};
use openpeta_store::{Account, Reader, Writer};
use openpeta_types::{
    AccountId, AccountStatus, AccountType, DbName, InstanceId, PrivilegeSet, TaskId,
};

use crate::authorize::require_unlocked;
use crate::instances::account_login;
use crate::workflows::create_account::{CreateAccount, CreateAccountParams};
use crate::{Control, ControlError, MutatingCall, audit, idempotency};

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
        self.wait_or_fail(task).await?;
        Ok(EmptyResponse)
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
