//! Who uses partitions, and who moves them: a transaction that touches distributed tables has a passage
//! until it ends, and while partitions go over to another node nobody has one.

use std::sync::Arc;
use std::time::Duration;

use openpeta_mysql_wire::ErrPacket;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch};

/// How long somebody waits for a passage.
const PATIENCE: Duration = Duration::from_secs(50);

/// What passages are had of.
#[derive(Debug)]
pub struct Passages {
    lock: Arc<RwLock<()>>,
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
pub(super) type Closed = OwnedRwLockWriteGuard<()>;

impl Passages {
    pub(super) fn new() -> Self {
        Self {
            lock: Arc::default(),
            called: watch::Sender::new(0),
        }
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
        let lock = Arc::clone(&self.lock).write_owned();
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
