//! How a table's distribution is written down: as an option of the table on each node.

use openpeta_sql_route::{Dialect, Lexer, TokenKind};

/// The name of the table option.
pub const OPTION: &str = "distribute_by";

/// What the option says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Definition {
    /// By the values of this column.
    Hash(String),
    /// All rows on all nodes.
    Broadcast,
}

impl Definition {
    /// What the option is set to.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::Hash(column) => format!("HASH({column})"),
            Self::Broadcast => "BROADCAST".to_owned(),
        }
    }

    /// As users write it.
    #[must_use]
    pub fn clause(&self) -> String {
        match self {
            Self::Hash(column) => {
                format!("DISTRIBUTE BY HASH(`{}`)", column.replace('`', "``"))
            }
            Self::Broadcast => "DISTRIBUTE BY BROADCAST".to_owned(),
        }
    }

    fn parse(value: &str) -> Option<Self> {
        if value == "BROADCAST" {
            return Some(Self::Broadcast);
        }
        let column = value.strip_prefix("HASH(")?.strip_suffix(')')?;
        Some(Self::Hash(column.to_owned()))
    }
}

/// What `information_schema.TABLES.CREATE_OPTIONS` says of the distribution.
#[must_use]
pub fn option_of(create_options: &str) -> Option<Definition> {
    let dialect = Dialect::new(101_100);
    let tokens: Vec<_> = Lexer::new(create_options.as_bytes(), dialect)
        .filter(|token| token.kind.is_significant())
        .collect();
    tokens.windows(3).find_map(|tokens| {
        let [name, equals, value] = tokens else {
            return None;
        };
        let is_ours = name
            .name(&dialect)
            .is_some_and(|name| name.eq_ignore_ascii_case(OPTION.as_bytes()));
        if !is_ours || !equals.is_symbol("=") || value.kind != TokenKind::String {
            return None;
        }
        let value = value.string(&dialect)?;
        Definition::parse(std::str::from_utf8(&value).ok()?)
    })
}

/// What `CREATE_OPTIONS` says, with the clause in the place of the option.
#[must_use]
pub fn told_options(create_options: &str, distribution: &super::Distribution) -> String {
    let definition = match distribution {
        super::Distribution::Hash(key) => Definition::Hash(key.name.clone()),
        super::Distribution::Broadcast => Definition::Broadcast,
    };
    let value = definition.value();
    for option in [
        format!("`{OPTION}`='{value}'"),
        format!("{OPTION}='{value}'"),
    ] {
        if create_options.contains(&option) {
            return create_options.replacen(&option, &definition.clause(), 1);
        }
    }
    create_options.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_among_others() {
        let of = |text| option_of(text).map(|found| found.value());
        assert_eq!(of("`distribute_by`='HASH(k)'").as_deref(), Some("HASH(k)"));
        assert_eq!(
            of("row_format=COMPRESSED `x`='distribute_by' `distribute_by`='BROADCAST'").as_deref(),
            Some("BROADCAST")
        );
        assert_eq!(of("`distribute_by`='HASH k'"), None);
        assert_eq!(of("partitioned"), None);
        let odd = Definition::Hash("a`b".into());
        assert_eq!(odd.clause(), "DISTRIBUTE BY HASH(`a``b`)");
    }
}
