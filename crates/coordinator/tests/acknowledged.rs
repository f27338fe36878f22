//! What a client was told to be committed on one node is there after that node was killed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::common::World;

const CLIENTS: u64 = 4;
const KILLS: u64 = 12;
/// Transactions that are acknowledged before each kill.
const BEFORE_KILL: usize = 100;

/// Commits transactions of a row each until its connection ends, or it is told to: it may have met nothing of a node
/// that was down for a moment. Tells which were acknowledged.
async fn write(
    mut conn: Conn,
    first: u64,
    acknowledged: Arc<std::sync::Mutex<BTreeSet<u64>>>,
    stop: Arc<AtomicBool>,
) {
    for id in first.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        for statement in [
            "BEGIN".to_owned(),
            format!("INSERT INTO kept VALUES ({id}, 1)"),
            "COMMIT".to_owned(),
        ] {
            if conn.query_drop(statement).await.is_err() {
                return;
            }
        }
        acknowledged.lock().expect("no panic").insert(id);
    }
}

/// All rows, once all nodes answer and nothing is in doubt.
async fn rows(world: &World) -> BTreeSet<u64> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let mut conn = world.client().await;
        // Waits for what is prepared.
        let found = conn.query("SELECT id FROM kept FOR UPDATE").await;
        if let Ok(found) = found {
            return found.into_iter().collect();
        }
        assert!(Instant::now() < end, "a node does not come back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_node_nothing_that_was_acknowledged_is_lost() {
    let world = World::new().await;
    let mut conn = world.client().await;
    conn.query_drop("CREATE TABLE kept (id BIGINT PRIMARY KEY, one INT) DISTRIBUTE BY HASH(id)")
        .await
        .expect("a table");
    let acknowledged = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    for round in 0..KILLS {
        let before = acknowledged.lock().expect("no panic").len();
        let mut writers = Vec::new();
        let stop = Arc::new(AtomicBool::new(false));
        for client in 0..CLIENTS {
            let first = (round * CLIENTS + client) * 1_000_000;
            let conn = world.client().await;
            let acknowledged = Arc::clone(&acknowledged);
            let stop = Arc::clone(&stop);
            writers.push(tokio::spawn(write(conn, first, acknowledged, stop)));
        }
        let end = Instant::now() + Duration::from_secs(30);
        while acknowledged.lock().expect("no panic").len() < before + BEFORE_KILL {
            assert!(Instant::now() < end, "nothing is committed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.kill_node(1).await;
        world.start_node(1).await;
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.expect("it does not panic");
        }
        let found = rows(&world).await;
        let lost: Vec<u64> = {
            let acknowledged = acknowledged.lock().expect("no panic");
            acknowledged.difference(&found).copied().collect()
        };
        assert_eq!(lost, Vec::<u64>::new(), "after kill {round}");
    }
}
