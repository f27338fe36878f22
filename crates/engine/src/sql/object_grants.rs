//! Grants on tables, columns and routines, which users make by SQL.

use std::collections::{BTreeMap, BTreeSet};

use openpeta_types::AccountName;
use serde::{Deserialize, Serialize};

use super::{ANY_HOST, NodeSql};
use crate::error::Result;
use crate::quote;

/// MariaDB's "no such table", "no such column" and "no such routine".
const NO_SUCH_OBJECT: [u16; 3] = [1146, 1054, 1305];

/// Privileges that MariaDB knows on a table.
const TABLE_PRIVILEGES: [&str; 13] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "INDEX",
    "ALTER",
    "CREATE VIEW",
    "SHOW VIEW",
    "TRIGGER",
    "REFERENCES",
    "DELETE HISTORY",
];

/// What an account has on a table, with its columns, or on a routine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ObjectGrant {
    pub(super) database: String,
    object: String,
    /// `PROCEDURE`, `FUNCTION`, `PACKAGE`, `PACKAGE BODY`; empty for tables.
    kind: String,
    privileges: BTreeSet<String>,
    /// By column.
    columns: BTreeMap<String, BTreeSet<String>>,
    grantable: bool,
}

impl NodeSql {
    /// Everything granted to an account on tables, columns and routines, one entry for each
    /// object.
    pub(super) async fn object_grants(
        &mut self,
        account: &AccountName,
    ) -> Result<Vec<ObjectGrant>> {
        let of_account = format!(
            "WHERE User = {} AND Host = {}",
            quote::string(account.as_str()),
            quote::string(ANY_HOST),
        );
        let query = format!(
            "SELECT Db, Table_name, '', CAST(Table_priv AS CHAR) FROM mysql.tables_priv {of_account} \
             UNION ALL \
             SELECT Db, Routine_name, Routine_type, CAST(Proc_priv AS CHAR) \
             FROM mysql.procs_priv {of_account}"
        );
        let rows: Vec<(String, String, String, String)> = self.rows("read grants", &query).await?;
        let mut grants: Vec<ObjectGrant> = rows
            .into_iter()
            .map(|(database, object, kind, words)| {
                let mut privileges = privileges(&words);
                ObjectGrant {
                    database,
                    object,
                    kind,
                    grantable: privileges.remove("GRANT"),
                    privileges,
                    columns: BTreeMap::new(),
                }
            })
            .collect();
        let query = format!(
            "SELECT Db, Table_name, Column_name, CAST(Column_priv AS CHAR) \
             FROM mysql.columns_priv {of_account}"
        );
        let rows: Vec<(String, String, String, String)> = self.rows("read grants", &query).await?;
        for (database, table, column, words) in rows {
            let is_its = |grant: &&mut ObjectGrant| {
                !grant.is_routine() && grant.database == database && grant.object == table
            };
            // The table has a row whenever a column has one.
            if let Some(grant) = grants.iter_mut().find(is_its) {
                grant.columns.insert(column, privileges(&words));
            }
        }
        Ok(grants)
    }

    /// Takes everything on an object away.
    pub(super) async fn revoke_object(
        &mut self,
        account: &AccountName,
        grant: &ObjectGrant,
    ) -> Result<()> {
        let statement = grant.revocation(&quote::account(account.as_str(), ANY_HOST));
        self.execute("change grants", &statement).await.map(drop)
    }

    /// Gives everything on an object, unless the object is not there any more.
    pub(super) async fn grant_object(
        &mut self,
        account: &AccountName,
        grant: &ObjectGrant,
    ) -> Result<()> {
        for statement in grant.statements(&quote::account(account.as_str(), ANY_HOST)) {
            match self.execute("change grants", &statement).await {
                Err(error)
                    if error
                        .server_code()
                        .is_some_and(|code| NO_SUCH_OBJECT.contains(&code)) => {}
                result => {
                    result?;
                }
            }
        }
        Ok(())
    }
}

impl ObjectGrant {
    pub(super) const fn is_routine(&self) -> bool {
        !self.kind.is_empty()
    }

    /// Whether both are about the same object.
    pub(super) fn is_on_same(&self, other: &Self) -> bool {
        self.database == other.database && self.object == other.object && self.kind == other.kind
    }

    /// The statements that give it: to the object, then to each column.
    fn statements(&self, account: &str) -> Vec<String> {
        let on = self.on();
        let mut statements = Vec::new();
        if self.grantable || !self.privileges.is_empty() {
            let words = match self.privileges.is_empty() {
                true => "USAGE".to_owned(),
                false => joined(&self.privileges),
            };
            let option = if self.grantable {
                " WITH GRANT OPTION"
            } else {
                ""
            };
            statements.push(format!("GRANT {words} ON {on} TO {account}{option}"));
        }
        for (column, words) in &self.columns {
            let column = quote::identifier(column);
            let words: Vec<_> = words
                .iter()
                .map(|word| format!("{word} ({column})"))
                .collect();
            statements.push(format!("GRANT {} ON {on} TO {account}", words.join(", ")));
        }
        statements
    }

    /// The statement that takes it away.
    fn revocation(&self, account: &str) -> String {
        let option = if self.grantable { ", GRANT OPTION" } else { "" };
        // "ALL PRIVILEGES, GRANT OPTION" would mean all grants of the account.
        let what = if self.is_routine() {
            format!("EXECUTE, ALTER ROUTINE{option}")
        } else if self.grantable {
            format!("{}{option}", TABLE_PRIVILEGES.join(", "))
        } else {
            "ALL PRIVILEGES".to_owned()
        };
        format!("REVOKE {what} ON {} FROM {account}", self.on())
    }

    fn on(&self) -> String {
        let kind = if self.is_routine() {
            format!("{} ", self.kind)
        } else {
            String::new()
        };
        let (database, object) = (
            quote::identifier(&self.database),
            quote::identifier(&self.object),
        );
        format!("{kind}{database}.{object}")
    }
}

/// The privileges in a column of type SET, as GRANT spells them.
fn privileges(words: &str) -> BTreeSet<String> {
    words
        .split(',')
        .filter(|word| !word.is_empty())
        .map(|word| match word {
            "Delete versioning rows" => "DELETE HISTORY".to_owned(),
            word => word.to_uppercase(),
        })
        .collect()
}

fn joined(words: &BTreeSet<String>) -> String {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: &str = "`bob`@`%`";

    fn grant(object: &str, words: &str) -> ObjectGrant {
        ObjectGrant {
            database: "a`b".to_owned(),
            object: object.to_owned(),
            kind: String::new(),
            privileges: privileges(words),
            columns: BTreeMap::new(),
            grantable: false,
        }
    }

    #[test]
    fn revocations_name_the_object_in_quotes() {
        let mut grant = grant("t", "Select");
        assert_eq!(
            grant.revocation(BOB),
            "REVOKE ALL PRIVILEGES ON `a``b`.`t` FROM `bob`@`%`"
        );
        grant.kind = "PROCEDURE".to_owned();
        grant.grantable = true;
        assert_eq!(
            grant.revocation(BOB),
            "REVOKE EXECUTE, ALTER ROUTINE, GRANT OPTION ON PROCEDURE `a``b`.`t` FROM `bob`@`%`"
        );
    }

    #[test]
    fn grants_are_given_back_as_they_were() {
        let mut grant = grant("t", "Show view,Delete versioning rows");
        grant
            .columns
            .insert("c`d".into(), privileges("Select,Insert"));
        assert_eq!(
            grant.statements(BOB),
            [
                "GRANT DELETE HISTORY, SHOW VIEW ON `a``b`.`t` TO `bob`@`%`",
                "GRANT INSERT (`c``d`), SELECT (`c``d`) ON `a``b`.`t` TO `bob`@`%`",
            ]
        );
        grant.privileges.clear();
        grant.grantable = true;
        assert_eq!(
            grant.statements(BOB)[0],
            "GRANT USAGE ON `a``b`.`t` TO `bob`@`%` WITH GRANT OPTION"
        );
    }
}
