//! What a new account may do, out of DBInfo, DBName, AccountPrivilege and AccountVersion.

use std::collections::BTreeMap;
use std::fmt;

use openpeta_types::{DbName, PrivilegeSet};
use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};

use crate::checks::db_names;
use crate::{ApiError, Params};

/// What a new account may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountGrants {
    /// Nothing yet.
    None,
    /// This on every database of the instance.
    EveryDatabase(PrivilegeSet),
    /// This on these databases, each named once.
    Databases {
        /// The databases with the privilege set on each.
        databases: BTreeMap<DbName, PrivilegeSet>,
        /// The parameter that named them.
        source: GrantSource,
    },
}

/// The parameter that named the databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantSource {
    /// DBInfo.
    DbInfo,
    /// DBName.
    DbName,
}

impl GrantSource {
    /// The error for a database that the instance does not have.
    #[must_use]
    pub fn unknown_database(self) -> ApiError {
        match self {
            Self::DbInfo => ApiError::db_info_malformed(),
            Self::DbName => ApiError::db_not_found(),
        }
    }
}

impl AccountGrants {
    /// Reads the four parameters. DBInfo wins over DBName. AccountVersion 0 is how clients of
    /// the first generation are told: privilege sets are ignored, ReadWrite is given.
    pub(super) fn from_params(params: &Params) -> Result<Self, ApiError> {
        let privilege = params.choice("AccountPrivilege", grantable)?;
        let old = params.choice("AccountVersion", version)?.unwrap_or(false);
        let mut grants = if let Some(json) = params.get("DBInfo") {
            Self::Databases {
                databases: db_info(json)?,
                source: GrantSource::DbInfo,
            }
        } else if let Some(names) = params.get("DBName") {
            let privilege = privilege.unwrap_or(PrivilegeSet::ReadWrite);
            Self::Databases {
                databases: db_names(names)?
                    .into_iter()
                    .map(|name| (name, privilege))
                    .collect(),
                source: GrantSource::DbName,
            }
        } else if old {
            Self::EveryDatabase(PrivilegeSet::ReadWrite)
        } else {
            Self::None
        };
        if let (true, Self::Databases { databases, .. }) = (old, &mut grants) {
            databases
                .values_mut()
                .for_each(|set| *set = PrivilegeSet::ReadWrite);
        }
        Ok(grants)
    }
}

/// Reads AccountVersion: whether it is the old one.
fn version(text: &str) -> Option<bool> {
    match text {
        "0" => Some(true),
        "1" => Some(false),
        _ => None,
    }
}

/// Reads a privilege set that may be asked for.
pub(super) fn grantable(text: &str) -> Option<PrivilegeSet> {
    PrivilegeSet::parse(text).filter(|set| set.is_grantable())
}

/// Reads `{"ReadWrite":["db1"],"ReadOnly":["db2"]}`.
fn db_info(json: &str) -> Result<BTreeMap<DbName, PrivilegeSet>, ApiError> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let databases = reader.deserialize_map(DbInfoVisitor);
    databases
        .and_then(|databases| reader.end().map(|()| databases))
        .map_err(|_| ApiError::db_info_malformed())
}

/// Collects DBInfo; refuses a database that occurs twice, since one of the two privilege sets
/// would silently be lost.
struct DbInfoVisitor;

impl<'de> Visitor<'de> for DbInfoVisitor {
    type Value = BTreeMap<DbName, PrivilegeSet>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object from privilege sets to lists of databases")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut databases = BTreeMap::new();
        while let Some((set, names)) = map.next_entry::<String, Vec<DbName>>()? {
            let set = grantable(&set).ok_or_else(|| A::Error::custom("no such privilege set"))?;
            for name in names {
                if databases.insert(name, set).is_some() {
                    return Err(A::Error::custom("a database occurs twice"));
                }
            }
        }
        Ok(databases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(pairs: &[(&str, &str)]) -> Result<AccountGrants, ApiError> {
        AccountGrants::from_params(&Params::from_pairs(pairs.iter().copied()).expect("unique"))
    }

    fn databases(
        pairs: &[(&str, PrivilegeSet)],
        source: GrantSource,
    ) -> Result<AccountGrants, ApiError> {
        let named = |(name, set): &(&str, PrivilegeSet)| (DbName::parse(name).expect(name), *set);
        Ok(AccountGrants::Databases {
            databases: pairs.iter().map(named).collect(),
            source,
        })
    }

    #[test]
    fn db_info_gives_each_database_its_set() {
        assert_eq!(
            grants(&[(
                "DBInfo",
                r#"{"ReadWrite":["a","b"],"DMLOnly":["c"],"DDLOnly":[]}"#
            )]),
            databases(
                &[
                    ("a", PrivilegeSet::ReadWrite),
                    ("b", PrivilegeSet::ReadWrite),
                    ("c", PrivilegeSet::DmlOnly),
                ],
                GrantSource::DbInfo,
            )
        );
    }

    #[test]
    fn db_info_must_be_such_an_object() {
        for bad in [
            "x",
            "[]",
            "{}x",
            r#"{"ReadWrite":"a"}"#,
            r#"{"ReadWrite":["A"]}"#,
            r#"{"ReadWrite":["mysql"]}"#,
            r#"{"ReadWrite":[a]}"#,
            r#"{"Custom":["a"]}"#,
            r#"{"readwrite":["a"]}"#,
            r#"{"ReadWrite":["a"],"ReadOnly":["a"]}"#,
            r#"{"ReadWrite":["a"],"ReadWrite":["a"]}"#,
        ] {
            assert_eq!(
                grants(&[("DBInfo", bad)]),
                Err(ApiError::db_info_malformed()),
                "{bad}"
            );
        }
    }

    #[test]
    fn db_name_takes_one_set_for_all() {
        assert_eq!(
            grants(&[("DBName", "a, b,a"), ("AccountPrivilege", "ReadOnly")]),
            databases(
                &[("a", PrivilegeSet::ReadOnly), ("b", PrivilegeSet::ReadOnly)],
                GrantSource::DbName,
            )
        );
        assert_eq!(
            grants(&[("DBName", "a")]),
            databases(&[("a", PrivilegeSet::ReadWrite)], GrantSource::DbName)
        );
        assert_eq!(grants(&[("DBName", "a,")]), Err(ApiError::db_not_found()));
        assert_eq!(
            grants(&[("AccountPrivilege", "Custom")]),
            Err(ApiError::value_not_supported("AccountPrivilege"))
        );
    }

    #[test]
    fn db_info_wins_over_db_name() {
        let both = [("DBInfo", r#"{"ReadOnly":["a"]}"#), ("DBName", "b")];
        assert_eq!(
            grants(&both),
            databases(&[("a", PrivilegeSet::ReadOnly)], GrantSource::DbInfo)
        );
    }

    #[test]
    fn the_old_version_gives_read_write() {
        assert_eq!(grants(&[]), Ok(AccountGrants::None));
        assert_eq!(
            grants(&[("AccountVersion", "0")]),
            Ok(AccountGrants::EveryDatabase(PrivilegeSet::ReadWrite))
        );
        assert_eq!(
            grants(&[
                ("AccountVersion", "0"),
                ("DBName", "a"),
                ("AccountPrivilege", "ReadOnly")
            ]),
            databases(&[("a", PrivilegeSet::ReadWrite)], GrantSource::DbName)
        );
        assert_eq!(
            grants(&[("AccountVersion", "2")]),
            Err(ApiError::value_not_supported("AccountVersion"))
        );
    }
}
