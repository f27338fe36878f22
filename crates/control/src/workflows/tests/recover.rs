//! RecoverInstance: an instance whose data is lost comes back as what it was.

use mysql_async::prelude::Queryable;
use openpeta_store::{Account, Instance, Node, NodeState, Reader};
use openpeta_types::route::AccountLogin;
use openpeta_types::{AccountType, BackupStatus, LockMode, PrivilegeSet, Secret, TaskStatus};

use super::backups::{run, world_with_backup, world_with_set};
use super::*;
use crate::ControlError;
use crate::admin::protocol::ReplayedLog;
use crate::backups::tests::{create, enable_log};
use crate::control_plane::RecoveryOrder;
use crate::testing::connect;
use crate::workflows::recover_instance::RecoverInstance;

struct Recovering(TestEngine);

fn instance(world: &World) -> Instance {
    let id = only_instance(world);
    world.detail(&id).instance.clone()
}

/// The node's directory is gone, and the service was started since.
async fn lose_data(world: &World) -> NodeId {
    let node = instance(world).node_id.expect("it has a node");
    let destroyed = world.parts.engine.destroy_node(&node).await;
    destroyed.expect("a node can be destroyed");
    crate::reconcilers::first_round(&world.parts).expect("the store works");
    node
}

/// Asks for a recovery; the detail of the refusal if there is one.
pub(super) fn recover(
    world: &World,
    log: ReplayedLog,
    without: &[DbName],
) -> Result<TaskId, String> {
    let id = only_instance(world);
    let order = RecoveryOrder {
        instance_id: &id,
        backup_ids: &[],
        log,
        without,
    };
    let now = jiff::Timestamp::now();
    let begun = world
        .parts
        .store
        .write(|writer| world.parts.begin_recovery(writer, &order, now));
    let told = |error: ControlError| format!("{}: {}", error.api.code, error.api.message);
    begun.map(|(task, _)| task).map_err(told)
}

/// Gives the seeded instance an account, and a node of which there is nothing but the row.
fn seed_lost_node(world: &World) {
    let instance = instance(world);
    let id = instance.instance_id.clone();
    let database = world.detail(&id).databases[0].clone();
    let node = Node {
        node_id: NodeId::parse("nd-lost").expect("an id"),
        instance_id: Some(id.clone()),
        number: 0,
        node_spec: Some(database.node_spec),
        settings: database.settings,
        state: NodeState::Running,
        restarts: 0,
        created_at: instance.created_at,
    };
    let alice = Account {
        instance_id: id.clone(),
        name: AccountName::parse_new("alice").expect("valid"),
        account_type: AccountType::Normal,
        status: AccountStatus::Active,
        description: None,
        login: AccountLogin {
            native: [1; 20],
            sha2: [2; 32],
            backend_password: Secret::new("backend-password"),
        },
        created_at: instance.created_at,
    };
    let seeded = world.parts.store.write(|writer| {
        writer.insert_node(&node)?;
        writer.update_instance(&Instance {
            node_id: Some(node.node_id.clone()),
            ..instance
        })?;
        writer.insert_account(&alice)?;
        let all = Some(PrivilegeSet::ReadWrite);
        writer.set_grant(&id, &alice.name, &database.db_name, all)
    });
    seeded.expect("the store works");
}

async fn rows(world: &World) -> u64 {
    let mut conn = connect(world, &only_instance(world)).await;
    let rows = conn.query_first("SELECT COUNT(*) FROM orders").await;
    conn.disconnect().await.expect("it was open");
    rows.expect("the table is there").expect("a row")
}

#[async_trait]
impl Scenario for Recovering {
    type Workflow = RecoverInstance;
    type World = World;

    async fn set_up(&self) -> World {
        let world = world_with_set(&self.0).await;
        clear(&world).await;
        seed_lost_node(&world);
        crate::reconcilers::first_round(&world.parts).expect("the store works");
        world
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> RecoverInstance {
        RecoverInstance(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        assert_eq!(instance(world).status, ObjectStatus::Inactive);
        recover(world, ReplayedLog::Nothing, &[]).expect("its data is lost")
    }

    async fn assert_done(&self, world: &World) {
        let instance = instance(world);
        assert_eq!(instance.status, ObjectStatus::Active);
        assert_eq!(rows(world).await, 2);
        let nodes = world.parts.store.read(|reader| reader.nodes());
        let nodes = nodes.expect("the store works");
        assert_eq!(nodes.len(), 1);
        assert_eq!(nodes[0].state, NodeState::Running);
        assert_eq!(nodes[0].instance_id, Some(instance.instance_id.clone()));
        assert_eq!(Some(&nodes[0].node_id), instance.node_id.as_ref());
        let engine = &world.parts.engine;
        let there = engine.list_nodes().expect("a readable directory");
        assert_eq!(there.len(), 1);
        let mut sql = engine.sql(&nodes[0].node_id).await.expect("it accepts");
        let account = AccountName::parse_new("alice").expect("valid");
        let privileges = sql.privileges(&account).await.expect("readable");
        assert_eq!(privileges.expect("it is there").databases.len(), 1);
        sql.close().await;
        let route = world.gateway.route(&instance.instance_id);
        let route = route.expect("clients get in");
        let socket = engine.socket_path(&nodes[0].node_id);
        assert_eq!(route.node_socket, socket.expect("short enough"));
        assert!(route.accounts.contains_key("alice"));
    }

    async fn assert_unwound(&self, world: &World) {
        let instance = instance(world);
        assert_eq!(instance.status, ObjectStatus::Inactive);
        let nodes = world.parts.store.read(|reader| reader.nodes());
        let nodes = nodes.expect("the store works");
        assert_eq!(nodes.len(), 1);
        assert_eq!(Some(&nodes[0].node_id), instance.node_id.as_ref());
        assert_eq!(nodes[0].state, NodeState::Running);
        let engine = &world.parts.engine;
        assert_eq!(engine.list_nodes().expect("a readable directory"), []);
        assert_eq!(engine.list_processes().expect("a readable /proc"), []);
        let sets = world.parts.store.read(|reader| reader.backup_sets(None, 9));
        let sets = sets.expect("the store works");
        assert_eq!(sets[0].status, BackupStatus::Success);
        // It can be tried again.
        let is_lost = |reader: &Reader<'_>| world.parts.is_lost(reader, &instance);
        assert!(world.parts.store.read(is_lost).expect("the store works"));
    }
}

/// The steps that other workflows do not have as well.
const OWN_STEPS: [&str; 3] = ["assign-node", "settle-node", "admit-clients"];

async fn own_steps<S: Scenario>(scenario: &S) {
    for step in OWN_STEPS {
        check_repeated_step(scenario, step).await;
    }
}

checks!(recover_instance: Recovering {
    succeeds: check_success;
    bears_its_own_steps_twice: own_steps;
    ends_well_whatever_happens: schedules;
});

/// Every step and every undo repeated and failed takes minutes, most of them in steps that
/// restores have too; with `OPENPETA_ALL_CHECKS` set.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_whatever_fails() {
    if std::env::var_os("OPENPETA_ALL_CHECKS").is_none() {
        return;
    }
    let scenario = Recovering(TestEngine::new().await);
    check_repeated_steps(&scenario).await;
    check_failed_steps(&scenario).await;
    check_repeated_undos(&scenario).await;
    check_failed_undos(&scenario).await;
    check_cancels(&scenario).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_lost_is_recovered_and_only_out_of_what_is_there() {
    let engine = TestEngine::new().await;
    let world = world_with_backup(&engine).await;
    let refused = recover(&world, ReplayedLog::Nothing, &[]).expect_err("its data is there");
    assert!(refused.contains("DBInstanceStatus"), "{refused}");
    // A lock follows the instance.
    let id = only_instance(&world);
    let store = &world.parts.store;
    let locked = store.write(|writer| writer.set_instance_lock(&id, LockMode::ManualLock, None));
    locked.expect("the store works");
    lose_data(&world).await;
    let log = recover(&world, ReplayedLog::Everything, &[]).expect_err("no log is archived");
    assert!(log.contains("does not go on from backup set"), "{log}");
    let early = ReplayedLog::Before(jiff::Timestamp::UNIX_EPOCH);
    let early = recover(&world, early, &[]).expect_err("no set is older");
    assert!(early.contains("database shop from before"), "{early}");
    let shop = DbName::parse("shop").expect("a name");
    let nothing = recover(&world, ReplayedLog::Nothing, &[shop]).expect_err("nothing is left");
    assert!(nothing.contains("No database"), "{nothing}");
    let other = DbName::parse("other").expect("a name");
    let unknown = recover(&world, ReplayedLog::Nothing, &[other]).expect_err("there is none");
    assert!(unknown.contains("InvalidDBName.NotFound"), "{unknown}");
    recover(&world, ReplayedLog::Nothing, &[]).expect("it can be done");
    let again = recover(&world, ReplayedLog::Nothing, &[]).expect_err("it is being done");
    assert!(again.contains("A task works on it"), "{again}");
    world.run_tasks().await;
    assert_eq!(rows(&world).await, 2);
    let route = world.gateway.route(&id).expect("clients get in");
    assert!(route.write_lock.is_some());

    // The files of the set are not there either.
    lose_data(&world).await;
    let sets = store.read(|reader| reader.backup_set_ids());
    let (_, set) = sets.expect("the store works").remove(0);
    let directory = world.parts.backup_dir(&id, set);
    world
        .parts
        .engine
        .destroy_set(&directory)
        .await
        .expect("removed");
    let none = recover(&world, ReplayedLog::Nothing, &[]).expect_err("nothing is there");
    assert!(
        none.contains("no whole backup set of database shop"),
        "{none}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_archived_of_the_log_is_not_lost() {
    let engine = TestEngine::new().await;
    let world = world_with_instance(&engine).await;
    let id = only_instance(&world);
    enable_log(&world, &id);
    run(&world, &id, "CREATE TABLE orders (id INT PRIMARY KEY)").await;
    create(&world, &id, "shop").expect("it is ACTIVE");
    world.run_tasks().await;
    run(&world, &id, "INSERT INTO orders VALUES (1), (2), (3)").await;
    world.parts.archive_logs().await.expect("the store works");
    lose_data(&world).await;
    let task = recover(&world, ReplayedLog::Everything, &[]).expect("the log goes on");
    world.run_tasks().await;
    let task = world.parts.store.read(|reader| reader.task(task));
    let task = task.expect("the store works").expect("it exists");
    assert_eq!(task.status, TaskStatus::Succeeded, "{:?}", task.message);
    assert_eq!(rows(&world).await, 3);
}

/// The host was lost before the archive had what a set has: there is nothing to apply, and nothing is
/// applied over it.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_before_the_set_adds_nothing() {
    let engine = TestEngine::new().await;
    let world = world_with_instance(&engine).await;
    let id = only_instance(&world);
    enable_log(&world, &id);
    run(&world, &id, "CREATE TABLE orders (id INT PRIMARY KEY)").await;
    world.parts.archive_logs().await.expect("the store works");
    let node = instance(&world).node_id.expect("it has a node");
    let archive = world.parts.log_archive(&node);
    // As a copy of the archive that was made at this time.
    let aside = archive.with_extension("aside");
    std::fs::rename(&archive, &aside).expect("it is there");
    run(&world, &id, "INSERT INTO orders VALUES (1), (2), (3)").await;
    create(&world, &id, "shop").expect("it is ACTIVE");
    world.run_tasks().await;
    lose_data(&world).await;
    let early = recover(&world, ReplayedLog::Everything, &[]).expect_err("there is no log at all");
    assert!(early.contains("does not go on from"), "{early}");
    std::fs::rename(&aside, &archive).expect("it is there");
    let now = ReplayedLog::Before(jiff::Timestamp::now());
    let later = recover(&world, now, &[]).expect_err("nothing is known of that time");
    assert!(later.contains("ends before backup set"), "{later}");
    let task = recover(&world, ReplayedLog::Everything, &[]).expect("it has its end");
    world.run_tasks().await;
    let task = world.parts.store.read(|reader| reader.task(task));
    let task = task.expect("the store works").expect("it exists");
    assert_eq!(task.status, TaskStatus::Succeeded, "{:?}", task.message);
    assert_eq!(rows(&world).await, 3);
    let filter = openpeta_store::EventFilter {
        instance_id: Some(id),
        ..Default::default()
    };
    let events = world.parts.store.read(|reader| reader.events(&filter, 9));
    let events = events.expect("the store works");
    let said = events
        .iter()
        .any(|record| record.event.text.contains("ends before backup set"));
    assert!(said, "{events:?}");
}
