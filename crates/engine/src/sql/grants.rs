//! Which grants an account should have, and the statements that lead there. Pure.
//!
//! A Super account has all privileges on all databases and may grant them on, yet must not
//! reach the server's own tables. MariaDB has no partial revoke, so:
//! - `` GRANT … ON `%`.* `` gives all databases, also those it makes itself, but without GRANT
//!   OPTION: with it the account could grant on a pattern such as `` `mysq_`.* ``, which matches
//!   the `mysql` database, and so give another account the server's tables.
//! - A more specific row wins over `%`; one with a harmless privilege on each system schema keeps
//!   the account out of it.
//! - GRANT OPTION comes with a row for each database by its exact name.

use std::collections::{BTreeMap, BTreeSet};

use openpeta_types::{AccountType, DbName, PrivilegeSet};
use serde::{Deserialize, Serialize};

use super::ANY_HOST;
use crate::quote;

/// Privileges that MariaDB knows on a database, in the API's order, then those that no named
/// set has.
pub(crate) const DATABASE_PRIVILEGES: [&str; 19] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "INDEX",
    "ALTER",
    "CREATE TEMPORARY TABLES",
    "LOCK TABLES",
    "CREATE VIEW",
    "SHOW VIEW",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "EXECUTE",
    "EVENT",
    "TRIGGER",
    "REFERENCES",
    "DELETE HISTORY",
];

/// What a Super account may do on the server as a whole: look, and read the binlog.
const SUPER_GLOBAL: [&str; 4] = [
    "BINLOG MONITOR",
    "PROCESS",
    "REPLICATION SLAVE",
    "SHOW DATABASES",
];

/// The pattern that matches every database.
pub(crate) const ALL_DATABASES: &str = "%";

/// The rows that keep Super accounts out of the system schemas. The privileges do nothing there:
/// LOCK TABLES needs SELECT as well, and SHOW VIEW shows definitions that are MariaDB's own.
const SHIELDS: [(&str, &str); 3] = [
    ("mysql", "SHOW VIEW"),
    ("sys", "SHOW VIEW"),
    // SHOW VIEW cannot be granted here. Without a row a Super account could drop the schema.
    ("performance_schema", "LOCK TABLES"),
];

/// Privileges on one pattern of databases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) privileges: BTreeSet<String>,
    pub(crate) grantable: bool,
}

/// Everything granted to an account on the server and on databases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grants {
    pub(crate) global: Row,
    /// By pattern, as MariaDB stores it.
    pub(crate) databases: BTreeMap<String, Row>,
}

/// Whether a system schema's row is a shield and no grant of interest.
pub(crate) fn is_shield(pattern: &str) -> bool {
    SHIELDS.iter().any(|(schema, _)| *schema == pattern)
}

/// The privileges of a named set.
pub(crate) fn row_of(set: PrivilegeSet) -> Row {
    row(set.privileges(), false)
}

/// Whether whoever has these privileges makes routines; the server then grants the rights on
/// them.
pub(crate) fn may_create_routines(row: &Row) -> bool {
    row.privileges.contains("CREATE ROUTINE")
}

fn row(privileges: &[&str], grantable: bool) -> Row {
    Row {
        privileges: privileges.iter().map(|&word| word.to_owned()).collect(),
        grantable,
    }
}

/// What an account should have. For a Super account `granted` does not matter and `existing`
/// are the databases there are.
pub(crate) fn desired(
    account_type: AccountType,
    granted: &[(DbName, PrivilegeSet)],
    existing: &[String],
) -> Grants {
    let mut grants = Grants::default();
    match account_type {
        AccountType::Normal => {
            for (database, set) in granted {
                let pattern = quote::grant_pattern(database.as_str());
                grants.databases.insert(pattern, row_of(*set));
            }
        }
        AccountType::Super => {
            grants.global = row(&SUPER_GLOBAL, false);
            let all = row(&DATABASE_PRIVILEGES, false);
            grants.databases.insert(ALL_DATABASES.to_owned(), all);
            for (schema, privilege) in SHIELDS {
                let shield = row(&[privilege], false);
                grants.databases.insert(schema.to_owned(), shield);
            }
            for database in existing {
                let all = row(&DATABASE_PRIVILEGES, true);
                grants.databases.insert(quote::grant_pattern(database), all);
            }
        }
    }
    grants.databases.retain(|_, row| !row.privileges.is_empty());
    grants
}

/// The statements that turn what an account has into what it should have. What stays is not
/// touched, so sessions never see it missing. Shields come first and go last.
pub(crate) fn plan(account: &str, actual: &Grants, desired: &Grants) -> Vec<String> {
    let mut grant = Vec::new();
    let mut revoke = Vec::new();
    let nothing = Row::default();
    let patterns: BTreeSet<&String> = actual
        .databases
        .keys()
        .chain(desired.databases.keys())
        .collect();
    let (shields, others): (Vec<&String>, Vec<&String>) =
        patterns.into_iter().partition(|pattern| is_shield(pattern));
    let row = |grants: &'_ Grants, pattern: &str| {
        grants.databases.get(pattern).unwrap_or(&nothing).clone()
    };
    for pattern in &shields {
        let on = format!("{}.*", quote::identifier(pattern));
        grant.extend(missing(
            account,
            &on,
            &row(actual, pattern),
            &row(desired, pattern),
        ));
    }
    for pattern in &others {
        let on = format!("{}.*", quote::identifier(pattern));
        grant.extend(missing(
            account,
            &on,
            &row(actual, pattern),
            &row(desired, pattern),
        ));
        revoke.extend(surplus(
            account,
            &on,
            &row(actual, pattern),
            &row(desired, pattern),
        ));
    }
    grant.extend(missing(account, "*.*", &actual.global, &desired.global));
    revoke.extend(surplus(account, "*.*", &actual.global, &desired.global));
    for pattern in &shields {
        let on = format!("{}.*", quote::identifier(pattern));
        revoke.extend(surplus(
            account,
            &on,
            &row(actual, pattern),
            &row(desired, pattern),
        ));
    }
    grant.append(&mut revoke);
    grant
}

fn missing(account: &str, on: &str, actual: &Row, desired: &Row) -> Option<String> {
    let words: Vec<&str> = desired
        .privileges
        .difference(&actual.privileges)
        .map(String::as_str)
        .collect();
    let option = if desired.grantable && !actual.grantable {
        " WITH GRANT OPTION"
    } else if words.is_empty() {
        return None;
    } else {
        ""
    };
    let words = if words.is_empty() {
        "USAGE".to_owned()
    } else {
        words.join(", ")
    };
    Some(format!("GRANT {words} ON {on} TO {account}{option}"))
}

fn surplus(account: &str, on: &str, actual: &Row, desired: &Row) -> Option<String> {
    let mut words: Vec<&str> = actual
        .privileges
        .difference(&desired.privileges)
        .map(String::as_str)
        .collect();
    if actual.grantable && !desired.grantable {
        words.push("GRANT OPTION");
    }
    (!words.is_empty()).then(|| format!("REVOKE {} ON {on} FROM {account}", words.join(", ")))
}

/// The statement that gives a Super account the right to grant on a database.
pub(crate) fn grant_all_on(account: &str, database: &str) -> String {
    format!(
        "GRANT {} ON {}.* TO {} WITH GRANT OPTION",
        DATABASE_PRIVILEGES.join(", "),
        quote::identifier(&quote::grant_pattern(database)),
        quote::account(account, ANY_HOST),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "`bob`@`%`";

    fn db(name: &str) -> DbName {
        DbName::parse(name).expect("a database name")
    }

    #[test]
    fn every_named_set_consists_of_privileges_that_mariadb_knows() {
        for set in PrivilegeSet::ALL {
            for privilege in set.privileges() {
                assert!(DATABASE_PRIVILEGES.contains(privilege), "{privilege}");
            }
        }
    }

    #[test]
    fn only_differences_are_stated() {
        let read = desired(
            AccountType::Normal,
            &[(db("a_b"), PrivilegeSet::ReadOnly)],
            &[],
        );
        assert_eq!(
            plan(ACCOUNT, &Grants::default(), &read),
            [
                "GRANT CREATE TEMPORARY TABLES, LOCK TABLES, SELECT, SHOW VIEW ON `a\\_b`.* TO `bob`@`%`"
            ]
        );
        assert!(plan(ACCOUNT, &read, &read).is_empty());
        let mut more = read.clone();
        let row = more.databases.get_mut("a\\_b").expect("just made");
        row.privileges.insert("INSERT".to_owned());
        row.grantable = true;
        assert_eq!(
            plan(ACCOUNT, &more, &read),
            ["REVOKE INSERT, GRANT OPTION ON `a\\_b`.* FROM `bob`@`%`"]
        );
        assert_eq!(
            plan(ACCOUNT, &read, &Grants::default()),
            [
                "REVOKE CREATE TEMPORARY TABLES, LOCK TABLES, SELECT, SHOW VIEW ON `a\\_b`.* FROM `bob`@`%`"
            ]
        );
    }

    #[test]
    fn super_is_shielded_before_it_gets_all_and_until_it_has_lost_it() {
        let all = desired(AccountType::Super, &[], &["adb".to_owned()]);
        let up = plan(ACCOUNT, &Grants::default(), &all);
        let down = plan(ACCOUNT, &all, &Grants::default());
        let position = |statements: &[String], part: &str| {
            statements
                .iter()
                .position(|statement| statement.contains(part))
                .unwrap_or_else(|| panic!("{part} in {statements:?}"))
        };
        for (schema, _) in SHIELDS {
            let on = format!("ON `{schema}`.*");
            assert!(position(&up, &on) < position(&up, "ON `%`.*"));
            assert!(position(&down, &on) > position(&down, "ON `%`.*"));
        }
        let everywhere = &up[position(&up, "ON `%`.*")];
        assert!(!everywhere.contains("GRANT OPTION"), "{everywhere}");
        assert!(up[position(&up, "ON `adb`.*")].ends_with("WITH GRANT OPTION"));
    }

    #[test]
    fn hostile_names_stay_inside_their_quotes() {
        let mut actual = Grants::default();
        let row = Row {
            privileges: BTreeSet::from(["SELECT".to_owned()]),
            grantable: false,
        };
        let name = "x`.* FROM a; DROP DATABASE y; -- ";
        actual.databases.insert(name.to_owned(), row);
        let statements = plan(ACCOUNT, &actual, &Grants::default());
        assert_eq!(
            statements,
            ["REVOKE SELECT ON `x``.* FROM a; DROP DATABASE y; -- `.* FROM `bob`@`%`"]
        );
    }
}
