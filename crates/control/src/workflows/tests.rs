//! Every workflow over real nodes: each step repeated, each step failed, each undo repeated,
//! cancels, random crashes; then either all is there or nothing is left.

use async_trait::async_trait;
use openpeta_rpc_api::accounts::{CreateAccountRequest, DeleteAccountRequest};
use openpeta_rpc_api::instances::DeleteInstanceRequest;
use openpeta_rpc_api::{Action, ApiRequest, Params};
use openpeta_sql_route::DdlKind;
use openpeta_store::Store;
use openpeta_tasks::test_util::{
    Scenario, check_cancels, check_failed_steps, check_failed_undos, check_random_schedules,
    check_repeated_step, check_repeated_steps, check_repeated_undos, check_success,
};
use openpeta_types::{
    AccountName, AccountStatus, DbName, InstanceId, NodeId, ObjectStatus, TableName, TaskId,
};

use super::change_table::ChangeTable;
use super::create_account::CreateAccount;
use super::create_instance::CreateInstance;
use super::delete_account::DeleteAccount;
use super::delete_instance::DeleteInstance;
use crate::testing::{TestEngine, World};

/// Random schedules of each workflow; a run takes a good part of a second.
const SEEDS: std::ops::Range<u64> = 0..8;

/// The task that the last call added.
fn newest_task(world: &World) -> TaskId {
    let unfinished = world.parts.store.read(|reader| reader.unfinished_tasks());
    let unfinished = unfinished.expect("the store works");
    unfinished.last().expect("a task was added").task_id
}

/// Has the only instance deleted; gives the task.
fn delete_instance(world: &World) -> TaskId {
    let request = DeleteInstanceRequest {
        instance_id: only_instance(world),
        client_token: None,
    };
    let call = world.call(Action::DeleteInstance);
    let deleted = world.control.delete_instance(&call, &request);
    deleted.expect("it is ACTIVE");
    newest_task(world)
}

fn only_instance(world: &World) -> InstanceId {
    let instances = world.parts.store.read(|reader| reader.instances());
    let instances = instances.expect("the store works");
    assert_eq!(instances.len(), 1);
    instances[0].instance_id.clone()
}

/// Panics if the store has an instance or what belongs to one, the gateway an endpoint or
/// route, or the engine a node of this world.
fn assert_no_instance(world: &World) {
    let store = &world.parts.store;
    let instances = store.read(|reader| reader.instances());
    assert_eq!(instances.expect("the store works"), []);
    let endpoints = store.read(|reader| reader.endpoints());
    assert_eq!(endpoints.expect("the store works"), []);
    let nodes = store.read(|reader| reader.nodes());
    assert_eq!(nodes.expect("the store works"), []);
    use crate::Gateway as _;
    assert!(world.gateway.endpoints().is_empty());
    // Worlds of one test follow each other, so the engine has the nodes of this one alone.
    let engine = &world.parts.engine;
    let left = engine.list_nodes().expect("a readable directory");
    assert!(left.is_empty(), "{left:?}");
    let running = engine.list_processes().expect("a readable /proc");
    assert!(running.is_empty(), "{running:?}");
}

/// Removes what a run that succeeded left, so that the next one begins with an empty engine.
async fn clear(world: &World) {
    for entry in world.parts.engine.list_nodes().expect("readable") {
        let destroyed = world.parts.engine.destroy_node(&entry.node).await;
        destroyed.expect("a node can be destroyed");
    }
}

/// A world with one finished instance.
async fn world_with_instance(engine: &TestEngine) -> World {
    let world = World::new(engine);
    clear(&world).await;
    world.order();
    world.run_tasks().await;
    world
}

fn params(pairs: &[(&str, &str)]) -> Params {
    Params::from_pairs(pairs.iter().copied()).expect("unique names")
}

struct Creating(TestEngine);

#[async_trait]
impl Scenario for Creating {
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
        world.order();
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        let id = only_instance(world);
        let store = &world.parts.store;
        let detail = store.read(|reader| reader.instance_detail(&id));
        let detail = detail.expect("the store works").expect("it exists");
        assert_eq!(detail.instance.status, ObjectStatus::Active);
        assert_eq!(detail.databases[0].status, ObjectStatus::Active);
        let node = detail.instance.node_id.expect("it has a node");
        let mut sql = world
            .parts
            .engine
            .sql(&node)
            .await
            .expect("the node accepts");
        assert!(
            sql.databases()
                .await
                .expect("listable")
                .contains(&"shop".to_owned())
        );
        let account = AccountName::parse_new("alice").expect("valid");
        let privileges = sql.privileges(&account).await.expect("readable");
        assert_eq!(privileges.expect("the account exists").databases.len(), 1);
        sql.close().await;
        let route = world.gateway.route(&id).expect("clients are let in");
        assert!(route.accounts.contains_key("alice"));
        assert!(route.write_lock.is_none());
        use crate::Gateway as _;
        assert_eq!(world.gateway.endpoints().len(), 1);
    }

    async fn assert_unwound(&self, world: &World) {
        assert_no_instance(world);
    }
}

struct Deleting(TestEngine);

#[async_trait]
impl Scenario for Deleting {
    type Workflow = DeleteInstance;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_instance(&self.0).await
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> DeleteInstance {
        DeleteInstance(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let request = DeleteInstanceRequest {
            instance_id: only_instance(world),
            client_token: None,
        };
        let call = world.call(Action::DeleteInstance);
        world
            .control
            .delete_instance(&call, &request)
            .expect("it is ACTIVE");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_no_instance(world);
    }

    async fn assert_unwound(&self, _world: &World) {
        panic!("a delete is never unwound");
    }
}

struct AddingAccount(TestEngine);

impl AddingAccount {
    async fn on_node(world: &World, name: &str) -> bool {
        let id = only_instance(world);
        let instance = world.parts.store.read(|reader| reader.instance(&id));
        let node = instance
            .expect("the store works")
            .expect("it exists")
            .node_id;
        let engine = &world.parts.engine;
        let mut sql = engine
            .sql(&node.expect("a node"))
            .await
            .expect("the node accepts");
        let accounts = sql.accounts().await.expect("listable");
        sql.close().await;
        accounts.iter().any(|account| account.as_str() == name)
    }
}

/// The status of an account in the store.
fn account_status(world: &World, name: &str) -> Option<AccountStatus> {
    let name = AccountName::parse_new(name).expect("valid");
    let id = only_instance(world);
    let account = world.parts.store.read(|reader| reader.account(&id, &name));
    account
        .expect("the store works")
        .map(|account| account.status)
}

#[async_trait]
impl Scenario for AddingAccount {
    type Workflow = CreateAccount;
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

    fn workflow(&self, world: &World) -> CreateAccount {
        CreateAccount(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        let request = CreateAccountRequest::from_params(&params(&[
            ("InstanceId", id.as_str()),
            ("AccountName", "bob"),
            ("AccountPassword", "Passw0rd!"),
            ("DBName", "shop"),
            ("AccountPrivilege", "ReadOnly"),
        ]));
        let request = request.expect("well formed");
        let call = world.call(Action::CreateAccount);
        world
            .control
            .add_account(&call, &request)
            .expect("it can be added");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_eq!(account_status(world, "bob"), Some(AccountStatus::Active));
        assert!(Self::on_node(world, "bob").await);
        let route = world.gateway.route(&only_instance(world)).expect("a route");
        assert!(route.accounts.contains_key("bob"));
    }

    async fn assert_unwound(&self, world: &World) {
        assert_eq!(account_status(world, "bob"), None);
        assert!(!Self::on_node(world, "bob").await);
        let route = world.gateway.route(&only_instance(world)).expect("a route");
        assert!(!route.accounts.contains_key("bob"));
    }
}

struct DroppingAccount(TestEngine);

#[async_trait]
impl Scenario for DroppingAccount {
    type Workflow = DeleteAccount;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_instance(&self.0).await
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> DeleteAccount {
        DeleteAccount(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        let pairs = [("InstanceId", id.as_str()), ("AccountName", "alice")];
        let request = DeleteAccountRequest::from_params(&params(&pairs)).expect("well formed");
        let call = world.call(Action::DeleteAccount);
        world
            .control
            .drop_account(&call, &request)
            .expect("it is ACTIVE");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_eq!(account_status(world, "alice"), None);
        assert!(!AddingAccount::on_node(world, "alice").await);
        let route = world.gateway.route(&only_instance(world)).expect("a route");
        assert!(route.accounts.is_empty());
    }

    async fn assert_unwound(&self, _world: &World) {
        panic!("a delete is never unwound");
    }
}

/// An index added to a table: run twice, the statement makes a second one.
struct ChangingTable(TestEngine);

impl ChangingTable {
    fn names() -> (DbName, TableName) {
        let table = TableName::parse("orders").expect("valid");
        (DbName::parse("shop").expect("valid"), table)
    }

    fn node(world: &World) -> NodeId {
        let id = only_instance(world);
        let instance = world.parts.store.read(|reader| reader.instance(&id));
        let instance = instance.expect("the store works").expect("it exists");
        instance.node_id.expect("it has a node")
    }

    async fn assert_indexes(world: &World, expected: &[&str]) {
        let (database, table) = Self::names();
        let sql = world.parts.engine.sql(&Self::node(world)).await;
        let mut sql = sql.expect("the node accepts");
        let found = sql.table(&database, &table).await.expect("readable");
        sql.close().await;
        let indexes = found.expect("it exists").indexes;
        let names: Vec<_> = indexes.iter().map(|index| index.name.as_str()).collect();
        assert_eq!(names, expected);
    }
}

#[async_trait]
impl Scenario for ChangingTable {
    type Workflow = ChangeTable;
    type World = World;

    async fn set_up(&self) -> World {
        let world = world_with_instance(&self.0).await;
        let (id, (database, _)) = (only_instance(&world), Self::names());
        let call = world.call(Action::CreateTable);
        let statement = "CREATE TABLE orders (id INT, total INT)";
        let create = DdlKind::CreateTable;
        let added =
            world
                .control
                .add_definition(&call, (&id, &database), create, (statement, None));
        added.expect("a right statement");
        world.run_tasks().await;
        world
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> ChangeTable {
        ChangeTable(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let (id, (database, _)) = (only_instance(world), Self::names());
        let call = world.call(Action::ModifyTable);
        let statement = "ALTER TABLE orders ADD INDEX (total)";
        let alter = DdlKind::AlterTable;
        let added = world
            .control
            .add_definition(&call, (&id, &database), alter, (statement, None));
        added.expect("a right statement")
    }

    async fn assert_done(&self, world: &World) {
        Self::assert_indexes(world, &["total"]).await;
    }

    async fn assert_unwound(&self, world: &World) {
        Self::assert_indexes(world, &[]).await;
    }
}

/// One test a check, so that they share the cores.
macro_rules! checks {
    ($module:ident: $scenario:ident { $($name:ident: $check:expr;)+ }) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    let scenario = $scenario(TestEngine::new().await);
                    let check = $check;
                    check(&scenario).await;
                }
            )+
        }
    };
}

async fn schedules<S: Scenario>(scenario: &S) {
    check_random_schedules(scenario, SEEDS).await;
}

mod account_privileges;

checks!(create_instance: Creating {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    leaves_nothing_when_cancelled: check_cancels;
    ends_well_whatever_happens: schedules;
});

checks!(delete_instance: Deleting {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    goes_on_when_a_step_fails: check_failed_steps;
    ends_well_whatever_happens: schedules;
});

checks!(create_account: AddingAccount {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    leaves_nothing_when_cancelled: check_cancels;
    ends_well_whatever_happens: schedules;
});

checks!(delete_account: DroppingAccount {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    goes_on_when_a_step_fails: check_failed_steps;
    ends_well_whatever_happens: schedules;
});

mod backups;
mod databases;
mod endpoints;
mod gateway;
mod imports;
mod nodes;
mod recover;
mod recycle;
mod spread_backups;
mod spread_imports;
mod spread_recover;
mod spread_switch;
mod switch;
checks!(change_table: ChangingTable {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_or_goes_on_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    leaves_nothing_when_cancelled: check_cancels;
    ends_well_whatever_happens: schedules;
});

/// Whoever adds a workflow adds its checks above.
#[tokio::test]
async fn every_workflow_has_its_checks() {
    let world = World::new(&TestEngine::new().await);
    let names: Vec<_> = super::all(&world.parts).names().collect();
    let checked = [
        "allocate-public-connection",
        "change-nodes-number",
        "change-table",
        "create-account",
        "create-database",
        "create-database-backup",
        "create-instance",
        "create-spread-database",
        "delete-account",
        "delete-database",
        "delete-instance",
        "delete-spread-database",
        "export-database",
        "grant-account-privilege",
        "import-database",
        "import-spread-database",
        "migrate-database",
        "move-partitions",
        "recover-instance",
        "recycle-database",
        "recycle-instance",
        "recycle-spread-database",
        "release-public-connection",
        "resize-database",
        "restore-database",
        "revoke-account-privilege",
        "spread-database",
        "switch-backup-database",
        "switch-instance-net-type",
        "verify-backup",
    ];
    assert_eq!(names, checked);
}
