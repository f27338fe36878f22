//! Locks and releases of what is not paid for, by clocks that come in as arguments.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use openpeta_store::{AuditFilter, Instance, UsageFilter};
use openpeta_types::{AccountId, ChargeType, InstanceId, LockMode, ObjectStatus, POSTPAID_EXPIRY};

use super::{YEAR, balance, charging, orders, set_balance};
use crate::admin::protocol::{AdminCommand, AdminReply};
use crate::reconcilers::Billing;
use crate::testing::{TestEngine, World};

const START: &str = "2026-03-01T00:00:00Z";

/// So many hours after the start.
fn hour(hours: i64) -> Timestamp {
    let start: Timestamp = START.parse().expect("a time");
    start + SignedDuration::from_hours(hours)
}

/// A reconciler whose clock has been going evenly for long.
struct Rounds<'w> {
    world: &'w World,
    billing: Billing,
}

impl<'w> Rounds<'w> {
    fn new(world: &'w World) -> Self {
        Self {
            world,
            billing: Billing::default(),
        }
    }

    /// A round at that hour, by both clocks.
    async fn at(&self, hours: i64) {
        let elapsed = Duration::from_secs(3_600 * u64::try_from(hours).expect("not negative"));
        self.skewed(hours, elapsed).await;
    }

    async fn skewed(&self, hours: i64, elapsed: Duration) {
        let round = self.billing.round(&self.world.parts, hour(hours), elapsed);
        round.await.expect("the store works");
    }
}

fn instance(world: &World, id: &InstanceId) -> Option<Instance> {
    let found = world.parts.store.read(|reader| reader.instance(id));
    found.expect("the store works")
}

fn lock(world: &World, id: &InstanceId) -> LockMode {
    instance(world, id).expect("it exists").lock_mode
}

fn status(world: &World, id: &InstanceId) -> ObjectStatus {
    instance(world, id).expect("it exists").status
}

/// A PrePaid instance that expires after a day.
fn prepaid(world: &World) -> InstanceId {
    let account_id = world.tenant.account_id;
    world.seed(account_id, "pd-pre", ChargeType::PrePaid, hour(0), hour(24))
}

fn postpaid(world: &World, account_id: AccountId, id: &str) -> InstanceId {
    world.seed(
        account_id,
        id,
        ChargeType::PostPaid,
        hour(0),
        POSTPAID_EXPIRY,
    )
}

async fn admin(world: &World, command: AdminCommand, now: Timestamp) -> serde_json::Value {
    match world.control.admin(command, now).await {
        AdminReply::Ok(value) => value,
        AdminReply::Error { code, message } => panic!("{code}: {message}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_is_locked_and_released_fifteen_days_later() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = prepaid(&world);
    let rounds = Rounds::new(&world);
    rounds.at(0).await;
    rounds.at(23).await;
    assert_eq!(lock(&world, &id), LockMode::Unlock);
    rounds.at(24).await;
    let locked = instance(&world, &id).expect("it exists");
    assert_eq!(locked.lock_mode, LockMode::LockByExpiration);
    assert_eq!(locked.release_at, Some(hour(24 * 16)));
    let reason = locked.lock_reason.expect("a reason");
    let dates = [
        "ended at 2026-03-02T00:00:00Z",
        "released at 2026-03-17T00:00:00Z",
    ];
    assert!(dates.iter().all(|date| reason.contains(date)), "{reason}");
    let listed = admin(&world, AdminCommand::InstanceList, hour(24)).await;
    assert_eq!(listed[0]["release_at"], "2026-03-17T00:00:00Z");
    assert_eq!(listed[0]["expires_at"], "2026-03-02T00:00:00Z");

    rounds.at(24 * 16 - 1).await;
    assert_eq!(status(&world, &id), ObjectStatus::Active);
    rounds.at(24 * 16).await;
    assert_eq!(status(&world, &id), ObjectStatus::Delete);
    world.run_tasks().await;
    assert_eq!(instance(&world, &id), None);
    let filter = AuditFilter {
        instance_id: Some(id),
        ..AuditFilter::default()
    };
    let rows = world.parts.store.read(|reader| reader.audit(&filter, 10));
    let rows = rows.expect("the store works");
    assert_eq!((rows.len(), &*rows[0].entry.action), (1, "billing:release"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_unlocks_costs_and_prevents_the_release() {
    let engine = TestEngine::new().await;
    let world = charging(&engine);
    let id = prepaid(&world);
    let rounds = Rounds::new(&world);
    rounds.at(0).await;
    rounds.at(30).await;
    assert_eq!(lock(&world, &id), LockMode::LockByExpiration);
    let renew = || AdminCommand::InstanceRenew {
        instance_id: id.clone(),
        months: 12,
    };
    set_balance(&world, YEAR - 1);
    let refused = world.control.admin(renew(), hour(31)).await;
    assert!(matches!(refused, AdminReply::Error { code, .. } if code == "InsufficientBalance"));
    assert_eq!(lock(&world, &id), LockMode::LockByExpiration);
    set_balance(&world, YEAR);
    admin(&world, renew(), hour(31)).await;
    assert_eq!(balance(&world), 0);
    let order = &orders(&world)[0].order;
    assert_eq!(order.action, "admin:instance-renew");
    assert_eq!((order.amount_cents, order.paid_cents), (YEAR, YEAR));
    let renewed = instance(&world, &id).expect("it exists");
    assert_eq!(renewed.expires_at, hour(31 + 24 * 365));
    assert_eq!(
        (renewed.lock_mode, renewed.release_at),
        (LockMode::Unlock, None)
    );
    rounds.at(24 * 100).await;
    assert_eq!(status(&world, &id), ObjectStatus::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_lock_stops_the_time_to_the_release() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = prepaid(&world);
    let rounds = Rounds::new(&world);
    rounds.at(0).await;
    rounds.at(24).await;
    let lock_by_hand = AdminCommand::InstanceLock {
        instance_id: id.clone(),
        reason: "in dispute".into(),
    };
    admin(&world, lock_by_hand, hour(25)).await;
    rounds.at(24 * 100).await;
    assert_eq!(lock(&world, &id), LockMode::ManualLock);
    assert_eq!(status(&world, &id), ObjectStatus::Active);
    let unlock = AdminCommand::InstanceUnlock {
        instance_id: id.clone(),
    };
    admin(&world, unlock, hour(24 * 100)).await;
    rounds.at(24 * 101).await;
    let locked = instance(&world, &id).expect("it exists");
    assert_eq!(locked.release_at, Some(hour(24 * 116)), "it begins anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_releases_and_charges_nothing() {
    let engine = TestEngine::new().await;
    let world = charging(&engine);
    let id = prepaid(&world);
    postpaid(&world, world.tenant.account_id, "pd-post");
    let usage = || {
        let filter = UsageFilter::default();
        let records = world
            .parts
            .store
            .read(|reader| reader.usage(&filter, 100_000));
        records.expect("the store works").len()
    };
    let rounds = Rounds::new(&world);
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    rounds.at(0).await;
    rounds.at(2).await;
    assert_eq!(usage(), 2);
    // The clock says that a year has gone by, and a minute later another one.
    rounds.skewed(24 * 365, minutes(121)).await;
    rounds.skewed(24 * 730, minutes(122)).await;
    assert_eq!(usage(), 2);
    assert_eq!(
        lock(&world, &id),
        LockMode::LockByExpiration,
        "which is undone"
    );
    assert_eq!(status(&world, &id), ObjectStatus::Active);
    // It is put right.
    rounds.skewed(3, minutes(180)).await;
    assert_eq!(lock(&world, &id), LockMode::Unlock);
    assert_eq!(usage(), 2);
    rounds.skewed(4, minutes(240)).await;
    assert_eq!(usage(), 4);

    // A process that starts with a wrong clock has nothing to compare with.
    let restarted = Rounds::new(&world);
    restarted.skewed(24 * 30, minutes(0)).await;
    restarted.skewed(24 * 60, minutes(1)).await;
    assert_eq!(status(&world, &id), ObjectStatus::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overdue_balance_locks_what_is_postpaid_until_it_is_paid() {
    let engine = TestEngine::new().await;
    let world = charging(&engine);
    let mine = postpaid(&world, world.tenant.account_id, "pd-mine");
    let other = world.add_tenant("other");
    let theirs = postpaid(&world, other, "pd-theirs");
    let paid = prepaid(&world);
    let rounds = Rounds::new(&world);
    set_balance(&world, 299);
    rounds.at(0).await;
    assert_eq!(lock(&world, &mine), LockMode::Unlock);
    rounds.at(1).await;
    assert_eq!(balance(&world), -1);
    let locks = [&mine, &theirs, &paid].map(|id| lock(&world, id));
    let expected = [LockMode::LockByArrears, LockMode::Unlock, LockMode::Unlock];
    assert_eq!(locks, expected);
    let route = world.gateway.route(&mine);
    assert!(route.is_none(), "it has no node here");

    // Time goes on being charged; paying unlocks at once.
    rounds.at(2).await;
    assert_eq!(balance(&world), -301);
    let pay = |cents| AdminCommand::TenantUpdate {
        account_id: world.tenant.account_id,
        balance_cents: Some(cents),
        real_name_verified: None,
        finance: None,
        instance_quota: None,
        database_quota: None,
        account_quota: None,
    };
    admin(&world, pay(1), hour(2)).await;
    assert_eq!(lock(&world, &mine), LockMode::Unlock);
    admin(&world, pay(-1), hour(2)).await;
    assert_eq!(lock(&world, &mine), LockMode::LockByArrears);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_charges_nobody_is_in_arrears() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = postpaid(&world, world.tenant.account_id, "pd-mine");
    set_balance(&world, -1);
    let rounds = Rounds::new(&world);
    rounds.at(0).await;
    rounds.at(5).await;
    assert_eq!(balance(&world), -1);
    assert_eq!(lock(&world, &id), LockMode::Unlock);
    // Nor is what was locked when it was charged for.
    let mode = LockMode::LockByArrears;
    let locked = world
        .parts
        .store
        .write(|writer| writer.set_instance_lock(&id, mode, Some("overdue")));
    locked.expect("the store works");
    rounds.at(6).await;
    assert_eq!(lock(&world, &id), LockMode::Unlock);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_reaches_node_and_gateway() {
    let engine = TestEngine::new().await;
    let world = charging(&engine);
    let id = world.order();
    world.run_tasks().await;
    set_balance(&world, -1);
    let account_id = world.tenant.account_id;
    let now = Timestamp::now();
    let follow = || world.parts.follow_balance(account_id, now);
    follow().await.expect("the store works");
    let route = world.gateway.route(&id).expect("clients may read");
    let lock = route.write_lock.expect("and not write");
    assert!(lock.starts_with("LockByArrears: the balance"), "{lock}");
    let node = instance(&world, &id).expect("it exists").node_id;
    let mut sql = world
        .parts
        .engine
        .sql(&node.expect("a node"))
        .await
        .expect("it runs");
    assert!(sql.is_read_only().await.expect("readable"));
    set_balance(&world, 1);
    follow().await.expect("the store works");
    assert!(!sql.is_read_only().await.expect("readable"));
    sql.close().await;
}
