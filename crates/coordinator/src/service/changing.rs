//! Tables that are whole at home and become distributed: a statement that was planned when they were whole
//! must not reach home when they are not any more, so whoever names one waits, and whoever may have named
//! it before is waited for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use openpeta_mysql_wire::ErrPacket;
use tokio::sync::Notify;

use super::Instance;

/// How long somebody waits for a table to be distributed.
const PATIENCE: Duration = Duration::from_secs(50);
/// How often it is looked whether statements are over.
const PAUSE: Duration = Duration::from_millis(2);

/// What is being distributed.
#[derive(Debug, Default)]
pub struct Changing {
    /// Something is, so statements have to be looked at.
    any: AtomicBool,
    names: Mutex<Vec<String>>,
    over: Notify,
    /// One at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// How often a table that was whole has been distributed.
    count: AtomicU64,
}

/// As long as this is there, statements that name certain tables wait.
#[derive(Debug)]
pub struct Mark {
    changing: Arc<Changing>,
    since: Instant,
}

impl Changing {
    /// Whoever has this may mark tables.
    pub(crate) fn turn(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.turn)
    }

    /// Statements in which one of these words stands wait from now on.
    pub(crate) fn mark(self: &Arc<Self>, names: Vec<String>) -> Mark {
        *self.lock() = names;
        self.any.store(true, Ordering::SeqCst);
        Mark {
            changing: Arc::clone(self),
            since: Instant::now(),
        }
    }

    /// Whether a statement may name one that is being distributed.
    #[must_use]
    pub fn concerns(&self, text: &[u8]) -> bool {
        self.any.load(Ordering::SeqCst) && self.lock().iter().any(|name| is_in(name, text))
    }

    /// Waits until none that the statement may name is being distributed.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn wait(&self, text: &[u8]) -> Result<(), ErrPacket> {
        let over = async {
            loop {
                let over = self.over.notified();
                tokio::pin!(over);
                over.as_mut().enable();
                if !self.concerns(text) {
                    return;
                }
                over.await;
            }
        };
        let over = tokio::time::timeout(PATIENCE, over).await;
        over.map_err(|_| {
            ErrPacket::new(
                1205,
                b"HY000",
                "Lock wait timeout exceeded; try restarting transaction",
            )
        })
    }

    /// How often a table that was whole has been distributed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// One more has been.
    pub(crate) fn changed(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mark {
    /// Waits until no session runs a statement any more that began before; whether that came about.
    pub(crate) async fn alone(&self, instance: &Instance, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while instance.sessions().runs_since_before(self.since) {
            if Instant::now() >= end {
                return false;
            }
            tokio::time::sleep(PAUSE).await;
        }
        true
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.changing.any.store(false, Ordering::SeqCst);
        self.changing.lock().clear();
        self.changing.over.notify_waiters();
    }
}

/// Whether a name stands in a text as a word of its own, whatever the text means.
fn is_in(name: &str, text: &[u8]) -> bool {
    let name = name.as_bytes();
    let is_part = |byte: Option<&u8>| {
        byte.is_some_and(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
        })
    };
    let mut places = text.windows(name.len().max(1)).enumerate();
    places.any(|(at, part)| {
        part.eq_ignore_ascii_case(name)
            && !is_part(at.checked_sub(1).and_then(|before| text.get(before)))
            && !is_part(text.get(at + name.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_names_it_waits_until_the_mark_is_gone() {
        let changing = Arc::new(Changing::default());
        assert!(!changing.concerns(b"SELECT * FROM orders"));
        let mark = changing.mark(vec!["orders".into(), "EXECUTE".into()]);
        assert!(changing.concerns(b"select * from `shop`.ORDERS"));
        assert!(changing.concerns(b"execute s"));
        assert!(!changing.concerns(b"SELECT 1"));
        assert!(!changing.concerns(b"SELECT * FROM my_orders, orders2"));
        changing
            .wait(b"SELECT 1")
            .await
            .expect("it is about no such table");
        let waits = {
            let changing = Arc::clone(&changing);
            tokio::spawn(async move { changing.wait(b"DELETE FROM orders").await })
        };
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(mark);
        waits.await.expect("it ends").expect("it goes on");
        assert!(!changing.concerns(b"SELECT * FROM orders"));
    }
}
