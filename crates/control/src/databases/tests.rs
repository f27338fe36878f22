//! Databases of an instance: what is refused, and that a refused call changes nothing.

use openpeta_rpc_api::databases::CreateDatabaseRequest;
use openpeta_rpc_api::{Action, ApiRequest, Params};
use openpeta_store::{Database, Node};
use openpeta_types::{ChargeType, DbName, InstanceId, ObjectStatus};

use crate::ControlError;
use crate::testing::{TestEngine, World};

fn params(pairs: &[(&str, &str)]) -> Params {
    Params::from_pairs(pairs.iter().copied()).expect("unique names")
}

fn db(name: &str) -> DbName {
    DbName::parse(name).expect("a database name")
}

fn database_request(id: &InstanceId, name: &str, more: &[(&str, &str)]) -> CreateDatabaseRequest {
    let mut pairs = vec![("InstanceId", id.as_str()), ("DBName", name)];
    for default in [("NodeSpec", "petadata.s2.large"), ("NodeNumber", "1")] {
        if more.iter().all(|(name, _)| *name != default.0) {
            pairs.push(default);
        }
    }
    pairs.extend(more);
    CreateDatabaseRequest::from_params(&params(&pairs)).expect("well formed")
}

fn code<T: std::fmt::Debug>(result: Result<T, ControlError>) -> String {
    result.expect_err("it is wrong").api.code.into_owned()
}

impl World {
    fn databases(&self, id: &InstanceId) -> Vec<Database> {
        let databases = self.parts.store.read(|reader| reader.databases(id));
        databases.expect("the store works")
    }

    fn set_database(&self, id: &InstanceId, name: &str, status: ObjectStatus) {
        let set =
            |writer: &openpeta_store::Writer<'_>| writer.set_database_status(id, &db(name), status);
        self.parts.store.write(set).expect("it exists");
    }

    fn node(&self, id: &InstanceId) -> Node {
        let nodes = self.parts.store.read(|reader| reader.nodes_of(id));
        nodes.expect("the store works").remove(0)
    }

    async fn create(&self, id: &InstanceId, name: &str) -> Result<(), ControlError> {
        let call = self.call(Action::CreateDatabase);
        let request = database_request(id, name, &[]);
        self.control
            .create_database(&call, &request)
            .await
            .map(drop)
    }
}

/// A world with one finished instance that has one database, `shop`.
async fn world_with_instance(engine: &TestEngine) -> (World, InstanceId) {
    let world = World::new(engine);
    let id = world.order();
    world.run_tasks().await;
    (world, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_orders_of_databases_are_refused_with_their_code() {
    let engine = TestEngine::new().await;
    let (world, id) = world_with_instance(&engine).await;
    let node = world.node(&id).node_id;
    let mut sql = engine.engine.sql(&node).await.expect("the node accepts");
    sql.create_database(&db("by_hand")).await.expect("as Super");
    sql.close().await;
    let refusal = async |name: &str, more: &[(&str, &str)]| {
        let call = world.call(Action::CreateDatabase);
        let request = database_request(&id, name, more);
        code(world.control.create_database(&call, &request).await)
    };
    assert_eq!(refusal("shop", &[]).await, "InvalidDBName.Duplicate");
    assert_eq!(refusal("by_hand", &[]).await, "InvalidDBName.Duplicate");
    for (parameter, value, code) in [
        (
            "NodeSpec",
            "petadata.x9",
            "InvalidNodeSpec.ValueNotSupported",
        ),
        (
            "NodeSpec",
            "petadata.c2.xlarge",
            "InvalidDBInstanceClassInRegion.NotAvailable",
        ),
        ("NodeNumber", "2", "InvalidNodeNumber.ValueNotSupported"),
    ] {
        assert_eq!(refusal("shop2", &[(parameter, value)]).await, code);
    }
    world.set_database(&id, "shop", ObjectStatus::Delete);
    assert_eq!(refusal("shop", &[]).await, "InvalidDBName.Duplicate");

    let change = |update: &dyn Fn(&mut openpeta_store::Tenant)| {
        let changed = world.parts.store.write(|writer| {
            let mut tenant = writer.tenant(world.tenant.account_id)?.expect("it exists");
            update(&mut tenant);
            writer.update_tenant(&tenant)
        });
        changed.expect("the store works");
    };
    change(&|tenant| tenant.database_quota = Some(1));
    assert_eq!(refusal("shop2", &[]).await, "QuotaExceeded.DBName");
    change(&|tenant| tenant.balance_cents = -1);
    assert_eq!(refusal("shop2", &[]).await, "InsufficientBalance");
    change(&|tenant| tenant.real_name_verified = false);
    assert_eq!(refusal("shop2", &[]).await, "Forbidden.Authentication");
    assert_eq!(world.databases(&id).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_made_by_sql_behind_the_order_is_neither_taken_nor_dropped() {
    let engine = TestEngine::new().await;
    let (world, id) = world_with_instance(&engine).await;
    let before = world.node(&id).settings;
    world.create(&id, "shop2").await.expect("it is free");
    let node = world.node(&id).node_id;
    let mut sql = engine.engine.sql(&node).await.expect("the node accepts");
    sql.create_database(&db("shop2")).await.expect("as Super");
    world.run_tasks().await;
    assert_eq!(world.databases(&id).len(), 1);
    assert_eq!(world.node(&id).settings, before);
    let on_node = sql.databases().await.expect("listable");
    assert!(on_node.contains(&"shop2".to_owned()), "{on_node:?}");
    sql.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_come_side_by_side_and_their_sizes_add_up() {
    let engine = TestEngine::new().await;
    let (world, id) = world_with_instance(&engine).await;
    // One is still being made when the next is ordered.
    world.create(&id, "shop2").await.expect("it is free");
    world
        .create(&id, "shop3")
        .await
        .expect("siblings do not matter");
    assert_eq!(
        code(world.create(&id, "shop3").await),
        "InvalidDBName.Duplicate"
    );
    world.run_tasks().await;
    let databases = world.databases(&id);
    assert_eq!(databases.len(), 3);
    for database in &databases {
        assert_eq!(database.status, ObjectStatus::Active);
        assert_eq!(database.charge_type, ChargeType::PostPaid);
    }
    let catalogue = &world.parts.config.node_specs;
    let (_, large) = catalogue.find("petadata.s2.large").expect("on offer");
    let (_, xlarge) = catalogue.find("petadata.s2.xlarge").expect("on offer");
    let settings = world.node(&id).settings;
    let sum = 2 * large.disk_quota_bytes + xlarge.disk_quota_bytes;
    assert_eq!(settings.disk_quota_bytes, sum);
    let route = world.gateway.route(&id).expect("a route");
    assert_eq!(route.max_connections, settings.max_connections);
    assert_eq!(
        route.max_connections,
        2 * large.max_connections + xlarge.max_connections
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_stands_for_one_database_until_that_cannot_be_made() {
    let engine = TestEngine::new().await;
    let (world, id) = world_with_instance(&engine).await;
    let call = world.call(Action::CreateDatabase);
    let request = database_request(&id, "shop2", &[("Token", "token-1")]);
    let create = async || world.control.create_database(&call, &request).await;
    let first = create().await.expect("right");
    assert_eq!(create().await.expect("the same"), first);
    world.run_tasks().await;
    assert_eq!(create().await.expect("the same"), first);

    let request = database_request(&id, "shop3", &[("ClientToken", "token-2")]);
    let create = async || world.control.create_database(&call, &request).await;
    let first = create().await.expect("right");
    let task = world.parts.store.read(|reader| reader.unfinished_tasks());
    let task = task.expect("the store works")[0].task_id;
    world
        .control
        .tasks()
        .cancel(task)
        .expect("it has not begun");
    world.run_tasks().await;
    assert_eq!(world.databases(&id).len(), 2);
    assert_ne!(create().await.expect("it is made anew"), first);
}
