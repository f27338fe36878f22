//! Workflows of databases.

use openpeta_rpc_api::databases::{
    CreateDatabaseRequest, DeleteDatabaseRequest, ModifyDatabaseNodesSpecRequest,
};
use openpeta_store::Database;

use super::*;
use crate::workflows::create_database::CreateDatabase;
use crate::workflows::delete_database::DeleteDatabase;
use crate::workflows::resize_database::ResizeDatabase;

/// Orders a database of the smallest spec.
pub(super) fn order_database(world: &World, name: &str) -> TaskId {
    let id = only_instance(world);
    let request = CreateDatabaseRequest::from_params(&params(&[
        ("InstanceId", id.as_str()),
        ("DBName", name),
        ("NodeSpec", "petadata.s2.large"),
        ("NodeNumber", "1"),
    ]));
    let request = request.expect("well formed");
    let call = world.call(Action::CreateDatabase);
    let ordered = world.control.order_database(&call, &request, false);
    ordered.expect("it can be ordered");
    newest_task(world)
}

/// The instance's databases of those specs and no other are ACTIVE in the store and there on
/// the node, whose sizes are their sum, in the store, in its file, on the server and in the
/// gateway.
pub(super) async fn assert_databases(world: &World, specs: &[(&str, &str)]) {
    let id = only_instance(world);
    let store = &world.parts.store;
    let databases = store.read(|reader| reader.databases(&id));
    let databases = databases.expect("the store works");
    let shown = |database: &Database| {
        assert_eq!(database.status, ObjectStatus::Active);
        let spec = database.node_spec.as_str().to_owned();
        (database.db_name.as_str().to_owned(), spec)
    };
    let shown: Vec<_> = databases.iter().map(shown).collect();
    let expected: Vec<_> = specs
        .iter()
        .map(|(name, size)| ((*name).to_owned(), format!("petadata.s2.{size}")))
        .collect();
    assert_eq!(shown, expected);

    let nodes = store.read(|reader| reader.nodes_of(&id));
    let node = nodes.expect("the store works").remove(0);
    let catalogue = &world.parts.config.node_specs;
    let sum = |of: &dyn Fn(&openpeta_types::NodeSettings) -> u64| -> u64 {
        let settings = databases
            .iter()
            .map(|database| catalogue.find(database.node_spec.as_str()));
        settings.map(|found| of(found.expect("on offer").1)).sum()
    };
    let settings = &node.settings;
    assert_eq!(settings.disk_quota_bytes, sum(&|one| one.disk_quota_bytes));
    assert_eq!(
        settings.buffer_pool_bytes,
        sum(&|one| one.buffer_pool_bytes)
    );
    let connections = sum(&|one| one.max_connections.into());
    assert_eq!(u64::from(settings.max_connections), connections);
    let route = world.gateway.route(&id).expect("clients are let in");
    assert_eq!(route.max_connections, settings.max_connections);

    let engine = &world.parts.engine;
    let file = engine
        .nodes_dir()
        .join(node.node_id.as_str())
        .join("my.cnf");
    let file = std::fs::read_to_string(file).expect("the node's file");
    let pool = settings.buffer_pool_bytes;
    assert!(file.contains(&format!("innodb_buffer_pool_size={pool}\n")));
    let mut sql = engine.sql(&node.node_id).await.expect("it accepts");
    let names = sql.databases().await.expect("listable");
    let expected: Vec<_> = specs.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, expected);
    let status = sql.status().await.expect("readable");
    sql.close().await;
    let pages: u64 = status["Innodb_buffer_pool_pages_total"]
        .parse()
        .expect("a number");
    // A page is 16 KiB; one in a hundred describes the others.
    assert!((pool * 98 / 100..=pool).contains(&(pages << 14)), "{pages}");
}

struct AddingDatabase(TestEngine);

#[async_trait]
impl Scenario for AddingDatabase {
    type Workflow = CreateDatabase;
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

    fn workflow(&self, world: &World) -> CreateDatabase {
        CreateDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        order_database(world, "shop2")
    }

    async fn assert_done(&self, world: &World) {
        assert_databases(world, &[("shop", "xlarge"), ("shop2", "large")]).await;
    }

    async fn assert_unwound(&self, world: &World) {
        assert_databases(world, &[("shop", "xlarge")]).await;
    }
}

checks!(create_database: AddingDatabase {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    leaves_nothing_when_cancelled: check_cancels;
    ends_well_whatever_happens: schedules;
});

/// A world with one finished instance that has two databases.
async fn world_with_two(engine: &TestEngine) -> World {
    let world = world_with_instance(engine).await;
    order_database(&world, "shop2");
    world.run_tasks().await;
    world
}

struct DroppingDatabase(TestEngine);

#[async_trait]
impl Scenario for DroppingDatabase {
    type Workflow = DeleteDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_two(&self.0).await
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> DeleteDatabase {
        DeleteDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        let pairs = [("InstanceId", id.as_str()), ("DBName", "shop")];
        let request = DeleteDatabaseRequest::from_params(&params(&pairs)).expect("well formed");
        let call = world.call(Action::DeleteDatabase);
        let dropped = world.control.drop_database(&call, &request, None);
        dropped.expect("it is ACTIVE");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_databases(world, &[("shop2", "large")]).await;
        let id = only_instance(world);
        let alice = AccountName::parse_new("alice").expect("valid");
        let store = &world.parts.store;
        let grants = store.read(|reader| reader.grants(&id, &alice));
        assert_eq!(grants.expect("the store works"), []);
        let instance = store.read(|reader| reader.instance(&id));
        let instance = instance.expect("the store works").expect("it exists");
        let node = instance.node_id.expect("a node");
        let mut sql = world.parts.engine.sql(&node).await.expect("it accepts");
        let privileges = sql.privileges(&alice).await.expect("readable");
        assert!(privileges.expect("it exists").databases.is_empty());
        sql.close().await;
    }

    async fn assert_unwound(&self, _world: &World) {
        panic!("a delete is never unwound");
    }
}

checks!(delete_database: DroppingDatabase {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    goes_on_when_a_step_fails: check_failed_steps;
    ends_well_whatever_happens: schedules;
});

struct ResizingDatabase(TestEngine);

#[async_trait]
impl Scenario for ResizingDatabase {
    type Workflow = ResizeDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_two(&self.0).await
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> ResizeDatabase {
        ResizeDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        let request = ModifyDatabaseNodesSpecRequest::from_params(&params(&[
            ("InstanceId", id.as_str()),
            ("DBName", "shop"),
            ("NewNodeSpec", "petadata.s2.2xlarge"),
        ]));
        let request = request.expect("well formed");
        let call = world.call(Action::ModifyDatabaseNodesSpec);
        let ordered = world.control.order_spec(&call, &request, None);
        ordered.expect("it is ACTIVE");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_databases(world, &[("shop", "2xlarge"), ("shop2", "large")]).await;
    }

    async fn assert_unwound(&self, world: &World) {
        assert_databases(world, &[("shop", "xlarge"), ("shop2", "large")]).await;
    }
}

checks!(resize_database: ResizingDatabase {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    leaves_nothing_when_cancelled: check_cancels;
    ends_well_whatever_happens: schedules;
});
