//! Which nodes may have branches of transactions that are decided and not carried out there: who reads
//! such a node would see half of a transaction, or not see one that was acknowledged.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openpeta_mysql_wire::ErrPacket;
use tokio::sync::Notify;

/// How long somebody waits until nodes are settled.
const PATIENCE: Duration = Duration::from_secs(20);

/// What may be in doubt.
#[derive(Debug)]
pub struct Doubt {
    state: Mutex<State>,
    /// Something may be in doubt.
    raised: Notify,
    /// Nodes have been settled.
    settled: Notify,
}

#[derive(Debug)]
struct State {
    /// How often something came to be in doubt; also when a process begins, which does not know.
    raised: u64,
    /// Up to which of them a node is settled.
    settled: HashMap<u16, u64>,
}

impl Doubt {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                raised: 1,
                settled: HashMap::new(),
            }),
            raised: Notify::new(),
            settled: Notify::new(),
        }
    }

    /// A transaction was decided, and is not carried out on all its nodes.
    pub fn raise(&self) {
        self.lock().raised += 1;
        self.raised.notify_one();
    }

    /// Something may be left on a node that changes nothing for who reads.
    pub fn look(&self) {
        self.raised.notify_one();
    }

    /// Waits until something may be in doubt.
    pub(super) async fn raised(&self) {
        self.raised.notified().await;
    }

    /// How often something has come to be in doubt.
    pub(super) fn count(&self) -> u64 {
        self.lock().raised
    }

    /// A node has nothing in doubt of what was there at that count.
    pub(super) fn settle(&self, node: u16, count: u64) {
        let mut state = self.lock();
        let settled = state.settled.entry(node).or_default();
        *settled = count.max(*settled);
        drop(state);
        self.settled.notify_waiters();
    }

    /// Whether nodes are settled.
    #[must_use]
    pub fn is_settled(&self, nodes: &[u16]) -> bool {
        let state = self.lock();
        let is_settled = |node| state.settled.get(node) == Some(&state.raised);
        nodes.iter().all(is_settled)
    }

    /// Waits until nodes are settled.
    ///
    /// # Errors
    /// When that takes too long, most likely because one of them is down.
    pub async fn wait(&self, nodes: &[u16]) -> Result<(), ErrPacket> {
        let wait = async {
            loop {
                let settled = self.settled.notified();
                tokio::pin!(settled);
                settled.as_mut().enable();
                if self.is_settled(nodes) {
                    return;
                }
                self.raised.notify_one();
                settled.await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.map_err(|_| {
            ErrPacket::new(
                1429,
                b"HY000",
                "OpenPeta: in-doubt: a transaction is not carried out on a node that does not answer",
            )
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
