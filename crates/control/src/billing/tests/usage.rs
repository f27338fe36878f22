//! Usage records: each second once, whatever happens in between.

use jiff::Timestamp;
use openpeta_store::{UsageFilter, UsageRecord};
use openpeta_types::{ChargeType, DbName, InstanceId, ObjectStatus, POSTPAID_EXPIRY};

use super::{balance, charging, set_balance};
use crate::ControlError;
use crate::recycle_bin::OnDelete;
use crate::testing::{TestEngine, World};

/// A second of a day, as `(hour, minute, second)`.
fn at(hour: i64, minute: i64, second: i64) -> Timestamp {
    let day: Timestamp = "2026-03-01T00:00:00Z".parse().expect("a time");
    let seconds = day.as_second() + hour * 3_600 + minute * 60 + second;
    Timestamp::from_second(seconds).expect("in range")
}

fn shop() -> DbName {
    DbName::parse("shop").expect("a name")
}

fn seed(world: &World, id: &str, created_at: Timestamp) -> InstanceId {
    let account_id = world.tenant.account_id;
    world.seed(
        account_id,
        id,
        ChargeType::PostPaid,
        created_at,
        POSTPAID_EXPIRY,
    )
}

/// All records, oldest first.
fn records(world: &World) -> Vec<UsageRecord> {
    let filter = UsageFilter::default();
    let records = world
        .parts
        .store
        .read(|reader| reader.usage(&filter, 1_000));
    let mut records = records.expect("the store works");
    records.reverse();
    records
}

/// Start, seconds and amount of each.
fn shown(world: &World) -> Vec<(Timestamp, i64, i64)> {
    let records = records(world).into_iter();
    let row = |record: UsageRecord| {
        let seconds = record.ended_at.duration_since(record.started_at).as_secs();
        (record.started_at, seconds, record.amount_cents)
    };
    records.map(row).collect()
}

fn resize(world: &World, id: &InstanceId, spec: &str, now: Timestamp) {
    let (spec, _) = world.parts.config.node_specs.find(spec).expect("on offer");
    let resized = world.parts.store.write(|writer| {
        world.parts.settle_usage(writer, id, &shop(), now)?;
        let mut database = writer.database(id, &shop())?.expect("it exists");
        database.node_spec = spec.clone();
        writer.update_database(&database)?;
        Ok::<_, ControlError>(())
    });
    resized.expect("the store works");
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_are_recorded_once_and_caught_up_with() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    seed(&world, "pd-a", at(9, 30, 0));
    let meter = |now| world.parts.meter(now).expect("the store works");
    meter(at(9, 59, 59));
    assert_eq!(shown(&world), [], "the hour is not over");
    meter(at(10, 0, 0));
    meter(at(10, 0, 1));
    let first = (at(9, 30, 0), 1_800, 150);
    assert_eq!(shown(&world), [first]);
    // The service did not run for a while.
    meter(at(13, 5, 0));
    let full = |hour| (at(hour, 0, 0), 3_600, 300);
    let all = [first, full(10), full(11), full(12)];
    assert_eq!(shown(&world), all);
    // The clock was put back, and comes to the same hours again.
    meter(at(11, 0, 0));
    meter(at(13, 30, 0));
    assert_eq!(shown(&world), all);
    meter(at(14, 0, 0));
    assert_eq!(shown(&world).len(), 5);
    let record = &records(&world)[0];
    assert_eq!((record.paid_cents, &*record.currency), (0, "CNY"));
    assert_eq!(record.node_spec.as_str(), "petadata.s2.xlarge");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_nodes_and_the_end_cut_an_hour() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = seed(&world, "pd-a", at(9, 0, 0));
    resize(&world, &id, "petadata.s2.2xlarge", at(9, 20, 0));
    resize(&world, &id, "petadata.s2.xlarge", at(9, 40, 0));
    let instance = world.parts.store.read(|reader| reader.instance(&id));
    let instance = instance.expect("the store works").expect("it exists");
    let released = world.parts.store.write(|writer| {
        world
            .parts
            .release(writer, &instance, OnDelete::Destroy, (at(10, 0, 30), None))
    });
    released.expect("the store works");
    world.parts.meter(at(12, 0, 0)).expect("the store works");
    let parts = [
        (at(9, 0, 0), 1_200, 100),
        (at(9, 20, 0), 1_200, 200),
        (at(9, 40, 0), 1_200, 100),
        (at(10, 0, 0), 30, 3),
    ];
    assert_eq!(shown(&world), parts);

    // What is made under the same name later is another database.
    let gone = world
        .parts
        .store
        .write(|writer| writer.delete_instance(&id));
    gone.expect("the store works");
    seed(&world, "pd-a", at(12, 30, 0));
    world.parts.meter(at(13, 0, 0)).expect("the store works");
    assert_eq!(shown(&world)[4], (at(12, 30, 0), 1_800, 150));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_made_or_prepaid_is_not_recorded() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let account_id = world.tenant.account_id;
    let year = at(24 * 365, 0, 0);
    world.seed(account_id, "pd-p", ChargeType::PrePaid, at(9, 0, 0), year);
    let id = seed(&world, "pd-c", at(9, 30, 0));
    let set = |status| {
        let store = &world.parts.store;
        let set = store.write(|writer| writer.set_database_status(&id, &shop(), status));
        set.expect("the store works");
    };
    set(ObjectStatus::Create);
    world.parts.meter(at(11, 0, 0)).expect("the store works");
    assert_eq!(shown(&world), []);
    set(ObjectStatus::Active);
    world.parts.meter(at(11, 30, 0)).expect("the store works");
    let begun = [(at(9, 30, 0), 1_800, 150), (at(10, 0, 0), 3_600, 300)];
    assert_eq!(shown(&world), begun);
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_taken_from_the_balance_of_its_tenant() {
    let engine = TestEngine::new().await;
    let world = charging(&engine);
    set_balance(&world, 400);
    // More than fit one transaction.
    let other = world.add_tenant("other");
    for number in 0..250 {
        let id = format!("pd-o{number}");
        world.seed(
            other,
            &id,
            ChargeType::PostPaid,
            at(9, 0, 0),
            POSTPAID_EXPIRY,
        );
    }
    let id = seed(&world, "pd-a", at(9, 0, 0));
    world.parts.meter(at(10, 0, 0)).expect("the store works");
    world.parts.meter(at(10, 59, 0)).expect("the store works");
    assert_eq!(balance(&world), 100);
    let theirs = world.parts.store.read(|reader| reader.tenant(other));
    let theirs = theirs.expect("the store works").expect("it exists");
    let spent = crate::bootstrap::NEW_TENANT_BALANCE_CENTS - theirs.balance_cents;
    assert_eq!(spent, 250 * 300);
    resize(&world, &id, "petadata.s2.large", at(11, 0, 0));
    assert_eq!(balance(&world), -200, "usage may overdraw a balance");
    let record = records(&world).pop().expect("the last");
    assert_eq!((record.amount_cents, record.paid_cents), (300, 300));
}
