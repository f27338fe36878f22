//! Workflows that delete and leave something in the recycle bin.

use openpeta_rpc_api::databases::DeleteDatabaseRequest;
use openpeta_store::RecycledSet;

use super::databases::{assert_databases, order_database};
use super::*;
use crate::ControlConfig;
use crate::workflows::recycle_database::RecycleDatabase;
use crate::workflows::recycle_instance::RecycleInstance;

/// A world with a recycle bin and one finished instance that has a table with rows.
async fn world_with_bin(engine: &TestEngine) -> World {
    let world = World::configured(engine, ControlConfig::default());
    clear(&world).await;
    world.order();
    world.run_tasks().await;
    let id = only_instance(&world);
    backups::run(&world, &id, "CREATE TABLE orders (id INT PRIMARY KEY)").await;
    backups::run(&world, &id, "INSERT INTO orders VALUES (1), (2)").await;
    world
}

/// What is in the bin is one final set, whole, and the only one there is.
async fn assert_recycled(world: &World) -> RecycledSet {
    let store = &world.parts.store;
    let found = store.read(|reader| reader.recycled_sets(None));
    let found = found.expect("the store works");
    assert!(found.len() == 1 && found[0].is_final, "{found:?}");
    let set = found[0].clone();
    let directory = world.parts.backup_dir(&set.instance_id, set.backup_id);
    let engine = &world.parts.engine;
    let manifest = engine.check_set(&directory, &set.manifest_sha256).await;
    let manifest = manifest.expect("it is whole");
    assert_eq!(manifest.tables["orders"].rows, 2);
    let on_disk = world.parts.sets_on_disk().expect("readable");
    let place = (set.instance_id.to_string(), set.backup_id.to_string());
    assert_eq!(on_disk, [place]);
    // Nobody takes it for a leftover.
    world.parts.sweep_backups().await.expect("the store works");
    assert_eq!(world.parts.sets_on_disk().expect("readable").len(), 1);
    set
}

struct Recycling(TestEngine);

#[async_trait]
impl Scenario for Recycling {
    type Workflow = RecycleInstance;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_bin(&self.0).await
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> RecycleInstance {
        RecycleInstance(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        delete_instance(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_no_instance(world);
        assert_recycled(world).await;
    }

    async fn assert_unwound(&self, _world: &World) {
        panic!("a delete is never unwound");
    }
}

// Steps that are shared with the deletion of an instance are checked there as well; all of them
// here take a minute (OPENPETA_LONG_CHECKS).
checks!(recycle_instance: Recycling {
    bears_the_backup_twice: async |its: &_| check_repeated_step(its, "final-backup").await;
    bears_the_removal_twice: async |its: &_| check_repeated_step(its, "remove-backups").await;
    goes_on_when_anything_fails: async |its: &_| {
        if std::env::var_os("OPENPETA_LONG_CHECKS").is_some() {
            check_repeated_steps(its).await;
            check_failed_steps(its).await;
        } else {
            check_random_schedules(its, 0..2).await;
        }
    };
});

struct RecyclingDatabase(TestEngine);

#[async_trait]
impl Scenario for RecyclingDatabase {
    type Workflow = RecycleDatabase;
    type World = World;

    async fn set_up(&self) -> World {
        let world = world_with_bin(&self.0).await;
        order_database(&world, "shop2");
        world.run_tasks().await;
        world
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> RecycleDatabase {
        RecycleDatabase(world.parts.clone())
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
        assert_recycled(world).await;
    }

    async fn assert_unwound(&self, _world: &World) {
        panic!("a delete is never unwound");
    }
}

// The steps are those of recycling an instance and of deleting a database.
checks!(recycle_database: RecyclingDatabase {
    bears_the_backup_twice: async |its: &_| check_repeated_step(its, "final-backup").await;
});
