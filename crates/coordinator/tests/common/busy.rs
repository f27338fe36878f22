//! Sessions that use a table by key all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::task::JoinHandle;

use super::{Seen, World};

/// However busy the machine is.
const SOON: Duration = Duration::from_secs(30);

/// What they do until it says that they shall stop; they count what was done.
#[derive(Clone, Default)]
pub struct Turn {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
}

impl Turn {
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub fn count(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// They, at work; each tells in the end what was odd.
pub struct Busy {
    turn: Turn,
    tasks: Vec<JoinHandle<Vec<Seen>>>,
}

impl Busy {
    /// Makes the table `t`, with keys from 0 to 2, and has three sessions at work on it.
    pub async fn start<W>(world: &World, conn: &mut Conn, work: impl Fn(Conn, Turn) -> W) -> Self
    where
        W: Future<Output = Vec<Seen>> + Send + 'static,
    {
        for statement in [
            "CREATE TABLE t (k INT PRIMARY KEY, v BIGINT NOT NULL) DISTRIBUTE BY HASH(k)",
            "INSERT INTO t VALUES (0, 0), (1, 0), (2, 0)",
        ] {
            conn.query_drop(statement).await.expect(statement);
        }
        let turn = Turn::default();
        let mut tasks = Vec::new();
        for _ in 0..3 {
            tasks.push(tokio::spawn(work(world.client().await, turn.clone())));
        }
        Self { turn, tasks }
    }

    /// How often something was done.
    pub fn done(&self) -> u64 {
        self.turn.count.load(Ordering::Relaxed)
    }

    /// Waits until so much more is done.
    pub async fn until_done(&self, more: u64) {
        let (end, wanted) = (Instant::now() + SOON, self.done() + more);
        while self.done() < wanted {
            assert!(Instant::now() < end, "nobody does anything any more");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends them: none has seen anything that is odd. How often something was done.
    pub async fn stop(self) -> u64 {
        self.turn.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            assert_eq!(task.await.expect("it ends"), []);
        }
        self.turn.count.load(Ordering::Relaxed)
    }
}
