//! Definitions of distributed tables.

use openpeta_sql_route::{
    DdlError, DdlKind, Dialect, Distribution, DistributionClause, Token, parse_ddl,
};

use super::Facts;
use super::text::{Tokens, table_name};
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
            trigger(tokens, catalogue, facts)
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

/// Where the name of the table of a `CREATE TABLE` stands, and whether `IF NOT EXISTS` does.
fn name_of_create(tokens: &Tokens<'_>) -> Option<(usize, bool)> {
    let at = tokens
        .list
        .iter()
        .position(|token| token.is_word("TABLE"))?
        + 1;
    if tokens.word(at) == "IF" && tokens.word(at + 1) == "NOT" && tokens.word(at + 2) == "EXISTS" {
        return Some((at + 3, true));
    }
    Some((at, false))
}

fn create(
    tokens: &Tokens<'_>,
    mentioned: &[(String, String, Named)],
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let (at, if_not_exists) = name_of_create(tokens).ok_or_else(unreadable)?;
    let head = tokens.list.get(at..).ok_or_else(unreadable)?;
    let (schema, name, taken) = table_name(head, facts.dialect).ok_or_else(unreadable)?;
    let text = std::str::from_utf8(tokens.text).map_err(|_| unreadable())?;
    let name = full(schema, name, facts)?;
    let clause = match parse_ddl(text, facts.dialect) {
        Ok(ddl) => ddl.distribution.map(|clause| (clause, ddl.statement)),
        Err(error @ (DdlError::Distribution | DdlError::SeveralDistributions)) => {
            return Err(Refusal::new("distribute-clause", error));
        }
        Err(_) => None,
    };
    let like = like(&tokens.list[at + taken..], facts)?;
    let like = like.filter(|(schema, name)| catalogue.table(schema, name).is_some());
    let has_clause = clause.is_some()
        || tokens.list.windows(2).any(|pair| {
            pair[0].is_word("DISTRIBUTE") && pair[1].is_word("BY")
                || pair[0].is_word("DISTRIBUTE_KEY") && pair[1].is_symbol("(")
        });
    if tokens.word(1) == "TEMPORARY" || tokens.word(3) == "TEMPORARY" {
        if has_clause {
            return Err(Refusal::new(
                "distribute-clause",
                "a temporary table cannot be distributed",
            ));
        }
        if catalogue.get(&name.0, &name.1).is_some() {
            return Err(Refusal::new(
                "temporary-name",
                "a temporary table cannot have the name of a distributed one",
            ));
        }
        let is_hashed =
            |named: &Named| matches!(named, Named::Table(table) if table.key().is_some());
        if tokens.has_word("SELECT") && mentioned.iter().any(|(_, _, named)| is_hashed(named)) {
            return Err(Refusal::new(
                "create-select",
                "CREATE TABLE … SELECT from distributed tables is not supported; create the table first",
            ));
        }
        // It is the session's alone, like a distributed table or not.
        return Ok(None);
    }
    if !has_clause && like.is_none() {
        let from_distributed = mentioned.iter().any(|(schema, table, named)| {
            matches!(named, Named::Table(_)) && (schema, table) != (&name.0, &name.1)
        });
        if from_distributed && tokens.has_word("SELECT") {
            return Err(Refusal::new(
                "create-select",
                "CREATE TABLE … SELECT from distributed tables is not supported; create the table first",
            ));
        }
        if from_distributed && tokens.has_word("REFERENCES") {
            return Err(foreign_key());
        }
        if tokens.word(1) == "OR" && catalogue.get(&name.0, &name.1).is_some() {
            return Err(Refusal::new(
                "or-replace",
                "drop the distributed table first",
            ));
        }
        let spread = topology.partitions(&name.0).is_some();
        return Ok(spread.then_some(Define::CreateSingle));
    }
    if tokens.word(1) == "OR" {
        return Err(Refusal::new(
            "or-replace",
            "OR REPLACE is not supported for distributed tables; drop it first",
        ));
    }
    if tokens.has_executable {
        return Err(Refusal::new(
            "executable-comment",
            "executable comments are not supported in statements about distributed tables",
        ));
    }
    if topology.partitions(&name.0).is_none() {
        return Err(Refusal::new(
            "database-not-spread",
            format!(
                "the database `{}` lives on one node; its tables cannot be distributed",
                name.0
            ),
        ));
    }
    if tokens.has_word("SELECT") {
        return Err(Refusal::new(
            "create-select",
            "CREATE TABLE … SELECT of distributed tables is not supported; create the table first",
        ));
    }
    if tokens.has_word("REFERENCES") {
        return Err(foreign_key());
    }
    plain_name(&name.1)?;
    let (definition, rest) = match clause {
        Some((clause, statement)) => {
            let definition = definition(&clause).ok_or_else(unreadable)?;
            if let Definition::Hash(column) = &definition {
                plain_name(column)?;
            }
            let offset = statement.as_ptr().addr() - text.as_ptr().addr();
            let (from, to) = (clause.range.start + offset, clause.range.end + offset);
            let name_end = tokens.range(&tokens.list[at + taken - 1]).end;
            let end = offset + statement.len();
            if from < name_end {
                return Err(unreadable());
            }
            let rest = [&text[name_end..from], " ", &text[to..end]].concat();
            (Some(definition), rest.into_bytes())
        }
        None => {
            if has_clause {
                return Err(unreadable());
            }
            let name_end = tokens.range(&tokens.list[at + taken - 1]).end;
            let end = tokens
                .list
                .last()
                .map_or(text.len(), |last| tokens.range(last).end);
            (None, text.as_bytes()[name_end..end].to_vec())
        }
    };
    Ok(Some(Define::Create(Create {
        name,
        if_not_exists,
        definition,
        like,
        rest,
    })))
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

/// `ALTER TABLE t DISTRIBUTE …`, and nothing else. Both words may name columns as well, so the clause is
/// one only where it stands behind the table's name.
fn redistribute(
    tokens: &Tokens<'_>,
    topology: &Topology,
    facts: &Facts,
) -> Result<Option<Redistribute>, Refusal> {
    let at = tokens.list.iter().position(|token| token.is_word("TABLE"));
    let mut at = at.ok_or_else(unreadable)? + 1;
    if tokens.word(at) == "IF" {
        at += 2;
    }
    let rest = tokens.list.get(at..).unwrap_or_default();
    let Some((schema, name, taken)) = table_name(rest, facts.dialect) else {
        return Ok(None);
    };
    let begins = (tokens.word(at + taken), tokens.word(at + taken + 1));
    let next = tokens.list.get(at + taken + 1);
    let is_clause = begins.0 == "DISTRIBUTE" && begins.1 == "BY"
        || begins.0 == "DISTRIBUTE_KEY" && next.is_some_and(|next| next.is_symbol("("));
    if !is_clause {
        return Ok(None);
    }
    let text = std::str::from_utf8(tokens.text).map_err(|_| unreadable())?;
    let ddl =
        parse_ddl(text, facts.dialect).map_err(|error| Refusal::new("distribute-clause", error))?;
    let clause = ddl.distribution.ok_or_else(unreadable)?;
    let is_alone = at == 2
        && !tokens.has_executable
        && ddl.statement[clause.range.end..].trim_ascii().is_empty();
    if !is_alone {
        return Err(Refusal::new(
            "distribute-clause",
            "nothing else can be altered together with the distribution of a table",
        ));
    }
    let name = full(schema, name, facts)?;
    if topology.partitions(&name.0).is_none() {
        return Err(Refusal::new(
            "database-not-spread",
            format!(
                "the database `{}` lives on one node; its tables cannot be distributed",
                name.0
            ),
        ));
    }
    plain_name(&name.1)?;
    let to = definition(&clause);
    if let Some(Definition::Hash(column)) = &to {
        plain_name(column)?;
    }
    Ok(Some(Redistribute { name, to }))
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

/// The table behind `LIKE`.
fn like(tokens: &[Token<'_>], facts: &Facts) -> Result<Option<Name>, Refusal> {
    let at = match tokens {
        [word, ..] if word.is_word("LIKE") => 1,
        [open, word, ..] if open.is_symbol("(") && word.is_word("LIKE") => 2,
        _ => return Ok(None),
    };
    let (schema, name, _) = table_name(&tokens[at..], facts.dialect).ok_or_else(unreadable)?;
    full(schema, name, facts).map(Some)
}

fn drop_tables(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let at = tokens
        .list
        .iter()
        .position(|token| token.is_word("TABLE") || token.is_word("TABLES"));
    let mut at = at.ok_or_else(unreadable)? + 1;
    if tokens.word(1) == "TEMPORARY" {
        return Err(Refusal::new(
            "temporary-name",
            "there is no temporary table of that name",
        ));
    }
    if tokens.word(at) == "IF" {
        at += 2;
    }
    let (mut tables, mut others) = (Vec::new(), Vec::new());
    loop {
        let (schema, name, taken) =
            table_name(tokens.list.get(at..).unwrap_or_default(), facts.dialect)
                .ok_or_else(unreadable)?;
        let name = full(schema, name, facts)?;
        let list = if catalogue.table(&name.0, &name.1).is_some() {
            &mut tables
        } else {
            &mut others
        };
        list.push(name);
        at += taken;
        if !tokens
            .list
            .get(at)
            .is_some_and(|token| token.is_symbol(","))
        {
            break;
        }
        at += 1;
    }
    if tables.is_empty() {
        return Ok(None);
    }
    let list: Vec<_> = tables.iter().map(quoted).collect();
    let statement = format!("DROP TABLE IF EXISTS {}", list.join(", "));
    Ok(Some(everywhere(
        Kind::Drop,
        tables,
        others,
        statement.into_bytes(),
    )))
}

fn truncate(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let at = if tokens.word(1) == "TABLE" { 2 } else { 1 };
    let name = table_name(tokens.list.get(at..).unwrap_or_default(), facts.dialect);
    let (schema, name, _) = name.ok_or_else(unreadable)?;
    let name = full(schema, name, facts)?;
    if catalogue.table(&name.0, &name.1).is_none() {
        return Ok(None);
    }
    let statement = format!("TRUNCATE TABLE {}", quoted(&name));
    Ok(Some(everywhere(
        Kind::Truncate,
        vec![name],
        Vec::new(),
        statement.into_bytes(),
    )))
}

fn rename(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    topology: &Topology,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let mut at = 2;
    if tokens.word(at) == "IF" {
        at += 2;
    }
    let (mut tables, mut renamed, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
    let mut has_others = false;
    loop {
        let rest = tokens.list.get(at..).unwrap_or_default();
        let (schema, name, taken) = table_name(rest, facts.dialect).ok_or_else(unreadable)?;
        let from = full(schema, name, facts)?;
        at += taken;
        if tokens.word(at) != "TO" {
            return Err(unreadable());
        }
        let rest = tokens.list.get(at + 1..).unwrap_or_default();
        let (schema, name, taken) = table_name(rest, facts.dialect).ok_or_else(unreadable)?;
        let to = full(schema, name, facts)?;
        at += 1 + taken;
        let is_ours = catalogue.table(&from.0, &from.1).is_some() || renamed.contains(&from);
        if !is_ours {
            has_others = true;
            if !tokens
                .list
                .get(at)
                .is_some_and(|token| token.is_symbol(","))
            {
                break;
            }
            at += 1;
            continue;
        }
        plain_name(&to.1)?;
        if from.0 != to.0 || topology.partitions(&to.0).is_none() {
            return Err(Refusal::new(
                "rename-database",
                "a distributed table cannot be renamed into another database",
            ));
        }
        pairs.push(format!("{} TO {}", quoted(&from), quoted(&to)));
        tables.push(from);
        renamed.push(to);
        if !tokens
            .list
            .get(at)
            .is_some_and(|token| token.is_symbol(","))
        {
            break;
        }
        at += 1;
    }
    if tables.is_empty() {
        return Ok(None);
    } else if has_others {
        return Err(Refusal::new(
            "rename-mixed",
            "distributed and other tables cannot be renamed in one statement",
        ));
    } else if at != tokens.list.len() {
        return Err(unreadable());
    }
    let statement = format!("RENAME TABLE {}", pairs.join(", "));
    let mut define = everywhere(Kind::Rename, tables, Vec::new(), statement.into_bytes());
    if let Define::Everywhere(everywhere) = &mut define {
        everywhere.renamed = renamed;
    }
    Ok(Some(define))
}

fn alter(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let text = std::str::from_utf8(tokens.text).map_err(|_| unreadable())?;
    let ddl = parse_ddl(text, facts.dialect).map_err(|_| unreadable())?;
    let name = full(ddl.schema.map(Into::into), ddl.table.into_owned(), facts)?;
    if ddl.distribution.is_some() {
        return Err(Refusal::new(
            "distribute-clause",
            "nothing else can be altered together with the distribution of a table",
        ));
    }
    if catalogue.table(&name.0, &name.1).is_none() {
        // A distributed table stands somewhere else in it.
        return match tokens.has_word("REFERENCES") {
            true => Err(foreign_key()),
            false => Ok(None),
        };
    }
    for (word, code, what) in [
        (
            "REFERENCES",
            "foreign-key",
            "foreign keys of, and to, distributed tables are not supported",
        ),
        (
            "RENAME",
            "alter-rename",
            "use RENAME TABLE or CHANGE COLUMN for a distributed table",
        ),
        (
            "PARTITION",
            "partitions",
            "partitions of distributed tables are not supported",
        ),
        (
            "PARTITIONING",
            "partitions",
            "partitions of distributed tables are not supported",
        ),
        (
            "TABLESPACE",
            "tablespace",
            "tablespaces of distributed tables cannot be exchanged",
        ),
        (
            "VERSIONING",
            "versioning",
            "distributed tables cannot be system-versioned",
        ),
    ] {
        if ddl.kind == DdlKind::AlterTable && tokens.has_word(word) {
            return Err(Refusal::new(code, what));
        }
    }
    let sets_counter = tokens.list.windows(2).any(|pair| {
        pair[0].is_word("AUTO_INCREMENT")
            && !pair[1].is_symbol("=")
            && pair[1].kind != openpeta_sql_route::TokenKind::Integer
    }) || tokens
        .list
        .last()
        .is_some_and(|token| token.is_word("AUTO_INCREMENT"));
    if ddl.kind == DdlKind::AlterTable && sets_counter {
        return Err(Refusal::new(
            "alter-auto-increment",
            "an AUTO_INCREMENT column can only be made with the table",
        ));
    }
    if tokens.has_executable {
        return Err(unreadable());
    }
    let name_at = name_place(tokens, &name, facts).ok_or_else(unreadable)?;
    let end = tokens
        .list
        .last()
        .map_or(text.len(), |last| tokens.range(last).end);
    let around = (
        tokens.text[..name_at.0].to_vec(),
        tokens.text[name_at.1..end].to_vec(),
    );
    let mut define = everywhere(
        Kind::Alter,
        vec![name],
        Vec::new(),
        tokens.text[..end].to_vec(),
    );
    if let Define::Everywhere(everywhere) = &mut define {
        everywhere.around = Some(around);
    }
    Ok(Some(define))
}

/// From where to where the table's name stands.
fn name_place(tokens: &Tokens<'_>, name: &Name, facts: &Facts) -> Option<(usize, usize)> {
    let anchor = match tokens.verb().as_str() {
        "ALTER" => "TABLE",
        _ => "ON",
    };
    let mut at = tokens.list.iter().position(|token| token.is_word(anchor))? + 1;
    if tokens.word(at) == "IF" {
        at += 2;
    }
    let (_, found, taken) = table_name(tokens.list.get(at..)?, facts.dialect)?;
    let end = tokens.range(&tokens.list[at + taken - 1]).end;
    (found == name.1).then_some((tokens.range(&tokens.list[at]).start, end))
}

/// A trigger on a distributed table would have to run where its rows are.
fn trigger(
    tokens: &Tokens<'_>,
    catalogue: &Catalogue,
    facts: &Facts,
) -> Result<Option<Define>, Refusal> {
    let on = tokens.list.iter().position(|token| token.is_word("ON"));
    let rest = on
        .and_then(|on| tokens.list.get(on + 1..))
        .unwrap_or_default();
    let (schema, name, _) = table_name(rest, facts.dialect).ok_or_else(unreadable)?;
    let name = full(schema, name, facts)?;
    match catalogue.table(&name.0, &name.1) {
        Some(_) => Err(Refusal::new(
            "trigger",
            "triggers on distributed tables are not supported",
        )),
        None => Ok(None),
    }
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
