//! What is looked at, and when.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use openpeta_engine::{DiskUsage, EngineError, NodeDisk, ProcessFigures, TableSizes};
use openpeta_store::{InstanceDetail, NewEvent, Node, NodeState};
use openpeta_types::{EventKind, NodeId};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::{Column, Samples, of_database, of_instance};
use crate::ControlError;
use crate::parts::Parts;

/// Between two looks at what sessions do.
const LOOK: Duration = Duration::from_secs(1);
/// A time without a look that is worth an event.
const GAP: Duration = Duration::from_secs(10);
/// Between two times that old samples are removed.
const TIDY: Duration = Duration::from_secs(600);
/// Between two measurements of a node's files.
const SIZES: Duration = Duration::from_secs(30);
/// Between two times that a node is asked what its tables take.
const TABLES: Duration = Duration::from_secs(60);
/// Between two times that it has to open its tables for that.
const FREE: Duration = Duration::from_secs(600);
/// What it told longer ago is not known any more.
const TOLD: Duration = Duration::from_secs(300);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(20);

/// Looks at what sessions do, for as long as the service runs.
pub(crate) async fn sample(parts: Arc<Parts>) {
    let mut timer = interval(LOOK);
    // After a pause one look covers all of it.
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut last, mut tidied) = (Instant::now(), Instant::now());
    loop {
        timer.tick().await;
        let elapsed = last.elapsed();
        last += elapsed;
        if elapsed >= GAP {
            note_gap(&parts, elapsed);
        }
        let is_untidy = tidied.elapsed() >= TIDY;
        if is_untidy {
            tidied = Instant::now();
        }
        let its = Arc::clone(&parts);
        // Off the async threads, for the disk may be slow.
        let looked = tokio::task::spawn_blocking(move || {
            let now = Timestamp::now().as_second();
            look(&its, now, elapsed);
            if is_untidy {
                its.samples.tidy(now);
            }
        });
        if let Err(error) = looked.await {
            tracing::error!(%error, "a look at sessions failed");
        }
    }
}

fn note_gap(parts: &Parts, elapsed: Duration) {
    let seconds = elapsed.as_secs();
    let text = format!("sessions were not sampled for {seconds} seconds");
    let event = NewEvent::new(Timestamp::now(), EventKind::SamplesGap, text);
    let details = serde_json::json!({ "seconds": seconds });
    parts.events.record(event.with(&details));
}

/// One look at all instances that are open to clients.
fn look(parts: &Parts, now: i64, elapsed: Duration) {
    let instances = match parts.store.read(|reader| reader.instances()) {
        Ok(instances) => instances,
        Err(error) => {
            tracing::warn!(%error, "sessions cannot be sampled");
            Vec::new()
        }
    };
    let mut seen = Vec::new();
    for instance in instances {
        let id = &instance.instance_id;
        let Some(traffic) = parts.gateway.take_traffic(id) else {
            continue;
        };
        let Some(detail) = parts.store.instance_detail(id) else {
            continue;
        };
        for database in &detail.databases {
            // One that no session has been in had no traffic.
            let its = traffic.databases.get(database.db_name.as_str());
            let its = its.copied().unwrap_or_default();
            seen.push((of_database(database), traffic.counted_as, its));
        }
        seen.push((of_instance(id), traffic.counted_as, traffic.instance));
    }
    parts.samples.look(now, elapsed, seen);
}

/// Measures nodes. One that does not answer is waited for by its own task alone.
pub(crate) struct Measuring {
    /// Dropped with the service, and the tasks with it.
    tasks: Mutex<JoinSet<()>>,
    nodes: Arc<Mutex<Measured>>,
}

/// What is known of nodes from earlier measurements.
#[derive(Default)]
pub(crate) struct Measured {
    /// Being measured now.
    under_way: HashSet<NodeId>,
    processes: HashMap<NodeId, (ProcessFigures, Instant)>,
    sizes: HashMap<NodeId, (DiskUsage, Instant)>,
    /// Bytes of each database's files.
    databases: HashMap<NodeId, BTreeMap<String, u64>>,
    /// Being asked what its tables take.
    asked: HashSet<NodeId>,
    tables: HashMap<NodeId, Tables>,
}

/// What the tables of a node take, as it told last.
struct Tables {
    /// By database, of those that have tables.
    sizes: BTreeMap<String, TableSizes>,
    at: Instant,
    /// When free space was told last.
    free_at: Instant,
}

/// What a database takes, as far as it was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseFigures {
    /// Bytes of its files.
    pub data_bytes: Option<u64>,
    /// Bytes of its secondary indexes.
    pub index_bytes: Option<u64>,
    /// Bytes of its files that are free for new rows.
    pub free_bytes: Option<u64>,
}

impl DatabaseFigures {
    /// What it takes on two nodes; not known unless it is of both.
    pub(crate) fn plus(self, other: Self) -> Self {
        let plus = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
        Self {
            data_bytes: plus(self.data_bytes, other.data_bytes),
            index_bytes: plus(self.index_bytes, other.index_bytes),
            free_bytes: plus(self.free_bytes, other.free_bytes),
        }
    }
}

impl Measured {
    /// What was measured of a node last: its process, its files.
    pub(crate) fn last(&self, node: &NodeId) -> (Option<ProcessFigures>, Option<DiskUsage>) {
        let process = self.processes.get(node).map(|(figures, _)| *figures);
        let disk = self.sizes.get(node).map(|(usage, _)| *usage);
        (process, disk)
    }

    /// What a database of the node takes.
    pub(crate) fn database(&self, node: &NodeId, name: &str) -> DatabaseFigures {
        let tables = self.told(node).map(|tables| tables.of(name));
        DatabaseFigures {
            data_bytes: self
                .databases
                .get(node)
                .and_then(|all| all.get(name).copied()),
            index_bytes: tables.map(|sizes| sizes.index_bytes),
            free_bytes: tables.and_then(|sizes| sizes.free_bytes),
        }
    }

    /// What all tables of the node take.
    pub(crate) fn tables(&self, node: &NodeId) -> Option<TableSizes> {
        self.told(node).map(Tables::total)
    }

    /// What a node has told, unless it no longer tells anything.
    fn told(&self, node: &NodeId) -> Option<&Tables> {
        let tables = self.tables.get(node);
        tables.filter(|tables| tables.at.elapsed() < TOLD)
    }

    /// How long ago the node's process was measured.
    pub(crate) fn age(&self, node: &NodeId) -> Option<Duration> {
        self.processes.get(node).map(|(_, at)| at.elapsed())
    }
}

impl Tables {
    /// A database without tables takes nothing.
    fn of(&self, name: &str) -> TableSizes {
        let none = TableSizes {
            index_bytes: 0,
            free_bytes: self.total().free_bytes.map(|_| 0),
        };
        self.sizes.get(name).copied().unwrap_or(none)
    }

    fn total(&self) -> TableSizes {
        let sizes = self.sizes.values();
        let free = sizes.clone().filter_map(|sizes| sizes.free_bytes);
        let is_known = self.sizes.is_empty() || free.clone().next().is_some();
        TableSizes {
            index_bytes: sizes.map(|sizes| sizes.index_bytes).sum(),
            free_bytes: is_known.then(|| free.sum()),
        }
    }
}

impl Measuring {
    pub(crate) fn new(samples: &Samples) -> Self {
        Self {
            tasks: Mutex::default(),
            nodes: Arc::clone(&samples.measured),
        }
    }

    /// Begins to measure every node that serves an instance and is not being measured.
    pub(crate) async fn reconcile(self: Arc<Self>, parts: Arc<Parts>) -> Result<(), ControlError> {
        let nodes = parts.store.read(|reader| reader.nodes())?;
        let ids: HashSet<_> = nodes.iter().map(|node| node.node_id.clone()).collect();
        {
            let mut measured = lock(&self.nodes);
            measured.processes.retain(|node, _| ids.contains(node));
            measured.sizes.retain(|node, _| ids.contains(node));
            measured.databases.retain(|node, _| ids.contains(node));
            measured.tables.retain(|node, _| ids.contains(node));
        }
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        for node in &nodes {
            let instance = node.instance_id.as_ref();
            let Some(instance) = instance.filter(|_| node.state == NodeState::Running) else {
                continue;
            };
            let Some(detail) = parts.store.instance_detail(instance) else {
                continue;
            };
            let node = Arc::new(Sibling {
                node_id: node.node_id.clone(),
                all: all_of(&nodes, node, &detail),
            });
            if let Some(with_free) = self.begin_to_ask(&node.node_id) {
                let (parts, nodes) = (Arc::clone(&parts), Arc::clone(&self.nodes));
                let (node, detail) = (Arc::clone(&node), Arc::clone(&detail));
                tasks.spawn(async move {
                    if let Err(error) = ask(&parts, &nodes, &node, with_free, &detail).await {
                        tracing::debug!(node = %node.node_id, %error, "the node does not tell its sizes");
                    }
                    lock(&nodes).asked.remove(&node.node_id);
                });
            }
            let is_new = lock(&self.nodes).under_way.insert(node.node_id.clone());
            if !is_new {
                continue;
            }
            let (parts, nodes) = (Arc::clone(&parts), Arc::clone(&self.nodes));
            tasks.spawn(async move {
                if let Err(error) = measure(&parts, &nodes, &node, &detail).await {
                    tracing::debug!(node = %node.node_id, %error, "the node cannot be measured");
                }
                lock(&nodes).under_way.remove(&node.node_id);
            });
        }
        Ok(())
    }
}

impl Measuring {
    /// Whether it is time to ask a node that is not being asked what its tables take, and whether
    /// for free space too.
    fn begin_to_ask(&self, node: &NodeId) -> Option<bool> {
        let mut measured = lock(&self.nodes);
        let last = measured.tables.get(node);
        let is_due = last.is_none_or(|last| last.at.elapsed() >= TABLES);
        let with_free = last.is_none_or(|last| last.free_at.elapsed() >= FREE);
        (is_due && measured.asked.insert(node.clone())).then_some(with_free)
    }
}

/// A node among those of its instance: what is sampled of the instance is the sum.
struct Sibling {
    node_id: NodeId,
    /// All of them, itself included, with their disk quotas; the one of number 0 is the first.
    all: Vec<(NodeId, u64)>,
}

/// The nodes that serve an instance; only this one when it is not one of them.
fn all_of(nodes: &[Node], node: &Node, detail: &InstanceDetail) -> Vec<(NodeId, u64)> {
    let instance = &detail.instance;
    let serves = |node: &&Node| {
        node.instance_id.as_ref() == Some(&instance.instance_id)
            && node.state == NodeState::Running
            && (node.number > 0 || Some(&node.node_id) == instance.node_id.as_ref())
    };
    let with_quota = |node: &Node| (node.node_id.clone(), node.settings.disk_quota_bytes);
    if !serves(&node) {
        return vec![with_quota(node)];
    }
    let mut all: Vec<&Node> = nodes.iter().filter(serves).collect();
    all.sort_by_key(|node| node.number);
    all.into_iter().map(with_quota).collect()
}

/// The sum over nodes; `None` unless it is known of each.
fn sum(nodes: &[(NodeId, u64)], of: impl Fn(&NodeId) -> Option<u64>) -> Option<u64> {
    nodes.iter().map(|(node, _)| of(node)).sum()
}

/// Asks a node what its tables take.
async fn ask(
    parts: &Parts,
    nodes: &Mutex<Measured>,
    sibling: &Sibling,
    with_free: bool,
    detail: &InstanceDetail,
) -> Result<(), EngineError> {
    let node = &sibling.node_id;
    let mut sizes = parts.engine.table_sizes(node, with_free, ANSWER).await?;
    let now = Instant::now();
    let before = lock(nodes).tables.remove(node);
    let free_at = match before {
        Some(before) if !with_free => {
            // Still what is known of them.
            for (name, sizes) in &mut sizes {
                sizes.free_bytes = before.sizes.get(name).and_then(|held| held.free_bytes);
            }
            before.free_at
        }
        _ => now,
    };
    let tables = Tables {
        sizes,
        at: now,
        free_at,
    };
    let mut measured = lock(nodes);
    measured.tables.insert(node.clone(), tables);
    let values = |of: &dyn Fn(&Tables) -> TableSizes| {
        let told = |node: &NodeId| measured.told(node).map(of);
        let index = sum(&sibling.all, |node| Some(told(node)?.index_bytes));
        let free = sum(&sibling.all, |node| told(node)?.free_bytes).filter(|_| with_free);
        let index = index.map(|index| (Column::Index, index));
        let free = free.map(|free| (Column::Free, free));
        index.into_iter().chain(free).collect::<Vec<_>>()
    };
    let instance = of_instance(&detail.instance.instance_id);
    parts.samples.measured(&instance, &values(&Tables::total));
    for database in &detail.databases {
        let name = database.db_name.as_str();
        let values = values(&|tables: &Tables| tables.of(name));
        parts.samples.measured(&of_database(database), &values);
    }
    Ok(())
}

async fn measure(
    parts: &Parts,
    nodes: &Mutex<Measured>,
    sibling: &Sibling,
    detail: &InstanceDetail,
) -> Result<(), EngineError> {
    let (node, all) = (&sibling.node_id, &sibling.all);
    let instance = of_instance(&detail.instance.instance_id);
    let sizes_are_due = {
        let measured = lock(nodes);
        let last = measured.sizes.get(node);
        last.is_none_or(|(_, last)| last.elapsed() >= SIZES)
    };
    if sizes_are_due {
        let NodeDisk {
            mut usage,
            databases,
        } = parts.engine.disk(node).await?;
        usage.temporary_bytes += parts.engine.nameless_bytes(node).await;
        let mut measured = lock(nodes);
        measured.databases.insert(node.clone(), databases);
        measured.sizes.insert(node.clone(), (usage, Instant::now()));
        let of =
            |size: fn(&DiskUsage) -> u64| sum(all, |node| Some(size(&measured.sizes.get(node)?.0)));
        let values = [
            (Column::Data, of(|usage| usage.data_bytes)),
            (Column::Binlog, of(|usage| usage.binlog_bytes)),
            (Column::OtherFiles, of(|usage| usage.other_bytes)),
            (Column::Temporary, of(|usage| usage.temporary_bytes)),
            (
                Column::Quota,
                Some(all.iter().map(|(_, quota)| quota).sum()),
            ),
        ];
        let known = |(column, value): (Column, Option<u64>)| Some((column, value?));
        let values: Vec<_> = values.into_iter().filter_map(known).collect();
        parts.samples.measured(&instance, &values);
        for database in &detail.databases {
            let name = database.db_name.as_str();
            let nodes = &all[..all.len().min(database.node_number as usize)];
            let data = sum(nodes, |node| {
                measured.databases.get(node)?.get(name).copied()
            });
            if let Some(data) = data {
                let quota = database.settings.disk_quota_bytes * nodes.len() as u64;
                let values = [(Column::Data, data), (Column::Quota, quota)];
                parts.samples.measured(&of_database(database), &values);
            }
        }
    }
    let figures = parts.engine.process_figures(node).await?;
    let now = Instant::now();
    let (last, resident) = {
        let mut measured = lock(nodes);
        let last = measured.processes.insert(node.clone(), (figures, now));
        let of = |node: &NodeId| Some(measured.processes.get(node)?.0.resident_bytes);
        (last, sum(all, of))
    };
    if let Some(resident) = resident {
        parts
            .samples
            .measured(&instance, &[(Column::Resident, resident)]);
    }
    // What a process took before the first look at it is of no known time.
    if let Some((before, at)) = last.filter(|(before, _)| before.started == figures.started) {
        let cpu = figures.cpu.saturating_sub(before.cpu);
        let cpu = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
        let covered = u64::try_from((now - at).as_millis()).unwrap_or(u64::MAX);
        // The time is one for all of them.
        let is_first = all.first().is_some_and(|(first, _)| first == node);
        let covered = is_first.then_some((Column::CpuCovered, covered));
        let values: Vec<_> = std::iter::once((Column::Cpu, cpu)).chain(covered).collect();
        parts.samples.measured(&instance, &values);
    }
    Ok(())
}

fn lock(nodes: &Mutex<Measured>) -> MutexGuard<'_, Measured> {
    nodes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use mysql_async::prelude::Queryable;
    use openpeta_testkit::{freeze, thaw};
    use openpeta_types::InstanceId;

    use super::*;
    use crate::sampling::Steps;
    use crate::testing::{TestEngine, World, connect};

    const COLUMNS: [Column; 3] = [Column::Index, Column::Free, Column::Temporary];

    /// The last values that were sampled of a source.
    fn sampled(world: &World, source: &str) -> Vec<Option<i64>> {
        let now = Timestamp::now().as_second();
        let window = Steps {
            start: now - 3600,
            end: now + 3600,
            step: 7200,
        };
        world.parts.samples.flush();
        let answer = world.parts.samples.query(source, &COLUMNS, &window);
        answer.columns.iter().map(|column| column[0]).collect()
    }

    fn node_of(world: &World, id: &InstanceId) -> NodeId {
        world.detail(id).instance.node_id.clone().expect("a node")
    }

    async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_tells_what_its_tables_take() {
        let engine = TestEngine::new().await;
        let world = World::new(&engine);
        let now = Timestamp::now().as_second();
        world.parts.samples.look(now, LOOK, Vec::new());
        let id = world.order();
        world.run_tasks().await;
        let (node, detail) = (node_of(&world, &id), world.detail(&id));
        let (parts, nodes) = (&world.parts, &world.parts.samples.measured);
        let (instance, shop) = (of_instance(&id), of_database(&detail.databases[0]));
        let sibling = Sibling {
            node_id: node.clone(),
            all: vec![(node.clone(), 1 << 30)],
        };
        ask(parts, nodes, &sibling, true, &detail)
            .await
            .expect("it answers");
        assert_eq!(sampled(&world, &shop)[..2], [Some(0), Some(0)], "no tables");

        let mut conn = connect(&world, &id).await;
        for statement in [
            "CREATE TABLE t (id INT PRIMARY KEY, a CHAR(100) CHARACTER SET latin1, KEY (a))",
            "INSERT INTO t SELECT seq, LPAD(seq, 100, '0') FROM seq_1_to_40000",
            "ANALYZE TABLE t",
        ] {
            conn.query_drop(statement).await.expect(statement);
        }
        ask(parts, nodes, &sibling, false, &detail)
            .await
            .expect("it answers");
        measure(parts, nodes, &sibling, &detail)
            .await
            .expect("measured");
        let index = 40_000 * 105;
        let bounds = index..index * 2;
        for source in [&instance, &shop] {
            let values = sampled(&world, source);
            assert!(bounds.contains(&values[0].expect("told")), "{values:?}");
            assert_eq!(values[2].is_some(), source == &instance, "of a node alone");
        }
        let measured = lock(nodes);
        let of_shop = measured.database(&node, "shop");
        let told = of_shop.index_bytes.expect("told");
        assert!(bounds.contains(&(told as i64)) && told < of_shop.data_bytes.expect("measured"));
        assert_eq!(
            measured.tables(&node).map(|all| all.index_bytes),
            Some(told)
        );
        assert_eq!(measured.database(&node, "none").index_bytes, Some(0));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_that_hangs_holds_up_its_own_answers_alone() {
        let engine = TestEngine::new().await;
        let world = World::new(&engine);
        let now = Timestamp::now().as_second();
        world.parts.samples.look(now, LOOK, Vec::new());
        let id = world.order();
        world.run_tasks().await;
        let node = node_of(&world, &id);
        let nodes = &world.parts.samples.measured;
        let process = engine
            .engine
            .running(&node)
            .expect("looked")
            .expect("it runs");
        freeze(process.pid);
        let measuring = Arc::new(Measuring::new(&world.parts.samples));
        for _ in 0..3 {
            let measured = Arc::clone(&measuring)
                .reconcile(Arc::clone(&world.parts))
                .await;
            measured.expect("none of them is waited for");
        }
        wait_until("its process and files are measured", || {
            matches!(lock(nodes).last(&node), (Some(_), Some(_)))
        })
        .await;
        assert!(lock(nodes).asked.contains(&node) && lock(nodes).tables(&node).is_none());
        let values = sampled(&world, &of_instance(&id));
        assert_eq!((values[0], values[1]), (None, None), "a gap");
        assert!(values[2].is_some());
        thaw(process.pid);
        wait_until("it answers in the end", || {
            lock(nodes).tables(&node).is_some()
        })
        .await;
    }
}
