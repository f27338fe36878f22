//! Named privilege sets of database accounts (API document 9.1 and 9.3).

use crate::status::spelled;

spelled!(
    /// A privilege set that an account has on one database.
    PrivilegeSet {
        /// Read, write and define.
        ReadWrite = "ReadWrite",
        /// Read.
        ReadOnly = "ReadOnly",
        /// Define.
        DdlOnly = "DDLOnly",
        /// Read and write.
        DmlOnly = "DMLOnly",
        /// Anything else, set by SQL; only ever reported.
        Custom = "Custom",
    }
);

impl PrivilegeSet {
    /// The MariaDB privileges of the set, in the order in which the API lists them; empty for
    /// `Custom`.
    #[must_use]
    pub const fn privileges(self) -> &'static [&'static str] {
        match self {
            Self::ReadWrite => &[
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
            ],
            // Rows of several nodes are gathered into temporary tables.
            Self::ReadOnly => &[
                "SELECT",
                "CREATE TEMPORARY TABLES",
                "LOCK TABLES",
                "SHOW VIEW",
            ],
            Self::DdlOnly => &[
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
            ],
            Self::DmlOnly => &[
                "SELECT",
                "INSERT",
                "UPDATE",
                "DELETE",
                "CREATE TEMPORARY TABLES",
                "LOCK TABLES",
                "SHOW VIEW",
                "EXECUTE",
                "EVENT",
                "TRIGGER",
            ],
            Self::Custom => &[],
        }
    }

    /// Whether a client may ask for the set; `Custom` is only ever reported.
    #[must_use]
    pub const fn is_grantable(self) -> bool {
        !matches!(self, Self::Custom)
    }
}

/// What ReadOnly was before databases could be spread over nodes. Accounts may still have it.
const FORMER_READ_ONLY: [&str; 3] = ["SELECT", "LOCK TABLES", "SHOW VIEW"];

/// Finds the named set that consists of exactly these privileges, in any order.
///
/// Returns `None` for an empty list (no privileges) and `Custom` when no named set matches.
#[must_use]
pub fn match_privilege_set(privileges: &[&str]) -> Option<PrivilegeSet> {
    if privileges.is_empty() {
        return None;
    }
    let same = |set: &&PrivilegeSet| {
        set.privileges().len() == privileges.len()
            && set
                .privileges()
                .iter()
                .all(|privilege| privileges.contains(privilege))
    };
    let is_former = FORMER_READ_ONLY.len() == privileges.len()
        && FORMER_READ_ONLY.iter().all(|it| privileges.contains(it));
    if is_former {
        return Some(PrivilegeSet::ReadOnly);
    }
    let named = PrivilegeSet::ALL
        .iter()
        .filter(|set| set.is_grantable())
        .find(same);
    Some(named.copied().unwrap_or(PrivilegeSet::Custom))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_sets_are_recognised_in_any_order() {
        for &set in PrivilegeSet::ALL.iter().filter(|set| set.is_grantable()) {
            let mut privileges = set.privileges().to_vec();
            privileges.reverse();
            assert_eq!(match_privilege_set(&privileges), Some(set));
        }
    }

    #[test]
    fn what_read_only_was_before_is_still_that() {
        assert_eq!(
            match_privilege_set(&["SHOW VIEW", "SELECT", "LOCK TABLES"]),
            Some(PrivilegeSet::ReadOnly)
        );
    }

    #[test]
    fn anything_else_is_custom() {
        assert_eq!(match_privilege_set(&[]), None);
        assert_eq!(match_privilege_set(&["SELECT"]), Some(PrivilegeSet::Custom));
    }
}
