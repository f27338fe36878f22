//! The objects of a database with the statements that make them anew.

use std::collections::BTreeMap;

use jiff::Timestamp;
use openpeta_types::DbName;

use super::columns::{Column, ColumnInfo};
use super::manifest::DatabaseInfo;
use super::session::Session;
use super::untold;
use super::views::{self, View};
use crate::error::{EngineError, Result};
use crate::quote;

/// Everything that a database consists of but the rows.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) database: DatabaseInfo,
    pub(crate) tables: BTreeMap<String, Table>,
    pub(crate) sequences: BTreeMap<String, String>,
    /// Each behind those that it is made of.
    pub(crate) views: Vec<View>,
    /// Definitions of views that refer to what does not exist.
    pub(crate) invalid_views: BTreeMap<String, String>,
    pub(crate) routines: Vec<Program>,
    pub(crate) triggers: Vec<Program>,
    pub(crate) events: Vec<Program>,
}

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The statement that makes it.
    pub(crate) create: String,
    /// The same as the server shows it, which may lack some characters.
    pub(crate) shown: String,
    pub(crate) engine: String,
    /// InnoDB's numbers for it and its partitions: another one after a rebuild or a swap of names.
    pub(crate) ids: Vec<u64>,
    /// About how much there is to read.
    pub(crate) bytes: u64,
    /// Columns that take values; none when the rows are those of other tables.
    pub(crate) columns: Vec<Column>,
    /// What stands behind FROM.
    pub(crate) from: String,
    /// Rows that were replaced are kept, with the times at which they were the right ones.
    pub(crate) has_history: bool,
}

/// A stored routine, trigger or event, with what its text means depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// For example `PACKAGE BODY`.
    pub(crate) kind: String,
    pub(crate) name: String,
    /// In the character set of the client that it was made by.
    pub(crate) create: Vec<u8>,
    pub(crate) sql_mode: String,
    pub(crate) charset: String,
    pub(crate) collation: String,
    pub(crate) database_collation: String,
    /// Of events only.
    pub(crate) time_zone: Option<String>,
    /// Of events only: the last time at which it is due.
    pub(crate) last_due: Option<Timestamp>,
}

/// Engines whose tables show the rows of others.
const BORROWING_ENGINES: [&str; 2] = ["MRG_MyISAM", "MRG_MYISAM"];

impl Schema {
    /// Reads it all; nothing keeps others from changing it meanwhile.
    pub(crate) async fn read(session: &mut Session, database: &DbName) -> Result<Self> {
        let name = quote::string(database.as_str());
        let info = database_info(session, &name).await?;
        let query = format!(
            "SELECT TABLE_NAME, TABLE_TYPE, COALESCE(ENGINE, ''), \
                    COALESCE(DATA_LENGTH, 0) FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = {name} AND TABLE_TYPE <> 'VIEW' ORDER BY TABLE_NAME"
        );
        let found: Vec<(String, String, String, u64)> = session.rows("list tables", &query).await?;
        let columns = ColumnsOf::read(session, &name).await?;
        let mut ids = table_ids(session, database).await?;
        let (mut tables, mut sequences) = (BTreeMap::new(), BTreeMap::new());
        for (table, kind, engine, bytes) in found {
            if kind == "SEQUENCE" {
                let create = show_create(session, "SEQUENCE", &table).await?;
                sequences.insert(table, create);
                continue;
            }
            let shown = show_create(session, "TABLE", &table).await?;
            let entry = columns.table(
                Table {
                    create: untold::exact(session, &table, &shown).await?,
                    shown,
                    ids: ids.remove(&table).unwrap_or_default(),
                    bytes,
                    columns: Vec::new(),
                    from: quote::identifier(&table),
                    has_history: kind == "SYSTEM VERSIONED",
                    engine,
                },
                &table,
            )?;
            tables.insert(table, entry);
        }
        let names = tables.keys().chain(sequences.keys()).cloned().collect();
        let (views, invalid_views) = views::read(session, database, &names).await?;
        Ok(Self {
            database: info,
            tables,
            sequences,
            views,
            invalid_views,
            routines: routines(session, &name).await?,
            triggers: triggers(session, &name).await?,
            events: events(session, &name).await?,
        })
    }

    /// Whether there is anything that is made when all rows are there.
    pub(crate) fn has_programs(&self) -> bool {
        let programs = [&self.routines, &self.triggers, &self.events];
        !self.views.is_empty() || programs.iter().any(|programs| !programs.is_empty())
    }

    /// An object in which another reading differs, in words.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        if self.database != other.database {
            return Some("the database".to_owned());
        }
        let (ours, theirs) = (self.objects(), other.objects());
        let differs = |name: &&String| ours.get(*name) != theirs.get(*name);
        ours.keys().chain(theirs.keys()).find(differs).cloned()
    }

    /// Every object in words, with what tells a change of it.
    fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let mut objects = BTreeMap::new();
        for (name, table) in &self.tables {
            let state = format!("{:?} {}", table.ids, definition_of_table(&table.create));
            objects.insert(format!("table {name}"), state.into_bytes());
        }
        for (name, create) in &self.sequences {
            objects.insert(format!("sequence {name}"), create.clone().into_bytes());
        }
        for (name, create) in &self.invalid_views {
            objects.insert(format!("view {name}"), create.clone().into_bytes());
        }
        for view in &self.views {
            objects.insert(format!("view {}", view.name), view.create.clone());
        }
        let programs = self.routines.iter().chain(&self.triggers);
        for program in programs.chain(&self.events) {
            let name = format!("{} {}", program.kind.to_lowercase(), program.name);
            objects.insert(name, program.definition());
        }
        objects
    }
}

impl Program {
    /// What it is, for a comparison with another one.
    pub(crate) fn definition(&self) -> Vec<u8> {
        let zone = self.time_zone.as_deref().unwrap_or_default();
        let settings = format!(
            "{}\n{}\n{}\n{}\n{zone}\n",
            self.sql_mode, self.charset, self.collation, self.database_collation
        );
        [settings.as_bytes(), &self.create].concat()
    }
}

/// The definition of a table without the next AUTO_INCREMENT value, which rows change.
pub(crate) fn definition_of_table(create: &str) -> String {
    const OPTION: &str = " AUTO_INCREMENT=";
    let options = create.rfind("\n) ").unwrap_or(0);
    let Some(begin) = create[options..].find(OPTION).map(|at| options + at) else {
        return create.to_owned();
    };
    let value = &create[begin + OPTION.len()..];
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    format!("{}{}", &create[..begin], &value[digits..])
}

/// The statement that makes a table or sequence, as the server shows it.
pub(crate) async fn show_create(session: &mut Session, kind: &str, name: &str) -> Result<String> {
    let query = format!("SHOW CREATE {kind} {}", quote::identifier(name));
    let rows: Vec<mysql_async::Row> = session.rows("read a definition", &query).await?;
    let shown: Option<Vec<u8>> = rows.first().and_then(|row| row.get(1));
    Ok(openpeta_sql_route::with_bytes_as_numbers(
        &shown.unwrap_or_default(),
    ))
}

/// InnoDB's numbers for the tables of a database.
pub(crate) async fn table_ids(
    session: &mut Session,
    database: &DbName,
) -> Result<BTreeMap<String, Vec<u64>>> {
    // Names are those of files. A partition's has a `#` that no other name has: a `#` in the
    // name of a table is encoded.
    let query = format!(
        "SELECT CONVERT(CONVERT(CAST(SUBSTRING_INDEX(SUBSTRING_INDEX(NAME, '/', -1), '#P#', 1) \
                AS BINARY) USING filename) USING utf8mb4), TABLE_ID \
         FROM information_schema.INNODB_SYS_TABLES \
         WHERE SUBSTRING_INDEX(NAME, '/', 1) = {} ORDER BY TABLE_ID",
        quote::string(database.as_str())
    );
    let rows: Vec<(String, u64)> = session.rows("list InnoDB tables", &query).await?;
    let mut ids: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (table, id) in rows {
        ids.entry(table).or_default().push(id);
    }
    Ok(ids)
}

async fn database_info(session: &mut Session, name: &str) -> Result<DatabaseInfo> {
    let query = format!(
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, SCHEMA_COMMENT \
         FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {name}"
    );
    let texts = session.texts("read a database's settings", &query).await?;
    let mut texts = texts.into_iter().map(Option::unwrap_or_default);
    let mut next = || texts.next().unwrap_or_default();
    Ok(DatabaseInfo {
        character_set: next(),
        collation: next(),
        comment: next(),
    })
}

/// The columns of all tables of a database, in their order.
struct ColumnsOf {
    by_table: BTreeMap<String, Vec<(ColumnInfo, Option<String>)>>,
    /// Whether the server lets times of replaced rows be set.
    keeps_history: bool,
}

impl ColumnsOf {
    async fn read(session: &mut Session, database: &str) -> Result<Self> {
        type Found = (
            String,
            String,
            String,
            String,
            Option<String>,
            Option<String>,
        );
        let query = format!(
            "SELECT TABLE_NAME, COLUMN_NAME, LOWER(DATA_TYPE), LOWER(COLUMN_TYPE), \
                    CHARACTER_SET_NAME, GENERATION_EXPRESSION \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {database} \
             ORDER BY TABLE_NAME, ORDINAL_POSITION"
        );
        let rows: Vec<Found> = session.rows("list columns", &query).await?;
        let mut by_table: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (table, name, data_type, column_type, charset, expression) in rows {
            let info = ColumnInfo {
                name,
                data_type,
                column_type,
                charset,
            };
            by_table.entry(table).or_default().push((info, expression));
        }
        let variable = "SHOW VARIABLES LIKE 'system_versioning_insert_history'";
        let found: Vec<(String, String)> = session.rows("read a setting", variable).await?;
        Ok(Self {
            by_table,
            keeps_history: !found.is_empty(),
        })
    }

    /// Completes a table.
    fn table(&self, mut table: Table, name: &str) -> Result<Table> {
        let none = Vec::new();
        let all = self.by_table.get(name).unwrap_or(&none);
        if BORROWING_ENGINES.contains(&table.engine.as_str()) {
            return Ok(table);
        }
        let period = |(info, expression): &&(ColumnInfo, Option<String>)| {
            matches!(expression.as_deref(), Some("ROW START" | "ROW END"))
                && info.data_type == "timestamp"
        };
        let mut times: Vec<_> = all
            .iter()
            .filter(period)
            .map(|(info, _)| info.clone())
            .collect();
        let counts_transactions = all.iter().any(|(info, text)| {
            text.as_deref() == Some("ROW START") && info.data_type != "timestamp"
        });
        if times.is_empty() {
            times.extend(["row_start", "row_end"].map(|name| ColumnInfo {
                name: name.to_owned(),
                data_type: "timestamp".to_owned(),
                column_type: String::new(),
                charset: None,
            }));
        }
        table.has_history &= self.keeps_history && !counts_transactions;
        if table.has_history {
            table.from.push_str(" FOR SYSTEM_TIME ALL");
        } else {
            times.clear();
        }
        let ordinary = all
            .iter()
            .filter(|(_, expression)| expression.is_none())
            .map(|(info, _)| info);
        for info in ordinary.chain(&times) {
            let column = Column::new(info).ok_or_else(|| EngineError::UnknownColumnType {
                table: name.to_owned(),
                column: info.name.clone(),
                data_type: info.data_type.clone(),
            })?;
            table.columns.push(column);
        }
        Ok(table)
    }
}

async fn routines(session: &mut Session, database: &str) -> Result<Vec<Program>> {
    let query = format!(
        "SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES \
         WHERE ROUTINE_SCHEMA = {database} ORDER BY ROUTINE_TYPE, ROUTINE_NAME"
    );
    let found: Vec<(String, String)> = session.rows("list routines", &query).await?;
    let mut programs = Vec::new();
    for (kind, name) in found {
        let query = format!("SHOW CREATE {kind} {}", quote::identifier(&name));
        let texts = session.raw("read a routine", &query).await?;
        programs.push(program(kind, name, texts, [1, 2, 3, 4, 5])?);
    }
    Ok(programs)
}

async fn triggers(session: &mut Session, database: &str) -> Result<Vec<Program>> {
    // Triggers of one table and moment run in the order in which they were made.
    let query = format!(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {database} \
         ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER"
    );
    let names: Vec<String> = session.rows("list triggers", &query).await?;
    let mut programs = Vec::new();
    for name in names {
        let query = format!("SHOW CREATE TRIGGER {}", quote::identifier(&name));
        let texts = session.raw("read a trigger", &query).await?;
        programs.push(program("TRIGGER".to_owned(), name, texts, [1, 2, 3, 4, 5])?);
    }
    Ok(programs)
}

async fn events(session: &mut Session, database: &str) -> Result<Vec<Program>> {
    let query = format!(
        "SELECT EVENT_NAME, TIME_ZONE, CAST(UNIX_TIMESTAMP(CONVERT_TZ(COALESCE(EXECUTE_AT, ENDS), \
                TIME_ZONE, '+00:00')) AS SIGNED) \
         FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {database} ORDER BY EVENT_NAME"
    );
    let found: Vec<(String, String, Option<i64>)> = session.rows("list events", &query).await?;
    let mut programs = Vec::new();
    for (name, time_zone, last_due) in found {
        let query = format!("SHOW CREATE EVENT {}", quote::identifier(&name));
        let texts = session.raw("read an event", &query).await?;
        programs.push(Program {
            time_zone: Some(time_zone),
            last_due: last_due.and_then(|second| Timestamp::from_second(second).ok()),
            ..program("EVENT".to_owned(), name, texts, [1, 3, 4, 5, 6])?
        });
    }
    Ok(programs)
}

/// A program out of an answer to `SHOW CREATE`: where in it are mode, text, the client's
/// character set, and the collations of connection and database.
fn program(
    kind: String,
    name: String,
    mut texts: Vec<Option<Vec<u8>>>,
    [sql_mode, create, charset, collation, database_collation]: [usize; 5],
) -> Result<Program> {
    let mut take = |index: usize| texts.get_mut(index).and_then(Option::take);
    let create = take(create).ok_or(EngineError::NotText {
        action: "read a definition",
    })?;
    let mut word = |index: usize| {
        let bytes = take(index).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Program {
        kind,
        name,
        create,
        sql_mode: word(sql_mode),
        charset: word(charset),
        collation: word(collation),
        database_collation: word(database_collation),
        time_zone: None,
        last_due: None,
    })
}

/// The tables of a database that have triggers.
pub(crate) async fn triggered(session: &mut Session, database: &DbName) -> Result<Vec<String>> {
    let query = format!(
        "SELECT DISTINCT EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS \
         WHERE EVENT_OBJECT_SCHEMA = {}",
        quote::string(database.as_str())
    );
    session.rows("list triggers", &query).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_number_of_a_table_is_no_part_of_its_definition() {
        let create = |options: &str| {
            format!("CREATE TABLE `t` (\n  `a` text DEFAULT ' AUTO_INCREMENT=5'\n) {options}")
        };
        assert_eq!(
            definition_of_table(&create("ENGINE=InnoDB AUTO_INCREMENT=17 DEFAULT CHARSET=x")),
            create("ENGINE=InnoDB DEFAULT CHARSET=x")
        );
        let without = create("ENGINE=InnoDB");
        assert_eq!(definition_of_table(&without), without);
    }
}
