//! RecoverInstance with several nodes: one of them is lost, or all are.

use openpeta_store::{NodeState, Reader};
use openpeta_types::TaskStatus;

use super::nodes::is_long;
use super::recover::recover;
use super::spread_backups::{
    add, counts, moved, nodes_of, only_set, without_bin, world_over_nodes, world_with_set,
};
use super::*;
use crate::admin::protocol::ReplayedLog;
use crate::backups::Moment;
use crate::backups::tests::{create, enable_log};
use crate::instance_nodes::first_placement;
use crate::workflows::recover_instance::RecoverInstance;

struct RecoveringNodes(TestEngine);

/// The directory of a node is gone, and the service was started since.
async fn lose(world: &World, number: usize) {
    let node = &nodes_of(world, &only_instance(world))[number];
    let destroyed = world.parts.engine.destroy_node(node).await;
    destroyed.expect("a node can be destroyed");
    crate::reconcilers::first_round(&world.parts).expect("the store works");
}

/// It is spread in another way than in its set, and has lost a node.
async fn spread_anew_and_lose(world: &World) {
    let (id, shop) = (only_instance(world), DbName::parse("shop").expect("valid"));
    let written = world
        .parts
        .store
        .write(|writer| writer.put_partitions(&id, &shop, &first_placement(2)));
    written.expect("the store works");
    lose(world, 1).await;
}

fn placement(world: &World) -> Vec<u16> {
    let shop = DbName::parse("shop").expect("valid");
    let id = only_instance(world);
    let placed = world.parts.store.read(|reader| reader.partitions(&id));
    placed
        .expect("the store works")
        .remove(&shop)
        .expect("spread")
}

/// All nodes of the store are there and serve, and no others.
async fn assert_nodes(world: &World) {
    let id = only_instance(world);
    let nodes = world.parts.store.read(|reader| reader.nodes());
    let nodes = nodes.expect("the store works");
    assert_eq!(nodes.len(), 2);
    let there = world.parts.engine.list_nodes().expect("readable");
    assert_eq!(there.len(), 2);
    let route = world.gateway.route(&id).expect("clients get in");
    let sharding = route.sharding.expect("it is spread");
    let alice = AccountName::parse_new("alice").expect("valid");
    for (number, node) in (0..).zip(nodes_of(world, &id)) {
        let row = nodes.iter().find(|row| row.node_id == node);
        let row = row.expect("it is one of them");
        assert_eq!((row.number, row.state), (number, NodeState::Running));
        let socket = world.parts.engine.socket_path(&node);
        assert_eq!(sharding.nodes[usize::from(number)], socket.expect("short"));
        let mut sql = world.parts.engine.sql(&node).await.expect("it accepts");
        let privileges = sql.privileges(&alice).await.expect("readable");
        assert_eq!(privileges.expect("it is there").databases.len(), 1);
        sql.close().await;
    }
}

#[async_trait]
impl Scenario for RecoveringNodes {
    type Workflow = RecoverInstance;
    type World = World;

    async fn set_up(&self) -> World {
        let world = world_with_set(&self.0).await;
        spread_anew_and_lose(&world).await;
        world
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    async fn next_world_after_success(&self, used: World) -> World {
        spread_anew_and_lose(&used).await;
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> RecoverInstance {
        RecoverInstance(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        assert_eq!(world.detail(&id).instance.status, ObjectStatus::Inactive);
        recover(world, ReplayedLog::Nothing, &[]).expect("a node is lost")
    }

    async fn assert_done(&self, world: &World) {
        let id = only_instance(world);
        assert_eq!(world.detail(&id).instance.status, ObjectStatus::Active);
        assert_eq!(counts(world, &id).await, [2, 3]);
        assert_eq!(placement(world), moved());
        assert_nodes(world).await;
    }

    async fn assert_unwound(&self, world: &World) {
        let id = only_instance(world);
        let instance = world.detail(&id).instance.clone();
        assert_eq!(instance.status, ObjectStatus::Inactive);
        assert_eq!(placement(world), first_placement(2));
        let nodes = world.parts.store.read(|reader| reader.nodes_of(&id));
        let rows = nodes.expect("the store works");
        let rows: Vec<_> = rows.iter().map(|row| (row.number, row.state)).collect();
        assert_eq!(rows, [(0, NodeState::Running), (1, NodeState::Running)]);
        let all = world.parts.store.read(|reader| reader.nodes());
        assert_eq!(all.expect("the store works").len(), 2);
        // What is left of it is left.
        let there = world.parts.engine.list_nodes().expect("readable");
        assert_eq!(there.len(), 1);
        let is_lost = |reader: &Reader<'_>| world.parts.is_lost(reader, &instance);
        assert!(world.parts.store.read(is_lost).expect("the store works"));
    }
}

async fn own_steps<S: Scenario>(scenario: &S) {
    for step in ["load-sets", "assign-node", "settle-node", "admit-clients"] {
        check_repeated_step(scenario, step).await;
    }
    if is_long() {
        check_failed_steps(scenario).await;
        check_repeated_undos(scenario).await;
        schedules(scenario).await;
    }
}

checks!(recover_nodes: RecoveringNodes {
    succeeds: check_success;
    bears_its_own_steps_twice: own_steps;
});

#[tokio::test(flavor = "multi_thread")]
async fn what_was_half_recovered_is_undone_as_a_whole() {
    let scenario = RecoveringNodes(TestEngine::new().await);
    check_cancels(&scenario).await;
}

/// The last moment is what comes back: not what one node alone has in its log after it.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_come_back_as_of_their_last_moment() {
    let engine = TestEngine::new().await;
    let world = world_over_nodes(&engine, without_bin()).await;
    let id = only_instance(&world);
    enable_log(&world, &id);
    create(&world, &id, "shop").expect("it is ACTIVE");
    world.run_tasks().await;
    add(&world, &id, 1000).await;
    world.parts.archive_logs().await.expect("the store works");
    world.parts.note_moments().await.expect("the store works");
    add(&world, &id, 1001).await;
    world.parts.archive_logs().await.expect("the store works");
    for number in [0, 1] {
        lose(&world, number).await;
    }
    let task = recover(&world, ReplayedLog::Everything, &[]).expect("the logs go on");
    world.run_tasks().await;
    let task = world.parts.store.read(|reader| reader.task(task));
    let task = task.expect("the store works").expect("it exists");
    assert_eq!(task.status, TaskStatus::Succeeded, "{:?}", task.message);
    assert_eq!(counts(&world, &id).await, [3, 4]);
    let filter = openpeta_store::EventFilter {
        instance_id: Some(id),
        ..Default::default()
    };
    let events = world.parts.store.read(|reader| reader.events(&filter, 9));
    let events = events.expect("the store works");
    let said = events
        .iter()
        .any(|record| record.event.text.contains("shop is as of "));
    assert!(said, "{events:?}");
}

/// A database was on one node when its set was taken, and on several later: the log of that one node has
/// but a part of what was written since.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_one_node_does_not_lead_on_to_several() {
    let engine = TestEngine::new().await;
    let world = world_with_instance(&engine).await;
    let (id, shop) = (only_instance(&world), DbName::parse("shop").expect("valid"));
    enable_log(&world, &id);
    world.parts.archive_logs().await.expect("the store works");
    create(&world, &id, "shop").expect("it is ACTIVE");
    world.run_tasks().await;
    world.parts.archive_logs().await.expect("the store works");
    let home = &nodes_of(&world, &id)[0];
    let moment = Moment {
        at: jiff::Timestamp::now(),
        nodes: Vec::new(),
        partitions: [(shop, first_placement(2))].into(),
    };
    let text = serde_json::to_vec(&moment).expect("plain data");
    let moments = world.parts.log_archive(home).join("moments");
    std::fs::write(moments, text).expect("it is ours");
    lose(&world, 0).await;
    let refused = recover(&world, ReplayedLog::Everything, &[]).expect_err("a part is none");
    assert!(
        refused.contains("goes over moves of partitions"),
        "{refused}"
    );
    let before = ReplayedLog::Before(moment.at - jiff::SignedDuration::from_nanos(1));
    recover(&world, before, &[]).expect("it was on one node then");
}

/// Partitions have been moved since the set: no log leads on, and nobody is given less than asked for.
#[tokio::test(flavor = "multi_thread")]
async fn logs_do_not_lead_over_a_move_of_partitions() {
    let engine = TestEngine::new().await;
    let world = world_over_nodes(&engine, without_bin()).await;
    let (id, shop) = (only_instance(&world), DbName::parse("shop").expect("valid"));
    enable_log(&world, &id);
    create(&world, &id, "shop").expect("it is ACTIVE");
    world.run_tasks().await;
    let moved = world
        .parts
        .store
        .write(|writer| writer.put_partitions(&id, &shop, &moved()));
    moved.expect("the store works");
    add(&world, &id, 1000).await;
    world.parts.archive_logs().await.expect("the store works");
    world.parts.note_moments().await.expect("the store works");
    assert_eq!(only_set(&world).set.node_number, 2);
    lose(&world, 0).await;
    let refused = recover(&world, ReplayedLog::Everything, &[]).expect_err("they were moved");
    assert!(refused.contains("Partitions have been moved"), "{refused}");
    recover(&world, ReplayedLog::Nothing, &[]).expect("the set is whole");
    world.run_tasks().await;
    assert_eq!(counts(&world, &id).await, [2, 3]);
    assert_eq!(placement(&world), first_placement(2));
}
