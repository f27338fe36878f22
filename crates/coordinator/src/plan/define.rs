//! Definitions of distributed tables.

mod change;
mod create;
mod trigger;

use openpeta_sql_route::{Dialect, Distribution, DistributionClause, Token};

use self::change::{alter, drop_tables, redistribute, rename, truncate};
use self::create::create;
pub(super) use self::trigger::too_late;

use super::Facts;
use super::text::Tokens;
use crate::Refusal;
use crate::catalogue::{Catalogue, Definition, Named, OPTION};
use crate::topology::Topology;

/// A table by its database and name.
pub type Name = (String, String);

/// What a definition does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Define {
    /// A distributed table is made.
    Create(Create),
    /// A table is made on home alone, which is worth a note.
    CreateSingle,
    /// Something is done to distributed tables, on each node in the same way.
    Everywhere(Everywhere),
    /// The rows of a table go to where another distribution wants them.
    Redistribute(Redistribute),
    /// A trigger of that table is made or dropped.
    Trigger(Name),
}

/// A table that is there gets another distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redistribute {
    /// Its name.
    pub name: Name,
    /// How it is to be distributed; `None` for a table that is whole at home.
    pub to: Option<Definition>,
}

/// The making of a distributed table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// Its name.
    pub name: Name,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// How it is distributed; `None` as the table that it is like.
    pub definition: Option<Definition>,
    /// The table that it is like.
    pub like: Option<Name>,
    /// The statement behind the table's name, without the clause that only we know.
    pub rest: Vec<u8>,
}

/// A definition that each node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Everywhere {
    /// What it is.
    pub kind: Kind,
    /// The distributed tables that it is about.
    pub tables: Vec<Name>,
    /// What they are called afterwards, where that is something else.
    pub renamed: Vec<Name>,
    /// The other tables that are dropped with them.
    pub others: Vec<Name>,
    /// What other nodes run.
    pub statement: Vec<u8>,
    /// What of the statement stands before and behind the table's name, for a trial.
    pub around: Option<(Vec<u8>, Vec<u8>)>,
}

/// What is done everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `DROP TABLE`.
    Drop,
    /// `TRUNCATE`.
    Truncate,
    /// `RENAME TABLE`.
    Rename,
    /// `ALTER TABLE`, `CREATE INDEX`, `DROP INDEX`.
    Alter,
}

/// Plans a definition that names distributed tables or a distribution; `None` if it is another
/// statement.
///
/// # Errors
/// When it cannot be done to all nodes alike.
pub fn define(
    tokens: &Tokens<'_>,
    mentioned: &[(String, String, Named)],
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let verb = tokens.verb();
    let defines_index = matches!(verb.as_str(), "CREATE" | "DROP")
        && tokens
            .list
            .iter()
            .take(4)
            .any(|token| token.is_word("INDEX"));
    let about_tables = tokens
        .list
        .iter()
        .take(5)
        .any(|token| token.is_word("TABLE") || token.is_word("TABLES"));
    if tokens
        .list
        .iter()
        .any(|token| is_option(token, facts.dialect))
    {
        return Err(Refusal::new(
            "distribute-option",
            "the table option distribute_by is the service's own; use a DISTRIBUTE clause",
        ));
    }
    if verb == "DROP" && matches!(tokens.word(1).as_str(), "DATABASE" | "SCHEMA") {
        let at = if tokens.word(2) == "IF" { 4 } else { 2 };
        let name = tokens
            .list
            .get(at)
            .and_then(|token| token.name(&facts.dialect));
        let name = name.map(|name| String::from_utf8_lossy(&name).into_owned());
        if name.is_some_and(|name| topology.partitions(&name).is_some()) {
            return Err(Refusal::new(
                "drop-database",
                "a database that is spread over nodes is dropped by the API, not by SQL",
            ));
        }
    }
    if verb == "ALTER" && about_tables {
        let redistribute = redistribute(tokens, topology, facts)?;
        if redistribute.is_some() {
            return Ok(redistribute.map(Define::Redistribute));
        }
    }
    let is_event = tokens
        .list
        .iter()
        .take(12)
        .any(|token| token.is_word("EVENT"));
    if matches!(verb.as_str(), "CREATE" | "ALTER")
        && is_event
        && catalogue.may_be_about_triggers(tokens.text)
    {
        return Err(Refusal::new(
            "trigger",
            "an event cannot define triggers where distributed tables have some",
        ));
    }
    if verb == "DROP" && tokens.word(1) == "TRIGGER" {
        return trigger::drop(tokens, catalogue, facts);
    }
    let makes_table = verb == "CREATE" && about_tables && !defines_index;
    let touches = mentioned
        .iter()
        .any(|(_, _, named)| matches!(named, Named::Table(_)));
    if !makes_table && !touches {
        return Ok(None);
    }
    match verb.as_str() {
        "CREATE" if about_tables && !defines_index => {
            create(tokens, mentioned, catalogue, topology, facts)
        }
        "DROP" if about_tables && !defines_index => drop_tables(tokens, catalogue, facts),
        "TRUNCATE" => truncate(tokens, catalogue, facts),
        "RENAME" if about_tables => rename(tokens, catalogue, topology, facts),
        "ALTER" if about_tables => alter(tokens, catalogue, facts),
        "CREATE" | "DROP" if defines_index => alter(tokens, catalogue, facts),
        "CREATE"
            if tokens
                .list
                .iter()
                .take(12)
                .any(|token| token.is_word("TRIGGER")) =>
        {
            trigger::create(tokens, catalogue, facts)
        }
        _ => Ok(None),
    }
}

/// Whether it is `ALTER TABLE … DISABLE KEYS` or `… ENABLE KEYS`, as dumps have them.
#[must_use]
pub fn toggles_keys(tokens: &Tokens<'_>) -> bool {
    let len = tokens.list.len();
    tokens.verb() == "ALTER"
        && tokens.word(1) == "TABLE"
        && (5..=7).contains(&len)
        && matches!(tokens.word(len - 2).as_str(), "DISABLE" | "ENABLE")
        && tokens.word(len - 1) == "KEYS"
        && !tokens.list.iter().any(|token| token.is_symbol(","))
}

fn is_option(token: &Token<'_>, dialect: Dialect) -> bool {
    token
        .name(&dialect)
        .is_some_and(|name| name.eq_ignore_ascii_case(OPTION.as_bytes()))
}

fn unreadable() -> Refusal {
    Refusal::new(
        "ddl-form",
        "this definition of a distributed table is not supported",
    )
}

fn full(schema: Option<String>, name: String, facts: &Facts) -> Result<Name, Refusal> {
    let schema = schema.or_else(|| facts.database.clone());
    let schema = schema.ok_or_else(|| Refusal::error(1046, b"3D000", "No database selected"))?;
    Ok((schema, name))
}

fn foreign_key() -> Refusal {
    Refusal::new(
        "foreign-key",
        "foreign keys of, and to, distributed tables are not supported",
    )
}

fn definition(clause: &DistributionClause<'_>) -> Option<Definition> {
    match &clause.distribution {
        Distribution::Hash { column } => Some(Definition::Hash(column.to_string())),
        Distribution::Broadcast => Some(Definition::Broadcast),
        Distribution::Single => None,
    }
}

/// Names are compared byte by byte in whatever encoding a client has.
fn plain_name(name: &str) -> Result<(), Refusal> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-');
    if !name.is_empty() && name.len() <= 50 && name.bytes().all(is_plain) {
        return Ok(());
    }
    Err(Refusal::new(
        "name",
        "names of distributed tables and of their distribution columns are up to 50 letters, digits, _, $ and -",
    ))
}

fn everywhere(kind: Kind, tables: Vec<Name>, others: Vec<Name>, statement: Vec<u8>) -> Define {
    Define::Everywhere(Everywhere {
        kind,
        tables,
        renamed: Vec::new(),
        others,
        statement,
        around: None,
    })
}

/// A name as it stands in statements.
#[must_use]
pub fn quoted((schema, name): &Name) -> String {
    format!(
        "`{}`.`{}`",
        schema.replace('`', "``"),
        name.replace('`', "``")
    )
}
