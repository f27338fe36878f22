//! Databases of an instance: what is refused, and that a refused call changes nothing.

use openpeta_rpc_api::databases::{
    CreateDatabaseRequest, DeleteDatabaseRequest, DescribeDatabaseListRequest,
    DescribeDatabasePartitionsRequest, ModifyDatabaseNodesNumberRequest,
};
use openpeta_rpc_api::{Action, ApiRequest, Params};
use openpeta_store::{Database, Node};
use openpeta_types::{ChargeType, DbName, InstanceId, LockMode, ObjectStatus};

use crate::testing::{TestEngine, World};
use crate::{ControlConfig, ControlError};

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

fn request<R: ApiRequest>(id: &InstanceId, name: &str, more: &[(&str, &str)]) -> R {
    let pairs = [&[("InstanceId", id.as_str()), ("DBName", name)], more].concat();
    R::from_params(&params(&pairs)).expect("well formed")
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

    async fn delete(&self, id: &InstanceId, name: &str) -> Result<(), ControlError> {
        let call = self.call(Action::DeleteDatabase);
        let request = request::<DeleteDatabaseRequest>(id, name, &[]);
        self.control
            .delete_database(&call, &request)
            .await
            .map(drop)
    }

    async fn resize(&self, id: &InstanceId, name: &str, spec: &str) -> Result<(), ControlError> {
        let call = self.call(Action::ModifyDatabaseNodesSpec);
        let request = request(id, name, &[("NewNodeSpec", spec)]);
        let resized = self.control.modify_database_nodes_spec(&call, &request);
        resized.await.map(drop)
    }

    fn count_to(&self, id: &InstanceId, name: &str, nodes: &str) -> Result<(), ControlError> {
        let call = self.call(Action::ModifyDatabaseNodesNumber);
        let request =
            request::<ModifyDatabaseNodesNumberRequest>(id, name, &[("Parameter", nodes)]);
        self.control
            .modify_database_nodes_number(&call, &request)
            .map(drop)
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
    let mut config = ControlConfig::default();
    config.quotas.nodes_per_database = 3;
    config.nodes.capacity = 2;
    let world = World::configured(&engine, config);
    let id = world.order();
    world.run_tasks().await;
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
        ("NodeNumber", "4", "InvalidNodeNumber.ValueNotSupported"),
        ("NodeNumber", "3", "OperationDenied"),
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

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_keeps_one_database_for_certain() {
    let engine = TestEngine::new().await;
    let (world, id) = world_with_instance(&engine).await;
    assert_eq!(
        code(world.delete(&id, "none").await),
        "InvalidDBName.NotFound"
    );
    assert_eq!(
        code(world.delete(&id, "shop").await),
        "OperationDenied.NoDatabase"
    );
    // The other one may come to nothing yet.
    world.create(&id, "shop2").await.expect("it is free");
    assert_eq!(
        code(world.delete(&id, "shop").await),
        "OperationDenied.NoDatabase"
    );
    world.run_tasks().await;
    // Whoever comes first wins.
    let (one, other) = tokio::join!(world.delete(&id, "shop"), world.delete(&id, "shop2"));
    let (won, lost) = if one.is_ok() {
        (one, other)
    } else {
        (other, one)
    };
    won.expect("one of them");
    assert_eq!(code(lost), "OperationDenied.NoDatabase");
    world.run_tasks().await;
    assert_eq!(world.databases(&id).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_active_is_not_changed_and_siblings_are() {
    let engine = TestEngine::new().await;
    let (world, id) = world_with_instance(&engine).await;
    world.create(&id, "shop2").await.expect("it is free");
    world.run_tasks().await;
    let all = [
        ObjectStatus::Create,
        ObjectStatus::Modify,
        ObjectStatus::Delete,
    ];
    for status in all {
        world.set_database(&id, "shop2", status);
        let refused = "OperationDenied.DBStatus";
        assert_eq!(code(world.delete(&id, "shop2").await), refused);
        let resized = world.resize(&id, "shop2", "petadata.s2.xlarge").await;
        assert_eq!(code(resized), refused);
        assert_eq!(code(world.count_to(&id, "shop2", "1")), refused);
        world.count_to(&id, "shop", "1").expect("a sibling is free");
    }
    world.set_database(&id, "shop2", ObjectStatus::Active);
    let lock = |mode| {
        let set = |writer: &openpeta_store::Writer<'_>| writer.set_instance_lock(&id, mode, None);
        world.parts.store.write(set).expect("the store works");
    };
    lock(LockMode::ManualLock);
    let refused = "OperationDenied.LockMode";
    assert_eq!(code(world.create(&id, "shop3").await), refused);
    assert_eq!(code(world.delete(&id, "shop2").await), refused);
    let resized = world.resize(&id, "shop2", "petadata.s2.xlarge").await;
    assert_eq!(code(resized), refused);
    assert_eq!(code(world.count_to(&id, "shop2", "1")), refused);
    lock(LockMode::Unlock);
    let set =
        |writer: &openpeta_store::Writer<'_>| writer.set_instance_status(&id, ObjectStatus::Modify);
    world.parts.store.write(set).expect("the store works");
    let refused = "OperationDenied.DBInstanceStatus";
    assert_eq!(code(world.create(&id, "shop3").await), refused);
    assert_eq!(code(world.delete(&id, "shop2").await), refused);
    let resized = world.resize(&id, "shop2", "petadata.s2.xlarge").await;
    assert_eq!(code(resized), refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_spec_is_ordered_and_the_same_changes_nothing() {
    let engine = TestEngine::new().await;
    let (world, id) = world_with_instance(&engine).await;
    for (spec, refused) in [
        ("petadata.x9", "InvalidNewNodeSpec.ValueNotSupported"),
        (
            "petadata.c2.xlarge",
            "InvalidDBInstanceClassInRegion.NotAvailable",
        ),
    ] {
        assert_eq!(code(world.resize(&id, "shop", spec).await), refused);
    }
    let before = world.databases(&id);
    let same = world.resize(&id, "shop", "petadata.s2.xlarge").await;
    same.expect("it has that already");
    assert_eq!(world.databases(&id), before);
    let other = world.resize(&id, "shop", "petadata.s2.4xlarge").await;
    other.expect("it is on offer");
    assert_eq!(world.databases(&id)[0].status, ObjectStatus::Modify);
    world.run_tasks().await;
    let after = &world.databases(&id)[0];
    assert_eq!(after.status, ObjectStatus::Active);
    assert_eq!(after.node_spec.as_str(), "petadata.s2.4xlarge");
    assert_eq!(world.node(&id).settings, after.settings);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_disk_that_is_too_small_at_once() {
    let engine = TestEngine::new().await;
    let (world, id) = world_with_instance(&engine).await;
    world.create(&id, "shop2").await.expect("it is free");
    world.run_tasks().await;
    // What the rest takes is more than it may alone.
    let tiny = |writer: &openpeta_store::Writer<'_>| {
        let mut rest = writer.database(&id, &db("shop"))?.expect("it exists");
        rest.settings.disk_quota_bytes = 1;
        writer.update_database(&rest)
    };
    world.parts.store.write(tiny).expect("the store works");
    let refused = "OperationDenied.DBInstanceStorageReduce";
    assert_eq!(code(world.delete(&id, "shop2").await), refused);
    assert_eq!(world.databases(&id)[1].status, ObjectStatus::Active);
    // The other way round there is room.
    world.delete(&id, "shop").await.expect("it is not the last");
    world.run_tasks().await;
    assert_eq!(world.databases(&id).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_tell_what_a_database_takes() {
    let engine = TestEngine::new().await;
    let (world, id) = world_with_instance(&engine).await;
    let partitions = async |name: &str| {
        let request = request::<DescribeDatabasePartitionsRequest>(&id, name, &[]);
        let caller = world.caller();
        world
            .control
            .describe_database_partitions(&caller, &request)
            .await
    };
    let empty = partitions("shop").await.expect("it exists").partitions;
    let quota = world.databases(&id)[0].settings.disk_quota_bytes;
    assert_eq!(empty.len(), 1);
    assert_eq!(empty[0].disk_capacity, quota);
    assert!(empty[0].disk_used < 1 << 20, "{empty:?}");
    assert_eq!(code(partitions("none").await), "InvalidDBName.NotFound");
    world.create(&id, "shop2").await.expect("it is free");
    let planned = partitions("shop2").await.expect("it is ordered");
    assert_eq!(planned.partitions[0].disk_used, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_databases_are_listed_page_by_page() {
    let engine = TestEngine::new().await;
    let (world, id) = world_with_instance(&engine).await;
    for number in 0..11 {
        let name = format!("more_{number:02}");
        world.create(&id, &name).await.expect("it is free");
    }
    let page = |pairs: &[(&str, &str)]| {
        let request = DescribeDatabaseListRequest::from_params(&params(pairs));
        let request = request.expect("well formed");
        let page = world
            .control
            .describe_database_list(&world.caller(), &request);
        let page = page.expect("a tenant may");
        let names = page.databases.iter().map(|one| one.db_name.to_string());
        (page.total_count, names.collect::<Vec<_>>())
    };
    assert_eq!(
        page(&[("PageNumber", "2")]),
        (12, vec!["more_10".into(), "shop".into()])
    );
    assert_eq!(page(&[("InstanceStatus", "CREATE")]), (0, vec![]));
    assert_eq!(page(&[("ChargeType", "PrePaid")]), (0, vec![]));
    assert_eq!(page(&[("InstanceId", "pd-none")]).0, 0);
    assert_eq!(page(&[("InstanceId", id.as_str())]).0, 12);
    assert_eq!(page(&[("InstanceId", "what is this")]).0, 0);
}
