//! Backups of databases over several nodes: taken, restored, proven, left in the recycle bin.

use mysql_async::prelude::Queryable;
use openpeta_rpc_api::databases::DeleteDatabaseRequest;
use openpeta_store::{BackupSet, NodeState};
use openpeta_types::{BackupMethod, BackupStatus, Gtid, format_time};

use super::nodes::{is_long, order_database, order_over_nodes};
use super::*;
use crate::ControlConfig;
use crate::backups::tests::{create, create_as, enable_log, next_second, restore};
use crate::testing::{connect_in, connect_to};
use crate::workflows::create_database_backup::CreateDatabaseBackup;
use crate::workflows::recycle_instance::RecycleInstance;
use crate::workflows::recycle_spread_database::RecycleSpreadDatabase;
use crate::workflows::restore_database::RestoreDatabase;
use crate::workflows::verify_backup::VerifyBackup;

/// The nodes of an instance, by number.
pub(super) fn nodes_of(world: &World, id: &InstanceId) -> Vec<NodeId> {
    let nodes = world.parts.store.read(|reader| reader.nodes_of(id));
    let mut nodes = nodes.expect("the store works");
    nodes.sort_by_key(|node| node.number);
    nodes.into_iter().map(|node| node.node_id).collect()
}

/// Makes a distributed table as the coordinator does, with so many rows on each node.
async fn fill(world: &World, id: &InstanceId, database: &str) {
    for (number, node) in nodes_of(world, id).iter().enumerate() {
        let mut conn = connect_in(world, node, database).await;
        for statement in [
            "SET sql_mode = 'IGNORE_BAD_TABLE_OPTIONS'".into(),
            "CREATE TABLE orders (id INT PRIMARY KEY) distribute_by='HASH(id)'".into(),
            format!("INSERT INTO orders SELECT seq FROM seq_1_to_{}", 2 + number),
        ] {
            conn.query_drop(&statement).await.expect(&statement);
        }
        conn.disconnect().await.expect("it was open");
    }
}

/// Rows on each node.
pub(super) async fn counts(world: &World, id: &InstanceId) -> Vec<u64> {
    let mut counts = Vec::new();
    for node in nodes_of(world, id) {
        let mut conn = connect_to(world, &node).await;
        let query = "SELECT COUNT(*) FROM orders";
        let rows: Option<u64> = conn.query_first(query).await.expect("a table");
        conn.disconnect().await.expect("it was open");
        counts.push(rows.expect("a row"));
    }
    counts
}

/// A world with an instance over two nodes that have rows.
pub(super) async fn world_over_nodes(engine: &TestEngine, config: ControlConfig) -> World {
    let world = World::configured(engine, config);
    clear(&world).await;
    order_over_nodes(&world);
    world.run_tasks().await;
    fill(&world, &only_instance(&world), "shop").await;
    world
}

pub(super) fn without_bin() -> ControlConfig {
    let mut config = ControlConfig::default();
    config.backup.recycle_days = 0;
    config
}

pub(super) async fn world_with_set(engine: &TestEngine) -> World {
    let world = world_over_nodes(engine, without_bin()).await;
    let id = only_instance(&world);
    // Partitions are where they are, not where a new database has them.
    let name = DbName::parse("shop").expect("valid");
    let moved = world
        .parts
        .store
        .write(|writer| writer.put_partitions(&id, &name, &moved()));
    moved.expect("the store works");
    create(&world, &id, "shop").expect("it is ACTIVE");
    world.run_tasks().await;
    for node in nodes_of(&world, &id) {
        let mut conn = connect_to(&world, &node).await;
        conn.query_drop("DELETE FROM orders")
            .await
            .expect("a table");
    }
    world
}

/// Where the partitions of what is backed up are.
pub(super) fn moved() -> Vec<u16> {
    (0..16).map(|partition| u16::from(partition < 5)).collect()
}

pub(super) fn only_set(world: &World) -> BackupSet {
    let store = &world.parts.store;
    let ids = store.read(|reader| reader.backup_set_ids());
    let ids = ids.expect("the store works");
    assert_eq!(ids.len(), 1);
    let set = store.read(|reader| reader.backup_set(ids[0].1));
    set.expect("the store works").expect("it is listed")
}

/// A set is whole, of SQL text, and of both nodes.
async fn assert_whole(world: &World, set: &BackupSet) {
    assert_eq!(
        (set.status, set.set.method, set.set.node_number),
        (BackupStatus::Success, BackupMethod::Logical, 2)
    );
    let sha256 = set.outcome.manifest_sha256.clone().expect("it is whole");
    let directory = world.parts.backup_dir(&set.set.instance_id, set.backup_id);
    let manifest = world.parts.engine.check_set(&directory, &sha256).await;
    let manifest = manifest.expect("whole");
    let spread = manifest.spread.expect("it is spread");
    let rows = (
        manifest.tables["orders"].rows,
        spread.nodes[0].content.tables["orders"].rows,
    );
    assert_eq!(rows, (2, 3));
}

struct BackingUp(TestEngine);

#[async_trait]
impl Scenario for BackingUp {
    type Workflow = CreateDatabaseBackup;
    type World = World;

    async fn set_up(&self) -> World {
        world_over_nodes(&self.0, without_bin()).await
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> CreateDatabaseBackup {
        CreateDatabaseBackup(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        for refused in [
            ("BackupMethod", "Physical"),
            ("BackupType", "IncrementalBackup"),
        ] {
            assert_eq!(
                create_as(world, &id, "shop", &[refused]),
                Err("OperationDenied.BackupMethod".into())
            );
        }
        create(world, &id, "shop").expect("it is ACTIVE");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_whole(world, &only_set(world)).await;
    }

    async fn assert_unwound(&self, world: &World) {
        let set = only_set(world);
        assert_eq!(set.status, BackupStatus::Failed);
        assert_eq!(world.parts.sets_on_disk().expect("readable"), []);
    }
}

checks!(back_up_nodes: BackingUp {
    bears_the_backup_twice: async |its: &_| check_repeated_step(its, "take-set").await;
    ends_well_when_anything_fails: async |its: &_| {
        match is_long() {
            true => {
                check_repeated_steps(its).await;
                check_failed_steps(its).await;
                check_repeated_undos(its).await;
                check_cancels(its).await;
            }
            false => check_random_schedules(its, 0..2).await,
        }
    };
});

struct Restoring(TestEngine);

#[async_trait]
impl Scenario for Restoring {
    type Workflow = RestoreDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_set(&self.0).await
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> RestoreDatabase {
        RestoreDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let changes = [("WithAccounts", "true")];
        let set = only_set(world);
        restore(world, &only_instance(world), set.backup_id, &changes).expect("it is whole");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        let instances = world.parts.store.read(|reader| reader.instances());
        let instances = instances.expect("the store works");
        assert_eq!(instances.len(), 2);
        let id = &instances[1].instance_id;
        let detail = world.detail(id);
        assert_eq!(detail.instance.status, ObjectStatus::Active);
        assert_eq!(detail.databases[0].node_number, 2);
        assert_eq!(counts(world, id).await, [2, 3]);
        let route = world.gateway.route(id).expect("clients are let in");
        let sharding = route.sharding.expect("it is spread");
        assert_eq!(sharding.databases["shop"], moved());
        for node in nodes_of(world, id) {
            let row = world.parts.store.read(|reader| reader.node(&node));
            let row = row.expect("the store works").expect("it is there");
            assert_eq!(row.state, NodeState::Running);
            let mut sql = world.parts.engine.sql(&node).await.expect("it accepts");
            let alice = AccountName::parse_new("alice").expect("valid");
            assert!(sql.accounts().await.expect("listable").contains(&alice));
            sql.close().await;
        }
    }

    async fn assert_unwound(&self, world: &World) {
        let id = only_instance(world);
        let engine = &world.parts.engine;
        assert_eq!(engine.list_nodes().expect("readable").len(), 2);
        assert_eq!(nodes_of(world, &id).len(), 2);
        assert_eq!(only_set(world).status, BackupStatus::Success);
    }
}

checks!(restore_nodes: Restoring {
    bears_the_load_twice: async |its: &_| check_repeated_step(its, "load-set").await;
    ends_well_when_anything_fails: async |its: &_| {
        match is_long() {
            true => {
                check_repeated_steps(its).await;
                check_failed_steps(its).await;
                check_repeated_undos(its).await;
                check_cancels(its).await;
            }
            false => check_random_schedules(its, 0..2).await,
        }
    };
});

struct Verifying(TestEngine);

#[async_trait]
impl Scenario for Verifying {
    type Workflow = VerifyBackup;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_set(&self.0).await
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> VerifyBackup {
        VerifyBackup(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let set = only_set(world).backup_id;
        let now = jiff::Timestamp::now();
        let parts = &world.parts;
        let begun = parts
            .store
            .write(|writer| parts.verify_backup(writer, set, now));
        begun.expect("it is whole")
    }

    async fn assert_done(&self, world: &World) {
        let proof = only_set(world).verification;
        assert_eq!(proof.expect("it was proven").failure, None);
        assert_no_scratch(world);
    }

    async fn assert_unwound(&self, world: &World) {
        assert_eq!(only_set(world).status, BackupStatus::Success);
        assert_no_scratch(world);
    }
}

/// Only the nodes of the instance are there.
fn assert_no_scratch(world: &World) {
    let nodes = world.parts.store.read(|reader| reader.nodes());
    assert_eq!(nodes.expect("the store works").len(), 2);
    let engine = &world.parts.engine;
    assert_eq!(engine.list_nodes().expect("readable").len(), 2);
    assert_eq!(engine.list_processes().expect("readable").len(), 2);
}

checks!(verify_nodes: Verifying {
    bears_the_comparison_twice: async |its: &_| check_repeated_step(its, "compare-content").await;
    ends_well_when_anything_fails: async |its: &_| {
        match is_long() {
            true => {
                check_repeated_steps(its).await;
                check_failed_steps(its).await;
                check_repeated_undos(its).await;
            }
            false => check_random_schedules(its, 0..2).await,
        }
    };
});

/// What is in the bin is one final set of both nodes, and the only one there is.
async fn assert_recycled(world: &World) {
    let store = &world.parts.store;
    let found = store.read(|reader| reader.recycled_sets(None));
    let found = found.expect("the store works");
    assert!(found.len() == 1 && found[0].is_final, "{found:?}");
    let set = &found[0];
    let directory = world.parts.backup_dir(&set.instance_id, set.backup_id);
    let engine = &world.parts.engine;
    let manifest = engine.check_set(&directory, &set.manifest_sha256).await;
    let manifest = manifest.expect("it is whole");
    assert_eq!(manifest.node_number(), 2);
    assert_eq!(world.parts.sets_on_disk().expect("readable").len(), 1);
}

struct RecyclingNodes(TestEngine);

#[async_trait]
impl Scenario for RecyclingNodes {
    type Workflow = RecycleInstance;
    type World = World;

    async fn set_up(&self) -> World {
        world_over_nodes(&self.0, ControlConfig::default()).await
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> RecycleInstance {
        RecycleInstance(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        delete_instance(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_no_instance(world);
        assert_recycled(world).await;
    }

    async fn assert_unwound(&self, _world: &World) {
        panic!("a delete is never unwound");
    }
}

checks!(recycle_nodes: RecyclingNodes {
    bears_the_backup_twice: async |its: &_| check_repeated_step(its, "final-backup").await;
});

struct RecyclingSpread(TestEngine);

#[async_trait]
impl Scenario for RecyclingSpread {
    type Workflow = RecycleSpreadDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        let world = World::configured(&self.0, ControlConfig::default());
        clear(&world).await;
        world.order();
        world.run_tasks().await;
        order_database(&world, "wide", "2");
        world.run_tasks().await;
        fill(&world, &only_instance(&world), "wide").await;
        world
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> RecycleSpreadDatabase {
        RecycleSpreadDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        let pairs = [("InstanceId", id.as_str()), ("DBName", "wide")];
        let request = DeleteDatabaseRequest::from_params(&params(&pairs)).expect("well formed");
        let call = world.call(Action::DeleteDatabase);
        let dropped = world.control.drop_database(&call, &request, None);
        dropped.expect("it is ACTIVE");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        let id = only_instance(world);
        assert_eq!(nodes_of(world, &id).len(), 1);
        let engine = &world.parts.engine;
        assert_eq!(engine.list_nodes().expect("readable").len(), 1);
        let route = world.gateway.route(&id).expect("clients are let in");
        assert!(route.sharding.is_none());
        assert_recycled(world).await;
    }

    async fn assert_unwound(&self, _world: &World) {
        panic!("a delete is never unwound");
    }
}

checks!(recycle_spread_database: RecyclingSpread {
    bears_the_backup_twice: async |its: &_| check_repeated_step(its, "final-backup").await;
    ends_well_when_anything_fails: async |its: &_| {
        match is_long() {
            true => {
                check_repeated_steps(its).await;
                check_failed_steps(its).await;
            }
            false => check_repeated_step(its, "release-nodes").await,
        }
    };
});

struct RestoringToATime(TestEngine);

/// Adds a row on each node.
pub(super) async fn add(world: &World, id: &InstanceId, row: u32) {
    for node in nodes_of(world, id) {
        let mut conn = connect_to(world, &node).await;
        let insert = format!("INSERT INTO orders VALUES ({row})");
        conn.query_drop(&insert).await.expect(&insert);
        conn.disconnect().await.expect("it was open");
    }
}

/// A transaction that is prepared on a node may be carried out on another one: somebody did not stand still.
async fn nothing_is_noted_in_doubt(world: &World, id: &InstanceId) {
    let nodes = nodes_of(world, id);
    let path = world.parts.log_archive(&nodes[0]).join("moments");
    let before = std::fs::read_to_string(&path).expect("it was noted");
    let mut conn = connect_to(world, &nodes[1]).await;
    for statement in [
        "XA START 'a'",
        "INSERT INTO orders VALUES (999)",
        "XA END 'a'",
        "XA PREPARE 'a'",
    ] {
        conn.query_drop(statement).await.expect(statement);
    }
    note_moment(world).await;
    let after = std::fs::read_to_string(&path).expect("it was noted");
    assert_eq!(before, after);
    conn.query_drop("XA ROLLBACK 'a'")
        .await
        .expect("it is there");
    conn.disconnect().await.expect("it was open");
    note_moment(world).await;
}

async fn note_moment(world: &World) {
    let noted = world.parts.note_moments().await;
    noted.expect("the store works");
}

#[async_trait]
impl Scenario for RestoringToATime {
    type Workflow = RestoreDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        let world = world_over_nodes(&self.0, without_bin()).await;
        let id = only_instance(&world);
        enable_log(&world, &id);
        world.parts.archive_logs().await.expect("the store works");
        create(&world, &id, "shop").expect("it is ACTIVE");
        world.run_tasks().await;
        add(&world, &id, 1000).await;
        note_moment(&world).await;
        // Nothing changed: it is the same moment.
        note_moment(&world).await;
        let home = &nodes_of(&world, &id)[0];
        let path = world.parts.log_archive(home).join("moments");
        let noted = std::fs::read_to_string(path).expect("it was noted");
        assert_eq!(noted.lines().count(), 1, "{noted}");
        nothing_is_noted_in_doubt(&world, &id).await;
        // What is committed after a moment goes with the next one.
        add(&world, &id, 1001).await;
        world
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> RestoreDatabase {
        RestoreDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let time = format_time(next_second());
        let (id, set) = (only_instance(world), only_set(world).backup_id);
        let gtid = [("RestoreType", "1"), ("RestoreGtid", "0-1-1")];
        assert_eq!(
            restore(world, &id, set, &gtid),
            Err("OperationDenied.NotFoundBackup".into())
        );
        let changes = [("RestoreType", "1"), ("RestoreTime", time.as_str())];
        restore(world, &id, set, &changes).expect("it is covered");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        let instances = world.parts.store.read(|reader| reader.instances());
        let instances = instances.expect("the store works");
        assert_eq!(instances.len(), 2);
        let (source, restored) = (&instances[0].instance_id, &instances[1].instance_id);
        assert_eq!(world.detail(restored).instance.status, ObjectStatus::Active);
        assert_eq!(counts(world, source).await, [4, 5]);
        assert_eq!(counts(world, restored).await, [3, 4]);
    }

    async fn assert_unwound(&self, world: &World) {
        assert_eq!(nodes_of(world, &only_instance(world)).len(), 2);
    }
}

/// Who names a transaction of one node gets the last moment of all of them before it, or the first one that
/// has it.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_restored_to_the_moments_around_a_transaction() {
    let scenario = RestoringToATime(TestEngine::new().await);
    let world = scenario.set_up().await;
    let (id, set) = (only_instance(&world), only_set(&world).backup_id);
    note_moment(&world).await;
    world.parts.archive_logs().await.expect("the store works");
    let mut names = Vec::new();
    for node in nodes_of(&world, &id) {
        let mut conn = connect_to(&world, &node).await;
        let name: Option<String> = conn
            .query_first("SELECT @@gtid_binlog_pos")
            .await
            .expect("one");
        conn.disconnect().await.expect("it was open");
        names.push(Gtid::parse(&name.expect("a row")).expect("of one domain"));
    }
    assert_ne!(names[0].server, names[1].server);
    let to = |which: &str, gtid: Gtid| {
        let text = gtid.to_string();
        let changes = [("RestoreType", "1"), (which, text.as_str())];
        restore(&world, &id, set, &changes)
    };
    let before = |gtid| to("RestoreBeforeGtid", gtid);
    let none = Gtid {
        sequence: 1,
        ..names[1]
    };
    assert_eq!(before(none), Err("OperationDenied.NotFoundBackup".into()));
    let copy = before(names[1]).expect("there is a moment");
    world.run_tasks().await;
    assert_eq!(counts(&world, &copy).await, [3, 4]);
    let with = to("RestoreGtid", names[1]).expect("its moment was noted");
    let not_noted = Gtid {
        sequence: names[1].sequence + 1,
        ..names[1]
    };
    let refused = to("RestoreGtid", not_noted);
    assert_eq!(refused, Err("OperationDenied.NotFoundBackup".into()));
    world.run_tasks().await;
    assert_eq!(counts(&world, &with).await, counts(&world, &id).await);
    assert_ne!(counts(&world, &with).await, counts(&world, &copy).await);
}

checks!(restore_nodes_to_a_time: RestoringToATime {
    succeeds: check_success;
    bears_the_replay_twice: async |its: &_| check_repeated_step(its, "replay-log").await;
});
