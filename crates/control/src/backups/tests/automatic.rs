//! What happens without being asked for: backups by policy, sets that expire, restore drills.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use openpeta_rpc_api::backups::ModifyBackupPolicyRequest;
use openpeta_store::{BackupOutcome, BackupSet, NodeState};
use openpeta_types::{BackupMode, DbName};

use super::*;
use crate::ControlConfig;
use crate::admin::protocol::{AdminCommand, AdminReply};
use crate::config::TakenAs;
use crate::reconcilers::Backups;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn policy(world: &World, id: &InstanceId, changes: &[(&str, &str)]) {
    let mut pairs = vec![("InstanceId", id.as_str()), ("DBName", "shop")];
    pairs.extend_from_slice(changes);
    let params = Params::from_pairs(pairs).expect("unique names");
    let request = ModifyBackupPolicyRequest::from_params(&params).expect("well formed");
    let call = world.call(Action::ModifyBackupPolicy);
    let modified = world.control.modify_backup_policy(&call, &request);
    modified.expect("it is ACTIVE");
}

/// All sets, oldest first.
fn sets(world: &World) -> Vec<BackupSet> {
    let store = &world.parts.store;
    let mut sets = store
        .read(|reader| reader.backup_sets(None, 100))
        .expect("the store works");
    sets.reverse();
    sets
}

fn begin(world: &World, now: Timestamp) -> usize {
    world.parts.begin_due_backups(now).expect("the store works")
}

/// Says that the sets that are being taken failed at that time.
fn fail(world: &World, at: Timestamp) {
    for set in sets(world) {
        if set.status == BackupStatus::Progress {
            let outcome = BackupOutcome {
                ended_at: Some(at),
                ..BackupOutcome::default()
            };
            let failed = BackupStatus::Failed;
            let store = &world.parts.store;
            let written =
                store.write(|writer| writer.finish_backup_set(set.backup_id, failed, &outcome));
            written.expect("the store works");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_has_a_backup_taken_once_in_its_window() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    world.run_tasks().await;
    let now = Timestamp::now();
    assert_eq!(begin(&world, now + DAY * 30), 0, "no day is named");
    let every_day = "Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday";
    policy(&world, &id, &[("PreferredBackupPeriod", every_day)]);
    assert_eq!(
        begin(&world, now),
        0,
        "today's window may be over, but it was before the policy"
    );
    // Whatever the time is now, a day later one window has come.
    let tomorrow = now + DAY + SignedDuration::from_secs(1);
    assert_eq!(begin(&world, tomorrow), 1);
    assert_eq!(begin(&world, tomorrow), 0, "it is being taken");
    world.run_tasks().await;
    let taken = sets(&world);
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].status, BackupStatus::Success);
    assert_eq!(taken[0].set.mode, BackupMode::Automated);
    assert_eq!(begin(&world, tomorrow), 0, "it was taken");
    // A week without the service: one backup makes up for it.
    let later = tomorrow + DAY * 7;
    assert_eq!(begin(&world, later), 1);
    fail(&world, later);
    assert_eq!(begin(&world, later), 0, "not at once");
    let retried = later + SignedDuration::from_mins(5);
    assert_eq!(begin(&world, retried), 1);
    let audit = openpeta_store::AuditFilter {
        action: Some("backup:automatic".into()),
        ..Default::default()
    };
    let audit = world.parts.store.read(|reader| reader.audit(&audit, 10));
    assert_eq!(audit.expect("the store works").len(), 3);
    fail(&world, retried);
    let status = |status| {
        let changed = world.parts.store.write(|writer| {
            let name = DbName::parse("shop").expect("a name");
            writer.set_database_status(&id, &name, status)
        });
        changed.expect("the store works");
    };
    let much_later = later + DAY * 2;
    status(ObjectStatus::Modify);
    assert_eq!(begin(&world, much_later), 0);
    status(ObjectStatus::Active);
    // A locked instance has something to lose, too.
    let locked = world
        .parts
        .store
        .write(|writer| writer.set_instance_lock(&id, LockMode::ManualLock, None));
    locked.expect("the store works");
    assert_eq!(begin(&world, much_later), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn incremental_sets_follow_full_ones_by_policy() {
    let engine = TestEngine::new().await;
    let mut config = ControlConfig::default();
    config.backup.method = TakenAs::Physical;
    config.backup.incrementals = 1;
    config.backup.recycle_days = 0;
    let world = World::configured(&engine, config);
    let id = world.order();
    world.run_tasks().await;
    let every_day = "Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday";
    policy(&world, &id, &[("PreferredBackupPeriod", every_day)]);
    let now = Timestamp::now() + SignedDuration::from_secs(1);
    for day in 1..=3 {
        assert_eq!(begin(&world, now + DAY * day), 1);
        world.run_tasks().await;
    }
    let taken = sets(&world);
    let status = |set: &BackupSet| set.status == BackupStatus::Success;
    assert!(taken.iter().all(status), "{taken:?}");
    let bases: Vec<_> = taken.iter().map(|set| set.set.base_id).collect();
    assert_eq!(bases, [None, Some(taken[0].backup_id), None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_of_many_databases_are_begun_a_few_at_a_time() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let ids: Vec<_> = (0..5).map(|_| world.order()).collect();
    for id in &ids {
        world.activate(id);
        policy(&world, id, &[("PreferredBackupPeriod", "Monday")]);
    }
    let now = Timestamp::now() + DAY * 8;
    let mut rounds = 0;
    loop {
        let begun = begin(&world, now);
        if begun == 0 {
            break;
        }
        assert!(begun <= 2);
        assert_eq!(begin(&world, now), 0, "two are being taken");
        fail(&world, now);
        rounds += 1;
    }
    assert_eq!((rounds, sets(&world).len()), (3, 5));
    let mut databases: Vec<_> = sets(&world)
        .into_iter()
        .map(|set| set.set.instance_id)
        .collect();
    databases.sort();
    databases.dedup();
    assert_eq!(databases.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_go_when_their_time_is_over_and_the_clock_is_believed() {
    let engine = TestEngine::new().await;
    let mut config = ControlConfig::default();
    config.backup.drill_hours = 0;
    let world = World::configured(&engine, config);
    let (id, first) = backed_up(&world).await;
    let second = create(&world, &id, "shop").expect("taken");
    world.run_tasks().await;
    let third = create(&world, &id, "shop").expect("taken");
    world.run_tasks().await;
    let admin = async |command| match world.control.admin(command, Timestamp::now()).await {
        AdminReply::Ok(value) => Ok(value),
        AdminReply::Error { code, .. } => Err(code),
    };
    let protect = |backup_id, is_protected| AdminCommand::BackupProtect {
        backup_id,
        is_protected,
    };
    let shown = admin(protect(second, true)).await.expect("it exists");
    assert_eq!(shown["protected"], true);
    let delete = |backup_id| AdminCommand::BackupDelete {
        backup_id,
        with_dependents: false,
    };
    assert_eq!(
        admin(delete(second)).await,
        Err("InvalidParameter".into()),
        "it is protected"
    );
    // Somebody restores the first one.
    restore(&world, &id, first, &[]).expect("it is whole");
    assert_eq!(admin(delete(first)).await, Err("InvalidParameter".into()));

    let reconciler = Backups::default();
    let later = Timestamp::now() + DAY * 30;
    let hour = SignedDuration::from_hours(1);
    let left = || {
        sets(&world)
            .iter()
            .map(|set| set.backup_id)
            .collect::<Vec<_>>()
    };
    let round = async |now, elapsed| {
        let done = reconciler.round(&world.parts, now, elapsed).await;
        done.expect("the store works");
        left()
    };
    // The clock has not been watched for long.
    assert_eq!(round(later, Duration::ZERO).await, [first, second, third]);
    let watched = Duration::from_secs(3_600);
    assert_eq!(
        round(later + hour, watched).await,
        [first, second, third],
        "in use"
    );
    world.run_tasks().await;
    assert_eq!(round(later + hour, watched).await, [second, third]);
    assert!(!world.parts.backup_dir(&id, first).exists());
    admin(protect(second, false)).await.expect("it exists");
    assert_eq!(
        round(later + hour, watched).await,
        [third],
        "the last one stays"
    );
    assert!(world.parts.backup_dir(&id, third).exists());
    // Not by age, but by will.
    let listed = AdminCommand::BackupList {
        instance_id: Some(id.clone()),
        limit: None,
    };
    assert_eq!(
        admin(listed).await.expect("it exists")[0]["backup_id"],
        third.to_string()
    );
    admin(delete(third)).await.expect("nobody uses it");
    assert_eq!(left(), []);
    assert!(!world.parts.backup_dir(&id, third).exists());
    assert_eq!(
        admin(delete(third)).await,
        Err("InvalidBackupId.NotFound".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_set_is_found_by_a_drill() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let (id, set) = backed_up(&world).await;
    let week = Duration::from_secs(7 * 86_400);
    let now = Timestamp::now();
    let due = |now| {
        world
            .parts
            .begin_due_verification(week, now)
            .expect("the store works")
    };
    assert_eq!(due(now), None, "it was just taken");
    let later = now + DAY * 8;
    assert_eq!(
        world
            .parts
            .begin_due_verification(Duration::ZERO, later)
            .expect("never"),
        None
    );
    let dump = world.parts.backup_dir(&id, set).join("dump.sql.zst");
    let right = std::fs::read(&dump).expect("it is there");
    std::fs::write(&dump, &right[1..]).expect("it is ours");
    let task = due(later).expect("it is time");
    assert_eq!(due(later), None, "one is at work");
    world.run_tasks().await;
    let proof = || sets(&world)[0].verification.clone().expect("it was tried");
    assert_eq!(
        proof().failure.as_deref(),
        Some("The backup set is damaged: dump.sql.zst.")
    );
    let shown = |world: &World| {
        let item = listed(world, &id, &[]).backups.remove(0);
        (item.verified_time.is_some(), item.verify_failure)
    };
    assert_eq!(shown(&world), (true, proof().failure), "tenants see it");
    let task = world.parts.store.read(|reader| reader.task(task));
    let task = task.expect("the store works").expect("it exists");
    assert_eq!(task.action, "VerifyDatabaseBackup");
    assert_eq!(due(now + DAY), None, "it was just tried");
    std::fs::write(&dump, &right).expect("it is ours");
    let verify = AdminCommand::BackupVerify { backup_id: set };
    let reply = world.control.admin(verify.clone(), now).await;
    assert!(matches!(reply, AdminReply::Ok(_)), "{reply:?}");
    let scratch = world.parts.store.read(|reader| reader.nodes());
    let scratch = scratch.expect("the store works");
    let scratch = scratch
        .iter()
        .filter(|node| node.state == NodeState::Scratch);
    assert_eq!(scratch.count(), 1);
    let busy = world.control.admin(verify, now).await;
    assert!(
        matches!(&busy, AdminReply::Error { code, .. } if code == "OperationDenied.BackupJobExists"),
        "{busy:?}"
    );
    world.run_tasks().await;
    assert_eq!(proof().failure, None);
    assert_eq!(shown(&world), (true, None));
    let nodes = world.parts.store.read(|reader| reader.nodes());
    assert_eq!(nodes.expect("the store works").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_ends_when_its_instance_is_deleted() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let (id, set) = backed_up(&world).await;
    let begun = world.parts.store.write(|writer| {
        let now = Timestamp::now();
        world.parts.verify_backup(writer, set, now)
    });
    begun.expect("it is whole");
    let request = DeleteInstanceRequest {
        instance_id: id,
        client_token: None,
    };
    let call = world.call(Action::DeleteInstance);
    let deleted = world.control.delete_instance(&call, &request);
    deleted.expect("it is ACTIVE");
    world.run_tasks().await;
    let nodes = world.parts.store.read(|reader| reader.nodes());
    assert_eq!(nodes.expect("the store works"), []);
    assert!(engine.engine.list_nodes().expect("readable").is_empty());
    assert_eq!(sets(&world), []);
}
