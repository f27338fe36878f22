//! ModifyAccountPassword and ResetAccountPassword (API document 9.4 and 9.5).
//!
//! Only the gateway knows passwords, by their verifiers: what an account uses on its node stays
//! the same, so its open sessions go on.

use openpeta_mysql_wire::auth;
use openpeta_rpc_api::accounts::{ModifyAccountPasswordRequest, ResetAccountPasswordRequest};
use openpeta_rpc_api::{ApiError, EmptyResponse};
use openpeta_store::Account;
use openpeta_types::route::AccountLogin;
use openpeta_types::{AccountName, InstanceId, Password, Secret};

use super::active_account;
use crate::{Control, ControlError, MutatingCall, audit};

impl Control {
    /// ModifyAccountPassword: changes the password of an account whose old one is known. When
    /// this returns the old one logs nobody in any more.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `OperationDenied.DBInstanceStatus`,
    /// `InvalidAccountName.NotFound`, `OperationDenied.AccountStatus`,
    /// `InvalidOldPassword.Malformed`, `Forbidden.RAM`.
    pub fn modify_account_password(
        &self,
        call: &MutatingCall,
        request: &ModifyAccountPasswordRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let old = &request.old_password;
        let change = Change {
            instance_id: &request.instance_id,
            account_name: &request.account_name,
            password: &request.new_password,
        };
        self.change_password(call, &change, |account| prove(account, old))
    }

    /// ResetAccountPassword: changes the password of an account. When this returns the old one
    /// logs nobody in any more.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `OperationDenied.DBInstanceStatus`,
    /// `InvalidAccountName.NotFound`, `OperationDenied.AccountStatus`, `Forbidden.RAM`.
    pub fn reset_account_password(
        &self,
        call: &MutatingCall,
        request: &ResetAccountPasswordRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let change = Change {
            instance_id: &request.instance_id,
            account_name: &request.account_name,
            password: &request.new_password,
        };
        self.change_password(call, &change, |_| Ok(()))
    }

    /// Sets the new verifiers if `admit` lets the account through, and tells the gateway.
    fn change_password(
        &self,
        call: &MutatingCall,
        change: &Change<'_>,
        admit: impl FnOnce(&Account) -> Result<(), ApiError>,
    ) -> Result<EmptyResponse, ControlError> {
        let (id, name) = (change.instance_id, change.account_name);
        let password = change.password.expose().as_bytes();
        let (native, sha2) = (
            auth::native::verifier(password),
            auth::sha2::verifier(password),
        );
        self.parts.store.write(|writer| {
            self.active_instance(writer, &call.caller, call.action, id)?;
            let account = active_account(writer, id, name)?;
            admit(&account)?;
            let login = AccountLogin {
                native,
                sha2,
                backend_password: account.login.backend_password,
            };
            writer.set_account_login(id, name, &login)?;
            audit::record(writer, call, Some(id), None)?;
            Ok::<_, ControlError>(())
        })?;
        self.parts.publish(id).map_err(ControlError::after_commit)?;
        Ok(EmptyResponse)
    }
}

/// Which password becomes what.
struct Change<'a> {
    instance_id: &'a InstanceId,
    account_name: &'a AccountName,
    password: &'a Password,
}

/// Refuses a password that is not the account's.
fn prove(account: &Account, password: &Secret) -> Result<(), ApiError> {
    if auth::sha2::is_password(password.expose().as_bytes(), &account.login.sha2) {
        Ok(())
    } else {
        Err(ApiError::malformed("OldPassword"))
    }
}
