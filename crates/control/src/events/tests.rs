//! Events wait in memory and are bounded.

use std::net::IpAddr;

use openpeta_store::EventFilter;
use openpeta_types::InstanceId;

use super::*;
use crate::{Refusal, RefusalReason};

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a store");
    (directory, store)
}

fn listed(store: &Store) -> Vec<NewEvent> {
    let all = EventFilter::default();
    let found: Result<_, StoreError> = store.read(|reader| reader.events(&all, u32::MAX));
    let found = found.expect("the store works").into_iter();
    found.map(|record| record.event).collect()
}

#[test]
fn more_than_can_wait_are_counted() {
    let (_directory, store) = store();
    let events = Events::default();
    let now = Timestamp::UNIX_EPOCH;
    for place in 0..MOST_WAITING + 3 {
        events.record(NewEvent::new(
            now,
            EventKind::NodeStarted,
            place.to_string(),
        ));
    }
    events.write(&store).expect("the store works");
    let listed = listed(&store);
    assert_eq!(listed.len(), MOST_WAITING + 1);
    let lost: Vec<_> = listed
        .iter()
        .filter(|event| event.kind == EventKind::EventsLost)
        .collect();
    assert_eq!(lost[0].details, r#"{"count":3}"#);
    assert_eq!(listed.last().expect("one").text, "0");
}

#[test]
fn what_could_not_be_written_keeps_its_order() {
    let (_directory, store) = store();
    let events = Events::default();
    let event = |text: &str| NewEvent::new(Timestamp::UNIX_EPOCH, EventKind::NodeStarted, text);
    events.record(event("3"));
    events.take_back(vec![event("1"), event("2")], 5);
    events.write(&store).expect("the store works");
    let texts: Vec<_> = listed(&store).into_iter().map(|event| event.text).collect();
    assert_eq!(texts, ["5 events could not be written", "3", "2", "1"]);
}

#[test]
fn quota_refusals_are_one_event_a_kind() {
    let (_directory, store) = store();
    let events = Events::default();
    let tenant = AccountId::from_number(1);
    for _ in 0..3 {
        events.quota_refused(tenant, "CreateInstance", "QuotaExceeded.CreateInstance");
    }
    for code in 0..2 * MOST_QUOTAS {
        events.quota_refused(tenant, "CreateDatabase", &code.to_string());
    }
    events.count_up(Timestamp::UNIX_EPOCH);
    events.write(&store).expect("the store works");
    let listed = listed(&store);
    assert_eq!(listed.len(), MOST_QUOTAS);
    let of_instances = listed
        .iter()
        .find(|event| event.text.contains("CreateInstance"));
    assert!(of_instances.expect("counted").text.starts_with("3 calls"));
}

#[test]
fn a_flood_of_addresses_gives_few_events_and_loses_no_count() {
    let id = |place: usize| InstanceId::parse(&format!("pd-abcdefg{place:07}")).expect("an id");
    let refusal = |instance: usize, source: u32, count: u64| Refusal {
        instance: id(instance),
        reason: RefusalReason::Whitelist,
        source: Some(IpAddr::from(source.to_be_bytes())),
        count,
    };
    let mut refusals: Vec<_> = (0..1000u32)
        .map(|place| refusal(place as usize % 40, place, u64::from(1000 - place)))
        .collect();
    refusals.push(Refusal {
        source: None,
        ..refusal(0, 0, 7)
    });
    let total: u64 = refusals.iter().map(|refusal| refusal.count).sum();
    let events = of_refusals(refusals, Timestamp::UNIX_EPOCH);
    assert!(events.len() <= 240, "{}", events.len());
    let counted = |event: &NewEvent| {
        let details: serde_json::Value = serde_json::from_str(&event.details).expect("JSON");
        details["count"].as_u64().expect("a number")
    };
    assert_eq!(events.iter().map(counted).sum::<u64>(), total);
    assert_eq!(events[0].instance_id, Some(id(0)));
    assert_eq!(
        events[0].text,
        "1000 connections refused by the whitelist from 0.0.0.0 within a minute"
    );
}
