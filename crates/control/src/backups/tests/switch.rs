//! What SwitchBackupDatabase refuses, and what it holds. What it does is told by the tests of
//! the workflow.

use jiff::{SignedDuration, Timestamp};
use openpeta_rpc_api::backups::SwitchBackupDatabaseRequest;
use openpeta_rpc_api::{Action, ApiRequest, Params};
use openpeta_store::{Database, ReplacedContent, StoreError, Writer};
use openpeta_types::{ChargeType, DbName, InstanceId, LockMode, ObjectStatus, POSTPAID_EXPIRY};

use super::{backed_up, create, restore};
use crate::admin::protocol::{AdminCommand, AdminReply};
use crate::testing::{TestEngine, World};

/// Asks for a switch of the database `shop`; the code of the refusal if there is one.
pub(crate) fn switch(world: &World, source: &InstanceId, new: &InstanceId) -> Result<(), String> {
    switch_database(world, source, new, "shop", "false")
}

/// Asks for a switch after which the new instance goes by itself.
pub(crate) fn switch_and_release(
    world: &World,
    source: &InstanceId,
    new: &InstanceId,
) -> Result<(), String> {
    switch_database(world, source, new, "shop", "true")
}

fn switch_database(
    world: &World,
    source: &InstanceId,
    new: &InstanceId,
    db_name: &str,
    releases: &str,
) -> Result<(), String> {
    let pairs = [
        ("SourceInstanceId", source.as_str()),
        ("NewInstanceId", new.as_str()),
        ("DBName", db_name),
        ("ReleaseReplaced", releases),
    ];
    let params = Params::from_pairs(pairs).expect("unique names");
    let request = SwitchBackupDatabaseRequest::from_params(&params).expect("well formed");
    let call = world.call(Action::SwitchBackupDatabase);
    match world.control.switch_backup_database(&call, &request) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.api.code.into_owned()),
    }
}

fn write(world: &World, change: impl Fn(&Writer<'_>) -> Result<(), StoreError>) {
    let written = world.parts.store.write(change);
    written.expect("the store works");
}

/// The database `shop` of an instance, changed.
fn change_database(world: &World, id: &InstanceId, change: impl Fn(Database) -> Database) {
    write(world, |writer| {
        let name = DbName::parse("shop").expect("a name");
        let database = writer.database(id, &name)?.expect("it has one");
        writer.update_database(&change(database))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn switches_are_refused_with_their_code() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let now = Timestamp::now();
    let seed = |owner, id| world.seed(owner, id, ChargeType::PostPaid, now, POSTPAID_EXPIRY);
    let own = world.tenant.account_id;
    let (source, new) = (
        seed(own, "pd-source00000000"),
        seed(own, "pd-copy0000000000"),
    );
    let foreign = seed(world.add_tenant("other"), "pd-foreign0000000");
    let missing = InstanceId::parse("pd-missing0000000").expect("an id");
    let refused = |a: &InstanceId, b: &InstanceId| switch(&world, a, b).expect_err("refused");

    // Another tenant's instance is none, whichever of the two it is.
    for none in [&foreign, &missing] {
        assert_eq!(refused(none, &new), "InvalidDBInstanceId.NotFound");
        assert_eq!(refused(&source, none), "InvalidDBInstanceId.NotFound");
    }
    assert_eq!(refused(&source, &source), "OperationDenied.DBInstanceId");
    let other = switch_database(&world, &source, &new, "other", "false");
    assert_eq!(other, Err("InvalidDBName.NotFound".into()));
    assert_eq!(refused(&source, &new), "OperationDenied.NotFoundBackup");

    let of = |id: &InstanceId| Some(id.clone());
    change_database(&world, &new, |database| Database {
        source_instance_id: of(&source),
        ..database
    });
    // A copy of it is one in this direction alone.
    assert_eq!(refused(&new, &source), "OperationDenied.NotFoundBackup");

    for side in [&source, &new] {
        write(&world, |writer| {
            writer.set_instance_status(side, ObjectStatus::Modify)
        });
        assert_eq!(refused(&source, &new), "OperationDenied.DBInstanceStatus");
        write(&world, |writer| {
            writer.set_instance_status(side, ObjectStatus::Active)
        });
        write(&world, |writer| {
            writer.set_instance_lock(side, LockMode::ManualLock, None)
        });
        assert_eq!(refused(&source, &new), "OperationDenied.LockMode");
        write(&world, |writer| {
            writer.set_instance_lock(side, LockMode::Unlock, None)
        });
        change_database(&world, side, |database| Database {
            status: ObjectStatus::Modify,
            ..database
        });
        assert_eq!(refused(&source, &new), "OperationDenied.DBStatus");
        change_database(&world, side, |database| Database {
            status: ObjectStatus::Active,
            ..database
        });
        let second = DbName::parse("second").expect("a name");
        write(&world, |writer| {
            let name = DbName::parse("shop").expect("a name");
            let database = writer.database(side, &name)?.expect("it has one");
            writer.insert_database(&Database {
                db_name: second.clone(),
                ..database
            })
        });
        assert_eq!(refused(&source, &new), "OperationDenied.DBInstanceType");
        write(&world, |writer| writer.delete_database(side, &second));
    }
    // A backup of either is under way.
    create(&world, &new, "shop").expect("asked for");
    assert_eq!(refused(&source, &new), "OperationDenied.BackupJobExists");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_is_done_to_either_instance_meanwhile() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let (source, set) = backed_up(&world).await;
    let new = restore(&world, &source, set, &[]).expect("it is whole");
    // It is not there yet.
    let early = switch(&world, &source, &new);
    assert_eq!(early, Err("OperationDenied.DBInstanceStatus".into()));
    world.run_tasks().await;
    switch(&world, &source, &new).expect("all is at rest");
    let held = "OperationDenied.DBInstanceStatus".to_owned();
    assert_eq!(switch(&world, &source, &new), Err(held.clone()));
    assert_eq!(restore(&world, &source, set, &[]), Err(held.clone()));
    for id in [&source, &new] {
        let detail = world.detail(id);
        assert_eq!(detail.instance.status, ObjectStatus::Modify);
        assert_eq!(detail.databases[0].status, ObjectStatus::Modify);
        assert_eq!(create(&world, id, "shop"), Err(held.clone()));
        let request = openpeta_rpc_api::instances::DeleteInstanceRequest {
            instance_id: id.clone(),
            client_token: None,
        };
        let call = world.call(Action::DeleteInstance);
        let deleted = world.control.delete_instance(&call, &request);
        assert_eq!(deleted.expect_err("refused").api.code, held);
    }
    world.run_tasks().await;
    for id in [&source, &new] {
        let detail = world.detail(id);
        assert_eq!(detail.instance.status, ObjectStatus::Active);
        assert_eq!(detail.databases[0].status, ObjectStatus::Active);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_replaced_goes_when_its_days_are_over() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let now = Timestamp::now();
    let own = world.tenant.account_id;
    let seed = |id| world.seed(own, id, ChargeType::PostPaid, now, POSTPAID_EXPIRY);
    let [first, kept, busy] = [
        "pd-first000000000",
        "pd-kept0000000000",
        "pd-busy0000000000",
    ]
    .map(seed);
    let day = SignedDuration::from_hours(24);
    write(&world, |writer| {
        for id in [&first, &kept, &busy] {
            writer.put_replaced_content(&ReplacedContent {
                instance_id: id.clone(),
                served_by: InstanceId::parse("pd-gone0000000000").expect("an id"),
                replaced_at: now,
                release_at: now + day,
            })?;
        }
        writer.set_instance_status(&busy, ObjectStatus::Modify)
    });
    let told = world
        .detail(&first)
        .replaced
        .clone()
        .map(|it| it.release_at);
    let second = |time: Timestamp| time.as_second();
    assert_eq!(told.map(second), Some(second(now + day)));
    let keep = AdminCommand::InstanceKeep {
        instance_id: kept.clone(),
    };
    let reply = world.control.admin(keep, now).await;
    assert!(matches!(reply, AdminReply::Ok(_)), "{reply:?}");
    let release = |at| world.parts.release_replaced(at).expect("the store works");
    assert_eq!(release(now + day / 2), 0, "not before its time");
    assert_eq!(release(now + day * 2), 1);
    assert_eq!(release(now + day * 2), 0, "once");
    let status = |id| world.detail(id).instance.status;
    assert_eq!(status(&first), ObjectStatus::Delete);
    assert_eq!(status(&kept), ObjectStatus::Active);
    assert_eq!(status(&busy), ObjectStatus::Modify);
    let audit = openpeta_store::AuditFilter {
        action: Some("backup:release-replaced".into()),
        ..Default::default()
    };
    let audit = world.parts.store.read(|reader| reader.audit(&audit, 10));
    assert_eq!(audit.expect("the store works").len(), 1);
    // What was in its way is over.
    write(&world, |writer| {
        writer.set_instance_status(&busy, ObjectStatus::Active)
    });
    assert_eq!(release(now + day * 2), 1);
}
