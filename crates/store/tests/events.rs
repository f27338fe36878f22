//! Events, and what webhooks are to be told of them.

use crate::common::{at, instance, instance_id, open, tenant, write};
use openpeta_store::{EventFilter, NewEvent, NewWebhook, Store, StoreError};
use openpeta_types::{EventKind, LockMode, Secret, Severity};

fn event(second: i64, kind: EventKind) -> NewEvent {
    NewEvent::new(at(second), kind, format!("event {second}"))
}

fn listed(store: &Store, filter: &EventFilter) -> Vec<EventKind> {
    let found: Result<_, StoreError> = store.read(|reader| reader.events(filter, 100));
    let kinds = found.unwrap().into_iter().map(|record| record.event.kind);
    kinds.collect()
}

fn webhook(name: &str) -> NewWebhook {
    NewWebhook {
        name: name.into(),
        url: "https://example.com/hook".into(),
        secret: Secret::new(format!("the-secret-of-{name}")),
        ca_file: None,
        kinds: None,
        min_severity: Severity::Info,
        instance_id: None,
        created_at: at(0),
    }
}

/// Texts of what waits for a webhook.
fn waiting(store: &Store, webhook: i64) -> Vec<String> {
    let found: Result<_, StoreError> = store.read(|reader| reader.deliveries(webhook, 10_000));
    let texts = found.unwrap().into_iter().map(|one| one.event.event.text);
    texts.collect()
}

#[test]
fn events_are_listed_by_what_they_are() {
    let (_directory, store) = open();
    write(&store, |writer| {
        let of_first = |event: NewEvent| event.of(Some(&instance_id(1)));
        writer.insert_event(&of_first(event(1, EventKind::NodeCrashed)))?;
        writer.insert_event(&event(2, EventKind::ServiceStarted))?;
        writer.insert_event(&of_first(event(3, EventKind::NodeFailing)))
    });
    use EventKind as K;
    let all = EventFilter::default();
    assert_eq!(
        listed(&store, &all),
        [K::NodeFailing, K::ServiceStarted, K::NodeCrashed]
    );
    let of_instance = EventFilter {
        instance_id: Some(instance_id(1)),
        severity: Some(Severity::Critical),
        ..all.clone()
    };
    assert_eq!(listed(&store, &of_instance), [K::NodeFailing]);
    let later = EventFilter {
        since: Some(at(2)),
        kinds: vec![K::ServiceStarted, K::NodeCrashed],
        ..all
    };
    assert_eq!(listed(&store, &later), [K::ServiceStarted]);
    let last: Result<_, StoreError> =
        store.read(|reader| reader.last_event(&instance_id(1), [K::NodeCrashed, K::NodeStarted]));
    assert_eq!(last.unwrap().unwrap().event.kind, K::NodeCrashed);
}

#[test]
fn what_may_be_there_once_is_there_once() {
    let (_directory, store) = open();
    let hook = write(&store, |writer| writer.insert_webhook(&webhook("a")));
    let once = event(1, EventKind::NodeStarted).once("node 1");
    assert!(write(&store, |writer| writer.insert_event(&once)));
    assert!(!write(&store, |writer| writer.insert_event(&once)));
    assert_eq!(listed(&store, &EventFilter::default()).len(), 1);
    assert_eq!(waiting(&store, hook), ["event 1"]);
}

#[test]
fn the_old_and_the_many_go() {
    let (_directory, store) = open();
    write(&store, |writer| {
        for second in 0..3_000 {
            writer.insert_event(&event(second, EventKind::NodeStarted))?;
        }
        Ok(())
    });
    let count = |store: &Store| {
        let all = EventFilter::default();
        let found: Result<_, StoreError> = store.read(|reader| reader.events(&all, u32::MAX));
        let found = found.unwrap();
        (found.len(), found.last().map(|record| record.event.at))
    };
    let prune = |before, most| {
        while write(&store, |writer| writer.prune_events(before, most)) > 0 {}
        count(&store)
    };
    assert_eq!(prune(at(0), 3_000), (3_000, Some(at(0))));
    assert_eq!(prune(at(2_500), 3_000), (500, Some(at(2_500))));
    assert_eq!(prune(at(0), 10), (10, Some(at(2_990))));
    assert_eq!(prune(at(9_000), 10), (0, None));
}

#[test]
fn webhooks_are_told_of_what_they_want() {
    let (_directory, store) = open();
    let hooks = write(&store, |writer| {
        let severe = NewWebhook {
            min_severity: Severity::Critical,
            ..webhook("severe")
        };
        let alerts = NewWebhook {
            kinds: Some(vec![EventKind::AlertFiring, EventKind::AlertResolved]),
            ..webhook("alerts")
        };
        let first = NewWebhook {
            instance_id: Some(instance_id(1)),
            ..webhook("first")
        };
        let mut ids = vec![writer.insert_webhook(&webhook("all"))?];
        for hook in [severe, alerts, first] {
            ids.push(writer.insert_webhook(&hook)?);
        }
        writer.insert_event(&event(1, EventKind::NodeStarted))?;
        writer.insert_event(&event(2, EventKind::NodeFailing).of(Some(&instance_id(1))))?;
        writer.insert_event(&event(3, EventKind::AlertFiring).of(Some(&instance_id(2))))?;
        // Or it would be told of its own failures.
        writer.insert_event(&event(4, EventKind::DeliveryAbandoned))?;
        Ok(ids)
    });
    assert_eq!(waiting(&store, hooks[0]), ["event 1", "event 2", "event 3"]);
    assert_eq!(waiting(&store, hooks[1]), ["event 2"]);
    assert_eq!(waiting(&store, hooks[2]), ["event 3"]);
    assert_eq!(waiting(&store, hooks[3]), ["event 2"]);
    write(&store, |writer| writer.delete_webhook(hooks[0]));
    assert_eq!(waiting(&store, hooks[0]), [""; 0]);
}

#[test]
fn the_oldest_notifications_make_way_and_are_counted() {
    let (_directory, store) = open();
    let hook = write(&store, |writer| {
        let hook = writer.insert_webhook(&webhook("a"))?;
        for second in 0..1_003 {
            writer.insert_event(&event(second, EventKind::NodeStarted))?;
        }
        Ok(hook)
    });
    let waiting = waiting(&store, hook);
    assert_eq!((waiting.len(), &*waiting[0]), (1_000, "event 3"));
    let found: Result<_, StoreError> = store.read(|reader| reader.webhooks());
    let found = found.unwrap();
    assert_eq!((found[0].waiting, found[0].dropped), (1_000, 3));
    let totals = store.read(|reader| reader.webhook_totals()).unwrap();
    assert_eq!((totals[0].waiting, totals[0].dropped), (1_000, 3));
    assert_eq!(totals[0].oldest, Some(at(3)));
}

#[test]
fn secrets_of_webhooks_are_sealed() {
    let (directory, store) = open();
    write(&store, |writer| writer.insert_webhook(&webhook("a")));
    let found: Result<_, StoreError> = store.read(|reader| reader.webhooks());
    let secret = found.unwrap()[0].webhook.secret.clone();
    assert_eq!(secret.expose(), "the-secret-of-a");
    drop(store);
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        let secret = b"the-secret-of-a";
        let is_there = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!is_there, "{}", path.display());
    }
}

#[test]
fn locks_are_events_in_the_same_transaction() {
    let (_directory, store) = open();
    write(&store, |writer| {
        writer.insert_tenant(&tenant(1))?;
        writer.insert_instance(&instance(1, 1))
    });
    let id = instance_id(1);
    let lock = |mode, reason| write(&store, |writer| writer.set_instance_lock(&id, mode, reason));
    lock(LockMode::LockByDiskQuota, Some("full"));
    lock(LockMode::LockByDiskQuota, Some("full"));
    lock(LockMode::ManualLock, Some("audit"));
    lock(LockMode::Unlock, None);
    let failed = store.write(|writer| {
        writer.set_instance_lock(&id, LockMode::ManualLock, None)?;
        Err::<(), _>(StoreError::ReadOnly)
    });
    assert!(failed.is_err());
    use EventKind as K;
    assert_eq!(
        listed(&store, &EventFilter::default()),
        [K::InstanceUnlocked, K::InstanceLocked, K::DiskQuotaReached]
    );
}
