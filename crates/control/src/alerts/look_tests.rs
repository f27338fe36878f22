//! Looks at rules over samples of a store's instances.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use openpeta_store::{EventFilter, NewEvent, StoreError};
use openpeta_types::{EventKind, InstanceId, Severity};

use super::look;
use crate::Traffic;
use crate::admin::protocol::{AdminCommand, AdminReply, Compare, WithoutData};
use crate::sampling::of_instance;
use crate::testing::{TestEngine, World};

/// Seconds from the first look on.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("in range")
}

async fn admin(world: &World, command: AdminCommand) {
    let reply = world.control.admin(command, Timestamp::now()).await;
    assert!(matches!(reply, AdminReply::Ok(_)), "{reply:?}");
}

async fn create(world: &World, name: &str, instance_id: Option<&InstanceId>) {
    let rule = AdminCommand::AlertCreate {
        name: name.into(),
        instance_id: instance_id.cloned(),
        item: "gcs.sqps".into(),
        comparison: Compare::Above,
        threshold: 5.0,
        duration_seconds: 0,
        severity: Severity::Critical,
        no_data: WithoutData::Keep,
        repeat_seconds: None,
    };
    admin(world, rule).await;
}

/// Statements run for a minute, so many a second; the rules are looked at after it.
fn run(world: &World, id: &InstanceId, minute: i64, total: &mut u64, per_second: u64) {
    let seen = |total| {
        let traffic = Traffic {
            finished: total,
            ..Traffic::default()
        };
        vec![(of_instance(id), 1, traffic)]
    };
    let samples = &world.parts.samples;
    for second in 0..60 {
        *total += per_second;
        let now = at(minute * 60 + second).as_second();
        samples.look(now, Duration::from_secs(1), seen(*total));
    }
    let now = at(minute * 60 + 60);
    // The last row is complete when another one begins.
    samples.look(now.as_second(), Duration::ZERO, seen(*total));
    for _ in 0..2 {
        look(&world.parts, now).expect("the store works");
    }
}

/// The alerts that were told of, the oldest first.
fn told(world: &World) -> Vec<(EventKind, String)> {
    let alerts = EventFilter {
        kinds: vec![EventKind::AlertFiring, EventKind::AlertResolved],
        ..EventFilter::default()
    };
    let found: Result<_, StoreError> = world.parts.store.read(|reader| reader.events(&alerts, 100));
    let reason = |event: &NewEvent| {
        let details: serde_json::Value = serde_json::from_str(&event.details).expect("JSON");
        assert_eq!(event.severity, Severity::Critical);
        let reason = details["reason"].as_str().unwrap_or("").to_owned();
        format!("{} {reason}", details["rule"].as_str().expect("a name"))
    };
    let events = found.expect("the store works").into_iter().rev();
    events
        .map(|record| (record.event.kind, reason(&record.event)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fires_is_told_once_and_resolved_however_it_ends() {
    use EventKind::{AlertFiring as Fires, AlertResolved as Resolved};
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.instance_without_node();
    create(&world, "all", None).await;
    create(&world, "one", Some(&id)).await;
    let mut total = 0;
    run(&world, &id, 0, &mut total, 1);
    assert_eq!(told(&world), []);
    run(&world, &id, 1, &mut total, 100);
    let text = |text: &str| text.to_owned();
    let mut expected = vec![(Fires, text("all ")), (Fires, text("one "))];
    assert_eq!(told(&world), expected);

    // A look long after the last sample knows nothing, and says nothing.
    look(&world.parts, at(0) + SignedDuration::from_hours(5)).expect("the store works");
    assert_eq!(told(&world), expected);
    run(&world, &id, 2, &mut total, 1);
    expected.extend([(Resolved, text("all ")), (Resolved, text("one "))]);
    assert_eq!(told(&world), expected);

    run(&world, &id, 3, &mut total, 100);
    expected.extend([(Fires, text("all ")), (Fires, text("one "))]);
    let name = || "all".to_owned();
    admin(&world, AdminCommand::AlertPause { name: name() }).await;
    expected.push((Resolved, text("all the rule was paused")));
    look(&world.parts, at(240)).expect("the store works");
    assert_eq!(told(&world), expected);
    admin(&world, AdminCommand::AlertResume { name: name() }).await;
    look(&world.parts, at(240)).expect("the store works");
    expected.push((Fires, text("all ")));
    admin(&world, AdminCommand::AlertDelete { name: name() }).await;
    expected.push((Resolved, text("all the rule was deleted")));
    assert_eq!(told(&world), expected);

    let deleted = world
        .parts
        .store
        .write(|writer| writer.delete_instance(&id));
    deleted.expect("the store works");
    look(&world.parts, at(245)).expect("the store works");
    expected.push((Resolved, text("one the instance is gone")));
    assert_eq!(told(&world), expected);
    let rules: Result<_, StoreError> = world.parts.store.read(|reader| reader.alert_rules());
    assert_eq!(rules.expect("the store works"), []);
}
