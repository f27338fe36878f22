//! Workflows of backups.

use std::path::PathBuf;

use openpeta_store::BackupSet;
use openpeta_types::BackupStatus;

use super::*;
use crate::backups::tests::create;
use crate::workflows::create_database_backup::CreateDatabaseBackup;

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
        let (set, directory) = only_backup(world);
        assert_eq!(set.status, BackupStatus::Success);
        let sha256 = set.outcome.manifest_sha256.expect("it is whole");
        let engine = &world.parts.engine;
        let manifest = engine.check_set(&directory, &sha256).await.expect("whole");
        assert_eq!(manifest.source.backup_id, set.backup_id.to_string());
    }

    async fn assert_unwound(&self, world: &World) {
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
