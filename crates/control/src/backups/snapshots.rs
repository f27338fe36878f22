//! Snapshots of databases that are spread over nodes: begun on all of them at one moment, while the
//! coordinator has the instance stand still.

use std::collections::BTreeMap;
use std::time::Duration;

use openpeta_engine::{EngineError, Snapshots};
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
        let mut attempt = 1;
        loop {
            match self.try_snapshots(id, db_name).await? {
                Ok(begun) => return Ok(begun),
                Err(cause) if attempt == ATTEMPTS => return Err(StepError::transient(cause)),
                Err(cause) => {
                    tracing::debug!(instance = %id, database = %db_name, attempt, cause, "nodes do not stand still; it is tried again");
                }
            }
            attempt += 1;
            tokio::time::sleep(PAUSE).await;
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
            // A move that has begun has brought rows where they do not count.
            Some(Ok(())) if self.settled_placement(id)?.as_ref() != Some(&placement) => {
                Ok(Err(MOVING.to_owned()))
            }
            Some(Ok(())) => Ok(Ok(BegunSnapshots {
                snapshots,
                partitions: self.partitions_in(&placement, &database),
            })),
            Some(Err(error @ (EngineError::InDoubt { .. } | EngineError::Sql { .. }))) => {
                Ok(Err(error.to_string()))
            }
            Some(Err(error)) => Err(engine_error(error)),
            None => Ok(Err("nothing was begun".to_owned())),
        }
    }
}
