//! Sets of databases that are spread over nodes: a snapshot is begun on each node at one moment, and
//! all of them are read into one file, one after the other. Other databases of their instance are whole
//! on its first node: a snapshot of one is begun there alone, see [`Origin`].
//!
//! Which partition is on which node, and that no transaction over nodes is half carried out at that
//! moment, is the caller's business.

use std::collections::BTreeMap;
use std::path::Path;

use mysql_async::Row;
use openpeta_types::{DbName, NodeId};

use super::dump::{self, Begun};
use super::export::{Output, Place};
use super::layout::Layout;
use super::manifest::{BackupSource, BinlogPosition, Manifest, NodePart, Spread};
use super::moment::{self, Moment};
use super::schema::Schema;
use super::session::Session;
use super::writer::DumpWriter;
use super::{MAX_PACKET, Progress, TakenSet, Tell, in_doubt, load, set_dir, verify};
use crate::engine::{Engine, blocking};
use crate::error::{EngineError, Result};
use crate::quote;

/// How long we wait for whoever keeps a node from committing, in seconds: nobody over nodes commits
/// meanwhile.
const LOCK_SECONDS: u32 = 1;

/// Where the coordinator of nodes keeps which ids of `AUTO_INCREMENT` columns are given.
pub(crate) const IDS: &str = "mysql.openpeta_ids";

/// Lets definitions have and show the option that says how rows are distributed.
const KEEPS_OPTIONS: &[u8] = b"SET SESSION sql_mode='IGNORE_BAD_TABLE_OPTIONS'";

/// Sessions for snapshots of a database, one on each node that it is on.
pub struct Snapshots {
    pub(super) database: DbName,
    pub(super) nodes: Vec<Snapshot>,
    /// Nobody commits on any of the nodes while they are begun.
    are_held: bool,
}

/// On one node.
pub(super) struct Snapshot {
    node: NodeId,
    session: Session,
    /// Keeps everybody from committing while the snapshots are begun, or looks what they do.
    blocking: Session,
    /// What the database was like before.
    before: Schema,
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Snapshots({}, {})",
            self.database.as_str(),
            self.nodes.len()
        )
    }
}

impl Snapshots {
    /// Has no other backup keep from committing on the nodes, as a copy of data files of another database
    /// does for as long as it needs to. Clients go on meanwhile. To be called right before
    /// [`begin`](Self::begin), and of no use on [one node](Engine::open_snapshot).
    ///
    /// # Errors
    /// One of the connection: a lock that is not had within a second if there is another backup.
    pub async fn make_ready(&mut self) -> Result<()> {
        if self.are_held {
            for Snapshot { blocking, .. } in &mut self.nodes {
                blocking.run("hold commits", b"BACKUP STAGE START").await?;
            }
        }
        Ok(())
    }

    /// Begins all snapshots, at a moment at which nobody commits anything on any of the nodes. Takes some
    /// milliseconds once they are [ready](Self::make_ready); dropping the future lets everybody go on. On
    /// [one node](Engine::open_snapshot) nobody is held.
    ///
    /// # Errors
    /// [`EngineError::InDoubt`] when a transaction is prepared on a node: it may be committed on others;
    /// one of the connection.
    pub async fn begin(&mut self) -> Result<()> {
        if !self.are_held {
            return self.begin_beside_others().await;
        }
        let begun = self.begin_blocked().await;
        for Snapshot { blocking, .. } in &mut self.nodes {
            // Nobody waits for one that was not begun.
            let ended = blocking.run("let commits go on", b"BACKUP STAGE END").await;
            if begun.is_ok() {
                ended?;
            }
        }
        begun
    }

    async fn begin_blocked(&mut self) -> Result<()> {
        for Snapshot { blocking, .. } in &mut self.nodes {
            let stage = b"BACKUP STAGE BLOCK_COMMIT";
            blocking.run("hold commits", stage).await?;
        }
        for Snapshot { node, blocking, .. } in &mut self.nodes {
            require_nothing_prepared(blocking, node).await?;
        }
        for Snapshot { session, .. } in &mut self.nodes {
            moment::start(session).await?;
        }
        Ok(())
    }

    /// Begins them while others commit, none of which was prepared at that moment.
    async fn begin_beside_others(&mut self) -> Result<()> {
        for snapshot in &mut self.nodes {
            moment::start(&mut snapshot.session).await?;
            let begun = moment::position(&mut snapshot.session).await?;
            require_nothing_prepared(&mut snapshot.blocking, &snapshot.node).await?;
            if ended_since(&mut snapshot.blocking, &begun).await? {
                let node = snapshot.node.clone();
                return Err(EngineError::InDoubt { node });
            }
        }
        Ok(())
    }
}

/// Refuses a moment at which a transaction may be committed on other nodes.
pub(super) async fn require_nothing_prepared(session: &mut Session, node: &NodeId) -> Result<()> {
    let prepared = session.raw("list transactions", "XA RECOVER").await?;
    match prepared.is_empty() {
        true => Ok(()),
        false => Err(EngineError::InDoubt { node: node.clone() }),
    }
}

/// Whether a transaction that may have been prepared before has come to its end since a position in the
/// log.
async fn ended_since(session: &mut Session, begun: &BinlogPosition) -> Result<bool> {
    let query = in_doubt::events_since(begun);
    let events: Vec<Row> = session.rows("read the binary log", &query).await?;
    Ok(in_doubt::have_end(&events))
}

/// What a database is read from that is whole on one node.
#[derive(Debug)]
pub enum Origin {
    /// A node, at whatever moment is the next one.
    Node(NodeId),
    /// A [snapshot](Engine::open_snapshot) that was begun.
    Begun(Snapshots),
}

impl From<&NodeId> for Origin {
    fn from(node: &NodeId) -> Self {
        Self::Node(node.clone())
    }
}

impl Origin {
    /// The node, what reads it, and what that sees.
    pub(super) async fn begin(
        self,
        engine: &Engine,
        database: &DbName,
    ) -> Result<(NodeId, Session, Begun)> {
        match self {
            Self::Node(node) => {
                let mut session = engine.session(&node, database).await?;
                let begun = dump::begin(&mut session, database).await?;
                Ok((node, session, begun))
            }
            Self::Begun(mut snapshots) => {
                let snapshot = match (snapshots.nodes.pop(), snapshots.nodes.is_empty()) {
                    (Some(snapshot), true) => snapshot,
                    _ => {
                        return Err(EngineError::RestoreDiffers {
                            what: "the number of nodes".to_owned(),
                        });
                    }
                };
                let (node, session, begun, _) = look(snapshot, database, 0, 1).await?;
                let what = String::new();
                Ok((node, session, Begun { what, ..begun }))
            }
        }
    }
}

impl Engine {
    /// Makes ready for a snapshot of a database that is whole on one node of several: transactions of theirs
    /// may write to it. They are not kept from committing while it is begun, as on
    /// [several nodes](Self::open_snapshots), where a backup of data files would be in the way.
    ///
    /// # Errors
    /// Those of the connections.
    pub async fn open_snapshot(&self, node: &NodeId, database: &DbName) -> Result<Snapshots> {
        let session = self.session(node, database).await?;
        Ok(Snapshots {
            database: database.clone(),
            nodes: vec![self.snapshot(node, session, database).await?],
            are_held: false,
        })
    }

    /// Makes ready for a snapshot by a session.
    async fn snapshot(
        &self,
        node: &NodeId,
        mut session: Session,
        database: &DbName,
    ) -> Result<Snapshot> {
        let mut blocking = self.session(node, database).await?;
        let limit = format!("SET SESSION lock_wait_timeout={LOCK_SECONDS}");
        blocking.run("limit waits", limit.as_bytes()).await?;
        moment::prepare(&mut session).await?;
        Ok(Snapshot {
            node: node.clone(),
            before: Schema::read(&mut session, database).await?,
            session,
            blocking,
        })
    }

    /// Makes ready for snapshots of a database on these nodes, node 0 first.
    ///
    /// # Errors
    /// Those of the connections.
    pub async fn open_snapshots(&self, nodes: &[NodeId], database: &DbName) -> Result<Snapshots> {
        let mut opened = Vec::new();
        for node in nodes {
            let session = self.spread_session(node, database).await?;
            opened.push(self.snapshot(node, session, database).await?);
        }
        Ok(Snapshots {
            database: database.clone(),
            nodes: opened,
            are_held: true,
        })
    }

    /// Takes a set of what snapshots that were begun see, as [`take_set`](Self::take_set) does.
    ///
    /// # Errors
    /// As with [`take_set`](Self::take_set).
    pub async fn take_spread_set(
        &self,
        snapshots: Snapshots,
        set: &Path,
        source: &BackupSource,
        partitions: &[u16],
        progress: Progress<'_>,
    ) -> Result<TakenSet> {
        let keys = self.backup_keys().clone();
        let directory = set.to_owned();
        let directory = blocking(move || set_dir::begin(&directory)).await?;
        let (source, partitions) = (source.clone(), partitions.to_vec());
        let database = snapshots.database.clone();
        let work = move |writer: DumpWriter, _: Layout, tell: Tell| async move {
            write_down(snapshots, &source, partitions, writer, &*tell).await
        };
        let place = Place {
            output: Output::Dir(directory, keys.clone()),
            form: None,
        };
        let manifest = self.write_text(&database, place, work, progress).await?;
        self.finish_set(set, manifest, keys).await
    }

    /// Makes a database anew out of a set, on nodes that nobody else uses, node 0 first, as
    /// [`load_set`](Self::load_set) does. There are as many as the set is of.
    ///
    /// # Errors
    /// As with [`load_set`](Self::load_set).
    pub async fn load_spread_set(
        &self,
        nodes: &[NodeId],
        database: &DbName,
        set: &Path,
        manifest: &Manifest,
        progress: Progress<'_>,
    ) -> Result<()> {
        for (number, node) in nodes.iter().enumerate() {
            let (_, range) = part(manifest, number)?;
            // An interrupted load may still be at work in there.
            self.drop_database(node, database).await?;
            let mut sql = self.sql(node).await?;
            sql.create_database(database).await?;
            sql.set_loading(true, MAX_PACKET).await?;
            sql.close().await;
            let mut session = self.spread_session(node, database).await?;
            // What is loaded is where the binary log of this node begins.
            session
                .run("load a backup", b"SET SESSION sql_log_bin=0")
                .await?;
            let keys = self.backup_keys();
            load::load(&mut session, set, manifest, range, keys, progress).await?;
            session.close().await;
        }
        Ok(())
    }

    /// Compares a database on nodes, node 0 first, with the set that it was loaded from, as
    /// [`verify_set`](Self::verify_set) does.
    ///
    /// # Errors
    /// As with [`verify_set`](Self::verify_set).
    pub async fn verify_spread_set(
        &self,
        nodes: &[NodeId],
        database: &DbName,
        manifest: &Manifest,
        progress: Progress<'_>,
    ) -> Result<()> {
        for (number, node) in nodes.iter().enumerate() {
            let (part, _) = part(manifest, number)?;
            let mut session = self.spread_session(node, database).await?;
            let compared = verify::verify(&mut session, database, &part, progress).await;
            compared.map_err(|error| on_node(error, number))?;
            if let (0, Some(spread)) = (number, &manifest.spread)
                && ids(&mut session, database).await? != spread.ids
            {
                return Err(EngineError::RestoreDiffers {
                    what: "the ids that were given".to_owned(),
                });
            }
            session.close().await;
        }
        match nodes.len() == manifest.node_number() {
            true => Ok(()),
            false => Err(EngineError::RestoreDiffers {
                what: "the number of nodes".to_owned(),
            }),
        }
    }

    async fn spread_session(&self, node: &NodeId, database: &DbName) -> Result<Session> {
        let mut session = self.session(node, database).await?;
        session.run("keep table options", KEEPS_OPTIONS).await?;
        Ok(session)
    }
}

/// The part of a set that is a node's.
fn part(manifest: &Manifest, number: usize) -> Result<(Manifest, std::ops::Range<u64>)> {
    let part = manifest.part(number);
    part.ok_or_else(|| EngineError::RestoreDiffers {
        what: format!("node {number}, of which it has nothing"),
    })
}

/// Tells on which node something differs.
fn on_node(error: EngineError, number: usize) -> EngineError {
    match error {
        EngineError::RestoreDiffers { what } => EngineError::RestoreDiffers {
            what: format!("{what}, on node {number}"),
        },
        other => other,
    }
}

/// Reads all snapshots into a file; the manifest of them all.
async fn write_down(
    snapshots: Snapshots,
    source: &BackupSource,
    partitions: Vec<u16>,
    mut writer: DumpWriter,
    progress: Progress<'_>,
) -> Result<Manifest> {
    let Snapshots {
        database, nodes, ..
    } = snapshots;
    let count = nodes.len();
    // All of them let go of definitions before the first one is read, which takes a while.
    let mut begun = Vec::new();
    for (number, snapshot) in nodes.into_iter().enumerate() {
        begun.push(look(snapshot, &database, number, count).await?);
    }
    let total = begun.iter().map(|(.., bytes)| bytes).sum();
    let (mut whole, mut further, mut before) = (None, Vec::new(), 0);
    for (number, (node, mut session, of_node, bytes)) in begun.into_iter().enumerate() {
        let begin = writer.file_bytes();
        let tell = |done: u64, _: u64, what: &str| progress(before + done, total, what);
        let ids = match number {
            0 => ids(&mut session, &database).await?,
            _ => BTreeMap::new(),
        };
        moment::release(&mut session).await?;
        let target = (&mut writer, &Layout::Set);
        let taken = dump::write_down(
            &mut session,
            &database,
            source,
            of_node,
            None,
            target,
            &tell,
        );
        let mut manifest = taken.await?;
        session.close().await;
        manifest.binlog.node = node.to_string();
        before += bytes;
        if number == 0 {
            write_ids(&mut writer, &ids).await?;
            let spread = Spread {
                bytes: writer.file_bytes(),
                partitions: partitions.clone(),
                ids,
                nodes: Vec::new(),
            };
            whole = Some((manifest, spread));
            continue;
        }
        further.push(NodePart {
            number: u16::try_from(number).unwrap_or(u16::MAX),
            begin,
            bytes: writer.file_bytes() - begin,
            taken_at: manifest.taken_at,
            binlog: manifest.binlog.clone(),
            content: manifest.into(),
        });
    }
    let dump = writer.finish().await?;
    let Some((manifest, spread)) = whole else {
        return Err(EngineError::RestoreDiffers {
            what: "the number of nodes".to_owned(),
        });
    };
    Ok(Manifest {
        dump,
        spread: Some(Spread {
            nodes: further,
            ..spread
        }),
        ..manifest
    })
}

/// What a snapshot sees, and about how many bytes there are to read.
pub(super) async fn look(
    snapshot: Snapshot,
    database: &DbName,
    number: usize,
    count: usize,
) -> Result<(NodeId, Session, Begun, u64)> {
    let Snapshot {
        node,
        mut session,
        blocking,
        before,
    } = snapshot;
    blocking.close().await;
    let moment: Moment = moment::started(&mut session).await?;
    let schema = Schema::read(&mut session, database).await?;
    moment::release(&mut session).await?;
    if let Some(object) = before.difference(&schema) {
        return Err(EngineError::SchemaChanged { object });
    }
    let bytes = schema.tables.values().map(|table| table.bytes).sum();
    let what = format!(", node {number} of {count}");
    let begun = Begun {
        schema,
        moment,
        what,
    };
    Ok((node, session, begun, bytes))
}

/// From which value on `AUTO_INCREMENT` columns go on, by table, as node 0 says it.
pub(super) async fn ids(session: &mut Session, database: &DbName) -> Result<BTreeMap<String, u64>> {
    let query = format!(
        "SELECT table_name, next_id FROM {IDS} WHERE table_schema = {}",
        quote::string(database.as_str())
    );
    match session.rows("read ids", &query).await {
        Ok(rows) => Ok(rows.into_iter().collect()),
        // None was given yet.
        Err(error) if error.server_code() == Some(1146) => Ok(BTreeMap::new()),
        Err(error) => Err(moment::changed(error, IDS)),
    }
}

/// Writes what makes node 0 go on with them, in whichever database it is loaded.
async fn write_ids(writer: &mut DumpWriter, ids: &BTreeMap<String, u64>) -> Result<()> {
    // As the coordinator makes it.
    let create = format!(
        "-- ids\nCREATE TABLE IF NOT EXISTS {IDS} (table_schema VARCHAR(64) NOT NULL, \
         table_name VARCHAR(64) NOT NULL, next_id BIGINT UNSIGNED NOT NULL, \
         PRIMARY KEY (table_schema, table_name)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 \
         COLLATE=utf8mb4_bin;\nDELETE FROM {IDS} WHERE table_schema=DATABASE();\n"
    );
    writer.write(&create).await?;
    for (table, next) in ids {
        let table = quote::string(table);
        let insert = format!("INSERT INTO {IDS} VALUES (DATABASE(), {table}, {next});\n");
        writer.write(&insert).await?;
    }
    writer.write("COMMIT;\n").await
}
