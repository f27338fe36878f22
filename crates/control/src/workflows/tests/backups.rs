//! Workflows of backups.

use std::ffi::OsString;
use std::path::PathBuf;

use mysql_async::prelude::Queryable;
use openpeta_store::{BackupOutcome, BackupSet, NewBackupSet};
use openpeta_types::{
    AccountStatus, BackupMethod, BackupMode, BackupStatus, BackupType, ChargeType, POSTPAID_EXPIRY,
    format_time,
};
use tokio::sync::OnceCell;

use super::*;
use crate::backups::tests::{create, create_as, enable_log, next_second, restore};
use crate::testing::connect;
use crate::workflows::create_database_backup::CreateDatabaseBackup;
use crate::workflows::restore_database::RestoreDatabase;
use crate::workflows::verify_backup::VerifyBackup;

struct BackingUp(TestEngine);

#[async_trait]
impl Scenario for BackingUp {
    type Workflow = CreateDatabaseBackup;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_instance(&self.0).await
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> CreateDatabaseBackup {
        CreateDatabaseBackup(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        create(world, &id, "shop").expect("it is ACTIVE");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_backed_up(world).await;
    }

    async fn assert_unwound(&self, world: &World) {
        assert_not_backed_up(world);
    }
}

/// There is a whole set.
async fn assert_backed_up(world: &World) {
    let (set, directory) = only_backup(world);
    assert_eq!(set.status, BackupStatus::Success);
    let sha256 = set.outcome.manifest_sha256.expect("it is whole");
    let engine = &world.parts.engine;
    let manifest = engine.check_set(&directory, &sha256).await.expect("whole");
    assert_eq!(manifest.source.backup_id, set.backup_id.to_string());
    let is_physical = set.set.method == BackupMethod::Physical;
    assert_eq!(manifest.physical.is_some(), is_physical);
}

/// The set failed, and nothing is left of it.
fn assert_not_backed_up(world: &World) {
    let (set, directory) = only_backup(world);
    assert_eq!(set.status, BackupStatus::Failed);
    assert!(set.outcome.failure.is_some() && set.outcome.ended_at.is_some());
    // Nothing of the set is left, not even the directory above.
    assert!(!directory.parent().expect("above").exists());
    let instance = only_instance(world);
    let instance = world.parts.store.read(|reader| reader.instance(&instance));
    let instance = instance.expect("the store works").expect("it exists");
    assert_eq!(instance.status, ObjectStatus::Active);
}

/// The one backup set there is, and where it lies.
fn only_backup(world: &World) -> (BackupSet, PathBuf) {
    let store = &world.parts.store;
    let ids = store.read(|reader| reader.backup_set_ids());
    let ids = ids.expect("the store works");
    assert_eq!(ids.len(), 1);
    let (instance, backup_id) = &ids[0];
    let set = store.read(|reader| reader.backup_set(*backup_id));
    let set = set.expect("the store works").expect("it is listed");
    (set, world.parts.backup_dir(instance, *backup_id))
}

checks!(create_database_backup: BackingUp {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    leaves_nothing_when_cancelled: check_cancels;
    ends_well_whatever_happens: schedules;
});

/// The same as data files.
struct CopyingFiles(TestEngine);

#[async_trait]
impl Scenario for CopyingFiles {
    type Workflow = CreateDatabaseBackup;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_instance(&self.0).await
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> CreateDatabaseBackup {
        CreateDatabaseBackup(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        create_as(world, &id, "shop", &FILES).expect("it is ACTIVE");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_backed_up(world).await;
    }

    async fn assert_unwound(&self, world: &World) {
        assert_not_backed_up(world);
    }
}

/// What asks for data files.
const FILES: [(&str, &str); 1] = [("BackupMethod", "Physical")];

checks!(copy_files: CopyingFiles {
    bears_the_copy_twice: async |its: &_| check_repeated_step(its, "take-set").await;
    leaves_nothing_when_cancelled: check_cancels;
});

struct Restoring(TestEngine);

/// Runs a statement in the database `shop` of an instance.
pub(super) async fn run(world: &World, id: &InstanceId, statement: &str) {
    let mut conn = connect(world, id).await;
    conn.query_drop(statement).await.expect(statement);
    conn.disconnect().await.expect("it was open");
}

/// A world with an instance whose database has some rows and a backup set.
pub(super) async fn world_with_backup(engine: &TestEngine) -> World {
    world_with_backup_as(engine, &[]).await
}

/// The same with a set of another kind.
async fn world_with_backup_as(engine: &TestEngine, parameters: &[(&str, &str)]) -> World {
    let world = world_with_instance(engine).await;
    let id = only_instance(&world);
    run(&world, &id, "CREATE TABLE orders (id INT PRIMARY KEY)").await;
    run(&world, &id, "INSERT INTO orders VALUES (1), (2)").await;
    create_as(&world, &id, "shop", parameters).expect("it is ACTIVE");
    world.run_tasks().await;
    run(&world, &id, "GRANT UPDATE (id) ON orders TO alice").await;
    // What is not in the set must not be in what is restored.
    run(&world, &id, "DELETE FROM orders").await;
    world
}

/// The instances: the one that was backed up, and the ones that were restored from it.
fn instances(world: &World) -> Vec<InstanceId> {
    let instances = world.parts.store.read(|reader| reader.instances());
    let instances = instances.expect("the store works").into_iter();
    instances.map(|instance| instance.instance_id).collect()
}

#[async_trait]
impl Scenario for Restoring {
    type Workflow = RestoreDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_backup(&self.0).await
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    async fn next_world_after_success(&self, used: World) -> World {
        let restored = instances(&used).pop().expect("it is there");
        let request = DeleteInstanceRequest {
            instance_id: restored,
            client_token: None,
        };
        let call = used.call(Action::DeleteInstance);
        let deleted = used.control.delete_instance(&call, &request);
        deleted.expect("it is ACTIVE");
        used.run_tasks().await;
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> RestoreDatabase {
        RestoreDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        enqueue_restore(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_restored(world).await;
    }

    async fn assert_unwound(&self, world: &World) {
        assert_nothing_restored(world);
    }
}

fn enqueue_restore(world: &World) -> TaskId {
    let (set, _) = only_backup(world);
    let changes = [("WithAccounts", "true")];
    restore(world, &only_instance(world), set.backup_id, &changes).expect("it is whole");
    newest_task(world)
}

/// A new instance has what the set has.
async fn assert_restored(world: &World) {
    let ids = instances(world);
    let [source, restored] = ids.as_slice() else {
        panic!("{ids:?}");
    };
    assert_same_accounts(world, source, restored).await;
    let detail = world
        .parts
        .store
        .read(|reader| reader.instance_detail(restored));
    let detail = detail.expect("the store works").expect("it exists");
    assert_eq!(detail.instance.status, ObjectStatus::Active);
    let database = &detail.databases[0];
    assert_eq!(database.status, ObjectStatus::Active);
    assert_eq!(database.source_instance_id.as_ref(), Some(source));
    assert_eq!(count(world, restored).await, 2);
    assert_eq!(count(world, source).await, 0);
    let mut conn = connect(world, restored).await;
    let scheduler = "SELECT @@GLOBAL.event_scheduler";
    let scheduler: Option<String> = conn.query_first(scheduler).await.expect("readable");
    assert_eq!(scheduler.as_deref(), Some("ON"));
    assert!(world.gateway.route(restored).is_some());
}

/// Accounts log in as in the source, and may do the same.
async fn assert_same_accounts(world: &World, source: &InstanceId, restored: &InstanceId) {
    let mut rights = Vec::new();
    let mut logins = Vec::new();
    for id in [source, restored] {
        let store = &world.parts.store;
        let mut accounts = store
            .read(|reader| reader.accounts(id))
            .expect("the store works");
        accounts.retain(|account| account.name.as_str() == "alice");
        assert_eq!(accounts[0].status, AccountStatus::Active);
        let login = &accounts[0].login;
        logins.push((login.native, login.sha2));
        let mut conn = connect(world, id).await;
        let mut granted: Vec<String> = conn
            .query("SHOW GRANTS FOR alice")
            .await
            .expect("it is there");
        granted.retain(|grant| !grant.contains("ON *.*"));
        granted.sort();
        rights.push(granted);
        let route = world.gateway.route(id).expect("it is open");
        assert_eq!(route.accounts["alice"], *login);
    }
    assert_eq!(rights[0], rights[1]);
    assert!(
        rights[0]
            .iter()
            .any(|grant| grant.contains("UPDATE (`id`)")),
        "{rights:?}"
    );
    assert_eq!(logins[0], logins[1]);
}

/// Only the instance that was backed up is there, and its set is as it was.
fn assert_nothing_restored(world: &World) {
    let source = only_instance(world);
    let nodes = world.parts.store.read(|reader| reader.nodes());
    assert_eq!(nodes.expect("the store works").len(), 1);
    let engine = &world.parts.engine;
    assert_eq!(engine.list_nodes().expect("readable").len(), 1);
    use crate::Gateway as _;
    assert_eq!(world.gateway.endpoints().len(), 1);
    // The set can be restored another time.
    assert_eq!(only_backup(world).0.status, BackupStatus::Success);
    assert!(world.gateway.route(&source).is_some());
}

/// Rows of the table that was backed up.
async fn count(world: &World, id: &InstanceId) -> u64 {
    let mut conn = connect(world, id).await;
    let query = "SELECT COUNT(*) FROM orders";
    let rows: Option<u64> = conn.query_first(query).await.expect("a table");
    conn.disconnect().await.expect("it was open");
    rows.expect("a row")
}

checks!(restore_database: Restoring {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    leaves_nothing_when_cancelled: check_cancels;
    ends_well_whatever_happens: schedules;
});

/// The same from data files.
struct RestoringFiles(TestEngine);

#[async_trait]
impl Scenario for RestoringFiles {
    type Workflow = RestoreDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_backup_as(&self.0, &FILES).await
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> RestoreDatabase {
        RestoreDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        enqueue_restore(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_restored(world).await;
    }

    async fn assert_unwound(&self, world: &World) {
        assert_nothing_restored(world);
    }
}

// The other steps are the same as with text.
checks!(restore_files: RestoringFiles {
    bears_the_load_twice: async |its: &_| check_repeated_step(its, "load-set").await;
});

struct RestoringToATime(TestEngine);

#[async_trait]
impl Scenario for RestoringToATime {
    type Workflow = RestoreDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        let world = world_with_instance(&self.0).await;
        let id = only_instance(&world);
        enable_log(&world, &id);
        run(&world, &id, "CREATE TABLE orders (id INT PRIMARY KEY)").await;
        create(&world, &id, "shop").expect("it is ACTIVE");
        world.run_tasks().await;
        world.parts.archive_logs().await.expect("the store works");
        run(&world, &id, "INSERT INTO orders VALUES (1), (2)").await;
        world
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> RestoreDatabase {
        RestoreDatabase(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        // What was committed before this second is wanted, what follows is not.
        let time = format_time(next_second());
        let changes = [("RestoreType", "1"), ("RestoreTime", time.as_str())];
        let (set, _) = only_backup(world);
        restore(world, &only_instance(world), set.backup_id, &changes).expect("it is covered");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        let ids = instances(world);
        let [source, restored] = ids.as_slice() else {
            panic!("{ids:?}");
        };
        assert_eq!(world.detail(restored).instance.status, ObjectStatus::Active);
        assert_eq!(count(world, restored).await, 2);
        run(world, source, "DELETE FROM orders").await;
        assert_eq!(count(world, restored).await, 2);
        let mut conn = connect(world, restored).await;
        let scheduler = "SELECT @@GLOBAL.event_scheduler";
        let scheduler: Option<String> = conn.query_first(scheduler).await.expect("readable");
        assert_eq!(scheduler.as_deref(), Some("ON"));
    }

    async fn assert_unwound(&self, world: &World) {
        assert_nothing_restored(world);
    }
}

// What else may happen is the same as without a time.
checks!(restore_to_a_time: RestoringToATime {
    succeeds: check_success;
    bears_the_replay_twice: async |its: &_| check_repeated_step(its, "replay-log").await;
});

struct Verifying(TestEngine);

/// The files of a set, and the SHA-256 of its manifest.
type SetFiles = (Vec<(OsString, Vec<u8>)>, String);

/// Where a set comes from does not matter for
/// its proof, so that one is taken for all runs of a test.
static TAKEN: OnceCell<SetFiles> = OnceCell::const_new();

async fn taken(engine: &TestEngine) -> &'static SetFiles {
    let take = async || {
        let world = world_with_backup(engine).await;
        let (set, directory) = only_backup(&world);
        let files = std::fs::read_dir(directory).expect("it is there");
        let file = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.expect("readable");
            let content = std::fs::read(entry.path()).expect("readable");
            (entry.file_name(), content)
        };
        let files = files.map(file).collect();
        clear(&world).await;
        (files, set.outcome.manifest_sha256.expect("it is whole"))
    };
    TAKEN.get_or_init(take).await
}

/// A world with a set of an instance without a node.
pub(super) async fn world_with_set(engine: &TestEngine) -> World {
    let (files, sha256) = taken(engine).await;
    let world = World::new(engine);
    let (owner, now) = (world.tenant.account_id, jiff::Timestamp::now());
    let id = world.seed(
        owner,
        "pd-seeded",
        ChargeType::PostPaid,
        now,
        POSTPAID_EXPIRY,
    );
    let database = world.detail(&id).databases[0].clone();
    let set = world.parts.store.write(|writer| {
        let set = writer.insert_backup_set(&NewBackupSet {
            account_id: owner,
            instance_id: id.clone(),
            db_name: database.db_name,
            backup_type: BackupType::Full,
            mode: BackupMode::Manual,
            method: BackupMethod::Logical,
            base_id: None,
            node_spec: database.node_spec,
            node_number: 1,
            started_at: now,
        })?;
        let outcome = BackupOutcome {
            manifest_sha256: Some(sha256.clone()),
            ended_at: Some(now),
            ..BackupOutcome::default()
        };
        writer.finish_backup_set(set, BackupStatus::Success, &outcome)?;
        Ok::<_, openpeta_store::StoreError>(set)
    });
    let directory = world.parts.backup_dir(&id, set.expect("the store works"));
    std::fs::create_dir_all(&directory).expect("a directory of ours");
    for (name, content) in files {
        std::fs::write(directory.join(name), content).expect("a directory of ours");
    }
    world
}

#[async_trait]
impl Scenario for Verifying {
    type Workflow = VerifyBackup;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_set(&self.0).await
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> VerifyBackup {
        VerifyBackup(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let (set, _) = only_backup(world);
        let now = jiff::Timestamp::now();
        let begun = world
            .parts
            .store
            .write(|writer| world.parts.verify_backup(writer, set.backup_id, now));
        begun.expect("it is whole")
    }

    async fn assert_done(&self, world: &World) {
        let proof = only_backup(world).0.verification;
        assert_eq!(proof.expect("it was proven").failure, None);
        assert_no_node(world);
    }

    async fn assert_unwound(&self, world: &World) {
        // A failure is noted, a cancel is none; either way the set stays what it was.
        let (set, _) = only_backup(world);
        assert_eq!(set.status, BackupStatus::Success);
        let proof = set.verification;
        assert!(proof.is_none_or(|proof| proof.failure.is_some()));
        assert_no_node(world);
    }
}

/// No node is left, in the store, on disk or as a process.
fn assert_no_node(world: &World) {
    let nodes = world.parts.store.read(|reader| reader.nodes());
    assert_eq!(nodes.expect("the store works"), []);
    let engine = &world.parts.engine;
    assert!(engine.list_nodes().expect("readable").is_empty());
    assert!(engine.list_processes().expect("readable").is_empty());
}

checks!(verify_backup: Verifying {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    leaves_nothing_when_cancelled: check_cancels;
    ends_well_whatever_happens: schedules;
});
