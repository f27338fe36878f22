//! SwitchBackupDatabase of databases over several nodes: all nodes change hands, or none does.

use mysql_async::prelude::Queryable;

use super::nodes::is_long;
use super::spread_backups::{counts, moved, nodes_of, only_set, world_with_set};
use super::*;
use crate::backups::tests::restore;
use crate::backups::tests::switch::switch;
use crate::instance_nodes::first_placement;
use crate::testing::connect_to;
use crate::workflows::switch_backup_database::SwitchBackupDatabase;

struct SwitchingNodes(TestEngine);

/// The source and its copy, in that order.
fn both(world: &World) -> [InstanceId; 2] {
    let instances = world.parts.store.read(|reader| reader.instances());
    let instances = instances.expect("the store works").into_iter();
    let ids: Vec<_> = instances.map(|instance| instance.instance_id).collect();
    ids.try_into().expect("two instances")
}

/// A source over two nodes without rows, and a copy with the rows that it had.
async fn world_with_copy(engine: &TestEngine) -> World {
    let world = world_with_set(engine).await;
    let source = only_instance(&world);
    restore(&world, &source, only_set(&world).backup_id, &[]).expect("it is whole");
    world.run_tasks().await;
    let shop = DbName::parse("shop").expect("valid");
    // What the copy has is where it was; the source has been on since.
    let written = world
        .parts
        .store
        .write(|writer| writer.put_partitions(&source, &shop, &first_placement(2)));
    written.expect("the store works");
    // By SQL, through the coordinator: on all nodes.
    for node in nodes_of(&world, &source) {
        let mut conn = connect_to(&world, &node).await;
        let grant = "GRANT SELECT (id) ON orders TO alice";
        conn.query_drop(grant).await.expect(grant);
        conn.disconnect().await.expect("it was open");
    }
    world
}

/// What users of a node's MariaDB have.
async fn grants(world: &World, node: &NodeId) -> Vec<String> {
    let mut conn = connect_to(world, node).await;
    let users = "SELECT User FROM mysql.global_priv WHERE Host = '%' AND User <> 'PUBLIC'";
    let users: Vec<String> = conn.query(users).await.expect(users);
    let mut all = Vec::new();
    for user in users {
        let grants: Vec<String> = conn
            .query(format!("SHOW GRANTS FOR {user}"))
            .await
            .expect("it exists");
        all.extend(grants);
    }
    conn.disconnect().await.expect("it was open");
    all
}

/// Rows on the nodes of each instance, where their partitions are, and that all else follows.
async fn assert_served(world: &World, rows: [[u64; 2]; 2], placements: [Vec<u16>; 2]) {
    let shop = DbName::parse("shop").expect("valid");
    let ids = both(world);
    for ((id, rows), placement) in ids.iter().zip(rows).zip(placements) {
        assert_eq!(counts(world, id).await, rows);
        let detail = world.detail(id);
        assert_eq!(detail.instance.status, ObjectStatus::Active);
        assert_eq!(detail.databases[0].status, ObjectStatus::Active);
        assert_eq!(detail.databases[0].node_number, 2);
        let placed = world.parts.store.read(|reader| reader.partitions(id));
        assert_eq!(placed.expect("the store works")[&shop], placement);
        let route = world.gateway.route(id).expect("clients get in");
        let sharding = route.sharding.expect("it is spread");
        assert_eq!(sharding.databases["shop"], placement);
        let nodes = nodes_of(world, id);
        let sockets = nodes
            .iter()
            .map(|node| world.parts.engine.socket_path(node));
        let sockets: Result<Vec<_>, _> = sockets.collect();
        assert_eq!(sharding.nodes, sockets.expect("short enough"));
        assert_eq!(detail.instance.node_id.as_ref(), Some(&nodes[0]));
        let is_source = *id == ids[0];
        for node in &nodes {
            let grants = grants(world, node).await.join("\n");
            let has = grants.contains("SELECT (`id`) ON `shop`.`orders` TO `alice`");
            assert_eq!(has, is_source, "{grants}");
            let all = grants.contains("ON `shop`.* TO `alice`");
            assert_eq!(all, is_source, "{grants}");
        }
    }
}

async fn assert_before(world: &World) {
    assert_served(world, [[0, 0], [2, 3]], [first_placement(2), moved()]).await;
}

async fn assert_after(world: &World) {
    assert_served(world, [[2, 3], [0, 0]], [moved(), first_placement(2)]).await;
}

#[async_trait]
impl Scenario for SwitchingNodes {
    type Workflow = SwitchBackupDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_copy(&self.0).await
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    async fn next_world_after_success(&self, used: World) -> World {
        let [source, copy] = both(&used);
        switch(&used, &source, &copy).expect("it is a copy still");
        used.run_tasks().await;
        assert_before(&used).await;
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
        assert_after(world).await;
    }

    async fn assert_unwound(&self, world: &World) {
        assert_before(world).await;
    }
}

async fn rarely<S: Scenario>(scenario: &S) {
    if is_long() {
        check_failed_undos(scenario).await;
        check_cancels(scenario).await;
        schedules(scenario).await;
    }
}

checks!(switch_nodes: SwitchingNodes {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    ends_well_whatever_happens: rarely;
});
