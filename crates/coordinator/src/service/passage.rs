//! Who uses partitions, and who moves them: a transaction that touches distributed tables has a passage
//! until it ends, and while partitions go over to another node nobody has one.

use std::sync::Arc;
use std::time::Duration;

use openpeta_mysql_wire::ErrPacket;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch};

use super::turnstile::{Inside, Shut, Turnstile};

/// How long somebody waits for a passage.
const PATIENCE: Duration = Duration::from_secs(50);

/// What passages are had of.
#[derive(Debug)]
pub struct Passages {
    lock: Arc<RwLock<()>>,
    /// Where those go through who need one for the time of a statement.
    turnstile: Arc<Turnstile>,
    /// How often those who had one were told to give it up.
    called: watch::Sender<u64>,
}

/// The right to use partitions where they are now.
#[derive(Debug)]
pub struct Passage {
    _shared: OwnedRwLockReadGuard<()>,
    called: watch::Receiver<u64>,
}

/// Nobody has a passage as long as this is held.
#[derive(Debug)]
pub(super) struct Closed {
    _alone: OwnedRwLockWriteGuard<()>,
    _shut: Shut,
}

impl Passages {
    pub(super) fn new() -> Self {
        Self {
            lock: Arc::default(),
            turnstile: Turnstile::new(&Arc::default()),
            called: watch::Sender::new(0),
        }
    }

    /// A passage for the time of a statement that waits for nobody, if partitions stay where they are.
    #[must_use]
    pub fn step(&self) -> Option<Inside> {
        self.turnstile.enter()
    }

    /// A passage, when partitions stay where they are.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn take(&self) -> Result<Passage, ErrPacket> {
        let shared = match Arc::clone(&self.lock).try_read_owned() {
            Ok(shared) => return Ok(self.passage(shared)),
            Err(_) => Arc::clone(&self.lock).read_owned(),
        };
        let shared = tokio::time::timeout(PATIENCE, shared).await;
        let shared = shared.map_err(|_| {
            ErrPacket::new(
                1205,
                b"HY000",
                "OpenPeta: moving: partitions are moving for too long; try restarting transaction",
            )
        })?;
        Ok(self.passage(shared))
    }

    fn passage(&self, shared: OwnedRwLockReadGuard<()>) -> Passage {
        Passage {
            _shared: shared,
            called: self.called.subscribe(),
        }
    }

    /// Waits until nobody has a passage; `None` if that takes too long, and then all go on. Nobody gets
    /// a new one meanwhile. With `call`, transactions that are open then are told to end.
    pub(super) async fn close(&self, patience: Duration, call: Option<Duration>) -> Option<Closed> {
        let shut = self.turnstile.shut();
        let lock = async {
            let alone = Arc::clone(&self.lock).write_owned().await;
            shut.emptied().await;
            Closed {
                _alone: alone,
                _shut: shut,
            }
        };
        tokio::pin!(lock);
        if let Ok(closed) = tokio::time::timeout(patience, &mut lock).await {
            return Some(closed);
        }
        let grace = call?;
        self.called.send_modify(|count| *count += 1);
        tokio::time::timeout(grace, lock).await.ok()
    }
}

impl Passage {
    /// Waits until it is called back.
    pub async fn called(&mut self) {
        if self.called.changed().await.is_err() {
            // The instance is gone, and nobody moves anything.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn nobody_has_a_passage_while_they_are_closed() {
        let passages = Passages::new();
        let (passage, step) = (passages.take().await, passages.step());
        assert!(passage.is_ok() && step.is_some());
        assert!(passages.close(SHORT, None).await.is_none());
        drop(passage);
        // One for a statement is waited for as well, and is not called back.
        assert!(passages.close(SHORT, Some(SHORT)).await.is_none());
        // Whoever has waited in vain has opened them.
        let again = passages.step();
        assert!(again.is_some());
        drop((step, again));
        let closed = passages.close(SHORT, None).await;
        assert!(closed.is_some() && passages.step().is_none());
        drop(closed);
        assert!(passages.step().is_some() && passages.take().await.is_ok());
    }
}
