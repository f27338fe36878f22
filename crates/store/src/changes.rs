//! What a transaction changed: which parts of memory to refresh, whom to wake.

use std::collections::BTreeSet;

use openpeta_types::{AccessKeyId, AccountId, InstanceId};
use tokio::sync::watch;

/// A kind of rows that somebody can wait for changes of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Access keys, policies.
    AccessKeys,
    /// Instances and their databases.
    Instances,
    /// Nodes.
    Nodes,
    /// Endpoints.
    Endpoints,
    /// Database accounts and their grants.
    Accounts,
    /// Whitelist groups.
    Whitelists,
    /// Tasks and where they stand; not the progress within a step.
    Tasks,
    /// Webhooks, and notifications that wait for them; not that they were delivered.
    Deliveries,
}

impl Topic {
    /// Every topic, in declaration order.
    const ALL: [Self; 8] = [
        Self::AccessKeys,
        Self::Instances,
        Self::Nodes,
        Self::Endpoints,
        Self::Accounts,
        Self::Whitelists,
        Self::Tasks,
        Self::Deliveries,
    ];
}

/// One counter a topic, raised by each commit that touched it.
pub(crate) struct Watchers([watch::Sender<u64>; Topic::ALL.len()]);

impl Watchers {
    pub(crate) fn new() -> Self {
        Self(Topic::ALL.map(|_| watch::Sender::new(0)))
    }

    pub(crate) fn subscribe(&self, topic: Topic) -> watch::Receiver<u64> {
        self.0[topic as usize].subscribe()
    }

    pub(crate) fn notify(&self, topics: &BTreeSet<Topic>) {
        for &topic in topics {
            self.0[topic as usize].send_modify(|count| *count += 1);
        }
    }
}

/// What the running write transaction touched so far.
#[derive(Default)]
pub(crate) struct Touched {
    pub(crate) topics: BTreeSet<Topic>,
    pub(crate) instances: BTreeSet<InstanceId>,
    pub(crate) keys: BTreeSet<AccessKeyId>,
    pub(crate) users: BTreeSet<(AccountId, String)>,
}
