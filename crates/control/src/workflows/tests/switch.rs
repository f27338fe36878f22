//! SwitchBackupDatabase.

use mysql_async::prelude::Queryable;

use super::*;
use crate::backups::tests::switch::{switch, switch_and_release};
use crate::backups::tests::{create, restore};
use crate::testing::connect;
use crate::workflows::switch_backup_database::SwitchBackupDatabase;

struct Switching(TestEngine);

/// Statements that users make by SQL on the node of the source.
const BY_SQL: [&str; 3] = [
    "GRANT SELECT (id) ON orders TO alice",
    "REVOKE DROP ON shop.* FROM alice",
    "GRANT SELECT ON late TO alice",
];

async fn run(world: &World, id: &InstanceId, statement: &str) {
    let mut conn = connect(world, id).await;
    conn.query_drop(statement).await.expect(statement);
    conn.disconnect().await.expect("it was open");
}

/// The first column of what a query gives.
async fn column(world: &World, id: &InstanceId, query: &str) -> Vec<String> {
    let mut conn = connect(world, id).await;
    let values = conn.query(query).await.expect(query);
    conn.disconnect().await.expect("it was open");
    values
}

/// The source and its copy, in that order.
fn both(world: &World) -> [InstanceId; 2] {
    let instances = world.parts.store.read(|reader| reader.instances());
    let instances = instances.expect("the store works").into_iter();
    let ids: Vec<_> = instances.map(|instance| instance.instance_id).collect();
    ids.try_into().expect("two instances")
}

/// A source whose account has grants of its own, with rows since the backup, and a copy that has
/// an account of its own.
async fn world_with_copy(engine: &TestEngine) -> World {
    let world = world_with_instance(engine).await;
    let source = only_instance(&world);
    run(&world, &source, "CREATE TABLE orders (id INT PRIMARY KEY)").await;
    run(&world, &source, "INSERT INTO orders VALUES (1), (2)").await;
    let set = create(&world, &source, "shop").expect("it is ACTIVE");
    world.run_tasks().await;
    let copy = restore(&world, &source, set, &[]).expect("it is whole");
    world.run_tasks().await;
    run(&world, &source, "DELETE FROM orders").await;
    run(&world, &source, "CREATE TABLE late (id INT PRIMARY KEY)").await;
    for statement in BY_SQL {
        run(&world, &source, statement).await;
    }
    let request = CreateAccountRequest::from_params(&params(&[
        ("InstanceId", copy.as_str()),
        ("AccountName", "bob"),
        ("AccountPassword", "Passw0rd!"),
        ("DBName", "shop"),
        ("AccountPrivilege", "ReadOnly"),
    ]));
    let call = world.call(Action::CreateAccount);
    let control = world.control.clone();
    let request = request.expect("well formed");
    let asked = tokio::spawn(async move { control.create_account(&call, &request).await });
    while world
        .parts
        .store
        .read(|reader| reader.unfinished_tasks())
        .expect("the store works")
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
    world.run_tasks().await;
    asked.await.expect("no panic").expect("it is made");
    world
}

/// Rows in each instance, accounts on its node, and what alice may do in the source.
async fn assert_served(world: &World, rows: [&str; 2]) {
    let [source, copy] = both(world);
    for (id, rows, account) in [(&source, rows[0], "alice"), (&copy, rows[1], "bob")] {
        let count = column(world, id, "SELECT CAST(COUNT(*) AS CHAR) FROM orders").await;
        assert_eq!(count, [rows], "{account}");
        let accounts = "SELECT User FROM mysql.global_priv WHERE Host = '%' AND User <> 'PUBLIC'";
        assert_eq!(column(world, id, accounts).await, [account]);
        let detail = world.detail(id);
        assert_eq!(detail.instance.status, ObjectStatus::Active);
        assert_eq!(detail.databases[0].status, ObjectStatus::Active);
        let node = detail.instance.node_id.clone().expect("it has a node");
        let route = world.gateway.route(id).expect("clients get in");
        let socket = world.parts.engine.socket_path(&node).expect("short enough");
        assert_eq!(route.node_socket, socket);
        assert!(route.accounts.contains_key(account));
        let of_node = world.parts.store.read(|reader| reader.nodes_of(id));
        let of_node = of_node.expect("the store works");
        assert_eq!(of_node.len(), 1);
        assert_eq!(of_node[0].node_id, node);
    }
    let grants = column(world, &source, "SHOW GRANTS FOR alice")
        .await
        .join("\n");
    assert!(
        grants.contains("SELECT (`id`) ON `shop`.`orders`"),
        "{grants}"
    );
    assert!(!grants.contains("DROP"), "{grants}");
    let is_old = rows[0] == "0";
    assert_eq!(grants.contains("`late`"), is_old, "{grants}");
}

/// Switches back after a switch. A grant on a table that the other content lacked is made again.
async fn switch_back(world: &World) {
    let [source, copy] = both(world);
    switch(world, &source, &copy).expect("it is a copy still");
    world.run_tasks().await;
    run(world, &source, "GRANT SELECT ON late TO alice").await;
}

#[async_trait]
impl Scenario for Switching {
    type Workflow = SwitchBackupDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_copy(&self.0).await
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    async fn next_world_after_success(&self, used: World) -> World {
        switch_back(&used).await;
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> SwitchBackupDatabase {
        SwitchBackupDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let [source, copy] = both(world);
        // The gateway of these tests knows what it is told alone.
        for id in [&source, &copy] {
            world.parts.publish(id).expect("the store works");
        }
        switch(world, &source, &copy).expect("all is at rest");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_served(world, ["2", "0"]).await;
    }

    async fn assert_unwound(&self, world: &World) {
        let [source, _] = both(world);
        // A grant on a table that the other content lacks does not come back.
        run(world, &source, "GRANT SELECT ON late TO alice").await;
        assert_served(world, ["0", "2"]).await;
    }
}

checks!(switch_backup_database: Switching {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    leaves_nothing_when_cancelled: check_cancels;
    ends_well_whatever_happens: schedules;
});

#[tokio::test(flavor = "multi_thread")]
async fn a_second_switch_brings_everything_back() {
    let engine = TestEngine::new().await;
    let world = world_with_copy(&engine).await;
    let [source, copy] = both(&world);
    switch_and_release(&world, &source, &copy).expect("all is at rest");
    world.run_tasks().await;
    assert_served(&world, ["2", "0"]).await;
    let replaced = |id| world.detail(id).replaced.clone();
    let its = replaced(&copy).expect("it goes by itself");
    assert_eq!((&its.served_by, replaced(&source)), (&source, None));
    let week = jiff::SignedDuration::from_hours(7 * 24);
    assert_eq!(its.release_at, its.replaced_at + week);
    // What is written after the switch stays with what it was written to.
    run(&world, &source, "INSERT INTO orders VALUES (3)").await;
    switch_back(&world).await;
    assert_served(&world, ["0", "3"]).await;
    // What it holds now is the restored content, which nobody wants to lose.
    assert_eq!(replaced(&copy), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_made_by_sql_stands_in_the_way() {
    let engine = TestEngine::new().await;
    let world = world_with_copy(&engine).await;
    let [source, copy] = both(&world);
    run(&world, &source, "CREATE DATABASE by_sql").await;
    switch(&world, &source, &copy).expect("the store does not know");
    let id = newest_task(&world);
    world.run_tasks().await;
    let task = world.parts.store.read(|reader| reader.task(id));
    let task = task.expect("the store works").expect("it exists");
    let message = task.message.expect("why it failed");
    assert!(message.contains("by_sql"), "{message}");
    assert_eq!(task.status, openpeta_types::TaskStatus::Failed);
    for id in [&source, &copy] {
        world.parts.publish(id).expect("the store works");
    }
    assert_served(&world, ["0", "2"]).await;
}

/// A variable of the server that serves an instance.
async fn variable(world: &World, id: &InstanceId, name: &str) -> u32 {
    let query = format!("SELECT CAST(@@GLOBAL.{name} + 0 AS CHAR)");
    let value = column(world, id, &query).await;
    value[0].parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_and_locks_follow_the_instances() {
    let engine = TestEngine::new().await;
    let world = world_with_copy(&engine).await;
    let [source, copy] = both(&world);
    let before = variable(&world, &source, "max_connections").await;
    let written = world.parts.store.write(|writer| {
        let mut database = writer.databases(&copy)?.remove(0);
        database.settings.max_connections += 7;
        database.settings.disk_quota_bytes -= 7;
        writer.update_database(&database)
    });
    written.expect("the store works");
    switch(&world, &source, &copy).expect("all is at rest");
    // The operator may lock an instance whatever is being done to it.
    let locked = world.parts.store.write(|writer| {
        writer.set_instance_lock(&source, openpeta_types::LockMode::ManualLock, None)
    });
    locked.expect("the store works");
    world.run_tasks().await;
    assert_eq!(variable(&world, &source, "max_connections").await, before);
    let of_copy = variable(&world, &copy, "max_connections").await;
    assert_eq!(of_copy, before + 7);
    assert_eq!(variable(&world, &source, "read_only").await, 1);
    assert_eq!(variable(&world, &copy, "read_only").await, 0);
    let route = |id| world.gateway.route(id).expect("clients get in");
    assert_eq!(
        route(&copy).max_connections,
        route(&source).max_connections + 7
    );
    assert!(route(&source).write_lock.is_some() && route(&copy).write_lock.is_none());
    let node = |id| {
        let nodes = world.parts.store.read(|reader| reader.nodes_of(id));
        nodes.expect("the store works").remove(0)
    };
    assert_eq!(
        node(&copy).settings.disk_quota_bytes + 7,
        node(&source).settings.disk_quota_bytes
    );
}
