//! Who was turned away, by instance and address, until somebody takes it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use openpeta_types::InstanceId;

/// Addresses that are counted for themselves; any further ones of an instance count together.
const MOST: usize = 1000;

/// Why a client was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalReason {
    /// The whitelist does not admit its address.
    Whitelist,
    /// An unknown account or a wrong password.
    Login,
}

/// How often clients of an address were turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// From which instance.
    pub instance: InstanceId,
    /// Why.
    pub reason: RefusalReason,
    /// The address; `None` for all that were too many to be told apart.
    pub source: Option<IpAddr>,
    /// How often.
    pub count: u64,
}

type Key = (InstanceId, RefusalReason, Option<IpAddr>);

/// What was counted since it was last taken.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<Key, u64>>);

impl Refusals {
    pub(crate) fn add(&self, instance: &InstanceId, reason: RefusalReason, source: IpAddr) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (instance.clone(), reason, Some(source.to_canonical()));
        if counts.len() >= MOST && !counts.contains_key(&key) {
            key.2 = None;
        }
        *counts.entry(key).or_default() += 1;
    }

    /// All of them, those first that were turned away most often.
    pub(crate) fn take(&self) -> Vec<Refusal> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let refusal = |((instance, reason, source), count)| Refusal {
            instance,
            reason,
            source,
            count,
        };
        let mut refusals: Vec<_> = counts.into_iter().map(refusal).collect();
        refusals.sort_by_key(|refusal| std::cmp::Reverse(refusal.count));
        refusals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_and_too_many_count_together() {
        let refusals = Refusals::default();
        let id = InstanceId::parse("pd-abcdefg62469a").expect("an id");
        let add = |address: u32| {
            refusals.add(
                &id,
                RefusalReason::Login,
                IpAddr::from(address.to_be_bytes()),
            )
        };
        for address in 0..3000 {
            add(address);
        }
        add(7);
        add(7);
        let taken = refusals.take();
        assert_eq!(taken.len(), MOST + 1);
        assert_eq!((taken[0].source, taken[0].count), (None, 2000));
        let seventh = IpAddr::from([0, 0, 0, 7]);
        assert_eq!((taken[1].source, taken[1].count), (Some(seventh), 3));
        assert_eq!(refusals.take(), []);
    }
}
