//! Database accounts of instances and their grants.

use jiff::Timestamp;
use openpeta_types::route::AccountLogin;
use openpeta_types::{
    AccountDescription, AccountName, AccountStatus, AccountType, DbName, InstanceId, PrivilegeSet,
    Secret,
};
use rusqlite::params;
use zeroize::Zeroizing;

use crate::changes::Topic;
use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "accounts";

/// A database account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its instance.
    pub instance_id: InstanceId,
    /// Its name, unique within the instance.
    pub name: AccountName,
    /// Its kind.
    pub account_type: AccountType,
    /// Its status.
    pub status: AccountStatus,
    /// A remark.
    pub description: Option<AccountDescription>,
    /// How it logs in; encrypted in the store.
    pub login: AccountLogin,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What an account may do in one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The database.
    pub db_name: DbName,
    /// The privileges.
    pub privilege: PrivilegeSet,
}

fn read_grant(columns: &mut Columns<'_, '_>) -> Result<Grant, StoreError> {
    Ok(Grant {
        db_name: columns.get()?,
        privilege: columns.get()?,
    })
}

impl Reader<'_> {
    fn read_account(&self, columns: &mut Columns<'_, '_>) -> Result<Account, StoreError> {
        let instance_id: InstanceId = columns.get()?;
        let name: AccountName = columns.get()?;
        let account_type = columns.get()?;
        let status = columns.get()?;
        let description = columns.get()?;
        let sealed: Vec<u8> = columns.get()?;
        let created_at = columns.get()?;
        let row = [instance_id.as_str(), name.as_str()];
        let plain = self.shared.sealer.open(TABLE, &row, &sealed)?;
        let login = unpack_login(&plain).ok_or_else(|| StoreError::bad_row(TABLE, 5))?;
        Ok(Account {
            instance_id,
            name,
            account_type,
            status,
            description,
            login,
            created_at,
        })
    }

    /// The account of that name.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn account(
        &self,
        instance_id: &InstanceId,
        name: &AccountName,
    ) -> Result<Option<Account>, StoreError> {
        self.one(
            TABLE,
            "SELECT instance_id, name, account_type, status, description, login_sealed, created_at
             FROM accounts WHERE instance_id = ? AND name = ?",
            params![P(instance_id), P(name)],
            |columns| self.read_account(columns),
        )
    }

    /// All accounts of an instance, by name.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn accounts(&self, instance_id: &InstanceId) -> Result<Vec<Account>, StoreError> {
        self.all(
            TABLE,
            "SELECT instance_id, name, account_type, status, description, login_sealed, created_at
             FROM accounts WHERE instance_id = ? ORDER BY name",
            [P(instance_id)],
            |columns| self.read_account(columns),
        )
    }

    /// What an account was granted, by database.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn grants(
        &self,
        instance_id: &InstanceId,
        name: &AccountName,
    ) -> Result<Vec<Grant>, StoreError> {
        self.all(
            "grants",
            "SELECT db_name, privilege FROM grants
             WHERE instance_id = ? AND name = ? ORDER BY db_name",
            params![P(instance_id), P(name)],
            read_grant,
        )
    }

    /// Who was granted what in a database, by account.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn grants_on(
        &self,
        instance_id: &InstanceId,
        db_name: &DbName,
    ) -> Result<Vec<(AccountName, PrivilegeSet)>, StoreError> {
        self.all(
            "grants",
            "SELECT name, privilege FROM grants
             WHERE instance_id = ? AND db_name = ? ORDER BY name",
            params![P(instance_id), P(db_name)],
            |columns| Ok((columns.get()?, columns.get()?)),
        )
    }
}

impl Writer<'_> {
    /// Adds an account.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the name is taken or there is no such instance.
    pub fn insert_account(&self, account: &Account) -> Result<(), StoreError> {
        self.touch(Topic::Accounts);
        self.execute(
            "INSERT INTO accounts (instance_id, name, account_type, status, description,
                                   login_sealed, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                P(&account.instance_id),
                P(&account.name),
                P(&account.account_type),
                P(&account.status),
                P(&account.description),
                self.seal_login(&account.instance_id, &account.name, &account.login),
                P(&account.created_at),
            ],
        )?;
        Ok(())
    }

    /// Sets the status of an account.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_account_status(
        &self,
        instance_id: &InstanceId,
        name: &AccountName,
        status: AccountStatus,
    ) -> Result<(), StoreError> {
        self.touch(Topic::Accounts);
        self.change(
            TABLE,
            "UPDATE accounts SET status = ?3 WHERE instance_id = ?1 AND name = ?2",
            params![P(instance_id), P(name), P(&status)],
        )
    }

    /// Sets the remark of an account.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_account_description(
        &self,
        instance_id: &InstanceId,
        name: &AccountName,
        description: &Option<AccountDescription>,
    ) -> Result<(), StoreError> {
        self.change(
            TABLE,
            "UPDATE accounts SET description = ?3 WHERE instance_id = ?1 AND name = ?2",
            params![P(instance_id), P(name), P(description)],
        )
    }

    /// Sets how an account logs in.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_account_login(
        &self,
        instance_id: &InstanceId,
        name: &AccountName,
        login: &AccountLogin,
    ) -> Result<(), StoreError> {
        self.touch(Topic::Accounts);
        self.change(
            TABLE,
            "UPDATE accounts SET login_sealed = ?3 WHERE instance_id = ?1 AND name = ?2",
            params![
                P(instance_id),
                P(name),
                self.seal_login(instance_id, name, login)
            ],
        )
    }

    /// Removes an account and its grants.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete_account(
        &self,
        instance_id: &InstanceId,
        name: &AccountName,
    ) -> Result<(), StoreError> {
        self.touch(Topic::Accounts);
        self.change(
            TABLE,
            "DELETE FROM accounts WHERE instance_id = ? AND name = ?",
            params![P(instance_id), P(name)],
        )
    }

    /// Sets what an account may do in a database; `None` takes its grant there away.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when account or database do not exist.
    pub fn set_grant(
        &self,
        instance_id: &InstanceId,
        name: &AccountName,
        db_name: &DbName,
        privilege: Option<PrivilegeSet>,
    ) -> Result<(), StoreError> {
        self.touch(Topic::Accounts);
        match privilege {
            Some(privilege) => self.execute(
                "INSERT INTO grants (instance_id, name, db_name, privilege) VALUES (?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET privilege = excluded.privilege",
                params![P(instance_id), P(name), P(db_name), P(&privilege)],
            )?,
            None => self.execute(
                "DELETE FROM grants WHERE instance_id = ? AND name = ? AND db_name = ?",
                params![P(instance_id), P(name), P(db_name)],
            )?,
        };
        Ok(())
    }

    fn seal_login(
        &self,
        instance_id: &InstanceId,
        name: &AccountName,
        login: &AccountLogin,
    ) -> Vec<u8> {
        let row = [instance_id.as_str(), name.as_str()];
        self.shared.sealer.seal(TABLE, &row, &pack_login(login))
    }
}

/// Both verifiers, then the backend password.
fn pack_login(login: &AccountLogin) -> Zeroizing<Vec<u8>> {
    let password = login.backend_password.expose().as_bytes();
    Zeroizing::new([&login.native[..], &login.sha2, password].concat())
}

/// Undoes [`pack_login`].
fn unpack_login(packed: &[u8]) -> Option<AccountLogin> {
    let (native, rest) = packed.split_first_chunk()?;
    let (sha2, password) = rest.split_first_chunk()?;
    Some(AccountLogin {
        native: *native,
        sha2: *sha2,
        backend_password: Secret::new(std::str::from_utf8(password).ok()?),
    })
}
