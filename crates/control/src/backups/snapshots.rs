//! Snapshots of databases that are spread over nodes: begun on all of them at one moment, while the
//! coordinator has the instance stand still. Transactions over nodes may write to other databases of the
//! instance as well, which are whole on its first node: snapshots of these are begun in the same way.

use std::collections::BTreeMap;
use std::time::Duration;

use openpeta_engine::{EngineError, Origin, Snapshots, Stillness, Stood};
use openpeta_store::{Database, MovingPartitions};
use openpeta_tasks::StepError;
use openpeta_types::{DbName, InstanceId, NodeId};

use crate::instance_nodes::{first_placement, is_on};
use crate::parts::Parts;
use crate::workflows::engine_error;
use crate::{ControlError, StandStillError};

/// How long clients wait at most. It takes some milliseconds when nothing is in the way.
const LIMIT: Duration = Duration::from_millis(500);
/// How often it is tried before it is given up for now.
const ATTEMPTS: u32 = 40;
/// Between two attempts clients go on.
const PAUSE: Duration = Duration::from_millis(500);
/// How long clients wait at most until a copy of data files has come to its moment: nobody commits on that
/// node meanwhile anyway, and the copy would have to be begun anew.
const COPY_LIMIT: Duration = Duration::from_secs(10);

/// Why nothing is begun while partitions move.
const MOVING: &str = "partitions are being moved";

/// The number of the node that each partition is on, by database.
pub(crate) type Placement = BTreeMap<DbName, Vec<u16>>;

/// Snapshots that were begun, and the node that each partition was on.
pub(crate) struct BegunSnapshots {
    pub(crate) snapshots: Snapshots,
    pub(crate) partitions: Vec<u16>,
}

impl Parts {
    /// The nodes that a database is on, node 0 first, also while its instance is being deleted.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails, or does not have all of them.
    pub(crate) fn nodes_of_database(
        &self,
        id: &InstanceId,
        database: &Database,
    ) -> Result<Vec<NodeId>, ControlError> {
        let (home, mut nodes) = self.store.read(|reader| {
            let home = reader.instance(id)?.and_then(|instance| instance.node_id);
            Ok::<_, ControlError>((home, reader.nodes_of(id)?))
        })?;
        nodes.retain(|node| match node.number {
            0 => Some(&node.node_id) == home.as_ref(),
            number => is_on(database, number),
        });
        nodes.sort_by_key(|node| node.number);
        if nodes.len() != database.node_number as usize {
            let name = &database.db_name;
            return Err(ControlError::internal(format!(
                "database {name} of instance {id} has {} nodes of {}",
                nodes.len(),
                database.node_number
            )));
        }
        Ok(nodes.into_iter().map(|node| node.node_id).collect())
    }

    /// Where the partitions of an instance's databases are; `None` while rows of some are on nodes on which
    /// they do not count.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn settled_placement(
        &self,
        id: &InstanceId,
    ) -> Result<Option<Placement>, ControlError> {
        self.store.read(|reader| {
            let moving = reader.moving_partitions(id)?;
            let is_moving = |moving: &MovingPartitions| *moving != MovingPartitions::default();
            match moving.values().any(is_moving) {
                true => Ok(None),
                false => Ok(Some(reader.partitions(id)?)),
            }
        })
    }

    /// The node of each partition of a database.
    pub(crate) fn partitions_in(&self, placement: &Placement, database: &Database) -> Vec<u16> {
        let known = placement.get(&database.db_name).cloned();
        known.unwrap_or_else(|| first_placement(database.node_number))
    }

    /// Begins a snapshot of a database on each of its nodes, all at one moment.
    ///
    /// # Errors
    /// A transient one when the instance does not come to a standstill.
    pub(crate) async fn begin_snapshots(
        &self,
        id: &InstanceId,
        db_name: &DbName,
    ) -> Result<BegunSnapshots, StepError> {
        let mut attempts = Attempts::new(id, db_name);
        loop {
            match self.try_snapshots(id, db_name).await? {
                Ok(begun) => return Ok(begun),
                Err(cause) => attempts.again(cause).await?,
            }
        }
    }

    /// What a database is read from that is whole on the first node of its instance: in an instance with
    /// several nodes a snapshot that has nothing of a transaction over nodes without its end.
    ///
    /// # Errors
    /// A transient one when the instance does not come to a standstill.
    pub(crate) async fn origin_of(
        &self,
        id: &InstanceId,
        db_name: &DbName,
        node: &NodeId,
    ) -> Result<Origin, StepError> {
        let mut attempts = Attempts::new(id, db_name);
        while self.has_several_nodes(id)? {
            let opened = self.engine.open_snapshot(node, db_name).await;
            let mut snapshots = opened.map_err(engine_error)?;
            match self.begin_still(id, db_name, &mut snapshots).await? {
                Ok(()) => return Ok(Origin::Begun(snapshots)),
                Err(cause) => attempts.again(cause).await?,
            }
        }
        Ok(Origin::from(node))
    }

    /// Whether a coordinator carries out transactions over nodes of an instance.
    fn has_several_nodes(&self, id: &InstanceId) -> Result<bool, ControlError> {
        let partitions = self.store.read(|reader| reader.partitions(id))?;
        Ok(!partitions.is_empty())
    }

    /// Has an instance stand still at the moment of a copy of data files of such a database.
    pub(crate) fn standing<'p>(&'p self, id: &'p InstanceId, db_name: &'p DbName) -> Standing<'p> {
        Standing {
            parts: self,
            id,
            db_name,
        }
    }

    /// One attempt; why it is to be tried again.
    async fn try_snapshots(
        &self,
        id: &InstanceId,
        db_name: &DbName,
    ) -> Result<Result<BegunSnapshots, String>, StepError> {
        let found = self.store.read(|reader| reader.database(id, db_name))?;
        let Some(database) = found else {
            return Err(StepError::permanent("The database is gone.", "no row"));
        };
        let Some(placement) = self.settled_placement(id)? else {
            return Ok(Err(MOVING.to_owned()));
        };
        let nodes = self.nodes_of_database(id, &database)?;
        let opened = self.engine.open_snapshots(&nodes, db_name).await;
        let mut snapshots = opened.map_err(engine_error)?;
        // Nobody has to wait while another backup is under way.
        match snapshots.make_ready().await {
            Ok(()) => {}
            Err(error @ EngineError::Sql { .. }) => return Ok(Err(error.to_string())),
            Err(error) => return Err(engine_error(error)),
        }
        match self.begin_still(id, db_name, &mut snapshots).await? {
            // A move that has begun has brought rows where they do not count.
            Ok(()) if self.settled_placement(id)?.as_ref() != Some(&placement) => {
                Ok(Err(MOVING.to_owned()))
            }
            Ok(()) => Ok(Ok(BegunSnapshots {
                snapshots,
                partitions: self.partitions_in(&placement, &database),
            })),
            Err(cause) => Ok(Err(cause)),
        }
    }

    /// Begins snapshots while the instance stands still; why it is to be tried again.
    async fn begin_still(
        &self,
        id: &InstanceId,
        db_name: &DbName,
        snapshots: &mut Snapshots,
    ) -> Result<Result<(), String>, StepError> {
        let mut begun = None;
        let begin = Box::pin(async { begun = Some(snapshots.begin().await) });
        let stood = self.gateway.stand_still(id, db_name, LIMIT, begin).await;
        let begun = match stood {
            Ok(()) => begun,
            // Nobody is let in: there is nothing to hold.
            Err(StandStillError::NotServed) => Some(snapshots.begin().await),
            Err(StandStillError::Busy(cause)) => return Ok(Err(cause)),
        };
        match begun {
            Some(Ok(())) => Ok(Ok(())),
            Some(Err(error @ (EngineError::InDoubt { .. } | EngineError::Sql { .. }))) => {
                Ok(Err(error.to_string()))
            }
            Some(Err(error)) => Err(engine_error(error)),
            None => Ok(Err("nothing was begun".to_owned())),
        }
    }
}

/// How often snapshots were tried to be begun.
struct Attempts<'p> {
    id: &'p InstanceId,
    db_name: &'p DbName,
    made: u32,
}

impl<'p> Attempts<'p> {
    const fn new(id: &'p InstanceId, db_name: &'p DbName) -> Self {
        Self {
            id,
            db_name,
            made: 0,
        }
    }

    /// Waits until it is time for the next one.
    ///
    /// # Errors
    /// When that was the last one.
    async fn again(&mut self, cause: String) -> Result<(), StepError> {
        let Self { id, db_name, made } = self;
        *made += 1;
        if *made == ATTEMPTS {
            return Err(StepError::transient(cause));
        }
        tracing::debug!(instance = %id, database = %db_name, attempt = *made, cause, "nodes do not stand still; it is tried again");
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

/// Has an instance stand still, if it has several nodes.
pub(crate) struct Standing<'p> {
    parts: &'p Parts,
    id: &'p InstanceId,
    db_name: &'p DbName,
}

impl Stillness for Standing<'_> {
    fn stand_still<'a>(&'a self, work: Stood<'a, ()>) -> Stood<'a, Result<bool, String>> {
        Box::pin(async move {
            let Self { parts, id, db_name } = self;
            let told = |error: ControlError| format!("{error:?}");
            if !parts.has_several_nodes(id).map_err(told)? {
                work.await;
                return Ok(false);
            }
            let mut work = Some(work);
            let begin = Box::pin(async {
                if let Some(work) = work.take() {
                    work.await;
                }
            });
            let stood = parts.gateway.stand_still(id, db_name, COPY_LIMIT, begin);
            match (stood.await, work) {
                (Ok(()), _) => Ok(true),
                // Nobody is let in: there is nothing to hold.
                (Err(StandStillError::NotServed), Some(work)) => {
                    work.await;
                    Ok(true)
                }
                (Err(error), _) => Err(error.to_string()),
            }
        })
    }
}
