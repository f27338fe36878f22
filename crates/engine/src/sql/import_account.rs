//! The account that an import runs its statements with. It reaches the database that is imported
//! into a place of its own, and nothing else: whatever a dump says, it meets the server's own
//! refusal. It comes from `localhost` alone, has a name that no user's account can have and a
//! password that is derived, and goes with the import. The binary log does not have it.

use openpeta_types::{AccountName, DbName, NodeId, Secret};

use super::{ANY_HOST, NodeSql, native_password_hash};
use crate::error::Result;
use crate::quote;

/// The account of the import that is prepared in a database.
pub(crate) fn import_account(staging: &DbName) -> String {
    // Neither "-" nor ":" can stand in the name of a user's account.
    format!("openpeta-import:{staging}")
}

fn quoted(staging: &DbName) -> String {
    quote::account(&import_account(staging), "localhost")
}

/// The account's password: nobody can compute it who has not the administrator's.
pub(crate) fn import_password(admin: &Secret, node: &NodeId, staging: &DbName) -> Secret {
    super::ddl::derived_password(admin, &format!("import account/{node}/{staging}"))
}

impl NodeSql {
    /// Makes the account anew, and ends what an earlier run does with it. It may do anything in
    /// these databases; and, if it `names_definers`, say as whom what it makes there runs.
    pub(crate) async fn ensure_import_account(
        &mut self,
        staging: &DbName,
        databases: &[&DbName],
        names_definers: bool,
        password: &Secret,
    ) -> Result<()> {
        self.end_sessions_of(&import_account(staging), &quoted(staging))
            .await?;
        let account = quoted(staging);
        // The hash is "*" and hexadecimal digits: nothing to escape.
        let mut statements = vec![format!(
            "CREATE OR REPLACE USER {account} IDENTIFIED VIA mysql_native_password USING '{}'",
            native_password_hash(password)
        )];
        for database in databases {
            let pattern = quote::identifier(&quote::grant_pattern(database.as_str()));
            let statement = format!("GRANT ALL PRIVILEGES ON {pattern}.* TO {account}");
            statements.push(statement);
        }
        if names_definers {
            statements.push(format!("GRANT SET USER ON *.* TO {account}"));
        }
        self.unlogged("set up an account", &statements).await
    }

    /// Drops the account, with its sessions.
    pub(crate) async fn drop_import_account(&mut self, staging: &DbName) -> Result<()> {
        let statement = format!("DROP USER IF EXISTS {}", quoted(staging));
        self.unlogged("drop an account", &[statement]).await?;
        self.end_sessions_of(&import_account(staging), &quoted(staging))
            .await
    }

    /// Makes the database in which an import is prepared, with the character set of the one that it
    /// is for. Nobody gets a grant on it.
    pub(crate) async fn create_staging(&mut self, staging: &DbName, target: &DbName) -> Result<()> {
        let query = format!(
            "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME \
             FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}",
            quote::string(target.as_str())
        );
        let found: Vec<(String, String)> = self.rows("look at a database", &query).await?;
        let (charset, collation) = found
            .into_iter()
            .next()
            .unwrap_or_else(|| ("utf8mb4".to_owned(), "utf8mb4_general_ci".to_owned()));
        let statement = format!(
            "CREATE DATABASE {} CHARACTER SET {charset} COLLATE {collation}",
            quote::identifier(staging.as_str())
        );
        self.execute("create a database", &statement)
            .await
            .map(drop)
    }

    /// Lets accounts read and call in the staging what they may in the target: whether views can be
    /// made depends on what those may whose they are.
    pub(crate) async fn grant_as_in(
        &mut self,
        target: &DbName,
        staging: &DbName,
        accounts: &[AccountName],
    ) -> Result<()> {
        let on = quote::identifier(&quote::grant_pattern(staging.as_str()));
        for account in accounts {
            let query = format!(
                "SELECT PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES \
                 WHERE GRANTEE = {} AND TABLE_SCHEMA = {} \
                   AND PRIVILEGE_TYPE IN ('SELECT', 'EXECUTE', 'SHOW VIEW')",
                quote::string(&format!("'{account}'@'{ANY_HOST}'")),
                quote::string(&quote::grant_pattern(target.as_str())),
            );
            let held: Vec<String> = self.rows("read grants", &query).await?;
            if held.is_empty() {
                continue;
            }
            let statement = format!(
                "GRANT {} ON {on}.* TO {}",
                held.join(", "),
                quote::account(account.as_str(), ANY_HOST)
            );
            self.unlogged("grant", &[statement]).await?;
        }
        Ok(())
    }

    /// What there is in a database, in words; `None` if there is nothing.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn something_in(&mut self, database: &DbName) -> Result<Option<String>> {
        let name = quote::string(database.as_str());
        let query = format!(
            "SELECT CONCAT('table ', TABLE_NAME) FROM information_schema.TABLES \
                 WHERE TABLE_SCHEMA = {name} \
             UNION ALL SELECT CONCAT('routine ', name) FROM mysql.proc WHERE db = {name} \
             UNION ALL SELECT CONCAT('event ', name) FROM mysql.event WHERE db = {name} LIMIT 1"
        );
        let found: Vec<String> = self.rows("look into a database", &query).await?;
        Ok(found.into_iter().next())
    }

    /// Whether there is such a database.
    ///
    /// # Errors
    /// As with all statements.
    pub async fn has_database(&mut self, database: &DbName) -> Result<bool> {
        let query = format!(
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}",
            quote::string(database.as_str())
        );
        let found: Vec<String> = self.rows("look for a database", &query).await?;
        Ok(!found.is_empty())
    }

    /// Collations that the server knows.
    pub(crate) async fn collations(&mut self) -> Result<Vec<String>> {
        // Those that fit several character sets are listed by their short names, too.
        let query = "SELECT FULL_COLLATION_NAME FROM \
                     information_schema.COLLATION_CHARACTER_SET_APPLICABILITY";
        match self.rows("list collations", query).await {
            // Servers before 10.10 have no such column, nor such collations.
            Err(error) if error.server_code() == Some(NO_COLUMN) => {
                let query = "SELECT COLLATION_NAME FROM information_schema.COLLATIONS";
                self.rows("list collations", query).await
            }
            result => result,
        }
    }
}

/// MariaDB's "unknown column".
const NO_COLUMN: u16 = 1054;

#[cfg(test)]
mod tests {
    use openpeta_types::AccountName;

    use super::*;

    #[test]
    fn no_user_can_have_the_account() {
        let staging = DbName::parse("openpeta_import_7").expect("a name");
        assert!(AccountName::parse_lookup(&import_account(&staging)).is_err());
    }
}
