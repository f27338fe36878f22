//! Backups over real nodes: what is refused, what is listed, what is left.

use openpeta_rpc_api::backups::{
    CreateDatabaseBackupRequest, DescribeDatabaseBackupRequest, DescribeDatabaseBackupResponse,
};
use openpeta_rpc_api::instances::DeleteInstanceRequest;
use openpeta_rpc_api::{Action, ApiRequest, Params};
use openpeta_types::{BackupId, BackupStatus, InstanceId, LockMode, ObjectStatus};

use crate::testing::{TestEngine, World};

/// Asks for a backup; the code of the refusal if there is one.
pub(crate) fn create(world: &World, id: &InstanceId, db_name: &str) -> Result<BackupId, String> {
    let pairs = [("InstanceId", id.as_str()), ("DBName", db_name)];
    let params = Params::from_pairs(pairs).expect("unique names");
    let request = CreateDatabaseBackupRequest::from_params(&params).expect("well formed");
    let call = world.call(Action::CreateDatabaseBackup);
    match world.control.create_database_backup(&call, &request) {
        Ok(response) => Ok(response.backup_id),
        Err(error) => Err(error.api.code.into_owned()),
    }
}

/// The sets of the database `shop`.
fn listed(
    world: &World,
    id: &InstanceId,
    changes: &[(&str, &str)],
) -> DescribeDatabaseBackupResponse {
    let mut pairs = vec![
        ("InstanceId", id.as_str()),
        ("DBName", "shop"),
        ("StartTime", "2019-01-01T00:00Z"),
        ("EndTime", "2999-01-01T00:00Z"),
    ];
    pairs.extend_from_slice(changes);
    let params = Params::from_pairs(pairs).expect("unique names");
    let request = DescribeDatabaseBackupRequest::from_params(&params).expect("well formed");
    let shown = world
        .control
        .describe_database_backup(&world.caller(), &request);
    shown.expect("it exists")
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_refused_with_their_code() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    assert_eq!(
        create(&world, &id, "shop"),
        Err("OperationDenied.DBInstanceStatus".into())
    );
    world.activate(&id);
    assert_eq!(
        create(&world, &id, "other"),
        Err("InvalidDBName.NotFound".into())
    );
    let write = |write: &dyn Fn(&openpeta_store::Writer<'_>)| {
        let written = world.parts.store.write(|writer| {
            write(writer);
            Ok::<_, openpeta_store::StoreError>(())
        });
        written.expect("the store works");
    };
    let lock = |mode| {
        write(&|writer| {
            writer
                .set_instance_lock(&id, mode, None)
                .expect("it exists");
        });
    };
    lock(LockMode::ManualLock);
    assert_eq!(
        create(&world, &id, "shop"),
        Err("OperationDenied.LockMode".into())
    );
    lock(LockMode::Unlock);
    let status = |status| {
        write(&|writer| {
            let name = openpeta_types::DbName::parse("shop").expect("a name");
            writer
                .set_database_status(&id, &name, status)
                .expect("it exists");
        });
    };
    status(ObjectStatus::Modify);
    assert_eq!(
        create(&world, &id, "shop"),
        Err("OperationDenied.DBStatus".into())
    );
    status(ObjectStatus::Active);
    assert!(create(&world, &id, "shop").is_ok());
    assert_eq!(
        create(&world, &id, "shop"),
        Err("OperationDenied.BackupJobExists".into())
    );
    let page = listed(&world, &id, &[]);
    assert_eq!(page.backups[0].status, BackupStatus::Progress);
    assert_eq!((page.total_record_count, page.total_size), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_listed_with_what_it_takes_and_goes_with_its_instance() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    world.run_tasks().await;
    let first = create(&world, &id, "shop").expect("taken");
    world.run_tasks().await;
    let second = create(&world, &id, "shop").expect("taken");
    world.run_tasks().await;
    let page = listed(&world, &id, &[]);
    let ids: Vec<_> = page.backups.iter().map(|set| set.backup_id).collect();
    assert_eq!(ids, [second, first]);
    let size = |backup_id| {
        let set = world.parts.backup_dir(&id, backup_id);
        let files = std::fs::read_dir(set).expect("it is there");
        let length = |file: std::io::Result<std::fs::DirEntry>| {
            file.expect("a file").metadata().expect("a file").len()
        };
        files.map(length).sum::<u64>()
    };
    assert_eq!(page.backups[0].size, size(second));
    assert_eq!(page.total_size, size(first) + size(second));
    assert!(page.backups[0].end_time >= Some(page.backups[0].start_time));
    let text = first.to_string();
    let one = listed(
        &world,
        &id,
        &[("BackupId", &text), ("BackupStatus", "Success")],
    );
    assert_eq!(one.total_record_count, 1);
    for nothing in [
        ("BackupId", "nonsense"),
        ("BackupStatus", "Failed"),
        ("BackupMode", "Automated"),
        ("PageNumber", "2"),
    ] {
        assert!(listed(&world, &id, &[nothing]).backups.is_empty());
    }

    // A set of which the store knows nothing is removed, the others stay.
    let leftover = world.parts.backup_dir(&id, BackupId::from_number(7));
    std::fs::create_dir(&leftover).expect("the directory is there");
    world.parts.sweep_backups().await.expect("swept");
    assert!(!leftover.exists() && world.parts.backup_dir(&id, first).exists());

    let running = create(&world, &id, "shop").expect("asked for");
    let request = DeleteInstanceRequest {
        instance_id: id.clone(),
        client_token: None,
    };
    let call = world.call(Action::DeleteInstance);
    let deleted = world.control.delete_instance(&call, &request);
    deleted.expect("it is ACTIVE");
    world.run_tasks().await;
    let left = world.parts.store.read(|reader| reader.backup_set(running));
    assert_eq!(left.expect("the store works"), None);
    let directory = world.parts.backup_dir(&id, first);
    assert!(!directory.parent().expect("above").exists());
}
