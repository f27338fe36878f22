//! Takes a database down: everything that it consists of, as of one moment.
//!
//! The rows of transactional tables are read in one transaction, which sees the moment at
//! which it began; a table of another engine is read when its turn comes. What is counted and
//! summed up for the manifest are the very rows that are written. Nobody is kept from working
//! meanwhile; whoever changes the definition of a table before it was read makes the attempt
//! fail.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use openpeta_types::DbName;

use super::checksum::{Checksum, RowHasher};
use super::columns;
use super::layout::{self, Layout, PART_BYTES};
use super::manifest::{
    BackupSource, BinlogPosition, Manifest, PLAIN, PLAIN_SPREAD, SequenceEntry, TableEntry,
};
use super::moment::{Moment, changed, check_unchanged, fix_moment};
use super::schema::{Program, Schema, Table};
use super::session::{Session, bytes};
use super::spread_export::Others;
use super::views::{self, View};
use super::writer::DumpWriter;
use super::{Progress, definer, entries};
use crate::error::Result;
use crate::quote;

/// A statement that inserts ends when it is this long.
const STATEMENT_BYTES: usize = 1 << 20;

/// Tables that are read before it is looked whether they are still the same ones. Until then
/// their definition cannot be changed, so it must not take long.
pub(super) const BATCH_TABLES: usize = 200;
/// The same for the time that it takes.
pub(super) const BATCH_TIME: Duration = Duration::from_secs(2);

/// Under which settings the statements of a dump mean what they should.
const SETTINGS: &str = "SET NAMES utf8mb4;\n\
    SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION,\
    IGNORE_BAD_TABLE_OPTIONS', \
    time_zone='+00:00', foreign_key_checks=0, unique_checks=0, check_constraint_checks=0, \
    innodb_strict_mode=0, autocommit=0;\n";

/// Rows of tables with history come with the times at which they were the right ones.
const KEEP_HISTORY: &str = "SET SESSION system_versioning_insert_history=1;\n";
/// Rows get their times as usual.
const MAKE_HISTORY: &str = "SET SESSION system_versioning_insert_history=0;\n";

/// Takes `database` down into `writer`; returns the manifest without the files' figures.
pub(super) async fn take_down(
    session: &mut Session,
    database: &DbName,
    source: &BackupSource,
    target: (&mut DumpWriter, &Layout),
    progress: Progress<'_>,
) -> Result<Manifest> {
    let begun = begin(session, database).await?;
    write_down(session, database, source, begun, None, target, progress).await
}

/// Begins a transaction that sees a database as it is.
pub(super) async fn begin(session: &mut Session, database: &DbName) -> Result<Begun> {
    let (schema, moment) = fix_moment(session, database).await?;
    Ok(Begun {
        schema,
        moment,
        what: String::new(),
    })
}

/// A transaction that sees a moment.
pub(super) struct Begun {
    /// Of that moment.
    pub(super) schema: Schema,
    pub(super) moment: Moment,
    /// Which part of a whole it is, if it is one.
    pub(super) what: String,
}

/// Takes what a transaction sees, and rows of distributed tables from further nodes, if there are any.
pub(super) async fn write_down(
    session: &mut Session,
    database: &DbName,
    source: &BackupSource,
    begun: Begun,
    others: Option<&mut Others>,
    (writer, layout): (&mut DumpWriter, &Layout),
    progress: Progress<'_>,
) -> Result<Manifest> {
    let Begun {
        schema,
        moment,
        what,
    } = begun;
    let of_node = |table: &Table| table.bytes;
    let total: u64 = schema.tables.values().map(of_node).sum();
    let mut dump = Dump {
        total: total + others.as_ref().map_or(0, |others| others.bytes()),
        session,
        others,
        database,
        schema: &schema,
        writer,
        layout,
        progress,
        bytes_read: 0,
    };
    dump.head(source, &moment, &what).await?;
    let tables = dump.tables().await?;
    let sequences = dump.sequences().await?;
    if schema.has_programs()
        && let Some(files) = layout.files()
    {
        dump.file(files.of_programs()).await?;
    }
    dump.views().await?;
    dump.programs(&schema.routines).await?;
    dump.programs(&schema.triggers).await?;
    dump.programs(&schema.events).await?;
    let manifest = Manifest {
        format: PLAIN,
        source: source.clone(),
        server_version: moment.server_version,
        taken_at: moment.at,
        binlog: moment.binlog,
        dump: Default::default(),
        files: Vec::new(),
        encryption: None,
        physical: None,
        spread: None,
        database: schema.database.clone(),
        tables,
        sequences,
        views: entries::views(&schema, database),
        routines: entries::programs(&schema.routines),
        triggers: entries::programs(&schema.triggers),
        events: entries::events(&schema.events),
        invalid_views: schema.invalid_views.clone(),
    };
    dump.end(&manifest, &what).await?;
    Ok(manifest)
}

/// A dump under way.
struct Dump<'a> {
    session: &'a mut Session,
    others: Option<&'a mut Others>,
    database: &'a DbName,
    schema: &'a Schema,
    writer: &'a mut DumpWriter,
    layout: &'a Layout,
    progress: Progress<'a>,
    bytes_read: u64,
    total: u64,
}

impl Dump<'_> {
    async fn head(&mut self, source: &BackupSource, moment: &Moment, what: &str) -> Result<()> {
        let BinlogPosition {
            file,
            position,
            gtid,
            ..
        } = &moment.binlog;
        let info = &self.schema.database;
        if let Some(files) = self.layout.files() {
            return self.writer.write(&files.create_database(info)).await;
        }
        let format = match what.is_empty() {
            true => PLAIN,
            false => PLAIN_SPREAD,
        };
        let text = format!(
            "-- OpenPeta backup {} of database {}{what}, instance {}, format {format}\n\
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

    /// Writes what stands behind everything else.
    async fn end(&mut self, manifest: &Manifest, what: &str) -> Result<()> {
        if let Some(files) = self.layout.files() {
            self.writer.next_plain_file("metadata").await?;
            return self.writer.write(&files.metadata(manifest)).await;
        }
        if let Layout::Export = self.layout {
            self.writer.write(&layout::remark(manifest)).await?;
        }
        let end = format!("-- End of the dump{what}\n");
        self.writer.write(&end).await
    }

    /// Goes on in another file, which stands for itself.
    async fn file(&mut self, name: String) -> Result<()> {
        self.writer.next_file(&name).await?;
        self.writer.write(SETTINGS).await
    }

    /// Writes definitions and rows of all tables.
    async fn tables(&mut self) -> Result<BTreeMap<String, TableEntry>> {
        // A table may take its defaults from a sequence. Files are read in another order.
        let sequences = &self.schema.sequences;
        for (name, create) in sequences.iter().filter(|_| self.layout.files().is_none()) {
            self.definition(&format!("sequence {name}"), create.as_bytes())
                .await?;
        }
        let mut entries = BTreeMap::new();
        let mut batch = Vec::new();
        let mut begun = Instant::now();
        for (number, (name, table)) in self.schema.tables.iter().enumerate() {
            if let Some(files) = self.layout.files() {
                self.file(files.of_table(name, number)).await?;
            }
            let create = self.written(name, &table.create).into_owned();
            self.definition(&format!("table {name}"), create.as_bytes())
                .await?;
            let checksum = self
                .rows((name, number), table)
                .await
                .map_err(|error| changed(error, name))?;
            let entry = entries::table(table, |shown| self.written(name, shown), checksum);
            entries.insert(name.clone(), entry);
            batch.push(name.as_str());
            if batch.len() == BATCH_TABLES || begun.elapsed() >= BATCH_TIME {
                self.check_unchanged(&batch).await?;
                batch.clear();
                begun = Instant::now();
            }
        }
        self.check_unchanged(&batch).await?;
        Ok(entries)
    }

    /// A definition as it is written.
    fn written<'c>(&self, name: &str, create: &'c str) -> Cow<'c, str> {
        match &self.others {
            Some(others) => others.written(name, create),
            None => create.into(),
        }
    }

    async fn check_unchanged(&mut self, batch: &[&str]) -> Result<()> {
        check_unchanged(self.session, self.database, self.schema, batch).await?;
        match &mut self.others {
            Some(others) => others.check_unchanged(self.database, batch).await,
            None => Ok(()),
        }
    }

    /// Writes the rows of a table.
    async fn rows(&mut self, (name, number): (&str, usize), table: &Table) -> Result<Checksum> {
        let mut checksum = Checksum::default();
        if table.columns.is_empty() {
            return Ok(checksum);
        }
        let insert = format!(
            "INSERT INTO {} ({}) VALUES\n",
            quote::identifier(name),
            columns::names(&table.columns)
        );
        let (head, end) = match table.has_history {
            true => (KEEP_HISTORY, MAKE_HISTORY),
            false => ("", ""),
        };
        let (files, mut parts) = (self.layout.files(), 0);
        if files.is_none() {
            self.writer.write(head).await?;
        }
        let query = columns::select(&table.columns, &table.from);
        let mut hasher = RowHasher::default();
        let mut statement = 0;
        let nodes = 1 + self.others.as_ref().map_or(0, |others| others.count(name));
        for node in 0..nodes {
            let session = match (&mut self.others, node) {
                (Some(others), 1..) => others.session(node - 1),
                _ => &mut *self.session,
            };
            let mut rows = session.stream("read rows", query.clone()).await?;
            while let Some(row) = rows.next().await? {
                if statement == 0
                    && let Some(files) = files
                    && (parts == 0 || self.writer.file_bytes() >= PART_BYTES)
                {
                    if parts > 0 {
                        self.writer.write(&format!("COMMIT;\n{end}")).await?;
                    }
                    let next = files.of_rows(name, number, parts);
                    self.writer.next_file(&next).await?;
                    self.writer.write(&format!("{SETTINGS}{head}")).await?;
                    parts += 1;
                }
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
        }
        if statement > 0 {
            self.writer.write(";\n").await?;
        }
        if files.is_none() || parts > 0 {
            self.writer.write(&format!("COMMIT;\n{end}")).await?;
        }
        Ok(checksum)
    }

    /// Writes where sequences stand: after the rows, so that no value in them comes again.
    async fn sequences(&mut self) -> Result<BTreeMap<String, SequenceEntry>> {
        let mut entries = BTreeMap::new();
        for (number, (name, create)) in self.schema.sequences.iter().enumerate() {
            let entry = entries::sequence(self.session, name, create).await?;
            if let Some(files) = self.layout.files() {
                self.file(files.of_sequence(name, number)).await?;
                self.definition(name, create.as_bytes()).await?;
            }
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
        if self.layout.files().is_some() {
            layout::write_statement(statement, out);
            out.extend_from_slice(end_of(statement));
            out.extend_from_slice(b";\n");
            return self.writer.flush_if_full().await;
        }
        // A comment ends with its line.
        let what = what.replace(char::is_control, " ");
        out.extend_from_slice(format!("-- {what}\n").as_bytes());
        let mark = delimiter(statement);
        let has_own = mark != ";";
        if has_own {
            out.extend_from_slice(format!("DELIMITER {mark}\n").as_bytes());
        }
        out.extend_from_slice(statement);
        out.extend_from_slice(end_of(statement));
        out.extend_from_slice(mark.as_bytes());
        out.push(b'\n');
        if has_own {
            out.extend_from_slice(b"DELIMITER ;\n");
        }
        self.writer.flush_if_full().await
    }
}

/// What stands between a statement and its delimiter: a comment ends with its line, and then the
/// delimiter stands on a line of its own.
fn end_of(statement: &[u8]) -> &'static [u8] {
    let last_line = statement.rsplit(|byte| *byte == b'\n').next();
    let last_line = last_line.unwrap_or_default();
    match contains(last_line, b"--") || last_line.contains(&b'#') {
        true => b"\n",
        false => b"",
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
