//! Reads the catalogue from home.

use std::collections::BTreeSet;
use std::sync::Arc;

use openpeta_mysql_wire::ErrPacket;
use openpeta_sql_route::{Dialect, KeyColumn, with_bytes_as_numbers};

use super::untold::exact_definition;
use super::{Catalogue, Column, Definition, Distribution, Indirect, Named, Table, option_of};
use crate::node::{NodeConnection, NodeError, Reply};
use crate::plan::read_only::{body_writes, called};

/// Why the catalogue is not known.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The node was not reached.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The node did not answer.
    #[error("the catalogue cannot be read: {}", String::from_utf8_lossy(&.0.message))]
    Refused(ErrPacket),
    /// A distributed table is not as it was made.
    #[error("the table {schema}.{name} cannot be distributed as it says: {why}")]
    Table {
        /// Its database.
        schema: String,
        /// Its name.
        name: String,
        /// Why not.
        why: String,
    },
}

type Rows = Vec<Vec<Option<String>>>;

/// Reads what tables of these databases are distributed, over a connection that sees all of them.
///
/// # Errors
/// [`LoadError`].
pub async fn load(
    home: &mut NodeConnection,
    databases: &BTreeSet<String>,
    dialect: Dialect,
) -> Result<Catalogue, LoadError> {
    let mut catalogue = Catalogue::default();
    if databases.is_empty() {
        return Ok(catalogue);
    }
    let list: Vec<_> = databases.iter().map(|name| quoted(name)).collect();
    let list = list.join(",");
    let tables = rows(
        home,
        &format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, CREATE_OPTIONS, ENGINE FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA IN ({list}) AND TABLE_TYPE = 'BASE TABLE' \
             AND CREATE_OPTIONS LIKE '%distribute\\_by%'"
        ),
    )
    .await?;
    for row in tables {
        let [schema, name, options, engine] = fields(row);
        let Some(definition) = option_of(&options).filter(|_| !is_hidden(&name)) else {
            continue;
        };
        let table = read_table(home, schema, name, engine, definition).await?;
        let (schema, name) = (table.schema.clone(), table.name.clone());
        catalogue.add(&schema, &name, Named::Table(Arc::new(table)));
    }
    if !catalogue.is_empty() {
        indirect(home, &mut catalogue, dialect).await?;
    }
    Ok(catalogue)
}

/// What tables are called that are being made, or are about to be dropped. Nobody else gives such names.
pub(crate) fn hidden_name(what: &str, number: u64) -> String {
    format!("openpeta_{what}_{number:016x}")
}

fn is_hidden(name: &str) -> bool {
    let number = ["openpeta_new_", "openpeta_old_"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix));
    number.is_some_and(|it| it.len() == 16 && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Reads a table that is distributed as `definition` says.
///
/// # Errors
/// [`LoadError`]; [`LoadError::Table`] when it cannot be distributed so.
pub async fn read_table(
    home: &mut NodeConnection,
    schema: String,
    name: String,
    engine: String,
    definition: Definition,
) -> Result<Table, LoadError> {
    let is_it = format!(
        "TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        quoted(&schema),
        quoted(&name)
    );
    let columns = rows(
        home,
        &format!(
            "SELECT c.COLUMN_NAME, c.COLUMN_TYPE, c.DATA_TYPE, c.IS_NULLABLE, c.COLLATION_NAME, n.ID, \
             c.CHARACTER_MAXIMUM_LENGTH, c.IS_GENERATED, c.EXTRA, c.COLUMN_DEFAULT, c.COLUMN_KEY \
             FROM information_schema.COLUMNS c LEFT JOIN \
             (SELECT FULL_COLLATION_NAME, MIN(ID) AS ID \
             FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY \
             GROUP BY FULL_COLLATION_NAME) n ON n.FULL_COLLATION_NAME = c.COLLATION_NAME \
             WHERE c.{} ORDER BY c.ORDINAL_POSITION",
            is_it.replace("AND TABLE_NAME", "AND c.TABLE_NAME")
        ),
    )
    .await?;
    let mut primary_key = Vec::new();
    let columns: Vec<Column> = columns
        .into_iter()
        .map(|row| {
            let default = row.get(9).cloned().flatten();
            let collation = row.get(4).cloned().flatten();
            let [
                name,
                column_type,
                data_type,
                nullable,
                _,
                id,
                chars,
                generated,
                extra,
                _,
                key,
            ] = fields(row);
            if key == "PRI" {
                primary_key.push(name.clone());
            }
            Column {
                invisible: extra.to_ascii_uppercase().contains("INVISIBLE"),
                name,
                column_type,
                data_type,
                nullable: nullable == "YES",
                collation,
                collation_id: id.parse().ok(),
                max_chars: chars.parse().ok(),
                generated: generated != "NEVER",
                default,
                extra,
            }
        })
        .collect();
    let distribution = match definition {
        Definition::Broadcast => Distribution::Broadcast,
        Definition::Hash(column) => {
            let found = columns
                .iter()
                .position(|it| it.name.eq_ignore_ascii_case(&column));
            let kind = match found {
                Some(position) => columns[position].key_type().map(|kind| (position, kind)),
                None => Err(format!("it has no column `{column}`")),
            };
            let (position, kind) = kind.map_err(|why| LoadError::Table {
                schema: schema.clone(),
                name: name.clone(),
                why,
            })?;
            Distribution::Hash(KeyColumn {
                name: columns[position].name.clone(),
                // Rows without a list of columns have no value for invisible ones.
                position: columns[..position]
                    .iter()
                    .filter(|it| !it.invisible)
                    .count(),
                kind,
            })
        }
    };
    let triggers = rows(
        home,
        &format!(
            "SELECT 1 FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {} \
             AND EVENT_OBJECT_TABLE = {} LIMIT 1",
            quoted(&schema),
            quoted(&name)
        ),
    )
    .await?;
    let foreign = rows(
        home,
        &format!(
            "SELECT 1 FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE \
             CONSTRAINT_SCHEMA = {schema} AND TABLE_NAME = {name} \
             OR UNIQUE_CONSTRAINT_SCHEMA = {schema} AND REFERENCED_TABLE_NAME = {name} LIMIT 1",
            schema = quoted(&schema),
            name = quoted(&name)
        ),
    )
    .await?;
    let shown = shown(
        home,
        &format!(
            "SHOW CREATE TABLE `{}`.`{}`",
            schema.replace('`', "``"),
            name.replace('`', "``")
        ),
    )
    .await?;
    // Rows are gathered in tables of sessions, whose modes are their own.
    let exact = exact_definition(home, (&schema, &name), shown.clone(), true);
    let definition = match exact.await {
        Err(LoadError::Refused(error)) => {
            let error = String::from_utf8_lossy(&error.message).into_owned();
            tracing::warn!(
                schema,
                name,
                error,
                "some words or defaults of a table are not known"
            );
            shown
        }
        definition => definition?,
    };
    let auto = |it: &Column| it.extra.to_ascii_lowercase().contains("auto_increment");
    Ok(Table {
        auto_increment: columns.iter().position(auto),
        schema,
        name,
        distribution,
        columns,
        primary_key,
        has_triggers: !triggers.is_empty(),
        has_foreign_keys: !foreign.is_empty(),
        engine,
        definition,
    })
}

/// Finds views, routines and tables with triggers that lead to distributed tables, however many of them
/// stand in between.
async fn indirect(
    home: &mut NodeConnection,
    catalogue: &mut Catalogue,
    dialect: Dialect,
) -> Result<(), LoadError> {
    let mut bodies: Vec<(Indirect, String, String, String)> = Vec::new();
    for (kind, sql) in [
        (
            Indirect::View,
            "SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS \
             WHERE TABLE_SCHEMA <> 'sys'",
        ),
        (
            Indirect::Routine,
            "SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES \
             WHERE ROUTINE_SCHEMA NOT IN ('sys', 'mysql')",
        ),
        (
            Indirect::Trigger,
            "SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, ACTION_STATEMENT \
             FROM information_schema.TRIGGERS",
        ),
    ] {
        for row in rows(home, sql).await? {
            let [schema, name, body] = fields(row);
            bodies.push((kind, schema, name, body));
        }
    }
    let functions = rows(
        home,
        "SELECT ROUTINE_SCHEMA, ROUTINE_NAME FROM information_schema.ROUTINES \
         WHERE ROUTINE_TYPE = 'FUNCTION' AND ROUTINE_SCHEMA NOT IN ('sys', 'mysql')",
    );
    for row in functions.await? {
        let [schema, name] = fields(row);
        catalogue.functions.insert((schema, name.to_lowercase()));
    }
    let triggers = rows(
        home,
        "SELECT TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION \
         FROM information_schema.TRIGGERS",
    );
    for row in triggers.await? {
        let [schema, name, table, timing, event] = fields(row);
        if catalogue.table(&schema, &table).is_some() {
            let makes_rows = timing == "BEFORE" && event == "INSERT";
            let of = (table, makes_rows);
            catalogue.triggers.insert((schema, name), of);
        }
    }
    let is_dynamic = |body: &str| {
        let mut lexer = openpeta_sql_route::Lexer::new(body.as_bytes(), dialect);
        lexer.any(|token| token.is_word("PREPARE") || token.is_word("IMMEDIATE"))
    };
    catalogue.dynamic_routines = bodies
        .iter()
        .any(|(kind, _, _, body)| *kind == Indirect::Routine && is_dynamic(body));
    let routines = bodies.iter().filter(|it| it.0 == Indirect::Routine);
    catalogue.writers = writers(
        routines.map(|(_, schema, name, body)| (&schema[..], &name[..], &body[..])),
        dialect,
    );
    let mut again = true;
    while std::mem::take(&mut again) {
        for (kind, schema, name, body) in &bodies {
            if catalogue.get(schema, name).is_some() {
                continue;
            }
            let leads = *kind == Indirect::Routine
                && (is_dynamic(body) || catalogue.may_be_about_triggers(body.as_bytes()))
                || !catalogue
                    .mentioned(body.as_bytes(), Some(schema), dialect)
                    .is_empty();
            if leads {
                catalogue.add(schema, name, Named::Indirect(*kind));
                if *kind == Indirect::View {
                    let key = (schema.clone(), name.clone());
                    catalogue.views.insert(key, body.clone());
                }
                again = true;
            }
        }
    }
    Ok(())
}

/// Those among routines that may write, themselves or by what they call.
fn writers<'r>(
    routines: impl Iterator<Item = (&'r str, &'r str, &'r str)>,
    dialect: Dialect,
) -> BTreeSet<(String, String)> {
    let key = |schema: &str, name: &str| (schema.to_owned(), name.to_lowercase());
    let mut writers = BTreeSet::new();
    let mut others = Vec::new();
    for (schema, name, body) in routines {
        let tokens = openpeta_sql_route::Lexer::new(body.as_bytes(), dialect);
        let tokens: Vec<_> = tokens.filter(|it| it.kind.is_significant()).collect();
        match body_writes(&tokens) {
            true => drop(writers.insert(key(schema, name))),
            false => others.push((schema, name, called(&tokens, dialect))),
        }
    }
    let mut again = true;
    while std::mem::take(&mut again) {
        others.retain(|(own, name, called)| {
            let leads = called.iter().any(|(schema, name)| {
                writers.contains(&key(schema.as_deref().unwrap_or(own), name))
            });
            if leads {
                writers.insert(key(own, name));
                again = true;
            }
            !leads
        });
    }
    writers
}

pub(super) async fn rows(home: &mut NodeConnection, sql: &str) -> Result<Rows, LoadError> {
    let found = match home.query(sql).await? {
        Reply::Rows(found) => found.texts().map_err(NodeError::from)?,
        Reply::Ok(_) => Vec::new(),
        Reply::Err(error) => return Err(LoadError::Refused(error)),
    };
    let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
    let row = |row: Vec<Option<Vec<u8>>>| row.into_iter().map(|it| it.map(text)).collect();
    Ok(found.into_iter().map(row).collect())
}

/// What `SHOW CREATE` shows, with bytes that are no text as numbers.
async fn shown(home: &mut NodeConnection, sql: &str) -> Result<String, LoadError> {
    let found = match home.query(sql).await? {
        Reply::Rows(found) => found.texts().map_err(NodeError::from)?,
        Reply::Ok(_) => Vec::new(),
        Reply::Err(error) => return Err(LoadError::Refused(error)),
    };
    let row = found.into_iter().next().unwrap_or_default();
    let shown = row.into_iter().nth(1).flatten().unwrap_or_default();
    Ok(with_bytes_as_numbers(&shown))
}

/// The values of a row, an empty one for NULL.
fn fields<const N: usize>(row: Vec<Option<String>>) -> [String; N] {
    let mut values = row.into_iter();
    [(); N].map(|()| values.next().flatten().unwrap_or_default())
}

/// A text as a literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
