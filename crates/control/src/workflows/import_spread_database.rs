//! An import into a database over several nodes: it is loaded and compared on the first node as any
//! import is, then distributed over all of them, compared once more, and put in its place on each.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_engine::{EngineError, ImportNodes, ImportPlace};
use openpeta_store::{Task, Writer};
use openpeta_tasks::{
    RetryPolicy, Step, StepEntry, StepError, TaskContext, Workflow, forward, undoable,
};
use openpeta_types::{NodeId, ObjectStatus};
use serde::{Deserialize, Serialize};

use super::import_database::{
    CheckImport, ImportDatabaseParams, Imports, LoadDump, back_up, node, staging,
};
use super::loading::{self, RETRY};
use super::meter::Meter;
use super::{FAILED_INSIDE, engine_error};
use crate::parts::Parts;

/// Why it cannot go on when nodes have changed.
const MOVED: &str = "Partitions of the database have been moved meanwhile. Import again.";

/// Imports a dump into a database over several nodes that is empty.
pub(crate) struct ImportSpreadDatabase(pub(super) Arc<Parts>);

/// Whether a task imports into one.
pub(super) fn is_import_over_nodes(task: &Task) -> bool {
    task.workflow == ImportSpreadDatabase::NAME
}

impl Workflow for ImportSpreadDatabase {
    const NAME: &'static str = "import-spread-database";
    const IS_LONG: bool = true;
    const RUNS_BESIDE_OTHERS: bool = true;
    type Params = ImportDatabaseParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(LoadDump),
            undoable(CheckImport),
            undoable(Distribute),
            undoable(Settle),
            forward(Publish),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        back_up(&self.0, writer, task.params())
    }
}

impl Imports for ImportSpreadDatabase {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }
}

/// What the steps run in.
type Context<'a> = TaskContext<'a, ImportSpreadDatabase>;

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Places {
    /// Its nodes, by number.
    nodes: Vec<NodeId>,
    /// The number of the node of each partition.
    partitions: Vec<u16>,
}

impl Places {
    /// As it is now; `None` while partitions are being moved.
    fn of(parts: &Parts, params: &ImportDatabaseParams) -> Result<Option<Self>, StepError> {
        let (id, name) = (&params.instance_id, &params.db_name);
        let database = parts.store.read(|reader| reader.database(id, name))?;
        let Some(database) = database else {
            return Err(StepError::permanent("The database is gone.", "no row"));
        };
        let Some(placement) = parts.settled_placement(id)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            nodes: parts.nodes_of_database(id, &database)?,
            partitions: parts.partitions_in(&placement, &database),
        }))
    }

    fn as_nodes(&self) -> ImportNodes<'_> {
        ImportNodes {
            nodes: &self.nodes,
            partitions: &self.partitions,
        }
    }
}

impl ImportSpreadDatabase {
    /// Refuses to go on when nodes are not what they were.
    fn require_same(&self, task: &Context<'_>, places: &Places) -> Result<(), StepError> {
        match Places::of(&self.0, task.params())? {
            Some(now) if now == *places => Ok(()),
            _ => Err(StepError::refused(MOVED, MOVED)),
        }
    }
}

/// All nodes have what they shall have, and the first one still has all.
struct Distribute;

#[async_trait]
impl Step<ImportSpreadDatabase> for Distribute {
    const NAME: &'static str = "distribute-import";
    const TITLE: &'static str = "Distributing what was loaded over the nodes";
    const WEIGHT: u32 = 10;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = Places;

    async fn run(
        &self,
        workflow: &ImportSpreadDatabase,
        task: &Context<'_>,
    ) -> Result<Places, StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let home = node(parts, params).await?;
        let staging = staging(task.task_id())?;
        let places = Places::of(parts, params)?;
        let places = places.ok_or_else(|| StepError::transient("partitions are being moved"))?;
        loading::start_all(parts, &places.nodes).await?;
        let imported = task.output::<CheckImport>()?;
        let meter = Meter::new();
        let progress = |done: u64, total: u64, what: &str| {
            meter.tell(task, (done, total), &format!("Distributing table {what}"));
        };
        let place = ImportPlace {
            node: &home,
            staging: &staging,
            target: &params.db_name,
        };
        let distributed =
            parts
                .engine
                .distribute_import(place, places.as_nodes(), &imported, &progress);
        distributed.await.map_err(engine_error)?;
        Ok(places)
    }

    async fn undo(
        &self,
        workflow: &ImportSpreadDatabase,
        task: &Context<'_>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let id = &params.instance_id;
        let (instance, nodes) = parts
            .store
            .read(|reader| Ok::<_, StepError>((reader.instance(id)?, reader.nodes_of(id)?)))?;
        // What goes with the nodes need not be removed before.
        if instance.is_none_or(|instance| instance.status == ObjectStatus::Delete) {
            return Ok(());
        }
        let others = nodes.into_iter().filter(|node| node.number > 0);
        let others = others.map(|node| node.node_id);
        let others: Vec<_> = others.filter(|node| parts.engine.has_node(node)).collect();
        loading::start_all(parts, &others).await?;
        let staging = staging(task.task_id())?;
        let discarded = parts.engine.discard_import_on(&others, &staging).await;
        discarded.map_err(engine_error)
    }
}

/// Each node has its own rows alone, and all together have what was imported. It goes with what was
/// distributed.
struct Settle;

#[async_trait]
impl Step<ImportSpreadDatabase> for Settle {
    const NAME: &'static str = "settle-import";
    const TITLE: &'static str = "Comparing what was distributed with the dump";
    const WEIGHT: u32 = 10;
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = ();

    async fn run(
        &self,
        workflow: &ImportSpreadDatabase,
        task: &Context<'_>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let home = node(parts, params).await?;
        let places = task.output::<Distribute>()?;
        loading::start_all(parts, &places.nodes).await?;
        let imported = task.output::<CheckImport>()?;
        let place = ImportPlace {
            node: &home,
            staging: &staging(task.task_id())?,
            target: &params.db_name,
        };
        let settled = parts
            .engine
            .settle_import(place, places.as_nodes(), &imported);
        settled.await.map_err(engine_error)
    }
}

/// What was imported is in its place on all nodes.
struct Publish;

#[async_trait]
impl Step<ImportSpreadDatabase> for Publish {
    const NAME: &'static str = "publish-import-over-nodes";
    const TITLE: &'static str = "Putting what was imported in its place";
    const RETRY: Option<RetryPolicy> = Some(RETRY);
    type Output = ();

    async fn run(
        &self,
        workflow: &ImportSpreadDatabase,
        task: &Context<'_>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let home = node(parts, params).await?;
        let places = task.output::<Distribute>()?;
        loading::start_all(parts, &places.nodes).await?;
        let imported = task.output::<CheckImport>()?;
        let staging = staging(task.task_id())?;
        let place = ImportPlace {
            node: &home,
            staging: &staging,
            target: &params.db_name,
        };
        let mut published = None;
        let work = Box::pin(async {
            published = Some(match workflow.require_same(task, &places) {
                Err(error) => Err(error),
                Ok(()) => {
                    let publish =
                        parts
                            .engine
                            .publish_import_over_nodes(place, &places.nodes, &imported);
                    publish.await.map_err(refused_if_not_empty)
                }
            });
        });
        let redefined = parts.gateway.redefine(&params.instance_id, work).await;
        match (redefined, published) {
            (_, Some(published)) => published,
            (Err(cause), None) => Err(StepError::transient(cause)),
            (Ok(()), None) => Err(StepError::permanent(FAILED_INSIDE, "nothing was done")),
        }
    }
}

/// What was made in the database meanwhile keeps it from being put there, and nothing was done.
fn refused_if_not_empty(error: EngineError) -> StepError {
    let is_refusal = matches!(error, EngineError::NotEmpty { .. });
    match engine_error(error) {
        StepError::Permanent { message, cause } if is_refusal => {
            StepError::Refused { message, cause }
        }
        error => error,
    }
}
