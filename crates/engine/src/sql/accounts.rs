//! Accounts of a node and their grants.

use std::collections::BTreeMap;

use openpeta_types::{AccountName, AccountType, DbName, PrivilegeSet, Secret, match_privilege_set};

use super::grants::{self, ALL_DATABASES, DATABASE_PRIVILEGES, Grants, Row};
use super::{ADMIN_ACCOUNT, ANY_HOST, NodeSql, native_password_hash};
use crate::error::{EngineError, Result};
use crate::quote;

/// Names that no user's account may have, compared without case.
const INTERNAL: [&str; 7] = [
    ADMIN_ACCOUNT,
    "root",
    "mysql",
    "public",
    "none",
    "current_user",
    "current_role",
];

/// What an account may do, as found on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountGrants {
    /// Super when it has all privileges on all databases.
    pub account_type: AccountType,
    /// Databases on which the account has privileges of its own, by name. For a Super account
    /// these are the databases on which it may also grant; it has privileges on the others too.
    pub databases: BTreeMap<String, DatabaseGrant>,
}

/// What an account may do in one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseGrant {
    /// The named set, or `Custom`.
    pub set: PrivilegeSet,
    /// The single privileges, in the API's order. Empty when the account has privileges on
    /// some tables only.
    pub privileges: Vec<&'static str>,
}

/// Refuses to touch an account that is the server's or our own.
pub(super) fn refuse_internal(account: &AccountName) -> Result<()> {
    let name = account.as_str();
    if INTERNAL.iter().any(|word| word.eq_ignore_ascii_case(name)) {
        return Err(EngineError::InternalAccount {
            name: name.to_owned(),
        });
    }
    Ok(())
}

impl NodeSql {
    /// Makes an account, or makes an existing one what is asked for: it logs in from anywhere
    /// with `mysql_native_password` and the backend password, is not locked, and has exactly
    /// these privileges, given one database at a time for Normal accounts; `granted` does not
    /// matter for Super. What is right already is not touched.
    ///
    /// Only the password's hash is sent to the server, so that the password stands in none of
    /// its logs.
    ///
    /// # Errors
    /// [`EngineError::InternalAccount`], or as with all statements.
    pub async fn ensure_account(
        &mut self,
        account: &AccountName,
        backend_password: &Secret,
        account_type: AccountType,
        granted: &[(DbName, PrivilegeSet)],
    ) -> Result<()> {
        self.ensure_login(account, backend_password).await?;
        let existing = match account_type {
            AccountType::Super => self.databases().await?,
            AccountType::Normal => Vec::new(),
        };
        let actual = self.grants(account).await?;
        let desired = grants::desired(account_type, granted, &existing);
        self.change_grants(account, &actual, &desired).await?;
        for grant in self.object_grants(account).await? {
            // Whoever makes a routine gets the rights on it from the server.
            let row = desired
                .databases
                .get(&quote::grant_pattern(&grant.database));
            if !(grant.is_routine() && row.is_some_and(grants::may_create_routines)) {
                self.revoke_object(account, &grant).await?;
            }
        }
        Ok(())
    }

    /// Makes the account if need be and sets how it logs in, whatever its owner made of that by
    /// SQL. Its privileges stay as they are.
    ///
    /// # Errors
    /// [`EngineError::InternalAccount`], or as with all statements.
    pub async fn ensure_login(&mut self, account: &AccountName, password: &Secret) -> Result<()> {
        refuse_internal(account)?;
        let hash = native_password_hash(password);
        let query = format!(
            "SELECT COALESCE(JSON_VALUE(Priv, '$.plugin'), ''), \
                    COALESCE(JSON_VALUE(Priv, '$.authentication_string'), ''), \
                    COALESCE(JSON_VALUE(Priv, '$.account_locked'), '0') IN ('1', 'true') \
                    OR JSON_EXISTS(Priv, '$.auth_or') \
             FROM mysql.global_priv WHERE User = {name} AND Host = {host}",
            name = quote::string(account.as_str()),
            host = quote::string(ANY_HOST),
        );
        let rows: Vec<(String, String, bool)> = self.rows("look up an account", &query).await?;
        let right = ("mysql_native_password".to_owned(), hash.clone(), false);
        if rows.first() == Some(&right) {
            return Ok(());
        }
        let verb = if rows.is_empty() { "CREATE" } else { "ALTER" };
        // The hash is "*" and hexadecimal digits: nothing to escape.
        let statement = format!(
            "{verb} USER {account} IDENTIFIED VIA mysql_native_password USING '{hash}' \
             ACCOUNT UNLOCK",
            account = quote::account(account.as_str(), ANY_HOST),
        );
        self.execute("set up an account", &statement).await?;
        Ok(())
    }

    /// Drops an account and ends its sessions. One that does not exist is no error.
    ///
    /// # Errors
    /// [`EngineError::InternalAccount`], or as with all statements.
    pub async fn drop_account(&mut self, account: &AccountName) -> Result<()> {
        refuse_internal(account)?;
        let quoted = quote::account(account.as_str(), ANY_HOST);
        let statement = format!("DROP USER IF EXISTS {quoted}");
        self.execute("drop an account", &statement).await?;
        self.kill_sessions(account).await.map(drop)
    }

    /// The users' accounts, sorted; internal ones are left out.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn accounts(&mut self) -> Result<Vec<AccountName>> {
        let query = format!(
            "SELECT User FROM mysql.global_priv WHERE Host = {} ORDER BY User",
            quote::string(ANY_HOST)
        );
        let names: Vec<String> = self.rows("list accounts", &query).await?;
        Ok(names
            .iter()
            .filter_map(|name| AccountName::parse_lookup(name).ok())
            .filter(|account| refuse_internal(account).is_ok())
            .collect())
    }

    /// What an account may do. `None` when there is no such account.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn privileges(&mut self, account: &AccountName) -> Result<Option<AccountGrants>> {
        let query = format!(
            "SELECT 1 FROM mysql.global_priv WHERE User = {} AND Host = {}",
            quote::string(account.as_str()),
            quote::string(ANY_HOST)
        );
        let found: Vec<u8> = self.rows("look up an account", &query).await?;
        if found.is_empty() {
            return Ok(None);
        }
        let grants = self.grants(account).await?;
        let objects = self.object_grants(account).await?;
        let account_type = if grants.databases.contains_key(ALL_DATABASES) {
            AccountType::Super
        } else {
            AccountType::Normal
        };
        let mut databases: BTreeMap<String, DatabaseGrant> = grants
            .databases
            .iter()
            .filter(|(pattern, _)| *pattern != ALL_DATABASES && !grants::is_shield(pattern))
            .map(|(pattern, row)| {
                // A pattern with wildcards, made by SQL, is shown as it is.
                let name = quote::pattern_database(pattern).unwrap_or_else(|| pattern.clone());
                (name, database_grant(row))
            })
            .collect();
        for grant in objects.iter().filter(|grant| !grant.is_routine()) {
            let custom = DatabaseGrant {
                set: PrivilegeSet::Custom,
                privileges: Vec::new(),
            };
            databases
                .entry(grant.database.clone())
                .or_insert(custom)
                .set = PrivilegeSet::Custom;
        }
        Ok(Some(AccountGrants {
            account_type,
            databases,
        }))
    }

    /// Names of the accounts of type Super.
    pub(super) async fn super_accounts(&mut self) -> Result<Vec<String>> {
        let query = format!(
            "SELECT User FROM mysql.db WHERE Host = {host} AND Db = {all}",
            host = quote::string(ANY_HOST),
            all = quote::string(ALL_DATABASES),
        );
        self.rows("list accounts", &query).await
    }

    /// Takes away everything that is granted on a database or in it.
    pub(crate) async fn revoke_on(&mut self, database: &DbName) -> Result<()> {
        for account in self.accounts().await? {
            self.set_privileges(&account, database, None).await?;
        }
        Ok(())
    }

    /// Turns what an account has on the server and on databases into something else.
    pub(super) async fn change_grants(
        &mut self,
        account: &AccountName,
        actual: &Grants,
        desired: &Grants,
    ) -> Result<()> {
        let quoted = quote::account(account.as_str(), ANY_HOST);
        for statement in grants::plan(&quoted, actual, desired) {
            self.execute("change grants", &statement).await?;
        }
        Ok(())
    }

    /// Everything granted on the server and on databases.
    pub(super) async fn grants(&mut self, account: &AccountName) -> Result<Grants> {
        let grantee = grantee(account.as_str());
        let query = format!(
            "SELECT TABLE_SCHEMA, PRIVILEGE_TYPE, IS_GRANTABLE = 'YES' \
             FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = {grantee} \
             UNION ALL \
             SELECT NULL, PRIVILEGE_TYPE, IS_GRANTABLE = 'YES' \
             FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = {grantee}"
        );
        let rows: Vec<(Option<String>, String, bool)> = self.rows("read grants", &query).await?;
        let mut grants = Grants::default();
        for (pattern, privilege, grantable) in rows {
            let row = match pattern {
                Some(pattern) => grants.databases.entry(pattern).or_default(),
                None => &mut grants.global,
            };
            row.grantable |= grantable;
            // USAGE says that there is a row without a privilege.
            if privilege != "USAGE" {
                row.privileges.insert(privilege);
            }
        }
        Ok(grants)
    }
}

/// An account as the information schema writes it.
fn grantee(account: &str) -> String {
    quote::string(&format!("'{account}'@'{ANY_HOST}'"))
}

fn database_grant(row: &Row) -> DatabaseGrant {
    let privileges: Vec<&'static str> = DATABASE_PRIVILEGES
        .into_iter()
        .filter(|privilege| row.privileges.contains(*privilege))
        .collect();
    let known = privileges.len() == row.privileges.len() && !row.grantable;
    let set = match match_privilege_set(&privileges) {
        Some(set) if known => set,
        _ => PrivilegeSet::Custom,
    };
    DatabaseGrant { set, privileges }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(privileges: &[&str], grantable: bool) -> Row {
        Row {
            privileges: privileges.iter().map(|&word| word.to_owned()).collect(),
            grantable,
        }
    }

    #[test]
    fn named_sets_are_recognised_and_the_rest_is_custom() {
        for &set in PrivilegeSet::ALL.iter().filter(|set| set.is_grantable()) {
            let grant = database_grant(&row(set.privileges(), false));
            assert_eq!(grant.set, set);
            assert_eq!(grant.privileges, set.privileges(), "the API's order");
            let grant = database_grant(&row(set.privileges(), true));
            assert_eq!(grant.set, PrivilegeSet::Custom);
        }
        let read = PrivilegeSet::ReadOnly.privileges();
        let more = [read, &["REFERENCES"]].concat();
        assert_eq!(database_grant(&row(&more, false)).set, PrivilegeSet::Custom);
        let unknown = [read, &["NEW IN MARIADB 13"]].concat();
        let grant = database_grant(&row(&unknown, false));
        assert_eq!(grant.set, PrivilegeSet::Custom);
    }

    #[test]
    fn internal_accounts_are_refused_in_any_case() {
        for name in ["openpeta_admin", "root", "Root", "public", "mysql"] {
            let account = AccountName::parse_lookup(name).expect("well formed");
            let error = refuse_internal(&account).expect_err(name);
            assert!(matches!(error, EngineError::InternalAccount { .. }));
        }
        let account = AccountName::parse_lookup("bob").expect("well formed");
        assert!(refuse_internal(&account).is_ok());
    }
}
