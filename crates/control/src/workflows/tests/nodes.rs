//! Workflows of instances with several nodes.

use mysql_async::prelude::Queryable;
use openpeta_engine::NodeSql;
use openpeta_rpc_api::databases::{
    CreateDatabaseRequest, DeleteDatabaseRequest, ModifyDatabaseNodesNumberRequest,
};
use openpeta_store::{MovingPartitions, Node, NodeState};

use super::*;
use crate::testing::order_request;
use crate::workflows::change_nodes_number::ChangeNodesNumber;
use crate::workflows::create_spread_database::CreateSpreadDatabase;
use crate::workflows::delete_spread_database::DeleteSpreadDatabase;
use crate::workflows::move_partitions::MovePartitions;
use crate::workflows::spread_database::SpreadDatabase;

/// Each step and each undo of each workflow takes minutes: they are made so many times over only
/// when asked for, and else a few of them.
pub(super) fn is_long() -> bool {
    std::env::var_os("OPENPETA_LONG_CHECKS").is_some()
}

/// Orders an instance whose database is on two nodes; nobody works on its task.
pub(super) fn order_over_nodes(world: &World) {
    let call = world.call(Action::CreateInstance);
    let request = order_request(&[("NodeNumber", "2")]);
    let ordered = world.control.create_instance(&call, &request);
    ordered.expect("the order is right");
}

/// Orders a database on so many nodes.
pub(super) fn order_database(world: &World, name: &str, nodes: &str) -> TaskId {
    let id = only_instance(world);
    let request = CreateDatabaseRequest::from_params(&params(&[
        ("InstanceId", id.as_str()),
        ("DBName", name),
        ("NodeSpec", "petadata.s2.large"),
        ("NodeNumber", nodes),
    ]));
    let request = request.expect("well formed");
    let call = world.call(Action::CreateDatabase);
    let ordered = world.control.order_database(&call, &request, false);
    ordered.expect("it can be ordered");
    newest_task(world)
}

fn drop_database(world: &World, name: &str) -> TaskId {
    let id = only_instance(world);
    let pairs = [("InstanceId", id.as_str()), ("DBName", name)];
    let request = DeleteDatabaseRequest::from_params(&params(&pairs)).expect("well formed");
    let call = world.call(Action::DeleteDatabase);
    let dropped = world.control.drop_database(&call, &request, None);
    dropped.expect("it is ACTIVE");
    newest_task(world)
}

async fn sql(world: &World, node: &Node) -> NodeSql {
    let sql = world.parts.engine.sql(&node.node_id).await;
    sql.expect("the node accepts")
}

/// The databases on each node, with what alice may use there, in the store and in MariaDB; the
/// sizes of each node are the sum of theirs; nothing else runs; and clients are told of those
/// databases that are spread, and of no others.
async fn assert_nodes(world: &World, expected: &[&[&str]]) {
    let id = only_instance(world);
    let (parts, alice) = (
        &world.parts,
        AccountName::parse_new("alice").expect("valid"),
    );
    let (nodes, databases) = parts
        .store
        .read(|reader| {
            Ok::<_, crate::ControlError>((reader.nodes_of(&id)?, reader.databases(&id)?))
        })
        .expect("the store works");
    assert_eq!(nodes.len(), expected.len());
    for (number, (node, expected)) in (0..).zip(nodes.iter().zip(expected)) {
        assert_eq!((node.number, node.state), (number, NodeState::Running));
        let mut sql = sql(world, node).await;
        assert_eq!(sql.databases().await.expect("listable"), *expected);
        let held = sql.privileges(&alice).await.expect("readable");
        let held = held.expect("the account exists").databases;
        let granted = expected.iter().filter(|name| **name == "shop").count();
        assert_eq!(held.len(), granted, "{held:?}");
        sql.close().await;
        let there = databases
            .iter()
            .filter(|database| expected.contains(&database.db_name.as_str()));
        let quota: u64 = there.map(|its| its.settings.disk_quota_bytes).sum();
        assert_eq!(node.settings.disk_quota_bytes, quota, "node {number}");
    }
    let running = parts.engine.list_processes().expect("a readable /proc");
    assert_eq!(running.len(), expected.len(), "{running:?}");
    let directories = parts.engine.list_nodes().expect("readable");
    assert_eq!(directories.len(), expected.len(), "{directories:?}");

    let route = world.gateway.route(&id).expect("clients are let in");
    assert_eq!(route.accounts.len(), 1);
    let spread: Vec<_> = databases
        .iter()
        .filter(|database| database.node_number > 1)
        .collect();
    let Some(sharding) = route.sharding else {
        assert!(spread.is_empty(), "{spread:?}");
        return;
    };
    let file = format!("{id}.sock");
    assert_eq!(
        sharding.coordinator_socket.file_name(),
        Some(file.as_str().as_ref())
    );
    let sockets = nodes
        .iter()
        .map(|node| parts.engine.socket_path(&node.node_id));
    let sockets: Result<Vec<_>, _> = sockets.collect();
    assert_eq!(sharding.nodes, sockets.expect("short enough"));
    assert_eq!(sharding.nodes[0], route.node_socket);
    let placements = spread.iter().map(|database| {
        let placement: Vec<_> = (0..8 * database.node_number)
            .map(|partition| (partition % database.node_number) as u16)
            .collect();
        (database.db_name.as_str().to_owned(), placement)
    });
    assert_eq!(sharding.databases, placements.collect());
}

fn assert_active(world: &World) {
    let id = only_instance(world);
    let detail = world.detail(&id);
    assert_eq!(detail.instance.status, ObjectStatus::Active);
    for database in &detail.databases {
        assert_eq!(database.status, ObjectStatus::Active);
    }
}

struct CreatingOverNodes(TestEngine);

#[async_trait]
impl Scenario for CreatingOverNodes {
    type Workflow = CreateInstance;
    type World = World;

    async fn set_up(&self) -> World {
        let world = World::new(&self.0);
        clear(&world).await;
        world
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> CreateInstance {
        CreateInstance(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        order_over_nodes(world);
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_active(world);
        assert_nodes(world, &[&["shop"], &["shop"]]).await;
    }

    async fn assert_unwound(&self, world: &World) {
        assert_no_instance(world);
    }
}

checks!(create_over_nodes: CreatingOverNodes {
    bears_each_step_twice: check_repeated_steps;
    ends_well_when_anything_fails: async |its: &_| {
        match is_long() {
            true => {
                check_failed_steps(its).await;
                check_repeated_undos(its).await;
            }
            false => check_random_schedules(its, 0..2).await,
        }
    };
});

struct DeletingOverNodes(TestEngine);

#[async_trait]
impl Scenario for DeletingOverNodes {
    type Workflow = DeleteInstance;
    type World = World;

    async fn set_up(&self) -> World {
        let world = World::new(&self.0);
        clear(&world).await;
        order_over_nodes(&world);
        world.run_tasks().await;
        world
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> DeleteInstance {
        DeleteInstance(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        delete_instance(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_no_instance(world);
    }

    async fn assert_unwound(&self, _world: &World) {
        panic!("a delete is never unwound");
    }
}

checks!(delete_over_nodes: DeletingOverNodes {
    ends_well_when_anything_fails: async |its: &_| {
        match is_long() {
            true => {
                check_repeated_steps(its).await;
                check_failed_steps(its).await;
            }
            false => check_random_schedules(its, 0..2).await,
        }
    };
});

struct AddingSpread(TestEngine);

#[async_trait]
impl Scenario for AddingSpread {
    type Workflow = CreateSpreadDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_instance(&self.0).await
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> CreateSpreadDatabase {
        CreateSpreadDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        order_database(world, "wide", "2")
    }

    async fn assert_done(&self, world: &World) {
        assert_active(world);
        assert_nodes(world, &[&["shop", "wide"], &["wide"]]).await;
    }

    async fn assert_unwound(&self, world: &World) {
        assert_nodes(world, &[&["shop"]]).await;
    }
}

checks!(create_spread_database: AddingSpread {
    succeeds_though_the_end_is_repeated: async |its: &_| check_repeated_step(its, "spread").await;
    ends_well_when_anything_fails: async |its: &_| {
        match is_long() {
            true => {
                check_repeated_steps(its).await;
                check_failed_steps(its).await;
                check_repeated_undos(its).await;
            }
            false => check_random_schedules(its, 0..3).await,
        }
    };
});

struct DroppingSpread(TestEngine);

#[async_trait]
impl Scenario for DroppingSpread {
    type Workflow = DeleteSpreadDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        let world = world_with_instance(&self.0).await;
        order_database(&world, "wide", "3");
        world.run_tasks().await;
        order_database(&world, "narrow", "2");
        world.run_tasks().await;
        world
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> DeleteSpreadDatabase {
        DeleteSpreadDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        drop_database(world, "wide")
    }

    async fn assert_done(&self, world: &World) {
        assert_active(world);
        assert_nodes(world, &[&["narrow", "shop"], &["narrow"]]).await;
    }

    async fn assert_unwound(&self, _world: &World) {
        panic!("a delete is never unwound");
    }
}

checks!(delete_spread_database: DroppingSpread {
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

/// The table that partitions move of.
const NUMBERS: &str = "CREATE TABLE numbers (id INT PRIMARY KEY, n INT) `distribute_by`='HASH(id)'";

/// A world with an instance over two nodes, and rows on them.
async fn world_over_nodes_with_rows(engine: &TestEngine) -> World {
    let world = World::new(engine);
    clear(&world).await;
    order_over_nodes(&world);
    world.run_tasks().await;
    let nodes = world.parts.nodes_of(&only_instance(&world)).expect("read");
    for node in nodes {
        let mut conn = crate::testing::connect_to(&world, &node.node_id).await;
        let insert = format!(
            "INSERT INTO numbers SELECT seq, seq * 3 FROM seq_0_to_999 WHERE seq MOD 16 MOD 2 = {}",
            node.number
        );
        for statement in ["SET sql_mode='IGNORE_BAD_TABLE_OPTIONS'", NUMBERS, &insert] {
            conn.query_drop(statement).await.expect(statement);
        }
    }
    world
}

/// Each node has the rows of its partitions and no others, and all are there.
async fn assert_rows(world: &World, expected: usize) {
    let id = only_instance(world);
    let store = &world.parts.store;
    let (placed, moving) = store
        .read(|reader| {
            Ok::<_, crate::ControlError>((reader.partitions(&id)?, reader.moving_partitions(&id)?))
        })
        .expect("the store works");
    let placement = placed.values().next().expect("it is spread");
    assert_eq!(moving.values().next(), Some(&MovingPartitions::default()));
    let nodes = world.parts.nodes_of(&id).expect("read");
    assert_eq!(nodes.len(), expected);
    let mut all = 0;
    for node in &nodes {
        assert_eq!(node.state, NodeState::Running);
        let mut conn = crate::testing::connect_to(world, &node.node_id).await;
        let rows: Vec<(u32, u32)> = conn.query("SELECT id, n FROM numbers").await.expect("read");
        for (id, n) in &rows {
            assert_eq!(placement[(id % 16) as usize], node.number, "{id}");
            assert_eq!(*n, id * 3);
        }
        all += rows.len();
        let others: Vec<String> = conn
            .query("SHOW DATABASES LIKE 'openpeta_moving'")
            .await
            .expect("listed");
        assert!(others.is_empty(), "node {}", node.number);
    }
    assert_eq!(all, 1000);
    let running = world
        .parts
        .engine
        .list_processes()
        .expect("a readable /proc");
    assert_eq!(running.len(), expected, "{running:?}");
    let route = world.gateway.route(&id).expect("clients are let in");
    let sharding = route.sharding.expect("it is spread");
    assert_eq!(sharding.nodes.len(), expected);
    assert_eq!(sharding.databases.get("shop"), Some(placement));
    assert!(sharding.foreign.is_empty() && sharding.moving.is_empty());
    let detail = world.detail(&id);
    assert_eq!(detail.databases[0].status, ObjectStatus::Active);
    assert_eq!(detail.databases[0].node_number as usize, expected);
}

fn renumber(world: &World, number: &str) -> TaskId {
    let id = only_instance(world);
    let pairs = [
        ("InstanceId", id.as_str()),
        ("DBName", "shop"),
        ("Parameter", number),
    ];
    let request = ModifyDatabaseNodesNumberRequest::from_params(&params(&pairs));
    let request = request.expect("well formed");
    let call = world.call(Action::ModifyDatabaseNodesNumber);
    let ordered = world.control.modify_database_nodes_number(&call, &request);
    ordered.expect("it can be ordered");
    let detail = world.detail(&id);
    assert_eq!(detail.databases[0].status, ObjectStatus::Append);
    newest_task(world)
}

struct ShrinkingDatabase(TestEngine);

#[async_trait]
impl Scenario for ShrinkingDatabase {
    type Workflow = ChangeNodesNumber;
    type World = World;

    async fn set_up(&self) -> World {
        let world = world_over_nodes_with_rows(&self.0).await;
        renumber(&world, "3");
        world.run_tasks().await;
        assert_rows(&world, 3).await;
        world
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> ChangeNodesNumber {
        ChangeNodesNumber(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        renumber(world, "2")
    }

    async fn assert_done(&self, world: &World) {
        assert_rows(world, 2).await;
    }

    async fn assert_unwound(&self, world: &World) {
        assert_rows(world, 3).await;
    }
}

checks!(change_nodes_number_to_fewer: ShrinkingDatabase {
    succeeds_though_partitions_go_over_twice: async |its: &_| {
        check_repeated_step(its, "cut-over").await;
    };
    ends_well_when_anything_fails: async |its: &_| {
        match is_long() {
            true => {
                check_repeated_steps(its).await;
                check_failed_steps(its).await;
                check_repeated_undos(its).await;
                check_cancels(its).await;
            }
            false => check_random_schedules(its, 0..4).await,
        }
    };
});

struct GrowingDatabase(TestEngine);

#[async_trait]
impl Scenario for GrowingDatabase {
    type Workflow = ChangeNodesNumber;
    type World = World;

    async fn set_up(&self) -> World {
        world_over_nodes_with_rows(&self.0).await
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> ChangeNodesNumber {
        ChangeNodesNumber(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        renumber(world, "3")
    }

    async fn assert_done(&self, world: &World) {
        assert_rows(world, 3).await;
    }

    async fn assert_unwound(&self, world: &World) {
        assert_rows(world, 2).await;
    }
}

checks!(change_nodes_number: GrowingDatabase {
    succeeds_though_partitions_go_over_twice: async |its: &_| {
        check_repeated_step(its, "cut-over").await;
    };
    ends_well_when_anything_fails: async |its: &_| {
        match is_long() {
            true => {
                check_repeated_steps(its).await;
                check_failed_steps(its).await;
                check_repeated_undos(its).await;
                check_cancels(its).await;
            }
            false => check_random_schedules(its, 0..4).await,
        }
    };
});

struct Spreading(TestEngine);

/// What the only table of a database on one node has.
async fn assert_kept(world: &World) {
    let mut conn = crate::testing::connect(world, &only_instance(world)).await;
    let kept: Option<(u64, u64)> = conn
        .query_first("SELECT COUNT(*), SUM(id) FROM kept")
        .await
        .expect("read");
    assert_eq!(kept, Some((100, 5050)));
}

#[async_trait]
impl Scenario for Spreading {
    type Workflow = SpreadDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        let world = world_with_instance(&self.0).await;
        let mut conn = crate::testing::connect(&world, &only_instance(&world)).await;
        for statement in [
            "CREATE TABLE kept (id INT PRIMARY KEY)",
            "INSERT INTO kept SELECT seq FROM seq_1_to_100",
        ] {
            conn.query_drop(statement).await.expect(statement);
        }
        world
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> SpreadDatabase {
        SpreadDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        renumber(world, "3")
    }

    async fn assert_done(&self, world: &World) {
        assert_active(world);
        assert_nodes(world, &[&["shop"], &["shop"], &["shop"]]).await;
        assert_eq!(placement(world), [0, 1, 2].repeat(8));
        assert_kept(world).await;
    }

    async fn assert_unwound(&self, world: &World) {
        assert_active(world);
        assert_nodes(world, &[&["shop"]]).await;
        assert_kept(world).await;
    }
}

checks!(spread_database: Spreading {
    succeeds_though_the_end_is_repeated: async |its: &_| check_repeated_step(its, "spread").await;
    ends_well_when_anything_fails: async |its: &_| {
        match is_long() {
            true => {
                check_repeated_steps(its).await;
                check_failed_steps(its).await;
                check_repeated_undos(its).await;
                check_cancels(its).await;
            }
            false => check_random_schedules(its, 0..3).await,
        }
    };
});

struct MovingSome(TestEngine);

/// The placement of the only database.
fn placement(world: &World) -> Vec<u16> {
    let id = only_instance(world);
    let placed = world.parts.store.read(|reader| reader.partitions(&id));
    let mut placed = placed.expect("the store works").into_values();
    placed.next().expect("it is spread")
}

#[async_trait]
impl Scenario for MovingSome {
    type Workflow = MovePartitions;
    type World = World;

    async fn set_up(&self) -> World {
        world_over_nodes_with_rows(&self.0).await
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> MovePartitions {
        MovePartitions(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        let shop = DbName::parse("shop").expect("a name");
        let begun = world.parts.store.write(|writer| {
            let (parts, partitions) = (&world.parts, [0, 1, 2].into());
            parts.begin_move(writer, (&id, &shop), &partitions, 1)
        });
        let status = world.detail(&id).databases[0].status;
        assert_eq!(status, ObjectStatus::Append);
        begun.expect("they can move").0
    }

    async fn assert_done(&self, world: &World) {
        assert_rows(world, 2).await;
        let expected = [[1, 1, 1].as_slice(), &[1, 0].repeat(6), &[1]].concat();
        assert_eq!(placement(world), expected);
    }

    async fn assert_unwound(&self, world: &World) {
        assert_rows(world, 2).await;
        assert_eq!(placement(world), [0, 1].repeat(8));
    }
}

checks!(move_partitions: MovingSome {
    succeeds_though_partitions_go_over_twice: async |its: &_| {
        check_repeated_step(its, "cut-over").await;
    };
    ends_well_when_anything_fails: async |its: &_| {
        match is_long() {
            true => {
                check_repeated_steps(its).await;
                check_failed_steps(its).await;
                check_repeated_undos(its).await;
                check_cancels(its).await;
            }
            false => check_random_schedules(its, 0..4).await,
        }
    };
});
