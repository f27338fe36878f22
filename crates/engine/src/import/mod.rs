//! Imports of dumps: of MariaDB's and MySQL's dump programs, of mydumper, and sets of ours.
//!
//! An import is prepared in a database of its own (the staging), through an account that reaches
//! nothing else, and compared there. Only then it gets its place: tables are renamed into the
//! database that they are for, which takes no time whatever their size, and programs are made
//! there. So whatever goes wrong before leaves that database as it was.

mod collations;
mod definers;
mod follow;
mod judge;
#[cfg(test)]
mod judge_tests;
mod load;
mod over_nodes;
mod programs;
mod qualifiers;
mod set_over_nodes;
mod source;
mod splitter;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use openpeta_types::{AccountName, DbName, NodeId};
use serde::{Deserialize, Serialize};

pub use self::follow::{SourcePosition, TableSum};
pub(crate) use self::load::beginning;
pub use self::load::{ImportOptions, Loaded};
pub use self::over_nodes::ImportNodes;
use self::programs::{Making, Moves};
pub use self::source::ImportSource;
pub(crate) use self::source::decompressed;
use crate::backup::{Manifest, Progress, Schema, Session, checksum, read_set, triggered};
use crate::engine::{Engine, blocking};
use crate::error::{EngineError, Result};
use crate::quote;
use crate::sql::{TableDistribution, import_account, import_password};

/// Where an import is prepared, and what for.
#[derive(Clone, Copy, Debug)]
pub struct ImportPlace<'a> {
    /// The node.
    pub node: &'a NodeId,
    /// The database in which it is prepared, which is nobody else's.
    pub staging: &'a DbName,
    /// The database that it is for.
    pub target: &'a DbName,
}

/// What was imported.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Imported {
    /// Tables with their rows and checksums.
    pub tables: BTreeMap<String, ImportedTable>,
    /// Views.
    pub views: u64,
    /// Stored routines and packages.
    pub routines: u64,
    /// Triggers.
    pub triggers: u64,
    /// Events.
    pub events: u64,
    /// Sequences.
    pub sequences: u64,
    /// What whoever imports should know of.
    pub notes: Vec<String>,
    /// As they are to be made.
    programs: Vec<load::Program>,
    /// The database of the dump, if it tells.
    database: Option<String>,
    /// How tables are to be distributed, as the dump says.
    #[serde(default)]
    distributions: BTreeMap<String, TableDistribution>,
    /// Tables that have triggers.
    #[serde(default)]
    triggered: Vec<String>,
}

/// A table that was imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedTable {
    /// Rows.
    pub rows: u64,
    /// Their checksum, as backup sets have it.
    pub checksum: String,
    /// Against what it was compared.
    pub compared_with: String,
}

/// Against what an import is compared.
#[derive(Clone, Copy, Debug)]
pub enum Expected<'a> {
    /// The dump alone: the number of rows of each table.
    Dump,
    /// The manifest beside the dump.
    Manifest(&'a Manifest),
    /// What the source has of each table, which was followed since the dump.
    Source(&'a BTreeMap<String, TableSum>),
}

impl Engine {
    /// Loads a dump into the staging, which is made anew.
    ///
    /// # Errors
    /// [`EngineError::NotImported`], telling where in the dump what is wrong; a file error, or one
    /// of the connection.
    pub async fn load_import(
        &self,
        place: ImportPlace<'_>,
        source: ImportSource,
        options: &ImportOptions,
        progress: Progress<'_>,
    ) -> Result<Loaded> {
        self.discard_import(place).await?;
        let mut sql = self.sql(place.node).await?;
        sql.create_staging(place.staging, place.target).await?;
        let collations: BTreeSet<String> = sql.collations().await?.into_iter().collect();
        sql.close().await;
        let mut session = self.import_session(place, &[place.staging], false).await?;
        let keys = self.backup_keys().clone();
        let server = (self.server_version_number(), collations);
        let counted = source.rows.clone();
        let set = source.set_dir().map(Path::to_owned);
        let parts = match set {
            Some(set) => set_over_nodes::Parts::of(self.manifest_of(&set).await?),
            None => None,
        };
        let from = (source, parts);
        let loaded = load::load(&mut session, from, &keys, options, server, progress).await?;
        session.close().await;
        for (table, rows) in &counted {
            let found = loaded.rows.get(table).copied().unwrap_or(0);
            if found != *rows {
                return Err(EngineError::NotImported {
                    what: format!(
                        "table {table}: the files have {found} rows, `metadata` says {rows}"
                    ),
                });
            }
        }
        Ok(loaded)
    }

    /// As [`load_import`](Self::load_import), out of a copy of a server's data files.
    ///
    /// # Errors
    /// The same, [`EngineError::BackupToolFailed`] and [`EngineError::NoRoom`].
    pub async fn load_copy(
        &self,
        place: ImportPlace<'_>,
        copy: &Path,
        options: &ImportOptions,
        progress: Progress<'_>,
    ) -> Result<Loaded> {
        let database = options.source_database.as_deref();
        let taken = self.take_down_copy(place.node, copy, database, progress);
        let taken = taken.await?;
        let source = ImportSource::path(&taken.text, None)?;
        let options = ImportOptions {
            source_database: None,
            ..options.clone()
        };
        let loaded = self.load_import(place, source, &options, progress).await?;
        Ok(Loaded {
            manifest: Some(taken.manifest),
            ..loaded
        })
    }

    /// Compares what was loaded with what is expected, and tries whether its views
    /// and programs can be made, of definers `accounts` there are.
    ///
    /// # Errors
    /// [`EngineError::NotImported`], telling what differs; one of the connection.
    pub async fn check_import(
        &self,
        place: ImportPlace<'_>,
        loaded: Loaded,
        expected: Expected<'_>,
        options: &ImportOptions,
        accounts: &[AccountName],
        progress: Progress<'_>,
    ) -> Result<Imported> {
        let mut admin = self.session(place.node, place.staging).await?;
        programs::clear(&mut admin, place.staging, true).await?;
        let mut imported = compare(&mut admin, place, &loaded, expected, progress).await?;
        let definers = definers::Definers {
            accounts: accounts.iter().map(|it| it.as_str().to_owned()).collect(),
            instead: options.definer.clone(),
            keeps_missing: options.keeps_definers,
        };
        let mut programs = loaded.programs;
        imported.notes = loaded.notes;
        let version = self.server_version_number();
        let notes = programs::settle(&mut programs, &definers, version)?;
        imported.notes.extend(notes);
        let mut sql = self.sql(place.node).await?;
        sql.grant_as_in(place.target, place.staging, accounts)
            .await?;
        sql.close().await;
        let mut session = self.import_session(place, &[place.staging], true).await?;
        let moves = Moves {
            from: loaded.database.as_deref(),
            to: place.staging,
            version,
        };
        programs::make(&mut session, &programs, Making::Trial, moves).await?;
        session.close().await;
        let schema = Schema::read(&mut admin, place.staging).await?;
        programs::check_definers(&schema, place.target, &import_account(place.staging))?;
        if let Some(view) = schema.invalid_views.keys().next() {
            let note = format!(
                "view {view} refers to something that does not exist, or that its definer may not use"
            );
            imported.notes.push(note);
        }
        imported.views = (schema.views.len() + schema.invalid_views.len()) as u64;
        imported.routines = schema.routines.len() as u64;
        imported.triggers = schema.triggers.len() as u64;
        imported.events = programs.iter().filter(|it| it.is_event).count() as u64;
        imported.programs = programs;
        imported.database = loaded.database;
        imported.distributions = loaded.distributions;
        imported.triggered = triggered(&mut admin, place.staging).await?;
        // A table with a trigger cannot be renamed into another database.
        programs::clear(&mut admin, place.staging, false).await?;
        admin.close().await;
        Ok(imported)
    }

    /// Gives what was imported its place. From the first table on there is no way back; an
    /// interrupted run is gone on with.
    ///
    /// # Errors
    /// [`EngineError::NotEmpty`] when the database is no longer empty, and nothing was done;
    /// [`EngineError::NotImported`]; those of connections.
    pub async fn publish_import(&self, place: ImportPlace<'_>, imported: &Imported) -> Result<()> {
        let mut sql = self.sql(place.node).await?;
        if !sql.has_database(place.staging).await? {
            // An earlier run was through.
            sql.drop_import_account(place.staging).await?;
            return Ok(());
        }
        if !sql.has_database(place.target).await? {
            return Err(EngineError::NotEmpty {
                object: "been dropped".to_owned(),
            });
        }
        let mut admin = self.session(place.node, place.staging).await?;
        let waiting = base_tables(&mut admin, place.staging).await?;
        // Without tables an earlier run has moved them, or there are none.
        if !waiting.is_empty() {
            if let Some(object) = sql.something_in(place.target).await? {
                return Err(EngineError::NotEmpty { object });
            }
            // One statement: all of them, or none.
            let pairs = waiting.iter().map(|table| {
                let table = quote::identifier(table);
                let target = quote::identifier(place.target.as_str());
                format!("{table} TO {target}.{table}")
            });
            let statement = format!("RENAME TABLE {}", pairs.collect::<Vec<_>>().join(", "));
            admin
                .run("prepare a move", b"SET foreign_key_checks=0")
                .await?;
            admin.run("move tables", statement.as_bytes()).await?;
        }
        admin.close().await;
        let mut session = self
            .import_session(place, &[place.staging, place.target], true)
            .await?;
        let target = format!("USE {}", quote::identifier(place.target.as_str()));
        session.run("use a database", target.as_bytes()).await?;
        let moves = Moves {
            from: imported.database.as_deref(),
            to: place.target,
            version: self.server_version_number(),
        };
        programs::make(&mut session, &imported.programs, Making::ForGood, moves).await?;
        session.close().await;
        self.check_published(place, imported).await?;
        sql.close().await;
        self.discard_import(place).await
    }

    /// Makes sure that everything is where it is to be.
    async fn check_published(&self, place: ImportPlace<'_>, imported: &Imported) -> Result<()> {
        let mut admin = self.session(place.node, place.target).await?;
        let schema = Schema::read(&mut admin, place.target).await?;
        admin.close().await;
        let views = schema.views.len() + schema.invalid_views.len();
        let found = [
            ("tables", schema.tables.len(), imported.tables.len() as u64),
            ("sequences", schema.sequences.len(), imported.sequences),
            ("views", views, imported.views),
            ("routines", schema.routines.len(), imported.routines),
            ("triggers", schema.triggers.len(), imported.triggers),
        ];
        match found
            .iter()
            .find(|(_, found, wanted)| (*found as u64) < *wanted)
        {
            None => Ok(()),
            Some((what, found, wanted)) => Err(EngineError::NotImported {
                what: format!("the database has {found} {what}, not {wanted}"),
            }),
        }
    }

    /// Removes the staging and the account for it. What does not exist is no error.
    ///
    /// # Errors
    /// Those of administration connections.
    pub async fn discard_import(&self, place: ImportPlace<'_>) -> Result<()> {
        let mut sql = self.sql(place.node).await?;
        sql.drop_import_account(place.staging).await?;
        sql.close().await;
        self.drop_database(place.node, place.staging).await?;
        self.discard_pieces(place).await
    }

    /// The manifest of a set that is to be imported, after a check of its files.
    ///
    /// # Errors
    /// [`EngineError::DamagedSet`], [`EngineError::NoKey`], or a file error.
    pub async fn manifest_of(&self, set: &Path) -> Result<Manifest> {
        let (set, keys) = (set.to_owned(), self.backup_keys().clone());
        blocking(move || read_set(&set, &keys)).await
    }

    /// A session of the import's own account, which may do anything in these databases.
    async fn import_session(
        &self,
        place: ImportPlace<'_>,
        databases: &[&DbName],
        names_definers: bool,
    ) -> Result<Session> {
        let password = import_password(self.admin_password(), place.node, place.staging);
        let mut sql = self.sql(place.node).await?;
        sql.ensure_import_account(place.staging, databases, names_definers, &password)
            .await?;
        sql.close().await;
        let account = import_account(place.staging);
        let settings = "SET foreign_key_checks=0, lock_wait_timeout=20, \
             net_read_timeout=3600, net_write_timeout=3600, max_statement_time=0";
        let socket = self.socket_path(place.node)?;
        let account = (account.as_str(), &password);
        Session::open_as(&socket, account, place.staging, settings.to_owned()).await
    }
}

/// Tables and sequences of a database.
async fn base_tables(session: &mut Session, database: &DbName) -> Result<Vec<String>> {
    let query = format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = {} AND TABLE_TYPE <> 'VIEW' ORDER BY TABLE_NAME",
        quote::string(database.as_str())
    );
    session.rows("list tables", &query).await
}

/// Reads everything back: rows must be as many as the dump has, or what the manifest says.
async fn compare(
    admin: &mut Session,
    place: ImportPlace<'_>,
    loaded: &Loaded,
    expected: Expected<'_>,
    progress: Progress<'_>,
) -> Result<Imported> {
    let differs = |what: String| EngineError::NotImported { what };
    let schema = Schema::read(admin, place.staging).await?;
    let mut imported = Imported {
        sequences: schema.sequences.len() as u64,
        ..Imported::default()
    };
    let mark = quote::identifier(place.staging.as_str());
    let total = schema.tables.values().map(|table| table.bytes).sum();
    let mut read = 0;
    for (name, table) in &schema.tables {
        progress(read, total, name);
        if table.create.contains(&mark) {
            let what = format!(
                "table {name} takes its defaults from a sequence of its database, which cannot be imported"
            );
            return Err(differs(what));
        }
        let found = checksum(admin, table).await?;
        let rows = loaded.rows.get(name).copied().unwrap_or(0);
        // Tables that show the rows of others are not read; what was followed is no more the dump.
        let is_counted = !table.columns.is_empty() && !matches!(expected, Expected::Source(_));
        if is_counted && found.rows != rows {
            let what = format!("table {name} has {} rows, the dump {rows}", found.rows);
            return Err(differs(what));
        }
        let sum = found.sum.to_string();
        let (said, compared_with, who) = match expected {
            Expected::Dump => (None, "the number of rows in the dump", ""),
            Expected::Manifest(manifest) => {
                let entry = manifest.tables.get(name);
                let said = entry.map(|entry| (entry.rows, entry.checksum.as_str()));
                (Some(said), "the checksum in the manifest", "the manifest")
            }
            Expected::Source(sums) => {
                let said = sums.get(name).map(|its| (its.rows, its.checksum.as_str()));
                (Some(said), "the checksum of the source", "the source")
            }
        };
        match said {
            None => {}
            Some(None) => return Err(differs(format!("table {name} is not in {who}"))),
            Some(Some(said)) if said == (found.rows, sum.as_str()) => {}
            Some(Some(_)) => {
                let what = format!("the content of table {name} is not what {who} says");
                return Err(differs(what));
            }
        }
        let entry = ImportedTable {
            rows: found.rows,
            checksum: sum,
            compared_with: compared_with.to_owned(),
        };
        imported.tables.insert(name.clone(), entry);
        read += table.bytes;
    }
    let has_table = |name: &&String| schema.tables.contains_key(*name);
    let lost = loaded.rows.keys().find(|name| !has_table(name));
    let said = match expected {
        Expected::Dump => None,
        Expected::Manifest(it) => it.tables.keys().find(|name| !has_table(name)),
        Expected::Source(sums) => sums.keys().find(|name| !has_table(name)),
    };
    match lost.or(said) {
        None => Ok(imported),
        Some(name) => Err(differs(format!("table {name} is missing"))),
    }
}
