//! ModifyDatabaseNodesNumber: a database that is spread over nodes gets more of them, or fewer. Partitions are
//! copied to other nodes while clients use the database, follow what is written, and go over in
//! one moment in which nobody uses it; then their rows go from where they were, and nodes that are not
//! needed any more as a whole.
//!
//! Up to that moment everything can be undone. What says where partitions are is one row of the store:
//! a crash leaves the database on the nodes that this row names, and rows elsewhere do not count.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use openpeta_engine::{Mover, PartitionMove};
use openpeta_rpc_api::Action;
use openpeta_sql_route::Partitions;
use openpeta_store::{Database, MovingPartitions, Node, NodeState, Writer};
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, forward, undoable};
use openpeta_types::{DbName, InstanceId, ObjectStatus};
use serde::{Deserialize, Serialize};

use super::added_nodes::{AddsNodes, CreateNodes, StartNodes};
use super::resize_node::{recount, resize_node};
use super::{FAILED_INSIDE, engine_error, instance, sql_on};
use crate::instance_nodes::{OrderedNode, is_on};
use crate::node_size::is_counted;
use crate::parts::Parts;
use crate::placement::moves;

/// How long definitions that were begun before may take.
const DEFINITIONS: Duration = Duration::from_secs(60);
/// How long sessions may take to end what they do before all go on.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long the rest may take while sessions wait.
const REST: Duration = Duration::from_secs(3);
/// How long it may take to come near to what is written.
const BEHIND: Duration = Duration::from_secs(60);
/// How often it is tried to find a moment in which nobody uses the database.
const ATTEMPTS: u32 = 12;
/// From which attempt on transactions that are in the way are ended.
const CALLED_FROM: u32 = 6;
/// How long sessions go on between two attempts.
const BETWEEN: Duration = Duration::from_millis(700);

/// What a client is told when it was not found.
const NO_MOMENT: &str =
    "No moment was found in which sessions do not use the database; order it again.";

/// Gives a database other nodes.
pub(crate) struct ChangeNodesNumber(pub(super) Arc<Parts>);

/// What the order decided.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChangeNodesNumberParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) db_name: DbName,
    /// How many nodes it had.
    pub(crate) from: u32,
    /// How many it shall have.
    pub(crate) to: u32,
    /// The nodes that the instance gets for it.
    pub(crate) nodes: Vec<OrderedNode>,
    /// Where its partitions are.
    pub(crate) before: Vec<u16>,
    /// Where they shall be.
    pub(crate) after: Vec<u16>,
    /// Forgotten when it cannot be done, so that the call can be sent again.
    pub(crate) client_token: Option<String>,
}

impl ChangeNodesNumberParams {
    /// The numbers of the nodes that partitions come to.
    fn targets(&self) -> BTreeSet<u16> {
        let moves = moves(&self.before, &self.after);
        moves.into_iter().map(|((_, to), _)| to).collect()
    }

    /// Those of them on which the database is already.
    fn used_targets(&self) -> BTreeSet<u16> {
        let mut targets = self.targets();
        targets.retain(|number| u32::from(*number) < self.from);
        targets
    }

    /// Those that partitions leave and that stay.
    fn sources(&self) -> BTreeSet<u16> {
        let moves = moves(&self.before, &self.after);
        let sources = moves.into_iter().map(|((from, _), _)| from);
        sources.filter(|it| u32::from(*it) < self.to).collect()
    }

    fn count(&self) -> Result<Partitions, StepError> {
        let count = u16::try_from(self.after.len()).ok();
        let count = count.and_then(NonZeroU16::new).map(Partitions::new);
        count.ok_or_else(|| StepError::permanent(FAILED_INSIDE, "there are no partitions"))
    }
}

impl AddsNodes for ChangeNodesNumber {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn nodes(params: &ChangeNodesNumberParams) -> &[OrderedNode] {
        &params.nodes
    }
}

impl Workflow for ChangeNodesNumber {
    const NAME: &'static str = "change-nodes-number";
    const IS_LONG: bool = true;
    type Params = ChangeNodesNumberParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(CreateNodes),
            undoable(StartNodes),
            undoable(ResizeNodes),
            undoable(Announce),
            undoable(Define),
            undoable(CopyPartitions),
            forward(CutOver),
            forward(Clean),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let params = task.params();
        if let Some(database) = database(writer, params)? {
            let (id, name) = (&params.instance_id, &params.db_name);
            self.0.settle_usage(writer, id, name, Timestamp::now())?;
            writer.update_database(&Database {
                node_number: params.to,
                status: after(&database),
                ..database
            })?;
        }
        let parts = Arc::clone(&self.0);
        writer.after_commit(move || parts.wake_reconcilers());
        recount(writer, &params.instance_id)
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        let params = task.params();
        let (id, name) = (&params.instance_id, &params.db_name);
        for node in &params.nodes {
            writer.delete_node(&node.node_id)?;
        }
        if let Some(database) = database(writer, params)? {
            self.0.settle_usage(writer, id, name, Timestamp::now())?;
            writer.update_database(&Database {
                node_number: params.from,
                status: after(&database),
                ..database
            })?;
        }
        let action = Action::ModifyDatabaseNodesNumber.spec().name;
        self.0.cancel_order(writer, id, Some(name), action)?;
        if let Some(token) = &params.client_token {
            writer.delete_idempotency(task.account_id(), action, token)?;
        }
        recount(writer, id)
    }
}

fn database(
    writer: &Writer<'_>,
    params: &ChangeNodesNumberParams,
) -> Result<Option<Database>, StepError> {
    Ok(writer.database(&params.instance_id, &params.db_name)?)
}

/// Its status when this is over. Its instance may have been released meanwhile.
fn after(database: &Database) -> ObjectStatus {
    match database.status {
        ObjectStatus::Append => ObjectStatus::Active,
        other => other,
    }
}

/// The nodes of an instance by their numbers.
fn numbered(parts: &Parts, params: &ChangeNodesNumberParams) -> Result<Vec<Node>, StepError> {
    Ok(parts.nodes_of(&params.instance_id)?)
}

fn node(nodes: &[Node], number: u16) -> Result<&Node, StepError> {
    let found = nodes.iter().find(|node| node.number == number);
    let missing = || StepError::permanent(FAILED_INSIDE, format!("there is no node {number}"));
    found.ok_or_else(missing)
}

/// Writes what is under way, and has sessions go by it.
fn tell(
    parts: &Parts,
    params: &ChangeNodesNumberParams,
    moving: &MovingPartitions,
) -> Result<(), StepError> {
    let (id, name) = (&params.instance_id, &params.db_name);
    parts
        .store
        .write(|writer| writer.set_moving_partitions(id, name, moving))?;
    Ok(parts.publish(id)?)
}

/// Nodes that are there for other databases have room for this one.
struct ResizeNodes;

#[async_trait]
impl Step<ChangeNodesNumber> for ResizeNodes {
    const NAME: &'static str = "resize-nodes";
    const TITLE: &'static str = "Resizing nodes";
    type Output = ();

    async fn run(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let is_counted = |database: &mut Database| is_counted(database);
        resize_node(&workflow.0, &task.params().instance_id, is_counted).await
    }

    async fn undo(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let params = task.params();
        resize_node(&workflow.0, &params.instance_id, |database| {
            if database.db_name == params.db_name {
                database.node_number = params.from;
            }
            is_counted(database)
        })
        .await
    }
}

/// Waits until no session goes by an older route.
async fn wait_for_all(parts: &Parts, id: &InstanceId) -> Result<(), StepError> {
    let mut why = String::new();
    for attempt in 0..ATTEMPTS {
        let called = attempt >= CALLED_FROM;
        match parts
            .gateway
            .hold(id, PATIENCE, called, Box::pin(async {}))
            .await
        {
            Ok(()) => return Ok(()),
            Err(refusal) => why = refusal,
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Err(StepError::permanent(NO_MOMENT, why))
}

/// Definitions stay as they are from here on.
struct Announce;

#[async_trait]
impl Step<ChangeNodesNumber> for Announce {
    const NAME: &'static str = "announce";
    const TITLE: &'static str = "Waiting for definitions";
    type Output = ();

    async fn run(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let moving = MovingPartitions {
            // Nobody must see what is copied to nodes that are in use.
            foreign: params.used_targets().into_iter().collect(),
            is_moving: true,
        };
        let is_waited_for = !moving.foreign.is_empty();
        tell(parts, params, &moving)?;
        if is_waited_for {
            wait_for_all(parts, &params.instance_id).await?;
        }
        let begun = Instant::now();
        while parts.gateway.is_defining(&params.instance_id).await {
            if begun.elapsed() > DEFINITIONS {
                return Err(StepError::transient("tables are being defined"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn undo(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        tell(&workflow.0, task.params(), &MovingPartitions::default())
    }
}

/// Accounts and empty tables are on the nodes that partitions come to.
struct Define;

#[async_trait]
impl Step<ChangeNodesNumber> for Define {
    const NAME: &'static str = "define";
    const TITLE: &'static str = "Defining accounts and tables";
    type Output = ();

    async fn run(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let nodes = numbered(parts, params)?;
        let home = node(&nodes, 0)?;
        let instance = instance(parts, &params.instance_id)?;
        let accounts = parts.accounts_with_grants(&params.instance_id)?;
        let used = params.used_targets();
        for number in params.targets().difference(&used) {
            let target = node(&nodes, *number)?;
            let (from, to) = (&home.node_id, &target.node_id);
            let defined = parts
                .engine
                .define_partitions(&params.db_name, from, to)
                .await;
            defined.map_err(engine_error)?;
            for (account, grants) in &accounts {
                let applied = parts.apply_account_on(target, &instance, account, grants);
                applied.await?;
                // What was given by SQL counts as well.
                let mut sql = sql_on(parts, home).await?;
                let held = sql.held_by(&account.name).await;
                sql.close().await;
                let mut sql = sql_on(parts, target).await?;
                let set = sql
                    .set_held(&account.name, &held.map_err(engine_error)?)
                    .await;
                sql.close().await;
                set.map_err(engine_error)?;
            }
        }
        Ok(parts.enforce_lock(&params.instance_id).await?)
    }

    /// New nodes go as a whole; from others the database goes.
    async fn undo(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        for target in numbered(parts, params)? {
            let is_new = params.nodes.iter().any(|it| it.node_id == target.node_id);
            let is_used = params.used_targets().contains(&target.number);
            if is_new || is_used || !params.targets().contains(&target.number) {
                continue;
            }
            let engine = &parts.engine;
            let forgotten = engine.forget_moves(&target.node_id, &params.db_name).await;
            match forgotten {
                // The database is not there.
                Err(error) if error.server_code() == Some(1049) => continue,
                done => done.map_err(engine_error)?,
            }
            let dropped = engine.drop_database(&target.node_id, &params.db_name);
            dropped.await.map_err(engine_error)?;
        }
        Ok(())
    }
}

/// The moves of an order, begun or gone on with.
async fn movers(parts: &Parts, params: &ChangeNodesNumberParams) -> Result<Vec<Mover>, StepError> {
    let nodes = numbered(parts, params)?;
    let mut with_broadcast = params.targets();
    with_broadcast.retain(|number| !params.used_targets().contains(number));
    let mut movers = Vec::new();
    for ((from, to), partitions) in moves(&params.before, &params.after) {
        let begun = parts.engine.begin_move(PartitionMove {
            database: params.db_name.clone(),
            from: node(&nodes, from)?.node_id.clone(),
            to: node(&nodes, to)?.node_id.clone(),
            count: params.count()?,
            partitions,
            // All nodes have them, and each target needs them once.
            broadcast: with_broadcast.remove(&to),
        });
        movers.push(begun.await.map_err(engine_error)?);
    }
    Ok(movers)
}

/// Whether all targets are nearly where their sources are.
async fn is_near(movers: &mut [Mover]) -> Result<bool, StepError> {
    let mut is_near = true;
    for mover in movers {
        is_near &= mover.approach().await.map_err(engine_error)?.is_small();
    }
    Ok(is_near)
}

/// Rows are on the nodes that partitions come to, as they were a moment ago.
struct CopyPartitions;

#[async_trait]
impl Step<ChangeNodesNumber> for CopyPartitions {
    const NAME: &'static str = "copy-partitions";
    const TITLE: &'static str = "Copying partitions";
    const WEIGHT: u32 = 30;
    const IS_INTERRUPTIBLE: bool = true;
    type Output = ();

    async fn run(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let mut movers = movers(parts, params).await?;
        let count = movers.len().max(1);
        for (number, mover) in movers.iter_mut().enumerate() {
            loop {
                let begun = Instant::now();
                if !mover.copy().await.map_err(engine_error)? {
                    break;
                }
                let (done, tables) = mover.copied_tables();
                let of_mover = done as f64 / tables.max(1) as f64;
                let fraction = (number as f64 + of_mover) / count as f64;
                let rows = mover.copied_rows();
                task.progress(0.9 * fraction, &format!("{rows} rows are copied"));
                tokio::time::sleep(parts.config.nodes.move_pause(begun.elapsed())).await;
            }
        }
        task.progress(0.9, "following what is written");
        while !is_near(&mut movers).await? {}
        for mover in movers {
            mover.close().await;
        }
        Ok(())
    }

    /// What was copied goes with the nodes, or with the database on them; from nodes that are in use it is
    /// removed.
    async fn undo(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let used = params.used_targets();
        clean(parts, params, &used, &params.before).await?;
        let nodes = numbered(parts, params)?;
        for number in used {
            let target = &node(&nodes, number)?.node_id;
            let forgotten = parts.engine.forget_moves(target, &params.db_name).await;
            forgotten.map_err(engine_error)?;
        }
        Ok(())
    }
}

/// Removes from nodes what is not theirs by a placement.
async fn clean(
    parts: &Parts,
    params: &ChangeNodesNumberParams,
    numbers: &BTreeSet<u16>,
    placement: &[u16],
) -> Result<(), StepError> {
    let nodes = numbered(parts, params)?;
    let pause = |worked: Duration| Ok(parts.config.nodes.move_pause(worked));
    for number in numbers {
        let kept: Vec<u16> = (0..)
            .zip(placement)
            .filter(|(_, node)| *node == number)
            .map(|(partition, _)| partition)
            .collect();
        let source = &node(&nodes, *number)?.node_id;
        let (name, count) = (&params.db_name, params.count()?);
        let cleaned = parts
            .engine
            .clean_partitions(source, name, (count, &kept), &pause)
            .await;
        let rows = cleaned.map_err(engine_error)?;
        tracing::info!(node = %source, rows, "rows that have moved are removed");
    }
    Ok(())
}

/// Partitions go over to other nodes in one moment.
struct CutOver;

#[async_trait]
impl Step<ChangeNodesNumber> for CutOver {
    const NAME: &'static str = "cut-over";
    const TITLE: &'static str = "Letting clients use the nodes";
    const WEIGHT: u32 = 2;
    type Output = ();

    async fn run(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let id = &params.instance_id;
        let placed = parts.store.read(|reader| reader.partitions(id))?;
        match placed.get(&params.db_name) {
            Some(placement) if *placement == params.after => return Ok(parts.publish(id)?),
            // Its instance was released meanwhile.
            None => return Ok(()),
            Some(_) => {}
        }
        let mut why = String::new();
        let mut movers = None;
        for attempt in 0..ATTEMPTS {
            match try_cut_over(parts, params, attempt >= CALLED_FROM, &mut movers).await {
                Ok(pause) => {
                    let (database, pause) = (params.db_name.as_str(), pause.as_millis());
                    tracing::info!(instance = %id, database, pause, "partitions have gone over to other nodes");
                    return Ok(());
                }
                Err(Failed::Used(refusal)) => why = refusal,
                Err(Failed::Lost(error)) => {
                    why = error;
                    movers = None;
                }
            }
            tracing::info!(instance = %id, why, "partitions could not go over; it is tried again");
            tokio::time::sleep(BETWEEN).await;
        }
        Err(StepError::refused(NO_MOMENT, why))
    }
}

/// Why partitions did not go over.
enum Failed {
    /// Sessions use them.
    Used(String),
    /// A node may have been lost.
    Lost(String),
}

/// Holds the database and lets partitions go over; tells for how long sessions waited.
async fn try_cut_over(
    parts: &Parts,
    params: &ChangeNodesNumberParams,
    called: bool,
    kept: &mut Option<Vec<Mover>>,
) -> Result<Duration, Failed> {
    let told = |error: StepError| Failed::Lost(error.to_string());
    let movers = match kept {
        Some(movers) => movers,
        None => kept.insert(movers(parts, params).await.map_err(told)?),
    };
    let begun = Instant::now();
    while !is_near(movers).await.map_err(told)? {
        if begun.elapsed() > BEHIND {
            return Err(Failed::Used(
                "more is written than can be brought".to_owned(),
            ));
        }
    }
    let mut outcome = None;
    let begun = Instant::now();
    let work = async { outcome = Some(switch(parts, params, movers).await) };
    let id = &params.instance_id;
    let held = parts.gateway.hold(id, PATIENCE, called, Box::pin(work));
    held.await.map_err(Failed::Used)?;
    let outcome = outcome.unwrap_or_else(|| Err("nothing was done".to_owned()));
    outcome.map_err(Failed::Lost)?;
    Ok(begun.elapsed())
}

/// Brings the rest, and writes where partitions are from now on.
async fn switch(
    parts: &Parts,
    params: &ChangeNodesNumberParams,
    movers: &mut [Mover],
) -> Result<(), String> {
    let finished = async {
        for mover in movers {
            mover.finish().await.map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(())
    };
    match tokio::time::timeout(REST, finished).await {
        Ok(finished) => finished?,
        Err(_) => return Err("the rest took too long".to_owned()),
    }
    let (id, name) = (&params.instance_id, &params.db_name);
    let moving = MovingPartitions {
        foreign: params.sources().into_iter().collect(),
        is_moving: true,
    };
    let written = parts.store.write(|writer| {
        writer.put_partitions(id, name, &params.after)?;
        writer.set_moving_partitions(id, name, &moving)?;
        for node in &params.nodes {
            let row = writer.node(&node.node_id)?;
            if row.is_some_and(|row| row.state == NodeState::Creating) {
                writer.set_node_state(&node.node_id, NodeState::Running)?;
            }
        }
        Ok::<_, openpeta_store::StoreError>(())
    });
    written.map_err(|error| error.to_string())?;
    // It is so from here on: who cannot be told is let in no more until he is.
    if let Err(error) = parts.publish(id) {
        tracing::error!(instance = %id, context = error.context, "the route could not be published; the reconciler tries again");
    }
    Ok(())
}

/// Rows of partitions go from the nodes that had them.
struct Clean;

#[async_trait]
impl Step<ChangeNodesNumber> for Clean {
    const NAME: &'static str = "clean";
    const TITLE: &'static str = "Removing rows that have moved";
    const WEIGHT: u32 = 10;
    type Output = ();

    async fn run(
        &self,
        workflow: &ChangeNodesNumber,
        task: &TaskContext<'_, ChangeNodesNumber>,
    ) -> Result<(), StepError> {
        let (parts, params) = (&workflow.0, task.params());
        let placed = parts
            .store
            .read(|reader| reader.partitions(&params.instance_id))?;
        if !placed.contains_key(&params.db_name) {
            return Ok(());
        }
        clean(parts, params, &params.sources(), &params.after).await?;
        let nodes = numbered(parts, params)?;
        tell(parts, params, &MovingPartitions::default())?;
        for number in params.targets() {
            let target = &node(&nodes, number)?.node_id;
            let forgotten = parts.engine.forget_moves(target, &params.db_name).await;
            forgotten.map_err(engine_error)?;
        }
        release(parts, params).await
    }
}

/// Removes the database from nodes that it is not on any more, and nodes that no other database needs.
async fn release(parts: &Parts, params: &ChangeNodesNumberParams) -> Result<(), StepError> {
    if params.to >= params.from {
        return Ok(());
    }
    let (id, name) = (&params.instance_id, &params.db_name);
    let is_left = |node: &Node| u32::from(node.number) >= params.to;
    let going = parts.store.write(|writer| {
        let mut databases = writer.databases(id)?;
        databases.retain(|database| database.db_name != *name);
        let mut nodes = writer.nodes_of(id)?;
        nodes.retain(is_left);
        for node in &mut nodes {
            if !databases.iter().any(|its| is_on(its, node.number)) {
                writer.set_node_state(&node.node_id, NodeState::Destroying)?;
                node.state = NodeState::Destroying;
            }
        }
        Ok::<_, StepError>(nodes)
    })?;
    for Node { node_id, state, .. } in going {
        if state == NodeState::Destroying {
            let destroyed = parts.engine.destroy_node(&node_id).await;
            destroyed.map_err(engine_error)?;
            parts.store.write(|writer| writer.delete_node(&node_id))?;
        } else {
            let dropped = parts.engine.drop_database(&node_id, name).await;
            dropped.map_err(engine_error)?;
        }
    }
    Ok(())
}
