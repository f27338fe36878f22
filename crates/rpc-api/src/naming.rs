//! Names of the API as the command line spells them.

/// The API's spellings that the general rule would cut in the wrong place.
const SPELLINGS: &[(&str, &str)] = &[("IPs", "Ips"), ("VSwitch", "Vswitch")];

/// A name as a flag or a subcommand: `CreateInstance` becomes `create-instance`, `DBName` `db-name`, `SecurityIPList`
/// `security-ip-list`.
#[must_use]
pub fn kebab_case(name: &str) -> String {
    let mut name = name.to_owned();
    for (from, to) in SPELLINGS {
        name = name.replace(from, to);
    }
    let chars: Vec<char> = name.chars().collect();
    let mut kebab = String::with_capacity(name.len() + 8);
    for (index, &c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() && index > 0 {
            let after_lower = !chars[index - 1].is_ascii_uppercase();
            let before_lower = chars
                .get(index + 1)
                .is_some_and(|next| next.is_ascii_lowercase());
            if after_lower || before_lower {
                kebab.push('-');
            }
        }
        kebab.push(c.to_ascii_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_into_words() {
        for (name, kebab) in [
            ("CreateInstance", "create-instance"),
            ("DBName", "db-name"),
            ("DBInstanceId", "db-instance-id"),
            ("VPCId", "vpc-id"),
            ("VSwitchId", "vswitch-id"),
            ("SecurityIPList", "security-ip-list"),
            ("DescribeSecurityIPs", "describe-security-ips"),
            ("TableDDL", "table-ddl"),
            ("AddBuDBInstanceRelation", "add-bu-db-instance-relation"),
            ("All", "all"),
        ] {
            assert_eq!(kebab_case(name), kebab);
        }
    }
}
