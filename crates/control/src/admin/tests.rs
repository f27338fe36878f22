//! Operator's commands that get instances out of states in which their owners cannot help
//! themselves.

mod access;

use jiff::{SignedDuration, Timestamp};
use openpeta_rpc_api::Action;
use openpeta_store::Instance;
use openpeta_types::{InstanceId, LockMode, ObjectStatus};

use super::protocol::{AdminCommand, AdminReply};
use crate::testing::{TestEngine, World, order_request};

async fn done(world: &World, command: AdminCommand) -> serde_json::Value {
    match world.control.admin(command, Timestamp::now()).await {
        AdminReply::Ok(value) => value,
        AdminReply::Error { code, message } => panic!("{code}: {message}"),
    }
}

async fn refusal(world: &World, command: AdminCommand) -> String {
    match world.control.admin(command, Timestamp::now()).await {
        AdminReply::Ok(value) => panic!("{value}"),
        AdminReply::Error { code, .. } => code,
    }
}

fn update(world: &World, id: &InstanceId, change: impl FnOnce(&mut Instance)) {
    let changed = world.parts.store.write(|writer| {
        let mut instance = writer.instance(id)?.expect("it exists");
        change(&mut instance);
        writer.update_instance(&instance)
    });
    changed.expect("the store works");
}

fn instance(world: &World, id: &InstanceId) -> Option<Instance> {
    let found = world.parts.store.read(|reader| reader.instance(id));
    found.expect("the store works")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_and_locked_instance_can_be_deleted() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    let delete = || AdminCommand::InstanceDelete {
        without_final_backup: false,
        instance_id: id.clone(),
    };
    assert_eq!(
        refusal(&world, delete()).await,
        "OperationDenied.DBInstanceStatus",
        "its create is under way"
    );
    world.run_tasks().await;
    update(&world, &id, |instance| {
        instance.status = ObjectStatus::Inactive;
        instance.lock_mode = LockMode::LockByExpiration;
    });
    done(&world, delete()).await;
    world.run_tasks().await;
    assert_eq!(instance(&world, &id), None);
    assert!(engine.engine.list_nodes().expect("readable").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_instance_can_be_renewed() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let call = world.call(Action::CreateInstance);
    let request = order_request(&[("ChargeType", "PrePaid")]);
    let ordered = world
        .control
        .create_instance(&call, &request)
        .expect("right");
    let id = ordered.instance_id;
    world.run_tasks().await;
    update(&world, &id, |instance| {
        instance.expires_at = Timestamp::now() - SignedDuration::from_hours(24);
        instance.lock_mode = LockMode::LockByExpiration;
    });
    let renew = AdminCommand::InstanceRenew {
        instance_id: id.clone(),
        months: 2,
    };
    done(&world, renew).await;
    let renewed = instance(&world, &id).expect("it exists");
    assert_eq!(renewed.lock_mode, LockMode::Unlock);
    assert!(renewed.expires_at > Timestamp::now() + SignedDuration::from_hours(24 * 58));
    let databases = world.parts.store.read(|reader| reader.databases(&id));
    let databases = databases.expect("the store works");
    assert_eq!(databases[0].expires_at, renewed.expires_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn postpaid_instances_are_not_renewed() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let renew = AdminCommand::InstanceRenew {
        instance_id: world.order(),
        months: 1,
    };
    assert_eq!(
        refusal(&world, renew).await,
        "OperationDenied.DBInstanceType"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_locks_and_a_larger_quota_unlocks() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    world.run_tasks().await;
    let quota = |bytes| AdminCommand::InstanceDiskQuota {
        instance_id: id.clone(),
        disk_quota_bytes: bytes,
    };
    done(&world, quota(1)).await;
    crate::reconcilers::check_disk_quota(&world.parts)
        .await
        .expect("measured");
    let locked = instance(&world, &id).expect("it exists");
    assert_eq!(locked.lock_mode, LockMode::LockByDiskQuota);
    let route = world.gateway.route(&id).expect("clients may read");
    assert!(
        route
            .write_lock
            .is_some_and(|reason| reason.contains("disk quota"))
    );
    let node = locked.node_id.expect("a node");
    let mut sql = world.parts.engine.sql(&node).await.expect("it runs");
    assert!(sql.is_read_only().await.expect("readable"));
    done(&world, quota(1 << 40)).await;
    crate::reconcilers::check_disk_quota(&world.parts)
        .await
        .expect("measured");
    let unlocked = instance(&world, &id).expect("it exists");
    assert_eq!(unlocked.lock_mode, LockMode::Unlock);
    assert!(!sql.is_read_only().await.expect("readable"));
    sql.close().await;
}
