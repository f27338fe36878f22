//! Databases over several nodes: what is told of them, and what is refused.

use openpeta_rpc_api::databases::{
    CreateDatabaseRequest, DescribeDatabasePartitionsRequest, DescribeDatabasesRequest,
    ModifyDatabaseNodesNumberRequest,
};
use openpeta_rpc_api::monitoring::DescribeInstanceResourceUsageRequest;
use openpeta_rpc_api::tables::{DescribeTableInfoRequest, DescribeTablesRequest};
use openpeta_rpc_api::{Action, ApiRequest, Params};
use openpeta_types::{DbName, InstanceId, ObjectStatus};
use serde_json::json;

use crate::ControlError;
use crate::imports::ImportOrder;
use crate::testing::{TestEngine, World, connect, order_request};

fn order(world: &World) -> InstanceId {
    let call = world.call(Action::CreateInstance);
    let request = order_request(&[("NodeNumber", "2")]);
    let ordered = world.control.create_instance(&call, &request);
    ordered.expect("the order is right").instance_id
}

fn request<R: ApiRequest>(id: &InstanceId, more: &[(&str, &str)]) -> R {
    let pairs = [&[("InstanceId", id.as_str()), ("DBName", "shop")], more].concat();
    R::from_params(&Params::from_pairs(pairs).expect("unique")).expect("well formed")
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, ControlError>) {
    let error = result.expect_err("it is not available").api;
    assert_eq!(error.code, "OperationDenied.DBInstanceType");
    assert!(error.message.contains("shop is spread over"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_available_yet_is_refused() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = order(&world);
    world.activate(&id);
    let control = &world.control;
    let call = |action| world.call(action);

    let shop = DbName::parse("shop").expect("a name");
    assert_refused(world.parts.store.write(|writer| {
        let order = ImportOrder {
            instance_id: id.clone(),
            db_name: shop.clone(),
            from: "mysql://127.0.0.1:1/shop".into(),
            ca_file: None,
            defaults_file: Some("/nowhere/source.cnf".into()),
            follows: true,
            options: openpeta_engine::ImportOptions::default(),
        };
        Ok::<_, ControlError>(world.parts.begin_import(writer, order)?.0)
    }));

    // It has 16 partitions.
    for number in ["1", "17"] {
        let other: ModifyDatabaseNodesNumberRequest = request(&id, &[("Parameter", number)]);
        let other =
            control.modify_database_nodes_number(&call(Action::ModifyDatabaseNodesNumber), &other);
        let error = other.expect_err("it cannot have so many").api;
        assert_eq!(error.code, "InvalidNodeNumber.ValueNotSupported");
    }
    let same: ModifyDatabaseNodesNumberRequest = request(&id, &[("Parameter", "2")]);
    control
        .modify_database_nodes_number(&call(Action::ModifyDatabaseNodesNumber), &same)
        .expect("nothing is to be done");

    // Nodes are being removed for one, so nobody can tell which there will be.
    let set = |writer: &openpeta_store::Writer<'_>| {
        writer.set_database_status(&id, &shop, ObjectStatus::Delete)
    };
    world.parts.store.write(set).expect("it exists");
    let pairs = [
        ("InstanceId", id.as_str()),
        ("DBName", "wide"),
        ("NodeSpec", "petadata.s2.large"),
        ("NodeNumber", "2"),
    ];
    let wide = Params::from_pairs(pairs).expect("unique");
    let wide = CreateDatabaseRequest::from_params(&wide).expect("well formed");
    let refused = control.order_database(&call(Action::CreateDatabase), &wide, false);
    let error = refused.expect_err("not now").api;
    assert_eq!(error.code, "OperationDenied.DBInstanceStatus");
    assert!(error.message.contains("shop"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_is_of_all_nodes() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = order(&world);
    world.run_tasks().await;
    let (control, caller) = (&world.control, world.caller());
    let nodes = world.parts.store.read(|reader| reader.nodes_of(&id));
    let nodes = nodes.expect("the store works");
    for (number, node) in (0..).zip(&nodes) {
        let mut conn = crate::testing::connect_to(&world, &node.node_id).await;
        let insert = format!(
            "INSERT INTO t SELECT seq, 'x' FROM seq_1_to_{}",
            100 + number
        );
        for statement in [
            "SET sql_mode = 'IGNORE_BAD_TABLE_OPTIONS'",
            "CREATE TABLE t (id INT PRIMARY KEY, a TEXT) distribute_by='HASH(id)'",
            "CREATE TABLE b (id INT PRIMARY KEY) distribute_by='BROADCAST'",
            &insert,
            "INSERT INTO b SELECT seq FROM seq_1_to_10",
            "ANALYZE TABLE t, b",
        ] {
            mysql_async::prelude::Queryable::query_drop(&mut conn, statement)
                .await
                .expect(statement);
        }
    }
    let mut conn = connect(&world, &id).await;
    mysql_async::prelude::Queryable::query_drop(&mut conn, "CREATE TABLE s (id INT PRIMARY KEY)")
        .await
        .expect("a table");

    let tables: DescribeTablesRequest = request(&id, &[]);
    let tables = control.describe_tables(&caller, &tables).await;
    let keys: Vec<_> = tables
        .expect("the node answers")
        .tables
        .into_iter()
        .map(|table| (table.table_name, table.partition_key))
        .collect();
    let expected = [("b", ""), ("s", ""), ("t", "id")];
    assert_eq!(
        keys,
        expected.map(|(name, key)| (name.to_owned(), key.to_owned()))
    );
    let info = async |table: &str| {
        let info: DescribeTableInfoRequest = request(&id, &[("TableName", table)]);
        let info = control.describe_table_info(&caller, &info).await;
        info.expect("the nodes answer")
    };
    let t = info("t").await;
    assert_eq!((t.partition_key.as_str(), t.table_rows), ("id", 201));
    assert_eq!(t.data_bytes, 2 << 14, "a page on each node");
    let b = info("b").await;
    assert_eq!((b.partition_key.as_str(), b.table_rows), ("", 10));

    let databases: DescribeDatabasesRequest = request(&id, &[]);
    let databases = control.describe_databases(&caller, &databases);
    assert_eq!(databases.expect("ours").databases[0].node_number, 2);
    let partitions: DescribeDatabasePartitionsRequest = request(&id, &[]);
    let partitions = control.describe_database_partitions(&caller, &partitions);
    let partitions = partitions.await.expect("measured").partitions;
    assert_eq!(partitions.len(), 16);
    let quota = nodes[1].settings.disk_quota_bytes;
    let capacity: u64 = partitions.iter().map(|its| its.disk_capacity).sum();
    assert_eq!(capacity, 2 * quota);
    assert!(partitions.iter().all(|its| its.disk_used > 0));
    // 201 rows are not alike in 16 of them; all else of a node is shared alike.
    let of_node = |number: usize| partitions.iter().skip(number).step_by(2);
    let used: std::collections::BTreeSet<u64> = of_node(0).map(|its| its.disk_used / 100).collect();
    assert!(used.len() > 1, "{partitions:?}");
    let pairs = [("InstanceId", id.as_str())];
    let usage = Params::from_pairs(pairs).expect("unique");
    let usage = DescribeInstanceResourceUsageRequest::from_params(&usage).expect("well formed");
    let usage = control.describe_instance_resource_usage(&caller, &usage);
    let sizes = usage.await.expect("ours").samples[0]
        .sizes
        .expect("measured");
    assert_eq!(sizes.total, 2 * quota);
    let mut data = 0;
    for node in &nodes {
        let disk = engine.engine.disk(&node.node_id).await.expect("measured");
        data += disk.usage.data_bytes;
    }
    assert_eq!(sizes.data, data);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_listed_and_moved_by_the_operator() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = order(&world);
    world.run_tasks().await;
    let nodes = world.parts.store.read(|reader| reader.nodes_of(&id));
    for node in nodes.expect("the store works") {
        let mut conn = crate::testing::connect_to(&world, &node.node_id).await;
        let insert = format!(
            "INSERT INTO t SELECT seq, 'x' FROM seq_0_to_99 WHERE seq MOD 2 = {} AND seq MOD 16 < 4",
            node.number
        );
        for statement in [
            "SET sql_mode = 'IGNORE_BAD_TABLE_OPTIONS'",
            "CREATE TABLE t (id INT PRIMARY KEY, a TEXT) distribute_by='HASH(id)'",
            &insert,
            "ANALYZE TABLE t",
        ] {
            mysql_async::prelude::Queryable::query_drop(&mut conn, statement)
                .await
                .expect(statement);
        }
    }
    let admin = async |command: serde_json::Value| {
        let command = serde_json::from_value(command).expect("a command");
        let reply = world.control.admin(command, jiff::Timestamp::now()).await;
        serde_json::to_value(reply).expect("JSON")
    };
    let list = async |count: bool| {
        admin(json!({ "command": "partition-list", "instance_id": id, "db_name": "shop", "count": count })).await
    };
    let of = |list: &serde_json::Value, name: &str| -> Vec<u64> {
        let rows = list["ok"].as_array().expect("rows");
        rows.iter()
            .map(|row| row[name].as_u64().expect(name))
            .collect()
    };
    let counted = list(true).await;
    assert_eq!(of(&counted, "node"), [0, 1].repeat(8));
    assert_eq!(
        of(&counted, "rows"),
        [[7, 7, 7, 7].as_slice(), &[0; 12]].concat()
    );
    assert_eq!(of(&counted, "bytes")[..5], [8192, 8192, 8192, 8192, 0]);
    let estimated = list(false).await;
    assert_eq!(of(&estimated, "rows").iter().sum::<u64>(), 28);

    let moving = async |db_name: &str, partitions: &[u16], node: u16| {
        admin(json!({
            "command": "partition-move", "instance_id": id, "db_name": db_name,
            "partitions": partitions, "node": node,
        }))
        .await
    };
    for (db_name, partitions, node, code, message) in [
        ("none", &[0_u16][..], 1, "InvalidDBName.NotFound", ""),
        ("shop", &[16], 1, "InvalidParameter", "no partition 16"),
        ("shop", &[0], 2, "InvalidParameter", "no node 2"),
        (
            "shop",
            &[1, 3],
            1,
            "InvalidParameter",
            "Nothing has to move",
        ),
        (
            "shop",
            &[0, 2, 4, 6, 8, 10, 12, 14],
            1,
            "InvalidParameter",
            "Node 0 would have",
        ),
    ] {
        let refused = moving(db_name, partitions, node).await;
        let error = &refused["error"];
        assert_eq!(error["code"], code, "{refused}");
        let told = error["message"].as_str().expect("a message");
        assert!(told.contains(message), "{told}");
    }
    let begun = moving("shop", &[0, 2], 1).await;
    assert!(begun["ok"]["task_id"].is_string(), "{begun}");
    // One at a time.
    let refused = moving("shop", &[1], 0).await;
    assert_eq!(
        refused["error"]["code"], "OperationDenied.DBStatus",
        "{refused}"
    );
    world.run_tasks().await;
    let after = list(true).await;
    assert_eq!(
        of(&after, "node"),
        [[1, 1, 1].as_slice(), &[1, 0].repeat(6), &[1]].concat()
    );
    assert_eq!(of(&after, "rows"), of(&counted, "rows"));
    let audited = admin(json!({ "command": "audit-list", "action": "admin:partition-move" })).await;
    assert_eq!(audited["ok"].as_array().map(Vec::len), Some(1), "{audited}");

    let narrow = [
        ("InstanceId", id.as_str()),
        ("DBName", "narrow"),
        ("NodeSpec", "petadata.s2.large"),
        ("NodeNumber", "1"),
    ];
    let narrow = Params::from_pairs(narrow).expect("unique");
    let narrow = CreateDatabaseRequest::from_params(&narrow).expect("well formed");
    let ordered = world
        .control
        .order_database(&world.call(Action::CreateDatabase), &narrow, false);
    ordered.expect("it can be ordered");
    world.run_tasks().await;
    let refused = moving("narrow", &[0], 1).await;
    assert_eq!(
        refused["error"]["code"], "OperationDenied.DBInstanceType",
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_on_one_node_gets_several_unless_a_table_says_that_it_has_them() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let call = world.call(Action::CreateInstance);
    let ordered = world.control.create_instance(&call, &order_request(&[]));
    let id = ordered.expect("the order is right").instance_id;
    world.run_tasks().await;
    let renumber = async |number: &str| {
        let changed: ModifyDatabaseNodesNumberRequest = request(&id, &[("Parameter", number)]);
        let call = world.call(Action::ModifyDatabaseNodesNumber);
        world
            .control
            .modify_database_nodes_number(&call, &changed)
            .expect("it can be ordered");
        world.run_tasks().await;
        let databases: DescribeDatabasesRequest = request(&id, &[]);
        let databases = world
            .control
            .describe_databases(&world.caller(), &databases);
        let database = &databases.expect("ours").databases[0];
        assert_eq!(database.db_status, ObjectStatus::Active);
        database.node_number
    };
    let mut conn = connect(&world, &id).await;
    for statement in [
        "SET sql_mode = 'IGNORE_BAD_TABLE_OPTIONS'",
        "CREATE TABLE t (id INT PRIMARY KEY) distribute_by='HASH(id)'",
    ] {
        mysql_async::prelude::Queryable::query_drop(&mut conn, statement)
            .await
            .expect(statement);
    }
    assert_eq!(renumber("2").await, 1);
    let tasks = world
        .parts
        .store
        .read(|reader| reader.task_page(&openpeta_store::TaskFilter::default(), 0, 1));
    let message = tasks.expect("the store works").1[0].message.clone();
    let message = message.unwrap_or_default();
    assert!(
        message.contains("Table t has the option distribute_by"),
        "{message:?}"
    );
    mysql_async::prelude::Queryable::query_drop(&mut conn, "DROP TABLE t")
        .await
        .expect("dropped");
    assert_eq!(renumber("2").await, 2);
    let orders = world.parts.store.read(|reader| reader.partitions(&id));
    let orders = orders.expect("the store works");
    assert_eq!(orders.values().next(), Some(&[0, 1].repeat(8)));
}
