//! Definitions that are under way: written down before the first node is touched, so that whoever comes
//! after a crash brings them to an end.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::Instance;
use super::redistribution::Redistribution;
use crate::node::{NodeConnection, Reply};
use crate::plan::define::{Name, quoted};
use crate::session::Failure;
use crate::topology::Topology;

/// What is being defined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intent {
    /// A distributed table is made: at home under a name that nobody knows, until all nodes have it.
    Create {
        /// Its name.
        name: Name,
        /// The other name.
        hidden: String,
    },
    /// All nodes run a statement, home first.
    Everywhere {
        /// The tables that it is about.
        tables: Vec<Name>,
        /// What is run on other nodes before it.
        setup: Vec<String>,
        /// What other nodes run.
        statement: String,
        /// What the tables were on each node before.
        before: BTreeMap<u16, String>,
    },
    /// The rows of a table are copied to where another distribution wants them.
    Redistribute(Redistribution),
    /// All nodes get the triggers that home has of a table.
    Triggers {
        /// Its name.
        table: Name,
    },
}

/// An intent on disk.
#[derive(Debug)]
pub struct Written {
    path: PathBuf,
    /// Where it is known that somebody is at it.
    under_way: UnderWay,
}

/// The intents that somebody here is about to carry out: nobody else is to finish them.
pub(super) type UnderWay = Arc<Mutex<HashSet<PathBuf>>>;

impl Written {
    /// Writes an intent down, for good.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn write(instance: &Instance, intent: &Intent) -> std::io::Result<Self> {
        let life = &instance.life().directory;
        let directory = life.join("intents");
        fs::create_dir_all(&directory)?;
        let number = fs::read_dir(&directory)?.count();
        let mut path = directory.join(format!("{number}.json"));
        let mut next = number;
        let under_way = instance.under_way();
        let mut file = loop {
            // Before it is there for others.
            let is_new = lock(&under_way).insert(path.clone());
            let error = match File::options().write(true).create_new(true).open(&path) {
                Ok(file) => break file,
                Err(error) => error,
            };
            if is_new {
                lock(&under_way).remove(&path);
            }
            if error.kind() != std::io::ErrorKind::AlreadyExists {
                return Err(error);
            }
            next += 1;
            path = directory.join(format!("{next}.json"));
        };
        let written = Self { path, under_way };
        file.write_all(&serde_json::to_vec(intent)?)?;
        file.sync_all()?;
        File::open(&directory)?.sync_all()?;
        File::open(life)?.sync_all()?;
        Ok(written)
    }

    /// Puts another intent in its place, for good: either of them is there at any time.
    ///
    /// # Errors
    /// When it cannot be; which of them is there then is not known.
    pub fn replace(&self, intent: &Intent) -> std::io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(intent)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    }

    /// It has come to its end.
    pub fn done(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            // It is done once more by whoever comes next, which changes nothing.
            tracing::warn!(path = %self.path.display(), %error, "an intent cannot be removed");
        }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        lock(&self.under_way).remove(&self.path);
    }
}

fn lock(under_way: &UnderWay) -> MutexGuard<'_, HashSet<PathBuf>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The intents that a life has left, and whether somebody here is at some others.
#[must_use]
pub(super) fn left(life: &Path, under_way: &UnderWay) -> (Vec<(Written, Option<Intent>)>, bool) {
    let Ok(entries) = fs::read_dir(life.join("intents")) else {
        return (Vec::new(), false);
    };
    let is_intent = |path: &PathBuf| path.extension().is_some_and(|it| it == "json");
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = paths.filter(is_intent).collect();
    paths.sort();
    let all = paths.len();
    // Whoever is at one has it until it is done, or until somebody else shall finish it.
    paths.retain(|path| lock(under_way).insert(path.clone()));
    let others = paths.len() < all;
    let read = |path: PathBuf| {
        let intent = fs::read(&path).ok();
        // One that was not written to its end was not begun either.
        let intent = intent.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let under_way = Arc::clone(under_way);
        (Written { path, under_way }, intent)
    };
    (paths.into_iter().map(read).collect(), others)
}

/// Whether a life has a table to bring over to another distribution: that is decided, and not done.
pub(super) fn is_decided(life: &Path) -> std::io::Result<bool> {
    let entries = match fs::read_dir(life.join("intents")) {
        Ok(entries) => entries,
        // It has none, or is no life.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|it| it != "json") {
            continue;
        }
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            // It has just been done.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let intent = serde_json::from_slice(&bytes).ok();
        if matches!(&intent, Some(Intent::Redistribute(it)) if it.decided) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The rows of `SHOW WARNINGS`.
type Shown = Vec<Vec<Option<Vec<u8>>>>;

/// What other nodes than home have to tell of a definition.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    /// How many rows were affected.
    pub affected: u64,
    /// Of each node that warned of something: how often, and what it shows of that.
    pub warned: Vec<(u16, Shown)>,
}

/// Brings a definition to its end.
///
/// # Errors
/// When a node cannot be asked.
pub(crate) async fn finish(instance: &Instance, intent: &Intent) -> Result<Elsewhere, Failure> {
    let mut elsewhere = Elsewhere::default();
    match intent {
        Intent::Create { name, hidden } => {
            let mut home = connect(instance, Topology::HOME).await?;
            // A trial has no other name.
            if name.1 != *hidden && exists(&mut home, name).await? {
                return Ok(elsewhere);
            }
            let hidden = (name.0.clone(), hidden.clone());
            run(
                &mut home,
                Topology::HOME,
                &[format!("DROP TABLE IF EXISTS {}", quoted(&hidden))],
            )
            .await?;
            for node in others(instance, &name.0) {
                let mut connection = connect(instance, node).await?;
                run(
                    &mut connection,
                    node,
                    &[format!("DROP TABLE IF EXISTS {}", quoted(name))],
                )
                .await?;
            }
        }
        Intent::Everywhere {
            tables,
            setup,
            statement,
            before,
        } => {
            let mut home = connect(instance, Topology::HOME).await?;
            let now = fingerprint(&mut home, tables).await?;
            if before.get(&Topology::HOME) == Some(&now) {
                return Ok(elsewhere);
            }
            for (node, before) in before.iter().filter(|(node, _)| **node != Topology::HOME) {
                let mut connection = connect(instance, *node).await?;
                if fingerprint(&mut connection, tables).await? != *before {
                    continue;
                }
                run(&mut connection, *node, setup).await?;
                let node = *node;
                let lost = |source| Failure::Branch { node, source };
                let reply = connection.query(statement).await.map_err(lost)?;
                let Reply::Ok(ok) = reply.ok()? else {
                    continue;
                };
                elsewhere.affected += ok.head.affected_rows;
                if ok.head.warnings > 0 {
                    let shown = connection.query("SHOW WARNINGS").await.map_err(lost)?;
                    let shown = shown.rows().map(|rows| rows.texts().unwrap_or_default());
                    let shown = shown.unwrap_or_default();
                    elsewhere.warned.push((ok.head.warnings, shown));
                }
            }
        }
        Intent::Redistribute(redistribution) => redistribution.finish(instance).await?,
        Intent::Triggers { table } => super::triggers::spread(instance, table).await?,
    }
    Ok(elsewhere)
}

/// The nodes of a database but home.
pub(crate) fn others(instance: &Instance, database: &str) -> Vec<u16> {
    let mut nodes = instance.topology().nodes_of(database);
    nodes.retain(|node| *node != Topology::HOME);
    nodes
}

/// The service's own connection to a node.
pub(crate) async fn connect(instance: &Instance, node: u16) -> Result<NodeConnection, Failure> {
    let connection = instance.connect(node).await;
    connection.map_err(|source| Failure::Branch { node, source })
}

/// Runs statements, none of which may fail.
pub(crate) async fn run(
    connection: &mut NodeConnection,
    node: u16,
    statements: &[String],
) -> Result<(), Failure> {
    for statement in statements {
        let reply = connection.query(statement).await;
        reply
            .map_err(|source| Failure::Branch { node, source })?
            .ok()?;
    }
    Ok(())
}

/// Whether there is a table of that name.
pub(crate) async fn exists(connection: &mut NodeConnection, name: &Name) -> Result<bool, Failure> {
    let rows = texts(
        connection,
        &format!(
            "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
            literal(&name.0),
            literal(&name.1)
        ),
    )
    .await?;
    Ok(!rows.is_empty())
}

/// What tables are, so that it can be told later whether they were redefined.
pub(crate) async fn fingerprint(
    connection: &mut NodeConnection,
    tables: &[Name],
) -> Result<String, Failure> {
    let mut all = String::new();
    for name in tables {
        if !exists(connection, name).await? {
            all.push_str("absent;");
            continue;
        }
        let of_file = format!("{}/{}", file_name(&name.0), file_name(&name.1));
        for question in [
            format!("SHOW CREATE TABLE {}", quoted(name)),
            format!(
                "SELECT t.TABLE_ID, t.SPACE, i.INDEX_ID FROM information_schema.INNODB_SYS_TABLES t \
                 JOIN information_schema.INNODB_SYS_INDEXES i ON i.TABLE_ID = t.TABLE_ID \
                 WHERE t.NAME = {} ORDER BY i.INDEX_ID",
                literal(&of_file)
            ),
        ] {
            for row in texts(connection, &question).await? {
                // The counter moves by itself.
                let row = row.join("|");
                all.push_str(&without_counter(&row));
                all.push(';');
            }
        }
    }
    Ok(all)
}

fn without_counter(definition: &str) -> String {
    let Some(at) = definition.find(" AUTO_INCREMENT=") else {
        return definition.to_owned();
    };
    let behind = &definition[at + 16..];
    let end = behind
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(behind.len());
    format!("{}{}", &definition[..at], &behind[end..])
}

/// A name as files have it.
fn file_name(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c);
        } else {
            out.push_str(&format!("@{:04x}", c as u32));
        }
    }
    out
}

/// The rows of a question, an empty text for NULL.
pub(crate) async fn texts(
    connection: &mut NodeConnection,
    question: &str,
) -> Result<Vec<Vec<String>>, Failure> {
    let lost = |source| Failure::Branch {
        node: Topology::HOME,
        source,
    };
    let reply = connection.query(question).await.map_err(lost)?;
    let Reply::Rows(rows) = reply.ok()? else {
        return Ok(Vec::new());
    };
    let rows = rows.texts().map_err(|error| lost(error.into()))?;
    let text =
        |value: Option<Vec<u8>>| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
    Ok(rows
        .into_iter()
        .map(|row| row.into_iter().map(text).collect())
        .collect())
}

/// A text as a literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
