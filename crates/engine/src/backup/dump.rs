//! Takes a database down: everything that it consists of, as of one moment.
//!
//! The rows of transactional tables are read in one transaction, which sees the moment at
//! which it began; a table of another engine is read when its turn comes. What is counted and
//! summed up for the manifest are the very rows that are written. Nobody is kept from working
//! meanwhile; whoever changes the definition of a table before it was read makes the attempt
//! fail.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use openpeta_types::DbName;

use super::checksum::{Checksum, RowHasher};
use super::columns;
use super::manifest::{BackupSource, BinlogPosition, Manifest, PLAIN, SequenceEntry, TableEntry};
use super::schema::{self, Program, Schema, Table, definition_of_table};
use super::session::{Session, bytes};
use super::views::{self, View};
use super::writer::DumpWriter;
use super::{Progress, definer, entries};
use crate::error::{EngineError, Result};
use crate::quote;

/// A statement that inserts ends when it is this long.
const STATEMENT_BYTES: usize = 1 << 20;

/// How often the schema is read again when it changed while the moment was fixed.
const SCHEMA_ATTEMPTS: u32 = 5;

/// Tables that are read before it is looked whether they are still the same ones. Until then
/// their definition cannot be changed, so it must not take long.
pub(super) const BATCH_TABLES: usize = 200;
/// The same for the time that it takes.
pub(super) const BATCH_TIME: Duration = Duration::from_secs(2);

/// MariaDB's codes for a table that is not what it was when the transaction began.
const CHANGED: [u16; 3] = [
    1146, // no such table
    1412, // its definition changed
    1054, // no such column
];

/// Under which settings the statements of a dump mean what they should.
const SETTINGS: &str = "SET NAMES utf8mb4;\n\
    SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION', \
    time_zone='+00:00', foreign_key_checks=0, unique_checks=0, check_constraint_checks=0, \
    innodb_strict_mode=0, autocommit=0;\n";

/// Takes `database` down into `writer`; returns the manifest without the file's figures.
pub(super) async fn take_down(
    session: &mut Session,
    database: &DbName,
    source: &BackupSource,
    writer: &mut DumpWriter,
    progress: Progress<'_>,
) -> Result<Manifest> {
    let (schema, moment) = fix_moment(session, database).await?;
    let mut dump = Dump {
        session,
        database,
        schema: &schema,
        writer,
        progress,
        bytes_read: 0,
        total: schema.tables.values().map(|table| table.bytes).sum(),
    };
    dump.head(source, &moment).await?;
    let tables = dump.tables().await?;
    let sequences = dump.sequences().await?;
    dump.views().await?;
    dump.programs(&schema.routines).await?;
    dump.programs(&schema.triggers).await?;
    dump.programs(&schema.events).await?;
    dump.writer.write("-- End of the dump\n").await?;
    Ok(Manifest {
        format: PLAIN,
        source: source.clone(),
        server_version: moment.server_version,
        taken_at: moment.at,
        binlog: moment.binlog,
        dump: Default::default(),
        encryption: None,
        physical: None,
        database: schema.database.clone(),
        tables,
        sequences,
        views: entries::views(&schema, database),
        routines: entries::programs(&schema.routines),
        triggers: entries::programs(&schema.triggers),
        events: entries::events(&schema.events),
        invalid_views: schema.invalid_views,
    })
}

/// The moment whose content is taken.
pub(super) struct Moment {
    pub(super) at: Timestamp,
    pub(super) server_version: String,
    pub(super) binlog: BinlogPosition,
}

/// Begins the transaction at a moment at which the schema is the one returned.
async fn fix_moment(session: &mut Session, database: &DbName) -> Result<(Schema, Moment)> {
    let mut before = Schema::read(session, database).await?;
    let mut changed = String::new();
    for _ in 0..SCHEMA_ATTEMPTS {
        let moment = begin(session).await?;
        let after = Schema::read(session, database).await?;
        release(session).await?;
        match before.difference(&after) {
            None => return Ok((after, moment)),
            Some(object) => changed = object,
        }
        session.run("end a transaction", b"ROLLBACK").await?;
        before = after;
    }
    Err(EngineError::SchemaChanged { object: changed })
}

/// Begins a transaction that sees this moment to its end.
pub(super) async fn begin(session: &mut Session) -> Result<Moment> {
    let begin = b"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
    let level = b"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    session.run("begin a transaction", level).await?;
    session.run("begin a transaction", begin).await?;
    let moment = moment(session).await?;
    // Reading definitions must not keep others from changing them from here on.
    session.run("set a savepoint", b"SAVEPOINT moment").await?;
    Ok(moment)
}

/// Makes sure that tables which were read are those that the schema was read of, then lets go of
/// them.
pub(super) async fn check_unchanged(
    session: &mut Session,
    database: &DbName,
    schema: &Schema,
    names: &[&str],
) -> Result<()> {
    let ids = schema::table_ids(session, database).await?;
    for &name in names {
        let table = &schema.tables[name];
        let create = schema::show_create(session, "TABLE", name)
            .await
            .map_err(|error| changed(error, name))?;
        let same_ids = ids.get(name).map_or(&[][..], Vec::as_slice) == table.ids;
        if !same_ids || definition_of_table(&create) != definition_of_table(&table.create) {
            return Err(EngineError::SchemaChanged {
                object: format!("table {name}"),
            });
        }
    }
    release(session).await
}

/// Lets go of the definitions that were read since the savepoint.
pub(super) async fn release(session: &mut Session) -> Result<()> {
    let statement = b"ROLLBACK TO SAVEPOINT moment";
    session.run("return to a savepoint", statement).await
}

async fn moment(session: &mut Session) -> Result<Moment> {
    let query = "SHOW STATUS LIKE 'binlog_snapshot_%'";
    let rows: Vec<(String, String)> = session.rows("read the binlog position", query).await?;
    let mut file = String::new();
    let mut position = 0;
    for (name, value) in rows {
        match name.to_ascii_lowercase().as_str() {
            "binlog_snapshot_file" => file = value,
            "binlog_snapshot_position" => position = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    let query = format!(
        "SELECT VERSION(), CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED), \
                COALESCE(BINLOG_GTID_POS({}, {position}), '')",
        quote::string(&file)
    );
    let rows: Vec<(String, i64, String)> = session.rows("read the binlog position", &query).await?;
    let (server_version, micros, gtid) = rows.into_iter().next().unwrap_or_default();
    Ok(Moment {
        at: Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH),
        server_version,
        binlog: BinlogPosition {
            node: String::new(),
            file,
            position,
            gtid,
        },
    })
}

/// A dump under way.
struct Dump<'a> {
    session: &'a mut Session,
    database: &'a DbName,
    schema: &'a Schema,
    writer: &'a mut DumpWriter,
    progress: Progress<'a>,
    bytes_read: u64,
    total: u64,
}

impl Dump<'_> {
    async fn head(&mut self, source: &BackupSource, moment: &Moment) -> Result<()> {
        let BinlogPosition {
            file,
            position,
            gtid,
            ..
        } = &moment.binlog;
        let info = &self.schema.database;
        let text = format!(
            "-- OpenPeta backup {} of database {}, instance {}, format {PLAIN}\n\
             -- MariaDB {}; the content of {}; binary log {file}:{position}, GTID {gtid}\n\
             {SETTINGS}\
             ALTER DATABASE CHARACTER SET {} COLLATE {} COMMENT {};\n",
            source.backup_id,
            source.db_name,
            source.instance_id,
            moment.server_version,
            moment.at,
            info.character_set,
            info.collation,
            columns::quoted(&info.comment),
        );
        self.writer.write(&text).await
    }

    /// Writes definitions and rows of all tables.
    async fn tables(&mut self) -> Result<BTreeMap<String, TableEntry>> {
        // A table may take its defaults from a sequence.
        for (name, create) in &self.schema.sequences {
            self.definition(&format!("sequence {name}"), create.as_bytes())
                .await?;
        }
        let mut entries = BTreeMap::new();
        let mut batch = Vec::new();
        let mut begun = Instant::now();
        for (name, table) in &self.schema.tables {
            self.definition(&format!("table {name}"), table.create.as_bytes())
                .await?;
            let checksum = self
                .rows(name, table)
                .await
                .map_err(|error| changed(error, name))?;
            entries.insert(name.clone(), entries::table(table, checksum));
            batch.push(name.as_str());
            if batch.len() == BATCH_TABLES || begun.elapsed() >= BATCH_TIME {
                check_unchanged(self.session, self.database, self.schema, &batch).await?;
                batch.clear();
                begun = Instant::now();
            }
        }
        check_unchanged(self.session, self.database, self.schema, &batch).await?;
        Ok(entries)
    }

    /// Writes the rows of a table.
    async fn rows(&mut self, name: &str, table: &Table) -> Result<Checksum> {
        let mut checksum = Checksum::default();
        if table.columns.is_empty() {
            return Ok(checksum);
        }
        let insert = format!(
            "INSERT INTO {} ({}) VALUES\n",
            quote::identifier(name),
            columns::names(&table.columns)
        );
        if table.has_history {
            let set = "SET SESSION system_versioning_insert_history=1;\n";
            self.writer.write(set).await?;
        }
        let query = columns::select(&table.columns, &table.from);
        let mut rows = self.session.stream("read rows", query).await?;
        let mut hasher = RowHasher::default();
        let mut statement = 0;
        while let Some(row) = rows.next().await? {
            let out = &mut self.writer.buffer;
            let before = out.len();
            let separator = if statement == 0 { &insert } else { ",\n" };
            out.extend_from_slice(separator.as_bytes());
            for (index, column) in table.columns.iter().enumerate() {
                out.push(if index == 0 { b'(' } else { b',' });
                let value = bytes(&row, index);
                hasher.push(value);
                column.write(value, out);
                self.bytes_read += value.map_or(0, <[u8]>::len) as u64;
            }
            out.push(b')');
            hasher.add_to(&mut checksum);
            statement += out.len() - before;
            if statement >= STATEMENT_BYTES {
                out.extend_from_slice(b";\n");
                statement = 0;
            }
            if self.writer.is_full() {
                self.writer.flush_if_full().await?;
                (self.progress)(self.bytes_read, self.total, name);
            }
        }
        drop(rows);
        if statement > 0 {
            self.writer.write(";\n").await?;
        }
        self.writer.write("COMMIT;\n").await?;
        if table.has_history {
            let set = "SET SESSION system_versioning_insert_history=0;\n";
            self.writer.write(set).await?;
        }
        Ok(checksum)
    }

    /// Writes where sequences stand: after the rows, so that no value in them comes again.
    async fn sequences(&mut self) -> Result<BTreeMap<String, SequenceEntry>> {
        let mut entries = BTreeMap::new();
        for (name, create) in &self.schema.sequences {
            let entry = entries::sequence(self.session, name, create).await?;
            let statement = format!(
                "DO SETVAL({}, {}, 0, {});\n",
                quote::identifier(name),
                entry.next_value,
                entry.cycle_count
            );
            self.writer.write(&statement).await?;
            entries.insert(name.clone(), entry);
        }
        Ok(entries)
    }

    /// Writes views, with the functions that they call: all as nobody's in particular, then
    /// those that others are made of as whose they are.
    async fn views(&mut self) -> Result<()> {
        let schema = self.schema;
        let called: Vec<_> = schema
            .routines
            .iter()
            .filter(|routine| is_called(routine, &schema.views))
            .collect();
        for function in &called {
            let create = definer::without(&function.create);
            self.program(function, &create).await?;
        }
        let bases = views::bases(&schema.views);
        for view in &schema.views {
            if bases.contains(view.name.as_str()) {
                let create = definer::without(&view.create);
                self.view(view, &create).await?;
            } else {
                self.view(view, &view.create).await?;
            }
        }
        // Those above first: they cannot be looked at once one below has its definer.
        let with_definer = schema.views.iter().rev();
        for view in with_definer.filter(|view| bases.contains(view.name.as_str())) {
            let create = definer::replacing(&view.create);
            self.view(view, &create).await?;
        }
        for function in called.iter().rev() {
            let name = quote::identifier(&function.name);
            let statement = format!("DROP {} {name};\n", function.kind);
            self.writer.write(&statement).await?;
        }
        Ok(())
    }

    async fn view(&mut self, view: &View, create: &[u8]) -> Result<()> {
        let set = format!(
            "SET SESSION character_set_client={}, collation_connection={};\n",
            view.charset, view.collation
        );
        self.writer.write(&set).await?;
        self.definition(&format!("view {}", view.name), create)
            .await?;
        self.writer.write(SETTINGS).await
    }

    async fn programs(&mut self, programs: &[Program]) -> Result<()> {
        for program in programs {
            self.program(program, &program.create).await?;
        }
        Ok(())
    }

    async fn program(&mut self, program: &Program, create: &[u8]) -> Result<()> {
        // The server notes the database's collation, and what texts without one have.
        let own = &self.schema.database.collation;
        let collation = &program.database_collation;
        let is_other = collation != own && !collation.is_empty();
        if is_other {
            let set = format!("ALTER DATABASE COLLATE {collation};\n");
            self.writer.write(&set).await?;
        }
        let set = format!(
            "SET SESSION time_zone={}, sql_mode={}, character_set_client={}, \
             collation_connection={};\n",
            columns::quoted(program.time_zone.as_deref().unwrap_or("+00:00")),
            columns::quoted(&program.sql_mode),
            program.charset,
            program.collation,
        );
        self.writer.write(&set).await?;
        let what = format!("{} {}", program.kind.to_lowercase(), program.name);
        self.definition(&what, create).await?;
        self.writer.write(SETTINGS).await?;
        if is_other {
            let set = format!("ALTER DATABASE COLLATE {own};\n");
            self.writer.write(&set).await?;
        }
        Ok(())
    }

    /// Writes a statement of somebody else's making, which may have anything in it.
    async fn definition(&mut self, what: &str, statement: &[u8]) -> Result<()> {
        let out = &mut self.writer.buffer;
        // A comment ends with its line.
        let what = what.replace(char::is_control, " ");
        out.extend_from_slice(format!("-- {what}\n").as_bytes());
        let mark = delimiter(statement);
        let has_own = mark != ";";
        if has_own {
            out.extend_from_slice(format!("DELIMITER {mark}\n").as_bytes());
        }
        out.extend_from_slice(statement);
        // So may end the statement itself; then its end stands on a line of its own.
        let last_line = statement.rsplit(|byte| *byte == b'\n').next();
        let last_line = last_line.unwrap_or_default();
        if contains(last_line, b"--") || last_line.contains(&b'#') {
            out.push(b'\n');
        }
        out.extend_from_slice(mark.as_bytes());
        out.push(b'\n');
        if has_own {
            out.extend_from_slice(b"DELIMITER ;\n");
        }
        self.writer.flush_if_full().await
    }
}

/// Whether a routine may be what a view calls, directly or not.
fn is_called(routine: &Program, views: &[View]) -> bool {
    if routine.kind == "PROCEDURE" {
        return false;
    }
    // Whatever a function calls, the server looks at when it is called alone.
    let name = quote::identifier(&routine.name).to_lowercase();
    let mut selects = views.iter().map(|view| &view.select);
    selects.any(|select| select.to_lowercase().contains(&name))
}

/// What ends a statement: something that it does not have, and does not end with a part of.
fn delimiter(statement: &[u8]) -> String {
    let fits = |mark: &String| {
        let first = &mark.as_bytes()[..1];
        !contains(statement, mark.as_bytes()) && !statement.ends_with(first)
    };
    let usual = [";", ";;", "$$", "//"].map(str::to_owned).into_iter();
    let longer = (3..).map(|length| "|".repeat(length));
    let mut marks = usual.chain(longer);
    marks
        .find(fits)
        .expect("a statement has an end, the marks have none")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// An error that says that a table changed is told as such.
pub(super) fn changed(error: EngineError, table: &str) -> EngineError {
    match error.server_code() {
        Some(code) if CHANGED.contains(&code) => EngineError::SchemaChanged {
            object: format!("table {table}"),
        },
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_is_not_in_the_statement() {
        for (statement, mark) in [
            ("SELECT 1", ";"),
            ("BEGIN a; b; END", ";;"),
            ("BEGIN a;; b; END", "$$"),
            // Else the first character of the mark would be taken for the statement's last one.
            ("BEGIN a; END;", "$$"),
            ("BEGIN a;; $$ b; END", "//"),
            ("BEGIN a;; $$ // ||| b; END", "||||"),
            ("a;; /* $ */;; $", "//"),
        ] {
            assert_eq!(delimiter(statement.as_bytes()), mark, "{statement}");
        }
    }
}
