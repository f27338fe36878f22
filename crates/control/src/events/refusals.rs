//! Events of clients that the gateway turned away. Pure.

use std::collections::HashMap;

use jiff::Timestamp;
use openpeta_store::NewEvent;
use openpeta_types::{EventKind, InstanceId};
use serde_json::json;

use crate::{Refusal, RefusalReason};

/// Addresses of an instance that have an event of their own in a minute; those that were refused
/// most often.
const MOST_SOURCES: usize = 20;
/// Events of refusals in a minute in all.
const MOST_EVENTS: usize = 200;

/// The events of a minute's refusals, of which the most frequent come first.
pub(crate) fn of_refusals(refusals: Vec<Refusal>, now: Timestamp) -> Vec<NewEvent> {
    let mut told: HashMap<(InstanceId, RefusalReason), usize> = HashMap::new();
    let mut others: HashMap<(InstanceId, RefusalReason), (u64, u64)> = HashMap::new();
    let mut events = Vec::new();
    for refusal in refusals {
        let key = (refusal.instance.clone(), refusal.reason);
        let told = told.entry(key.clone()).or_default();
        if refusal.source.is_some() && *told < MOST_SOURCES && events.len() < MOST_EVENTS {
            *told += 1;
            events.push(event(&refusal, None, now));
        } else {
            let (count, addresses) = others.entry(key).or_default();
            *count += refusal.count;
            *addresses += 1;
        }
    }
    let mut others: Vec<_> = others.into_iter().collect();
    others.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    others.truncate(MOST_EVENTS);
    for ((instance, reason), (count, addresses)) in others {
        let refusal = Refusal {
            instance,
            reason,
            source: None,
            count,
        };
        events.push(event(&refusal, Some(addresses), now));
    }
    events
}

fn event(refusal: &Refusal, addresses: Option<u64>, now: Timestamp) -> NewEvent {
    let (kind, what) = match refusal.reason {
        RefusalReason::Whitelist => (
            EventKind::WhitelistRefused,
            "connections refused by the whitelist",
        ),
        RefusalReason::Login => (EventKind::LoginRefused, "failed logins"),
    };
    let source = refusal.source.map(|source| source.to_string());
    let from = source.as_deref().unwrap_or("other addresses");
    let text = format!("{} {what} from {from} within a minute", refusal.count);
    let details = json!({ "source": source, "count": refusal.count, "addresses": addresses });
    NewEvent::new(now, kind, text)
        .of(Some(&refusal.instance))
        .with(&details)
}
